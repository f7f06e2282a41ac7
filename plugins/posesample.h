/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cuts a turned rectangle out of a mapped frame, straight into the floats a model wants. */
#pragma once

#include <gst/video/video.h>

#include "pose.h"

/* For pad templates; what pose_sample() understands. */
#define POSE_SAMPLE_FORMATS                                                                        \
  "{ I420, NV12, YV12, NV21, YUY2, UYVY, YVYU, Y42B, Y444, RGB, BGR, RGBx, BGRx, xRGB, "           \
  "xBGR, "                                                                                         \
  "RGBA, BGRA, ARGB, ABGR, GRAY8 }"

typedef enum {
  POSE_BORDER_ZERO,      /* black */
  POSE_BORDER_REPLICATE, /* as the nearest pixel of the frame */
} PoseBorder;

gboolean pose_sample_can (const GstVideoInfo *info);
void pose_sample (const GstVideoFrame *frame, const PoseRect *rect, guint side, float low,
    float high, PoseBorder border, float *tensor);
