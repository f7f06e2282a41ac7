/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RTSP: `rtsp://host:8554/NAME?video=…&audio=…`, over TCP or UDP.
 *
 * A viewer is a lease on the stream's shared RTP track (core/rtp.c); what its query asks for
 * decides which. DESCRIBE, or a SETUP without one, takes the lease, waiting for a cold source while
 * others are served; PLAY attaches a viewer to the track and hands it to the sender: for TCP on the
 * connection itself, for UDP as datagrams. A session lives as long as its connection.
 *
 * All on the main context, but for filter_unit(). */
#include "config.h"

#include <string.h>

#include "ask.h"
#include "doors.h"
#include "error.h"
#include "filters.h"
#include "random.h"
#include "rtp.h"
#include "rtsp-address.h"
#include "rtsp-media.h"
#include "rtsp-publication.h"
#include "rtsp.h"
#include "sdp.h"
#include "track.h"
#include "udp-ports.h"

/* The longest a DESCRIBE or SETUP waits for a cold source. */
#define WAIT_MS 8000
/* What we promise (RFC 2326, 12.37), and what we grant beyond it. */
#define SESSION_TIMEOUT_S 60
#define SESSION_GRACE_S 15
#define METHODS                                                                                    \
  "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER, ANNOUNCE, "      \
  "RECORD"

#define DEFAULT_LISTEN "127.0.0.1:8554"

GST_DEBUG_CATEGORY_EXTERN (spotter_rtsp);
#define GST_CAT_DEFAULT spotter_rtsp

static const SptOption options[] = {
    {"rtsp.listen", SPT_OPTION_STRING, DEFAULT_LISTEN, 0, 0,
        "address and port of the RTSP door; \":8554\" is every address, \"\" closes it"},
    {"rtsp.username", SPT_OPTION_STRING, "", 0, 0, "user name asked for (Digest or Basic)"},
    {"rtsp.password", SPT_OPTION_STRING, "", 0, 0, "its password; empty: none is asked for"},
    {"rtsp.default_query", SPT_OPTION_STRING, "video&audio", 0, 0,
        "query of addresses that have none, such as \"video=h264&audio=aac\""},
    {"rtsp.udp_ports", SPT_OPTION_STRINGS, NULL, 0, 0,
        "first and last UDP port for media; none: any. Each track in use takes two"},
    {"rtsp.timeout", SPT_OPTION_SECONDS, "15s", 100, 600000,
        "a connection without a session that says nothing for so long is closed"},
    {"rtsp.max_connections", SPT_OPTION_INT, "2000", 1, 1000000, "connections at once"},
    {"rtsp.max_connections_per_address", SPT_OPTION_INT, "500", 1, 1000000,
        "connections at once from one address"},
};

typedef struct {
  SptHost *host;
  SptAuth *auth;
  SptRtspServer *server;
  guint16 udp_first, udp_last;
  SptRtspPorts *ports;
} Door;

typedef struct {
  Door *door;
  SptRtspConnection *connection;
  char *id; /* NULL before the first SETUP */

  /* the track */
  SptStream *stream;
  char *query;
  SptRtspMedia *media; /* has the lease */

  /* a request that waits for it */
  GstRTSPMethod waiting;
  guint lane;
  char *transport;
  SptAsk *ask;
  guint wait_id;

  SptPublication *publication; /* who sends instead of watching */
} Session;

static void
session_free (Session *self)
{
  spt_rtsp_media_unref (self->media);
  spt_rtsp_connection_unref (self->connection);
  g_free (self->id);
  g_free (self);
}

/* (nullable) */
static SptTrack *
track_of (Session *self)
{
  SptLease *lease = spt_rtsp_media_get_lease (self->media);
  return lease ? spt_lease_get_track (lease) : NULL;
}

static void
stop_waiting (Session *self)
{
  g_clear_handle_id (&self->wait_id, g_source_remove);
  g_clear_pointer (&self->ask, spt_ask_take_back);
  g_clear_pointer (&self->transport, g_free);
  self->waiting = GST_RTSP_INVALID;
}

/* Gives back the track and all that was set up on it. */
static void
drop_media (Session *self)
{
  stop_waiting (self);
  spt_rtsp_media_set_lease (self->media, NULL);
  g_clear_pointer (&self->publication, spt_publication_free);
  g_clear_pointer (&self->id, g_free);
  g_clear_object (&self->stream);
  g_clear_pointer (&self->query, g_free);
}

/* ---- DESCRIBE and SETUP ------------------------------------------------------------------- */

static void
reply (Session *self, GstRTSPStatusCode status, const char *sentence)
{
  g_autofree char *body = sentence ? g_strconcat (sentence, "\n", NULL) : NULL;
  if (sentence)
    GST_INFO ("%s: %s", spt_rtsp_connection_remote (self->connection), sentence);
  spt_rtsp_reply (self->connection, status, NULL, "text/plain", body);
}

static void
reply_in_session (Session *self, const char *more)
{
  g_autofree char *headers = g_strdup_printf (
      "Session: %s;timeout=%d\r\n%s", self->id, SESSION_TIMEOUT_S, more ? more : "");
  spt_rtsp_reply (self->connection, GST_RTSP_STS_OK, headers, NULL, NULL);
}

/* (transfer full): our address as this client sees it, and the port */
static char *
local_address (Session *self, guint *port)
{
  g_autoptr (GSocketAddress) local =
      g_socket_get_local_address (spt_rtsp_connection_get_socket (self->connection), NULL);
  if (!local)
    return g_strdup ("0.0.0.0");
  *port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (local));
  g_autofree char *name = spt_udp_name (local);
  return g_strndup (name, strcspn (name, " "));
}

/* (transfer full): "rtsp://[::1]:8554/NAME/": where the tracks' addresses begin */
static char *
base_address (Session *self)
{
  guint port = 0;
  g_autofree char *host = local_address (self, &port);
  gboolean six = strchr (host, ':') != NULL;
  return g_strdup_printf ("rtsp://%s%s%s:%u/%s/", six ? "[" : "", host, six ? "]" : "", port,
      spt_stream_get_name (self->stream));
}

static void
answer_describe (Session *self)
{
  guint port = 0;
  g_autoptr (GstCaps) caps = spt_track_get_caps (track_of (self));
  g_autofree char *server = local_address (self, &port);
  const char *name = spt_stream_get_name (self->stream);
  g_autofree char *sdp = caps ? spt_sdp_of_track (name, server, caps) : NULL;
  g_autofree char *base = base_address (self);
  g_autofree char *headers = g_strdup_printf ("Content-Base: %s\r\n", base);
  if (sdp)
    spt_rtsp_reply (self->connection, GST_RTSP_STS_OK, headers, "application/sdp", sdp);
  else
    reply (self, GST_RTSP_STS_UNSUPPORTED_MEDIA_TYPE, "the stream has nothing RTP can carry");
}

static void
make_id (Session *self)
{
  if (!self->id)
    self->id = spt_random_id ();
}

static void
answer_setup (Session *self)
{
  guint ssrc = 0;
  g_autofree char *offered = g_steal_pointer (&self->transport);
  g_autoptr (GstCaps) caps = spt_track_get_caps (track_of (self));
  g_autoptr (GstCaps) rtp =
      caps && self->lane < SPT_RTP_LANES ? spt_rtp_lane_caps (caps, self->lane) : NULL;
  if (!rtp) {
    reply (self, GST_RTSP_STS_NOT_FOUND, "the stream has no such track");
    return;
  }
  g_autofree char *chosen = spt_rtsp_media_set_up (self->media, self->lane, offered);
  if (!chosen) {
    reply (self, GST_RTSP_STS_UNSUPPORTED_TRANSPORT, NULL);
    return;
  }
  gst_structure_get_uint (gst_caps_get_structure (rtp, 0), "ssrc", &ssrc);
  make_id (self);
  spt_lease_set_protocol (spt_rtsp_media_get_lease (self->media),
      spt_rtsp_media_is_tcp (self->media) ? "rtsp+tcp" : "rtsp+udp");
  spt_rtsp_connection_set_timeout (self->connection, (SESSION_TIMEOUT_S + SESSION_GRACE_S) * 1000);
  g_autofree char *more =
      g_strdup_printf ("Transport: %s;ssrc=%08X;mode=\"PLAY\"\r\n", chosen, ssrc);
  reply_in_session (self, more);
}

static void
answer_waiting (Session *self)
{
  GstRTSPMethod method = self->waiting;
  g_autofree char *transport = g_steal_pointer (&self->transport);
  stop_waiting (self);
  self->transport = g_steal_pointer (&transport);
  if (method == GST_RTSP_DESCRIBE)
    answer_describe (self);
  else
    answer_setup (self);
}

static void
on_lease (SptLease *lease, const GError *error, gpointer data)
{
  Session *self = data;
  self->ask = NULL;
  if (lease) {
    spt_rtsp_media_set_lease (self->media, lease);
    answer_waiting (self);
  } else {
    drop_media (self);
    spt_rtsp_reply_error (self->connection, error);
  }
}

static gboolean
on_waited (gpointer data)
{
  Session *self = data;
  self->wait_id = 0;
  g_autofree char *sentence = g_strdup_printf (
      "the stream %s gave nothing within %d s", spt_stream_get_name (self->stream), WAIT_MS / 1000);
  drop_media (self);
  reply (self, GST_RTSP_STS_SERVICE_UNAVAILABLE, sentence);
  return G_SOURCE_REMOVE;
}

static gboolean
have_track (Session *self, SptStream *stream, const char *query)
{
  return track_of (self) && self->stream == stream && g_str_equal (query, self->query) &&
         spt_track_is_active (track_of (self));
}

/* What the address asks for; a SETUP that says nothing means what was described. */
static const char *
query_of (Session *self, SptStream *stream, const SptRtspAddress *address, GstRTSPMethod method)
{
  if (*address->query)
    return address->query;
  if (method == GST_RTSP_SETUP && stream && self->stream == stream)
    return self->query;
  return spt_settings_string (self->door->host->settings, "rtsp.default_query");
}

/* Answers the request when the stream's track is there. */
static void
with_track (
    Session *self, const SptRtspAddress *address, GstRTSPMethod method, const char *transport)
{
  g_autoptr (GError) error = NULL;
  SptWant want = {0};
  SptStream *stream = spt_streams_get (self->door->host->streams, address->name, &error);
  g_autofree char *query = g_strdup (query_of (self, stream, address, method));
  if (!stream || !spt_rtsp_address_read_query (query, &want, &error)) {
    spt_filters_clear (&want);
    spt_rtsp_reply_error (self->connection, error);
    return;
  }
  gboolean reuse = have_track (self, stream, query);
  if (!reuse && self->id) {
    reply (self, GST_RTSP_STS_AGGREGATE_OPERATION_NOT_ALLOWED, "a session has one stream");
    spt_filters_clear (&want);
    return;
  }
  if (!reuse)
    drop_media (self);
  self->waiting = method;
  self->lane = address->lane < 0 ? 0 : (guint)address->lane;
  self->transport = g_strdup (transport);
  if (reuse) {
    spt_filters_clear (&want);
    answer_waiting (self);
    return;
  }
  SptConsumer consumer = {.format = "rtsp",
      .protocol = "rtsp",
      .remote_addr = (char *)spt_rtsp_connection_remote (self->connection),
      .user_agent = (char *)spt_rtsp_connection_user_agent (self->connection)};
  self->stream = g_object_ref (stream);
  self->query = g_steal_pointer (&query);
  self->wait_id = g_timeout_add (WAIT_MS, on_waited, self);
  self->ask = spt_ask_active (stream, &want, &consumer, on_lease, self);
  spt_filters_clear (&want);
}

/* ---- PLAY, PAUSE, TEARDOWN ---------------------------------------------------------------- */

static void
reply_playing (Session *self, const SptRtspStart *start)
{
  g_autofree char *base = base_address (self);
  g_autofree char *more =
      start->known && spt_rtsp_media_has_lane (self->media, 0)
          ? g_strdup_printf ("Range: npt=now-\r\nRTP-Info: url=%strackID=0;seq=%u;rtptime=%u\r\n",
                base, start->seqnum, start->timestamp)
          : g_strdup ("Range: npt=now-\r\n");
  reply_in_session (self, more);
}

static void
play (Session *self)
{
  SptRtspStart start;
  if (spt_rtsp_media_is_playing (self->media)) {
    reply_in_session (self, NULL);
    return;
  }
  spt_rtsp_media_attach (self->media, &start);
  /* A TCP viewer that does not read is cut by the sender; it need not say that it lives. */
  if (spt_rtsp_media_is_tcp (self->media))
    spt_rtsp_connection_set_timeout (self->connection, 0);
  reply_playing (self, &start);
  spt_rtsp_media_send (self->media);
}

static gboolean
in_session (Session *self, GstRTSPMessage *message)
{
  char *id = NULL;
  gst_rtsp_message_get_header (message, GST_RTSP_HDR_SESSION, &id, 0);
  gsize length = id ? strcspn (id, "; ") : 0;
  return self->id && (!id || (strlen (self->id) == length && !strncmp (self->id, id, length)));
}

static void
on_pause (Session *self)
{
  spt_rtsp_media_pause (self->media);
  spt_rtsp_connection_set_timeout (self->connection, (SESSION_TIMEOUT_S + SESSION_GRACE_S) * 1000);
  reply_in_session (self, NULL);
}

static void
on_teardown (Session *self)
{
  drop_media (self);
  spt_rtsp_connection_set_timeout (
      self->connection, (guint)spt_settings_int (self->door->host->settings, "rtsp.timeout"));
  reply (self, GST_RTSP_STS_OK, NULL);
}

/* ---- ANNOUNCE and RECORD ------------------------------------------------------------------ */

static void
on_announce (Session *self, const SptRtspAddress *address, GstRTSPMessage *message)
{
  g_autoptr (GError) error = NULL;
  guint8 *body = NULL;
  guint size = 0;
  if (self->id) {
    reply (self, GST_RTSP_STS_METHOD_NOT_VALID_IN_THIS_STATE, "ANNOUNCE within a session");
    return;
  }
  drop_media (self);
  gst_rtsp_message_get_body (message, &body, &size);
  SptStream *stream = spt_streams_get (self->door->host->streams, address->name, &error);
  if (stream)
    self->publication = spt_publication_new (stream, (const char *)body, size, &error);
  if (self->publication)
    reply (self, GST_RTSP_STS_OK, NULL);
  else
    spt_rtsp_reply_error (self->connection, error);
}

static void
on_publisher_alive (gpointer data)
{
  Session *self = data;
  spt_rtsp_connection_touch (self->connection);
}

typedef struct {
  Session *session;
  const char *url;
} SetUp;

static char *
take_transport (const GstRTSPTransport *wish, gpointer data)
{
  const SetUp *set_up = data;
  Session *self = set_up->session;
  g_autoptr (GSocketAddress) remote =
      g_socket_get_remote_address (spt_rtsp_connection_get_socket (self->connection), NULL);
  const int ports[2] = {wish->client_port.min, wish->client_port.max};
  if (wish->lower_transport & GST_RTSP_LOWER_TRANS_TCP)
    return spt_publication_set_up_tcp (
        self->publication, set_up->url, wish->interleaved.min, wish->interleaved.max);
  if (!remote || !(wish->lower_transport & GST_RTSP_LOWER_TRANS_UDP))
    return NULL;
  return spt_publication_set_up_udp (self->publication, set_up->url,
      g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (remote)), ports,
      self->door->udp_first, self->door->udp_last, on_publisher_alive, self);
}

static void
on_setup_publication (Session *self, const char *url, const char *transport)
{
  SetUp set_up = {self, url};
  g_autofree char *chosen = spt_rtsp_transport_choose (transport, take_transport, &set_up);
  if (!chosen) {
    reply (self, GST_RTSP_STS_UNSUPPORTED_TRANSPORT, NULL);
    return;
  }
  make_id (self);
  g_autofree char *more = g_strdup_printf ("Transport: %s\r\n", chosen);
  reply_in_session (self, more);
}

static void
on_record (Session *self)
{
  g_autoptr (GError) error = NULL;
  if (!self->publication) {
    reply (self, GST_RTSP_STS_METHOD_NOT_VALID_IN_THIS_STATE, "RECORD without ANNOUNCE");
  } else if (spt_publication_record (self->publication, &error)) {
    /* A publisher that is silent for so long makes room for the next. */
    spt_rtsp_connection_set_timeout (
        self->connection, (guint)spt_settings_int (self->door->host->settings, "rtsp.timeout"));
    reply_in_session (self, NULL);
  } else {
    spt_rtsp_reply_error (self->connection, error);
  }
}

static void
on_record_paused (Session *self)
{
  spt_publication_pause (self->publication);
  reply_in_session (self, NULL);
}

static void
on_setup (Session *self, const char *url, const SptRtspAddress *address, GstRTSPMessage *message)
{
  char *transport = NULL, *id = NULL;
  gst_rtsp_message_get_header (message, GST_RTSP_HDR_TRANSPORT, &transport, 0);
  gst_rtsp_message_get_header (message, GST_RTSP_HDR_SESSION, &id, 0);
  if (!transport)
    reply (self, GST_RTSP_STS_UNSUPPORTED_TRANSPORT, "SETUP says no Transport");
  else if (id && !in_session (self, message))
    reply (self, GST_RTSP_STS_SESSION_NOT_FOUND, NULL);
  else if (self->publication)
    on_setup_publication (self, url, transport);
  else if (spt_rtsp_media_is_playing (self->media))
    reply (self, GST_RTSP_STS_METHOD_NOT_VALID_IN_THIS_STATE, "SETUP while playing: PAUSE first");
  else
    with_track (self, address, GST_RTSP_SETUP, transport);
}

/* ---- the door ----------------------------------------------------------------------------- */

static Session *
session_of (Door *door, SptRtspConnection *connection)
{
  Session *self = spt_rtsp_connection_get_data (connection);
  if (self)
    return self;
  self = g_new0 (Session, 1);
  self->door = door;
  self->connection = spt_rtsp_connection_ref (connection);
  self->waiting = GST_RTSP_INVALID;
  self->media = spt_rtsp_media_new (door->ports, door->host->sender, connection);
  spt_rtsp_connection_set_data (connection, self);
  return self;
}

/* What has an address that must name a stream. */
static void
on_addressed (Session *self, GstRTSPMethod method, const char *url, GstRTSPMessage *message)
{
  SptRtspAddress address;
  if (!spt_rtsp_address_parse (url, &address))
    reply (self, GST_RTSP_STS_BAD_REQUEST, "the address names no stream");
  else if (method == GST_RTSP_SETUP)
    on_setup (self, url, &address, message);
  else if (method == GST_RTSP_ANNOUNCE)
    on_announce (self, &address, message);
  else if (self->publication)
    reply (self, GST_RTSP_STS_METHOD_NOT_VALID_IN_THIS_STATE, "DESCRIBE by a publisher");
  else
    with_track (self, &address, method, NULL);
  spt_rtsp_address_clear (&address);
}

/* What needs a session. */
static void
on_sessional (Session *self, GstRTSPMethod method, GstRTSPMessage *message)
{
  if (!in_session (self, message))
    reply (self, GST_RTSP_STS_SESSION_NOT_FOUND, NULL);
  else if (method == GST_RTSP_RECORD)
    on_record (self);
  else if (method == GST_RTSP_TEARDOWN)
    on_teardown (self);
  else if (method == GST_RTSP_GET_PARAMETER || method == GST_RTSP_SET_PARAMETER)
    reply_in_session (self, NULL);
  else if (self->publication && method == GST_RTSP_PAUSE)
    on_record_paused (self);
  else if (self->publication)
    reply (self, GST_RTSP_STS_METHOD_NOT_VALID_IN_THIS_STATE, NULL);
  else if (method == GST_RTSP_PLAY)
    play (self);
  else
    on_pause (self);
}

static void
on_request (SptRtspConnection *connection, GstRTSPMethod method, const char *url,
    GstRTSPMessage *message, gpointer data)
{
  Session *self = session_of (data, connection);
  switch (method) {
  case GST_RTSP_OPTIONS:
    spt_rtsp_reply (connection, GST_RTSP_STS_OK, "Public: " METHODS "\r\n", NULL, NULL);
    break;
  case GST_RTSP_DESCRIBE:
  case GST_RTSP_SETUP:
  case GST_RTSP_ANNOUNCE:
    on_addressed (self, method, url, message);
    break;
  case GST_RTSP_PLAY:
  case GST_RTSP_PAUSE:
  case GST_RTSP_TEARDOWN:
  case GST_RTSP_RECORD:
  case GST_RTSP_GET_PARAMETER:
  case GST_RTSP_SET_PARAMETER:
    on_sessional (self, method, message);
    break;
  default:
    spt_rtsp_reply (
        connection, GST_RTSP_STS_METHOD_NOT_ALLOWED, "Allow: " METHODS "\r\n", NULL, NULL);
  }
}

/* A viewer's are receiver reports: that it lives is known from its taking what we send. */
static void
on_packet (
    SptRtspConnection *connection, guint8 channel, const guint8 *packet, gsize size, gpointer data)
{
  Session *self = spt_rtsp_connection_get_data (connection);
  if (self && self->publication &&
      !spt_publication_packet (self->publication, channel, packet, size))
    spt_rtsp_connection_finish (connection);
}

static void
on_closed (SptRtspConnection *connection, gpointer data)
{
  Session *self = spt_rtsp_connection_get_data (connection);
  if (!self)
    return;
  drop_media (self);
  spt_rtsp_connection_set_data (connection, NULL);
  session_free (self);
}

static gboolean
read_ports (Door *self, GError **error)
{
  const char *const *ports = spt_settings_strings (self->host->settings, "rtsp.udp_ports");
  guint64 first = 0, last = 0;
  if (!ports || !ports[0])
    return TRUE;
  if (!ports[1] || ports[2] || !g_ascii_string_to_unsigned (ports[0], 10, 1, 65534, &first, NULL) ||
      !g_ascii_string_to_unsigned (ports[1], 10, first + 1, 65535, &last, NULL)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "rtsp.udp_ports: give a first and a last port, such as [5000, 5099]");
    return FALSE;
  }
  self->udp_first = (guint16)first;
  self->udp_last = (guint16)last;
  return TRUE;
}

static void
stop (gpointer data)
{
  Door *self = data;
  self->host->rtsp_address = NULL;
  spt_rtsp_server_stop (self->server);
  spt_rtsp_ports_free (self->ports);
  spt_auth_free (self->auth);
  g_free (self);
}

/* Another program on the usual port closes this door and no other; a port that somebody has chosen
 * must be had. */
static gboolean
open_door (Door *self, GError **error)
{
  const char *listen = spt_settings_string (self->host->settings, "rtsp.listen");
  g_autoptr (GError) local = NULL;
  if (!*listen)
    return TRUE;
  if (spt_rtsp_server_listen (self->server, listen, &local)) {
    self->host->rtsp_address = spt_rtsp_server_address (self->server);
    return TRUE;
  }
  if (!g_str_equal (listen, DEFAULT_LISTEN)) {
    g_propagate_prefixed_error (error, g_steal_pointer (&local), "rtsp.listen: ");
    return FALSE;
  }
  GST_WARNING ("%s; the RTSP door stays closed (rtsp.listen says where it opens)", local->message);
  return TRUE;
}

static gpointer
start (SptHost *host, GError **error)
{
  static const SptRtspHandlers handlers = {on_request, on_packet, on_closed};
  SptSettings *settings = host->settings;
  Door *self = g_new0 (Door, 1);
  self->host = host;
  self->auth = spt_auth_new (spt_settings_string (settings, "rtsp.username"),
      spt_settings_string (settings, "rtsp.password"), TRUE);
  SptRtspLimits limits = {.timeout_ms = (guint)spt_settings_int (settings, "rtsp.timeout"),
      .max = (guint)spt_settings_int (settings, "rtsp.max_connections"),
      .max_per_address = (guint)spt_settings_int (settings, "rtsp.max_connections_per_address")};
  self->server = spt_rtsp_server_new (self->auth, host->sender, &limits, &handlers, self);
  gboolean ok = read_ports (self, error);
  self->ports = spt_rtsp_ports_new (self->udp_first, self->udp_last);
  if (ok && open_door (self, error))
    return self;
  stop (self);
  return NULL;
}

const SptOutput spt_output_rtsp = {.name = "rtsp",
    .summary = "RTSP over TCP and UDP",
    .options = options,
    .n_options = G_N_ELEMENTS (options),
    .start = start,
    .stop = stop};
