/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libsoup's WebSocket queues without end for who does not read, so nothing is given to it while
 * the kernel still has two messages for the peer: what comes meanwhile is the newest only. While
 * nobody is connected no pose is asked for. */
#include "config.h"

#include "pose-push.h"

#include <libsoup/soup.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "ask.h"
#include "error.h"
#include "json.h"
#include "pose-message.h"
#include "pose-packer.h"
#include "redact.h"
#include "track.h"
#include "viewer.h"

#define BACKOFF_S 1
#define BACKOFF_MAX_S 30
#define PING_S 20
/* A peer that takes nothing for so long is left. */
#define STALL_S 15
/* Messages that wait for the peer. */
#define WAITING 2
#define MESSAGE_MAX (64 * 1024)
/* Until a stream that gives no poses is asked again. */
#define AGAIN_S 30
/* A connection that has held so long is made again at once. */
#define HELD_S 30

GST_DEBUG_CATEGORY_EXTERN (spotter_pose);
#define GST_CAT_DEFAULT spotter_pose

struct _SptPosePush {
  char *url, *shown; /* shown: without credentials */
  SoupSession *session;
  GCancellable *cancellable; /* of the connection being made; NULL: none is */
  SoupWebsocketConnection *socket;
  gint64 retry_at, since, moved; /* monotonic µs: connected since; the peer took something */
  guint backoff;                 /* s */

  SptStream *stream;
  SptAsk *ask;
  SptLease *lease;
  SptViewer *viewer;
  int woken;        /* atomic */
  gsize size;       /* of the last message */
  guint pause;      /* s until the stream is asked again */
  guint64 numbered; /* frames since the connection, or since a recording has begun */
};

/* ---- poses -------------------------------------------------------------------------------- */

static void
stop_asking (SptPosePush *self)
{
  g_clear_pointer (&self->ask, spt_ask_take_back);
  if (self->viewer) {
    spt_track_detach (spt_lease_get_track (self->lease), self->viewer);
    spt_viewer_silence (self->viewer);
    g_clear_object (&self->viewer);
  }
  while (g_idle_remove_by_data (self))
    ;
  g_atomic_int_set (&self->woken, 0);
  g_clear_pointer (&self->lease, spt_lease_free);
  g_clear_object (&self->stream);
}

/* (transfer full) (nullable): what a stream lies on */
static GIOStream *
base_of (GIOStream *stream)
{
  GIOStream *base = NULL;
  if (G_IS_TLS_CONNECTION (stream))
    g_object_get (stream, "base-io-stream", &base, NULL);
  else if (g_object_class_find_property (G_OBJECT_GET_CLASS (stream), "base-iostream"))
    g_object_get (stream, "base-iostream", &base, NULL);
  return base;
}

/* (nullable): below libsoup's own stream, and TLS */
static GSocket *
find_socket (GIOStream *stream)
{
  g_autoptr (GIOStream) below = g_object_ref (stream);
  while (below && !G_IS_SOCKET_CONNECTION (below)) {
    GIOStream *base = base_of (below);
    g_object_unref (below);
    below = base;
  }
  return below ? g_socket_connection_get_socket (G_SOCKET_CONNECTION (below)) : NULL;
}

/* Bytes that the peer has not taken. */
static gsize
waiting (SptPosePush *self)
{
  GSocket *socket = find_socket (soup_websocket_connection_get_io_stream (self->socket));
  int bytes = 0;
  if (!socket || ioctl (g_socket_get_fd (socket), SIOCOUTQ, &bytes) != 0)
    return 0;
  return (gsize)bytes;
}

static void
send_pose (SptPosePush *self, GstBuffer *unit)
{
  gsize left = waiting (self);
  if (!left || left < self->size * WAITING)
    self->moved = g_get_monotonic_time ();
  if (left >= MAX (self->size, 1) * WAITING || !spt_pose_unit_people (unit) ||
      soup_websocket_connection_get_state (self->socket) != SOUP_WEBSOCKET_STATE_OPEN)
    return;
  GstBuffer *message =
      spt_pose_message (unit, spt_stream_get_name (self->stream), self->numbered++, NULL);
  gpointer data;
  gst_buffer_extract_dup (message, 0, (gsize)-1, &data, &self->size);
  g_autoptr (GBytes) text = g_bytes_new_take (data, self->size);
  soup_websocket_connection_send_message (self->socket, SOUP_WEBSOCKET_DATA_TEXT, text);
  gst_buffer_unref (message);
}

static gboolean
on_poses (gpointer data)
{
  SptPosePush *self = data;
  GstSample *sample;
  g_atomic_int_set (&self->woken, 0);
  while (self->viewer && (sample = spt_viewer_pop (self->viewer, NULL))) {
    if (self->socket)
      send_pose (self, gst_sample_get_buffer (sample));
    gst_sample_unref (sample);
  }
  if (self->viewer && spt_viewer_ended (self->viewer, NULL))
    stop_asking (self);
  return G_SOURCE_REMOVE;
}

/* Streaming thread */
static void
on_viewer (SptViewer *viewer, gpointer data)
{
  SptPosePush *self = data;
  if (g_atomic_int_compare_and_exchange (&self->woken, 0, 1))
    g_idle_add_full (G_PRIORITY_DEFAULT, on_poses, self, NULL);
}

static void
on_lease (SptLease *lease, const GError *error, gpointer data)
{
  static const SptViewerLimits limits = {SPT_DROP_TO_NEWEST, 1u << 20, 100 * GST_MSECOND};
  SptPosePush *self = data;
  self->ask = NULL;
  if (!lease) {
    g_clear_object (&self->stream);
    self->pause = AGAIN_S;
    return;
  }
  self->lease = lease;
  self->viewer = spt_viewer_new (&limits, on_viewer, self);
  spt_lease_set_viewer (lease, self->viewer);
  spt_track_attach (spt_lease_get_track (lease), self->viewer, 0);
}

static void
ask (SptPosePush *self, SptStream *stream)
{
  static const SptWant want = {.container = "pose", .overlay = "meta", .no_audio = TRUE};
  SptConsumer consumer = {"pose/push", "ws", self->shown, NULL};
  self->stream = g_object_ref (stream);
  self->ask = spt_ask (stream, &want, &consumer, on_lease, self);
}

/* ---- the connection ----------------------------------------------------------------------- */

static void
disconnect (SptPosePush *self, const char *why)
{
  stop_asking (self);
  if (self->socket && g_get_monotonic_time () - self->since > HELD_S * G_USEC_PER_SEC)
    self->backoff = BACKOFF_S;
  if (self->socket) {
    g_signal_handlers_disconnect_by_data (self->socket, self);
    g_clear_object (&self->socket);
  }
  GST_INFO ("%s: %s; tried again in %u s", self->shown, why, self->backoff);
  self->retry_at = g_get_monotonic_time () + self->backoff * G_USEC_PER_SEC;
  self->backoff = MIN (self->backoff * 2, BACKOFF_MAX_S);
}

static void
on_closed (SoupWebsocketConnection *socket, gpointer data)
{
  disconnect (data, "the application closed the connection");
}

/* The application sends back what it gets; of that only the recordings matter. */
static void
on_message (SoupWebsocketConnection *socket, int type, GBytes *text, gpointer data)
{
  SptPosePush *self = data;
  gsize size = g_bytes_get_size (text);
  self->backoff = BACKOFF_S;
  if (type != SOUP_WEBSOCKET_DATA_TEXT || size > MESSAGE_MAX ||
      !g_strstr_len (g_bytes_get_data (text, NULL), (gssize)size, "recording_"))
    return;
  g_autoptr (JsonNode) node = spt_json_parse (text, NULL);
  JsonObject *object = node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  JsonNode *type_node = object ? json_object_get_member (object, "type") : NULL;
  const char *word = type_node && json_node_get_value_type (type_node) == G_TYPE_STRING
                         ? json_node_get_string (type_node)
                         : "";
  if (g_str_equal (word, "recording_started") || g_str_equal (word, "recording_stopped")) {
    GST_INFO ("%s: %s", self->shown, word);
    self->numbered = 0;
  }
}

static void
on_connected (GObject *object, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  SoupWebsocketConnection *socket =
      soup_session_websocket_connect_finish (SOUP_SESSION (object), result, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* freed */
  SptPosePush *self = data;
  g_clear_object (&self->cancellable);
  if (!socket) {
    disconnect (self, error->message);
    return;
  }
  GST_INFO ("%s: poses are sent there", self->shown);
  self->socket = socket;
  self->numbered = 0;
  self->size = 0;
  self->since = self->moved = g_get_monotonic_time ();
  soup_websocket_connection_set_keepalive_interval (socket, PING_S);
  soup_websocket_connection_set_max_incoming_payload_size (socket, 16u << 20);
  g_signal_connect (socket, "closed", G_CALLBACK (on_closed), self);
  g_signal_connect (socket, "message", G_CALLBACK (on_message), self);
}

static void
connect_to (SptPosePush *self)
{
  g_autoptr (SoupMessage) message = soup_message_new ("GET", self->url);
  self->cancellable = g_cancellable_new ();
  soup_session_websocket_connect_async (self->session, message, NULL, NULL, G_PRIORITY_DEFAULT,
      self->cancellable, on_connected, self);
}

/**
 * spt_pose_push_new:
 * @url: ws:// or wss://
 *
 * Does nothing before spt_pose_push_tick().
 *
 * Returns: or NULL and INVALID
 */
SptPosePush *
spt_pose_push_new (const char *url, GError **error)
{
  g_autoptr (GUri) uri = g_uri_parse (url, SOUP_HTTP_URI_FLAGS, NULL);
  g_autofree char *shown = spt_redact (url);
  const char *scheme = uri ? g_uri_get_scheme (uri) : "";
  if ((!g_str_equal (scheme, "ws") && !g_str_equal (scheme, "wss")) || !g_uri_get_host (uri)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "pose.push: '%s' is no address such as ws://localhost:8000/ws/pose/", shown);
    return NULL;
  }
  SptPosePush *self = g_new0 (SptPosePush, 1);
  self->url = g_strdup (url);
  self->shown = g_steal_pointer (&shown);
  self->backoff = BACKOFF_S;
  self->session = soup_session_new ();
  soup_session_remove_feature_by_type (self->session, SOUP_TYPE_WEBSOCKET_EXTENSION_MANAGER);
  return self;
}

/* Once a second. @stream: (nullable): whose poses are sent */
void
spt_pose_push_tick (SptPosePush *self, SptStream *stream)
{
  gint64 now = g_get_monotonic_time ();
  if (!self->socket) {
    if (!self->cancellable && now >= self->retry_at)
      connect_to (self);
    return;
  }
  if (self->stream && self->stream != stream)
    stop_asking (self);
  if (stream && !self->stream && (!self->pause || !--self->pause))
    ask (self, stream);
  if (!waiting (self))
    self->moved = now;
  if (now - self->moved > STALL_S * G_USEC_PER_SEC)
    disconnect (self, "the application takes nothing");
}

void
spt_pose_push_free (SptPosePush *self)
{
  stop_asking (self);
  if (self->cancellable)
    g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  if (self->socket)
    g_signal_handlers_disconnect_by_data (self->socket, self);
  g_clear_object (&self->socket);
  soup_session_abort (self->session);
  g_object_unref (self->session);
  g_free (self->url);
  g_free (self->shown);
  g_free (self);
}
