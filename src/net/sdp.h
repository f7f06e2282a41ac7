/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Session descriptions of RTP tracks. */
#pragma once

#include <gst/gst.h>

char *spt_sdp_of_track (const char *name, const char *server, GstCaps *caps);
