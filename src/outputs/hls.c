/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* HTTP Live Streaming, ordinary and low-latency, from the fragments of the MP4 door:
 *
 *   /api/stream.m3u8?src=NAME, /stream.m3u8     the multivariant playlist
 *   …/hls/playlist.m3u8, init.mp4, segment.m4s, part.m4s
 *   {"type":"hls"} on the WebSocket             the multivariant playlist as text
 *
 * One ring of segments a stream, for all viewers; it lives as long as it is asked for. Requests for
 * what is not there yet are answered when it is. Main context. */
#include "config.h"

#include <string.h>

#include "ask.h"
#include "doors.h"
#include "error.h"
#include "fmp4.h"
#include "hls-ring.h"
#include "live.h"
#include "packer.h"
#include "pipeline.h"
#include "track.h"
#include "viewer.h"

#define IDLE_S 15
/* How long a request may wait: for a camera whose keyframes are far apart, and for what comes. */
#define START_S 30
#define WAIT_TARGETS 3
#define WAITERS_MAX 500
#define PLAYLIST_TYPE "application/vnd.apple.mpegurl"

GST_DEBUG_CATEGORY_STATIC (spotter_hls);
#define GST_CAT_DEFAULT spotter_hls

typedef enum { MASTER, PLAYLIST, INIT, SEGMENT, PART } What;

/* What may be asked for, and the parameters that say which (nullable). */
typedef struct {
  const char *path;
  What what;
  const char *number, *part; /* as in Waiter */
} Row;

static const Row rows[] = {
    {"/stream.m3u8", MASTER, NULL, NULL},
    {"/hls/playlist.m3u8", PLAYLIST, "_HLS_msn", "_HLS_part"},
    {"/hls/init.mp4", INIT, NULL, "v"},
    {"/hls/segment.m4s", SEGMENT, "n", NULL},
    {"/hls/part.m4s", PART, "n", "part"},
};

typedef struct _Door Door;

typedef struct {
  Door *door;
  const Row *row;
} Route;

struct _Door {
  SptHost *host;
  Route routes[G_N_ELEMENTS (rows)];
  GHashTable
      *shows; /* SptStream → Show: a stream that was removed is another one than its successor */
};

/* One stream that is shown. */
typedef struct {
  Door *door;
  SptStream *stream;
  SptAsk *ask;
  SptLease *lease;
  SptViewer *viewer;
  GstCaps *caps;
  SptHlsRing *ring;
  GPtrArray *waiters;  /* of Waiter */
  guint idle, tick_id; /* idle: seconds since the last request */
  int woken;           /* atomic */
} Show;

typedef struct {
  Show *show;
  What what;
  SptHttpRequest *request; /* or */
  SptWsSocket *socket;     /* of MASTER */
  gulong left_id;
  guint64 number;
  int part; /* -1: the whole segment; of INIT its version */
  gboolean low_latency;
  guint waited; /* seconds */
} Waiter;

/* ---- answers ------------------------------------------------------------------------------ */

static void
waiter_free (gpointer data)
{
  Waiter *self = data;
  if (self->request) {
    g_signal_handler_disconnect (spt_http_request_cancellable (self->request), self->left_id);
    spt_http_request_unref (self->request);
  }
  g_free (self);
}

/* FALSE when what it asks for may still come. */
static gboolean
is_there (const Waiter *self)
{
  SptHlsRing *ring = self->show->ring;
  if (!spt_hls_ring_is_ready (ring))
    return FALSE;
  if (self->what == PLAYLIST && self->number != G_MAXUINT64)
    return spt_hls_ring_has (
        ring, self->number, self->low_latency && spt_hls_ring_has_parts (ring) ? self->part : -1);
  if (self->what == SEGMENT || self->what == PART)
    return spt_hls_ring_has (ring, self->number, self->part);
  return TRUE;
}

static void
reply (Waiter *self, const char *type, GBytes *body)
{
  g_autoptr (GError) error = NULL;
  if (body) {
    spt_http_reply (self->request, SOUP_STATUS_OK, type, body);
    return;
  }
  error =
      g_error_new (SPT_ERROR, SPT_ERROR_NOT_FOUND, "this part of the stream is not there any more");
  spt_http_reply_error (self->request, error);
}

static void
answer (Waiter *self)
{
  SptHlsRing *ring = self->show->ring;
  const char *name = spt_stream_get_name (self->show->stream);
  g_autofree char *query = g_strdup_printf ("src=%s%s", name, self->low_latency ? "" : "&ll=0");
  g_autofree char *text = NULL;
  g_autoptr (GBytes) body = NULL;
  if (self->what == MASTER)
    text = spt_hls_ring_master (ring, query);
  else if (self->what == PLAYLIST)
    text = spt_hls_ring_playlist (ring, query, self->low_latency);
  else if (self->what == INIT)
    body = spt_hls_ring_get_init (ring, (guint)self->part);
  else
    body = spt_hls_ring_get (ring, self->number, self->part);
  if (self->socket) {
    spt_ws_say (self->socket, "hls", text);
    return;
  }
  if (text)
    body = g_bytes_new (text, strlen (text));
  reply (self, text ? PLAYLIST_TYPE : "video/mp4", body);
}

static void
fail (Waiter *self, const GError *error)
{
  if (self->socket)
    spt_ws_fail (self->socket, "hls", error);
  else
    spt_http_reply_error (self->request, error);
}

static gboolean
is_too_far (const Waiter *self)
{
  SptHlsRing *ring = self->show->ring;
  return self->number != G_MAXUINT64 && spt_hls_ring_is_ready (ring) &&
         spt_hls_ring_is_too_far (ring, self->number);
}

static void
refuse (Waiter *self)
{
  g_autoptr (GError) error =
      g_error_new (SPT_ERROR, SPT_ERROR_INVALID, "this lies too far ahead of the stream");
  fail (self, error);
}

/* The socket has gone, or asks anew. */
static void
forget_socket (gpointer data)
{
  Waiter *self = data;
  g_ptr_array_remove (self->show->waiters, self);
}

static void
finish_waiter (Waiter *self)
{
  if (self->socket)
    spt_ws_set_data (self->socket, "hls", NULL, NULL); /* forgets it */
  else
    g_ptr_array_remove (self->show->waiters, self);
}

static void
answer_waiters (Show *self)
{
  for (guint i = self->waiters->len; i-- > 0;) {
    Waiter *waiter = g_ptr_array_index (self->waiters, i);
    if (is_there (waiter))
      answer (waiter);
    else if (is_too_far (waiter))
      refuse (waiter);
    else
      continue;
    finish_waiter (waiter);
  }
}

/* ---- a show ------------------------------------------------------------------------------- */

static void
show_free (gpointer data)
{
  Show *self = data;
  g_clear_handle_id (&self->tick_id, g_source_remove);
  g_clear_pointer (&self->ask, spt_ask_take_back);
  if (self->viewer) {
    spt_track_detach (spt_lease_get_track (self->lease), self->viewer);
    spt_viewer_silence (self->viewer);
    g_clear_object (&self->viewer);
  }
  while (g_idle_remove_by_data (self))
    ;
  g_clear_pointer (&self->lease, spt_lease_free);
  g_ptr_array_unref (self->waiters);
  gst_clear_caps (&self->caps);
  spt_hls_ring_free (self->ring);
  g_object_unref (self->stream);
  g_free (self);
}

static void
show_end (Show *self, const GError *error)
{
  while (self->waiters->len) {
    Waiter *waiter = g_ptr_array_index (self->waiters, 0);
    fail (waiter, error);
    finish_waiter (waiter);
  }
  GST_INFO ("%s: no longer shown: %s", spt_stream_get_name (self->stream), error->message);
  g_hash_table_remove (self->door->shows, self->stream);
}

static void
take (Show *self, GstSample *sample)
{
  guint8 head[SPT_FMP4_HEAD_SIZE];
  GstBuffer *fragment = gst_sample_get_buffer (sample);
  GstCaps *caps = gst_sample_get_caps (sample);
  if (self->caps != caps) {
    gboolean fresh = !self->caps || !gst_caps_is_equal (self->caps, caps);
    GstBuffer *init = spt_fragments_header (caps);
    gst_caps_replace (&self->caps, caps);
    if (fresh && init)
      spt_hls_ring_set_init (
          self->ring, init, gst_structure_get_string (gst_caps_get_structure (caps, 0), "codecs"));
  }
  if (gst_buffer_extract (fragment, 0, head, sizeof head) == sizeof head)
    spt_hls_ring_push (self->ring, fragment, spt_fmp4_head_track (head) == 1,
        spt_clock_wall (GST_BUFFER_PTS (fragment)));
}

static gboolean
on_fragments (gpointer data)
{
  Show *self = data;
  guint pad;
  GstSample *sample;
  g_autoptr (GError) reason = NULL;
  g_atomic_int_set (&self->woken, 0);
  while ((sample = spt_viewer_pop (self->viewer, &pad))) {
    take (self, sample);
    gst_sample_unref (sample);
  }
  answer_waiters (self);
  if (spt_viewer_ended (self->viewer, &reason)) {
    if (!reason)
      reason = g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "the stream ended");
    show_end (self, reason);
  }
  return G_SOURCE_REMOVE;
}

/* Streaming thread */
static void
on_viewer (SptViewer *viewer, gpointer data)
{
  Show *self = data;
  if (g_atomic_int_compare_and_exchange (&self->woken, 0, 1))
    g_idle_add_full (G_PRIORITY_DEFAULT, on_fragments, self, NULL);
}

static void
on_lease (SptLease *lease, const GError *error, gpointer data)
{
  static const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 32u << 20, 5 * GST_SECOND};
  Show *self = data;
  self->ask = NULL;
  if (!lease) {
    show_end (self, error);
    return;
  }
  self->lease = lease;
  self->viewer = spt_viewer_new (&limits, on_viewer, self);
  spt_lease_set_viewer (lease, self->viewer);
  GST_INFO ("%s: shown", spt_stream_get_name (self->stream));
  spt_track_attach (spt_lease_get_track (lease), self->viewer, 0);
}

/* Nobody has asked for a while, or somebody has waited too long. */
static gboolean
on_tick (gpointer data)
{
  Show *self = data;
  gboolean ready = spt_hls_ring_is_ready (self->ring);
  guint most = ready ? WAIT_TARGETS * spt_hls_ring_target (self->ring) : START_S;
  g_autoptr (GError) error = NULL;
  for (guint i = self->waiters->len; i-- > 0;) {
    Waiter *waiter = g_ptr_array_index (self->waiters, i);
    if (++waiter->waited <= most)
      continue;
    g_autoptr (GError) late =
        g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "the stream has not come so far in time");
    fail (waiter, late);
    finish_waiter (waiter);
  }
  if (self->waiters->len ||
      ++self->idle < MAX (IDLE_S, WAIT_TARGETS * spt_hls_ring_target (self->ring)))
    return G_SOURCE_CONTINUE;
  error = g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "nobody has asked for it");
  self->tick_id = 0;
  show_end (self, error);
  return G_SOURCE_REMOVE;
}

static Show *
show_of (Door *door, SptStream *stream, const char *remote, const char *user_agent)
{
  Show *self = g_hash_table_lookup (door->shows, stream);
  SptWant want = {.container = "mp4"};
  SptConsumer consumer = {"hls/fmp4", "http", (char *)remote, (char *)user_agent};
  if (self)
    return self;
  self = g_new0 (Show, 1);
  self->door = door;
  self->stream = g_object_ref (stream);
  self->ring = spt_hls_ring_new ();
  self->waiters = g_ptr_array_new_with_free_func (waiter_free);
  self->tick_id = g_timeout_add_seconds (1, on_tick, self);
  g_hash_table_insert (door->shows, self->stream, self);
  self->ask = spt_ask (stream, &want, &consumer, on_lease, self);
  return self;
}

/* ---- requests ----------------------------------------------------------------------------- */

static void
on_left (GCancellable *cancellable, gpointer data)
{
  Waiter *self = data;
  g_ptr_array_remove (self->show->waiters, self);
}

static void
wait_or_answer (Waiter *self)
{
  if (is_there (self)) {
    answer (self);
    waiter_free (self);
    return;
  }
  if (self->show->waiters->len >= WAITERS_MAX || is_too_far (self)) {
    refuse (self);
    waiter_free (self);
    return;
  }
  g_ptr_array_add (self->show->waiters, self);
  if (self->socket)
    spt_ws_set_data (self->socket, "hls", self, forget_socket);
  else
    spt_http_wait (self->request);
}

/* Apple's player wants HTTP/2 for the low-latency kind. */
static gboolean
wants_low_latency (SptHttpRequest *request)
{
  const char *asked = spt_http_request_param (request, "ll");
  return asked ? !g_str_equal (asked, "0") : !spt_live_is_apple (request);
}

static gboolean
read_number (
    SptHttpRequest *request, const char *name, double fallback, guint64 *value, GError **error)
{
  double number = 0;
  gboolean given = spt_http_request_param (request, name) != NULL;
  if (!spt_http_request_number (request, name, fallback, 0, 1e15, &number, error))
    return FALSE;
  *value = given ? (guint64)number : G_MAXUINT64;
  return TRUE;
}

static void
on_request (SptHttpRequest *request, gpointer data)
{
  const Route *route = data;
  const Row *row = route->row;
  g_autoptr (GError) error = NULL;
  guint64 number = G_MAXUINT64, part = G_MAXUINT64;
  SptStream *stream = spt_live_find_stream (route->door->host, request);
  if (!stream)
    return;
  if (g_str_equal (spt_http_request_method (request), "HEAD")) {
    spt_http_reply_head (request, row->what <= PLAYLIST ? PLAYLIST_TYPE : "video/mp4");
    return;
  }
  if ((row->number && !read_number (request, row->number, 0, &number, &error)) ||
      (row->part && !read_number (request, row->part, 0, &part, &error))) {
    spt_http_reply_error (request, error);
    return;
  }
  if ((row->what == SEGMENT || row->what == PART) && number == G_MAXUINT64)
    number = 0;
  Waiter *self = g_new0 (Waiter, 1);
  self->show = show_of (route->door, stream, spt_http_request_remote (request),
      spt_http_request_header (request, "User-Agent"));
  self->show->idle = 0;
  self->what = row->what;
  self->request = spt_http_request_ref (request);
  self->number = number;
  self->part = part == G_MAXUINT64 ? -1 : (int)MIN (part, 100000);
  self->low_latency = wants_low_latency (request);
  self->left_id = g_signal_connect (
      spt_http_request_cancellable (request), "cancelled", G_CALLBACK (on_left), self);
  wait_or_answer (self);
}

static void
on_ws (SptWsSocket *socket, JsonNode *value, gpointer data)
{
  SptConsumer who = spt_ws_get_consumer (socket, "hls/fmp4");
  spt_ws_set_data (socket, "hls", NULL, NULL);
  Waiter *self = g_new0 (Waiter, 1);
  self->show = show_of (data, spt_ws_get_stream (socket), who.remote_addr, who.user_agent);
  self->show->idle = 0;
  self->socket = socket;
  self->number = G_MAXUINT64;
  self->low_latency = TRUE;
  wait_or_answer (self);
}

/* ---- the door ----------------------------------------------------------------------------- */

static gpointer
start (SptHost *host, GError **error)
{
  GST_DEBUG_CATEGORY_INIT (spotter_hls, "spotter-hls", 0, "HLS");
  Door *self = g_new0 (Door, 1);
  self->host = host;
  self->shows = g_hash_table_new_full (NULL, NULL, NULL, show_free);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    Route *route = &self->routes[i];
    g_autofree char *alias = g_strconcat ("/api", rows[i].path, NULL);
    *route = (Route){self, &rows[i]};
    spt_http_route (host->http, "GET,HEAD", rows[i].path, SPT_ACTION_VIEW, on_request, route);
    spt_http_route (host->http, "GET,HEAD", alias, SPT_ACTION_VIEW, on_request, route);
  }
  spt_ws_handle (host->ws, "hls", on_ws, self);
  return self;
}

static void
stop (gpointer data)
{
  Door *self = data;
  g_hash_table_unref (self->shows);
  g_free (self);
}

const SptOutput spt_output_hls = {.name = "hls",
    .summary = "HTTP Live Streaming, ordinary and low-latency",
    .start = start,
    .stop = stop};
