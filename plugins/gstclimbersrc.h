/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/base/gstpushsrc.h>

G_BEGIN_DECLS

#define GST_TYPE_CLIMBER_SRC (gst_climber_src_get_type ())
G_DECLARE_FINAL_TYPE (GstClimberSrc, gst_climber_src, GST, CLIMBER_SRC, GstPushSrc)

GST_ELEMENT_REGISTER_DECLARE (climbersrc);

G_END_DECLS
