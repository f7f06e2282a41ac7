/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One builder for each kind of source. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "error.h"
#include "source-private.h"

GST_DEBUG_CATEGORY_EXTERN (spotter_source);
#define GST_CAT_DEFAULT spotter_source

static GstElement *
make (SptSource *self, const char *name, GError **error)
{
  GstElement *element = spt_source_add_element (self, name);
  if (!element)
    g_set_error (error, SPT_ERROR, SPT_ERROR_UNSUPPORTED,
        "the GStreamer element '%s' is missing; `./dev setup` installs it", name);
  return element;
}

static gboolean
add_raw (
    SptSource *self, GstElement *element, const char *media, const char *format, GError **error)
{
  int width, height, num, den;
  if (!spt_spec_size (self->spec, &width, &height, error) ||
      !spt_spec_framerate (self->spec, &num, &den, error))
    return FALSE;
  g_autoptr (GstCaps) caps = gst_caps_new_empty_simple (media);
  gst_caps_set_simple (caps, "format", G_TYPE_STRING, format, NULL);
  if (g_str_equal (media, "video/x-raw"))
    gst_caps_set_simple (caps, "width", G_TYPE_INT, width ? width : 1280, "height", G_TYPE_INT,
        height ? height : 720, "framerate", GST_TYPE_FRACTION, num ? num : 30, num ? den : 1, NULL);
  else
    gst_caps_set_simple (caps, "rate", G_TYPE_INT, 48000, "channels", G_TYPE_INT, 1, NULL);
  GstElement *filter = make (self, "capsfilter", error);
  if (!filter)
    return FALSE;
  g_object_set (filter, "caps", caps, NULL);
  gst_element_link (element, filter);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (filter, "src");
  spt_source_add_pad (self, pad);
  return TRUE;
}

static gboolean
set_enum (GstElement *element, const char *property, const char *nick)
{
  GParamSpec *pspec = g_object_class_find_property (G_OBJECT_GET_CLASS (element), property);
  g_autoptr (GTypeClass) klass = g_type_class_ref (pspec->value_type);
  GEnumValue *value = g_enum_get_value_by_nick (G_ENUM_CLASS (klass), nick);
  if (value)
    g_object_set (element, property, value->value, NULL);
  return value != NULL;
}

static gboolean
build_pattern (SptSource *self, GError **error)
{
  GstElement *video = make (self, "videotestsrc", error);
  GstElement *audio = video ? make (self, "audiotestsrc", error) : NULL;
  if (!audio)
    return FALSE;
  const char *pattern = spt_spec_option (self->spec, "pattern");
  if (!set_enum (video, "pattern", pattern ? pattern : self->spec->rest)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "source not supported: there is no test picture '%s'; try climber, smpte, ball or snow",
        self->spec->rest);
    return FALSE;
  }
  g_object_set (video, "is-live", TRUE, NULL);
  g_object_set (audio, "is-live", TRUE, "volume", 0.1, NULL);
  set_enum (audio, "wave", "ticks");
  return add_raw (self, video, "video/x-raw", "I420", error) &&
         add_raw (self, audio, "audio/x-raw", "S16LE", error);
}

static gboolean
build_test (SptSource *self, GError **error)
{
  self->live = TRUE;
  if (!g_str_equal (self->spec->rest, "climber"))
    return build_pattern (self, error);
  GstElement *climber = make (self, "climbersrc", error);
  if (!climber)
    return FALSE;
  g_object_set (climber, "is-live", TRUE, NULL);
  const char *view = spt_spec_option (self->spec, "view");
  if (view && !set_enum (climber, "view", view)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "source not supported: view '%s' is not front, back or stand", view);
    return FALSE;
  }
  return add_raw (self, climber, "video/x-raw", "I420", error);
}

static gboolean
build_camera (SptSource *self, GError **error)
{
  self->live = TRUE;
  self->camera = make (self, "v4l2src", error);
  self->camera_mode = self->camera ? make (self, "capsfilter", error) : NULL;
  if (!self->camera_mode)
    return FALSE;
  gst_element_link (self->camera, self->camera_mode);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (self->camera_mode, "src");
  spt_source_add_pad (self, pad);
  return TRUE;
}

static gboolean
build_rtsp (SptSource *self, GError **error)
{
  int latency, timeout;
  if (!spt_spec_option_int (self->spec, "latency", 0, 0, 10000, &latency, error) ||
      !spt_spec_option_int (self->spec, "timeout", 5, 1, 120, &timeout, error))
    return FALSE;
  GstElement *rtsp = make (self, "rtspsrc", error);
  if (!rtsp)
    return FALSE;
  self->live = TRUE;
  /* Over TCP nothing arrives out of order: no latency needed. A UDP camera gets a jitter buffer. */
  gboolean udp = g_strcmp0 (spt_spec_option (self->spec, "transport"), "udp") == 0;
  guint64 timeout_us = (guint64)timeout * G_USEC_PER_SEC;
  g_object_set (rtsp, "location", self->spec->rest, "protocols", udp ? 1 : 4, "latency",
      udp && !latency ? 100 : latency, "tcp-timeout", timeout_us, "timeout", timeout_us,
      "user-agent", "Spotter", NULL);
  g_signal_connect_object (rtsp, "pad-added", G_CALLBACK (spt_source_pad_added), self, 0);
  g_signal_connect_object (rtsp, "no-more-pads", G_CALLBACK (spt_source_all_pads), self, 0);
  return TRUE;
}

/* rtpbin shows a pad with the first packet of each medium, and never says that these are all. A
 * sender that changes its SSRC or payload type gets no second one. */
static void
on_published_pad (GstElement *rtpbin, GstPad *pad, gpointer user_data)
{
  SptSource *self = user_data;
  g_autofree char *name = gst_pad_get_name (pad);
  guint medium;
  if (sscanf (name, "recv_rtp_src_%u_", &medium) != 1 || medium >= SPT_PUBLISHER_LANES)
    return;
  g_mutex_lock (&self->lock);
  gboolean fresh = !(self->published & (1u << medium));
  self->published |= 1u << medium;
  gboolean all = self->published == (1u << spt_publisher_count (self->spec->publisher)) - 1;
  g_mutex_unlock (&self->lock);
  if (fresh)
    spt_source_pad_added (rtpbin, pad, self);
  if (fresh && all)
    spt_source_all_pads (rtpbin, self);
}

static gboolean
build_published (SptSource *self, GError **error)
{
  GstElement *rtpbin = spt_publisher_build (self->spec->publisher, GST_BIN (self->pipeline), error);
  if (!rtpbin)
    return FALSE;
  self->live = TRUE;
  g_signal_connect_object (rtpbin, "pad-added", G_CALLBACK (on_published_pad), self, 0);
  return TRUE;
}

static gboolean
build_file (SptSource *self, GError **error)
{
  const char *path = self->spec->rest;
  if (!g_file_test (path, G_FILE_TEST_IS_REGULAR)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_UNAVAILABLE, "there is no file %s", path);
    return FALSE;
  }
  GstElement *file = make (self, "filesrc", error);
  if (!file)
    return FALSE;
  self->loop = spt_spec_option (self->spec, "loop") != NULL;
  g_object_set (file, "location", path, NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (file, "src");
  spt_source_add_pad (self, pad);
  return TRUE;
}

static gboolean
has_live_element (GstBin *bin)
{
  g_autoptr (GstIterator) it = gst_bin_iterate_sources (bin);
  g_auto (GValue) item = G_VALUE_INIT;
  gboolean live = FALSE;
  while (!live && gst_iterator_next (it, &item) == GST_ITERATOR_OK) {
    GObject *element = g_value_get_object (&item);
    GParamSpec *pspec = g_object_class_find_property (G_OBJECT_GET_CLASS (element), "is-live");
    const char *type = G_OBJECT_TYPE_NAME (element);
    if (pspec && pspec->value_type == G_TYPE_BOOLEAN)
      g_object_get (element, "is-live", &live, NULL);
    /* Live without saying so by a property. */
    live |= g_str_has_prefix (type, "GstV4l2") || g_str_has_prefix (type, "GstUDPSrc") ||
            g_str_has_prefix (type, "GstRTSPSrc") || g_str_has_prefix (type, "GstSRTSrc") ||
            g_str_has_prefix (type, "GstPipeWireSrc") || g_str_has_prefix (type, "GstLibcameraSrc");
    g_value_reset (&item);
  }
  return live;
}

static gboolean
build_launch (SptSource *self, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *text = g_strconcat ("bin.( ", self->spec->rest, " )", NULL);
  g_autoptr (GstElement) bin = gst_parse_launch_full (
      text, NULL, GST_PARSE_FLAG_FATAL_ERRORS | GST_PARSE_FLAG_NO_SINGLE_ELEMENT_BINS, &local);
  if (!bin || !GST_IS_BIN (bin)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "the launch text does not work: %s",
        local ? local->message : "it makes no element");
    return FALSE;
  }
  gst_object_ref_sink (bin);
  gst_bin_add (GST_BIN (self->pipeline), bin);
  self->live = has_live_element (GST_BIN (bin));
  guint pads = 0;
  for (;;) {
    g_autoptr (GstPad) open = gst_bin_find_unlinked_pad (GST_BIN (bin), GST_PAD_SRC);
    if (!open)
      break;
    GstPad *ghost = gst_ghost_pad_new (NULL, open);
    gst_pad_set_active (ghost, TRUE);
    gst_element_add_pad (bin, ghost);
    spt_source_add_pad (self, ghost);
    pads++;
  }
  if (!pads)
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "the launch text leaves no pad open: end it without a sink");
  return pads > 0;
}

static gboolean (*const builders[]) (SptSource *self, GError **error) = {
    [SPT_SPEC_TEST] = build_test,
    [SPT_SPEC_CAMERA] = build_camera,
    [SPT_SPEC_RTSP] = build_rtsp,
    [SPT_SPEC_FILE] = build_file,
    [SPT_SPEC_LAUNCH] = build_launch,
    [SPT_SPEC_PUBLISHED] = build_published,
};

/* Makes the elements of the spec's kind; their pads come now or with the data. */
gboolean
spt_source_build (SptSource *self, GError **error)
{
  return builders[self->spec->kind](self, error);
}
