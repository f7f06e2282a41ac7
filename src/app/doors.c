/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of doors: a door is a file in outputs/ and a row here. */
#include "config.h"

#include "doors-table.h"

#include "doors.h"

const SptOutput *const spt_outputs[] = {
    &spt_output_hls,
    &spt_output_mjpeg,
    &spt_output_mp4,
    &spt_output_mse,
    &spt_output_pose,
    &spt_output_rtsp,
    &spt_output_snapshot,
    &spt_output_ts,
    &spt_output_webrtc,
};
const guint spt_n_outputs = G_N_ELEMENTS (spt_outputs);
