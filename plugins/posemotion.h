/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has changed in a still camera's picture in the last seconds, seen on a small luma grid.
 * Pure; for one thread at a time. pose.md section 21, rules 1 to 3. */
#pragma once

#include <glib.h>

#define POSE_GRID_WIDTH 160 /* cells; fewer when the picture has fewer pixels */
#define POSE_GRID_HEIGHT 320
#define POSE_MOTION_LAGS 3

typedef struct {
  int width, height;                                /* cells; 0: there is none */
  guint8 cells[POSE_GRID_WIDTH * POSE_GRID_HEIGHT]; /* rows without padding, mean luma */
} PoseGrid;

typedef struct {
  float x0, y0, x1, y1; /* pixels of the frame */
} PoseBox;

typedef struct {
  float lags[POSE_MOTION_LAGS]; /* seconds between the pictures that are compared; 0: unused */
  float change;                 /* luma levels; a cell that differs by more has changed */
  float blob_lag;               /* seconds */
  guint blob_gap;               /* still cells that may lie between two changed ones of a blob */
  guint blob_cells;             /* the least blob */
  float blob_flood;             /* 0 … 1: when more of the picture has changed there is no blob */
} PoseMotionParams;

typedef struct _PoseMotion PoseMotion;

void pose_grid_from_luma (PoseGrid *grid, const guint8 *luma, gsize stride, int width, int height);

void pose_motion_params_init (PoseMotionParams *params);
PoseMotion *pose_motion_new (const PoseMotionParams *params);
void pose_motion_free (PoseMotion *self);
void pose_motion_set_params (PoseMotion *self, const PoseMotionParams *params);
void pose_motion_reset (PoseMotion *self);

void pose_motion_push (
    PoseMotion *self, const PoseGrid *grid, int width, int height, guint64 time_ns);
double pose_motion_seconds (const PoseMotion *self);
gboolean pose_motion_share (PoseMotion *self, const PoseBox *box, float *share);
gboolean pose_motion_blob (PoseMotion *self, const PoseBox *within, const PoseBox *without,
    guint n_without, PoseBox *blob);
