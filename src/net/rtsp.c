/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection's socket is read here, on the main context, and written by the sender's thread only:
 * answers and media leave in one order, and a peer that does not read blocks nobody.
 *
 * Bounds: a head of HEAD_MAX bytes, a body of BODY_MAX; a message must be whole and a connection
 * without a session must say something within the timeout; a peer that asks without taking answers
 * is cut by the sender. While a request waits for its answer, what follows waits in the buffer. */
#include "config.h"

#include "rtsp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "admission.h"
#include "bytes.h"
#include "error.h"
#include "listen.h"
#include "random.h"

#define HEAD_MAX (16 * 1024)
#define BODY_MAX (64 * 1024)
#define BUFFER_MAX (HEAD_MAX + BODY_MAX + 4)
#define HEADERS_MAX 64
#define CHUNK (16 * 1024)
#define TICK_S 1

GST_DEBUG_CATEGORY (spotter_rtsp); /* also of outputs/rtsp*.c */
#define GST_CAT_DEFAULT spotter_rtsp

struct _SptRtspServer {
  SptAuth *auth;
  SptSender *sender;
  SptRtspLimits limits;
  SptRtspHandlers handlers;
  gpointer data;
  SptAdmission admission;
  GPtrArray *sources; /* of GSource */
  GPtrArray *sockets;
  GHashTable *connections; /* set of SptRtspConnection */
  char *address;
  guint tick_id;
};

struct _SptRtspConnection {
  grefcount refs;
  SptRtspServer *server; /* NULL when closed */
  gpointer data;
  GSocket *socket;
  SptSenderPeer *peer;
  SptSenderFilter filter; /* set before the peer is fed: the writer thread reads it */
  gpointer filter_data;
  char *remote, *user_agent, *nonce;
  gboolean local;
  GSource *source; /* NULL while the buffer is full */
  GByteArray *input;
  guint64 cseq;
  guint resume_id;    /* goes on with the buffer */
  gboolean busy;      /* a request waits for its answer */
  gboolean finishing; /* what comes is of no interest any more */
  guint timeout_ms;
  gint64 heard;   /* monotonic µs of the last whole message */
  gint64 started; /* of the first byte of the message under way; 0: none */
};

/* ---- answers ------------------------------------------------------------------------------ */

static void resume (SptRtspConnection *self);
static void start_reading (SptRtspConnection *self);

/**
 * spt_rtsp_reply:
 * @headers: (nullable): whole lines, each ended by CR LF
 * @type: (nullable): of the body
 * @body: (nullable)
 *
 * Answers the request under way; the next one is handled in another turn of the main loop.
 */
void
spt_rtsp_reply (SptRtspConnection *self, GstRTSPStatusCode status, const char *headers,
    const char *type, const char *body)
{
  if (!self->server || !self->busy)
    return;
  GString *text = g_string_new (NULL);
  g_string_append_printf (text, "RTSP/1.0 %d %s\r\nCSeq: %" G_GUINT64_FORMAT "\r\n", (int)status,
      gst_rtsp_status_as_text (status), self->cseq);
  g_string_append (text, "Server: Spotter\r\n");
  if (headers)
    g_string_append (text, headers);
  if (body)
    g_string_append_printf (
        text, "Content-Type: %s\r\nContent-Length: %" G_GSIZE_FORMAT "\r\n", type, strlen (body));
  g_string_append (text, "\r\n");
  if (body)
    g_string_append (text, body);
  g_autoptr (GBytes) bytes = g_string_free_to_bytes (text);
  spt_sender_write (self->peer, bytes);
  self->busy = FALSE;
  self->heard = g_get_monotonic_time ();
  resume (self);
}

static GstRTSPStatusCode
status_of (const GError *error)
{
  static const GstRTSPStatusCode codes[] = {
      [SPT_ERROR_FAILED] = GST_RTSP_STS_INTERNAL_SERVER_ERROR,
      [SPT_ERROR_INVALID] = GST_RTSP_STS_BAD_REQUEST,
      [SPT_ERROR_FORBIDDEN] = GST_RTSP_STS_FORBIDDEN,
      [SPT_ERROR_NOT_FOUND] = GST_RTSP_STS_NOT_FOUND,
      [SPT_ERROR_UNSUPPORTED] = GST_RTSP_STS_UNSUPPORTED_MEDIA_TYPE,
      [SPT_ERROR_UNAVAILABLE] = GST_RTSP_STS_SERVICE_UNAVAILABLE,
  };
  if (error->domain != SPT_ERROR || (guint)error->code >= G_N_ELEMENTS (codes))
    return GST_RTSP_STS_INTERNAL_SERVER_ERROR;
  return codes[error->code];
}

/* The status that belongs to the error, and its sentence as the body. */
void
spt_rtsp_reply_error (SptRtspConnection *self, const GError *error)
{
  g_autofree char *body = g_strconcat (error->message, "\n", NULL);
  GST_INFO ("%s: %s", self->remote, error->message);
  spt_rtsp_reply (self, status_of (error), NULL, "text/plain", body);
}

/* An answer after which there is nothing more to say to each other. */
static void
reject (SptRtspConnection *self, GstRTSPStatusCode status, const char *sentence)
{
  GST_INFO ("%s: %s", self->remote, sentence);
  self->busy = TRUE;
  spt_rtsp_reply (self, status, "Connection: close\r\n", "text/plain", sentence);
  spt_rtsp_connection_finish (self);
}

/* ---- requests ----------------------------------------------------------------------------- */

static void
ask_for_password (SptRtspConnection *self)
{
  g_autofree char *headers =
      g_strdup_printf ("WWW-Authenticate: Digest realm=\"" SPT_AUTH_REALM "\", nonce=\"%s\"\r\n"
                       "WWW-Authenticate: Basic realm=\"" SPT_AUTH_REALM "\"\r\n",
          self->nonce);
  spt_rtsp_reply (self, GST_RTSP_STS_UNAUTHORIZED, headers, NULL, NULL);
}

static const char *
header (GstRTSPMessage *message, GstRTSPHeaderField field)
{
  char *value = NULL;
  gst_rtsp_message_get_header (message, field, &value, 0);
  return value;
}

static void
handle (SptRtspConnection *self, const char *method_name, const char *url, GstRTSPMessage *message)
{
  GstRTSPMethod method = gst_rtsp_find_method (method_name);
  const char *cseq = header (message, GST_RTSP_HDR_CSEQ);
  const char *agent = header (message, GST_RTSP_HDR_USER_AGENT);
  self->busy = TRUE;
  self->cseq = 0;
  if (!cseq || !g_ascii_string_to_unsigned (cseq, 10, 0, G_MAXUINT32, &self->cseq, NULL)) {
    spt_rtsp_reply (self, GST_RTSP_STS_BAD_REQUEST, NULL, "text/plain",
        "the request has no CSeq that is a number\n");
    return;
  }
  if (agent && !self->user_agent)
    self->user_agent = g_strndup (agent, 128);
  if (method == GST_RTSP_INVALID || method == GST_RTSP_GET || method == GST_RTSP_POST) {
    spt_rtsp_reply (self, GST_RTSP_STS_NOT_IMPLEMENTED, NULL, NULL, NULL);
    return;
  }
  SptCredentials who = {.authorization = header (message, GST_RTSP_HDR_AUTHORIZATION),
      .local = self->local,
      .method = method_name,
      .nonce = self->nonce};
  SptAction action = method == GST_RTSP_ANNOUNCE || method == GST_RTSP_RECORD ? SPT_ACTION_MANAGE
                                                                              : SPT_ACTION_VIEW;
  if (method != GST_RTSP_OPTIONS &&
      !spt_auth_authorize (self->server->auth, &who, action, NULL, NULL)) {
    ask_for_password (self);
    return;
  }
  self->server->handlers.request (self, method, url, message, self->server->data);
}

/* "Name: value" lines; FALSE when one of them is none, or they are too many. */
static gboolean
read_headers (GstRTSPMessage *message, char **lines)
{
  guint n = 0;
  for (char **line = lines; *line && **line; line++) {
    char *colon = strchr (*line, ':');
    if (!colon || colon == *line || ++n > HEADERS_MAX)
      return FALSE;
    *colon = '\0';
    gst_rtsp_message_add_header_by_name (message, g_strstrip (*line), g_strstrip (colon + 1));
  }
  return TRUE;
}

/* The end of the head, just behind its empty line; 0 when it is not there yet. */
static gsize
find_head (const GByteArray *input)
{
  const char *data = (const char *)input->data;
  for (gsize i = 0; i + 1 < input->len; i++) {
    if (data[i] != '\n')
      continue;
    if (data[i + 1] == '\n')
      return i + 2;
    if (i + 2 < input->len && data[i + 1] == '\r' && data[i + 2] == '\n')
      return i + 3;
  }
  return 0;
}

typedef enum { TOOK_PACKET, TOOK_REQUEST, NEEDS_MORE, HOPELESS } Progress;

/* A request with its body, when it is all there. */
static Progress
take_request (SptRtspConnection *self)
{
  gsize head = find_head (self->input);
  if (!head && self->input->len < HEAD_MAX)
    return NEEDS_MORE;
  if (!head || head > HEAD_MAX) {
    reject (self, GST_RTSP_STS_REQUEST_ENTITY_TOO_LARGE, "the head of the request is too long\n");
    return HOPELESS;
  }
  if (memchr (self->input->data, 0, head)) {
    reject (self, GST_RTSP_STS_BAD_REQUEST, "this is no RTSP request\n");
    return HOPELESS;
  }
  g_autofree char *text = g_strndup ((const char *)self->input->data, head);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line; line++)
    g_strchomp (*line);
  g_auto (GStrv) words = g_strsplit (lines[0], " ", 4);
  guint n = g_strv_length (words);
  gboolean answer = g_str_has_prefix (lines[0], "RTSP/1.0 ");
  if (!answer && (n != 3 || !g_str_has_prefix (words[2], "RTSP/"))) {
    reject (self, GST_RTSP_STS_BAD_REQUEST, "this is no RTSP request\n");
    return HOPELESS;
  }
  if (!answer && !g_str_equal (words[2], "RTSP/1.0")) {
    reject (self, GST_RTSP_STS_RTSP_VERSION_NOT_SUPPORTED, "RTSP/1.0 is spoken here\n");
    return HOPELESS;
  }
  GstRTSPMessage message = {0};
  gst_rtsp_message_init_request (&message, GST_RTSP_OPTIONS, answer ? "*" : words[1]);
  guint64 length = 0;
  Progress progress = HOPELESS;
  if (!read_headers (&message, lines + 1)) {
    reject (self, GST_RTSP_STS_BAD_REQUEST, "the headers of the request are malformed\n");
    progress = HOPELESS;
  } else if (header (&message, GST_RTSP_HDR_CONTENT_LENGTH) &&
             !g_ascii_string_to_unsigned (
                 header (&message, GST_RTSP_HDR_CONTENT_LENGTH), 10, 0, BODY_MAX, &length, NULL)) {
    reject (self, GST_RTSP_STS_REQUEST_ENTITY_TOO_LARGE, "the body of the request is too long\n");
    progress = HOPELESS;
  } else if (self->input->len < head + length) {
    progress = NEEDS_MORE;
  } else {
    gst_rtsp_message_set_body (&message, self->input->data + head, (guint)length);
    g_byte_array_remove_range (self->input, 0, (guint)(head + length));
    if (!answer)
      handle (self, words[0], words[1], &message);
    progress = TOOK_REQUEST;
  }
  gst_rtsp_message_unset (&message);
  return progress;
}

static Progress
take_packet (SptRtspConnection *self)
{
  if (self->input->len < 4)
    return NEEDS_MORE;
  gsize size = spt_get_be16 (self->input->data + 2);
  if (self->input->len < 4 + size)
    return NEEDS_MORE;
  self->server->handlers.packet (
      self, self->input->data[1], self->input->data + 4, size, self->server->data);
  g_byte_array_remove_range (self->input, 0, (guint)(4 + size));
  return TOOK_PACKET;
}

static Progress
take_message (SptRtspConnection *self)
{
  guint skip = 0;
  while (skip < self->input->len && strchr ("\r\n", self->input->data[skip]) &&
         self->input->data[skip])
    skip++;
  if (skip)
    g_byte_array_remove_range (self->input, 0, skip);
  if (!self->input->len)
    return NEEDS_MORE;
  return self->input->data[0] == '$' ? take_packet (self) : take_request (self);
}

/* Handles what the buffer holds, up to the first request: requests have one turn of the main loop
 * each, so that nobody who sends many at once keeps others waiting, and none is handled from within
 * the answer to the one before. */
static void
process (SptRtspConnection *self)
{
  Progress progress = TOOK_PACKET;
  while (progress == TOOK_PACKET && self->server && !self->busy && !self->finishing) {
    progress = take_message (self);
    if (progress <= TOOK_REQUEST) {
      self->heard = g_get_monotonic_time ();
      self->started = 0;
    }
  }
  if (self->input->len && !self->started)
    self->started = g_get_monotonic_time ();
  if (!self->input->len)
    self->started = 0;
  if (self->input->len <= BUFFER_MAX)
    start_reading (self);
  if (progress == TOOK_REQUEST)
    resume (self);
}

static gboolean
on_resume (gpointer data)
{
  SptRtspConnection *self = data;
  self->resume_id = 0;
  process (self);
  return G_SOURCE_REMOVE;
}

static void
resume (SptRtspConnection *self)
{
  if (!self->resume_id && self->server && self->input->len && !self->busy)
    self->resume_id = g_idle_add_full (G_PRIORITY_DEFAULT, on_resume, self, NULL);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void
stop_reading (SptRtspConnection *self)
{
  if (self->source)
    g_source_destroy (self->source);
  g_clear_pointer (&self->source, g_source_unref);
}

static gboolean
on_readable (GSocket *socket, GIOCondition condition, gpointer data)
{
  g_autoptr (SptRtspConnection) self = spt_rtsp_connection_ref (data);
  guint8 chunk[CHUNK];
  gssize n = recv (g_socket_get_fd (socket), chunk, sizeof chunk, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  if (n <= 0) {
    stop_reading (self);
    spt_sender_remove (self->peer);
    return G_SOURCE_REMOVE;
  }
  if (self->finishing)
    return G_SOURCE_CONTINUE;
  g_byte_array_append (self->input, chunk, (guint)n);
  process (self);
  if (!self->source)
    return G_SOURCE_REMOVE;
  if (self->input->len <= BUFFER_MAX)
    return G_SOURCE_CONTINUE;
  /* It asks faster than it is answered: TCP tells it to wait. */
  stop_reading (self);
  return G_SOURCE_REMOVE;
}

static void
start_reading (SptRtspConnection *self)
{
  if (self->source || !self->server)
    return;
  self->source = g_socket_create_source (self->socket, G_IO_IN, NULL);
  g_source_set_callback (self->source, G_SOURCE_FUNC (on_readable), self, NULL);
  g_source_attach (self->source, NULL);
}

/* ---- the life of a connection ------------------------------------------------------------- */

SptRtspConnection *
spt_rtsp_connection_ref (SptRtspConnection *self)
{
  g_ref_count_inc (&self->refs);
  return self;
}

void
spt_rtsp_connection_unref (SptRtspConnection *self)
{
  if (!g_ref_count_dec (&self->refs))
    return;
  g_byte_array_unref (self->input);
  g_object_unref (self->socket);
  g_free (self->remote);
  g_free (self->user_agent);
  g_free (self->nonce);
  g_free (self);
}

static void
on_closed (const GError *reason, gpointer data)
{
  SptRtspConnection *self = data;
  SptRtspServer *server = g_steal_pointer (&self->server);
  GST_DEBUG ("%s: closed%s%s", self->remote, reason ? ": " : "", reason ? reason->message : "");
  stop_reading (self);
  g_clear_handle_id (&self->resume_id, g_source_remove);
  server->handlers.closed (self, server->data);
  spt_admission_leave (&server->admission, self->remote);
  g_hash_table_remove (server->connections, self);
  spt_rtsp_connection_unref (self);
}

static GstBuffer *
filter_unit (GstBuffer *unit, GstCaps *caps, SptViewer *viewer, gpointer data)
{
  SptRtspConnection *self = data;
  return self->filter ? self->filter (unit, caps, viewer, self->filter_data)
                      : gst_buffer_ref (unit);
}

static gboolean
is_overdue (SptRtspConnection *self, gint64 now)
{
  gint64 message = self->server->limits.timeout_ms * 1000ll, silence = self->timeout_ms * 1000ll;
  return !self->busy && !self->finishing &&
         ((self->started && now - self->started > message) ||
             (silence && now - self->heard > silence));
}

static gboolean
on_tick (gpointer data)
{
  SptRtspServer *server = data;
  gint64 now = g_get_monotonic_time ();
  GHashTableIter it;
  gpointer key;
  g_hash_table_iter_init (&it, server->connections);
  while (g_hash_table_iter_next (&it, &key, NULL)) {
    SptRtspConnection *self = key;
    if (is_overdue (self, now)) {
      GST_INFO ("%s: said nothing for too long", self->remote);
      spt_sender_remove (self->peer);
    }
  }
  if (g_hash_table_size (server->connections))
    return G_SOURCE_CONTINUE;
  server->tick_id = 0;
  return G_SOURCE_REMOVE;
}

static gboolean
on_incoming (GSocket *listener, GIOCondition condition, gpointer data)
{
  SptRtspServer *server = data;
  if (spt_sender_is_stopping (server->sender))
    return G_SOURCE_REMOVE;
  g_autoptr (GSocket) socket = g_socket_accept (listener, NULL, NULL);
  g_autoptr (GSocketAddress) address = socket ? g_socket_get_remote_address (socket, NULL) : NULL;
  if (!address)
    return G_SOURCE_CONTINUE; /* it has left already, or there is no descriptor for it */
  g_autofree char *remote = spt_admission_address (address);
  if (!spt_admission_enter (&server->admission, remote)) {
    GST_INFO ("refused a connection from %s: %u are open", remote, server->admission.count);
    return G_SOURCE_CONTINUE;
  }
  SptRtspConnection *self = g_new0 (SptRtspConnection, 1);
  g_ref_count_init (&self->refs);
  self->server = server;
  self->socket = g_object_ref (socket);
  self->remote = g_steal_pointer (&remote);
  self->nonce = spt_random_id ();
  self->local = g_inet_address_get_is_loopback (
      g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (address)));
  self->input = g_byte_array_new ();
  self->timeout_ms = server->limits.timeout_ms;
  self->heard = g_get_monotonic_time ();
  self->peer = spt_sender_add (server->sender,
      &(SptSenderClient){.socket = g_steal_pointer (&socket),
          .duplex = TRUE,
          .filter = filter_unit,
          .closed = on_closed,
          .data = self},
      NULL);
  g_hash_table_add (server->connections, self);
  if (!server->tick_id)
    server->tick_id = g_timeout_add_seconds (TICK_S, on_tick, server);
  start_reading (self);
  return G_SOURCE_CONTINUE;
}

void
spt_rtsp_connection_set_data (SptRtspConnection *self, gpointer data)
{
  self->data = data;
}

gpointer
spt_rtsp_connection_get_data (SptRtspConnection *self)
{
  return self->data;
}

/* The peer's address without port */
const char *
spt_rtsp_connection_remote (SptRtspConnection *self)
{
  return self->remote;
}

GSocket *
spt_rtsp_connection_get_socket (SptRtspConnection *self)
{
  return self->socket;
}

SptSenderPeer *
spt_rtsp_connection_get_peer (SptRtspConnection *self)
{
  return self->peer;
}

/* (nullable) */
const char *
spt_rtsp_connection_user_agent (SptRtspConnection *self)
{
  return self->user_agent;
}

/* What is sent of each unit. Before the peer is fed for the first time; @data lives until the
 * connection is closed. */
void
spt_rtsp_connection_set_filter (SptRtspConnection *self, SptSenderFilter filter, gpointer data)
{
  self->filter = filter;
  self->filter_data = data;
}

/* How long it may say nothing; 0: for ever. */
void
spt_rtsp_connection_set_timeout (SptRtspConnection *self, guint ms)
{
  self->timeout_ms = ms;
  self->heard = g_get_monotonic_time ();
}

/* It has given a sign of life elsewhere. */
void
spt_rtsp_connection_touch (SptRtspConnection *self)
{
  self->heard = g_get_monotonic_time ();
}

/* Closes when what has been answered is written. */
void
spt_rtsp_connection_finish (SptRtspConnection *self)
{
  if (self->finishing || !self->server)
    return;
  self->finishing = TRUE;
  g_byte_array_set_size (self->input, 0);
  spt_sender_finish (self->peer);
}

/* ---- the server --------------------------------------------------------------------------- */

/* @auth, @sender: outlive the server */
SptRtspServer *
spt_rtsp_server_new (SptAuth *auth, SptSender *sender, const SptRtspLimits *limits,
    const SptRtspHandlers *handlers, gpointer data)
{
  GST_DEBUG_CATEGORY_INIT (spotter_rtsp, "spotter-rtsp", 0, "RTSP");
  SptRtspServer *self = g_new0 (SptRtspServer, 1);
  self->auth = auth;
  self->sender = sender;
  self->limits = *limits;
  self->handlers = *handlers;
  self->data = data;
  spt_admission_init (&self->admission, limits->max, limits->max_per_address);
  self->connections = g_hash_table_new (NULL, NULL);
  self->sources = g_ptr_array_new ();
  return self;
}

gboolean
spt_rtsp_server_listen (SptRtspServer *self, const char *address, GError **error)
{
  self->sockets = spt_listen (address, error);
  if (!self->sockets)
    return FALSE;
  for (guint i = 0; i < self->sockets->len; i++) {
    GSource *source = g_socket_create_source (g_ptr_array_index (self->sockets, i), G_IO_IN, NULL);
    g_source_set_callback (source, G_SOURCE_FUNC (on_incoming), self, NULL);
    g_source_attach (source, NULL);
    g_ptr_array_add (self->sources, source);
  }
  self->address = spt_listen_describe (g_ptr_array_index (self->sockets, 0));
  GST_INFO ("listen addr=%s", self->address);
  return TRUE;
}

/* (nullable): "127.0.0.1:8554", with the real port */
const char *
spt_rtsp_server_address (SptRtspServer *self)
{
  return self->address;
}

/* Frees the server; the sender has been stopped and its closed functions have run. */
void
spt_rtsp_server_stop (SptRtspServer *self)
{
  for (guint i = 0; i < self->sources->len; i++) {
    g_source_destroy (g_ptr_array_index (self->sources, i));
    g_source_unref (g_ptr_array_index (self->sources, i));
  }
  g_ptr_array_unref (self->sources);
  g_clear_pointer (&self->sockets, g_ptr_array_unref);
  g_clear_handle_id (&self->tick_id, g_source_remove);
  g_assert (g_hash_table_size (self->connections) == 0);
  g_hash_table_unref (self->connections);
  spt_admission_clear (&self->admission);
  g_free (self->address);
  g_free (self);
}
