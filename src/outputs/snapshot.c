/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Single pictures: `/api/frame.jpeg` and `/api/frame.mp4`, from the same tracks the viewers share.
 *
 * The picture is the next unit of the track, which a joiner gets from its cache at once. Scaling
 * and turning run in a small pipeline of their own on a worker thread. */
#include "config.h"

#include <string.h>

#include "ask.h"
#include "doors.h"
#include "error.h"
#include "filters.h"
#include "live.h"
#include "packer.h"
#include "track.h"
#include "viewer.h"

/* The longest a caller waits for a picture, source start included. */
#define WAIT_MS 15000
#define SCALE_TIMEOUT (5 * GST_SECOND)
#define SIDE_MAX 8192
/* Pictures kept for `cache=`; one per stream, size and turn */
#define CACHE_MAX 64

typedef struct {
  SptHost *host;
  GHashTable *cache; /* "name w h rotate" → Cached */
} Snapshot;

typedef struct {
  GBytes *jpeg;
  gint64 taken; /* monotonic µs */
} Cached;

typedef struct {
  Snapshot *door;
  SptHttpRequest *request;
  SptStream *stream;
  gboolean mp4;
  int width, height, rotate;
  const char *overlay; /* (nullable): static */
  char *key;
  SptLease *lease;
  SptViewer *viewer;
  SptAsk *ask;
  gulong left_id;
  guint timeout_id;
  gatomicrefcount refs;
  gboolean over;
} Shot;

static void
cached_free (gpointer data)
{
  Cached *cached = data;
  g_bytes_unref (cached->jpeg);
  g_free (cached);
}

static Shot *
shot_ref (Shot *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

static void
shot_unref (gpointer data)
{
  Shot *self = data;
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_object_unref (self->viewer);
  g_object_unref (self->stream);
  spt_http_request_unref (self->request);
  g_free (self->key);
  g_free (self);
}

/* Gives back what the shot held; the answer, if there is one, has been given. Idempotent. */
static void
shot_end (Shot *self)
{
  if (self->over)
    return;
  self->over = TRUE;
  g_signal_handler_disconnect (spt_http_request_cancellable (self->request), self->left_id);
  g_clear_handle_id (&self->timeout_id, g_source_remove);
  if (self->lease) {
    spt_track_detach (spt_lease_get_track (self->lease), self->viewer);
    g_clear_pointer (&self->lease, spt_lease_free);
  }
  spt_viewer_silence (self->viewer);
  g_clear_pointer (&self->ask, spt_ask_take_back);
  shot_unref (self);
}

static void
answer (Shot *self, GBytes *body)
{
  if (!self->mp4) {
    if (g_hash_table_size (self->door->cache) >= CACHE_MAX)
      g_hash_table_remove_all (self->door->cache);
    Cached *cached = g_new (Cached, 1);
    *cached = (Cached){g_bytes_ref (body), g_get_monotonic_time ()};
    g_hash_table_replace (self->door->cache, g_strdup (self->key), cached);
  }
  spt_http_reply (self->request, SOUP_STATUS_OK, self->mp4 ? "video/mp4" : "image/jpeg", body);
  shot_end (self);
}

static void
answer_error (Shot *self, const GError *error)
{
  spt_http_reply_error (self->request, error);
  shot_end (self);
}

static GBytes *
buffer_bytes (GstBuffer *buffer)
{
  gpointer data;
  gsize size;
  gst_buffer_extract_dup (buffer, 0, (gsize)-1, &data, &size);
  return g_bytes_new_take (data, size);
}

/* ---- scaling ------------------------------------------------------------------------------ */

typedef struct {
  GBytes *jpeg;
  int width, height, rotate;
} Scaling;

static void
scaling_free (gpointer data)
{
  Scaling *scaling = data;
  g_bytes_unref (scaling->jpeg);
  g_free (scaling);
}

static GstCaps *
scaled_caps (const Scaling *scaling)
{
  GstCaps *caps =
      gst_caps_new_simple ("video/x-raw", "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1, NULL);
  if (scaling->width)
    gst_caps_set_simple (caps, "width", G_TYPE_INT, scaling->width, NULL);
  if (scaling->height)
    gst_caps_set_simple (caps, "height", G_TYPE_INT, scaling->height, NULL);
  return caps;
}

static void
scale_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Scaling *scaling = data;
  g_autoptr (GstElement) pipeline = gst_parse_launch (
      "appsrc name=in format=time ! jpegdec ! videoflip name=flip ! videoscale add-borders=false ! "
      "capsfilter name=size ! jpegenc quality=85 ! appsink name=out sync=false",
      NULL);
  gst_object_ref_sink (pipeline);
  g_autoptr (GstElement) in = gst_bin_get_by_name (GST_BIN (pipeline), "in");
  g_autoptr (GstElement) out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  g_autoptr (GstElement) flip = gst_bin_get_by_name (GST_BIN (pipeline), "flip");
  g_autoptr (GstElement) size = gst_bin_get_by_name (GST_BIN (pipeline), "size");
  g_autoptr (GstCaps) caps = gst_caps_new_empty_simple ("image/jpeg");
  g_autoptr (GstCaps) to = scaled_caps (scaling);
  /* GstVideoOrientationMethod: 1, 2, 3 turn by 90, 180, 270 degrees clockwise */
  g_object_set (flip, "video-direction", scaling->rotate / 90, NULL);
  g_object_set (in, "caps", caps, NULL);
  g_object_set (size, "caps", to, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  GstBuffer *buffer = gst_buffer_new_wrapped_bytes (scaling->jpeg);
  GST_BUFFER_PTS (buffer) = 0;
  GstFlowReturn flow;
  GstSample *sample = NULL;
  g_signal_emit_by_name (in, "push-buffer", buffer, &flow);
  gst_buffer_unref (buffer);
  g_signal_emit_by_name (in, "end-of-stream", &flow);
  g_signal_emit_by_name (out, "try-pull-sample", (guint64)SCALE_TIMEOUT, &sample);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (sample)
    g_task_return_pointer (
        task, buffer_bytes (gst_sample_get_buffer (sample)), (GDestroyNotify)g_bytes_unref);
  else
    g_task_return_new_error (task, SPT_ERROR, SPT_ERROR_FAILED, "the picture could not be scaled");
  g_clear_pointer (&sample, gst_sample_unref);
}

static void
on_scaled (GObject *object, GAsyncResult *result, gpointer data)
{
  Shot *self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) jpeg = g_task_propagate_pointer (G_TASK (result), &error);
  if (!self->over && jpeg)
    answer (self, jpeg);
  else if (!self->over)
    answer_error (self, error);
  shot_unref (self);
}

static void
scale (Shot *self, GBytes *jpeg)
{
  Scaling *scaling = g_new (Scaling, 1);
  *scaling = (Scaling){g_bytes_ref (jpeg), self->width, self->height, self->rotate};
  g_autoptr (GTask) task = g_task_new (NULL, NULL, on_scaled, shot_ref (self));
  g_task_set_task_data (task, scaling, scaling_free);
  g_task_run_in_thread (task, scale_thread);
}

/* ---- taking ------------------------------------------------------------------------------- */

static void
take_mp4 (Shot *self, GstSample *unit)
{
  GstBuffer *header = spt_fragments_header (gst_sample_get_caps (unit));
  g_autoptr (GstBuffer) file =
      gst_buffer_append (gst_buffer_ref (header), gst_buffer_ref (gst_sample_get_buffer (unit)));
  g_autoptr (GBytes) bytes = buffer_bytes (file);
  answer (self, bytes);
}

static gboolean
on_unit (gpointer data)
{
  Shot *self = data;
  g_autoptr (GError) reason = NULL;
  g_autoptr (GstSample) unit = self->over ? NULL : spt_viewer_pop (self->viewer, NULL);
  if (unit && self->mp4) {
    take_mp4 (self, unit);
  } else if (unit) {
    g_autoptr (GBytes) jpeg = buffer_bytes (gst_sample_get_buffer (unit));
    if (self->width || self->height || self->rotate)
      scale (self, jpeg);
    else
      answer (self, jpeg);
  } else if (!self->over && spt_viewer_ended (self->viewer, &reason)) {
    if (!reason)
      reason = g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "the stream ended");
    answer_error (self, reason);
  }
  return G_SOURCE_REMOVE;
}

/* Streaming thread */
static void
on_viewer (SptViewer *viewer, gpointer data)
{
  g_idle_add_full (G_PRIORITY_DEFAULT, on_unit, shot_ref (data), shot_unref);
}

static void
on_lease (SptLease *lease, const GError *error, gpointer data)
{
  Shot *self = data;
  self->ask = NULL;
  if (lease) {
    self->lease = lease;
    spt_track_attach (spt_lease_get_track (lease), self->viewer, 0);
  } else {
    answer_error (self, error);
  }
}

static gboolean
on_timeout (gpointer data)
{
  Shot *self = data;
  self->timeout_id = 0;
  g_autoptr (GError) error =
      g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "the stream %s gave no picture within %d s",
          spt_stream_get_name (self->stream), WAIT_MS / 1000);
  answer_error (self, error);
  return G_SOURCE_REMOVE;
}

static void
on_gone (GCancellable *cancellable, gpointer data)
{
  shot_end (data);
}

static void
shot_start (Snapshot *door, SptHttpRequest *request, SptStream *stream, const Shot *how)
{
  Shot *self = g_new (Shot, 1);
  *self = *how;
  g_atomic_ref_count_init (&self->refs);
  SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 16u << 20, GST_SECOND};
  self->door = door;
  self->request = spt_http_request_ref (request);
  self->stream = g_object_ref (stream);
  self->viewer = spt_viewer_new (&limits, on_viewer, self);
  self->left_id = g_signal_connect (
      spt_http_request_cancellable (request), "cancelled", G_CALLBACK (on_gone), self);
  self->timeout_id = g_timeout_add (WAIT_MS, on_timeout, self);
  g_autoptr (GstCaps) jpeg = self->mp4 ? NULL : gst_caps_new_empty_simple ("image/jpeg");
  SptWant want = {.container = self->mp4 ? "mp4" : NULL,
      .video = jpeg,
      .no_audio = TRUE,
      .overlay = self->overlay};
  SptConsumer consumer = {.format = self->mp4 ? "frame/mp4" : "frame/jpeg",
      .protocol = "http",
      .remote_addr = (char *)spt_http_request_remote (request),
      .user_agent = (char *)spt_http_request_header (request, "User-Agent")};
  spt_http_wait (request);
  self->ask = spt_ask (stream, &want, &consumer, on_lease, self);
}

static gboolean
answer_from_cache (Snapshot *door, SptHttpRequest *request, const char *key, double seconds)
{
  Cached *cached = g_hash_table_lookup (door->cache, key);
  if (!cached || g_get_monotonic_time () - cached->taken > seconds * G_USEC_PER_SEC)
    return FALSE;
  spt_http_reply (request, SOUP_STATUS_OK, "image/jpeg", cached->jpeg);
  return TRUE;
}

static gboolean
read_side (SptHttpRequest *request, const char *name, const char *alias, int *side, GError **error)
{
  double value;
  const char *used = spt_http_request_param (request, name) ? name : alias;
  if (!spt_http_request_number (request, used, 0, 0, SIDE_MAX, &value, error))
    return FALSE;
  *side = (int)value;
  return TRUE;
}

static void
on_frame_jpeg (SptHttpRequest *request, gpointer data)
{
  Snapshot *self = data;
  SptStream *stream = spt_live_find_stream (self->host, request);
  g_autoptr (GError) error = NULL;
  Shot shot = {0};
  double rotate, cache;
  if (!stream)
    return;
  if (g_str_equal (spt_http_request_method (request), "HEAD")) {
    spt_http_reply_head (request, "image/jpeg");
    return;
  }
  SptWant want = {0};
  if (!spt_filters_read_overlay (spt_http_request_param (request, "overlay"), &want, &error) ||
      !read_side (request, "width", "w", &shot.width, &error) ||
      !read_side (request, "height", "h", &shot.height, &error) ||
      !spt_http_request_number (request, "rotate", 0, -360, 360, &rotate, &error) ||
      !spt_http_request_number (request, "cache", 0, 0, 86400, &cache, &error)) {
    spt_http_reply_error (request, error);
    return;
  }
  shot.rotate = (((int)rotate % 360 + 360) % 360) / 90 * 90;
  shot.overlay = want.overlay;
  shot.key = g_strdup_printf ("%s %d %d %d %s", spt_stream_get_name (stream), shot.width,
      shot.height, shot.rotate, want.overlay ? want.overlay : "");
  if (answer_from_cache (self, request, shot.key, cache))
    g_free (shot.key);
  else
    shot_start (self, request, stream, &shot);
}

static void
on_frame_mp4 (SptHttpRequest *request, gpointer data)
{
  Snapshot *self = data;
  SptStream *stream = spt_live_find_stream (self->host, request);
  Shot shot = {.mp4 = TRUE};
  if (stream && g_str_equal (spt_http_request_method (request), "HEAD"))
    spt_http_reply_head (request, "video/mp4");
  else if (stream)
    shot_start (self, request, stream, &shot);
}

static gpointer
start (SptHost *host, GError **error)
{
  static const struct {
    const char *path;
    SptHttpHandler handler;
  } routes[] = {{"/api/frame.jpeg", on_frame_jpeg}, {"/frame.jpeg", on_frame_jpeg},
      {"/api/frame.mp4", on_frame_mp4}, {"/frame.mp4", on_frame_mp4}};
  Snapshot *self = g_new0 (Snapshot, 1);
  self->host = host;
  self->cache = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, cached_free);
  for (guint i = 0; i < G_N_ELEMENTS (routes); i++)
    spt_http_route (
        host->http, "GET,HEAD", routes[i].path, SPT_ACTION_VIEW, routes[i].handler, self);
  return self;
}

static void
stop (gpointer data)
{
  Snapshot *self = data;
  g_hash_table_unref (self->cache);
  g_free (self);
}

const SptOutput spt_output_snapshot = {
    .name = "snapshot", .summary = "single pictures over HTTP", .start = start, .stop = stop};
