/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The search with several people, what the caller may do, and what no model should answer. */
#include "pose-scene.h"

/* ---- several people ------------------------------------------------------------------------ */

static Scene *
make_scene_for (guint people)
{
  PoseSearchParams p;
  pose_search_params_init (&p);
  p.people = people;
  return make_scene_of (1280, 720, &p);
}

static const PosePerson *
person (Scene *s, guint id)
{
  for (guint i = 0; i < s->n_people; i++)
    if (s->people[i].id == id)
      return &s->people[i];
  return NULL;
}

static void
test_two_people_pass_each_other (void)
{
  Scene *s = make_scene_for (2);
  Actor *a = add_actor (s, 200, 200, 380, 0.8f), *b = add_actor (s, 1000, 520, 380, 0.8f);
  run (s, 1);
  g_assert_cmpuint (s->n_people, ==, 2);
  for (guint i = 0; i < 40; i++) {
    run (s, 1);
    g_assert_cmpuint (s->n_people, ==, 2);
    g_assert_cmpfloat (person (s, 1)->result.next.cx, ==, a->cx);
    g_assert_cmpfloat (person (s, 2)->result.next.cx, ==, b->cx);
    g_assert_cmpuint (s->squares->len, ==, 0);
    a->cx += 20;
    b->cx -= 20;
  }
  g_assert_cmpfloat (person (s, 1)->result.next.cx, >, person (s, 2)->result.next.cx);
  free_scene (s);
}

static void
test_for_more_people_the_detector_runs_seldom (void)
{
  Scene *s = make_scene_for (2);
  add_actor (s, 300, 360, 380, 0.8f);
  run (s, 1);
  run (s, 100);
  g_assert_cmpuint (s->squares->len, ==, 20);
  g_assert_cmpuint (s->rois->len, ==, 100);
  g_assert_cmpuint (s->n_people, ==, 1);
  add_actor (s, 900, 360, 380, 0.8f);
  run (s, 40);
  g_assert_cmpuint (s->n_people, ==, 2);
  run (s, 100);
  g_assert_cmpuint (s->squares->len, ==, 0);
  free_scene (s);
}

static void
test_motion_of_those_who_are_known_is_not_looked_at (void)
{
  Scene *s = make_scene_for (2);
  add_actor (s, 300, 360, 380, 0.8f)->moves = 0.6f;
  run (s, 1);
  run (s, 100);
  for (guint i = 0; i < s->squares->len; i++)
    g_assert_cmpfloat (square (s, i)->w, >=, 720);
  free_scene (s);
}

static void
test_two_tracks_of_one_person_become_the_older (void)
{
  Scene *s = make_scene_for (3);
  Actor *a = add_actor (s, 300, 360, 380, 0.8f), *b = add_actor (s, 520, 360, 380, 0.8f);
  run (s, 1);
  g_assert_cmpuint (s->n_people, ==, 2);
  b->gone = TRUE; /* from its region the other is in sight */
  a->cx = 400;
  run (s, 1);
  g_assert_cmpuint (s->n_people, ==, 1);
  g_assert_cmpuint (s->people[0].id, ==, 1);
  run (s, 50);
  g_assert_cmpuint (s->n_people, ==, 1);
  g_assert_cmpuint (stats (s).found, ==, 2);
  free_scene (s);
}

/* 380 wide and moved by 110 is an IoU of 0.55, by 150 of 0.43. */
static void
test_who_overlaps_a_track_is_that_track (void)
{
  Scene *s = make_scene_for (2);
  add_actor (s, 300, 360, 380, 0.8f);
  run (s, 1);
  Actor *b = add_actor (s, 410, 360, 380, 0.8f);
  run (s, 60);
  g_assert_cmpuint (s->n_people, ==, 1);
  g_assert_cmpuint (s->rois->len, ==, 60);
  b->cx = 450;
  run (s, 60);
  g_assert_cmpuint (s->n_people, ==, 2);
  free_scene (s);
}

static void
test_fewer_people_are_wanted (void)
{
  Scene *s = make_scene_for (3);
  for (guint i = 0; i < 3; i++)
    add_actor (s, 200 + 400 * (float)i, 360, 380, 0.8f);
  run (s, 10);
  g_assert_cmpuint (s->n_people, ==, 3);
  PoseSearchParams p;
  pose_search_params_init (&p);
  pose_search_set_params (s->search, &p);
  run (s, 1);
  g_assert_cmpuint (s->n_people, ==, 1);
  g_assert_cmpuint (s->people[0].id, ==, 1);
  free_scene (s);
}

/* ---- the caller's part --------------------------------------------------------------------- */

static void
test_the_callers_region_is_used_once (void)
{
  Scene *s = make_scene ();
  add_actor (s, 640, 360, 500, 0.9f);
  run (s, 1);
  pose_search_set_next (s->search, s->people[0].id, &(PoseRect){650, 350, 480, 480, 0.1f});
  pose_search_set_next (s->search, s->people[0].id + 1, &(PoseRect){1, 1, 480, 480, 0});
  pose_search_set_next (s->search, 0, &(PoseRect){1, 1, 480, 480, 0});
  run (s, 2);
  g_assert_cmpfloat (g_array_index (s->rois, PoseRect, 0).cx, ==, 650);
  g_assert_cmpfloat (g_array_index (s->rois, PoseRect, 0).rotation, ==, 0.1f);
  g_assert_cmpfloat (g_array_index (s->rois, PoseRect, 1).cx, ==, 640);
  g_assert_cmpfloat (s->people[0].result.roi.cx, ==, 640);
  pose_search_set_next (s->search, s->people[0].id, &(PoseRect){NAN, 350, 480, 480, 0});
  pose_search_set_next (s->search, s->people[0].id, &(PoseRect){640, 350, 7, 7, 0});
  run (s, 1);
  g_assert_cmpfloat (g_array_index (s->rois, PoseRect, 0).cx, ==, 640);
  free_scene (s);
}

typedef enum { BY_CALL, BY_TIME, BY_WIDTH, BY_HEIGHT, N_WAYS } ResetWay;

static void
reset (Scene *s, ResetWay way)
{
  if (way == BY_CALL)
    pose_search_reset (s->search);
  else if (way == BY_TIME)
    s->time /= 2;
  else if (way == BY_WIDTH)
    s->width += 8;
  else
    s->height += 8;
}

/* What was denied is looked at, motion is unknown, and who is tracked is somebody new. */
static void
test_reset_forgets_all_but_the_ids (void)
{
  for (ResetWay way = BY_CALL; way < N_WAYS; way++) {
    Scene *s = make_scene_of (1280, 1280, NULL);
    Actor *a = add_actor (s, 640, 640, 500, 0.9f);
    run (s, 30);
    a->q = 0.1f;
    run (s, 20);
    g_assert_cmpuint (stats (s).denied, ==, 1);
    a->q = 0.9f;
    for (guint id = 2; id < 4; id++) {
      reset (s, way);
      run (s, 1);
      g_assert_cmpuint (s->n_people, ==, 1);
      g_assert_cmpuint (s->people[0].id, ==, id);
      g_assert_true (s->people[0].fresh);
      g_assert_false (s->people[0].m_known);
      run (s, 10);
    }
    pose_search_reset (s->search);
    g_assert_cmpuint (stats (s).lost, ==, stats (s).found);
    free_scene (s);
  }
}

static void
test_reset_begins_with_the_whole_picture (void)
{
  Scene *s = make_scene ();
  run (s, 2);
  pose_search_reset (s->search);
  run (s, 1);
  assert_rect (&g_array_index (s->squares, PoseRect, 0), 640, 360, 1280);
  free_scene (s);
}

/* ---- hostile input ------------------------------------------------------------------------- */

static void
test_pictures_too_small_for_people_are_not_searched (void)
{
  static const int sizes[][2] = {{1, 1}, {7, 7}, {1, 1000}, {0, 0}, {-1, 100}, {100, 0}};
  Scene *s = make_scene ();
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    s->width = sizes[i][0];
    s->height = sizes[i][1];
    run (s, 3);
    g_assert_cmpuint (s->squares->len, ==, 0);
    g_assert_cmpuint (s->n_people, ==, 0);
  }
  free_scene (s);
}

/* Without a grid there is no motion, but there are people. */
static void
test_without_a_grid_people_are_found (void)
{
  Scene *s = make_scene ();
  s->grid.width = 0;
  add_actor (s, 640, 360, 500, 0.9f);
  run (s, 20);
  g_assert_cmpuint (s->n_people, ==, 1);
  g_assert_false (s->people[0].m_known);
  free_scene (s);
}

typedef struct {
  Scene *scene;
  gsize offset; /* of the float in PoseResult that is spoilt; none: -1 */
  float value;
} Spoiler;

static guint
detect_for_spoiler (
    gpointer data, const PoseRect *looked_at, float min_score, PoseDetection *out, guint max)
{
  return detect (((Spoiler *)data)->scene, looked_at, min_score, out, max);
}

static gboolean
spoil (gpointer data, const PoseRect *roi, PoseResult *out)
{
  Spoiler *spoiler = data;
  gboolean seen = landmarks (spoiler->scene, roi, out);
  if (spoiler->offset < sizeof *out)
    memcpy ((char *)out + spoiler->offset, &spoiler->value, sizeof spoiler->value);
  return seen;
}

static void
test_a_result_that_is_no_number_ends_the_track (void)
{
  static const PoseBackend spoiling = {detect_for_spoiler, spoil};
  const gsize offsets[] = {G_STRUCT_OFFSET (PoseResult, next.cx),
      G_STRUCT_OFFSET (PoseResult, next.rotation), G_STRUCT_OFFSET (PoseResult, flag),
      G_STRUCT_OFFSET (PoseResult, scale), G_STRUCT_OFFSET (PoseResult, image[0].x),
      G_STRUCT_OFFSET (PoseResult, image[32].visibility), G_STRUCT_OFFSET (PoseResult, world[16].z),
      G_STRUCT_OFFSET (PoseResult, aux[1].y), G_STRUCT_OFFSET (PoseResult, maxima[9])};
  const float values[] = {NAN, INFINITY, -INFINITY, 3e38f};
  for (guint i = 0; i < G_N_ELEMENTS (offsets) * G_N_ELEMENTS (values); i++) {
    Scene *s = make_scene ();
    Spoiler spoiler = {s, G_MAXSIZE, values[i % G_N_ELEMENTS (values)]};
    add_actor (s, 640, 360, 500, 0.9f);
    g_assert_cmpuint (
        pose_search_run (s->search, &s->grid, 1280, 720, 0, &spoiling, &spoiler, s->people), ==, 1);
    spoiler.offset = offsets[i / G_N_ELEMENTS (values)];
    g_assert_cmpuint (
        pose_search_run (s->search, &s->grid, 1280, 720, 100 * MS, &spoiling, &spoiler, s->people),
        ==, 0);
    g_assert_cmpuint (stats (s).lost, ==, 1);
    free_scene (s);
  }
}

static float
any_float (float usual)
{
  static const float odd[] = {0, -1, 1e-30f, 1e9f, -1e20f, 3e38f, NAN, INFINITY, -INFINITY};
  if (!g_test_rand_int_range (0, 400))
    return odd[g_test_rand_int_range (0, G_N_ELEMENTS (odd))];
  return (float)g_test_rand_double_range (0, usual);
}

static PoseRect
any_rect (void)
{
  float side = any_float (1200);
  return (PoseRect){any_float (1280), any_float (720), side,
      g_test_rand_int_range (0, 20) ? side : any_float (900), any_float (6)};
}

static guint
detect_anything (
    gpointer data, const PoseRect *looked_at, float min_score, PoseDetection *out, guint max)
{
  g_assert_true (isfinite (looked_at->cx) && isfinite (looked_at->cy) && looked_at->w > 0 &&
                 looked_at->w == looked_at->h);
  for (guint i = 0; i < max; i++)
    out[i] = (PoseDetection){any_rect (), any_float (1)};
  return (guint)g_test_rand_int_range (0, 12); /* more than @max, too */
}

static gboolean
see_anything (gpointer data, const PoseRect *roi, PoseResult *out)
{
  g_assert_true (isfinite (roi->cx) && isfinite (roi->cy) && isfinite (roi->rotation) &&
                 roi->w >= 8 && roi->h >= 8);
  float q = (float)g_test_rand_double ();
  out->next = g_test_rand_int_range (0, 3) ? *roi : any_rect ();
  out->flag = g_test_rand_int_range (0, 5) ? 0.9f : any_float (1);
  out->scale = any_float (500);
  for (guint i = 0; i < POSE_LANDMARKS; i++) {
    out->image[i] = (PoseLandmark){
        (float)g_test_rand_double_range (-100, 1400), (float)g_test_rand_double_range (-100, 800)};
    out->maxima[i] = q;
  }
  guint i = (guint)g_test_rand_int_range (0, POSE_LANDMARKS);
  out->image[i].x = any_float (1280);
  out->world[i].y = any_float (1);
  out->maxima[i] = any_float (1);
  return g_test_rand_int_range (0, 10) > 0;
}

static void
assert_people (const PosePerson *people, guint n, guint most)
{
  g_assert_cmpuint (n, <=, most);
  for (guint i = 0; i < n; i++) {
    g_assert_cmpuint (people[i].id, >, 0);
    g_assert_true (people[i].q >= 0 && people[i].q <= 1);
    g_assert_true (people[i].m >= -1 && people[i].m <= 1);
    g_assert_true (people[i].result.flag > 0.5f && isfinite (people[i].result.scale));
    for (guint l = 0; l < POSE_LANDMARKS; l++)
      g_assert_true (isfinite (people[i].result.image[l].x));
    for (guint j = 0; j < i; j++)
      g_assert_cmpuint (people[i].id, !=, people[j].id);
  }
}

static void
test_any_answer_of_the_models_is_survived (void)
{
  static const PoseBackend anything = {detect_anything, see_anything};
  Scene *s = make_scene_for (POSE_PEOPLE_MAX);
  PoseSearchParams p;
  pose_search_params_init (&p);
  p.people = POSE_PEOPLE_MAX;
  guint told = 0;
  for (guint i = 0; i < 10000; i++) {
    PoseSearchStats before = stats (s), after;
    if (!g_test_rand_int_range (0, 500)) {
      p.people = (guint)g_test_rand_int_range (1, POSE_PEOPLE_MAX + 1);
      p.region.x = any_float (0.5f);
      p.region.y = any_float (0.5f);
      p.region.w = any_float (1);
      p.region.h = any_float (1);
      pose_search_set_params (s->search, &p);
    }
    if (!g_test_rand_int_range (0, 1000)) {
      s->width = g_test_rand_int_range (0, 2000);
      s->height = g_test_rand_int_range (0, 2000);
    }
    s->time = g_test_rand_int_range (0, 500) ? s->time + 70 * MS : s->time / 2;
    paint (s, (float)g_test_rand_int_range (0, 1280), (float)g_test_rand_int_range (0, 720), 100,
        100, (guint8)g_test_rand_int_range (0, 256));
    s->n_people = pose_search_run (
        s->search, &s->grid, s->width, s->height, s->time, &anything, s, s->people);
    assert_people (s->people, s->n_people, p.people);
    after = stats (s);
    g_assert_cmpuint (after.found - after.lost, ==, s->n_people);
    g_assert_cmpuint (after.detector_runs - before.detector_runs, <=, 1);
    g_assert_cmpuint (after.landmark_runs - before.landmark_runs, <=, 2 * POSE_PEOPLE_MAX);
    told += s->n_people;
    PoseRect next = any_rect ();
    if (s->n_people && g_test_rand_bit ())
      pose_search_set_next (s->search, s->people[0].id, &next);
  }
  g_assert_cmpuint (told, >, 100); /* or this has tested nothing */
  g_test_message ("%u people told, %" G_GUINT64_FORMAT " found, %" G_GUINT64_FORMAT " dropped",
      told, stats (s).found, stats (s).dropped);
  free_scene (s);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/posepeople/" name, test)
  ADD ("two-people-pass-each-other", test_two_people_pass_each_other);
  ADD ("for-more-people-the-detector-runs-seldom", test_for_more_people_the_detector_runs_seldom);
  ADD ("motion-of-those-who-are-known-is-not-looked-at",
      test_motion_of_those_who_are_known_is_not_looked_at);
  ADD ("two-tracks-of-one-person-become-the-older", test_two_tracks_of_one_person_become_the_older);
  ADD ("who-overlaps-a-track-is-that-track", test_who_overlaps_a_track_is_that_track);
  ADD ("fewer-people-are-wanted", test_fewer_people_are_wanted);
  ADD ("the-callers-region-is-used-once", test_the_callers_region_is_used_once);
  ADD ("reset-forgets-all-but-the-ids", test_reset_forgets_all_but_the_ids);
  ADD ("reset-begins-with-the-whole-picture", test_reset_begins_with_the_whole_picture);
  ADD ("pictures-too-small-for-people-are-not-searched",
      test_pictures_too_small_for_people_are_not_searched);
  ADD ("without-a-grid-people-are-found", test_without_a_grid_people_are_found);
  ADD ("a-result-that-is-no-number-ends-the-track", test_a_result_that_is_no_number_ends_the_track);
  ADD ("any-answer-of-the-models-is-survived", test_any_answer_of_the_models_is_survived);
  return g_test_run ();
}
