/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/video/gstvideofilter.h>

#define GST_TYPE_POSE_OVERLAY (gst_pose_overlay_get_type ())
G_DECLARE_FINAL_TYPE (GstPoseOverlay, gst_pose_overlay, GST, POSE_OVERLAY, GstVideoFilter)

GST_ELEMENT_REGISTER_DECLARE (poseoverlay)
