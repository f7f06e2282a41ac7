/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* webrtcbin calls from threads of its own; what it says is carried to the main context. It is torn
 * down from a worker thread (spt_pipeline_stop()), never from one of its own calls. */
#include "config.h"

#include <gst/webrtc/webrtc.h>

#include "error.h"
#include "pipeline.h"
#include "webrtc-peer-private.h"

GST_DEBUG_CATEGORY_EXTERN (spotter_webrtc);
#define GST_CAT_DEFAULT spotter_webrtc

SptWebrtcPeer *
spt_webrtc_peer_ref (SptWebrtcPeer *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
spt_webrtc_peer_unref (gpointer data)
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
  spt_webrtc_peer_unref (data);
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
  spt_webrtc_peer_unref (note->peer);
  g_free (note);
}

static void
on_state (SptWebrtcPeer *self, int state)
{
  if (state == GST_WEBRTC_PEER_CONNECTION_STATE_CONNECTED && !self->connected) {
    self->connected = TRUE;
    spt_webrtc_peer_listen_to_reports (self);
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
    note->local = (SptRtcLocal){0}; /* it has been taken */
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
  note->peer = spt_webrtc_peer_ref (self);
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

/* Any thread: the peer has lost its picture. */
void
spt_webrtc_peer_tell_keyframe (SptWebrtcPeer *self)
{
  post (note_new (self, NOTE_KEYFRAME, NULL));
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
        gst_promise_new_with_change_func (
            on_answer, spt_webrtc_peer_ref (self), spt_webrtc_peer_unref));
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

static void
on_pad_added (GstElement *bin, GstPad *pad, gpointer data)
{
  if (GST_PAD_DIRECTION (pad) == GST_PAD_SRC)
    spt_webrtc_peer_add_receiver (data, pad);
}

static void
on_transceiver (GstElement *bin, GstWebRTCRTPTransceiver *transceiver, gpointer data)
{
  g_object_set (transceiver, SPT_WEBRTC_RETRANSMISSION, TRUE, NULL);
}

/* ---- construction ------------------------------------------------------------------------- */

static void
connect_signal (SptWebrtcPeer *self, const char *name, GCallback handler)
{
  g_signal_connect_data (
      self->bin, name, handler, spt_webrtc_peer_ref (self), peer_unref_closure, 0);
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
      spt_webrtc_peer_add_sender (self, i);
  }
  spt_pipeline_start (self->pipeline, NULL, NULL, NULL);
  GstSDPMessage *sdp = NULL;
  g_autofree char *text = spt_rtc_offer_reduced (offer);
  gst_sdp_message_new_from_text (text, &sdp);
  GstWebRTCSessionDescription *description =
      gst_webrtc_session_description_new (GST_WEBRTC_SDP_TYPE_OFFER, sdp);
  g_signal_emit_by_name (bin, "set-remote-description", description,
      gst_promise_new_with_change_func (
          on_offer_set, spt_webrtc_peer_ref (self), spt_webrtc_peer_unref));
  gst_webrtc_session_description_free (description);
  return self;
}

/* @candidate: checked (spt_rtc_candidate_check()) */
void
spt_webrtc_peer_add_candidate (SptWebrtcPeer *self, const char *candidate)
{
  g_signal_emit_by_name (self->bin, "add-ice-candidate", 0, candidate);
}

/* Its viewer has been detached. Nothing is called any more; the rest goes on its own. */
void
spt_webrtc_peer_free (SptWebrtcPeer *self)
{
  self->events = NULL;
  spt_webrtc_peer_feed (self, NULL);
  spt_webrtc_peer_publish (self, NULL);
  spt_pipeline_stop (self->pipeline, NULL, NULL);
  spt_webrtc_peer_unref (self);
}
