/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A session: ask the stream, wait for the first unit, answer, hand the socket to the sender.
 *
 * The answer goes out with the first unit, or with the sentence of the first failure (503), or
 * after ANSWER_MS with 200, because clients time out at 5 s; then the session goes on asking until
 * the viewer leaves. */
#include "config.h"

#include "live.h"

#include <string.h>

#include "ask.h"
#include "error.h"
#include "filters.h"
#include "track.h"
#include "viewer.h"

#define ANSWER_MS 4000
/* Between two tries of a session that has already been answered. */
#define ASK_AGAIN_MS 1000

GST_DEBUG_CATEGORY_STATIC (spotter_live);
#define GST_CAT_DEFAULT spotter_live

typedef struct {
  gatomicrefcount refs; /* streaming threads take one for an idle call */
  SptHost *host;
  const SptLiveDoor *door;
  SptHttpRequest *request;
  SptStream *stream;
  SptWant want;
  SptConsumer consumer;
  GstClockTime duration;
  SptLease *lease;
  SptViewer *viewer;
  SptAsk *ask;
  gulong left_id;
  guint answer_id, again_id;
  gboolean handed; /* the sender has the socket */
  gboolean over;
} Session;

static void ask_stream (Session *self);

static Session *
session_ref (Session *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

static void
session_unref (gpointer data)
{
  Session *self = data;
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  spt_filters_clear (&self->want);
  g_free (self->consumer.remote_addr);
  g_free (self->consumer.user_agent);
  g_clear_object (&self->viewer);
  g_object_unref (self->stream);
  spt_http_request_unref (self->request);
  g_free (self);
}

/* The viewer is gone or cannot be served: gives back all it had. Idempotent. */
static void
session_end (Session *self)
{
  if (self->over)
    return;
  self->over = TRUE;
  g_signal_handler_disconnect (spt_http_request_cancellable (self->request), self->left_id);
  g_clear_handle_id (&self->answer_id, g_source_remove);
  g_clear_handle_id (&self->again_id, g_source_remove);
  if (self->lease) {
    spt_track_detach (spt_lease_get_track (self->lease), self->viewer);
    g_clear_pointer (&self->lease, spt_lease_free);
  }
  spt_viewer_silence (self->viewer);
  g_clear_pointer (&self->ask, spt_ask_take_back);
  session_unref (self);
}

static void
on_closed (const GError *reason, gpointer data)
{
  Session *self = data;
  SptViewerStats stats;
  spt_viewer_get_stats (self->viewer, &stats);
  GST_INFO ("%s: %s viewer %s left after %" G_GUINT64_FORMAT " kB, %" G_GUINT64_FORMAT
            " dropped%s%s",
      spt_stream_get_name (self->stream), self->door->format, self->consumer.remote_addr,
      stats.bytes / 1000, stats.drops, reason ? ": " : "", reason ? reason->message : "");
  session_end (self);
}

static void
hand_over (Session *self)
{
  GSocket *socket;
  char *head;
  g_clear_handle_id (&self->answer_id, g_source_remove);
  GIOStream *stream = spt_http_take_over (self->request, self->door->type, &socket, &head);
  if (!stream) {
    session_end (self);
    return;
  }
  self->handed = TRUE;
  g_autoptr (GBytes) bytes = g_bytes_new_take (head, strlen (head));
  spt_sender_add (self->host->sender,
      &(SptSenderClient){.stream = stream,
          .socket = socket,
          .viewer = self->viewer,
          .duration = self->duration,
          .rewrite = self->door->rewrite,
          .closed = on_closed,
          .data = self},
      bytes);
}

static gboolean
on_first_unit (gpointer data)
{
  Session *self = data;
  g_autoptr (GError) reason = NULL;
  if (self->over || self->handed)
    return G_SOURCE_REMOVE;
  if (spt_viewer_has_data (self->viewer)) {
    hand_over (self);
  } else if (spt_viewer_ended (self->viewer, &reason)) {
    if (!reason)
      reason = g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "the stream ended");
    spt_http_reply_error (self->request, reason);
    session_end (self);
  }
  return G_SOURCE_REMOVE;
}

/* Streaming thread */
static void
on_viewer (SptViewer *viewer, gpointer data)
{
  g_idle_add_full (G_PRIORITY_DEFAULT, on_first_unit, session_ref (data), session_unref);
}

static gboolean
answer_anyway (gpointer data)
{
  Session *self = data;
  self->answer_id = 0;
  hand_over (self);
  return G_SOURCE_REMOVE;
}

static gboolean
ask_again (gpointer data)
{
  Session *self = data;
  self->again_id = 0;
  ask_stream (self);
  return G_SOURCE_REMOVE;
}

static void
on_lease (SptLease *lease, const GError *error, gpointer data)
{
  Session *self = data;
  self->ask = NULL;
  if (lease) {
    self->lease = lease;
    spt_lease_set_viewer (lease, self->viewer);
    GST_INFO ("%s: %s viewer %s", spt_stream_get_name (self->stream), self->door->format,
        self->consumer.remote_addr);
    spt_track_attach (spt_lease_get_track (lease), self->viewer, 0);
  } else if (self->handed && error->code != SPT_ERROR_NOT_FOUND) {
    self->again_id = g_timeout_add (ASK_AGAIN_MS, ask_again, self);
  } else if (self->handed) {
    spt_viewer_end (self->viewer, error);
  } else {
    spt_http_reply_error (self->request, error);
    session_end (self);
  }
}

static void
ask_stream (Session *self)
{
  self->ask = spt_ask (self->stream, &self->want, &self->consumer, on_lease, self);
}

static void
on_request_gone (GCancellable *cancellable, gpointer data)
{
  Session *self = data;
  if (!self->handed)
    session_end (self);
}

static void
session_start (SptHost *host, SptHttpRequest *request, const SptLiveDoor *door, SptStream *stream,
    const SptWant *want, GstClockTime duration)
{
  Session *self = g_new0 (Session, 1);
  static const SptViewerLimits queued = {SPT_DROP_TO_KEYFRAME, 16u << 20, 3 * GST_SECOND};
  /* No older than this; long enough that a hiccup of ours costs nobody a picture. */
  static const SptViewerLimits newest = {SPT_DROP_TO_NEWEST, 16u << 20, 100 * GST_MSECOND};
  g_atomic_ref_count_init (&self->refs);
  self->host = host;
  self->door = door;
  self->request = spt_http_request_ref (request);
  self->stream = g_object_ref (stream);
  self->want = *want;
  self->duration = duration;
  self->consumer = (SptConsumer){.format = door->format,
      .protocol = "http",
      .remote_addr = g_strdup (spt_http_request_remote (request)),
      .user_agent = g_strdup (spt_http_request_header (request, "User-Agent"))};
  self->viewer = spt_viewer_new (door->newest ? &newest : &queued, on_viewer, self);
  self->left_id = g_signal_connect (
      spt_http_request_cancellable (request), "cancelled", G_CALLBACK (on_request_gone), self);
  self->answer_id = g_timeout_add (ANSWER_MS, answer_anyway, self);
  spt_http_wait (request);
  ask_stream (self);
}

/* ---- reading the request ------------------------------------------------------------------ */

static void
add_file_name (SptHttpRequest *request)
{
  const char *name = spt_http_request_param (request, "filename");
  if (!name || !*name || strlen (name) > 128)
    return;
  g_autofree char *safe = g_strdup (name);
  g_strcanon (safe, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", '_');
  g_autofree char *header = g_strdup_printf ("attachment; filename=\"%s\"", safe);
  spt_http_add_header (request, "Content-Disposition", header);
}

/* Apple's own player asks, which plays HLS and no endless MP4. */
gboolean
spt_live_is_apple (SptHttpRequest *request)
{
  const char *agent = spt_http_request_header (request, "User-Agent");
  return agent && (strstr (agent, "AppleCoreMedia") ||
                      (strstr (agent, "Safari/") && !strstr (agent, "Chrome/")));
}

/* (transfer none): the stream named by `src`; or NULL after answering 400 or 404 */
SptStream *
spt_live_find_stream (SptHost *host, SptHttpRequest *request)
{
  const char *src = spt_http_request_param (request, "src");
  g_autoptr (GError) error = NULL;
  SptStream *stream = NULL;
  if (!src || !*src)
    error = g_error_new (SPT_ERROR, SPT_ERROR_INVALID, "the parameter src names no stream");
  else if (strstr (src, "://"))
    error = g_error_new (SPT_ERROR, SPT_ERROR_NOT_FOUND,
        "stream not found: src takes a name; add the URL as a stream first");
  else
    stream = spt_streams_get (host->streams, src, &error);
  if (!stream)
    spt_http_reply_error (request, error);
  return stream;
}

/**
 * spt_live_serve:
 * @door: static
 *
 * Answers the request, now or when the stream is there. HEAD starts nothing.
 */
void
spt_live_serve (SptHost *host, SptHttpRequest *request, const SptLiveDoor *door)
{
  static gsize once;
  if (g_once_init_enter (&once)) {
    GST_DEBUG_CATEGORY_INIT (spotter_live, "spotter-live", 0, "endless answers");
    g_once_init_leave (&once, 1);
  }
  gboolean head = g_str_equal (spt_http_request_method (request), "HEAD");
  SptStream *stream = head && !spt_http_request_param (request, "src")
                          ? NULL
                          : spt_live_find_stream (host, request);
  g_autoptr (GError) error = NULL;
  SptWant want = {.container = door->container};
  double duration;
  if (head && (stream || !spt_http_request_param (request, "src"))) {
    spt_http_reply_head (request, door->type);
    return;
  }
  if (!stream)
    return;
  if (!spt_http_request_number (request, "duration", 0, 0, 1e6, &duration, &error) ||
      !spt_filters_read (spt_http_request_param (request, "video"),
          spt_http_request_param (request, "audio"), &want, &error) ||
      !spt_filters_read_overlay (spt_http_request_param (request, "overlay"), &want, &error)) {
    spt_filters_clear (&want);
    spt_http_reply_error (request, error);
    return;
  }
  add_file_name (request);
  session_start (host, request, door, stream, &want, (GstClockTime)(duration * GST_SECOND));
}
