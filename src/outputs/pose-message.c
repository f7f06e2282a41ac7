/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pose-message.h"

static void
append_times (GString *text, SptMediaClock *clock, GstClockTime pts)
{
  char digits[G_ASCII_DTOSTR_BUF_SIZE];
  guint32 timestamp;
  double seconds;
  if (clock && spt_media_clock_rtp (clock, pts, &timestamp))
    g_string_append_printf (text, ",\"rtp_timestamp\":%u", timestamp);
  else
    g_string_append (text, ",\"rtp_timestamp\":null");
  if (clock && spt_media_clock_time (clock, pts, &seconds))
    g_string_append_printf (
        text, ",\"media_time\":%s", g_ascii_formatd (digits, sizeof digits, "%.6f", seconds));
}

/**
 * spt_pose_message:
 * @unit: of a pose track
 * @source: the stream's name
 * @number: of the frame
 * @clock: (nullable): of the viewer whose picture it goes with
 *
 * Any thread.
 *
 * Returns: (transfer full): the whole message; the large part of it is the unit's, not copied
 */
GstBuffer *
spt_pose_message (GstBuffer *unit, const char *source, guint64 number, SptMediaClock *clock)
{
  GString *text = g_string_sized_new (160);
  g_string_append_printf (text,
      "{\"type\":\"pose\",\"source\":\"%s\",\"frame_number\":%" G_GUINT64_FORMAT, source, number);
  append_times (text, clock, GST_BUFFER_PTS (unit));
  g_string_append_c (text, ',');
  gsize size = text->len;
  GstBuffer *message = gst_buffer_new_wrapped (g_string_free (text, FALSE), size);
  gst_buffer_copy_into (message, unit, GST_BUFFER_COPY_MEMORY, 0, (gsize)-1);
  gst_buffer_append_memory (message,
      gst_memory_new_wrapped (GST_MEMORY_FLAG_READONLY, (gpointer) "}", 1, 0, 1, NULL, NULL));
  return message;
}
