/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The people in a frame, as a meta of its buffer. Header-only for those who read it: it is found by
 * its name, so nothing needs to be linked. */
#pragma once

#include <gst/gst.h>

#include "pose.h"

#define GST_POSE_META_NAME "GstPoseMeta"

typedef struct {
  guint id;     /* the same from frame to frame while the person is followed; from 1 */
  float flag;   /* 0 … 1: that there is a person */
  PoseRect roi; /* pixels: where the landmarks were looked for */
  /* x and y as parts of the frame's width and height, z of its width; may leave 0 … 1 */
  PoseLandmark image[POSE_LANDMARKS];
  PoseLandmark world[POSE_LANDMARKS]; /* metres from the middle of the hips */
} GstPosePerson;

typedef struct {
  GstMeta meta;
  guint64 number;       /* of analysed frames, from 0 */
  gboolean analysed;    /* else the pose of the last frame that was, held */
  GstClockTime latency; /* analysing took */
  guint n_people;
  GstPosePerson people[POSE_PEOPLE_MAX];
} GstPoseMeta;

/* (transfer none) (nullable) */
static inline GstPoseMeta *
gst_buffer_get_pose_meta (GstBuffer *buffer)
{
  const GstMetaInfo *info = gst_meta_get_info (GST_POSE_META_NAME);
  return info ? (GstPoseMeta *)gst_buffer_get_meta (buffer, info->api) : NULL;
}
