/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The numbers are those of MediaPipe's graphs (pose_detection_cpu.pbtxt,
 * pose_detection_to_roi.pbtxt, pose_landmark_by_roi_cpu.pbtxt,
 * tensors_to_pose_landmarks_and_segmentation.pbtxt), the arithmetic that of its calculators, which
 * are named where they apply. */
#include "config.h"

#include "blazepose.h"

#include <math.h>
#include <string.h>

#include <gio/gio.h>

#include "posesample.h"
#include "tflite.h"

#define MERGE_OVERLAP .3f  /* of boxes that are taken for one person */
#define ROI_SCALE 1.25f    /* of the circle round the body */
#define REFINE_REACH 3     /* cells of the heatmap round a landmark */
#define REFINE_CERTAIN .5f /* from this maximum on the heatmap is believed */
#define AUX_FIRST 33

struct _BlazePose {
  TfliteRunner *detector, *landmarks;
};

typedef struct {
  float x0, y0, x1, y1; /* of the box, in the square: 0 … 1 */
  float kx[2], ky[2];   /* the middle of the body, and a point on the circle round it */
  float score;
} Candidate;

/* Not a number counts as impossible. */
static float
sigmoid (float logit)
{
  if (!(logit > -100))
    return 0;
  return 1 / (1 + expf (-MIN (logit, 100.f)));
}

/* (u, v) from the middle of @rect, in its sides, is where in the image? */
static void
to_image (const PoseRect *rect, float u, float v, float *x, float *y)
{
  float cosine = cosf (rect->rotation), sine = sinf (rect->rotation);
  *x = rect->cx + cosine * u * rect->w - sine * v * rect->h;
  *y = rect->cy + sine * u * rect->w + cosine * v * rect->h;
}

/**
 * blazepose_letterbox:
 *
 * Returns: the square round the whole picture.
 */
PoseRect
blazepose_letterbox (const GstVideoInfo *info)
{
  float w = (float)GST_VIDEO_INFO_WIDTH (info), h = (float)GST_VIDEO_INFO_HEIGHT (info);
  return (PoseRect){w / 2, h / 2, MAX (w, h), MAX (w, h), 0};
}

/**
 * blazepose_roi:
 * @x0: middle of the hips, pixels
 * @x1: point on the circle round the body, above the head
 *
 * (alignment_points_to_rects_calculator.cc, rect_transformation_calculator.cc)
 *
 * Returns: the square in which to look for landmarks, turned so that the person is upright.
 */
PoseRect
blazepose_roi (float x0, float y0, float x1, float y1)
{
  float side = 2 * hypotf (x1 - x0, y1 - y0) * ROI_SCALE;
  double rotation = G_PI_2 - atan2 (-((double)y1 - y0), (double)x1 - x0);
  rotation -= 2 * G_PI * floor ((rotation + G_PI) / (2 * G_PI));
  return (PoseRect){x0, y0, side, side, (float)rotation};
}

/**
 * blazepose_roi_is_usable:
 *
 * Returns: FALSE if it is too small, or not a place at all.
 */
gboolean
blazepose_roi_is_usable (const PoseRect *roi)
{
  return isfinite (roi->cx) && isfinite (roi->cy) && isfinite (roi->rotation) &&
         isfinite (roi->w) && isfinite (roi->h) && roi->w >= BLAZEPOSE_MIN_SIDE &&
         roi->h >= BLAZEPOSE_MIN_SIDE;
}

/* The middle of anchor @n: grids of 28, 14 and 7 cells with 2, 2 and 6 anchors in each cell
 * (ssd_anchors_calculator.cc; layers of the same stride are one). */
static void
anchor (guint n, float *x, float *y)
{
  static const struct {
    guint first, cells, each;
  } grids[] = {{1960, 7, 6}, {1568, 14, 2}, {0, 28, 2}};
  guint g = 0;
  while (n < grids[g].first)
    g++;
  guint cell = (n - grids[g].first) / grids[g].each;
  *x = ((float)(cell % grids[g].cells) + .5f) / (float)grids[g].cells;
  *y = ((float)(cell / grids[g].cells) + .5f) / (float)grids[g].cells;
}

/* tensors_to_detections_calculator.cc: x comes first, there is no exponential */
static gboolean
decode_box (const float *box, guint n, Candidate *out)
{
  const float unit = BLAZEPOSE_DETECTOR_SIDE;
  float ax, ay;
  anchor (n, &ax, &ay);
  float x = box[0] / unit + ax, y = box[1] / unit + ay, w = box[2] / unit, h = box[3] / unit;
  gboolean sound = w >= 0 && h >= 0 && isfinite (x) && isfinite (y) && isfinite (w) && isfinite (h);
  for (guint k = 0; k < 2; k++) {
    out->kx[k] = box[4 + 2 * k] / unit + ax;
    out->ky[k] = box[5 + 2 * k] / unit + ay;
    sound = sound && isfinite (out->kx[k]) && isfinite (out->ky[k]);
  }
  out->x0 = x - w / 2;
  out->x1 = x + w / 2;
  out->y0 = y - h / 2;
  out->y1 = y + h / 2;
  return sound;
}

static float
overlap (const Candidate *a, const Candidate *b)
{
  float w = MIN (a->x1, b->x1) - MAX (a->x0, b->x0), h = MIN (a->y1, b->y1) - MAX (a->y0, b->y0);
  if (!(w > 0 && h > 0))
    return 0;
  float both = (a->x1 - a->x0) * (a->y1 - a->y0) + (b->x1 - b->x0) * (b->y1 - b->y0) - w * h;
  return both > 0 ? w * h / both : 0;
}

static int
better_first (gconstpointer a, gconstpointer b)
{
  float left = ((const Candidate *)a)->score, right = ((const Candidate *)b)->score;
  return (left < right) - (left > right);
}

/* Takes all that overlap the first of @left out of it; returns their mean, weighted by score
 * (non_max_suppression_calculator.cc). Only the key points are of interest afterwards. */
static Candidate
merge_first (GArray *left)
{
  Candidate best = g_array_index (left, Candidate, 0);
  double total = 0, kx[2] = {0}, ky[2] = {0};
  guint kept = 0;
  for (guint i = 0; i < left->len; i++) {
    const Candidate *each = &g_array_index (left, Candidate, i);
    if (i > 0 && !(overlap (&best, each) > MERGE_OVERLAP)) {
      g_array_index (left, Candidate, kept++) = *each;
      continue;
    }
    total += each->score;
    for (guint k = 0; k < 2; k++) {
      kx[k] += (double)each->score * each->kx[k];
      ky[k] += (double)each->score * each->ky[k];
    }
  }
  g_array_set_size (left, kept);
  for (guint k = 0; k < 2 && total > 0; k++) {
    best.kx[k] = (float)(kx[k] / total);
    best.ky[k] = (float)(ky[k] / total);
  }
  return best;
}

/**
 * blazepose_decode_detections:
 * @boxes: 2254 × 12
 * @scores: 2254, before the sigmoid
 * @square: what the detector has seen
 * @out: (out): room for @max, the best first
 *
 * Returns: how many people there are in @out.
 */
guint
blazepose_decode_detections (const float *boxes, const float *scores, const PoseRect *square,
    float min_score, PoseDetection *out, guint max)
{
  g_autoptr (GArray) left = g_array_new (FALSE, FALSE, sizeof (Candidate));
  for (guint i = 0; i < BLAZEPOSE_ANCHORS; i++) {
    Candidate candidate = {.score = sigmoid (scores[i])};
    if (candidate.score >= min_score && decode_box (boxes + i * BLAZEPOSE_BOX, i, &candidate))
      g_array_append_val (left, candidate);
  }
  g_array_sort (left, better_first);
  guint n = 0;
  while (n < max && left->len > 0) {
    Candidate person = merge_first (left);
    float x0, y0, x1, y1;
    to_image (square, person.kx[0] - .5f, person.ky[0] - .5f, &x0, &y0);
    to_image (square, person.kx[1] - .5f, person.ky[1] - .5f, &x1, &y1);
    out[n] = (PoseDetection){blazepose_roi (x0, y0, x1, y1), person.score};
    if (blazepose_roi_is_usable (&out[n].roi))
      n++;
  }
  return n;
}

/* Moves (x, y), in the square, to the middle of what its heatmap shows round it, if that is certain
 * (refine_landmarks_from_heatmap_calculator.cc; cells are meant by their index). Returns: the
 * maximum there, 0 outside. */
static float
refine (const float *heatmap, guint landmark, float *x, float *y)
{
  const int n = BLAZEPOSE_HEATMAP;
  float at_x = *x * n, at_y = *y * n;
  if (!(at_x > -1 && at_x < n && at_y > -1 && at_y < n))
    return 0;
  int column = (int)at_x, row = (int)at_y;
  float sum = 0, sum_x = 0, sum_y = 0, most = 0;
  for (int r = MAX (row - REFINE_REACH, 0); r <= MIN (row + REFINE_REACH, n - 1); r++)
    for (int c = MAX (column - REFINE_REACH, 0); c <= MIN (column + REFINE_REACH, n - 1); c++) {
      float weight = sigmoid (heatmap[(r * n + c) * BLAZEPOSE_POINTS + (int)landmark]);
      sum += weight;
      sum_x += weight * (float)c;
      sum_y += weight * (float)r;
      most = MAX (most, weight);
    }
  if (most >= REFINE_CERTAIN && sum > 0) {
    *x = sum_x / n / sum;
    *y = sum_y / n / sum;
  }
  return most;
}

/* Row @n of the landmarks; *sound becomes FALSE if it is not a place. */
static PoseLandmark
image_landmark (
    const BlazePoseTensors *tensors, guint n, const PoseRect *roi, float *maximum, gboolean *sound)
{
  const float *row = tensors->landmarks + n * 5;
  float x = row[0] / BLAZEPOSE_LANDMARKS_SIDE, y = row[1] / BLAZEPOSE_LANDMARKS_SIDE;
  *maximum = refine (tensors->heatmap, n, &x, &y);
  PoseLandmark out = {.z = row[2] / BLAZEPOSE_LANDMARKS_SIDE * roi->w,
      .visibility = sigmoid (row[3]),
      .presence = sigmoid (row[4])};
  to_image (roi, x - .5f, y - .5f, &out.x, &out.y);
  if (!isfinite (out.x) || !isfinite (out.y) || !isfinite (out.z)) {
    out = (PoseLandmark){roi->cx, roi->cy, 0, 0, 0};
    *sound = FALSE;
  }
  return out;
}

/* world_landmark_projection_calculator.cc */
static PoseLandmark
world_landmark (const float *row, const PoseRect *roi, const PoseLandmark *image, gboolean *sound)
{
  float cosine = cosf (roi->rotation), sine = sinf (roi->rotation);
  PoseLandmark out = {cosine * row[0] - sine * row[1], sine * row[0] + cosine * row[1], row[2],
      image->visibility, image->presence};
  if (!isfinite (out.x) || !isfinite (out.y) || !isfinite (out.z)) {
    out = (PoseLandmark){0};
    *sound = FALSE;
  }
  return out;
}

/**
 * blazepose_decode_landmarks:
 * @tensors: any numbers; where they are not, @out says that there is nobody
 * @roi: that the model has seen
 * @out: (out): all of it finite
 *
 * Returns: FALSE if there can be nobody in @roi.
 */
gboolean
blazepose_decode_landmarks (const BlazePoseTensors *tensors, const PoseRect *roi, PoseResult *out)
{
  if (!blazepose_roi_is_usable (roi))
    return FALSE;
  gboolean sound = TRUE;
  *out = (PoseResult){.roi = *roi};
  for (guint i = 0; i < POSE_LANDMARKS; i++) {
    out->image[i] = image_landmark (tensors, i, roi, &out->maxima[i], &sound);
    out->world[i] = world_landmark (tensors->world + i * 3, roi, &out->image[i], &sound);
  }
  for (guint i = 0; i < G_N_ELEMENTS (out->aux); i++) {
    float maximum;
    out->aux[i] = image_landmark (tensors, AUX_FIRST + i, roi, &maximum, &sound);
  }
  out->next = blazepose_roi (out->aux[0].x, out->aux[0].y, out->aux[1].x, out->aux[1].y);
  out->scale = out->next.w / ROI_SCALE;
  if (!isfinite (out->scale)) {
    out->next = *roi;
    out->scale = roi->w / ROI_SCALE;
    sound = FALSE;
  }
  out->flag = sound && tensors->flag[0] > 0 ? MIN (tensors->flag[0], 1.f) : 0;
  return TRUE;
}

static float *
detector_input (BlazePose *self)
{
  return tflite_runner_input (
      self->detector, 4, 1, BLAZEPOSE_DETECTOR_SIDE, BLAZEPOSE_DETECTOR_SIDE, 3);
}

static gboolean
detector_output (BlazePose *self, const float **boxes, const float **scores)
{
  *boxes = tflite_runner_output (self->detector, 3, 1, BLAZEPOSE_ANCHORS, BLAZEPOSE_BOX);
  *scores = tflite_runner_output (self->detector, 3, 1, BLAZEPOSE_ANCHORS, 1);
  return *boxes && *scores;
}

static float *
landmarks_input (BlazePose *self)
{
  return tflite_runner_input (
      self->landmarks, 4, 1, BLAZEPOSE_LANDMARKS_SIDE, BLAZEPOSE_LANDMARKS_SIDE, 3);
}

static gboolean
landmarks_output (BlazePose *self, BlazePoseTensors *out)
{
  out->landmarks = tflite_runner_output (self->landmarks, 2, 1, BLAZEPOSE_POINTS * 5);
  out->flag = tflite_runner_output (self->landmarks, 2, 1, 1);
  out->heatmap = tflite_runner_output (
      self->landmarks, 4, 1, BLAZEPOSE_HEATMAP, BLAZEPOSE_HEATMAP, BLAZEPOSE_POINTS);
  out->world = tflite_runner_output (self->landmarks, 2, 1, BLAZEPOSE_POINTS * 3);
  return out->landmarks && out->flag && out->heatmap && out->world;
}

static TfliteRunner *
load (const char *name, guint threads, GError **error)
{
  g_autoptr (TfliteModel) model = tflite_model_load (name, error);
  return model ? tflite_runner_new (model, threads, error) : NULL;
}

/**
 * blazepose_new:
 * @threads: that work on one frame, the caller's among them
 *
 * Takes 0.1 … 0.4 s. Any thread.
 */
BlazePose *
blazepose_new (BlazePoseKind kind, guint threads, GError **error)
{
  static const char *const names[] = {"lite", "full", "heavy"};
  g_return_val_if_fail (kind < G_N_ELEMENTS (names), NULL);
  g_autoptr (BlazePose) self = g_new0 (BlazePose, 1);
  self->detector = load ("detector", threads, error);
  if (!self->detector)
    return NULL;
  self->landmarks = load (names[kind], threads, error);
  if (!self->landmarks)
    return NULL;
  const float *boxes, *scores;
  BlazePoseTensors tensors;
  if (!detector_input (self) || !detector_output (self, &boxes, &scores) ||
      !landmarks_input (self) || !landmarks_output (self, &tensors)) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
        "the pose models have other inputs or outputs than BlazePose's of 2023");
    return NULL;
  }
  return g_steal_pointer (&self);
}

void
blazepose_free (BlazePose *self)
{
  g_clear_pointer (&self->detector, tflite_runner_free);
  g_clear_pointer (&self->landmarks, tflite_runner_free);
  g_free (self);
}

/**
 * blazepose_detect:
 * @frame: mapped, of a format that pose_sample_can() accepts
 * @square: where to look; what of it is outside the frame is black. A person must fill at least 28
 * % of its height
 * @min_score: 0.5 is MediaPipe's
 * @out: (out): room for @max, the best first
 *
 * Returns: how many people there are in @out.
 */
guint
blazepose_detect (BlazePose *self, const GstVideoFrame *frame, const PoseRect *square,
    float min_score, PoseDetection *out, guint max)
{
  const float *boxes, *scores;
  pose_sample (
      frame, square, BLAZEPOSE_DETECTOR_SIDE, -1, 1, POSE_BORDER_ZERO, detector_input (self));
  if (!tflite_runner_run (self->detector, NULL) || !detector_output (self, &boxes, &scores))
    return 0;
  return blazepose_decode_detections (boxes, scores, square, min_score, out, max);
}

/**
 * blazepose_landmarks:
 * @frame: mapped, of a format that pose_sample_can() accepts
 * @roi: of a detection, or the next one of the frame before; may lie outside the frame in part
 * @out: (out): with its flag above 0.5 there is a person
 *
 * Returns: FALSE if there can be nobody in @roi.
 */
gboolean
blazepose_landmarks (
    BlazePose *self, const GstVideoFrame *frame, const PoseRect *roi, PoseResult *out)
{
  BlazePoseTensors tensors;
  if (!blazepose_roi_is_usable (roi))
    return FALSE;
  pose_sample (
      frame, roi, BLAZEPOSE_LANDMARKS_SIDE, 0, 1, POSE_BORDER_REPLICATE, landmarks_input (self));
  return tflite_runner_run (self->landmarks, NULL) && landmarks_output (self, &tensors) &&
         blazepose_decode_landmarks (&tensors, roi, out);
}
