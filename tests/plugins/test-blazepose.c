/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arithmetic round the models; what the models see is compared in test-pose-golden.c. */
#include <math.h>
#include <string.h>

#include "blazepose.h"

#define LOGIT(p) (logf ((p) / (1 - (p))))

/* Outputs of the detector: nobody, until somebody is put in. */
static float boxes[BLAZEPOSE_ANCHORS * BLAZEPOSE_BOX], scores[BLAZEPOSE_ANCHORS];

static const PoseRect square = {500, 500, 1000, 1000, 0}; /* of the image: 1000 × 1000 */

static void
nobody (void)
{
  memset (boxes, 0, sizeof boxes);
  for (guint i = 0; i < BLAZEPOSE_ANCHORS; i++)
    scores[i] = -50;
}

/* At anchor @n: a box with its middle (dx, dy) from it, key points there and @radius above; 0 … 224
 */
static void
put (guint n, float score, float dx, float dy, float side, float radius)
{
  const float row[BLAZEPOSE_BOX] = {dx, dy, side, side, dx, dy, dx, dy - radius};
  memcpy (boxes + n * BLAZEPOSE_BOX, row, sizeof row);
  scores[n] = LOGIT (score);
}

static guint
decode (PoseDetection *out, guint max)
{
  return blazepose_decode_detections (boxes, scores, &square, 0.5f, out, max);
}

static void
test_anchors_lie_in_three_grids (void)
{
  static const struct {
    guint n;
    float x, y;
  } anchors[] = {{0, 0.5f / 28, 0.5f / 28}, {1, 0.5f / 28, 0.5f / 28}, {2, 1.5f / 28, 0.5f / 28},
      {56, 0.5f / 28, 1.5f / 28}, {1567, 27.5f / 28, 27.5f / 28}, {1568, 0.5f / 14, 0.5f / 14},
      {1571, 1.5f / 14, 0.5f / 14}, {1959, 13.5f / 14, 13.5f / 14}, {1960, 0.5f / 7, 0.5f / 7},
      {1965, 0.5f / 7, 0.5f / 7}, {1966, 1.5f / 7, 0.5f / 7}, {2253, 6.5f / 7, 6.5f / 7}};
  for (guint i = 0; i < G_N_ELEMENTS (anchors); i++) {
    PoseDetection person;
    nobody ();
    put (anchors[i].n, 0.9f, 0, 0, 20, 22.4f);
    g_assert_cmpuint (decode (&person, 1), ==, 1);
    g_assert_cmpfloat_with_epsilon (person.roi.cx, anchors[i].x * 1000, 0.01);
    g_assert_cmpfloat_with_epsilon (person.roi.cy, anchors[i].y * 1000, 0.01);
    g_assert_cmpfloat_with_epsilon (person.roi.w, 250, 0.01); /* 2.5 × 0.1 of the image */
    g_assert_cmpfloat_with_epsilon (person.score, 0.9, 1e-5);
  }
}

static void
test_only_certain_and_sound_boxes_count (void)
{
  PoseDetection people[4];
  nobody ();
  put (10, 0.49f, 0, 0, 20, 30);
  g_assert_cmpuint (decode (people, 4), ==, 0);
  g_assert_cmpuint (blazepose_decode_detections (boxes, scores, &square, 0.4f, people, 4), ==, 1);
  put (10, 0.9f, 0, 0, -1, 30);
  g_assert_cmpuint (decode (people, 4), ==, 0);
  put (10, 0.9f, NAN, 0, 20, 30);
  g_assert_cmpuint (decode (people, 4), ==, 0);
  put (10, 0.9f, 0, 0, 20, 0.5f); /* 5.6 pixels */
  g_assert_cmpuint (decode (people, 4), ==, 0);
}

static void
test_boxes_of_one_person_are_averaged (void)
{
  PoseDetection people[4];
  nobody ();
  put (0, 0.9f, 112, 112, 50, 40);
  put (1, 0.6f, 122, 112, 50, 60); /* the same anchor place; the boxes overlap by 0.67 */
  g_assert_cmpuint (decode (people, 4), ==, 1);
  double x = (0.9 * 112 + 0.6 * 122) / 1.5 / 224 + 0.5 / 28,
         radius = (0.9 * 40 + 0.6 * 60) / 1.5 / 224;
  g_assert_cmpfloat_with_epsilon (people[0].roi.cx, x * 1000, 0.01);
  g_assert_cmpfloat_with_epsilon (people[0].roi.w, radius * 2500, 0.01);
  g_assert_cmpfloat_with_epsilon (people[0].score, 0.9, 1e-5); /* of the best */
}

static void
test_people_apart_stay_apart_the_best_first (void)
{
  PoseDetection people[4];
  nobody ();
  put (0, 0.6f, 50, 112, 40, 40);
  put (1, 0.8f, 150, 112, 40, 40);
  put (2, 0.7f, 102, 112, 40, 40);
  g_assert_cmpuint (decode (people, 4), ==, 3);
  g_assert_cmpfloat_with_epsilon (people[0].score, 0.8, 1e-5);
  g_assert_cmpfloat_with_epsilon (people[1].score, 0.7, 1e-5);
  g_assert_cmpfloat_with_epsilon (people[2].score, 0.6, 1e-5);
  g_assert_cmpuint (decode (people, 2), ==, 2);
  g_assert_cmpuint (decode (people, 0), ==, 0);
}

/* An overlap of 0.3 exactly is not enough. */
static void
test_boxes_that_hardly_overlap_are_two_people (void)
{
  PoseDetection people[4];
  nobody ();
  put (0, 0.9f, 100, 100, 40, 40);
  put (1, 0.8f, 100 + 22, 100, 40, 40); /* 18 / 62 */
  g_assert_cmpuint (decode (people, 4), ==, 2);
  put (1, 0.8f, 100 + 21, 100, 40, 40); /* 19 / 61 */
  g_assert_cmpuint (decode (people, 4), ==, 1);
}

static void
test_a_turned_square_turns_the_person (void)
{
  PoseDetection person;
  const PoseRect turned = {300, 200, 448, 448, (float)G_PI_2};
  nobody ();
  put (0, 0.9f, 112 - 4, 112 + 30 - 4, 40, 40); /* below the middle: left of it, when turned */
  g_assert_cmpuint (blazepose_decode_detections (boxes, scores, &turned, 0.5f, &person, 1), ==, 1);
  g_assert_cmpfloat_with_epsilon (person.roi.cx, 300 - 60, 0.01);
  g_assert_cmpfloat_with_epsilon (person.roi.cy, 200, 0.01);
  g_assert_cmpfloat_with_epsilon (person.roi.w, 200, 0.01);
  g_assert_cmpfloat_with_epsilon (person.roi.rotation, G_PI_2, 1e-5);
}

/* MediaPipe's tasks/testdata/vision: pose_expected_detection, pose_expected_expanded_rect */
static void
test_roi_is_mediapipes (void)
{
  PoseRect roi =
      blazepose_roi (0.49192297f * 1000, 0.7013345f * 667, 0.48453212f * 1000, 0.32265595f * 667);
  g_assert_cmpfloat_with_epsilon (roi.cx / 1000, 0.49192297, 1e-5);
  g_assert_cmpfloat_with_epsilon (roi.cy / 667, 0.7013345, 1e-5);
  g_assert_cmpfloat_with_epsilon (roi.w / 1000, 0.6317167, 1e-5);
  g_assert_cmpfloat_with_epsilon (roi.h / 667, 0.9471016, 1e-5);
  g_assert_cmpfloat_with_epsilon (roi.rotation, -0.029253244, 1e-5);
}

static void
test_rotation_is_between_plus_and_minus_pi (void)
{
  static const struct {
    float x, y;
    double rotation;
  } heads[] = {{0, -100, 0}, {100, 0, G_PI_2}, {-100, 0, -G_PI_2}, {0, 100, -G_PI},
      {-1e-3f, 100, -G_PI}, {70, 70, 3 * G_PI_4}};
  for (guint i = 0; i < G_N_ELEMENTS (heads); i++) {
    PoseRect roi = blazepose_roi (0, 0, heads[i].x, heads[i].y);
    g_assert_cmpfloat (fabs (remainder (roi.rotation - heads[i].rotation, 2 * G_PI)), <, 1e-4);
    g_assert_true (roi.rotation >= -3.1415930f && roi.rotation < 3.1415930f);
  }
}

typedef struct {
  float landmarks[BLAZEPOSE_POINTS * 5], flag, world[BLAZEPOSE_POINTS * 3];
  float heatmap[BLAZEPOSE_HEATMAP * BLAZEPOSE_HEATMAP * BLAZEPOSE_POINTS];
  BlazePoseTensors tensors;
} Outputs;

/* All landmarks in the middle, the point on the circle a quarter above it, heatmaps empty. */
static Outputs *
make_outputs (void)
{
  Outputs *self = g_new0 (Outputs, 1);
  self->tensors = (BlazePoseTensors){self->landmarks, &self->flag, self->heatmap, self->world};
  self->flag = 0.75f;
  for (guint i = 0; i < BLAZEPOSE_POINTS; i++)
    self->landmarks[i * 5] = self->landmarks[i * 5 + 1] = 128;
  self->landmarks[34 * 5 + 1] = 64;
  for (guint i = 0; i < G_N_ELEMENTS (self->heatmap); i++)
    self->heatmap[i] = -200;
  return self;
}

static void
heat (Outputs *self, guint landmark, int column, int row, float probability)
{
  self->heatmap[(row * BLAZEPOSE_HEATMAP + column) * BLAZEPOSE_POINTS + (int)landmark] =
      LOGIT (probability);
}

static void
test_landmarks_are_projected_out_of_the_roi (void)
{
  g_autofree Outputs *outputs = make_outputs ();
  const PoseRect roi = {640, 360, 512, 512, 0.5f};
  PoseResult result;
  const float row[] = {192, 64, -32, LOGIT (0.9f), LOGIT (0.2f)}, world[] = {0.1f, -0.5f, 0.3f};
  memcpy (outputs->landmarks + 7 * 5, row, sizeof row);
  memcpy (outputs->world + 7 * 3, world, sizeof world);
  g_assert_true (blazepose_decode_landmarks (&outputs->tensors, &roi, &result));
  double c = cos (0.5), s = sin (0.5);
  g_assert_cmpfloat_with_epsilon (result.image[7].x, 640 + c * 128 + s * 128, 1e-3);
  g_assert_cmpfloat_with_epsilon (result.image[7].y, 360 + s * 128 - c * 128, 1e-3);
  g_assert_cmpfloat_with_epsilon (result.image[7].z, -64, 1e-4);
  g_assert_cmpfloat_with_epsilon (result.image[7].visibility, 0.9, 1e-6);
  g_assert_cmpfloat_with_epsilon (result.image[7].presence, 0.2, 1e-6);
  g_assert_cmpfloat_with_epsilon (result.world[7].x, c * 0.1 + s * 0.5, 1e-6);
  g_assert_cmpfloat_with_epsilon (result.world[7].y, s * 0.1 - c * 0.5, 1e-6);
  g_assert_cmpfloat_with_epsilon (result.world[7].z, 0.3, 1e-6);
  g_assert_cmpfloat_with_epsilon (result.world[7].visibility, 0.9, 1e-6);
  g_assert_cmpfloat (result.flag, ==, 0.75f); /* no sigmoid */
}

static void
test_where_to_look_next (void)
{
  g_autofree Outputs *outputs = make_outputs ();
  const PoseRect roi = {640, 360, 512, 512, 0.5f};
  PoseResult result;
  g_assert_true (blazepose_decode_landmarks (&outputs->tensors, &roi, &result));
  g_assert_cmpfloat_with_epsilon (result.next.cx, 640, 1e-3);
  g_assert_cmpfloat_with_epsilon (result.next.cy, 360, 1e-3);
  g_assert_cmpfloat_with_epsilon (result.scale, 256, 1e-3); /* twice a quarter of 512 */
  g_assert_cmpfloat_with_epsilon (result.next.w, 320, 1e-3);
  g_assert_cmpfloat_with_epsilon (result.next.rotation, 0.5, 1e-5);
}

/* The middle of a landmark, in cells of the heatmap, after a decoding; @maximum may be NULL. */
static void
refined (Outputs *outputs, guint landmark, double *x, double *y, float *maximum)
{
  const PoseRect roi = {32, 32, 64, 64, 0};
  PoseResult result;
  g_assert_true (blazepose_decode_landmarks (&outputs->tensors, &roi, &result));
  *x = result.image[landmark].x;
  *y = result.image[landmark].y;
  if (maximum)
    *maximum = result.maxima[landmark];
}

static void
test_a_certain_heatmap_moves_its_landmark (void)
{
  g_autofree Outputs *outputs = make_outputs ();
  double x, y;
  float maximum;
  heat (outputs, 3, 33, 31, 0.6f);
  heat (outputs, 3, 35, 32, 0.3f);
  heat (outputs, 3, 36, 32, 0.9f); /* four cells away: not looked at */
  heat (outputs, 4, 32, 32, 0.9f); /* of another landmark */
  refined (outputs, 3, &x, &y, &maximum);
  g_assert_cmpfloat_with_epsilon (x, (0.6 * 33 + 0.3 * 35) / 0.9, 1e-4);
  g_assert_cmpfloat_with_epsilon (y, (0.6 * 31 + 0.3 * 32) / 0.9, 1e-4);
  g_assert_cmpfloat_with_epsilon (maximum, 0.6, 1e-5);
}

static void
test_an_uncertain_heatmap_moves_nothing (void)
{
  g_autofree Outputs *outputs = make_outputs ();
  double x, y;
  float maximum;
  heat (outputs, 3, 33, 31, 0.499f);
  refined (outputs, 3, &x, &y, &maximum);
  g_assert_cmpfloat_with_epsilon (x, 32, 1e-4);
  g_assert_cmpfloat_with_epsilon (y, 32, 1e-4);
  g_assert_cmpfloat_with_epsilon (maximum, 0.499, 1e-5);
}

static void
test_the_heatmap_ends_at_its_edges (void)
{
  g_autofree Outputs *outputs = make_outputs ();
  double x, y;
  float maximum;
  outputs->landmarks[3 * 5] = 255.9f;    /* the last cell */
  outputs->landmarks[3 * 5 + 1] = -3.9f; /* truncated to the first cell */
  heat (outputs, 3, 63, 0, 0.8f);
  heat (outputs, 3, 0, 1, 0.9f); /* what would be read if the row ran on */
  refined (outputs, 3, &x, &y, &maximum);
  g_assert_cmpfloat_with_epsilon (x, 63, 1e-4);
  g_assert_cmpfloat_with_epsilon (y, 0, 1e-4);
  g_assert_cmpfloat_with_epsilon (maximum, 0.8, 1e-5);
  outputs->landmarks[3 * 5] = 256.1f; /* outside */
  refined (outputs, 3, &x, &y, &maximum);
  g_assert_cmpfloat_with_epsilon (x, 256.1 / 4, 1e-4);
  g_assert_cmpfloat (maximum, ==, 0);
}

static void
test_nobody_is_in_a_region_that_is_none (void)
{
  g_autofree Outputs *outputs = make_outputs ();
  const PoseRect none[] = {{10, 10, 7.9f, 100, 0}, {10, 10, 100, -100, 0}, {10, 10, 0, 0, 0},
      {NAN, 10, 100, 100, 0}, {10, INFINITY, 100, 100, 0}, {10, 10, NAN, 100, 0},
      {10, 10, 100, INFINITY, 0}, {10, 10, 100, 100, NAN}};
  PoseResult result;
  for (guint i = 0; i < G_N_ELEMENTS (none); i++)
    g_assert_false (blazepose_decode_landmarks (&outputs->tensors, &none[i], &result));
}

/* Any bits at all, with a liking for those that hurt. */
static float
hostile (void)
{
  static const float bad[] = {0, -0.f, 1, -1, 128, 1e10f, -1e10f, 3.4e38f, -3.4e38f, 1e-40f,
      INFINITY, -INFINITY, NAN, 2147483648.f, 255.99f, -4};
  guint32 bits = (guint32)g_test_rand_int ();
  float any;
  memcpy (&any, &bits, sizeof any);
  return bits % 3 ? bad[bits / 3 % G_N_ELEMENTS (bad)] : any;
}

static void
assert_finite (const PoseLandmark *points, guint n)
{
  for (guint i = 0; i < n; i++) {
    g_assert_true (isfinite (points[i].x) && isfinite (points[i].y) && isfinite (points[i].z));
    g_assert_true (points[i].visibility >= 0 && points[i].visibility <= 1);
    g_assert_true (points[i].presence >= 0 && points[i].presence <= 1);
  }
}

static void
test_hostile_landmarks_give_numbers (void)
{
  g_autofree Outputs *outputs = make_outputs ();
  for (guint i = 0; i < G_N_ELEMENTS (outputs->heatmap); i++)
    outputs->heatmap[i] = hostile ();
  for (guint run = 0; run < 2000; run++) {
    for (guint i = 0; i < G_N_ELEMENTS (outputs->landmarks); i++)
      outputs->landmarks[i] = run % 2 ? (float)g_test_rand_double_range (-20, 280) : hostile ();
    for (guint i = 0; i < G_N_ELEMENTS (outputs->world); i++)
      outputs->world[i] = run % 3 ? 0 : hostile ();
    outputs->flag = hostile ();
    const PoseRect anywhere = {hostile (), hostile (), fabsf (hostile ()), 100, hostile ()};
    const PoseRect sane = {640, 360, 512, 512, 0.5f};
    PoseResult result;
    if (!blazepose_decode_landmarks (&outputs->tensors, run % 2 ? &anywhere : &sane, &result))
      continue;
    assert_finite (result.image, POSE_LANDMARKS);
    assert_finite (result.world, POSE_LANDMARKS);
    assert_finite (result.aux, 2);
    g_assert_true (result.flag >= 0 && result.flag <= 1 && isfinite (result.scale));
    g_assert_true (isfinite (result.next.cx) && isfinite (result.next.w));
    for (guint i = 0; i < POSE_LANDMARKS; i++)
      g_assert_true (result.maxima[i] >= 0 && result.maxima[i] <= 1);
  }
}

static void
test_a_landmark_that_is_no_number_means_nobody (void)
{
  g_autofree Outputs *outputs = make_outputs ();
  const PoseRect roi = {640, 360, 512, 512, 0.5f};
  PoseResult result;
  outputs->landmarks[20 * 5 + 2] = NAN;
  g_assert_true (blazepose_decode_landmarks (&outputs->tensors, &roi, &result));
  g_assert_cmpfloat (result.flag, ==, 0);
}

static void
test_hostile_detections_give_usable_regions (void)
{
  static PoseDetection people[BLAZEPOSE_ANCHORS];
  for (guint run = 0; run < 100; run++) {
    for (guint i = 0; i < G_N_ELEMENTS (boxes); i++)
      boxes[i] = run % 2 ? (float)g_test_rand_double_range (-200, 200) : hostile ();
    for (guint i = 0; i < BLAZEPOSE_ANCHORS; i++)
      scores[i] = hostile ();
    PoseRect anywhere = {hostile (), hostile (), hostile (), hostile (), hostile ()};
    guint n = blazepose_decode_detections (boxes, scores, run % 3 ? &square : &anywhere,
        run % 5 ? 0.5f : NAN, people, run % 7 ? POSE_PEOPLE_MAX : BLAZEPOSE_ANCHORS);
    for (guint i = 0; i < n; i++) {
      g_assert_true (blazepose_roi_is_usable (&people[i].roi));
      g_assert_true (people[i].score >= 0 && people[i].score <= 1);
    }
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/blazepose/anchors-lie-in-three-grids", test_anchors_lie_in_three_grids);
  g_test_add_func (
      "/blazepose/only-certain-and-sound-boxes-count", test_only_certain_and_sound_boxes_count);
  g_test_add_func (
      "/blazepose/boxes-of-one-person-are-averaged", test_boxes_of_one_person_are_averaged);
  g_test_add_func ("/blazepose/people-apart-stay-apart-the-best-first",
      test_people_apart_stay_apart_the_best_first);
  g_test_add_func ("/blazepose/boxes-that-hardly-overlap-are-two-people",
      test_boxes_that_hardly_overlap_are_two_people);
  g_test_add_func (
      "/blazepose/a-turned-square-turns-the-person", test_a_turned_square_turns_the_person);
  g_test_add_func ("/blazepose/roi-is-mediapipes", test_roi_is_mediapipes);
  g_test_add_func ("/blazepose/rotation-is-between-plus-and-minus-pi",
      test_rotation_is_between_plus_and_minus_pi);
  g_test_add_func ("/blazepose/landmarks-are-projected-out-of-the-roi",
      test_landmarks_are_projected_out_of_the_roi);
  g_test_add_func ("/blazepose/where-to-look-next", test_where_to_look_next);
  g_test_add_func (
      "/blazepose/a-certain-heatmap-moves-its-landmark", test_a_certain_heatmap_moves_its_landmark);
  g_test_add_func (
      "/blazepose/an-uncertain-heatmap-moves-nothing", test_an_uncertain_heatmap_moves_nothing);
  g_test_add_func ("/blazepose/the-heatmap-ends-at-its-edges", test_the_heatmap_ends_at_its_edges);
  g_test_add_func (
      "/blazepose/nobody-is-in-a-region-that-is-none", test_nobody_is_in_a_region_that_is_none);
  g_test_add_func (
      "/blazepose/hostile-landmarks-give-numbers", test_hostile_landmarks_give_numbers);
  g_test_add_func ("/blazepose/a-landmark-that-is-no-number-means-nobody",
      test_a_landmark_that_is_no_number_means_nobody);
  g_test_add_func ("/blazepose/hostile-detections-give-usable-regions",
      test_hostile_detections_give_usable_regions);
  return g_test_run ();
}
