/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* multipart/x-mixed-replace: one part a JPEG picture. The picture itself is not copied. */
#include "config.h"

#include "packer.h"

#include "track.h"

typedef struct {
  SptTrack *out;
} Multipart;

static gpointer
multipart_new (SptTrack *const *inputs, guint n, SptTrack *out)
{
  Multipart *self = g_new0 (Multipart, 1);
  self->out = g_object_ref (out);
  g_autoptr (GstCaps) caps = gst_caps_new_simple (
      "multipart/x-mixed-replace", "boundary", G_TYPE_STRING, SPT_MULTIPART_BOUNDARY, NULL);
  spt_track_set_caps (out, caps);
  return self;
}

static void
multipart_take (gpointer user_data, GstSample *unit, guint pad)
{
  Multipart *self = user_data;
  GstBuffer *picture = gst_sample_get_buffer (unit);
  char *head = g_strdup_printf ("--" SPT_MULTIPART_BOUNDARY
                                "\r\nContent-Type: image/jpeg\r\nContent-Length: %" G_GSIZE_FORMAT
                                "\r\n\r\n",
      gst_buffer_get_size (picture));
  GstBuffer *part = gst_buffer_new_wrapped (head, strlen (head));
  gst_buffer_copy_into (
      part, picture, GST_BUFFER_COPY_MEMORY | GST_BUFFER_COPY_TIMESTAMPS, 0, (gsize)-1);
  gst_buffer_append_memory (part,
      gst_memory_new_wrapped (GST_MEMORY_FLAG_READONLY, (gpointer) "\r\n", 2, 0, 2, NULL, NULL));
  spt_track_push (self->out, part);
}

static void
multipart_free (gpointer user_data)
{
  Multipart *self = user_data;
  g_object_unref (self->out);
  g_free (self);
}

const SptPacker spt_multipart_packer = {
    .name = "multipart", .new = multipart_new, .take = multipart_take, .free = multipart_free};
