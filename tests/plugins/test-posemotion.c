/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "posemotion.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define WIDTH 1280
#define HEIGHT 720

typedef struct {
  PoseMotion *motion;
  PoseGrid grid;
  guint64 time;
} Scene;

static Scene *
make_scene (void)
{
  Scene *s = g_new0 (Scene, 1);
  PoseMotionParams params;
  pose_motion_params_init (&params);
  s->motion = pose_motion_new (&params);
  s->grid.width = 160;
  s->grid.height = 90;
  memset (s->grid.cells, 100, sizeof s->grid.cells);
  return s;
}

static void
free_scene (Scene *s)
{
  pose_motion_free (s->motion);
  g_free (s);
}

static void
paint (Scene *s, int x, int y, int w, int h, guint8 luma)
{
  for (int v = MAX (y, 0); v < MIN (y + h, s->grid.height); v++)
    for (int u = MAX (x, 0); u < MIN (x + w, s->grid.width); u++)
      s->grid.cells[v * s->grid.width + u] = luma;
}

/* Shows the grid for so long, ten times a second. */
static void
show (Scene *s, guint ms)
{
  for (guint i = 0; i < ms / 100; i++, s->time += 100 * MS)
    pose_motion_push (s->motion, &s->grid, WIDTH, HEIGHT, s->time);
}

/* Of cells that are 8 × 8 pixels. */
static PoseBox
box (int x, int y, int w, int h)
{
  return (PoseBox){(float)x * 8, (float)y * 8, (float)(x + w) * 8, (float)(y + h) * 8};
}

static void
test_grid_is_the_mean_of_every_sample (void)
{
  guint8 luma[4 * 322];
  PoseGrid *grid = g_new0 (PoseGrid, 1);
  for (guint i = 0; i < sizeof luma; i++)
    luma[i] = (guint8)(i % 322 % 2 ? 30 : 10);
  pose_grid_from_luma (grid, luma, 322, 320, 4);
  g_assert_cmpint (grid->width, ==, 160);
  g_assert_cmpint (grid->height, ==, 2);
  for (guint i = 0; i < 320; i++)
    g_assert_cmpuint (grid->cells[i], ==, 20);
  g_free (grid);
}

/* Allocated to the byte, so that the sanitizer sees a step too far; and the last sample counts. */
static void
test_grid_covers_any_size (void)
{
  static const struct {
    int width, height, cells_wide, cells_high;
  } sizes[] = {{1, 1, 1, 1}, {1, 1000, 1, 320}, {1000, 1, 160, 1}, {161, 91, 160, 90},
      {1080, 1920, 160, 284}, {3839, 2161, 160, 90}, {159, 89, 159, 89}, {7, 3000, 7, 320}};
  PoseGrid *grid = g_new0 (PoseGrid, 1);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    int w = sizes[i].width, h = sizes[i].height;
    g_autofree guint8 *luma = g_malloc0 ((gsize)w * (gsize)h);
    for (int y = MAX (h - 30, 0); y < h; y++)
      memset (luma + (gsize)y * (gsize)w + MAX (w - 30, 0), 255, (gsize)MIN (w, 30));
    pose_grid_from_luma (grid, luma, (gsize)w, w, h);
    g_assert_cmpint (grid->width, ==, sizes[i].cells_wide);
    g_assert_cmpint (grid->height, ==, sizes[i].cells_high);
    g_assert_cmpuint (grid->cells[grid->width * grid->height - 1], ==, 255);
  }
  g_free (grid);
}

static void
test_no_picture_makes_no_grid (void)
{
  PoseGrid *grid = g_new0 (PoseGrid, 1);
  guint8 luma[4] = {0};
  pose_grid_from_luma (grid, NULL, 2, 2, 2);
  g_assert_cmpint (grid->width, ==, 0);
  pose_grid_from_luma (grid, luma, 2, 0, 2);
  g_assert_cmpint (grid->width, ==, 0);
  pose_grid_from_luma (grid, luma, 2, 2, -1);
  g_assert_cmpint (grid->width, ==, 0);
  pose_grid_from_luma (grid, luma, 1, 2, 2);
  g_assert_cmpint (grid->width, ==, 0);
  g_free (grid);
}

static void
test_motion_is_unknown_before_it_is_zero (void)
{
  Scene *s = make_scene ();
  PoseBox all = box (20, 20, 20, 40);
  float share;
  g_assert_false (pose_motion_share (s->motion, &all, &share));
  show (s, 300);
  g_assert_false (pose_motion_share (s->motion, &all, &share));
  show (s, 300);
  g_assert_true (pose_motion_share (s->motion, &all, &share));
  g_assert_cmpfloat (share, ==, 0);
  free_scene (s);
}

static void
test_share_is_inside_minus_outside (void)
{
  Scene *s = make_scene ();
  PoseBox here = box (20, 20, 20, 40), there = box (100, 20, 20, 40), all = box (0, 0, 160, 90);
  float share;
  show (s, 1000);
  paint (s, 20, 20, 10, 40, 130);
  show (s, 100);
  g_assert_true (pose_motion_share (s->motion, &here, &share));
  g_assert_cmpfloat_with_epsilon (share, 0.5, 1e-4);
  g_assert_true (pose_motion_share (s->motion, &there, &share));
  g_assert_cmpfloat_with_epsilon (share, -400.0 / (160 * 90 - 800), 1e-4);
  g_assert_true (pose_motion_share (s->motion, &all, &share));
  g_assert_cmpfloat_with_epsilon (share, 400.0 / (160 * 90), 1e-4);
  free_scene (s);
}

/* By 12 levels nothing has changed, by 13 it has. */
static void
test_small_changes_do_not_count (void)
{
  Scene *s = make_scene ();
  PoseBox here = box (20, 20, 20, 40);
  float share;
  show (s, 1000);
  paint (s, 20, 20, 20, 40, 112);
  show (s, 100);
  g_assert_true (pose_motion_share (s->motion, &here, &share));
  g_assert_cmpfloat (share, ==, 0);
  paint (s, 20, 20, 20, 40, 113);
  show (s, 100);
  g_assert_true (pose_motion_share (s->motion, &here, &share));
  g_assert_cmpfloat (share, ==, 1);
  free_scene (s);
}

static void
test_motion_of_two_seconds_ago_is_seen_and_then_forgotten (void)
{
  Scene *s = make_scene ();
  PoseBox here = box (20, 20, 20, 40);
  float share;
  show (s, 2500);
  paint (s, 20, 20, 20, 40, 150);
  show (s, 1900);
  g_assert_true (pose_motion_share (s->motion, &here, &share));
  g_assert_cmpfloat (share, ==, 1);
  show (s, 800);
  g_assert_true (pose_motion_share (s->motion, &here, &share));
  g_assert_cmpfloat (share, ==, 0);
  free_scene (s);
}

static void
test_flicker_is_not_motion (void)
{
  Scene *s = make_scene ();
  PoseBox here = box (20, 20, 20, 40), blob;
  float share;
  for (guint i = 0; i < 30; i++) {
    paint (s, 0, 0, 160, 90, i % 7 < 3 ? 100 : 140);
    show (s, 100);
  }
  g_assert_true (pose_motion_share (s->motion, &here, &share));
  g_assert_cmpfloat (share, ==, 0);
  g_assert_false (pose_motion_blob (s->motion, NULL, NULL, 0, &blob));
  free_scene (s);
}

static void
assert_box (const PoseBox *is, PoseBox should_be)
{
  g_assert_cmpfloat_with_epsilon (is->x0, should_be.x0, 0.01);
  g_assert_cmpfloat_with_epsilon (is->y0, should_be.y0, 0.01);
  g_assert_cmpfloat_with_epsilon (is->x1, should_be.x1, 0.01);
  g_assert_cmpfloat_with_epsilon (is->y1, should_be.y1, 0.01);
}

static void
test_the_largest_blob_is_found (void)
{
  Scene *s = make_scene ();
  PoseBox blob, right = box (80, 0, 80, 90), large = box (10, 10, 10, 10);
  show (s, 600);
  g_assert_false (pose_motion_blob (s->motion, NULL, NULL, 0, &blob));
  paint (s, 10, 10, 10, 10, 200);
  paint (s, 100, 50, 5, 5, 200);
  show (s, 100);
  g_assert_true (pose_motion_blob (s->motion, NULL, NULL, 0, &blob));
  assert_box (&blob, box (10, 10, 10, 10));
  g_assert_true (pose_motion_blob (s->motion, &right, NULL, 0, &blob));
  assert_box (&blob, box (100, 50, 5, 5));
  g_assert_true (pose_motion_blob (s->motion, NULL, &large, 1, &blob));
  assert_box (&blob, box (100, 50, 5, 5));
  g_assert_false (pose_motion_blob (s->motion, &right, &right, 1, &blob));
  free_scene (s);
}

/* Three still cells are bridged, four are not; five changed ones are too few. */
static void
test_what_hangs_together_is_one_blob (void)
{
  Scene *s = make_scene ();
  PoseBox blob;
  show (s, 600);
  paint (s, 30, 30, 1, 5, 200);
  show (s, 100);
  g_assert_false (pose_motion_blob (s->motion, NULL, NULL, 0, &blob));
  paint (s, 34, 30, 1, 5, 200);
  paint (s, 39, 30, 1, 5, 200);
  show (s, 100);
  g_assert_true (pose_motion_blob (s->motion, NULL, NULL, 0, &blob));
  assert_box (&blob, box (30, 30, 5, 5));
  free_scene (s);
}

static void
test_a_new_size_or_an_earlier_time_begins_anew (void)
{
  Scene *s = make_scene ();
  PoseBox all = box (0, 0, 160, 90);
  float share;
  show (s, 1000);
  g_assert_cmpfloat (pose_motion_seconds (s->motion), >, 0.8);
  pose_motion_push (s->motion, &s->grid, WIDTH / 2, HEIGHT / 2, s->time);
  g_assert_cmpfloat (pose_motion_seconds (s->motion), ==, 0);
  show (s, 1000);
  s->time = 5 * MS;
  show (s, 100);
  g_assert_false (pose_motion_share (s->motion, &all, &share));
  show (s, 1000);
  s->grid.width = 80;
  show (s, 100);
  g_assert_false (pose_motion_share (s->motion, &all, &share));
  s->grid.width = POSE_GRID_WIDTH + 1;
  show (s, 100);
  g_assert_false (pose_motion_share (s->motion, &all, &share));
  free_scene (s);
}

/* After a hole in the stream nothing is compared over it. */
static void
test_a_long_gap_makes_motion_unknown (void)
{
  Scene *s = make_scene ();
  PoseBox all = box (0, 0, 160, 90);
  float share;
  show (s, 5000);
  g_assert_cmpfloat_with_epsilon (pose_motion_seconds (s->motion), 2.5, 0.1);
  s->time += 10000 * MS;
  show (s, 200);
  g_assert_cmpfloat_with_epsilon (pose_motion_seconds (s->motion), 0.1, 0.01);
  g_assert_false (pose_motion_share (s->motion, &all, &share));
  free_scene (s);
}

static void
test_at_120_pictures_a_second_two_seconds_are_kept (void)
{
  Scene *s = make_scene ();
  PoseBox here = box (20, 20, 20, 40);
  float share;
  for (guint i = 0; i < 480; i++, s->time += 8 * MS) {
    if (i == 250)
      paint (s, 20, 20, 20, 40, 150);
    pose_motion_push (s->motion, &s->grid, WIDTH, HEIGHT, s->time);
  }
  g_assert_cmpfloat (pose_motion_seconds (s->motion), >, 2);
  g_assert_true (pose_motion_share (s->motion, &here, &share));
  g_assert_cmpfloat (share, ==, 1);
  free_scene (s);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/posemotion/" name, test)
  ADD ("grid-is-the-mean-of-every-sample", test_grid_is_the_mean_of_every_sample);
  ADD ("grid-covers-any-size", test_grid_covers_any_size);
  ADD ("no-picture-makes-no-grid", test_no_picture_makes_no_grid);
  ADD ("motion-is-unknown-before-it-is-zero", test_motion_is_unknown_before_it_is_zero);
  ADD ("share-is-inside-minus-outside", test_share_is_inside_minus_outside);
  ADD ("small-changes-do-not-count", test_small_changes_do_not_count);
  ADD ("motion-of-two-seconds-ago-is-seen-and-then-forgotten",
      test_motion_of_two_seconds_ago_is_seen_and_then_forgotten);
  ADD ("flicker-is-not-motion", test_flicker_is_not_motion);
  ADD ("the-largest-blob-is-found", test_the_largest_blob_is_found);
  ADD ("what-hangs-together-is-one-blob", test_what_hangs_together_is_one_blob);
  ADD ("a-new-size-or-an-earlier-time-begins-anew", test_a_new_size_or_an_earlier_time_begins_anew);
  ADD ("a-long-gap-makes-motion-unknown", test_a_long_gap_makes_motion_unknown);
  ADD ("at-120-pictures-a-second-two-seconds-are-kept",
      test_at_120_pictures_a_second_two_seconds_are_kept);
  return g_test_run ();
}
