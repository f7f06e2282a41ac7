/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libsoup's WebSocket does not say how much it has queued for a slow reader, so the socket is taken
 * over: read here, on the main context, and written by the sender, which bounds it as it does every
 * other viewer. RFC 6455 without extensions.
 *
 * A socket plays one track at a time; another request for media replaces it. */
#include "config.h"

#include "ws.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "ask.h"
#include "error.h"
#include "filters.h"
#include "json.h"
#include "track.h"
#include "viewer.h"

#define MESSAGE_MAX (64 * 1024)
#define HEADER_MAX 10
#define CHUNK (16 * 1024)
#define MAGIC "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define VIEWER_BYTES (16u << 20)
/* No player has so much to say in a second; each request costs a branch's worth of work. */
#define ASKED_MAX 100
/* Bytes that a client may say in a second: others may have to hear them. */
#define SAID_MAX (128 * 1024)
/* Where only the newest counts the kernel keeps no more than this for a slow reader. */
#define NEWEST_UNSENT 8192

GST_DEBUG_CATEGORY_STATIC (spotter_ws);
#define GST_CAT_DEFAULT spotter_ws

/* RFC 6455, 5.2 and 7.4.1 */
enum { OP_CONTINUATION, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };
enum { CLOSE_NORMAL = 1000, CLOSE_PROTOCOL = 1002, CLOSE_POLICY = 1008, CLOSE_TOO_BIG = 1009 };

typedef struct {
  SptWsHandler handler;
  gpointer data;
} Handler;

struct _SptWs {
  SptHttp *http;
  SptSender *sender;
  SptStreams *streams;
  GHashTable *handlers; /* type → Handler */
};

struct _SptWsSocket {
  SptWs *door; /* NULL when closed */
  SptStream *stream;
  char *remote, *user_agent;
  char *overlay; /* (nullable): as asked for in the address */
  GSocket *socket;
  SptSenderPeer *peer;
  GSource *source;
  GByteArray *input, *message; /* message: the fragments so far */
  guint8 opcode;               /* of the message under way; 0: none */
  gboolean finishing;
  gint64 second; /* monotonic µs: when the count began */
  guint asked;   /* messages in this second … */
  gsize said;    /* … and their bytes */

  const SptWsMedia *media; /* what is asked for or plays; NULL: nothing */
  gpointer media_data;
  GDestroyNotify media_free;
  SptAsk *ask;
  SptLease *lease;
  SptViewer *viewer;

  SptWsText text; /* (nullable): reads the messages; else they go by their type */
  gpointer text_data;
  GData *data; /* of doors */
};

/* ---- frames ------------------------------------------------------------------------------- */

static gsize
put_header (guint8 header[HEADER_MAX], guint8 opcode, gsize size)
{
  header[0] = 0x80 | opcode;
  if (size < 126) {
    header[1] = (guint8)size;
    return 2;
  }
  if (size <= G_MAXUINT16) {
    header[1] = 126;
    header[2] = (guint8)(size >> 8);
    header[3] = (guint8)size;
    return 4;
  }
  header[1] = 127;
  for (guint i = 0; i < 8; i++)
    header[2 + i] = (guint8)((guint64)size >> (56 - 8 * i));
  return 10;
}

static void
put_frame (GByteArray *frames, guint8 opcode, gconstpointer data, gsize size)
{
  guint8 header[HEADER_MAX];
  g_byte_array_append (frames, header, (guint)put_header (header, opcode, size));
  g_byte_array_append (frames, data, (guint)size);
}

/* @value: (transfer full) (nullable) */
static void
put_message (GByteArray *frames, const char *type, JsonNode *value)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "type");
  json_builder_add_string_value (builder, type);
  if (value) {
    json_builder_set_member_name (builder, "value");
    json_builder_add_value (builder, value);
  }
  json_builder_end_object (builder);
  g_autoptr (JsonNode) node = json_builder_get_root (builder);
  g_autofree char *text = json_to_string (node, FALSE);
  put_frame (frames, OP_TEXT, text, strlen (text));
}

/* Appends the message `{"type","value"}` as a frame. @value: (nullable). Any thread. */
void
spt_ws_put_text (GByteArray *frames, const char *type, const char *value)
{
  JsonNode *node = value ? json_node_init_string (json_node_alloc (), value) : NULL;
  put_message (frames, type, node);
}

/* Appends a binary message as a frame. Any thread. */
void
spt_ws_put_binary (GByteArray *frames, GstBuffer *content)
{
  GstMapInfo map;
  if (!gst_buffer_map (content, &map, GST_MAP_READ))
    return;
  put_frame (frames, OP_BINARY, map.data, map.size);
  gst_buffer_unmap (content, &map);
}

static void
send_frame (SptWsSocket *self, guint8 opcode, gconstpointer data, gsize size)
{
  GByteArray *frame = g_byte_array_new ();
  put_frame (frame, opcode, data, size);
  g_autoptr (GBytes) bytes = g_byte_array_free_to_bytes (frame);
  spt_sender_write (self->peer, bytes);
}

static void stop_playing (SptWsSocket *self);

/* Says goodbye and closes. */
static void
finish (SptWsSocket *self, guint16 code)
{
  const guint8 reason[2] = {(guint8)(code >> 8), (guint8)code};
  if (self->finishing)
    return;
  self->finishing = TRUE;
  stop_playing (self);
  send_frame (self, OP_CLOSE, reason, sizeof reason);
  spt_sender_finish (self->peer);
}

/* @value: (transfer full) */
void
spt_ws_say_json (SptWsSocket *self, const char *type, JsonNode *value)
{
  GByteArray *frame = g_byte_array_new ();
  put_message (frame, type, value);
  g_autoptr (GBytes) bytes = g_byte_array_free_to_bytes (frame);
  if (self->door)
    spt_sender_write (self->peer, bytes);
}

/* Sends `{"type","value"}`. @value: (nullable) */
void
spt_ws_say (SptWsSocket *self, const char *type, const char *value)
{
  GByteArray *frame = g_byte_array_new ();
  spt_ws_put_text (frame, type, value);
  g_autoptr (GBytes) bytes = g_byte_array_free_to_bytes (frame);
  if (self->door)
    spt_sender_write (self->peer, bytes);
}

/* Players read the prefix: it names the request that failed. */
void
spt_ws_fail (SptWsSocket *self, const char *type, const GError *error)
{
  g_autofree char *value = g_strdup_printf ("%s: %s", type, error->message);
  GST_INFO ("%s: %s", self->remote, value);
  spt_ws_say (self, "error", value);
}

/* ---- media -------------------------------------------------------------------------------- */

/* What the writer thread knows of one playing; belongs to the viewer. */
typedef struct {
  const SptWsMedia *media;
  GstCaps *caps;
  gint64 state;
  gpointer data;
  GDestroyNotify free;
} Flow;

static void
flow_free (gpointer data)
{
  Flow *flow = data;
  gst_clear_caps (&flow->caps);
  if (flow->free)
    flow->free (flow->data);
  g_free (flow);
}

/* Writer thread: frames the unit's message; its payload is not copied. */
static GstBuffer *
frame_unit (GstBuffer *unit, GstCaps *caps, SptViewer *viewer, gpointer data)
{
  Flow *flow = g_object_get_data (G_OBJECT (viewer), "spt-flow");
  g_autoptr (GByteArray) front = g_byte_array_new ();
  guint8 header[HEADER_MAX];
  if (flow->caps != caps) {
    gboolean fresh = !flow->caps || !gst_caps_is_equal (flow->caps, caps);
    gst_caps_replace (&flow->caps, caps);
    if (fresh && flow->media->start)
      flow->media->start (caps, front, flow->data);
  }
  g_autoptr (GstBuffer) message = flow->media->message (unit, caps, &flow->state, flow->data);
  if (!message)
    return NULL;
  g_byte_array_append (front, header,
      (guint)put_header (
          header, flow->media->text ? OP_TEXT : OP_BINARY, gst_buffer_get_size (message)));
  gsize size = front->len;
  GstBuffer *framed =
      gst_buffer_new_wrapped (g_byte_array_free (g_steal_pointer (&front), FALSE), size);
  return gst_buffer_append (framed, g_steal_pointer (&message));
}

static void
stop_playing (SptWsSocket *self)
{
  g_clear_pointer (&self->ask, spt_ask_take_back);
  if (self->viewer) {
    spt_track_detach (spt_lease_get_track (self->lease), self->viewer);
    spt_sender_feed (self->peer, NULL);
    g_clear_object (&self->viewer);
  }
  g_clear_pointer (&self->lease, spt_lease_free);
  self->media = NULL;
  if (self->media_free)
    self->media_free (g_steal_pointer (&self->media_data));
  self->media_free = NULL;
}

static void
socket_free (SptWsSocket *self)
{
  g_clear_object (&self->stream);
  g_clear_object (&self->socket);
  g_byte_array_unref (self->input);
  g_byte_array_unref (self->message);
  g_free (self->remote);
  g_free (self->user_agent);
  g_free (self->overlay);
  g_free (self);
}

static void
on_lease (SptLease *lease, const GError *error, gpointer data)
{
  static const SptViewerLimits queued = {SPT_DROP_TO_KEYFRAME, VIEWER_BYTES, 3 * GST_SECOND};
  static const SptViewerLimits newest = {SPT_DROP_TO_NEWEST, VIEWER_BYTES, 100 * GST_MSECOND};
  SptWsSocket *self = data;
  self->ask = NULL;
  if (!lease) {
    const SptWsMedia *media = self->media;
    stop_playing (self);
    if (media->failed)
      media->failed (self, error);
    else
      spt_ws_fail (self, media->type, error);
    return;
  }
  Flow *flow = g_new0 (Flow, 1);
  *flow = (Flow){.media = self->media,
      .state = -1,
      .data = g_steal_pointer (&self->media_data),
      .free = self->media_free};
  self->media_free = NULL;
  self->lease = lease;
  self->viewer = spt_viewer_new (self->media->newest ? &newest : &queued, NULL, NULL);
  g_object_set_data_full (G_OBJECT (self->viewer), "spt-flow", flow, flow_free);
  spt_lease_set_viewer (lease, self->viewer);
  GST_INFO (
      "%s: %s viewer %s", spt_stream_get_name (self->stream), self->media->format, self->remote);
  if (self->media->newest) {
    int unsent = NEWEST_UNSENT;
    setsockopt (
        g_socket_get_fd (self->socket), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
  }
  spt_track_attach (spt_lease_get_track (lease), self->viewer, 0);
  spt_sender_feed (self->peer, self->viewer);
}

/**
 * spt_ws_play:
 * @want: copied
 * @media: static
 * @data: for its message function; freed with @free (nullable) when it ends
 *
 * Sends the units of the stream's track from now on, instead of what played before; or says why
 * not.
 */
void
spt_ws_play (SptWsSocket *self, const SptWant *want, const SptWsMedia *media, gpointer data,
    GDestroyNotify free)
{
  if (!self->door || self->finishing) {
    if (free)
      free (data);
    return;
  }
  stop_playing (self);
  self->media = media;
  self->media_data = data;
  self->media_free = free;
  SptConsumer consumer = spt_ws_get_consumer (self, media->format);
  SptWant all = *want;
  g_autoptr (GError) error = NULL;
  if (!want->overlay && !spt_filters_read_overlay (self->overlay, &all, &error)) {
    stop_playing (self);
    spt_ws_fail (self, media->type, error);
    return;
  }
  self->ask = spt_ask (self->stream, &all, &consumer, on_lease, self);
}

/* ---- messages ----------------------------------------------------------------------------- */

/* Types that nobody knows are ignored; so is what is no message. */
static void
dispatch (SptWsSocket *self, const guint8 *data, gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  g_autoptr (JsonNode) node = spt_json_parse (bytes, NULL);
  JsonObject *object = node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  JsonNode *type = object ? json_object_get_member (object, "type") : NULL;
  if (!type || json_node_get_value_type (type) != G_TYPE_STRING)
    return;
  Handler *handler = g_hash_table_lookup (self->door->handlers, json_node_get_string (type));
  if (handler)
    handler->handler (self, json_object_get_member (object, "value"), handler->data);
}

static void
on_text (SptWsSocket *self, const guint8 *data, gsize size)
{
  gint64 now = g_get_monotonic_time ();
  if (now - self->second > G_USEC_PER_SEC) {
    self->second = now;
    self->asked = 0;
    self->said = 0;
  }
  self->said += size;
  if (++self->asked > ASKED_MAX || self->said > SAID_MAX) {
    finish (self, CLOSE_POLICY);
    return;
  }
  if (self->text)
    self->text (self, (const char *)data, size, self->text_data);
  else
    dispatch (self, data, size);
}

static void
on_message (SptWsSocket *self, guint8 opcode, const guint8 *data, gsize size)
{
  switch (opcode) {
  case OP_TEXT:
    on_text (self, data, size);
    break;
  case OP_PING:
    send_frame (self, OP_PONG, data, size);
    break;
  case OP_CLOSE:
    finish (self, CLOSE_NORMAL);
    break;
  default: /* nothing that a client sends in binary is of interest */
    break;
  }
}

typedef struct {
  guint8 opcode;
  gboolean last;
  gsize at, size; /* of the payload */
} Frame;

typedef enum { FRAME_WHOLE, FRAME_PART, FRAME_BAD, FRAME_TOO_BIG } FrameState;

static FrameState
read_frame (SptWsSocket *self, Frame *frame)
{
  const guint8 *data = self->input->data;
  gsize have = self->input->len, head = 2;
  if (have < head)
    return FRAME_PART;
  guint64 size = data[1] & 0x7f;
  guint extra = size == 126 ? 2 : size == 127 ? 8 : 0;
  *frame = (Frame){.opcode = data[0] & 0x0f, .last = data[0] & 0x80};
  gboolean control = frame->opcode >= OP_CLOSE;
  if ((data[0] & 0x70) || !(data[1] & 0x80) || (control && (!frame->last || size > 125)) ||
      (frame->opcode > OP_BINARY && frame->opcode < OP_CLOSE) || frame->opcode > OP_PONG)
    return FRAME_BAD;
  if (have < head + extra)
    return FRAME_PART;
  for (guint i = 0; extra && i < extra; i++)
    size = (i ? size << 8 : 0) | data[head + i];
  head += extra;
  if (size > MESSAGE_MAX || (!control && self->message->len + size > MESSAGE_MAX))
    return FRAME_TOO_BIG;
  frame->at = head + 4;
  frame->size = (gsize)size;
  return have < frame->at + frame->size ? FRAME_PART : FRAME_WHOLE;
}

/* FALSE when the frame does not fit where it stands. */
static gboolean
take_frame (SptWsSocket *self, const Frame *frame)
{
  guint8 *payload = self->input->data + frame->at;
  for (gsize i = 0; i < frame->size; i++)
    payload[i] ^= self->input->data[frame->at - 4 + i % 4];
  if (frame->opcode >= OP_CLOSE) {
    on_message (self, frame->opcode, payload, frame->size);
    return TRUE;
  }
  if ((frame->opcode == OP_CONTINUATION) != (self->opcode != 0))
    return FALSE;
  if (!self->opcode)
    self->opcode = frame->opcode;
  g_byte_array_append (self->message, payload, (guint)frame->size);
  if (frame->last) {
    on_message (self, self->opcode, self->message->data, self->message->len);
    self->opcode = 0;
    g_byte_array_set_size (self->message, 0);
  }
  return TRUE;
}

static void
process (SptWsSocket *self)
{
  Frame frame;
  FrameState state = FRAME_WHOLE;
  while (state == FRAME_WHOLE && !self->finishing && self->door) {
    state = read_frame (self, &frame);
    if (state == FRAME_WHOLE && !take_frame (self, &frame))
      state = FRAME_BAD;
    if (state == FRAME_WHOLE)
      g_byte_array_remove_range (self->input, 0, (guint)(frame.at + frame.size));
  }
  if (state == FRAME_BAD || state == FRAME_TOO_BIG)
    finish (self, state == FRAME_BAD ? CLOSE_PROTOCOL : CLOSE_TOO_BIG);
}

static gboolean
on_readable (GSocket *socket, GIOCondition condition, gpointer data)
{
  SptWsSocket *self = data;
  guint8 chunk[CHUNK];
  gssize n = recv (g_socket_get_fd (socket), chunk, sizeof chunk, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  if (n <= 0) {
    spt_sender_remove (self->peer);
    return G_SOURCE_REMOVE;
  }
  if (!self->finishing) {
    g_byte_array_append (self->input, chunk, (guint)n);
    process (self);
  }
  return G_SOURCE_CONTINUE;
}

/* ---- the life of a socket ----------------------------------------------------------------- */

static void
on_closed (const GError *reason, gpointer data)
{
  SptWsSocket *self = data;
  stop_playing (self);
  self->door = NULL;
  g_source_destroy (self->source);
  g_clear_pointer (&self->source, g_source_unref);
  g_datalist_clear (&self->data);
  socket_free (self);
}

static char *
accept_key (const char *key)
{
  g_autofree char *text = g_strconcat (key, MAGIC, NULL);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA1);
  guint8 digest[20];
  gsize size = sizeof digest;
  g_checksum_update (sum, (const guint8 *)text, -1);
  g_checksum_get_digest (sum, digest, &size);
  return g_base64_encode (digest, size);
}

/**
 * spt_ws_open:
 * @request: that spt_ws_may_open() has let pass
 * @stream: (nullable): that the socket is about; may be said later (spt_ws_set_stream())
 * @text: (nullable): gets its messages, with @data; else they go by their type
 *
 * Returns: (transfer none) (nullable): lives until it closes, which frees what doors have set
 *   (spt_ws_set_data()); NULL when the client has left
 */
SptWsSocket *
spt_ws_open (SptWs *door, SptHttpRequest *request, SptStream *stream, SptWsText text, gpointer data)
{
  g_autofree char *accept = accept_key (spt_http_request_header (request, "Sec-WebSocket-Key"));
  g_autofree char *head = g_strdup_printf ("HTTP/1.1 101 Switching Protocols\r\n"
                                           "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                           "Sec-WebSocket-Accept: %s\r\n\r\n",
      accept);
  SptWsSocket *self = g_new0 (SptWsSocket, 1);
  self->door = door;
  g_set_object (&self->stream, stream);
  self->text = text;
  self->text_data = data;
  self->remote = g_strdup (spt_http_request_remote (request));
  self->user_agent = g_strdup (spt_http_request_header (request, "User-Agent"));
  self->overlay = g_strdup (spt_http_request_param (request, "overlay"));
  self->input = g_byte_array_new ();
  self->message = g_byte_array_new ();
  g_autofree char *unused = NULL;
  GSocket *socket = NULL;
  GIOStream *io = spt_http_take_over (request, "", &socket, &unused);
  if (!io) {
    socket_free (self);
    return NULL;
  }
  g_autoptr (GBytes) bytes = g_bytes_new (head, strlen (head));
  self->socket = g_object_ref (socket);
  self->peer = spt_sender_add (door->sender,
      &(SptSenderClient){.stream = io,
          .socket = socket,
          .duplex = TRUE,
          .stays = text != NULL,
          .filter = frame_unit,
          .closed = on_closed,
          .data = self},
      bytes);
  self->source = g_socket_create_source (self->socket, G_IO_IN, NULL);
  g_source_set_callback (self->source, G_SOURCE_FUNC (on_readable), self, NULL);
  g_source_attach (self->source, NULL);
  return self;
}

static gboolean
is_upgrade (SptHttpRequest *request)
{
  const char *upgrade = spt_http_request_header (request, "Upgrade");
  const char *key = spt_http_request_header (request, "Sec-WebSocket-Key");
  const char *version = spt_http_request_header (request, "Sec-WebSocket-Version");
  return upgrade && g_ascii_strcasecmp (upgrade, "websocket") == 0 && key && strlen (key) <= 64 &&
         g_strcmp0 (version, "13") == 0;
}

/* FALSE when the request has been answered: it is no WebSocket's, or a stranger's page asks. */
gboolean
spt_ws_may_open (SptHttpRequest *request)
{
  g_autoptr (GError) error = NULL;
  if (g_str_equal (spt_http_request_method (request), "HEAD")) {
    spt_http_reply_head (request, "application/json");
    return FALSE;
  }
  if (!spt_http_request_is_trusted (request))
    error = g_error_new (SPT_ERROR, SPT_ERROR_FORBIDDEN,
        "this web page's origin is not allowed to watch; api.origin allows it");
  else if (!is_upgrade (request))
    error =
        g_error_new (SPT_ERROR, SPT_ERROR_INVALID, "this address speaks WebSocket (version 13)");
  if (error)
    spt_http_reply_error (request, error);
  return !error;
}

static void
on_request (SptHttpRequest *request, gpointer data)
{
  SptWs *self = data;
  const char *src = spt_http_request_param (request, "src");
  g_autoptr (GError) error = NULL;
  if (!spt_ws_may_open (request))
    return;
  SptStream *stream = spt_streams_get (self->streams, src ? src : "", &error);
  if (stream)
    spt_ws_open (self, request, stream, NULL, NULL);
  else
    spt_http_reply_error (request, error);
}

/* (nullable): as the address of the socket asks for it, not checked */
const char *
spt_ws_get_overlay (SptWsSocket *self)
{
  return self->overlay;
}

/* Of a socket that does not play. */
void
spt_ws_set_stream (SptWsSocket *self, SptStream *stream)
{
  g_set_object (&self->stream, stream);
}

/* Or has asked for something to play. What has ended is given back: a socket whose door reads its
 * texts stays when the stream goes. */
gboolean
spt_ws_is_playing (SptWsSocket *self)
{
  if (self->viewer && spt_viewer_ended (self->viewer, NULL))
    stop_playing (self);
  return self->media != NULL;
}

/* (transfer full): one frame that may be sent to many. Any thread */
GBytes *
spt_ws_frame_text (const char *text, gsize size)
{
  GByteArray *frame = g_byte_array_new ();
  put_frame (frame, OP_TEXT, text, size);
  return g_byte_array_free_to_bytes (frame);
}

/* @frame: of spt_ws_frame_text() */
void
spt_ws_send (SptWsSocket *self, GBytes *frame)
{
  if (self->door && !self->finishing)
    spt_sender_write (self->peer, frame);
}

/* `{"type":"stop"}`: no more media, while the socket stays. */
static void
on_stop (SptWsSocket *self, JsonNode *value, gpointer data)
{
  stop_playing (self);
}

/**
 * spt_ws_new:
 *
 * Opens `/api/ws`; all arguments outlive it.
 */
SptWs *
spt_ws_new (SptHttp *http, SptSender *sender, SptStreams *streams)
{
  GST_DEBUG_CATEGORY_INIT (spotter_ws, "spotter-ws", 0, "WebSocket");
  SptWs *self = g_new0 (SptWs, 1);
  self->http = http;
  self->sender = sender;
  self->streams = streams;
  self->handlers = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  spt_http_route (http, "GET,HEAD", "/api/ws", SPT_ACTION_VIEW, on_request, self);
  spt_ws_handle (self, "stop", on_stop, NULL);
  return self;
}

/* Its sockets have been closed with the sender. */
void
spt_ws_free (SptWs *self)
{
  g_hash_table_unref (self->handlers);
  g_free (self);
}

/* The stream that the socket is about; (nullable) where its door has not said. */
SptStream *
spt_ws_get_stream (SptWsSocket *self)
{
  return self->stream;
}

/* Who is at the other end; the texts are the socket's. @format: static */
SptConsumer
spt_ws_get_consumer (SptWsSocket *self, const char *format)
{
  return (SptConsumer){format, "ws", self->remote, self->user_agent};
}

/* What a door remembers of a socket; freed when it closes, or is set anew. */
void
spt_ws_set_data (SptWsSocket *self, const char *key, gpointer data, GDestroyNotify free)
{
  g_datalist_set_data_full (&self->data, key, data, free);
}

gpointer
spt_ws_get_data (SptWsSocket *self, const char *key)
{
  return g_datalist_get_data (&self->data, key);
}

/* @type: static; messages of this type go to @handler */
void
spt_ws_handle (SptWs *self, const char *type, SptWsHandler handler, gpointer data)
{
  Handler *entry = g_new (Handler, 1);
  *entry = (Handler){handler, data};
  g_hash_table_replace (self->handlers, (gpointer)type, entry);
}
