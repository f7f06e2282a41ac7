/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/base/gstbasetransform.h>

#define GST_TYPE_POSE_DETECT (gst_pose_detect_get_type ())
G_DECLARE_FINAL_TYPE (GstPoseDetect, gst_pose_detect, GST, POSE_DETECT, GstBaseTransform)

GST_ELEMENT_REGISTER_DECLARE (posedetect)
