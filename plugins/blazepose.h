/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MediaPipe's BlazePose: a detector that says where a person is, and a model that finds landmarks
 * there. One BlazePose is used by one thread at a time; all share the models' files. */
#pragma once

#include <gst/video/video.h>

#include "pose.h"

#define BLAZEPOSE_DETECTOR_SIDE 224
#define BLAZEPOSE_LANDMARKS_SIDE 256
#define BLAZEPOSE_ANCHORS 2254
#define BLAZEPOSE_BOX 12    /* numbers of a box: centre, size, four key points */
#define BLAZEPOSE_POINTS 39 /* of the landmark model; 33 landmarks, 2 auxiliary, 4 unused */
#define BLAZEPOSE_HEATMAP 64
#define BLAZEPOSE_MIN_SIDE 8.f /* pixels; nobody is looked for in less */

typedef enum {
  BLAZEPOSE_LITE,  /* for small machines or many cameras */
  BLAZEPOSE_FULL,  /* the default */
  BLAZEPOSE_HEAVY, /* three times the time of full */
} BlazePoseKind;

/* What the landmark model gives, as it lies in memory. */
typedef struct {
  const float *landmarks; /* 39 × 5: x, y, z of 256, visibility and presence before the sigmoid */
  const float *flag;      /* 1: a probability */
  const float *heatmap;   /* 64 × 64 × 39, before the sigmoid */
  const float *world;     /* 39 × 3: metres */
} BlazePoseTensors;

typedef struct _BlazePose BlazePose;

BlazePose *blazepose_new (BlazePoseKind kind, guint threads, GError **error);
void blazepose_free (BlazePose *self);
PoseRect blazepose_letterbox (const GstVideoInfo *info);
guint blazepose_detect (BlazePose *self, const GstVideoFrame *frame, const PoseRect *square,
    float min_score, PoseDetection *out, guint max);
gboolean blazepose_landmarks (
    BlazePose *self, const GstVideoFrame *frame, const PoseRect *roi, PoseResult *out);

/* The arithmetic alone, for any numbers whatever. */
PoseRect blazepose_roi (float x0, float y0, float x1, float y1);
gboolean blazepose_roi_is_usable (const PoseRect *roi);
guint blazepose_decode_detections (const float *boxes, const float *scores, const PoseRect *square,
    float min_score, PoseDetection *out, guint max);
gboolean blazepose_decode_landmarks (
    const BlazePoseTensors *tensors, const PoseRect *roi, PoseResult *out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BlazePose, blazepose_free)
