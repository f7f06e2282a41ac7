/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the pose detector say to one another. Image pixels: x right, y down, pixel i
 * covers [i, i + 1). Landmarks are in MediaPipe's order; "left" is the person's own. */
#pragma once

#include <glib.h>

#define POSE_LANDMARKS 33
#define POSE_PEOPLE_MAX 4

/* Turned clockwise on the screen by @rotation radians round its centre. */
typedef struct {
  float cx, cy, w, h; /* pixels */
  float rotation;
} PoseRect;

typedef struct {
  float x, y, z;    /* image: pixels of the frame; world: metres from the middle of the hips */
  float visibility; /* 0 … 1 */
  float presence;   /* 0 … 1 */
} PoseLandmark;

/* What the detector has found: where to look for landmarks. */
typedef struct {
  PoseRect roi;
  float score; /* 0 … 1 */
} PoseDetection;

/* What the landmark model says of one region of one frame, unfiltered. */
typedef struct {
  PoseRect roi;  /* that was looked at */
  PoseRect next; /* where to look in the next frame, from the unfiltered auxiliary points */
  float flag;    /* 0 … 1: that there is a person in it */
  float scale;   /* pixels: the object's size for the filters */
  PoseLandmark image[POSE_LANDMARKS], world[POSE_LANDMARKS];
  PoseLandmark aux[2];          /* image: centre, and the point on the circle round the body */
  float maxima[POSE_LANDMARKS]; /* 0 … 1: of each landmark's heatmap */
} PoseResult;
