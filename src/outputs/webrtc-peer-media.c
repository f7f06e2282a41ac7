/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pictures come payloaded (core/rtp.h), once for all viewers; here each packet gets this peer's
 * payload type, SSRC and a sequence without gaps, whatever the viewer's queue has dropped. */
#include "config.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/rtp/rtp.h>
#include <gst/video/video.h>

#include "bytes.h"
#include "rtp.h"
#include "webrtc-peer-private.h"

/* Packets inside an appsrc; what waits beyond that waits in the viewer, where the policy is. */
#define APPSRC_PACKETS 300
/* The cached group is seconds of the stream: all at once it would overflow the first queue on its
 * way, by more than retransmission mends (webrtcbin keeps 500 packets for it). So many units go in
 * so many milliseconds: as fast as spt_rtp_prime_now() says they are played, and faster than any
 * camera, so that what is live is not held up. */
#define PACE_UNITS 5
#define PACE_MS 5
#define RTP_HEADER 12

/* ---- sending ------------------------------------------------------------------------------ */

/* (transfer full): the packet with this peer's own header */
static GstBuffer *
own_packet (SptWebrtcLane *lane, const SptRtpPacket *packet, GstClockTime pts)
{
  guint8 *data = g_memdup2 (packet->data, packet->size);
  data[1] = (guint8)((data[1] & 0x80) | lane->codec.pt);
  spt_put_be16 (data + 2, lane->sequence++);
  spt_put_be32 (data + 8, lane->ssrc);
  GstBuffer *buffer = gst_buffer_new_wrapped (data, packet->size);
  GST_BUFFER_PTS (buffer) = pts;
  return buffer;
}

/* A track of sound alone has it as its first lane. */
static guint
lane_of (SptWebrtcPeer *self, GstBuffer *unit)
{
  return self->lanes[SPT_RTC_VIDEO].appsrc ? spt_rtp_lane (unit) : SPT_RTC_AUDIO;
}

/* After a gap the picture goes on with a keyframe. */
static gboolean
is_wanted (SptWebrtcPeer *self, guint lane, GstBuffer *unit)
{
  if (lane != SPT_RTC_VIDEO)
    return TRUE;
  gboolean delta = GST_BUFFER_FLAG_IS_SET (unit, GST_BUFFER_FLAG_DELTA_UNIT);
  if (delta && g_atomic_int_get (&self->keyframes_only))
    self->waits_for_keyframe = TRUE;
  if (!delta)
    self->waits_for_keyframe = FALSE;
  return !self->waits_for_keyframe;
}

static gboolean
may_go (SptWebrtcPeer *self)
{
  gint64 now = g_get_monotonic_time ();
  if (now - self->step >= PACE_MS * 1000) {
    self->step = now;
    self->in_step = 0;
  }
  return self->in_step++ < PACE_UNITS;
}

static gboolean
take (GstSample *sample, guint pad, gpointer data)
{
  SptWebrtcPeer *self = data;
  GstBuffer *unit = gst_sample_get_buffer (sample);
  guint index = lane_of (self, unit);
  SptWebrtcLane *lane = &self->lanes[index];
  GstMapInfo map;
  SptRtpPacket packet;
  gsize at = 0;
  if (!lane->appsrc || !is_wanted (self, index, unit))
    return TRUE;
  if (gst_app_src_get_current_level_buffers (GST_APP_SRC (lane->appsrc)) >= APPSRC_PACKETS ||
      !may_go (self))
    return FALSE;
  GstBufferList *list = gst_buffer_list_new ();
  gst_buffer_map (unit, &map, GST_MAP_READ);
  while (spt_rtp_next (map.data, map.size, &at, &packet))
    if (!(packet.channel & 1) && packet.size > RTP_HEADER) /* webrtcbin reports by itself */
      gst_buffer_list_add (list, own_packet (lane, &packet, GST_BUFFER_PTS (unit)));
  gst_buffer_unmap (unit, &map);
  if (gst_buffer_list_length (list))
    gst_app_src_push_buffer_list (GST_APP_SRC (lane->appsrc), list);
  else
    gst_buffer_list_unref (list);
  return TRUE;
}

static gboolean on_step (gpointer data);

/* Feeding thread; also an appsrc's own, when it has run empty, and the main context. */
static void
pump (SptViewer *viewer, gpointer data)
{
  SptWebrtcPeer *self = data;
  spt_viewer_drain (viewer, take, self);
  if (!spt_viewer_has_data (viewer) ||
      !g_atomic_int_compare_and_exchange (&self->paced, FALSE, TRUE))
    return;
  g_autoptr (GSource) source = g_timeout_source_new (PACE_MS);
  g_source_set_callback (source, on_step, spt_webrtc_peer_ref (self), spt_webrtc_peer_unref);
  g_source_attach (source, self->context);
}

static void
pump_current (SptWebrtcPeer *self)
{
  g_mutex_lock (&self->lock);
  g_autoptr (SptViewer) viewer = self->viewer ? g_object_ref (self->viewer) : NULL;
  g_mutex_unlock (&self->lock);
  if (viewer)
    pump (viewer, self);
}

static gboolean
on_step (gpointer data)
{
  SptWebrtcPeer *self = data;
  g_atomic_int_set (&self->paced, FALSE);
  pump_current (self);
  return G_SOURCE_REMOVE;
}

static void
on_need_data (GstAppSrc *appsrc, guint length, gpointer data)
{
  pump_current (data);
}

static GstPadProbeReturn
on_upstream (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);
  if (gst_video_event_is_force_key_unit (event))
    spt_webrtc_peer_tell_keyframe (data);
  return GST_PAD_PROBE_OK;
}

static GstCaps *
lane_caps (const SptWebrtcLane *lane, guint index)
{
  GstCaps *caps = gst_caps_new_simple ("application/x-rtp", "media", G_TYPE_STRING,
      index ? "audio" : "video", "encoding-name", G_TYPE_STRING, lane->codec.name, "clock-rate",
      G_TYPE_INT, (int)lane->codec.clock_rate, "payload", G_TYPE_INT, (int)lane->codec.pt, "ssrc",
      G_TYPE_UINT, lane->ssrc, NULL);
  if (lane->codec.channels == 2)
    gst_caps_set_simple (caps, "encoding-params", G_TYPE_STRING, "2", NULL);
  return caps;
}

void
spt_webrtc_peer_add_sender (SptWebrtcPeer *self, guint index)
{
  SptWebrtcLane *lane = &self->lanes[index];
  GstAppSrcCallbacks callbacks = {.need_data = on_need_data};
  lane->ssrc = g_random_int_range (1, G_MAXINT32);
  lane->sequence = (guint16)g_random_int ();
  lane->appsrc = gst_element_factory_make ("appsrc", NULL);
  g_autoptr (GstCaps) caps = lane_caps (lane, index);
  /* Not live, though it is: a live source that is stopped between taking a list and pushing it
   * unrefs what is not there (GstBaseSrc 1.22). */
  g_object_set (lane->appsrc, "caps", caps, "format", GST_FORMAT_TIME, "max-bytes", (guint64)0,
      "block", FALSE, NULL);
  gst_app_src_set_callbacks (
      GST_APP_SRC (lane->appsrc), &callbacks, spt_webrtc_peer_ref (self), spt_webrtc_peer_unref);
  gst_bin_add (GST_BIN (self->pipeline), lane->appsrc);
  g_autoptr (GstPad) src = gst_element_get_static_pad (lane->appsrc, "src");
  gst_pad_add_probe (src, GST_PAD_PROBE_TYPE_EVENT_UPSTREAM, on_upstream,
      spt_webrtc_peer_ref (self), spt_webrtc_peer_unref);
  GstPadTemplate *template = gst_element_get_pad_template (self->bin, "sink_%u");
  g_autoptr (GstPad) sink = gst_element_request_pad (self->bin, template, NULL, caps);
  g_autoptr (GstWebRTCRTPTransceiver) transceiver = NULL;
  g_object_get (sink, "transceiver", &transceiver, NULL);
  /* The preferences: what the pad takes is not known before its appsrc has started. */
  g_object_set (transceiver, "direction", GST_WEBRTC_RTP_TRANSCEIVER_DIRECTION_SENDONLY,
      "codec-preferences", caps, SPT_WEBRTC_RETRANSMISSION, lane->codec.rtx != 0, NULL);
  gst_pad_link (src, sink);
}

/* ---- receiving ---------------------------------------------------------------------------- */

static GstFlowReturn
on_sample (GstAppSink *appsink, gpointer data)
{
  SptWebrtcPeer *self = data;
  g_autoptr (GstSample) sample = gst_app_sink_pull_sample (appsink);
  GstMapInfo map;
  if (!sample)
    return GST_FLOW_EOS;
  const GstStructure *s = gst_caps_get_structure (gst_sample_get_caps (sample), 0);
  gboolean audio = g_strcmp0 (gst_structure_get_string (s, "media"), "audio") == 0;
  guint lane = audio && self->lanes[0].codec.name ? 1 : 0; /* the picture comes first, if any */
  if (!gst_buffer_map (gst_sample_get_buffer (sample), &map, GST_MAP_READ))
    return GST_FLOW_OK;
  g_mutex_lock (&self->lock);
  if (self->publisher)
    spt_publisher_push (self->publisher, lane, FALSE, map.data, map.size);
  g_mutex_unlock (&self->lock);
  gst_buffer_unmap (gst_sample_get_buffer (sample), &map);
  return GST_FLOW_OK;
}

/* @pad: a new one of webrtcbin; what comes from it goes to the publisher. webrtcbin's thread */
void
spt_webrtc_peer_add_receiver (SptWebrtcPeer *self, GstPad *pad)
{
  GstAppSinkCallbacks callbacks = {.new_sample = on_sample};
  GstElement *appsink = gst_element_factory_make ("appsink", NULL);
  g_object_set (appsink, "sync", FALSE, "async", FALSE, "enable-last-sample", FALSE, NULL);
  gst_app_sink_set_callbacks (
      GST_APP_SINK (appsink), &callbacks, spt_webrtc_peer_ref (self), spt_webrtc_peer_unref);
  gst_bin_add (GST_BIN (self->pipeline), appsink);
  gst_element_sync_state_with_parent (appsink);
  g_autoptr (GstPad) sink = gst_element_get_static_pad (appsink, "sink");
  gst_pad_link (pad, sink);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  if (!caps || g_strcmp0 (gst_structure_get_string (gst_caps_get_structure (caps, 0), "media"),
                   "video") != 0)
    return;
  g_mutex_lock (&self->lock);
  g_set_object (&self->picture, pad);
  g_mutex_unlock (&self->lock);
}

/* ---- playing ------------------------------------------------------------------------------ */

/**
 * spt_webrtc_peer_feed:
 * @viewer: (nullable): of an RTP track, not yet attached; its units are sent from now on. The one
 *   before has been detached.
 */
void
spt_webrtc_peer_feed (SptWebrtcPeer *self, SptViewer *viewer)
{
  if (self->viewer)
    spt_viewer_silence (self->viewer);
  g_mutex_lock (&self->lock);
  g_set_object (&self->viewer, viewer);
  g_mutex_unlock (&self->lock);
  if (viewer)
    spt_viewer_set_notify (viewer, pump, self);
}

/* @publisher: (nullable): gets what the peer sends */
void
spt_webrtc_peer_publish (SptWebrtcPeer *self, SptPublisher *publisher)
{
  g_mutex_lock (&self->lock);
  g_clear_pointer (&self->publisher, spt_publisher_unref);
  if (publisher)
    self->publisher = spt_publisher_ref (publisher);
  g_mutex_unlock (&self->lock);
}

/* Asks the peer for a keyframe (PLI). */
void
spt_webrtc_peer_ask_keyframe (SptWebrtcPeer *self)
{
  g_mutex_lock (&self->lock);
  g_autoptr (GstPad) pad = self->picture ? gst_object_ref (self->picture) : NULL;
  g_mutex_unlock (&self->lock);
  if (pad)
    gst_pad_send_event (
        pad, gst_video_event_new_upstream_force_key_unit (GST_CLOCK_TIME_NONE, TRUE, 0));
}

/* For a peer that loses too much: whole pictures now and then are better than none. */
void
spt_webrtc_peer_keyframes_only (SptWebrtcPeer *self, gboolean only)
{
  g_atomic_int_set (&self->keyframes_only, only);
}

static void
add_source_stats (
    SptWebrtcPeer *self, const GstStructure *s, SptWebrtcStats *stats, guint64 *octets)
{
  gboolean internal = FALSE, have = FALSE;
  guint64 value = 0;
  guint rtt = 0;
  gst_structure_get_boolean (s, "internal", &internal);
  if (internal == self->sends &&
      gst_structure_get_uint64 (s, internal ? "octets-sent" : "octets-received", &value))
    *octets += value;
  if (internal || !gst_structure_get_boolean (s, "have-rb", &have) || !have)
    return;
  gst_structure_get_uint (s, "rb-round-trip", &rtt);
  stats->rtt_ms = MAX (stats->rtt_ms, rtt * 1000.0 / 65536);
}

/* Not by the fraction that reports have, too: a browser sends one with each request for packets, so
 * that it may tell of two or three. */
static void
add_loss (SptWebrtcPeer *self, SptWebrtcStats *stats)
{
  g_mutex_lock (&self->lock);
  SptWebrtcReport report = self->report;
  g_mutex_unlock (&self->lock);
  guint32 expected = report.highest - self->last_report.highest;
  if (expected && self->last_report.highest) {
    self->loss = CLAMP ((report.lost - self->last_report.lost) / (double)expected, 0, 1);
    stats->measured = TRUE;
  }
  self->last_report = report;
  stats->loss = self->loss;
}

/* Since the last call. */
void
spt_webrtc_peer_get_stats (SptWebrtcPeer *self, SptWebrtcStats *stats)
{
  g_autoptr (GstElement) rtpbin = gst_bin_get_by_name (GST_BIN (self->bin), "rtpbin");
  g_autoptr (GObject) session = NULL;
  g_autoptr (GstStructure) all = NULL;
  guint64 octets = 0;
  *stats = (SptWebrtcStats){0};
  if (rtpbin)
    g_signal_emit_by_name (rtpbin, "get-internal-session", 0, &session);
  if (!session)
    return;
  g_object_get (session, "stats", &all, NULL);
  const GValue *value = gst_structure_get_value (all, "source-stats");
  G_GNUC_BEGIN_IGNORE_DEPRECATIONS
  GValueArray *sources = value ? g_value_get_boxed (value) : NULL;
  for (guint i = 0; sources && i < sources->n_values; i++)
    add_source_stats (
        self, gst_value_get_structure (g_value_array_get_nth (sources, i)), stats, &octets);
  G_GNUC_END_IGNORE_DEPRECATIONS
  guint nacks = 0;
  gst_structure_get_uint (all, self->sends ? "recv-nack-count" : "sent-nack-count", &nacks);
  gint64 now = g_get_monotonic_time ();
  if (octets >= self->last_octets && now > self->last_look)
    stats->bitrate = (double)(octets - self->last_octets) * 8e6 / (double)(now - self->last_look);
  stats->nacks = nacks;
  add_loss (self, stats);
  int heard = g_atomic_int_get (&self->heard);
  stats->reported = heard != self->last_heard;
  self->last_heard = heard;
  self->last_octets = octets;
  self->last_look = now;
}

static void
read_blocks (SptWebrtcPeer *self, GstRTCPPacket *packet)
{
  guint32 picture = self->lanes[SPT_RTC_VIDEO].ssrc;
  guint32 watched = picture ? picture : self->lanes[SPT_RTC_AUDIO].ssrc;
  for (guint i = 0; i < gst_rtcp_packet_get_rb_count (packet); i++) {
    guint32 ssrc, highest, jitter, lsr, dlsr;
    guint8 fraction;
    gint32 lost;
    gst_rtcp_packet_get_rb (packet, i, &ssrc, &fraction, &lost, &highest, &jitter, &lsr, &dlsr);
    if (ssrc != watched)
      continue;
    g_mutex_lock (&self->lock);
    self->report = (SptWebrtcReport){lost, highest};
    g_mutex_unlock (&self->lock);
  }
}

static GstPadProbeReturn
on_rtcp (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  SptWebrtcPeer *self = data;
  GstRTCPBuffer rtcp = GST_RTCP_BUFFER_INIT;
  GstRTCPPacket packet;
  g_atomic_int_inc (&self->heard);
  if (!gst_rtcp_buffer_map (GST_PAD_PROBE_INFO_BUFFER (info), GST_MAP_READ, &rtcp))
    return GST_PAD_PROBE_OK;
  for (gboolean more = gst_rtcp_buffer_get_first_packet (&rtcp, &packet); more;
       more = gst_rtcp_packet_move_to_next (&packet)) {
    GstRTCPType type = gst_rtcp_packet_get_type (&packet);
    if (type == GST_RTCP_TYPE_RR || type == GST_RTCP_TYPE_SR)
      read_blocks (self, &packet);
  }
  gst_rtcp_buffer_unmap (&rtcp);
  return GST_PAD_PROBE_OK;
}

/* What the peer reports is its sign of life: ICE goes on for half a minute after it has left. */
void
spt_webrtc_peer_listen_to_reports (SptWebrtcPeer *self)
{
  g_autoptr (GstElement) rtpbin = gst_bin_get_by_name (GST_BIN (self->bin), "rtpbin");
  g_autoptr (GstPad) pad = rtpbin ? gst_element_get_static_pad (rtpbin, "recv_rtcp_sink_0") : NULL;
  if (pad)
    gst_pad_add_probe (
        pad, GST_PAD_PROBE_TYPE_BUFFER, on_rtcp, spt_webrtc_peer_ref (self), spt_webrtc_peer_unref);
}
