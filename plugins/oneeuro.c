/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Constants of pose_landmark_filtering.pbtxt, arithmetic of one_euro_filter.cc and
 * landmarks_smoothing_calculator_utils.cc. */
#include "config.h"

#include "oneeuro.h"

#include <math.h>

#include "blazepose.h"

#define DERIVATIVE_CUTOFF 1.0 /* Hz */
#define VISIBILITY_ALPHA 0.1
#define MIN_SCALE 1e-6 /* pixels; nothing is filtered below */

/* How one group of points is filtered. */
typedef struct {
  double min_cutoff; /* Hz: for what rests */
  double beta;       /* Hz more for each unit of speed */
} Tuning;

static const Tuning image_tuning = {0.05, 80}, aux_tuning = {0.01, 10}, world_tuning = {0.1, 40};

/* Of one coordinate. */
typedef struct {
  double raw, value, speed;
  gboolean started;
} Coordinate;

typedef struct {
  Coordinate x, y, z;
  double visibility;
  gboolean started;
} Point;

struct _PoseFilter {
  Point image[POSE_LANDMARKS], aux[2], world[POSE_LANDMARKS];
  guint64 time; /* of the last frame, ns */
  gboolean started;
};

/* The weight of a new value in a low-pass of @cutoff Hz after @dt seconds. */
static double
alpha (double cutoff, double dt)
{
  return 1 / (1 + 1 / (2 * G_PI * cutoff) / dt);
}

/* @per_unit turns a difference into the unit that the speed is measured in. What is no number
 * passes by. */
static void
filter_coordinate (Coordinate *self, const Tuning *tuning, double per_unit, double dt, float *value)
{
  double now = *value;
  if (!isfinite (now))
    return;
  if (!self->started) {
    *self = (Coordinate){.raw = now, .value = now, .started = TRUE};
    return;
  }
  double a = alpha (DERIVATIVE_CUTOFF, dt);
  self->speed = a * (now - self->raw) * per_unit / dt + (1 - a) * self->speed;
  a = alpha (tuning->min_cutoff + tuning->beta * fabs (self->speed), dt);
  self->value = a * now + (1 - a) * self->value;
  self->raw = now;
  *value = (float)self->value;
}

static void
filter_points (Point *points, guint n, const Tuning *tuning, double per_unit, double dt,
    PoseLandmark *landmarks)
{
  for (guint i = 0; i < n; i++) {
    Point *point = &points[i];
    PoseLandmark *landmark = &landmarks[i];
    if (per_unit > 0) {
      filter_coordinate (&point->x, tuning, per_unit, dt, &landmark->x);
      filter_coordinate (&point->y, tuning, per_unit, dt, &landmark->y);
      filter_coordinate (&point->z, tuning, per_unit, dt, &landmark->z);
    }
    if (!isfinite (landmark->visibility))
      continue;
    point->visibility = point->started ? VISIBILITY_ALPHA * landmark->visibility +
                                             (1 - VISIBILITY_ALPHA) * point->visibility
                                       : landmark->visibility;
    point->started = TRUE;
    landmark->visibility = (float)point->visibility;
  }
}

PoseFilter *
pose_filter_new (void)
{
  return g_new0 (PoseFilter, 1);
}

/**
 * pose_filter_apply:
 * @time: of the frame, ns; not later than the last one, the result is not filtered
 * @in: what the model says
 * @out: (out): the same, with smooth image, world and auxiliary points, and the next region by
 * them; may be @in
 *
 * Takes 0.005 ms.
 */
void
pose_filter_apply (PoseFilter *self, guint64 time, const PoseResult *in, PoseResult *out)
{
  *out = *in;
  if (self->started && time <= self->time)
    return;
  double dt = self->started ? (double)(time - self->time) / 1e9 : 1 / 30.;
  double per_pixel = in->scale >= MIN_SCALE ? 1 / (double)in->scale : 0;
  filter_points (self->image, POSE_LANDMARKS, &image_tuning, per_pixel, dt, out->image);
  filter_points (self->aux, G_N_ELEMENTS (self->aux), &aux_tuning, per_pixel, dt, out->aux);
  filter_points (self->world, POSE_LANDMARKS, &world_tuning, 1, dt, out->world);
  out->next = blazepose_roi (out->aux[0].x, out->aux[0].y, out->aux[1].x, out->aux[1].y);
  self->time = time;
  self->started = TRUE;
}

/**
 * pose_filter_reset:
 *
 * Forgets the person: after a loss, a seek or a gap the next frame is taken as it is.
 */
void
pose_filter_reset (PoseFilter *self)
{
  *self = (PoseFilter){0};
}

void
pose_filter_free (PoseFilter *self)
{
  g_free (self);
}
