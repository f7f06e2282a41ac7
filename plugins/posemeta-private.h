/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For those who attach it. */
#pragma once

#include "posemeta.h"

const GstMetaInfo *gst_pose_meta_get_info (void);
GstPoseMeta *gst_buffer_add_pose_meta (GstBuffer *buffer);
