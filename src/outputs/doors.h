/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The descriptors of all doors. */
#pragma once

#include "output.h"

extern const SptOutput spt_output_hls;
extern const SptOutput spt_output_mjpeg;
extern const SptOutput spt_output_mp4;
extern const SptOutput spt_output_mse;
extern const SptOutput spt_output_pose;
extern const SptOutput spt_output_rtsp;
extern const SptOutput spt_output_snapshot;
extern const SptOutput spt_output_ts;
extern const SptOutput spt_output_webrtc;
