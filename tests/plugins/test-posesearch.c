/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where is looked, who is accepted and who is dropped. */
#include "pose-scene.h"

/* ---- where to look ------------------------------------------------------------------------- */

static void
test_sweep_is_the_picture_and_its_tiles (void)
{
  Scene *s = make_scene ();
  run (s, 8);
  g_assert_cmpuint (s->squares->len, ==, 8);
  for (guint i = 0; i < 8; i += 4) {
    assert_rect (square (s, i), 640, 360, 1280);
    assert_rect (square (s, i + 1), 360, 360, 720);
    assert_rect (square (s, i + 2), 640, 360, 720);
    assert_rect (square (s, i + 3), 920, 360, 720);
  }
  free_scene (s);
}

static void
test_sweep_of_a_portrait_goes_down (void)
{
  Scene *s = make_scene_of (1080, 2160, NULL);
  run (s, 4);
  assert_rect (square (s, 0), 540, 1080, 2160);
  assert_rect (square (s, 1), 540, 540, 1080);
  assert_rect (square (s, 2), 540, 1080, 1080);
  assert_rect (square (s, 3), 540, 1620, 1080);
  free_scene (s);
}

static void
test_sweep_of_a_square_is_one_look (void)
{
  Scene *s = make_scene_of (480, 480, NULL);
  run (s, 3);
  for (guint i = 0; i < 3; i++)
    assert_rect (square (s, i), 240, 240, 480);
  free_scene (s);
}

/* Tiles cover every pixel, and half of each is covered by the next. */
static void
test_tiles_cover_any_shape (void)
{
  static const int sizes[][2] = {{1280, 720}, {1920, 1088}, {641, 480}, {3000, 100}, {99, 1001}};
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    int longer = MAX (sizes[i][0], sizes[i][1]), shorter = MIN (sizes[i][0], sizes[i][1]);
    guint tiles = (guint)ceil ((longer - shorter) / (shorter / 2.0)) + 1;
    Scene *s = make_scene_of (sizes[i][0], sizes[i][1], NULL);
    run (s, tiles + 2);
    double end = 0;
    for (guint t = 1; t <= tiles; t++) {
      const PoseRect *r = square (s, t);
      double centre = sizes[i][0] > sizes[i][1] ? r->cx : r->cy;
      g_assert_cmpfloat_with_epsilon (r->w, shorter, 0.01);
      g_assert_cmpfloat (centre - shorter / 2.0, <=, MAX (end - shorter / 2.0, 0) + 0.01);
      end = centre + shorter / 2.0;
    }
    g_assert_cmpfloat_with_epsilon (end, longer, 0.01);
    g_assert_cmpfloat_with_epsilon (square (s, tiles + 1)->w, longer, 0.01);
    free_scene (s);
  }
}

/* Too small for the whole picture; the second look is at the left tile. */
static void
test_a_small_climber_far_left_is_found (void)
{
  Scene *s = make_scene ();
  add_actor (s, 120, 300, 220, 0.8f);
  g_assert_cmpuint (run_until_found (s, 10), ==, 2);
  g_assert_cmpfloat (s->people[0].result.next.cx, ==, 120);
  g_assert_cmpuint (stats (s).detector_runs, ==, 2);
  free_scene (s);
}

/* 80 × 160 pixels change, so the tile is 320: every second look. */
static void
test_what_moves_is_looked_at (void)
{
  Scene *s = make_scene ();
  run (s, 6);
  paint (s, 160, 320, 80, 160, 200);
  run (s, 4);
  assert_rect (square (s, 0), 200, 400, 320);
  g_assert_cmpfloat (square (s, 1)->w, >=, 720);
  assert_rect (square (s, 2), 200, 400, 320);
  g_assert_cmpfloat (square (s, 3)->w, >=, 720);
  free_scene (s);
}

static void
test_motion_tile_stays_in_the_picture (void)
{
  static const struct {
    float x, y, w, h, cx, cy, side;
  } blobs[] = {
      {0, 0, 24, 24, 144, 144, 288},       /* not smaller than 0.4 S */
      {1256, 696, 24, 24, 1136, 576, 288}, /* in the other corner */
      {0, 240, 200, 400, 360, 360, 720},   /* not larger than S */
      {800, 16, 160, 200, 880, 200, 400},  /* 116 - 200 is above the picture */
  };
  for (guint i = 0; i < G_N_ELEMENTS (blobs); i++) {
    Scene *s = make_scene ();
    run (s, 6);
    paint (s, blobs[i].x, blobs[i].y, blobs[i].w, blobs[i].h, 200);
    run (s, 1);
    assert_rect (square (s, 0), blobs[i].cx, blobs[i].cy, blobs[i].side);
    free_scene (s);
  }
}

static void
test_flicker_is_not_looked_at (void)
{
  Scene *s = make_scene ();
  for (guint i = 0; i < 24; i++) {
    paint (s, 0, 0, 1280, 720, (guint8)(50 + i * 37 % 150));
    run (s, 1);
    g_assert_cmpuint (s->squares->len, ==, 1);
    g_assert_cmpfloat (square (s, 0)->w, >=, 720);
  }
  free_scene (s);
}

static PoseSearchParams
region_params (float x, float y, float w, float h)
{
  PoseSearchParams p;
  pose_search_params_init (&p);
  p.region.x = x;
  p.region.y = y;
  p.region.w = w;
  p.region.h = h;
  return p;
}

static void
test_region_is_searched_instead_of_the_picture (void)
{
  PoseSearchParams p = region_params (0.5f, 0.25f, 0.25f, 0.5f);
  Scene *s = make_scene_of (1280, 720, &p);
  Actor *outside = add_actor (s, 300, 360, 300, 0.9f), *inside;
  outside->moves = 0.6f;
  run (s, 12);
  g_assert_cmpuint (s->n_people, ==, 0);
  for (guint i = 0; i < 12; i += 3) {
    assert_rect (square (s, i), 800, 360, 360);
    assert_rect (square (s, i + 1), 800, 340, 320);
    assert_rect (square (s, i + 2), 800, 380, 320);
  }
  inside = add_actor (s, 800, 360, 300, 0.9f);
  run (s, 1);
  g_assert_cmpuint (s->n_people, ==, 1);
  inside->cx = 700;
  run (s, 1);
  inside->cx = 600; /* a track may leave the region */
  run (s, 10);
  g_assert_cmpuint (s->n_people, ==, 1);
  g_assert_cmpuint (s->people[0].id, ==, 1);
  free_scene (s);
}

/* The square round a region shows more than it. */
static void
test_who_is_outside_the_region_is_not_looked_at (void)
{
  PoseSearchParams p = region_params (0.5f, 0.25f, 0.25f, 0.5f);
  Scene *s = make_scene_of (1280, 720, &p);
  Actor *a = add_actor (s, 630, 360, 300, 0.9f);
  run (s, 12);
  g_assert_cmpuint (s->rois->len, ==, 0);
  a->cx = 650;
  g_assert_cmpuint (run_until_found (s, 3), <=, 3);
  free_scene (s);
}

static void
test_a_region_of_nothing_is_none (void)
{
  const float regions[][4] = {{0.2f, 0.2f, 0, 0.5f}, {2, 2, 1, 1}, {NAN, 0, NAN, 1},
      {0.5f, 0.5f, -1, -1}, {0.5f, 0.5f, 0.001f, 0.5f}};
  for (guint i = 0; i < G_N_ELEMENTS (regions); i++) {
    PoseSearchParams p = region_params (regions[i][0], regions[i][1], regions[i][2], regions[i][3]);
    Scene *s = make_scene_of (1280, 720, &p);
    run (s, 1);
    assert_rect (square (s, 0), 640, 360, 1280);
    free_scene (s);
  }
}

/* ---- which detections are looked at -------------------------------------------------------- */

typedef struct {
  PoseDetection detection;
  guint looks;
} OneDetection;

static guint
detect_one (
    gpointer data, const PoseRect *looked_at, float min_score, PoseDetection *out, guint max)
{
  *out = ((OneDetection *)data)->detection;
  return 1;
}

static gboolean
count_look (gpointer data, const PoseRect *roi, PoseResult *out)
{
  ((OneDetection *)data)->looks++;
  return FALSE;
}

static void
test_detections_that_cannot_be_people_cost_nothing (void)
{
  static const PoseBackend one = {detect_one, count_look};
  static const struct {
    float cx, side, score;
    guint looks;
  } detections[] = {{640, 400, 0.5f, 1}, {640, 90, 0.9f, 1}, {640, 2150, 0.9f, 1},
      {640, 80, 0.9f, 0}, {640, 2170, 0.9f, 0}, {640, 400, 0.49f, 0}, {640, 400, NAN, 0},
      {640, 400, INFINITY, 0}, {NAN, 400, 0.9f, 0}, {INFINITY, 400, 0.9f, 0},
      {640, INFINITY, 0.9f, 0}, {640, NAN, 0.9f, 0}, {640, -400, 0.9f, 0}, {640, 0, 0.9f, 0}};
  for (guint i = 0; i < G_N_ELEMENTS (detections); i++) {
    Scene *s = make_scene ();
    float side = detections[i].side;
    OneDetection data = {{{detections[i].cx, 360, side, side, 0}, detections[i].score}, 0};
    pose_search_run (s->search, &s->grid, 1280, 720, 0, &one, &data, s->people);
    g_assert_cmpuint (data.looks, ==, detections[i].looks);
    free_scene (s);
  }
}

static void
test_the_best_detection_is_looked_at (void)
{
  Scene *s = make_scene ();
  add_actor (s, 300, 360, 400, 0.9f)->score = 0.6f;
  add_actor (s, 900, 360, 400, 0.9f)->score = 0.8f;
  run (s, 1);
  g_assert_cmpuint (s->rois->len, ==, 1);
  g_assert_cmpfloat (s->people[0].result.next.cx, ==, 900);
  free_scene (s);
}

/* ---- who is accepted ----------------------------------------------------------------------- */

static void
test_good_landmarks_are_a_person_at_once (void)
{
  Scene *s = make_scene ();
  add_actor (s, 640, 360, 500, 0.45f);
  run (s, 1);
  g_assert_cmpuint (s->n_people, ==, 1);
  g_assert_true (s->people[0].fresh);
  g_assert_false (s->people[0].m_known);
  g_assert_cmpfloat_with_epsilon (s->people[0].q, 0.45, 1e-4);
  guint id = s->people[0].id;
  run (s, 20);
  g_assert_cmpuint (s->people[0].id, ==, id);
  g_assert_false (s->people[0].fresh);
  g_assert_true (s->people[0].m_known);
  g_assert_cmpuint (s->squares->len, ==, 0);
  g_assert_cmpuint (s->rois->len, ==, 20);
  free_scene (s);
}

static void
test_poor_landmarks_need_motion (void)
{
  Scene *s = make_scene ();
  Actor *a = add_actor (s, 640, 360, 500, 0.3f);
  a->gone = TRUE;
  a->moves = 0.6f;
  run (s, 20);
  a->gone = FALSE;
  run (s, 4); /* the motion tile and the picture */
  g_assert_cmpuint (s->n_people, ==, 1);
  g_assert_cmpfloat (s->people[0].m, >=, 0.15);
  free_scene (s);
}

/* The rack of holds: sure of itself by its flag, not by its heatmaps, and it stands still. */
static void
test_a_false_lock_is_refused_and_denied (void)
{
  Scene *s = make_scene ();
  Actor *a = add_actor (s, 640, 360, 500, 0.3f);
  a->gone = TRUE;
  run (s, 16);
  a->gone = FALSE;
  run (s, 4); /* one of these is the whole picture, in which it is seen */
  run (s, 8);
  PoseSearchStats now = stats (s);
  g_assert_cmpuint (now.landmark_runs, ==, 4);
  g_assert_cmpuint (now.denied, ==, 1);
  run (s, 18);
  g_assert_cmpuint (stats (s).landmark_runs, ==, 4);
  g_assert_cmpuint (s->squares->len, ==, 18); /* and the search goes on */
  run (s, 12);
  g_assert_cmpuint (stats (s).landmark_runs, >, 4);
  g_assert_cmpuint (stats (s).found, ==, 0);
  free_scene (s);
}

static void
test_only_that_place_is_denied (void)
{
  static const struct {
    float cx, side;
    gboolean seen;
  } others[] = {{640, 500, FALSE}, {640 + 170, 500, FALSE}, {640 + 180, 500, TRUE},
      {640, 990, FALSE}, {640, 1010, TRUE}};
  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    Scene *s = make_scene ();
    Actor *a = add_actor (s, 640, 360, 500, 0.3f);
    a->gone = TRUE;
    run (s, 15);
    a->gone = FALSE;
    run (s, 8);
    g_assert_cmpuint (stats (s).denied, ==, 1);
    *a = (Actor){others[i].cx, 360, others[i].side, 0.9f, 0.98f, 0.9f, 0, FALSE};
    run (s, 8);
    g_assert_cmpuint (s->n_people, ==, others[i].seen ? 1 : 0);
    free_scene (s);
  }
}

static void
test_a_low_flag_is_refused_at_once (void)
{
  static const float flags[] = {0.5f, 0, -1, NAN, INFINITY};
  for (guint i = 0; i < G_N_ELEMENTS (flags); i++) {
    Scene *s = make_scene ();
    run (s, 16);
    add_actor (s, 640, 360, 500, 0.9f)->flag = flags[i];
    run (s, 12);
    g_assert_cmpuint (stats (s).landmark_runs, ==, 1);
    g_assert_cmpuint (stats (s).denied, ==, 1);
    g_assert_cmpuint (stats (s).found, ==, 0);
    free_scene (s);
  }
}

/* At the start nobody knows whether it stands still: it is denied for 0.4 s, not for 3. */
static void
test_unknown_motion_is_not_stillness (void)
{
  Scene *s = make_scene_of (1280, 1280, NULL);
  add_actor (s, 360, 360, 500, 0.3f);
  run (s, 4);
  g_assert_cmpuint (stats (s).landmark_runs, ==, 4);
  g_assert_cmpuint (stats (s).denied, ==, 1);
  run (s, 3);
  g_assert_cmpuint (stats (s).landmark_runs, ==, 4);
  run (s, 1);
  g_assert_cmpuint (stats (s).landmark_runs, ==, 5);
  free_scene (s);
}

/* Nor is what has been seen for less than a second. */
static void
test_a_moments_stillness_is_denied_shortly (void)
{
  Scene *s = make_scene_of (1280, 1280, NULL);
  run (s, 7);
  add_actor (s, 640, 640, 500, 0.9f)->flag = 0;
  run (s, 5);
  g_assert_cmpuint (stats (s).landmark_runs, ==, 2);
  free_scene (s);
}

/* 1.4 s apart: there is more than a second of history, but no lag to measure by. */
static void
test_at_a_rate_that_fits_no_lag_motion_is_unknown (void)
{
  Scene *s = make_scene_of (1280, 1280, NULL);
  add_actor (s, 640, 640, 500, 0.9f)->flag = 0;
  for (guint i = 0; i < 10; i++, s->time += 1300 * MS)
    run (s, 1);
  g_assert_cmpuint (stats (s).landmark_runs, ==, 10);
  free_scene (s);
}

static void
test_what_moves_is_never_denied (void)
{
  Scene *s = make_scene_of (1280, 1280, NULL);
  Actor *a = add_actor (s, 360, 360, 500, 0.2f);
  a->gone = TRUE;
  a->moves = 0.6f;
  run (s, 16);
  a->gone = FALSE;
  run (s, 40);
  g_assert_cmpuint (stats (s).landmark_runs, ==, 40);
  g_assert_cmpuint (stats (s).denied, ==, 0);
  g_assert_cmpuint (s->n_people, ==, 0);
  free_scene (s);
}

/* The fourth run of the landmarks is the last chance. */
static void
test_probation_is_four_runs_and_told_to_nobody (void)
{
  Scene *s = make_scene_of (1280, 1280, NULL);
  Actor *a = add_actor (s, 360, 360, 500, 0.4f);
  run (s, 3);
  g_assert_cmpuint (s->n_people, ==, 0);
  g_assert_cmpuint (s->squares->len, ==, 1);
  a->q = 0.5f;
  run (s, 1);
  g_assert_cmpuint (s->n_people, ==, 1);
  g_assert_true (s->people[0].fresh);
  free_scene (s);
}

/* Of the twelve joints three lie in the picture, or four. */
static void
test_joints_outside_the_picture_do_not_count (void)
{
  Scene *s = make_scene ();
  Actor *a = add_actor (s, 640, -75, 500, 0.9f);
  run (s, 12);
  g_assert_cmpuint (s->n_people, ==, 0);
  g_assert_cmpuint (stats (s).landmark_runs, >, 0);
  a->cy = -30;
  g_assert_cmpuint (run_until_found (s, 60), <=, 60);
  free_scene (s);
}

/* ---- who is dropped ------------------------------------------------------------------------ */

static void
test_who_stands_still_is_not_dropped (void)
{
  Scene *s = make_scene ();
  add_actor (s, 640, 360, 500, 0.5f);
  run (s, 600);
  g_assert_cmpuint (s->n_people, ==, 1);
  g_assert_cmpuint (s->people[0].id, ==, 1);
  g_assert_cmpuint (stats (s).lost, ==, 0);
  free_scene (s);
}

/* The average falls under 0.45 with the second picture; half a second later it is dropped, and
 * denied for five. */
static void
test_still_and_doubtful_is_dropped_and_denied (void)
{
  Scene *s = make_scene_of (1280, 1280, NULL);
  Actor *a = add_actor (s, 360, 360, 500, 0.5f);
  run (s, 20);
  a->q = 0.3f;
  run (s, 6);
  g_assert_cmpuint (s->n_people, ==, 1);
  run (s, 1);
  g_assert_cmpuint (s->n_people, ==, 0);
  g_assert_cmpuint (stats (s).dropped, ==, 1);
  g_assert_cmpuint (stats (s).lost, ==, 1);
  g_assert_cmpuint (stats (s).denied, ==, 1);
  a->q = 0.9f;
  g_assert_cmpuint (run_until_found (s, 100), ==, 50);
  g_assert_cmpuint (s->people[0].id, ==, 2);
  free_scene (s);
}

static void
test_a_moment_of_doubt_is_forgiven (void)
{
  Scene *s = make_scene ();
  Actor *a = add_actor (s, 640, 360, 500, 0.5f);
  run (s, 20);
  for (guint i = 0; i < 10; i++) {
    a->q = 0.3f;
    run (s, 4);
    a->q = 0.6f;
    run (s, 8);
  }
  g_assert_cmpuint (stats (s).lost, ==, 0);
  free_scene (s);
}

static void
test_who_moves_may_be_doubtful (void)
{
  Scene *s = make_scene ();
  Actor *a = add_actor (s, 640, 360, 500, 0.5f);
  a->moves = 0.3f;
  run (s, 20);
  a->q = 0.3f;
  run (s, 100);
  g_assert_cmpuint (stats (s).lost, ==, 0);
  a->q = 0.1f; /* but not that doubtful */
  run (s, 20);
  g_assert_cmpuint (stats (s).dropped, ==, 1);
  free_scene (s);
}

static void
test_while_motion_is_unknown_nobody_is_dropped_for_it (void)
{
  Scene *s = make_scene ();
  add_actor (s, 640, 360, 500, 0.5f);
  run (s, 1);
  s->actors[0].q = 0.3f;
  for (guint i = 0; i < 20; i++) {
    run (s, 1);
    s->time += 4000 * MS; /* too seldom for any lag */
  }
  g_assert_cmpuint (s->n_people, ==, 1);
  free_scene (s);
}

/* No coasting: nothing is told of a picture without a person. The next picture is searched. */
static void
test_a_low_flag_ends_the_track (void)
{
  for (guint people = 1; people <= 2; people++) {
    PoseSearchParams p;
    pose_search_params_init (&p);
    p.people = people;
    Scene *s = make_scene_of (1280, 720, &p);
    Actor *a = add_actor (s, 640, 360, 500, 0.9f);
    run (s, 7);
    a->flag = 0.5f;
    run (s, 1);
    g_assert_cmpuint (s->n_people, ==, 0);
    g_assert_cmpuint (s->squares->len, ==, 0);
    a->flag = 0.9f;
    run (s, 1);
    g_assert_cmpuint (s->squares->len, ==, 1);
    g_assert_true (s->n_people || run_until_found (s, 4) <= 4);
    g_assert_cmpuint (s->people[0].id, ==, 2);
    g_assert_true (s->people[0].fresh);
    g_assert_cmpuint (stats (s).dropped, ==, 0);
    g_assert_cmpuint (stats (s).denied, ==, 0);
    free_scene (s);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/posesearch/" name, test)
  ADD ("sweep-is-the-picture-and-its-tiles", test_sweep_is_the_picture_and_its_tiles);
  ADD ("sweep-of-a-portrait-goes-down", test_sweep_of_a_portrait_goes_down);
  ADD ("sweep-of-a-square-is-one-look", test_sweep_of_a_square_is_one_look);
  ADD ("tiles-cover-any-shape", test_tiles_cover_any_shape);
  ADD ("a-small-climber-far-left-is-found", test_a_small_climber_far_left_is_found);
  ADD ("what-moves-is-looked-at", test_what_moves_is_looked_at);
  ADD ("motion-tile-stays-in-the-picture", test_motion_tile_stays_in_the_picture);
  ADD ("flicker-is-not-looked-at", test_flicker_is_not_looked_at);
  ADD ("region-is-searched-instead-of-the-picture", test_region_is_searched_instead_of_the_picture);
  ADD ("who-is-outside-the-region-is-not-looked-at",
      test_who_is_outside_the_region_is_not_looked_at);
  ADD ("a-region-of-nothing-is-none", test_a_region_of_nothing_is_none);
  ADD ("detections-that-cannot-be-people-cost-nothing",
      test_detections_that_cannot_be_people_cost_nothing);
  ADD ("the-best-detection-is-looked-at", test_the_best_detection_is_looked_at);
  ADD ("good-landmarks-are-a-person-at-once", test_good_landmarks_are_a_person_at_once);
  ADD ("poor-landmarks-need-motion", test_poor_landmarks_need_motion);
  ADD ("a-false-lock-is-refused-and-denied", test_a_false_lock_is_refused_and_denied);
  ADD ("only-that-place-is-denied", test_only_that_place_is_denied);
  ADD ("a-low-flag-is-refused-at-once", test_a_low_flag_is_refused_at_once);
  ADD ("unknown-motion-is-not-stillness", test_unknown_motion_is_not_stillness);
  ADD ("a-moments-stillness-is-denied-shortly", test_a_moments_stillness_is_denied_shortly);
  ADD ("at-a-rate-that-fits-no-lag-motion-is-unknown",
      test_at_a_rate_that_fits_no_lag_motion_is_unknown);
  ADD ("what-moves-is-never-denied", test_what_moves_is_never_denied);
  ADD ("probation-is-four-runs-and-told-to-nobody", test_probation_is_four_runs_and_told_to_nobody);
  ADD ("joints-outside-the-picture-do-not-count", test_joints_outside_the_picture_do_not_count);
  ADD ("who-stands-still-is-not-dropped", test_who_stands_still_is_not_dropped);
  ADD ("still-and-doubtful-is-dropped-and-denied", test_still_and_doubtful_is_dropped_and_denied);
  ADD ("a-moment-of-doubt-is-forgiven", test_a_moment_of_doubt_is_forgiven);
  ADD ("who-moves-may-be-doubtful", test_who_moves_may_be_doubtful);
  ADD ("while-motion-is-unknown-nobody-is-dropped-for-it",
      test_while_motion_is_unknown_nobody_is_dropped_for_it);
  ADD ("a-low-flag-ends-the-track", test_a_low_flag_ends_the_track);
  return g_test_run ();
}
