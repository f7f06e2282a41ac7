/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "blazepose.h"
#include "oneeuro.h"

#define MS G_GUINT64_CONSTANT (1000000)

/* Everybody at (x, y, z), the world's in metres; a body of 200 pixels. */
static PoseResult
person (float x, float y, float z, float visibility)
{
  PoseResult result = {.roi = {1, 2, 3, 4, 5}, .flag = 0.9f, .scale = 200};
  for (guint i = 0; i < POSE_LANDMARKS; i++) {
    result.image[i] = (PoseLandmark){x, y, z, visibility, 0.5f};
    result.world[i] = (PoseLandmark){x / 1000, y / 1000, z / 1000, visibility, 0.5f};
    result.maxima[i] = 0.7f;
  }
  result.aux[0] = (PoseLandmark){x, y, z, visibility, 0.5f};
  result.aux[1] = (PoseLandmark){x, y - 100, z, visibility, 0.5f};
  result.next = blazepose_roi (x, y, x, y - 100);
  return result;
}

static double
weight (double cutoff, double dt)
{
  double tau = 1 / (2 * G_PI * cutoff);
  return 1 / (1 + tau / dt);
}

/* What three values become, by the paper, with speeds in units of @scale. */
static double
third (const double *v, const double *dt, double min_cutoff, double beta, double scale)
{
  double speed = 0, value = v[0];
  for (guint i = 1; i < 3; i++) {
    double a = weight (1, dt[i - 1]);
    speed = a * ((v[i] - v[i - 1]) / scale / dt[i - 1]) + (1 - a) * speed;
    a = weight (min_cutoff + beta * fabs (speed), dt[i - 1]);
    value = a * v[i] + (1 - a) * value;
  }
  return value;
}

static void
test_values_are_the_papers_at_uneven_times (void)
{
  g_autoptr (PoseFilter) filter = pose_filter_new ();
  static const double x[] = {300, 303, 299}, y[] = {200, 190, 205}, z[] = {-20, -25, -10},
                      dt[] = {0.033, 0.1};
  static const guint64 times[] = {5000 * MS, 5033 * MS, 5133 * MS};
  PoseResult out;
  for (guint i = 0; i < 3; i++) {
    PoseResult in = person ((float)x[i], (float)y[i], (float)z[i], 1);
    pose_filter_apply (filter, times[i], &in, &out);
  }
  g_assert_cmpfloat_with_epsilon (out.image[32].x, third (x, dt, 0.05, 80, 200), 1e-3);
  g_assert_cmpfloat_with_epsilon (out.image[0].y, third (y, dt, 0.05, 80, 200), 1e-3);
  g_assert_cmpfloat_with_epsilon (out.image[0].z, third (z, dt, 0.05, 80, 200), 1e-3);
  g_assert_cmpfloat_with_epsilon (out.aux[0].x, third (x, dt, 0.01, 10, 200), 1e-3);
  g_assert_cmpfloat_with_epsilon (
      out.world[5].x, third ((double[]){0.3, 0.303, 0.299}, dt, 0.1, 40, 1), 1e-6);
  g_assert_cmpfloat_with_epsilon (
      out.world[5].z, third ((double[]){-0.02, -0.025, -0.01}, dt, 0.1, 40, 1), 1e-6);
}

static void
test_the_first_frame_is_taken_as_it_is (void)
{
  g_autoptr (PoseFilter) filter = pose_filter_new ();
  PoseResult in = person (300, 200, -20, 0.8f), out;
  pose_filter_apply (filter, 0, &in, &out);
  g_assert_cmpmem (&in, sizeof in, &out, sizeof out);
}

static void
test_visibility_follows_slowly_presence_at_once (void)
{
  g_autoptr (PoseFilter) filter = pose_filter_new ();
  PoseResult in = person (300, 200, 0, 1), out;
  pose_filter_apply (filter, 33 * MS, &in, &out);
  in = person (300, 200, 0, 0);
  in.image[4].presence = 0.1f;
  pose_filter_apply (filter, 66 * MS, &in, &out);
  pose_filter_apply (filter, 99 * MS, &in, &out);
  g_assert_cmpfloat_with_epsilon (out.image[4].visibility, 0.81, 1e-6);
  g_assert_cmpfloat_with_epsilon (out.world[4].visibility, 0.81, 1e-6);
  g_assert_cmpfloat_with_epsilon (out.aux[1].visibility, 0.81, 1e-6);
  g_assert_cmpfloat (out.image[4].presence, ==, 0.1f);
}

static void
test_the_next_region_follows_the_filtered_points (void)
{
  g_autoptr (PoseFilter) filter = pose_filter_new ();
  PoseResult in = person (300, 200, 0, 1), out;
  pose_filter_apply (filter, 33 * MS, &in, &out);
  in = person (310, 200, 0, 1);
  pose_filter_apply (filter, 66 * MS, &in, &out);
  g_assert_cmpfloat (out.aux[0].x, <, 309);
  g_assert_cmpfloat_with_epsilon (out.next.cx, out.aux[0].x, 1e-4);
  g_assert_cmpfloat_with_epsilon (out.next.w, 250, 1e-3);
  g_assert_cmpfloat (out.scale, ==, 200); /* by the unfiltered ones */
  g_assert_cmpfloat (out.flag, ==, 0.9f);
  g_assert_cmpfloat (out.maxima[3], ==, 0.7f);
}

static void
test_time_that_stands_still_filters_nothing (void)
{
  g_autoptr (PoseFilter) filter = pose_filter_new ();
  PoseResult in = person (300, 200, 0, 1), other = person (500, 100, 0, 0), out, expected;
  pose_filter_apply (filter, 100 * MS, &in, &out);
  pose_filter_apply (filter, 100 * MS, &other, &out);
  g_assert_cmpfloat (out.image[0].x, ==, 500);
  pose_filter_apply (filter, 50 * MS, &other, &out);
  g_assert_cmpfloat (out.image[0].x, ==, 500);
  in = person (301, 200, 0, 1);
  pose_filter_apply (filter, 133 * MS, &in, &out);
  g_autoptr (PoseFilter) undisturbed = pose_filter_new ();
  in = person (300, 200, 0, 1);
  pose_filter_apply (undisturbed, 100 * MS, &in, &expected);
  in = person (301, 200, 0, 1);
  pose_filter_apply (undisturbed, 133 * MS, &in, &expected);
  g_assert_cmpmem (&out, sizeof out, &expected, sizeof expected);
}

static void
test_a_body_without_size_is_not_filtered_in_the_image (void)
{
  g_autoptr (PoseFilter) filter = pose_filter_new ();
  PoseResult in = person (300, 200, 0, 1), out;
  pose_filter_apply (filter, 33 * MS, &in, &out);
  in = person (400, 200, 0, 1);
  in.scale = 0;
  pose_filter_apply (filter, 66 * MS, &in, &out);
  g_assert_cmpfloat (out.image[0].x, ==, 400);
  g_assert_cmpfloat (out.world[0].x, <, 0.4f);
}

static void
test_a_reset_forgets (void)
{
  g_autoptr (PoseFilter) filter = pose_filter_new ();
  PoseResult in = person (300, 200, 0, 1), out;
  pose_filter_apply (filter, 100 * MS, &in, &out);
  pose_filter_reset (filter);
  in = person (900, 500, 3, 0.2f);
  pose_filter_apply (filter, 20 * MS, &in, &out); /* an earlier time too */
  g_assert_cmpmem (&in, sizeof in, &out, sizeof out);
}

static void
test_rest_is_smoothed_and_motion_followed (void)
{
  g_autoptr (PoseFilter) filter = pose_filter_new ();
  PoseResult in, out;
  double rough = 0, smooth = 0, last_in = 0, last_out = 0;
  for (guint i = 0; i < 90; i++) {
    double x = 300 + (i % 2 ? 0.3 : -0.3);
    in = person ((float)x, 200, 0, 1);
    pose_filter_apply (filter, i * 33 * MS, &in, &out);
    if (i > 10) {
      rough += fabs (x - last_in);
      smooth += fabs (out.image[0].x - last_out);
    }
    last_in = x;
    last_out = out.image[0].x;
  }
  g_assert_cmpfloat (smooth, <, rough / 2);
  for (guint i = 0; i < 30; i++) { /* two body heights a second */
    in = person (300 + 13.3f * (float)i, 200, 0, 1);
    pose_filter_apply (filter, (90 + i) * 33 * MS, &in, &out);
  }
  g_assert_cmpfloat (fabsf (out.image[0].x - in.image[0].x), <, 2);
}

static void
test_what_is_no_number_leaves_no_trace (void)
{
  g_autoptr (PoseFilter) filter = pose_filter_new ();
  PoseResult in = person (300, 200, 0, 1), out;
  pose_filter_apply (filter, 33 * MS, &in, &out);
  PoseResult bad = person (NAN, INFINITY, -INFINITY, NAN);
  bad.scale = NAN;
  pose_filter_apply (filter, 66 * MS, &bad, &out);
  bad.scale = 200;
  pose_filter_apply (filter, 99 * MS, &bad, &out);
  bad = person (3e38f, -3e38f, 3e38f, 1);
  bad.scale = 1e-5f;
  pose_filter_apply (filter, 120 * MS, &bad, &out);
  pose_filter_apply (filter, G_MAXUINT64 - 5, &in, &out);
  g_assert_true (isfinite (out.image[0].x) && isfinite (out.image[0].y));
  g_assert_true (isfinite (out.image[0].visibility));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func (
      "/oneeuro/values-are-the-papers-at-uneven-times", test_values_are_the_papers_at_uneven_times);
  g_test_add_func (
      "/oneeuro/the-first-frame-is-taken-as-it-is", test_the_first_frame_is_taken_as_it_is);
  g_test_add_func ("/oneeuro/visibility-follows-slowly-presence-at-once",
      test_visibility_follows_slowly_presence_at_once);
  g_test_add_func ("/oneeuro/the-next-region-follows-the-filtered-points",
      test_the_next_region_follows_the_filtered_points);
  g_test_add_func ("/oneeuro/time-that-stands-still-filters-nothing",
      test_time_that_stands_still_filters_nothing);
  g_test_add_func ("/oneeuro/a-body-without-size-is-not-filtered-in-the-image",
      test_a_body_without_size_is_not_filtered_in_the_image);
  g_test_add_func ("/oneeuro/a-reset-forgets", test_a_reset_forgets);
  g_test_add_func (
      "/oneeuro/rest-is-smoothed-and-motion-followed", test_rest_is_smoothed_and_motion_followed);
  g_test_add_func (
      "/oneeuro/what-is-no-number-leaves-no-trace", test_what_is_no_number_leaves_no_trace);
  return g_test_run ();
}
