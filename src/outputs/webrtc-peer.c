/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* webrtcbin calls from threads of its own; what it says is carried to the main context. It is torn
 * down from a worker thread (spt_pipeline_stop()), never from one of its own calls.
 *
 * The pictures come payloaded (core/rtp.h), once for all viewers; here each packet gets this peer's
 * payload type, SSRC and a sequence without gaps, whatever the viewer's queue has dropped. */
#include "config.h"

#include "webrtc-peer.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/rtp/rtp.h>
#include <gst/video/video.h>
#include <gst/webrtc/webrtc.h>
#include <string.h>

#include "bytes.h"
#include "error.h"
#include "pipeline.h"
#include "rtp.h"
#include "viewer.h"

/* Packets inside an appsrc; what waits beyond that waits in the viewer, where the policy is. */
#define APPSRC_PACKETS 300
#define RTP_HEADER 12
#define RETRANSMISSION "do-nack"

GST_DEBUG_CATEGORY_EXTERN (spotter_webrtc);
#define GST_CAT_DEFAULT spotter_webrtc

typedef struct {
  GstElement *appsrc; /* lives as long as the pipeline */
  SptRtcCodec codec;
  guint32 ssrc;
  guint16 sequence; /* feeding thread */
} Lane;

struct _SptWebrtcPeer {
  gatomicrefcount refs; /* the owner's, and one of each of webrtcbin's handlers and promises */

  /* construct-only */
  GstElement *pipeline, *bin;
  GMainContext *context;
  Lane lanes[SPT_RTC_LANES];

  /* main context */
  const SptWebrtcEvents *events; /* NULL: freed */
  gpointer data;
  gboolean sends, connected, gone;
  guint64 last_octets;
  gint64 last_look; /* monotonic µs */
  int last_heard;

  /* feeding thread */
  SptViewer *viewer;
  gboolean waits_for_keyframe;

  /* atomic */
  int keyframes_only;
  int heard; /* RTCP packets of the peer */

  /* under lock: packets come while the publisher goes */
  GMutex lock;
  SptPublisher *publisher;
  GstPad *picture; /* (nullable): what comes from the peer */
};

static SptWebrtcPeer *
peer_ref (SptWebrtcPeer *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

static void
peer_unref (gpointer data)
{
  SptWebrtcPeer *self = data;
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_clear_object (&self->viewer);
  g_clear_pointer (&self->publisher, spt_publisher_unref);
  g_clear_object (&self->picture);
  g_mutex_clear (&self->lock);
  g_main_context_unref (self->context);
  g_free (self);
}

static void
peer_unref_closure (gpointer data, GClosure *closure)
{
  peer_unref (data);
}

/* ---- to the main context ------------------------------------------------------------------ */

typedef enum { NOTE_READY, NOTE_FAILED, NOTE_CANDIDATE, NOTE_STATE, NOTE_KEYFRAME } NoteType;

typedef struct {
  SptWebrtcPeer *peer; /* a reference */
  NoteType type;
  char *text; /* (nullable) */
  int state;
  SptRtcLocal local;
} Note;

static void
note_free (gpointer data)
{
  Note *note = data;
  spt_rtc_local_clear (&note->local);
  g_free (note->text);
  peer_unref (note->peer);
  g_free (note);
}

static GstPadProbeReturn
on_rtcp (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  SptWebrtcPeer *self = data;
  g_atomic_int_inc (&self->heard);
  return GST_PAD_PROBE_OK;
}

/* What the peer reports is its sign of life: ICE goes on for half a minute after it has left. */
static void
listen_to_reports (SptWebrtcPeer *self)
{
  g_autoptr (GstElement) rtpbin = gst_bin_get_by_name (GST_BIN (self->bin), "rtpbin");
  g_autoptr (GstPad) pad = rtpbin ? gst_element_get_static_pad (rtpbin, "recv_rtcp_sink_0") : NULL;
  if (pad)
    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_rtcp, peer_ref (self), peer_unref);
}

static void
on_state (SptWebrtcPeer *self, int state)
{
  if (state == GST_WEBRTC_PEER_CONNECTION_STATE_CONNECTED && !self->connected) {
    self->connected = TRUE;
    listen_to_reports (self);
    self->events->connected (self->data);
  } else if ((state == GST_WEBRTC_PEER_CONNECTION_STATE_FAILED ||
                 state == GST_WEBRTC_PEER_CONNECTION_STATE_CLOSED) &&
             !self->gone) {
    self->gone = TRUE;
    self->events->gone (
        self->connected ? "the peer left" : "no way to the peer was found", self->data);
  }
}

static gboolean
on_note (gpointer data)
{
  Note *note = data;
  SptWebrtcPeer *self = note->peer;
  g_autoptr (GError) error = NULL;
  if (!self->events)
    return G_SOURCE_REMOVE;
  switch (note->type) {
  case NOTE_READY:
    self->events->ready (&note->local, NULL, self->data);
    break;
  case NOTE_FAILED:
    error =
        g_error_new (SPT_ERROR, SPT_ERROR_INVALID, "the offer cannot be answered: %s", note->text);
    self->events->ready (NULL, error, self->data);
    break;
  case NOTE_CANDIDATE:
    self->events->candidate (note->text, self->data);
    break;
  case NOTE_STATE:
    on_state (self, note->state);
    break;
  case NOTE_KEYFRAME:
    self->events->keyframe (self->data);
    break;
  }
  return G_SOURCE_REMOVE;
}

/* Any thread. @text: (transfer full) (nullable) */
static Note *
note_new (SptWebrtcPeer *self, NoteType type, char *text)
{
  Note *note = g_new0 (Note, 1);
  note->peer = peer_ref (self);
  note->type = type;
  note->text = text;
  return note;
}

static void
post (Note *note)
{
  g_autoptr (GSource) source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, on_note, note, note_free);
  g_source_attach (source, note->peer->context);
}

/* ---- the answer, step by step, on webrtcbin's thread -------------------------------------- */

/* (transfer full) (nullable) */
static char *
promise_error (GstPromise *promise)
{
  const GstStructure *reply = gst_promise_get_reply (promise);
  g_autoptr (GError) error = NULL;
  if (gst_promise_wait (promise) != GST_PROMISE_RESULT_REPLIED)
    return g_strdup ("interrupted");
  if (!reply || !gst_structure_get (reply, "error", G_TYPE_ERROR, &error, NULL))
    return NULL;
  return g_strdup (error->message);
}

static void
read_ssrcs (const GstSDPMedia *media, guint lane, SptRtcLocal *local)
{
  const char *group = gst_sdp_media_get_attribute_val (media, "ssrc-group");
  char *rest;
  if (!group || !g_str_has_prefix (group, "FID "))
    return;
  g_ascii_strtoull (group + 4, &rest, 10);
  local->rtx_ssrc[lane] = (guint32)g_ascii_strtoull (rest, NULL, 10);
}

static void
read_local (SptWebrtcPeer *self, const GstSDPMessage *sdp, SptRtcLocal *local)
{
  const GstSDPMedia *first = gst_sdp_message_get_media (sdp, 0);
  local->ufrag = g_strdup (gst_sdp_media_get_attribute_val (first, "ice-ufrag"));
  local->pwd = g_strdup (gst_sdp_media_get_attribute_val (first, "ice-pwd"));
  local->fingerprint = g_strdup (gst_sdp_media_get_attribute_val (first, "fingerprint"));
  local->setup = g_strdup (gst_sdp_media_get_attribute_val (first, "setup"));
  for (guint i = 0; i < gst_sdp_message_medias_len (sdp); i++) {
    const GstSDPMedia *media = gst_sdp_message_get_media (sdp, i);
    if (!gst_sdp_media_get_port (media)) /* refused: there is nothing to answer with */
      g_clear_pointer (&local->ufrag, g_free);
    guint lane = g_strcmp0 (gst_sdp_media_get_media (media), "audio") == 0;
    local->ssrc[lane] = self->lanes[lane].ssrc;
    if (local->ssrc[lane])
      read_ssrcs (media, lane, local);
  }
}

/* The answer is let go only now: a peer that begins while elements are being made is not heard. */
static void
on_answer_set (GstPromise *promise, gpointer data)
{
  Note *note = data;
  char *error = promise_error (promise);
  if (error)
    post (note_new (note->peer, NOTE_FAILED, error));
  else
    post (g_steal_pointer (&note));
  g_clear_pointer (&note, note_free);
  gst_promise_unref (promise);
}

static void
on_answer (GstPromise *promise, gpointer data)
{
  SptWebrtcPeer *self = data;
  GstWebRTCSessionDescription *answer = NULL;
  char *error = promise_error (promise);
  const GstStructure *reply = gst_promise_get_reply (promise);
  if (!error && reply)
    gst_structure_get (reply, "answer", GST_TYPE_WEBRTC_SESSION_DESCRIPTION, &answer, NULL);
  Note *note = note_new (self, NOTE_READY, NULL);
  if (answer && gst_sdp_message_medias_len (answer->sdp))
    read_local (self, answer->sdp, &note->local);
  if (note->local.ufrag && note->local.pwd && note->local.fingerprint && note->local.setup) {
    g_signal_emit_by_name (self->bin, "set-local-description", answer,
        gst_promise_new_with_change_func (on_answer_set, note, NULL));
  } else {
    note_free (note);
    post (note_new (self, NOTE_FAILED, error ? error : g_strdup ("its media were refused")));
  }
  if (answer)
    gst_webrtc_session_description_free (answer);
  gst_promise_unref (promise);
}

static void
on_offer_set (GstPromise *promise, gpointer data)
{
  SptWebrtcPeer *self = data;
  char *error = promise_error (promise);
  if (error)
    post (note_new (self, NOTE_FAILED, error));
  else
    g_signal_emit_by_name (self->bin, "create-answer", NULL,
        gst_promise_new_with_change_func (on_answer, peer_ref (self), peer_unref));
  gst_promise_unref (promise);
}

static void
on_candidate (GstElement *bin, guint mline, const char *candidate, gpointer data)
{
  post (note_new (data, NOTE_CANDIDATE, g_strdup (candidate)));
}

static void
on_gathering (GstElement *bin, GParamSpec *spec, gpointer data)
{
  GstWebRTCICEGatheringState state;
  g_object_get (bin, "ice-gathering-state", &state, NULL);
  if (state == GST_WEBRTC_ICE_GATHERING_STATE_COMPLETE)
    post (note_new (data, NOTE_CANDIDATE, NULL));
}

static void
on_connection (GstElement *bin, GParamSpec *spec, gpointer data)
{
  GstWebRTCPeerConnectionState state;
  Note *note = note_new (data, NOTE_STATE, NULL);
  g_object_get (bin, "connection-state", &state, NULL);
  note->state = (int)state;
  post (note);
}

/* ---- sending ------------------------------------------------------------------------------ */

/* (transfer full): the packet with this peer's own header */
static GstBuffer *
own_packet (Lane *lane, const SptRtpPacket *packet, GstClockTime pts)
{
  guint8 *data = g_memdup2 (packet->data, packet->size);
  data[1] = (guint8)((data[1] & 0x80) | lane->codec.pt);
  spt_put_be16 (data + 2, lane->sequence++);
  spt_put_be32 (data + 8, lane->ssrc);
  GstBuffer *buffer = gst_buffer_new_wrapped (data, packet->size);
  GST_BUFFER_PTS (buffer) = pts;
  return buffer;
}

/* After a gap the picture goes on with a keyframe. */
static gboolean
is_wanted (SptWebrtcPeer *self, GstBuffer *unit)
{
  if (spt_rtp_lane (unit) != 0)
    return TRUE;
  gboolean delta = GST_BUFFER_FLAG_IS_SET (unit, GST_BUFFER_FLAG_DELTA_UNIT);
  if (delta && g_atomic_int_get (&self->keyframes_only))
    self->waits_for_keyframe = TRUE;
  if (!delta)
    self->waits_for_keyframe = FALSE;
  return !self->waits_for_keyframe;
}

static gboolean
take (GstSample *sample, guint pad, gpointer data)
{
  SptWebrtcPeer *self = data;
  GstBuffer *unit = gst_sample_get_buffer (sample);
  Lane *lane = &self->lanes[spt_rtp_lane (unit)];
  GstMapInfo map;
  SptRtpPacket packet;
  gsize at = 0;
  if (!lane->appsrc || !is_wanted (self, unit))
    return TRUE;
  if (gst_app_src_get_current_level_buffers (GST_APP_SRC (lane->appsrc)) >= APPSRC_PACKETS)
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

/* Feeding thread; also an appsrc's own, when it has run empty. */
static void
pump (SptViewer *viewer, gpointer data)
{
  spt_viewer_drain (viewer, take, data);
}

static void
on_need_data (GstAppSrc *appsrc, guint length, gpointer data)
{
  SptWebrtcPeer *self = data;
  g_mutex_lock (&self->lock);
  g_autoptr (SptViewer) viewer = self->viewer ? g_object_ref (self->viewer) : NULL;
  g_mutex_unlock (&self->lock);
  if (viewer)
    pump (viewer, self);
}

static GstPadProbeReturn
on_upstream (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);
  if (gst_video_event_is_force_key_unit (event))
    post (note_new (data, NOTE_KEYFRAME, NULL));
  return GST_PAD_PROBE_OK;
}

static GstCaps *
lane_caps (const Lane *lane, guint index)
{
  GstCaps *caps = gst_caps_new_simple ("application/x-rtp", "media", G_TYPE_STRING,
      index ? "audio" : "video", "encoding-name", G_TYPE_STRING, lane->codec.name, "clock-rate",
      G_TYPE_INT, (int)lane->codec.clock_rate, "payload", G_TYPE_INT, (int)lane->codec.pt, "ssrc",
      G_TYPE_UINT, lane->ssrc, NULL);
  if (lane->codec.channels == 2)
    gst_caps_set_simple (caps, "encoding-params", G_TYPE_STRING, "2", NULL);
  return caps;
}

static void
add_sender (SptWebrtcPeer *self, guint index)
{
  Lane *lane = &self->lanes[index];
  GstAppSrcCallbacks callbacks = {.need_data = on_need_data};
  lane->ssrc = g_random_int_range (1, G_MAXINT32);
  lane->sequence = (guint16)g_random_int ();
  lane->appsrc = gst_element_factory_make ("appsrc", NULL);
  g_autoptr (GstCaps) caps = lane_caps (lane, index);
  g_object_set (lane->appsrc, "caps", caps, "is-live", TRUE, "format", GST_FORMAT_TIME, "max-bytes",
      (guint64)0, "block", FALSE, NULL);
  gst_app_src_set_callbacks (GST_APP_SRC (lane->appsrc), &callbacks, peer_ref (self), peer_unref);
  gst_bin_add (GST_BIN (self->pipeline), lane->appsrc);
  g_autoptr (GstPad) src = gst_element_get_static_pad (lane->appsrc, "src");
  gst_pad_add_probe (
      src, GST_PAD_PROBE_TYPE_EVENT_UPSTREAM, on_upstream, peer_ref (self), peer_unref);
  GstPadTemplate *template = gst_element_get_pad_template (self->bin, "sink_%u");
  g_autoptr (GstPad) sink = gst_element_request_pad (self->bin, template, NULL, caps);
  g_autoptr (GstWebRTCRTPTransceiver) transceiver = NULL;
  g_object_get (sink, "transceiver", &transceiver, NULL);
  /* The preferences: what the pad takes is not known before its appsrc has started. */
  g_object_set (transceiver, "direction", GST_WEBRTC_RTP_TRANSCEIVER_DIRECTION_SENDONLY,
      "codec-preferences", caps, RETRANSMISSION, lane->codec.rtx != 0, NULL);
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

static void
on_pad_added (GstElement *bin, GstPad *pad, gpointer data)
{
  SptWebrtcPeer *self = data;
  GstAppSinkCallbacks callbacks = {.new_sample = on_sample};
  if (GST_PAD_DIRECTION (pad) != GST_PAD_SRC)
    return;
  GstElement *appsink = gst_element_factory_make ("appsink", NULL);
  g_object_set (appsink, "sync", FALSE, "async", FALSE, "enable-last-sample", FALSE, NULL);
  gst_app_sink_set_callbacks (GST_APP_SINK (appsink), &callbacks, peer_ref (self), peer_unref);
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

static void
on_transceiver (GstElement *bin, GstWebRTCRTPTransceiver *transceiver, gpointer data)
{
  g_object_set (transceiver, RETRANSMISSION, TRUE, NULL);
}

/* ---- construction ------------------------------------------------------------------------- */

static void
connect_signal (SptWebrtcPeer *self, const char *name, GCallback handler)
{
  g_signal_connect_data (self->bin, name, handler, peer_ref (self), peer_unref_closure, 0);
}

static void
set_transport (SptWebrtcPeer *self, const SptWebrtcTransport *transport)
{
  g_autoptr (GObject) ice = NULL, agent = NULL;
  g_object_get (self->bin, "ice-agent", &ice, NULL);
  if (transport->last_port)
    g_object_set (
        ice, "max-rtp-port", transport->last_port, "min-rtp-port", transport->first_port, NULL);
  g_object_set (ice, "ice-udp", transport->udp, "ice-tcp", transport->tcp, NULL);
  g_object_get (ice, "agent", &agent, NULL);
  /* No look-ups and no multicast; checks go on, so that a peer that vanished is noticed. */
  g_object_set (agent, "upnp", FALSE, "keepalive-conncheck", TRUE, NULL);
  if (transport->stun)
    g_object_set (self->bin, "stun-server", transport->stun, NULL);
  for (guint i = 0; transport->turn && i < transport->turn->len; i++) {
    gboolean taken = FALSE;
    g_signal_emit_by_name (
        self->bin, "add-turn-server", g_ptr_array_index (transport->turn, i), &taken);
  }
}

static void
on_error (const GError *error, gpointer data)
{
  SptWebrtcPeer *self = data;
  if (self->events && !self->gone) {
    self->gone = TRUE;
    self->events->gone (error ? error->message : "the connection ended", self->data);
  }
}

static GstElement *
make_bin (GError **error)
{
  /* without the last three webrtcbin is there and of no use */
  static const char *const needed[] = {"webrtcbin", "nicesrc", "dtlssrtpenc", "srtpenc"};
  for (guint i = 0; i < G_N_ELEMENTS (needed); i++) {
    g_autoptr (GstElementFactory) factory = gst_element_factory_find (needed[i]);
    if (factory)
      continue;
    g_set_error (error, SPT_ERROR, SPT_ERROR_UNSUPPORTED,
        "the GStreamer element '%s' is missing; `./dev setup` installs it", needed[i]);
    return NULL;
  }
  return gst_element_factory_make ("webrtcbin", NULL);
}

/**
 * spt_webrtc_peer_new:
 * @offer: its codecs have been chosen
 * @send: the media go to the peer; else they come from it
 * @events: static
 *
 * Begins to negotiate.
 *
 * Returns: or NULL and UNSUPPORTED when an element is missing
 */
SptWebrtcPeer *
spt_webrtc_peer_new (const SptWebrtcTransport *transport, SptRtcOffer *offer, gboolean send,
    const SptWebrtcEvents *events, gpointer data, GError **error)
{
  GstElement *bin = make_bin (error);
  if (!bin)
    return NULL;
  SptWebrtcPeer *self = g_new0 (SptWebrtcPeer, 1);
  g_atomic_ref_count_init (&self->refs);
  g_mutex_init (&self->lock);
  self->events = events;
  self->data = data;
  self->sends = send;
  self->context = g_main_context_ref_thread_default ();
  self->pipeline = spt_pipeline_new ("webrtc");
  self->bin = bin;
  self->last_look = g_get_monotonic_time ();
  g_object_set (bin, "bundle-policy", GST_WEBRTC_BUNDLE_POLICY_MAX_BUNDLE, NULL);
  gst_bin_add (GST_BIN (self->pipeline), bin);
  set_transport (self, transport);
  connect_signal (self, "on-ice-candidate", G_CALLBACK (on_candidate));
  connect_signal (self, "notify::ice-gathering-state", G_CALLBACK (on_gathering));
  connect_signal (self, "notify::connection-state", G_CALLBACK (on_connection));
  connect_signal (self, "pad-added", G_CALLBACK (on_pad_added));
  connect_signal (self, "on-new-transceiver", G_CALLBACK (on_transceiver));
  spt_pipeline_watch (self->pipeline, on_error, self);
  for (guint i = 0; i < SPT_RTC_LANES; i++) {
    const SptRtcCodec *codec = spt_rtc_offer_chosen (offer, i);
    if (!codec)
      continue;
    self->lanes[i].codec = *codec;
    if (send)
      add_sender (self, i);
  }
  spt_pipeline_start (self->pipeline, NULL, NULL, NULL);
  GstSDPMessage *sdp = NULL;
  g_autofree char *text = spt_rtc_offer_reduced (offer);
  gst_sdp_message_new_from_text (text, &sdp);
  GstWebRTCSessionDescription *description =
      gst_webrtc_session_description_new (GST_WEBRTC_SDP_TYPE_OFFER, sdp);
  g_signal_emit_by_name (bin, "set-remote-description", description,
      gst_promise_new_with_change_func (on_offer_set, peer_ref (self), peer_unref));
  gst_webrtc_session_description_free (description);
  return self;
}

/* @candidate: checked (spt_rtc_candidate_check()) */
void
spt_webrtc_peer_add_candidate (SptWebrtcPeer *self, const char *candidate)
{
  g_signal_emit_by_name (self->bin, "add-ice-candidate", 0, candidate);
}

/* ---- playing ------------------------------------------------------------------------------ */

static void
set_viewer (SptWebrtcPeer *self, SptViewer *viewer)
{
  g_mutex_lock (&self->lock);
  g_set_object (&self->viewer, viewer);
  g_mutex_unlock (&self->lock);
}

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
  set_viewer (self, viewer);
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
  guint loss = 0, rtt = 0, ssrc = 0;
  gst_structure_get_boolean (s, "internal", &internal);
  if (internal == self->sends &&
      gst_structure_get_uint64 (s, internal ? "octets-sent" : "octets-received", &value))
    *octets += value;
  if (internal || !gst_structure_get_boolean (s, "have-rb", &have) || !have)
    return;
  gst_structure_get_uint (s, "rb-ssrc", &ssrc);
  gst_structure_get_uint (s, "rb-fractionlost", &loss);
  gst_structure_get_uint (s, "rb-round-trip", &rtt);
  stats->rtt_ms = MAX (stats->rtt_ms, rtt * 1000.0 / 65536);
  if (ssrc == self->lanes[0].ssrc || !self->lanes[0].ssrc)
    stats->loss = loss / 256.0;
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
  int heard = g_atomic_int_get (&self->heard);
  stats->reported = heard != self->last_heard;
  self->last_heard = heard;
  self->last_octets = octets;
  self->last_look = now;
}

/* Its viewer has been detached. Nothing is called any more; the rest goes on its own. */
void
spt_webrtc_peer_free (SptWebrtcPeer *self)
{
  self->events = NULL;
  spt_webrtc_peer_feed (self, NULL);
  spt_webrtc_peer_publish (self, NULL);
  spt_pipeline_stop (self->pipeline, NULL, NULL);
  peer_unref (self);
}
