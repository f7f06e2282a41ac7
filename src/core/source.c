/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Source text → pipeline → tracks.
 *
 * Every kind of source ends in pads whose data `parsebin` recognises; behind each of its pads a
 * tail brings the stream into canonical caps and into the track:
 *
 *   live       parsebin ! [parser !] caps ! appsink
 *   not live   parsebin ! queue ! clocksync ! [parser !] caps ! appsink
 *
 * What is not live (a file, a launch text without a live source) brings its own time line. Its
 * first buffer is mapped to running time now, by one offset for all its pads, and again at each
 * loop. */
#include "config.h"

#include "source-private.h"

#include "devices.h"
#include "error.h"
#include "pipeline.h"
#include "spec.h"
#include "track.h"

GST_DEBUG_CATEGORY (spotter_source); /* also of source-kinds.c */
#define GST_CAT_DEFAULT spotter_source

G_DEFINE_FINAL_TYPE_WITH_CODE (SptSource, spt_source, G_TYPE_OBJECT,
    GST_DEBUG_CATEGORY_INIT (spotter_source, "spotter-source", 0, "sources"))

/* Codec → the parser and caps that every consumer may rely on. */
static const struct {
  const char *from, *parser, *caps;
} canonical[] = {
    {"video/x-h264", "h264parse config-interval=-1",
        "video/x-h264, stream-format=byte-stream, alignment=au"},
    {"video/x-h265", "h265parse config-interval=-1",
        "video/x-h265, stream-format=byte-stream, alignment=au"},
    {"audio/mpeg, mpegversion=(int){2, 4}", "aacparse",
        "audio/mpeg, mpegversion=4, stream-format=raw"},
};

static void
spt_source_finalize (GObject *object)
{
  SptSource *self = SPT_SOURCE (object);
  g_assert (!self->running);
  gst_clear_object (&self->pipeline);
  spt_spec_unref (self->spec);
  g_clear_object (&self->tracks[0]);
  g_clear_object (&self->tracks[1]);
  g_ptr_array_unref (self->syncs);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (spt_source_parent_class)->finalize (object);
}

static void
spt_source_class_init (SptSourceClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = spt_source_finalize;
}

static void
spt_source_init (SptSource *self)
{
  g_mutex_init (&self->lock);
  self->syncs = g_ptr_array_new ();
}

/**
 * spt_source_new:
 * @events: called on the main context until spt_source_stop()
 */
SptSource *
spt_source_new (
    SptSpec *spec, SptTrack *video, SptTrack *audio, const SptSourceEvents *events, gpointer data)
{
  SptSource *self = g_object_new (SPT_TYPE_SOURCE, NULL);
  self->spec = spt_spec_ref (spec);
  self->tracks[0] = g_object_ref (video);
  self->tracks[1] = g_object_ref (audio);
  self->events = *events;
  self->data = data;
  return self;
}

static gboolean
complete_on_main (gpointer user_data)
{
  SptSource *self = user_data;
  if (self->running)
    self->events.complete (self->data);
  return G_SOURCE_REMOVE;
}

static void
check_complete (SptSource *self)
{
  g_mutex_lock (&self->lock);
  gboolean complete = self->all_pads && !self->parsers && !self->completed;
  self->completed |= complete;
  g_mutex_unlock (&self->lock);
  if (complete)
    g_idle_add_full (G_PRIORITY_DEFAULT, complete_on_main, g_object_ref (self), g_object_unref);
}

/* The first buffer of a run, on whichever pad, decides where its time line lies in ours. */
static GstPadProbeReturn
on_first_buffer (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  SptSource *self = user_data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  GstClockTime time = GST_BUFFER_DTS_OR_PTS (buffer);
  g_mutex_lock (&self->lock);
  if (!self->offset_set && GST_CLOCK_TIME_IS_VALID (time)) {
    g_autoptr (GstEvent) event = gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);
    const GstSegment *segment = NULL;
    if (event)
      gst_event_parse_segment (event, &segment);
    guint64 running = 0;
    int sign =
        segment ? gst_segment_to_running_time_full (segment, GST_FORMAT_TIME, time, &running) : 0;
    self->offset = (gint64)spt_clock_now () - (sign < 0 ? -(gint64)running : (gint64)running);
    for (guint i = 0; i < self->syncs->len; i++)
      g_object_set (g_ptr_array_index (self->syncs, i), "ts-offset", self->offset, NULL);
    self->offset_set = TRUE;
  }
  g_mutex_unlock (&self->lock);
  return GST_PAD_PROBE_OK;
}

GstElement *
spt_source_add_element (SptSource *self, const char *name)
{
  GstElement *element = gst_element_factory_make (name, NULL);
  if (!element)
    return NULL;
  gst_bin_add (GST_BIN (self->pipeline), element);
  return element;
}

static GstElement *
append (SptSource *self, GPtrArray *chain, const char *name)
{
  GstElement *element = spt_source_add_element (self, name);
  g_ptr_array_add (chain, element);
  return element;
}

static void
append_sync (SptSource *self, GPtrArray *chain)
{
  GstElement *queue = append (self, chain, "queue");
  g_object_set (queue, "max-size-buffers", 0, "max-size-bytes", 32u << 20, "max-size-time",
      (guint64)2 * GST_SECOND, NULL);
  GstElement *sync = append (self, chain, "clocksync");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (queue, "sink");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_first_buffer, self, NULL);
  g_mutex_lock (&self->lock);
  if (self->offset_set)
    g_object_set (sync, "ts-offset", self->offset, NULL);
  g_ptr_array_add (self->syncs, sync);
  g_mutex_unlock (&self->lock);
}

static void
append_canonical (SptSource *self, GPtrArray *chain, GstCaps *caps)
{
  for (guint i = 0; i < G_N_ELEMENTS (canonical); i++) {
    g_autoptr (GstCaps) from = gst_caps_from_string (canonical[i].from);
    if (!gst_caps_can_intersect (caps, from))
      continue;
    GstElement *parser = gst_parse_bin_from_description (canonical[i].parser, TRUE, NULL);
    gst_bin_add (GST_BIN (self->pipeline), parser);
    g_ptr_array_add (chain, parser);
    GstElement *filter = append (self, chain, "capsfilter");
    g_autoptr (GstCaps) to = gst_caps_from_string (canonical[i].caps);
    g_object_set (filter, "caps", to, NULL);
    return;
  }
}

/* Links the chain from its end, so that data meets only elements that run. */
static void
link_chain (GPtrArray *chain, GstPad *pad)
{
  for (guint i = chain->len; i-- > 0;) {
    if (i + 1 < chain->len)
      gst_element_link (g_ptr_array_index (chain, i), g_ptr_array_index (chain, i + 1));
    gst_element_sync_state_with_parent (g_ptr_array_index (chain, i));
  }
  g_autoptr (GstPad) sink = gst_element_get_static_pad (g_ptr_array_index (chain, 0), "sink");
  if (GST_PAD_LINK_FAILED (gst_pad_link (pad, sink)))
    GST_WARNING_OBJECT (pad, "could not be linked");
}

/* A parsebin adds all its pads before it lets data through, and never says "no-more-pads": the
 * first buffer on any of them says it. */
static GstPadProbeReturn
on_parser_done (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  SptSource *self = user_data;
  g_autoptr (GstObject) parsebin = gst_object_get_parent (GST_OBJECT (pad));
  g_mutex_lock (&self->lock);
  if (parsebin && !g_object_get_data (G_OBJECT (parsebin), "spt-done")) {
    g_object_set_data (G_OBJECT (parsebin), "spt-done", parsebin);
    self->parsers--;
  }
  g_mutex_unlock (&self->lock);
  check_complete (self);
  return GST_PAD_PROBE_REMOVE;
}

static void
on_parsed_pad (GstElement *parsebin, GstPad *pad, gpointer user_data)
{
  SptSource *self = user_data;
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  if (!caps)
    caps = gst_pad_query_caps (pad, NULL);
  const char *name = gst_caps_is_empty (caps) || gst_caps_is_any (caps)
                         ? ""
                         : gst_structure_get_name (gst_caps_get_structure (caps, 0));
  gboolean audio = g_str_has_prefix (name, "audio/");
  gboolean video = g_str_has_prefix (name, "video/") || g_str_has_prefix (name, "image/");
  g_autoptr (GPtrArray) chain = g_ptr_array_new ();
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_parser_done, self, NULL);

  g_mutex_lock (&self->lock);
  gboolean wanted = (audio || video) && !self->taps[audio];
  if (wanted)
    self->taps[audio] = spt_pipeline_add_tap (
        GST_BIN (self->pipeline), self->tracks[audio], self->live ? NULL : &self->offset);
  g_mutex_unlock (&self->lock);

  if (!wanted) {
    GST_INFO_OBJECT (pad, "not used: %" GST_PTR_FORMAT, caps);
    g_object_set (append (self, chain, "fakesink"), "sync", FALSE, "async", FALSE, NULL);
  } else {
    if (!self->live)
      append_sync (self, chain);
    append_canonical (self, chain, caps);
    g_ptr_array_add (chain, self->taps[audio]);
  }
  link_chain (chain, pad);
}

/* A pad with anything on it: RTP, a container, an elementary stream, raw pictures. */
void
spt_source_add_pad (SptSource *self, GstPad *pad)
{
  GstElement *parsebin = spt_source_add_element (self, "parsebin");
  g_mutex_lock (&self->lock);
  self->parsers++;
  g_mutex_unlock (&self->lock);
  g_signal_connect_object (parsebin, "pad-added", G_CALLBACK (on_parsed_pad), self, 0);
  g_autoptr (GstPad) sink = gst_element_get_static_pad (parsebin, "sink");
  gst_element_sync_state_with_parent (parsebin);
  if (GST_PAD_LINK_FAILED (gst_pad_link (pad, sink)))
    GST_WARNING_OBJECT (pad, "could not be linked");
}

static const struct {
  const char *encoding, *depayloader, *caps;
} whole_units[] = {
    {"H264", "rtph264depay", "video/x-h264, stream-format=byte-stream, alignment=au"},
    {"H265", "rtph265depay", "video/x-h265, stream-format=byte-stream, alignment=au"},
};

/* Left to themselves these depayloaders hand on NAL units, and the parser then waits for the next
 * picture to know that one is complete: a whole frame of latency. The marker bit knows it at once.
 */
void
spt_source_pad_added (GstElement *element, GstPad *pad, gpointer user_data)
{
  SptSource *self = user_data;
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  const char *encoding =
      caps ? gst_structure_get_string (gst_caps_get_structure (caps, 0), "encoding-name") : NULL;
  for (guint i = 0; encoding && i < G_N_ELEMENTS (whole_units); i++) {
    if (!g_str_equal (encoding, whole_units[i].encoding))
      continue;
    g_autoptr (GPtrArray) chain = g_ptr_array_new ();
    append (self, chain, whole_units[i].depayloader);
    GstElement *filter = append (self, chain, "capsfilter");
    g_autoptr (GstCaps) whole = gst_caps_from_string (whole_units[i].caps);
    g_object_set (filter, "caps", whole, NULL);
    g_autoptr (GstPad) out = gst_element_get_static_pad (filter, "src");
    spt_source_add_pad (self, out);
    link_chain (chain, pad);
    return;
  }
  spt_source_add_pad (self, pad);
}

void
spt_source_all_pads (GstElement *element, gpointer user_data)
{
  SptSource *self = user_data;
  g_mutex_lock (&self->lock);
  self->all_pads = TRUE;
  g_mutex_unlock (&self->lock);
  check_complete (self);
}

/* ---- running ------------------------------------------------------------------------------ */

static void
on_ended (const GError *error, gpointer user_data)
{
  SptSource *self = user_data;
  if (!error && self->loop) {
    g_mutex_lock (&self->lock);
    self->offset_set = FALSE;
    g_mutex_unlock (&self->lock);
    if (gst_element_seek_simple (
            self->pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_KEY_UNIT, 0))
      return;
  }
  self->events.ended (error, self->data);
}

/* Opens the camera and fixes the mode that comes nearest to what was asked. Worker thread. */
static gboolean
open_camera (gpointer user_data, GError **error)
{
  SptSource *self = user_data;
  int width, height, num, den;
  g_autofree char *device = spt_devices_resolve (self->spec->rest, error);
  if (!device || !spt_spec_size (self->spec, &width, &height, error) ||
      !spt_spec_framerate (self->spec, &num, &den, error))
    return FALSE;
  g_object_set (self->camera, "device", device, NULL);
  if (gst_element_set_state (self->camera, GST_STATE_READY) == GST_STATE_CHANGE_FAILURE)
    return TRUE; /* the bus has the sentence */
  g_autoptr (GstPad) pad = gst_element_get_static_pad (self->camera, "src");
  g_autoptr (GstCaps) offered = gst_pad_query_caps (pad, NULL);
  g_autoptr (GstCaps) mode = spt_devices_choose_mode (
      offered, spt_spec_option (self->spec, "input_format"), width, height, num, den);
  GST_INFO_OBJECT (self->camera, "%s: mode %" GST_PTR_FORMAT, device, mode);
  g_object_set (self->camera_mode, "caps", mode, NULL);
  return TRUE;
}

static void
start_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  SptSource *self = source;
  GError *error = NULL;
  if (spt_pipeline_start (data, self->camera ? open_camera : NULL, self, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void
start_done (GObject *object, GAsyncResult *result, gpointer user_data)
{
  SptSource *self = SPT_SOURCE (object);
  g_autoptr (GError) error = NULL;
  if (!g_task_propagate_boolean (G_TASK (result), &error) && self->running)
    self->events.ended (error, self->data);
}

static void
force_keyframe (gpointer user_data)
{
  SptSource *self = user_data;
  g_mutex_lock (&self->lock);
  g_autoptr (GstElement) tap = self->taps[0] ? gst_object_ref (self->taps[0]) : NULL;
  g_mutex_unlock (&self->lock);
  if (tap)
    spt_pipeline_force_keyframe (tap);
}

/**
 * spt_source_start:
 *
 * Builds the pipeline and starts it in a worker thread (opening a device or a network peer can take
 * seconds). Errors that are known at once are returned, later ones come by the ended event.
 */
gboolean
spt_source_start (SptSource *self, GError **error)
{
  self->pipeline = spt_pipeline_new ("source");
  gboolean dynamic = self->spec->kind == SPT_SPEC_RTSP || self->spec->kind == SPT_SPEC_PUBLISHED;
  if (!spt_source_build (self, error)) {
    gst_element_set_state (self->pipeline, GST_STATE_NULL);
    return FALSE;
  }
  self->running = TRUE;
  self->all_pads = !dynamic;
  spt_pipeline_watch (self->pipeline, on_ended, self);
  spt_track_set_keyframe_func (self->tracks[0], force_keyframe, self);
  g_autoptr (GTask) task = g_task_new (self, NULL, start_done, NULL);
  g_task_set_task_data (task, gst_object_ref (self->pipeline), gst_object_unref);
  g_task_run_in_thread (task, start_thread);
  return TRUE;
}

static void
stop_finished (GObject *unused, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_task_return_boolean (task, TRUE);
}

/**
 * spt_source_stop:
 * @done: called on the main context when the device or connection is closed
 *
 * No event follows. The tracks are flushed; their viewers stay. Idempotent.
 */
void
spt_source_stop (SptSource *self, GAsyncReadyCallback done, gpointer data)
{
  GTask *task = g_task_new (self, NULL, done, data);
  if (!self->running) {
    g_task_return_boolean (task, TRUE);
    g_object_unref (task);
    return;
  }
  spt_track_set_keyframe_func (self->tracks[0], NULL, NULL);
  self->running = FALSE;
  spt_pipeline_stop (gst_object_ref (self->pipeline), stop_finished, task);
}

gboolean
spt_source_has_video (SptSource *self)
{
  g_mutex_lock (&self->lock);
  gboolean has = self->taps[0] != NULL;
  g_mutex_unlock (&self->lock);
  return has;
}

gboolean
spt_source_has_audio (SptSource *self)
{
  g_mutex_lock (&self->lock);
  gboolean has = self->taps[1] != NULL;
  g_mutex_unlock (&self->lock);
  return has;
}

/* (transfer none) (nullable): for the graph. Main context. */
GstElement *
spt_source_get_pipeline (SptSource *self)
{
  return self->running ? self->pipeline : NULL;
}
