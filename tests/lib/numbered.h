/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pictures of a climber that tell their number twice: by black and white blocks along the lower
 * edge, and by where the climber stands. So a pose tells which picture it was found in, without any
 * timestamp. tests/lib/skew.mjs reads both.
 *
 * The climber walks to and fro, 32 pictures for both ways; the places of the way back lie halfway
 * between those of the way there, so that neighbours always differ, also where it turns. */
#pragma once

#include <gst/video/video.h>
#include <string.h>

#define NUMBERED_COUNT 4096u /* then the numbers begin again */
#define NUMBERED_BLOCKS 16u  /* twelve bits, and four that check them */
#define NUMBERED_FROM 0.28   /* parts of the picture's width */
#define NUMBERED_STEP 0.0275
#define NUMBERED_SOURCE "climbersrc name=numbered view=stand size=0.7"

/* Where the climber of the picture stands, as a part of the width. */
static inline double
numbered_place (guint number)
{
  guint i = number % 32;
  return NUMBERED_FROM + NUMBERED_STEP * (i < 16 ? (double)i : 31.5 - (double)i);
}

/* The block on the left is the highest bit. */
static inline guint
numbered_code (guint number)
{
  return (number << 4 | ((number ^ number >> 4 ^ number >> 8 ^ 5) & 15)) & 0xffff;
}

static inline void
numbered_draw (GstBuffer *buffer, const GstVideoInfo *info, guint number)
{
  GstVideoFrame frame;
  guint code = numbered_code (number);
  if (!gst_video_frame_map (&frame, info, buffer, GST_MAP_READWRITE))
    g_assert_not_reached ();
  for (guint component = 0; component < 3; component++) {
    guint8 *data = GST_VIDEO_FRAME_COMP_DATA (&frame, component);
    guint stride = (guint)GST_VIDEO_FRAME_COMP_STRIDE (&frame, component);
    guint width = (guint)GST_VIDEO_FRAME_COMP_WIDTH (&frame, component) / NUMBERED_BLOCKS;
    guint height = (guint)GST_VIDEO_FRAME_COMP_HEIGHT (&frame, component);
    for (guint y = height - height / 15; y < height; y++)
      for (guint i = 0; i < NUMBERED_BLOCKS; i++)
        memset (data + y * stride + i * width,
            component              ? 128
            : code >> (15 - i) & 1 ? 235
                                   : 16,
            width);
  }
  gst_video_frame_unmap (&frame);
}

static inline GstPadProbeReturn
numbered_on_picture (GstPad *pad, GstPadProbeInfo *probe, gpointer data)
{
  guint *next = data;
  GstVideoInfo info;
  g_autoptr (GstElement) source = gst_pad_get_parent_element (pad);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  GstBuffer *buffer = gst_buffer_make_writable (GST_PAD_PROBE_INFO_BUFFER (probe));
  gst_video_info_from_caps (&info, caps);
  numbered_draw (buffer, &info, *next);
  GST_PAD_PROBE_INFO_DATA (probe) = buffer;
  *next = (*next + 1) % NUMBERED_COUNT;
  g_object_set (source, "x", numbered_place (*next), NULL); /* the next is drawn after this push */
  return GST_PAD_PROBE_OK;
}

/* @bin: in it NUMBERED_SOURCE, which has not been started; its pictures are numbered from 0 */
static inline void
numbered_begin (GstBin *bin)
{
  g_autoptr (GstElement) source = gst_bin_get_by_name (bin, "numbered");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (source, "src");
  g_object_set (source, "x", numbered_place (0), NULL);
  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_BUFFER, numbered_on_picture, g_new0 (guint, 1), g_free);
}
