/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A drawn climber, good enough for a pose detector: where its joints are at a time, and its
 * picture. */
#pragma once

#include <cairo.h>
#include <glib.h>

typedef enum {
  CLIMBER_FRONT, /* climbing, face to the camera */
  CLIMBER_BACK,  /* climbing, seen from behind, as on a real wall */
  CLIMBER_STAND, /* standing in front of the wall, face to the camera */
} ClimberView;

typedef struct {
  double x, y;
} ClimberPoint;

/* Joints by MediaPipe's numbers (pose.md 17): the twelve of the body, and the nose. */
enum {
  CLIMBER_NOSE = 0,
  CLIMBER_LEFT_SHOULDER = 11,
  CLIMBER_RIGHT_SHOULDER,
  CLIMBER_LEFT_ELBOW,
  CLIMBER_RIGHT_ELBOW,
  CLIMBER_LEFT_WRIST,
  CLIMBER_RIGHT_WRIST,
  CLIMBER_LEFT_HIP = 23,
  CLIMBER_RIGHT_HIP,
  CLIMBER_LEFT_KNEE,
  CLIMBER_RIGHT_KNEE,
  CLIMBER_LEFT_ANKLE,
  CLIMBER_RIGHT_ANKLE,
  CLIMBER_JOINTS
};

typedef struct {
  double unit; /* height of the head, in pixels */
  ClimberPoint hips, neck, head;
  ClimberPoint joints[CLIMBER_JOINTS]; /* pixels; only the numbers above are filled */
  ClimberPoint fingers[2], toes[2];    /* ends of hands and feet; 0 is the viewer's left side */
} ClimberPose;

void climber_pose (
    ClimberPose *pose, ClimberView view, double seconds, double x, double y, double height);
void climber_draw_wall (cairo_t *cr, int width, int height, guint32 seed);
void climber_draw (cairo_t *cr, const ClimberPose *pose, ClimberView view);
