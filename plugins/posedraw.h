/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A skeleton as lines. */
#pragma once

#include <cairo.h>

#include "posemeta.h"

/* Where hands and feet have been. */
#define POSE_TRAIL_POINTS 4
#define POSE_TRAIL_LENGTH 120

typedef struct {
  guint id; /* 0: free */
  guint n, next;
  struct {
    GstClockTime time;
    float x[POSE_TRAIL_POINTS], y[POSE_TRAIL_POINTS]; /* parts of the frame; NaN: not seen */
  } points[POSE_TRAIL_LENGTH];
} PoseTrail;

void pose_trail_add (PoseTrail *self, const GstPosePerson *person, GstClockTime time);

typedef struct {
  int width, height; /* of the frame */
  gboolean names;
  GstClockTime trail, now; /* how far back it goes; 0: none */
} PoseStyle;

gboolean pose_draw_extents (
    const PoseStyle *style, const GstPosePerson *person, const PoseTrail *trail, int rect[4]);
void pose_draw (
    cairo_t *cr, const PoseStyle *style, const GstPosePerson *person, const PoseTrail *trail);
