/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pipeline.h"

#include <gst/app/gstappsink.h>
#include <gst/video/video.h>

#include "error.h"
#include "track.h"

GST_DEBUG_CATEGORY_STATIC (spotter_pipeline);
#define GST_CAT_DEFAULT spotter_pipeline

/* Pipelines on their way to NULL in a worker thread; main context */
static guint stopping;

typedef struct {
  SptTrack *track;
  const gint64 *offset; /* ns; read on the streaming thread */
  GstCaps *caps;        /* streaming thread */
} Tap;

static GstClock *
process_clock (GstClockTime *base)
{
  static GstClock *clock;
  static GstClockTime base_time;
  static gsize once;
  if (g_once_init_enter (&once)) {
    GST_DEBUG_CATEGORY_INIT (spotter_pipeline, "spotter-pipeline", 0, "pipelines");
    clock = gst_system_clock_obtain ();
    base_time = gst_clock_get_time (clock);
    g_once_init_leave (&once, 1);
  }
  *base = base_time;
  return clock;
}

/**
 * spt_clock_now:
 *
 * Returns: running time of every pipeline of this process, in ns; what PTS are measured against.
 */
GstClockTime
spt_clock_now (void)
{
  GstClockTime base;
  GstClock *clock = process_clock (&base);
  return gst_clock_get_time (clock) - base;
}

/* What is added to running time to get wall-clock time, ns. The wall clock may be set while we run:
 * small corrections are followed slowly, so that nobody sees time jump; large ones at once. */
#define WALL_INTERVAL GST_SECOND
#define WALL_SLEW_PPM 500
#define WALL_STEP GST_SECOND

static gint64
wall_offset (void)
{
  static GMutex lock;
  static gint64 offset;
  static GstClockTime read_at = GST_CLOCK_TIME_NONE;
  GstClockTime now = spt_clock_now ();
  g_mutex_lock (&lock);
  if (read_at == GST_CLOCK_TIME_NONE || now - read_at >= WALL_INTERVAL) {
    gint64 wanted = g_get_real_time () * 1000 - (gint64)now, away = wanted - offset;
    if (read_at == GST_CLOCK_TIME_NONE || ABS (away) > (gint64)WALL_STEP) {
      if (read_at != GST_CLOCK_TIME_NONE)
        GST_WARNING ("the wall clock was set by %.1f s", (double)away / GST_SECOND);
      offset = wanted;
    } else {
      gint64 most = (gint64)((now - read_at) * WALL_SLEW_PPM / 1000000);
      offset += CLAMP (away, -most, most);
    }
    read_at = now;
  }
  gint64 result = offset;
  g_mutex_unlock (&lock);
  return result;
}

/**
 * spt_clock_wall:
 * @running: a PTS
 *
 * Returns: the wall-clock time it means, ns since 1970. Any thread.
 */
gint64
spt_clock_wall (GstClockTime running)
{
  return (gint64)running + wall_offset ();
}

/**
 * spt_pipeline_new:
 * @name: for the log and the graph
 *
 * Returns: (transfer full): an empty pipeline that keeps the clock and base time of the process, so
 *   that a PTS means the same moment everywhere
 */
GstElement *
spt_pipeline_new (const char *name)
{
  GstClockTime base;
  GstClock *clock = process_clock (&base);
  GstElement *pipeline = gst_object_ref_sink (gst_pipeline_new (name));
  gst_pipeline_use_clock (GST_PIPELINE (pipeline), clock);
  gst_element_set_start_time (pipeline, GST_CLOCK_TIME_NONE);
  gst_element_set_base_time (pipeline, base);
  return pipeline;
}

/* "element: message (debug)", without the source file names of GStreamer. */
static GError *
sentence (GstMessage *message)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *debug = NULL;
  gst_message_parse_error (message, &error, &debug);
  const char *detail = debug ? strrchr (debug, '\n') : NULL;
  while (detail && g_ascii_isspace (*detail))
    detail++;
  const char *said = error->message;
  gsize length = strlen (said);
  while (length && said[length - 1] == '.')
    length--;
  return g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "%.*s%s%s%s", (int)length, said,
      detail && *detail ? " (" : "", detail && *detail ? detail : "", detail && *detail ? ")" : "");
}

typedef struct {
  SptPipelineEnded ended;
  gpointer data;
} Watch;

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer user_data)
{
  Watch *watch = user_data;
  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_ERROR: {
    g_autoptr (GError) error = sentence (message);
    GST_DEBUG_OBJECT (GST_MESSAGE_SRC (message), "%s", error->message);
    watch->ended (error, watch->data);
    break;
  }
  case GST_MESSAGE_EOS:
    watch->ended (NULL, watch->data);
    break;
  default:
    break;
  }
  return G_SOURCE_CONTINUE;
}

/**
 * spt_pipeline_watch:
 * @ended: called on the main context until spt_pipeline_unwatch(); it may stop the pipeline
 */
void
spt_pipeline_watch (GstElement *pipeline, SptPipelineEnded ended, gpointer data)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  Watch *watch = g_new (Watch, 1);
  *watch = (Watch){ended, data};
  gst_bus_add_watch_full (bus, G_PRIORITY_DEFAULT, on_message, watch, g_free);
}

void
spt_pipeline_unwatch (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  gst_bus_set_flushing (bus, TRUE);
  gst_bus_remove_watch (bus);
}

static GstClockTime
running_time (const GstSegment *segment, GstClockTime time, gint64 offset)
{
  guint64 running = 0;
  if (!GST_CLOCK_TIME_IS_VALID (time))
    return GST_CLOCK_TIME_NONE;
  int sign = gst_segment_to_running_time_full (segment, GST_FORMAT_TIME, time, &running);
  gint64 signed_time = (sign < 0 ? -(gint64)running : (gint64)running) + offset;
  return sign && signed_time > 0 ? (GstClockTime)signed_time : 0;
}

/* (transfer full): the sample's data as one buffer. mpegtsmux gives a list of 188-byte packets for
 * each access unit; handed on one by one they would cost every viewer a system call each. */
static GstBuffer *
one_buffer (GstSample *sample)
{
  GstBufferList *list = gst_sample_get_buffer_list (sample);
  if (!list)
    return gst_buffer_ref (gst_sample_get_buffer (sample));
  guint n = gst_buffer_list_length (list);
  GstBuffer *first = gst_buffer_list_get (list, 0);
  gsize size = gst_buffer_list_calculate_size (list), at = 0;
  GstBuffer *whole = gst_buffer_new_allocate (NULL, size, NULL);
  GstMapInfo map;
  gst_buffer_copy_into (
      whole, first, GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS, 0, (gsize)-1);
  gst_buffer_map (whole, &map, GST_MAP_WRITE);
  for (guint i = 0; i < n; i++)
    at += gst_buffer_extract (gst_buffer_list_get (list, i), 0, map.data + at, size - at);
  gst_buffer_unmap (whole, &map);
  return whole;
}

static GstFlowReturn
on_sample (GstAppSink *appsink, gpointer user_data)
{
  Tap *tap = user_data;
  g_autoptr (GstSample) sample = gst_app_sink_pull_sample (appsink);
  if (!sample)
    return GST_FLOW_EOS;
  GstCaps *caps = gst_sample_get_caps (sample);
  if (caps && caps != tap->caps) {
    gst_caps_replace (&tap->caps, caps);
    spt_track_set_caps (tap->track, caps);
  }
  const GstSegment *segment = gst_sample_get_segment (sample);
  gint64 offset = tap->offset ? *tap->offset : 0;
  GstBuffer *buffer = one_buffer (sample);
  GstClockTime pts = running_time (segment, GST_BUFFER_PTS (buffer), offset);
  GstClockTime dts = running_time (segment, GST_BUFFER_DTS (buffer), offset);
  if (!GST_CLOCK_TIME_IS_VALID (pts))
    pts = GST_CLOCK_TIME_IS_VALID (dts) ? dts : spt_clock_now ();
  if (pts != GST_BUFFER_PTS (buffer) || dts != GST_BUFFER_DTS (buffer)) {
    g_clear_pointer (&sample, gst_sample_unref);
    buffer = gst_buffer_make_writable (buffer);
    GST_BUFFER_PTS (buffer) = pts;
    GST_BUFFER_DTS (buffer) = dts;
  }
  spt_track_push (tap->track, buffer);
  return GST_FLOW_OK;
}

static void
tap_free (gpointer data)
{
  Tap *tap = data;
  g_object_unref (tap->track);
  gst_clear_caps (&tap->caps);
  g_free (tap);
}

/**
 * spt_pipeline_add_tap:
 * @bin: where the appsink goes
 * @track: gets caps and units, with timestamps in running time of the process
 * @offset: (nullable): ns added to each timestamp; must live as long as the appsink
 *
 * Returns: (transfer none): an appsink that hands over at once, never blocks and keeps nothing
 */
GstElement *
spt_pipeline_add_tap (GstBin *bin, SptTrack *track, const gint64 *offset)
{
  GstElement *appsink = gst_element_factory_make ("appsink", NULL);
  g_object_set (appsink, "sync", FALSE, "async", FALSE, "enable-last-sample", FALSE, "qos", FALSE,
      "wait-on-eos", FALSE, "max-buffers", 1, "buffer-list", TRUE, NULL);
  GstAppSinkCallbacks callbacks = {.new_sample = on_sample};
  Tap *tap = g_new0 (Tap, 1);
  tap->track = g_object_ref (track);
  tap->offset = offset;
  gst_app_sink_set_callbacks (GST_APP_SINK (appsink), &callbacks, tap, tap_free);
  gst_bin_add (bin, appsink);
  return appsink;
}

/**
 * spt_pipeline_force_keyframe:
 *
 * Sends a force-key-unit event upstream from @appsink; it reaches an encoder wherever it stands,
 * also inside a launch text.
 */
void
spt_pipeline_force_keyframe (GstElement *appsink)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (appsink, "sink");
  gst_pad_push_event (
      pad, gst_video_event_new_upstream_force_key_unit (GST_CLOCK_TIME_NONE, TRUE, 0));
}

/* On a pipeline whose stop has begun; written and read under its state lock. */
static GQuark
stopped_quark (void)
{
  return g_quark_from_static_string ("spt-stopped");
}

/**
 * spt_pipeline_start:
 * @prepare: (nullable): called first; FALSE stops here
 *
 * Runs @prepare and goes to PLAYING, unless spt_pipeline_stop() was faster. Blocks; any thread.
 *
 * Returns: what @prepare returned, TRUE without one
 */
gboolean
spt_pipeline_start (GstElement *pipeline, SptPipelinePrepare prepare, gpointer data, GError **error)
{
  gboolean ok = TRUE;
  GST_STATE_LOCK (pipeline);
  if (!g_object_get_qdata (G_OBJECT (pipeline), stopped_quark ())) {
    ok = !prepare || prepare (data, error);
    if (ok)
      gst_element_set_state (pipeline, GST_STATE_PLAYING);
  }
  GST_STATE_UNLOCK (pipeline);
  return ok;
}

static void
stop_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  GstElement *pipeline = data;
  GST_STATE_LOCK (pipeline);
  g_object_set_qdata (G_OBJECT (pipeline), stopped_quark (), pipeline);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  GST_STATE_UNLOCK (pipeline);
  g_task_return_boolean (task, TRUE);
}

static void
stop_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) outer = user_data;
  stopping--;
  if (outer)
    g_task_return_boolean (outer, TRUE);
}

/**
 * spt_pipeline_stop:
 * @pipeline: (transfer full): not to be touched afterwards
 * @done: (nullable): called on the main context when NULL was reached: devices and sockets are
 * closed
 *
 * Going to NULL can block for seconds on a network or a device: it happens in a worker thread.
 */
void
spt_pipeline_stop (GstElement *pipeline, GAsyncReadyCallback done, gpointer data)
{
  spt_pipeline_unwatch (pipeline);
  stopping++;
  GTask *outer = done ? g_task_new (NULL, NULL, done, data) : NULL;
  g_autoptr (GTask) task = g_task_new (NULL, NULL, stop_done, outer);
  g_task_set_task_data (task, pipeline, gst_object_unref);
  g_task_run_in_thread (task, stop_thread);
}

/**
 * spt_pipeline_wait_stopped:
 *
 * Runs the main context until every pipeline that is being stopped has reached NULL. For the end of
 * the process and of tests.
 */
void
spt_pipeline_wait_stopped (void)
{
  while (stopping)
    g_main_context_iteration (NULL, TRUE);
}
