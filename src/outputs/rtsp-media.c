/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Over TCP a viewer's packets go out on its own connection, over UDP as datagrams of a pair of
 * ports that all viewers of the track share. Main context, but for filter_unit(). */
#include "config.h"

#include "rtsp-media.h"

#include <gst/rtp/rtp.h>
#include <string.h>

#include "rtp.h"
#include "rtsp-address.h"
#include "track.h"
#include "udp-ports.h"
#include "viewer.h"

/* What a viewer may have queued before it drops to the next keyframe. */
#define QUEUE_BYTES (1536u * 1024)
#define QUEUE_TIME (3 * GST_SECOND)
#define NO_CHANNEL 0xff
#define PRIME_INTERVAL_US (500 * G_TIME_SPAN_MILLISECOND)

GST_DEBUG_CATEGORY_EXTERN (spotter_rtsp);
#define GST_CAT_DEFAULT spotter_rtsp

struct _SptRtspPorts {
  guint16 first, last;
  GHashTable *pairs; /* "track lane" → Pair */
  GHashTable *peers; /* "address port" of a viewer's RTP or RTCP → SptRtspMedia */
};

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

/* The datagrams from one PLAY to its end; freed when they are closed. */
typedef struct {
  SptRtspMedia *media; /* a reference */
  SptSenderPeer *peer;
} Flow;

struct _SptRtspMedia {
  grefcount refs;
  SptRtspPorts *ports;
  SptSender *sender;
  SptRtspConnection *connection;
  SptLease *lease;
  GstRTSPLowerTrans lower; /* UNKNOWN before the first SETUP */
  Lane lanes[SPT_RTP_LANES];
  int channels; /* atomic: RTP and RTCP channel of each lane, a byte each; NO_CHANNEL: not sent */
  SptViewer *viewer; /* attached */
  gboolean sending;
  Flow *flow;    /* UDP: what is being sent */
  gint64 primed; /* monotonic µs */
};

/* ---- UDP ports ---------------------------------------------------------------------------- */

/* @first: 0: any */
SptRtspPorts *
spt_rtsp_ports_new (guint16 first, guint16 last)
{
  SptRtspPorts *self = g_new0 (SptRtspPorts, 1);
  self->first = first;
  self->last = last;
  self->pairs = g_hash_table_new (g_str_hash, g_str_equal);
  self->peers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return self;
}

/* No media are left. */
void
spt_rtsp_ports_free (SptRtspPorts *self)
{
  g_hash_table_unref (self->pairs);
  g_hash_table_unref (self->peers);
  g_free (self);
}

static void
pair_release (SptRtspPorts *ports, Pair *pair)
{
  if (--pair->users)
    return;
  g_hash_table_remove (ports->pairs, pair->key);
  spt_udp_pair_close (pair->udp);
  g_free (pair->key);
  g_free (pair);
}

/* A viewer's receiver reports are its signs of life; what else comes is of no interest. */
static void
on_datagram (const char *from, const guint8 *data, gsize size, gboolean rtcp, gpointer user_data)
{
  SptRtspPorts *ports = user_data;
  SptRtspMedia *media = g_hash_table_lookup (ports->peers, from);
  if (media)
    spt_rtsp_connection_touch (media->connection);
}

static Pair *
pair_take (SptRtspPorts *ports, SptTrack *track, guint lane, GError **error)
{
  g_autofree char *key = g_strdup_printf ("%p %u", (void *)track, lane);
  Pair *pair = g_hash_table_lookup (ports->pairs, key);
  if (!pair) {
    SptUdpPair *udp = spt_udp_pair_new (ports->first, ports->last, on_datagram, ports, error);
    if (!udp)
      return NULL;
    pair = g_new0 (Pair, 1);
    pair->udp = udp;
    pair->key = g_steal_pointer (&key);
    g_hash_table_insert (ports->pairs, pair->key, pair);
  }
  pair->users++;
  return pair;
}

static void
lane_clear (SptRtspMedia *self, Lane *lane)
{
  for (guint i = 0; i < 2; i++) {
    if (lane->names[i] && g_hash_table_lookup (self->ports->peers, lane->names[i]) == self)
      g_hash_table_remove (self->ports->peers, lane->names[i]);
    g_clear_pointer (&lane->names[i], g_free);
    g_clear_object (&lane->to[i]);
  }
  if (lane->pair)
    pair_release (self->ports, lane->pair);
  *lane = (Lane){0};
}

/* ---- SETUP -------------------------------------------------------------------------------- */

static void
publish_channels (SptRtspMedia *self)
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
channels_taken (SptRtspMedia *self, guint lane, int rtp, int rtcp)
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
set_up_tcp (SptRtspMedia *self, guint index, const GstRTSPTransport *wish)
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

/* (transfer full): the address with another port, and its scope: a link-local one means nothing
 * without */
static GSocketAddress *
with_port (GInetSocketAddress *address, guint16 port)
{
  GInetAddress *host = g_inet_socket_address_get_address (address);
  if (g_inet_address_get_family (host) != G_SOCKET_FAMILY_IPV6)
    return g_inet_socket_address_new (host, port);
  return g_object_new (G_TYPE_INET_SOCKET_ADDRESS, "address", host, "port", (guint)port, "scope-id",
      g_inet_socket_address_get_scope_id (address), NULL);
}

/* To the address the request came from, whatever `destination` says: we flood no third party. */
static char *
set_up_udp (SptRtspMedia *self, guint index, const GstRTSPTransport *wish)
{
  Lane *lane = &self->lanes[index];
  const int ports[2] = {wish->client_port.min,
      wish->client_port.max > 0 ? wish->client_port.max : wish->client_port.min + 1};
  g_autoptr (GSocketAddress) remote =
      g_socket_get_remote_address (spt_rtsp_connection_get_socket (self->connection), NULL);
  g_autoptr (GError) error = NULL;
  if (!remote || ports[0] < 1 || ports[1] < 1 || ports[0] > 65535 || ports[1] > 65535)
    return NULL;
  lane->pair = pair_take (self->ports, spt_lease_get_track (self->lease), index, &error);
  if (!lane->pair) {
    GST_INFO ("%s: %s", spt_rtsp_connection_remote (self->connection), error->message);
    return NULL;
  }
  GInetSocketAddress *from = G_INET_SOCKET_ADDRESS (remote);
  for (guint i = 0; i < 2; i++) {
    lane->to[i] = with_port (from, (guint16)ports[i]);
    lane->names[i] = spt_udp_name (lane->to[i]);
    g_hash_table_replace (self->ports->peers, g_strdup (lane->names[i]), self);
  }
  lane->set_up = TRUE;
  return g_strdup_printf ("RTP/AVP;unicast;client_port=%d-%d;server_port=%u-%u", ports[0], ports[1],
      lane->pair->udp->port, lane->pair->udp->port + 1u);
}

typedef struct {
  SptRtspMedia *media;
  guint lane;
} SetUp;

static char *
take_transport (const GstRTSPTransport *wish, gpointer data)
{
  const SetUp *set_up = data;
  SptRtspMedia *self = set_up->media;
  GstRTSPLowerTrans lower = wish->lower_transport & GST_RTSP_LOWER_TRANS_TCP
                                ? GST_RTSP_LOWER_TRANS_TCP
                                : wish->lower_transport & GST_RTSP_LOWER_TRANS_UDP;
  char *chosen = NULL;
  if (wish->mode_record || (self->lower != GST_RTSP_LOWER_TRANS_UNKNOWN && self->lower != lower))
    return NULL;
  if (lower == GST_RTSP_LOWER_TRANS_TCP)
    chosen = set_up_tcp (self, set_up->lane, wish);
  else if (lower == GST_RTSP_LOWER_TRANS_UDP)
    chosen = set_up_udp (self, set_up->lane, wish);
  if (chosen)
    self->lower = lower;
  return chosen;
}

/**
 * spt_rtsp_media_set_up:
 * @lane: one that the leased track has
 * @offered: the Transport header
 *
 * Takes the first of the transports offered that can be had; all lanes travel the same way.
 *
 * Returns: (transfer full) (nullable): what to answer; NULL: none of them (461)
 */
char *
spt_rtsp_media_set_up (SptRtspMedia *self, guint lane, const char *offered)
{
  SetUp set_up = {self, lane};
  lane_clear (self, &self->lanes[lane]);
  publish_channels (self);
  return spt_rtsp_transport_choose (offered, take_transport, &set_up);
}

/* ---- playing ------------------------------------------------------------------------------ */

/* Writer thread */
static GstBuffer *
filter_unit (GstBuffer *unit, GstCaps *caps, SptViewer *viewer, gpointer data)
{
  SptRtspMedia *self = data;
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
send_bye (SptRtspMedia *self)
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

static SptRtspMedia *
media_ref (SptRtspMedia *self)
{
  g_ref_count_inc (&self->refs);
  return self;
}

/* The datagrams have ended: we have stopped them, or the stream is over. */
static void
on_datagrams_closed (const GError *reason, gpointer data)
{
  Flow *flow = data;
  SptRtspMedia *self = flow->media;
  if (self->flow == flow) {
    self->flow = NULL;
    send_bye (self);
    spt_rtsp_connection_finish (self->connection);
  }
  spt_rtsp_media_unref (self);
  g_free (flow);
}

/* Sends nothing more; what is set up stays. Idempotent. */
void
spt_rtsp_media_pause (SptRtspMedia *self)
{
  if (!self->viewer)
    return;
  SptViewerStats stats;
  spt_viewer_get_stats (self->viewer, &stats);
  GST_INFO ("%s: rtsp viewer %s paused or left after %" G_GUINT64_FORMAT " kB, %" G_GUINT64_FORMAT
            " dropped",
      spt_stream_get_name (spt_lease_get_stream (self->lease)),
      spt_rtsp_connection_remote (self->connection), stats.bytes / 1000, stats.drops);
  spt_track_detach (spt_lease_get_track (self->lease), self->viewer);
  if (self->flow)
    spt_sender_remove (g_steal_pointer (&self->flow)->peer);
  else if (self->sending)
    spt_sender_feed (spt_rtsp_connection_get_peer (self->connection), NULL);
  /* The sender may be taking from the viewer until it has obeyed: it just gets nothing more. */
  self->sending = FALSE;
  g_clear_object (&self->viewer);
}

typedef struct {
  SptRtspMedia *media;
  SptRtspStart *start;
} Priming;

/* Viewers begin with the cached group at once; under the track's lock. */
static void
prime (SptViewer *viewer, GList *units, gpointer data)
{
  Priming *priming = data;
  SptRtspMedia *self = priming->media;
  SptRtspStart *start = priming->start;
  gint64 now = g_get_monotonic_time ();
  /* Who plays and pauses all the time waits for the next keyframe: the group is copied. */
  if (now - self->primed < PRIME_INTERVAL_US)
    return;
  self->primed = now;
  GstSample *first = spt_rtp_prime_now (viewer, units);
  start->known =
      first && spt_rtp_first (gst_sample_get_buffer (first), &start->seqnum, &start->timestamp);
  g_clear_pointer (&first, gst_sample_unref);
}

/**
 * spt_rtsp_media_attach:
 * @start: (out)
 *
 * Collects what is to be sent, from now on; spt_rtsp_media_send() lets it go, when PLAY is
 * answered.
 */
void
spt_rtsp_media_attach (SptRtspMedia *self, SptRtspStart *start)
{
  static const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, QUEUE_BYTES, QUEUE_TIME};
  Priming priming = {self, start};
  *start = (SptRtspStart){0};
  self->viewer = spt_viewer_new (&limits, NULL, NULL);
  spt_lease_set_viewer (self->lease, self->viewer);
  spt_track_attach_with (spt_lease_get_track (self->lease), self->viewer, prime, &priming);
}

static void
start_datagrams (SptRtspMedia *self)
{
  SptDatagrams *datagrams = spt_datagrams_new ();
  for (guint i = 0; i < SPT_RTP_LANES; i++) {
    Lane *lane = &self->lanes[i];
    if (!lane->set_up)
      continue;
    spt_datagrams_set (datagrams, i * 2, lane->pair->udp->rtp, lane->to[0], NULL);
    spt_datagrams_set (datagrams, i * 2 + 1, lane->pair->udp->rtcp, lane->to[1], NULL);
  }
  self->flow = g_new (Flow, 1);
  self->flow->media = media_ref (self);
  self->flow->peer = spt_sender_add (self->sender,
      &(SptSenderClient){.datagrams = datagrams,
          .viewer = self->viewer,
          .closed = on_datagrams_closed,
          .data = self->flow},
      NULL);
}

void
spt_rtsp_media_send (SptRtspMedia *self)
{
  gboolean tcp = spt_rtsp_media_is_tcp (self);
  if (tcp)
    spt_sender_feed (spt_rtsp_connection_get_peer (self->connection), self->viewer);
  else
    start_datagrams (self);
  self->sending = TRUE;
  GST_INFO ("%s: rtsp viewer %s over %s", spt_stream_get_name (spt_lease_get_stream (self->lease)),
      spt_rtsp_connection_remote (self->connection), tcp ? "TCP" : "UDP");
}

/* ---- life --------------------------------------------------------------------------------- */

SptRtspMedia *
spt_rtsp_media_new (SptRtspPorts *ports, SptSender *sender, SptRtspConnection *connection)
{
  SptRtspMedia *self = g_new0 (SptRtspMedia, 1);
  g_ref_count_init (&self->refs);
  self->ports = ports;
  self->sender = sender;
  self->connection = spt_rtsp_connection_ref (connection);
  publish_channels (self);
  spt_rtsp_connection_set_filter (connection, filter_unit, self);
  return self;
}

void
spt_rtsp_media_unref (SptRtspMedia *self)
{
  if (!g_ref_count_dec (&self->refs))
    return;
  g_assert (!self->lease);
  spt_rtsp_connection_unref (self->connection);
  g_free (self);
}

/**
 * spt_rtsp_media_set_lease:
 * @lease: (transfer full) (nullable): on an RTP track; what was set up on another one is undone
 */
void
spt_rtsp_media_set_lease (SptRtspMedia *self, SptLease *lease)
{
  spt_rtsp_media_pause (self);
  for (guint i = 0; i < SPT_RTP_LANES; i++)
    lane_clear (self, &self->lanes[i]);
  publish_channels (self);
  self->lower = GST_RTSP_LOWER_TRANS_UNKNOWN;
  g_clear_pointer (&self->lease, spt_lease_free);
  self->lease = lease;
}

/* (transfer none) (nullable) */
SptLease *
spt_rtsp_media_get_lease (SptRtspMedia *self)
{
  return self->lease;
}

gboolean
spt_rtsp_media_has_lane (SptRtspMedia *self, guint lane)
{
  return self->lanes[lane].set_up;
}

gboolean
spt_rtsp_media_is_tcp (SptRtspMedia *self)
{
  return self->lower == GST_RTSP_LOWER_TRANS_TCP;
}

gboolean
spt_rtsp_media_is_playing (SptRtspMedia *self)
{
  return self->viewer != NULL;
}
