/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "posemeta-private.h"

#include <string.h>

static gboolean
init (GstMeta *meta, gpointer params, GstBuffer *buffer)
{
  memset ((guint8 *)meta + sizeof (GstMeta), 0, sizeof (GstPoseMeta) - sizeof (GstMeta));
  return TRUE;
}

/* What is in it does not depend on the frame's size, so that it survives scaling and copies. */
static gboolean
transform (GstBuffer *to, GstMeta *meta, GstBuffer *from, GQuark type, gpointer data)
{
  GstMeta *copy = gst_buffer_add_meta (to, meta->info, NULL);
  memcpy ((guint8 *)copy + sizeof (GstMeta), (guint8 *)meta + sizeof (GstMeta),
      sizeof (GstPoseMeta) - sizeof (GstMeta));
  return TRUE;
}

/* Any thread; registered once. */
const GstMetaInfo *
gst_pose_meta_get_info (void)
{
  static const char *const tags[] = {NULL};
  static gsize info;
  if (g_once_init_enter (&info)) {
    GType api = gst_meta_api_type_register ("GstPoseMetaAPI", (const char **)tags);
    g_once_init_leave (&info, (gsize)gst_meta_register (api, GST_POSE_META_NAME,
                                  sizeof (GstPoseMeta), init, NULL, transform));
  }
  return (const GstMetaInfo *)info;
}

/* @buffer: writable */
GstPoseMeta *
gst_buffer_add_pose_meta (GstBuffer *buffer)
{
  return (GstPoseMeta *)gst_buffer_add_meta (buffer, gst_pose_meta_get_info (), NULL);
}
