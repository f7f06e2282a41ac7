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

#include <gst/rtp/rtp.h>
#include <string.h>

#include "doors.h"
#include "error.h"
#include "filters.h"
#include "rtp.h"
#include "rtsp.h"
#include "sdp.h"
#include "track.h"
#include "udp-ports.h"
#include "viewer.h"

/* The longest a DESCRIBE or SETUP waits for a cold source. */
#define WAIT_MS 8000
/* What we promise (RFC 2326, 12.37), and what we grant beyond it. */
#define SESSION_TIMEOUT_S 60
#define SESSION_GRACE_S 15
/* What a viewer may have queued before it drops to the next keyframe. */
#define QUEUE_BYTES (1536u * 1024)
#define QUEUE_TIME (3 * GST_SECOND)
#define NO_CHANNEL 0xff
#define METHODS "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"

#define DEFAULT_LISTEN "127.0.0.1:8554"

GST_DEBUG_CATEGORY_STATIC (spotter_rtsp_door);
#define GST_CAT_DEFAULT spotter_rtsp_door

static const SptOption options[] = {
    {"rtsp.listen", SPT_OPTION_STRING, DEFAULT_LISTEN, 0, 0,
        "address and port of the RTSP door; \":8554\" is every address, \"\" closes it"},
    {"rtsp.username", SPT_OPTION_STRING, "", 0, 0, "user name asked for (Digest or Basic)"},
    {"rtsp.password", SPT_OPTION_STRING, "", 0, 0, "its password; empty: none is asked for"},
    {"rtsp.default_query", SPT_OPTION_STRING, "", 0, 0,
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
  GHashTable *pairs; /* "stream lane track" → Pair */
  GHashTable *peers; /* "address port" of a viewer's RTP or RTCP → Session */
} Door;

/* The UDP ports of one lane of one track, shared by its viewers. */
typedef struct {
  SptUdpPair *udp;
  char *key;
  guint users;
} Pair;

typedef struct {
  gboolean set_up;
  Pair *pair;            /* UDP */
  GSocketAddress *to[2]; /* UDP: the viewer's RTP and RTCP */
  char *names[2];        /* of those two, in the door's table */
  guint8 rtp, rtcp;      /* TCP: the channels */
} Lane;

typedef struct {
  gatomicrefcount refs; /* streaming threads take one for an idle call */
  Door *door;
  SptRtspConnection *connection;
  char *id; /* NULL before the first SETUP */
  gboolean over;

  /* the track */
  SptStream *stream;
  char *query;
  SptLease *lease;

  /* a request that waits for it */
  GstRTSPMethod waiting;
  guint lane;
  char *transport;
  GCancellable *asking;
  SptViewer *scout; /* tells when the track has its first unit */
  guint wait_id;

  /* the media */
  GstRTSPLowerTrans lower; /* UNKNOWN before the first SETUP */
  Lane lanes[SPT_RTP_LANES];
  int channels; /* atomic: RTP and RTCP channel of each lane, a byte each; NO_CHANNEL: not sent */
  SptViewer *viewer;
  SptSenderPeer *datagrams;
} Session;

/* What an address says. */
typedef struct {
  char *name, *query;
  int lane; /* -1: none */
} Address;

static void
session_unref (gpointer data)
{
  Session *self = data;
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  spt_rtsp_connection_unref (self->connection);
  g_free (self->id);
  g_free (self);
}

static Session *
session_ref (Session *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

/* ---- addresses ---------------------------------------------------------------------------- */

static void
address_clear (Address *self)
{
  g_free (self->name);
  g_free (self->query);
}

/* "rtsp://host:8554/NAME?query/trackID=1", "…/NAME/trackID=1?query", "/NAME" … */
static gboolean
parse_address (const char *url, Address *address)
{
  const char *path = strstr (url, "://");
  path = path ? strchr (path + 3, '/') : url;
  *address = (Address){.lane = -1};
  if (!path || *path != '/')
    return FALSE;
  g_autofree char *text = g_strdup (path + 1);
  char *control = strstr (text, "/trackID=");
  if (control) {
    char *digit = control + strlen ("/trackID=");
    if (!g_ascii_isdigit (*digit))
      return FALSE;
    address->lane = *digit - '0';
    memmove (control, digit + 1, strlen (digit + 1) + 1);
  }
  char *query = strchr (text, '?');
  if (query)
    *query++ = '\0';
  gsize length = strlen (text);
  if (length && text[length - 1] == '/')
    text[length - 1] = '\0';
  length = query ? strlen (query) : 0;
  if (length && query[length - 1] == '/')
    query[length - 1] = '\0';
  address->name = g_uri_unescape_string (text, NULL);
  address->query = g_strdup (query ? query : "");
  return address->name != NULL;
}

/* (transfer full) (nullable): the value of the last @key, "" without one */
static char *
query_value (const char *query, const char *key)
{
  g_auto (GStrv) pairs = g_strsplit (query, "&", 32);
  char *value = NULL;
  for (char **pair = pairs; *pair; pair++) {
    char *equals = strchr (*pair, '=');
    if (equals)
      *equals = '\0';
    if (!g_str_equal (*pair, key))
      continue;
    g_free (value);
    value = equals ? g_uri_unescape_string (equals + 1, NULL) : g_strdup ("");
  }
  return value;
}

static gboolean
read_query (const char *query, SptWant *want, GError **error)
{
  g_autofree char *video = query_value (query, "video");
  g_autofree char *audio = query_value (query, "audio");
  if (!spt_filters_read (video, audio, want, error))
    return FALSE;
  g_autoptr (GstCaps) jpeg = gst_caps_new_empty_simple ("image/jpeg");
  want->container = want->video && gst_caps_is_subset (want->video, jpeg) ? "rtp-jpeg" : "rtp";
  return TRUE;
}

/* ---- media -------------------------------------------------------------------------------- */

static void
pair_release (Door *door, Pair *pair)
{
  if (--pair->users)
    return;
  g_hash_table_remove (door->pairs, pair->key);
  spt_udp_pair_close (pair->udp);
  g_free (pair->key);
  g_free (pair);
}

/* A viewer's receiver reports are its signs of life; what else comes is of no interest. */
static void
on_datagram (const char *from, const guint8 *data, gsize size, gboolean rtcp, gpointer user_data)
{
  Door *door = user_data;
  Session *session = g_hash_table_lookup (door->peers, from);
  if (session)
    spt_rtsp_connection_touch (session->connection);
}

static Pair *
pair_take (Door *door, SptTrack *track, guint lane, GError **error)
{
  g_autofree char *key = g_strdup_printf ("%p %u", (void *)track, lane);
  Pair *pair = g_hash_table_lookup (door->pairs, key);
  if (!pair) {
    SptUdpPair *udp = spt_udp_pair_new (door->udp_first, door->udp_last, on_datagram, door, error);
    if (!udp)
      return NULL;
    pair = g_new0 (Pair, 1);
    pair->udp = udp;
    pair->key = g_steal_pointer (&key);
    g_hash_table_insert (door->pairs, pair->key, pair);
  }
  pair->users++;
  return pair;
}

static void
lane_clear (Session *session, Lane *lane)
{
  for (guint i = 0; i < 2; i++) {
    if (lane->names[i] && g_hash_table_lookup (session->door->peers, lane->names[i]) == session)
      g_hash_table_remove (session->door->peers, lane->names[i]);
    g_clear_pointer (&lane->names[i], g_free);
    g_clear_object (&lane->to[i]);
  }
  if (lane->pair)
    pair_release (session->door, lane->pair);
  *lane = (Lane){0};
}

/* Writer thread */
static GstBuffer *
filter_unit (GstBuffer *unit, gpointer data)
{
  Session *self = data;
  guint lane = spt_rtp_lane (unit);
  guint channels = (guint)g_atomic_int_get (&self->channels) >> (lane * 16);
  guint8 rtp = channels & 0xff, rtcp = (channels >> 8) & 0xff;
  if (rtp == NO_CHANNEL)
    return NULL;
  if (rtp == lane * 2 && rtcp == lane * 2 + 1)
    return gst_buffer_ref (unit);
  return spt_rtp_move (unit, rtp, rtcp);
}

/* Says goodbye to a UDP viewer, who would not notice otherwise (RFC 3550, 6.6). */
static void
send_bye (Session *self)
{
  g_autoptr (GstCaps) caps = spt_track_get_caps (spt_lease_get_track (self->lease));
  for (guint i = 0; caps && i < SPT_RTP_LANES; i++) {
    g_autoptr (GstCaps) rtp = spt_rtp_lane_caps (caps, i);
    guint ssrc;
    if (!rtp || !self->lanes[i].pair ||
        !gst_structure_get_uint (gst_caps_get_structure (rtp, 0), "ssrc", &ssrc))
      continue;
    GstRTCPBuffer rtcp = GST_RTCP_BUFFER_INIT;
    GstRTCPPacket packet;
    GstMapInfo map;
    g_autoptr (GstBuffer) bye = gst_rtcp_buffer_new (64);
    gst_rtcp_buffer_map (bye, GST_MAP_READWRITE, &rtcp);
    gst_rtcp_buffer_add_packet (&rtcp, GST_RTCP_TYPE_RR, &packet);
    gst_rtcp_packet_rr_set_ssrc (&packet, ssrc);
    gst_rtcp_buffer_add_packet (&rtcp, GST_RTCP_TYPE_BYE, &packet);
    gst_rtcp_packet_bye_add_ssrc (&packet, ssrc);
    gst_rtcp_buffer_unmap (&rtcp);
    gst_buffer_map (bye, &map, GST_MAP_READ);
    g_socket_send_to (self->lanes[i].pair->udp->rtcp, self->lanes[i].to[1], (const char *)map.data,
        map.size, NULL, NULL);
    gst_buffer_unmap (bye, &map);
  }
}

/* The datagrams have ended: paused, or the stream is over. */
static void
on_datagrams_closed (const GError *reason, gpointer data)
{
  Session *self = data;
  if (self->datagrams && !self->over) {
    self->datagrams = NULL;
    send_bye (self);
    spt_rtsp_connection_finish (self->connection);
  }
  session_unref (self);
}

/* Sends nothing more; what is set up stays. */
static void
pause_media (Session *self)
{
  if (!self->viewer)
    return;
  SptViewerStats stats;
  spt_viewer_get_stats (self->viewer, &stats);
  GST_INFO ("%s: rtsp viewer %s paused or left after %" G_GUINT64_FORMAT " kB, %" G_GUINT64_FORMAT
            " dropped",
      spt_stream_get_name (self->stream), spt_rtsp_connection_remote (self->connection),
      stats.bytes / 1000, stats.drops);
  spt_track_detach (spt_lease_get_track (self->lease), self->viewer);
  if (self->datagrams)
    spt_sender_remove (g_steal_pointer (&self->datagrams));
  else if (!self->over)
    spt_sender_feed (spt_rtsp_connection_get_peer (self->connection), NULL);
  spt_viewer_silence (self->viewer);
  g_clear_object (&self->viewer);
}

static void
stop_waiting (Session *self)
{
  g_clear_handle_id (&self->wait_id, g_source_remove);
  if (self->asking)
    g_cancellable_cancel (self->asking);
  g_clear_object (&self->asking);
  if (self->scout) {
    spt_track_detach (spt_lease_get_track (self->lease), self->scout);
    spt_viewer_silence (self->scout);
    g_clear_object (&self->scout);
  }
  g_clear_pointer (&self->transport, g_free);
  self->waiting = GST_RTSP_INVALID;
}

/* Gives back the track and all that was set up on it. */
static void
drop_media (Session *self)
{
  pause_media (self);
  stop_waiting (self);
  for (guint i = 0; i < SPT_RTP_LANES; i++)
    lane_clear (self, &self->lanes[i]);
  self->lower = GST_RTSP_LOWER_TRANS_UNKNOWN;
  g_clear_pointer (&self->id, g_free);
  g_clear_pointer (&self->lease, spt_lease_free);
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

static void
answer_describe (Session *self)
{
  guint port = 0;
  g_autoptr (GstCaps) caps = spt_track_get_caps (spt_lease_get_track (self->lease));
  g_autofree char *server = local_address (self, &port);
  const char *name = spt_stream_get_name (self->stream);
  g_autofree char *sdp = caps ? spt_sdp_of_track (name, server, caps) : NULL;
  gboolean six = strchr (server, ':') != NULL;
  g_autofree char *headers = g_strdup_printf (
      "Content-Base: rtsp://%s%s%s:%u/%s/\r\n", six ? "[" : "", server, six ? "]" : "", port, name);
  if (sdp)
    spt_rtsp_reply (self->connection, GST_RTSP_STS_OK, headers, "application/sdp", sdp);
  else
    reply (self, GST_RTSP_STS_UNSUPPORTED_MEDIA_TYPE, "the stream has nothing RTP can carry");
}

static void
publish_channels (Session *self)
{
  guint channels = 0;
  for (guint i = 0; i < SPT_RTP_LANES; i++) {
    const Lane *lane = &self->lanes[i];
    guint both = lane->set_up ? lane->rtp | (guint)lane->rtcp << 8 : NO_CHANNEL;
    channels |= both << (i * 16);
  }
  g_atomic_int_set (&self->channels, (int)channels);
}

static gboolean
channels_taken (Session *self, guint lane, int rtp, int rtcp)
{
  for (guint i = 0; i < SPT_RTP_LANES; i++) {
    const Lane *other = &self->lanes[i];
    if (i != lane && other->set_up &&
        (other->rtp == rtp || other->rtcp == rtp || other->rtp == rtcp || other->rtcp == rtcp))
      return TRUE;
  }
  return FALSE;
}

static char *
set_up_tcp (Session *self, guint index, const GstRTSPTransport *wish)
{
  Lane *lane = &self->lanes[index];
  int rtp = wish->interleaved.min, rtcp = wish->interleaved.max;
  if (rtp < 0 || rtp >= NO_CHANNEL || rtcp <= rtp || rtcp >= NO_CHANNEL ||
      channels_taken (self, index, rtp, rtcp)) {
    rtp = (int)index * 2;
    rtcp = rtp + 1;
  }
  if (channels_taken (self, index, rtp, rtcp))
    return NULL;
  lane->rtp = (guint8)rtp;
  lane->rtcp = (guint8)rtcp;
  lane->set_up = TRUE;
  publish_channels (self);
  return g_strdup_printf ("RTP/AVP/TCP;unicast;interleaved=%d-%d", rtp, rtcp);
}

/* To the address the request came from, whatever `destination` says: we flood no third party. */
static char *
set_up_udp (Session *self, guint index, const GstRTSPTransport *wish)
{
  Lane *lane = &self->lanes[index];
  const int ports[2] = {wish->client_port.min,
      wish->client_port.max > 0 ? wish->client_port.max : wish->client_port.min + 1};
  g_autoptr (GSocketAddress) remote =
      g_socket_get_remote_address (spt_rtsp_connection_get_socket (self->connection), NULL);
  g_autoptr (GError) error = NULL;
  if (!remote || ports[0] < 1 || ports[1] < 1 || ports[0] > 65535 || ports[1] > 65535)
    return NULL;
  lane->pair = pair_take (self->door, spt_lease_get_track (self->lease), index, &error);
  if (!lane->pair) {
    GST_INFO ("%s: %s", spt_rtsp_connection_remote (self->connection), error->message);
    return NULL;
  }
  GInetAddress *host = g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (remote));
  for (guint i = 0; i < 2; i++) {
    lane->to[i] = g_inet_socket_address_new (host, (guint16)ports[i]);
    lane->names[i] = spt_udp_name (lane->to[i]);
    g_hash_table_replace (self->door->peers, g_strdup (lane->names[i]), self);
  }
  lane->set_up = TRUE;
  return g_strdup_printf ("RTP/AVP;unicast;client_port=%d-%d;server_port=%u-%u", ports[0], ports[1],
      lane->pair->udp->port, lane->pair->udp->port + 1u);
}

/* (transfer full) (nullable): takes the first of the transports offered that can be had */
static char *
choose_transport (Session *self, guint lane, const char *offered)
{
  g_auto (GStrv) wishes = g_strsplit (offered, ",", 8);
  char *chosen = NULL;
  for (char **text = wishes; *text && !chosen; text++) {
    GstRTSPTransport *wish;
    gst_rtsp_transport_new (&wish);
    if (gst_rtsp_transport_parse (g_strstrip (*text), wish) == GST_RTSP_OK &&
        wish->trans == GST_RTSP_TRANS_RTP && wish->profile == GST_RTSP_PROFILE_AVP &&
        !wish->mode_record) {
      GstRTSPLowerTrans lower = wish->lower_transport & GST_RTSP_LOWER_TRANS_TCP
                                    ? GST_RTSP_LOWER_TRANS_TCP
                                    : wish->lower_transport & GST_RTSP_LOWER_TRANS_UDP;
      gboolean fits = self->lower == GST_RTSP_LOWER_TRANS_UNKNOWN || self->lower == lower;
      if (fits && lower == GST_RTSP_LOWER_TRANS_TCP)
        chosen = set_up_tcp (self, lane, wish);
      else if (fits && lower == GST_RTSP_LOWER_TRANS_UDP && wish->client_port.min > 0)
        chosen = set_up_udp (self, lane, wish);
      if (chosen)
        self->lower = lower;
    }
    gst_rtsp_transport_free (wish);
  }
  return chosen;
}

static void
answer_setup (Session *self)
{
  guint ssrc = 0;
  g_autofree char *offered = g_steal_pointer (&self->transport);
  g_autoptr (GstCaps) caps = spt_track_get_caps (spt_lease_get_track (self->lease));
  g_autoptr (GstCaps) rtp =
      caps && self->lane < SPT_RTP_LANES ? spt_rtp_lane_caps (caps, self->lane) : NULL;
  if (!rtp) {
    reply (self, GST_RTSP_STS_NOT_FOUND, "the stream has no such track");
    return;
  }
  lane_clear (self, &self->lanes[self->lane]);
  g_autofree char *chosen = choose_transport (self, self->lane, offered);
  if (!chosen) {
    reply (self, GST_RTSP_STS_UNSUPPORTED_TRANSPORT, NULL);
    return;
  }
  gst_structure_get_uint (gst_caps_get_structure (rtp, 0), "ssrc", &ssrc);
  if (!self->id)
    self->id = g_strdup_printf ("%08x%08x", g_random_int (), g_random_int ());
  spt_lease_set_protocol (
      self->lease, self->lower == GST_RTSP_LOWER_TRANS_TCP ? "rtsp+tcp" : "rtsp+udp");
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

static gboolean
on_first_unit (gpointer data)
{
  Session *self = data;
  if (!self->scout)
    return G_SOURCE_REMOVE;
  g_autoptr (GError) reason = NULL;
  if (spt_track_is_active (spt_lease_get_track (self->lease))) {
    answer_waiting (self);
  } else if (spt_viewer_ended (self->scout, &reason)) {
    drop_media (self);
    reply (self, GST_RTSP_STS_SERVICE_UNAVAILABLE, reason ? reason->message : "the stream ended");
  }
  return G_SOURCE_REMOVE;
}

/* Streaming thread */
static void
on_scout (SptViewer *viewer, gpointer data)
{
  g_idle_add_full (G_PRIORITY_DEFAULT, on_first_unit, session_ref (data), session_unref);
}

/* The track is there; it may not have had a unit yet, and then has no description. */
static void
wait_for_unit (Session *self)
{
  SptTrack *track = spt_lease_get_track (self->lease);
  if (spt_track_is_active (track)) {
    answer_waiting (self);
    return;
  }
  static const SptViewerLimits limits = {SPT_DROP_TO_NEWEST, 1, 0};
  self->scout = spt_viewer_new (&limits, on_scout, self);
  spt_track_attach (track, self->scout, 0);
}

/* One question to a stream. */
typedef struct {
  Session *session;
  GCancellable *cancellable;
} Ask;

static void
on_lease (GObject *object, GAsyncResult *result, gpointer data)
{
  g_autofree Ask *ask = data;
  g_autoptr (GCancellable) cancellable = ask->cancellable;
  Session *self = ask->session;
  g_autoptr (GError) error = NULL;
  SptLease *lease = spt_stream_request_finish (SPT_STREAM (object), result, &error);
  if (self->asking != cancellable) { /* nobody waits for this answer any more */
    g_clear_pointer (&lease, spt_lease_free);
  } else if (lease) {
    self->lease = lease;
    wait_for_unit (self);
  } else {
    drop_media (self);
    spt_rtsp_reply_error (self->connection, error);
  }
  session_unref (self);
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

/* Is the lease that we have the one this address needs? A SETUP that says no query means the one
 * that was described. */
static gboolean
have_track (Session *self, SptStream *stream, const char *query)
{
  return self->lease && self->stream == stream && (!*query || g_str_equal (query, self->query)) &&
         spt_track_is_active (spt_lease_get_track (self->lease));
}

/* Answers the request when the stream's track is there. */
static void
with_track (Session *self, const Address *address, GstRTSPMethod method, const char *transport)
{
  g_autoptr (GError) error = NULL;
  SptWant want = {0};
  SptStream *stream = spt_streams_get (self->door->host->streams, address->name, &error);
  const char *fallback = spt_settings_string (self->door->host->settings, "rtsp.default_query");
  if (!stream || !read_query (*address->query ? address->query : fallback, &want, &error)) {
    spt_filters_clear (&want);
    spt_rtsp_reply_error (self->connection, error);
    return;
  }
  gboolean reuse = have_track (self, stream, address->query);
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
  self->query = g_strdup (address->query);
  self->asking = g_cancellable_new ();
  self->wait_id = g_timeout_add (WAIT_MS, on_waited, self);
  Ask *ask = g_new (Ask, 1);
  *ask = (Ask){session_ref (self), g_object_ref (self->asking)};
  spt_stream_request_async (stream, &want, &consumer, ask->cancellable, on_lease, ask);
  spt_filters_clear (&want);
}

/* ---- PLAY, PAUSE, TEARDOWN ---------------------------------------------------------------- */

typedef struct {
  Session *session;
  guint16 seqnum;
  guint32 timestamp;
  gboolean known;
} Start;

/* TCP viewers begin with the cached group at once; under the track's lock. */
static void
prime (SptViewer *viewer, GList *units, gpointer data)
{
  Start *start = data;
  if (start->session->lower != GST_RTSP_LOWER_TRANS_TCP)
    return; /* a group at once would overrun a UDP receiver: it waits for the next keyframe */
  GstSample *first = spt_rtp_prime_now (viewer, units);
  start->known =
      first && spt_rtp_first (gst_sample_get_buffer (first), &start->seqnum, &start->timestamp);
  g_clear_pointer (&first, gst_sample_unref);
}

static void
reply_playing (Session *self, const Start *start)
{
  guint port = 0;
  GString *more = g_string_new ("Range: npt=now-\r\n");
  g_autofree char *server = local_address (self, &port);
  if (start->known && self->lanes[0].set_up)
    g_string_append_printf (more, "RTP-Info: url=rtsp://%s:%u/%s/trackID=0;seq=%u;rtptime=%u\r\n",
        server, port, spt_stream_get_name (self->stream), start->seqnum, start->timestamp);
  reply_in_session (self, more->str);
  g_string_free (more, TRUE);
}

static void
start_datagrams (Session *self)
{
  SptDatagrams *datagrams = spt_datagrams_new ();
  for (guint i = 0; i < SPT_RTP_LANES; i++) {
    Lane *lane = &self->lanes[i];
    if (!lane->set_up)
      continue;
    spt_datagrams_set (datagrams, i * 2, lane->pair->udp->rtp, lane->to[0], NULL);
    spt_datagrams_set (datagrams, i * 2 + 1, lane->pair->udp->rtcp, lane->to[1], NULL);
  }
  self->datagrams = spt_sender_add (self->door->host->sender,
      &(SptSenderClient){.datagrams = datagrams,
          .viewer = self->viewer,
          .closed = on_datagrams_closed,
          .data = session_ref (self)},
      NULL);
}

static void
play (Session *self)
{
  static const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, QUEUE_BYTES, QUEUE_TIME};
  Start start = {.session = self};
  gboolean tcp = self->lower == GST_RTSP_LOWER_TRANS_TCP;
  if (self->viewer) { /* it plays already */
    reply_in_session (self, NULL);
    return;
  }
  self->viewer = spt_viewer_new (&limits, NULL, NULL);
  spt_lease_set_viewer (self->lease, self->viewer);
  spt_track_attach_with (spt_lease_get_track (self->lease), self->viewer, prime, &start);
  /* A TCP viewer that does not read is cut by the sender; it need not say that it lives. */
  if (tcp)
    spt_rtsp_connection_set_timeout (self->connection, 0);
  reply_playing (self, &start);
  if (tcp)
    spt_sender_feed (spt_rtsp_connection_get_peer (self->connection), self->viewer);
  else
    start_datagrams (self);
  GST_INFO ("%s: rtsp viewer %s over %s", spt_stream_get_name (self->stream),
      spt_rtsp_connection_remote (self->connection), tcp ? "TCP" : "UDP");
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
  pause_media (self);
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

static void
on_setup (Session *self, const Address *address, GstRTSPMessage *message)
{
  char *transport = NULL, *id = NULL;
  gst_rtsp_message_get_header (message, GST_RTSP_HDR_TRANSPORT, &transport, 0);
  gst_rtsp_message_get_header (message, GST_RTSP_HDR_SESSION, &id, 0);
  if (!transport)
    reply (self, GST_RTSP_STS_UNSUPPORTED_TRANSPORT, "SETUP says no Transport");
  else if (id && !in_session (self, message))
    reply (self, GST_RTSP_STS_SESSION_NOT_FOUND, NULL);
  else if (self->viewer)
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
  g_atomic_ref_count_init (&self->refs);
  self->door = door;
  self->connection = spt_rtsp_connection_ref (connection);
  self->waiting = GST_RTSP_INVALID;
  publish_channels (self);
  spt_rtsp_connection_set_data (connection, self);
  spt_rtsp_connection_set_filter (connection, filter_unit);
  return self;
}

static void
on_request (SptRtspConnection *connection, GstRTSPMethod method, const char *url,
    GstRTSPMessage *message, gpointer data)
{
  Session *self = session_of (data, connection);
  if (method == GST_RTSP_OPTIONS) {
    spt_rtsp_reply (connection, GST_RTSP_STS_OK, "Public: " METHODS "\r\n", NULL, NULL);
  } else if (method == GST_RTSP_GET_PARAMETER || method == GST_RTSP_SET_PARAMETER) {
    if (self->id && in_session (self, message))
      reply_in_session (self, NULL);
    else
      reply (self, GST_RTSP_STS_SESSION_NOT_FOUND, NULL);
  } else if (method == GST_RTSP_PLAY || method == GST_RTSP_PAUSE || method == GST_RTSP_TEARDOWN) {
    if (!in_session (self, message))
      reply (self, GST_RTSP_STS_SESSION_NOT_FOUND, NULL);
    else if (method == GST_RTSP_PLAY)
      play (self);
    else if (method == GST_RTSP_PAUSE)
      on_pause (self);
    else
      on_teardown (self);
  } else if (method == GST_RTSP_DESCRIBE || method == GST_RTSP_SETUP) {
    Address address;
    if (!parse_address (url, &address))
      reply (self, GST_RTSP_STS_BAD_REQUEST, "the address names no stream");
    else if (method == GST_RTSP_SETUP)
      on_setup (self, &address, message);
    else
      with_track (self, &address, method, NULL);
    address_clear (&address);
  } else {
    spt_rtsp_reply (
        connection, GST_RTSP_STS_METHOD_NOT_ALLOWED, "Allow: " METHODS "\r\n", NULL, NULL);
  }
}

/* Receiver reports; that the viewer lives is known from its taking what we send. */
static void
on_packet (
    SptRtspConnection *connection, guint8 channel, const guint8 *packet, gsize size, gpointer data)
{
}

static void
on_closed (SptRtspConnection *connection, gpointer data)
{
  Session *self = spt_rtsp_connection_get_data (connection);
  if (!self)
    return;
  self->over = TRUE;
  drop_media (self);
  spt_rtsp_connection_set_data (connection, NULL);
  session_unref (self);
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
  g_hash_table_unref (self->pairs);
  g_hash_table_unref (self->peers);
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
  GST_DEBUG_CATEGORY_INIT (spotter_rtsp_door, "spotter-rtsp", 0, "RTSP");
  SptSettings *settings = host->settings;
  Door *self = g_new0 (Door, 1);
  self->host = host;
  self->auth = spt_auth_new (spt_settings_string (settings, "rtsp.username"),
      spt_settings_string (settings, "rtsp.password"), TRUE);
  SptRtspLimits limits = {.timeout_ms = (guint)spt_settings_int (settings, "rtsp.timeout"),
      .max = (guint)spt_settings_int (settings, "rtsp.max_connections"),
      .max_per_address = (guint)spt_settings_int (settings, "rtsp.max_connections_per_address")};
  self->server = spt_rtsp_server_new (self->auth, host->sender, &limits, &handlers, self);
  self->pairs = g_hash_table_new (g_str_hash, g_str_equal);
  self->peers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (read_ports (self, error) && open_door (self, error))
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
