/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A viewer's session asks its stream for the RTP track that the offer allows, and only then knows
 * what to answer. Its pictures begin when the transport is up, with the cached group. */
#include "config.h"

#include "webrtc-session.h"

#include "ask.h"
#include "error.h"
#include "random.h"
#include "filters.h"
#include "media-clock.h"
#include "rtp.h"
#include "track.h"
#include "viewer.h"

/* What a viewer may have queued before it drops to the next keyframe. */
#define QUEUE_BYTES (1536u * 1024)
#define QUEUE_TIME (3 * GST_SECOND)
/* How long a source may take to start, candidates to be gathered for an answer that has to have
 * them all, a peer to connect, and to be silent. */
#define START_S 10
#define GATHER_MS 1000
#define CONNECT_S 20
#define SILENT_S 12 /* RFC 3550 lets five seconds pass, or seven */
/* When a peer has lost its picture: how long an encoder may take to make a keyframe before the
 * cached group is sent again, and how often that is done. */
#define KEYFRAME_MS 250
#define REPLAY_US (2 * G_USEC_PER_SEC)
/* More loss than retransmission mends, for so long: keyframes only; until it is so little again. */
#define LOSS_BAD 0.25
#define LOSS_GOOD 0.05
#define LOSS_S 3
/* How often a publisher is asked for a keyframe, while there is none. */
#define ASK_S 2
#define CANDIDATES_MAX 32

GST_DEBUG_CATEGORY_EXTERN (spotter_webrtc);
#define GST_CAT_DEFAULT spotter_webrtc

typedef enum { ASKING, NEGOTIATING, ANSWERED, CONNECTED } State;

struct _SptWebrtcSession {
  SptWebrtcShared *shared;
  char *id, *tag, *remote;
  SptStream *stream;
  SptRtcOffer *offer;
  gboolean publish;
  const SptWebrtcSignals *signals; /* NULL: muted, or over */
  gpointer data;
  State state;
  gboolean answered;

  SptAsk *ask;
  SptLease *lease;
  SptViewer *viewer; /* attached */
  SptWebrtcPeer *peer;
  SptPublisher *publisher;
  SptRtcLocal local;
  GPtrArray *gathered; /* our candidates that the peer may know */
  gboolean complete;   /* that is all of them */
  GPtrArray *early;    /* the peer's that came before there was anybody to tell */
  guint n_candidates;  /* of the peer */
  guint gather_id, tick_id, keyframe_id;

  guint seconds, silent, bad, good; /* ticks: in this state, without a report, of loss, without */
  gboolean thin;
  guint64 keyframes; /* that the track had when one was asked for */
  gint64 replayed;   /* monotonic µs */
  guint asked;       /* keyframes the peer has asked for */
};

/* ---- the end ------------------------------------------------------------------------------ */

static void
stop_watching (SptWebrtcSession *self)
{
  g_clear_pointer (&self->ask, spt_ask_take_back);
  g_clear_handle_id (&self->keyframe_id, g_source_remove);
  if (self->viewer)
    spt_track_detach (spt_lease_get_track (self->lease), self->viewer);
  g_clear_pointer (&self->peer, spt_webrtc_peer_free);
  g_clear_object (&self->viewer);
  g_clear_pointer (&self->lease, spt_lease_free);
}

static void
session_free (gpointer data)
{
  SptWebrtcSession *self = data;
  g_clear_handle_id (&self->gather_id, g_source_remove);
  g_clear_handle_id (&self->tick_id, g_source_remove);
  stop_watching (self);
  if (self->publisher)
    spt_stream_unpublish (self->stream, self->publisher);
  g_clear_pointer (&self->publisher, spt_publisher_unref);
  spt_media_clock_withdraw (self->id);
  spt_rtc_local_clear (&self->local);
  g_ptr_array_unref (self->gathered);
  g_ptr_array_unref (self->early);
  spt_rtc_offer_free (self->offer);
  g_object_unref (self->stream);
  g_free (self->id);
  g_free (self->tag);
  g_free (self->remote);
  g_free (self);
}

/* Its owner is not told anything any more; it goes on. */
void
spt_webrtc_session_mute (SptWebrtcSession *self)
{
  self->signals = NULL;
}

static void
log_end (SptWebrtcSession *self, const char *why)
{
  SptViewerStats stats = {0};
  if (self->viewer)
    spt_viewer_get_stats (self->viewer, &stats);
  GST_INFO ("%s: webrtc %s %s left after %" G_GUINT64_FORMAT " kB, %" G_GUINT64_FORMAT
            " dropped: %s",
      spt_stream_get_name (self->stream), self->publish ? "publisher" : "viewer", self->remote,
      stats.bytes / 1000, stats.drops, why);
}

static void
fail (SptWebrtcSession *self, const GError *error)
{
  const SptWebrtcSignals *signals = g_steal_pointer (&self->signals);
  if (signals && !self->answered)
    signals->answer (self, NULL, error, self->data);
  log_end (self, error->message);
  g_hash_table_remove (self->shared->sessions, self->id);
}

/* Gives back all it had; it is gone when this returns. */
void
spt_webrtc_session_end (SptWebrtcSession *self, const char *why)
{
  g_autoptr (GError) error = g_error_new_literal (SPT_ERROR, SPT_ERROR_UNAVAILABLE, why);
  fail (self, error);
}

/* ---- the answer --------------------------------------------------------------------------- */

static void
answer (SptWebrtcSession *self)
{
  gboolean trickles = self->signals && self->signals->candidate;
  g_clear_handle_id (&self->gather_id, g_source_remove);
  if (self->answered || !self->signals)
    return;
  self->answered = TRUE;
  g_autofree char *sdp =
      spt_rtc_offer_answer (self->offer, &self->local, trickles ? NULL : self->gathered);
  self->signals->answer (self, sdp, NULL, self->data);
  for (guint i = 0; trickles && i < self->gathered->len; i++)
    self->signals->candidate (g_ptr_array_index (self->gathered, i), self->data);
}

static gboolean
on_gather_timeout (gpointer data)
{
  SptWebrtcSession *self = data;
  self->gather_id = 0;
  answer (self);
  return G_SOURCE_REMOVE;
}

static void
on_ready (const SptRtcLocal *local, const GError *error, gpointer data)
{
  SptWebrtcSession *self = data;
  if (error) {
    fail (self, error);
    return;
  }
  self->local = *local;
  self->state = ANSWERED;
  self->seconds = 0;
  GPtrArray *offered = spt_rtc_offer_candidates (self->offer);
  for (guint i = 0; i < offered->len; i++)
    spt_webrtc_peer_add_candidate (self->peer, g_ptr_array_index (offered, i));
  for (guint i = 0; i < self->early->len; i++)
    spt_webrtc_peer_add_candidate (self->peer, g_ptr_array_index (self->early, i));
  if (self->complete || (self->signals && self->signals->candidate))
    answer (self);
  else
    self->gather_id = g_timeout_add (GATHER_MS, on_gather_timeout, self);
}

static void
tell_candidate (SptWebrtcSession *self, const char *candidate)
{
  g_ptr_array_add (self->gathered, g_strdup (candidate));
  if (self->answered && self->signals && self->signals->candidate)
    self->signals->candidate (candidate, self->data);
}

/* @words: of a candidate that we have ourselves. TRUE: peers may be told */
static gboolean
is_told (const SptWebrtcShared *shared, char **words)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (words[4]);
  g_autofree char *network = g_strdup_printf (
      "%s%c", words[2], g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV6 ? '6' : '4');
  const char *const *ips = (const char *const *)shared->ips;
  const char *const *networks = (const char *const *)shared->networks;
  return (shared->loopback || !g_inet_address_get_is_loopback (address)) &&
         !g_inet_address_get_is_link_local (address) &&
         (!shared->only || g_str_equal (shared->only, words[4])) &&
         (!*ips || g_strv_contains (ips, words[4])) &&
         (!*networks || g_strv_contains (networks, network));
}

/* Of our addresses the peer hears those it is to know, and those it can reach us by from afar. */
static void
on_candidate (const char *text, gpointer data)
{
  SptWebrtcSession *self = data;
  if (!text) {
    self->complete = TRUE;
    if (self->signals && self->signals->candidate)
      tell_candidate (self, "");
    else if (self->state >= ANSWERED)
      answer (self);
    return;
  }
  g_autofree char *candidate = spt_rtc_candidate_check (text);
  if (!candidate || g_str_has_suffix (candidate, "active")) /* nobody can come by that */
    return;
  g_auto (GStrv) words = g_strsplit (candidate, " ", 0);
  gboolean host = g_str_equal (words[7], "host");
  gboolean told = !host || is_told (self->shared, words);
  if (told)
    tell_candidate (self, candidate);
  for (char **other = self->shared->announced; host && told && *other; other++) {
    g_free (words[4]);
    words[4] = g_strdup (*other);
    g_autofree char *moved = g_strjoinv (" ", words);
    tell_candidate (self, moved);
  }
}

/* ---- playing ------------------------------------------------------------------------------ */

static void
prime (SptViewer *viewer, GList *units, gpointer data)
{
  GstSample *first = spt_rtp_prime_now (viewer, units);
  g_clear_pointer (&first, gst_sample_unref);
}

static void
prime_again (SptViewer *viewer, GList *units, gpointer data)
{
  spt_rtp_prime_again (viewer, units);
}

static void
start_viewer (SptWebrtcSession *self)
{
  static const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, QUEUE_BYTES, QUEUE_TIME};
  self->viewer = spt_viewer_new (&limits, NULL, NULL);
  spt_lease_set_viewer (self->lease, self->viewer);
  spt_webrtc_peer_feed (self->peer, self->viewer);
  spt_track_attach_with (spt_lease_get_track (self->lease), self->viewer, prime, NULL);
}

static guint64
count_keyframes (SptTrack *track)
{
  SptTrackStats stats;
  spt_track_get_stats (track, &stats);
  return stats.keyframes;
}

/* No encoder of ours has made a keyframe: the peer gets again what it may have lost. */
static gboolean
on_no_keyframe (gpointer data)
{
  SptWebrtcSession *self = data;
  SptTrack *track = spt_lease_get_track (self->lease);
  gint64 now = g_get_monotonic_time ();
  self->keyframe_id = 0;
  if (count_keyframes (track) != self->keyframes || now - self->replayed < REPLAY_US || self->thin)
    return G_SOURCE_REMOVE;
  self->replayed = now;
  spt_track_detach (track, self->viewer);
  spt_track_attach_with (track, self->viewer, prime_again, NULL);
  return G_SOURCE_REMOVE;
}

static void
on_keyframe (gpointer data)
{
  SptWebrtcSession *self = data;
  if (!self->viewer)
    return;
  self->asked++;
  spt_track_request_keyframe (spt_lease_get_track (self->lease));
  if (self->keyframe_id)
    return;
  self->keyframes = count_keyframes (spt_lease_get_track (self->lease));
  self->keyframe_id = g_timeout_add (KEYFRAME_MS, on_no_keyframe, self);
}

static gboolean
start_publishing (SptWebrtcSession *self, GError **error)
{
  GstCaps *caps[SPT_PUBLISHER_LANES] = {NULL, NULL};
  guint n = 0;
  for (guint i = 0; i < SPT_RTC_LANES; i++) {
    const SptRtcCodec *codec = spt_rtc_offer_chosen (self->offer, i);
    if (codec)
      caps[n++] = gst_caps_new_simple ("application/x-rtp", "media", G_TYPE_STRING,
          i ? "audio" : "video", "encoding-name", G_TYPE_STRING, codec->name, "clock-rate",
          G_TYPE_INT, (int)codec->clock_rate, "payload", G_TYPE_INT, (int)codec->pt, NULL);
  }
  self->publisher = spt_publisher_new (caps, n, 0); /* webrtcbin has put them in order */
  for (guint i = 0; i < n; i++)
    gst_caps_unref (caps[i]);
  if (!spt_stream_publish (self->stream, self->publisher, error)) {
    g_clear_pointer (&self->publisher, spt_publisher_unref);
    return FALSE;
  }
  spt_webrtc_peer_publish (self->peer, self->publisher);
  return TRUE;
}

static void
on_connected (gpointer data)
{
  SptWebrtcSession *self = data;
  g_autoptr (GError) error = NULL;
  self->state = CONNECTED;
  self->seconds = 0;
  GST_INFO ("%s: webrtc %s %s", spt_stream_get_name (self->stream),
      self->publish ? "publisher" : "viewer", self->remote);
  if (!self->publish)
    start_viewer (self);
  else if (!start_publishing (self, &error))
    fail (self, error);
}

static void
on_gone (const char *why, gpointer data)
{
  spt_webrtc_session_end (data, why);
}

/* ---- once a second ------------------------------------------------------------------------ */

/* A second without packets is taken for one like the last with some: when only keyframes are sent,
 * there are many. */
static void
judge_link (SptWebrtcSession *self, const SptWebrtcStats *stats)
{
  self->bad = stats->loss > LOSS_BAD ? self->bad + stats->measured : 0;
  self->good = stats->loss < LOSS_GOOD ? self->good + 1 : 0;
  gboolean thin = self->thin ? self->good < LOSS_S : self->bad >= LOSS_S;
  if (thin != self->thin) {
    self->thin = thin;
    GST_INFO ("%s: webrtc viewer %s loses %.0f %%: %s", spt_stream_get_name (self->stream),
        self->remote, stats->loss * 100, thin ? "keyframes only" : "all pictures again");
    spt_webrtc_peer_keyframes_only (self->peer, thin);
  }
}

static gboolean
has_group (SptTrack *track)
{
  SptTrackStats stats;
  spt_track_get_stats (track, &stats);
  return stats.gop_units > 0;
}

/* (nullable): why the session is over */
static const char *
look_after (SptWebrtcSession *self)
{
  SptWebrtcStats stats;
  spt_webrtc_peer_get_stats (self->peer, &stats);
  /* while the source is away there may be nothing to report */
  gboolean live = spt_stream_get_state (self->stream) == SPT_STREAM_LIVE;
  self->silent = stats.reported || !live ? 0 : self->silent + 1;
  if (self->silent > SILENT_S)
    return "the peer is silent";
  if (self->publish) {
    if (spt_stream_get_publisher (self->stream) != self->publisher)
      return "the stream has another source now";
    /* a browser makes keyframes when it is asked: for joiners there must always be one in reach */
    if (self->seconds % ASK_S == 1 && !has_group (spt_stream_get_track (self->stream, FALSE)))
      spt_webrtc_peer_ask_keyframe (self->peer);
    return NULL;
  }
  judge_link (self, &stats);
  spt_lease_set_link (self->lease, &(SptLink){.bitrate = stats.bitrate,
                                       .loss = stats.loss,
                                       .rtt_ms = stats.rtt_ms,
                                       .nacks = stats.nacks,
                                       .keyframes_asked = self->asked});
  return spt_viewer_ended (self->viewer, NULL) ? "the stream ended" : NULL;
}

static gboolean
on_tick (gpointer data)
{
  SptWebrtcSession *self = data;
  const char *why = NULL;
  self->seconds++;
  if (self->state == CONNECTED)
    why = look_after (self);
  else if (self->state == ASKING && self->seconds > START_S)
    why = "the source did not start in time";
  else if (self->state != ASKING && self->seconds > CONNECT_S)
    why = "the peer did not connect in time";
  if (!why)
    return G_SOURCE_CONTINUE;
  self->tick_id = 0;
  spt_webrtc_session_end (self, why);
  return G_SOURCE_REMOVE;
}

/* ---- the beginning ------------------------------------------------------------------------ */

static const SptWebrtcEvents events = {
    .ready = on_ready,
    .candidate = on_candidate,
    .connected = on_connected,
    .keyframe = on_keyframe,
    .gone = on_gone,
};

static gboolean
negotiate (SptWebrtcSession *self, GError **error)
{
  self->state = NEGOTIATING;
  self->seconds = 0;
  self->peer = spt_webrtc_peer_new (
      &self->shared->transport, self->offer, !self->publish, &events, self, error);
  return self->peer != NULL;
}

/* Its time is that of the track: what a peer's packets change is not the timestamp. */
static void
publish_clock (SptWebrtcSession *self, const GstStructure *rtp)
{
  SptMediaClock *clock = spt_media_clock_new ();
  guint base = 0;
  int rate = 0;
  if (gst_structure_get_uint (rtp, "timestamp-offset", &base) &&
      gst_structure_get_int (rtp, "clock-rate", &rate))
    spt_media_clock_set_rtp (clock, base, (guint)rate);
  spt_media_clock_publish (clock, self->id);
  spt_media_clock_unref (clock);
}

static void
on_lease (SptLease *lease, const GError *error, gpointer data)
{
  SptWebrtcSession *self = data;
  g_autoptr (GError) refused = NULL;
  guint n = 0;
  self->ask = NULL;
  if (!lease) {
    fail (self, error);
    return;
  }
  self->lease = lease;
  g_autoptr (GstCaps) caps = spt_track_get_caps (spt_lease_get_track (lease));
  for (guint i = 0; caps && i < SPT_RTP_LANES; i++) {
    g_autoptr (GstCaps) rtp = spt_rtp_lane_caps (caps, i);
    const GstStructure *s = rtp ? gst_caps_get_structure (rtp, 0) : NULL;
    gboolean audio = s && g_strcmp0 (gst_structure_get_string (s, "media"), "audio") == 0;
    n += s &&
         spt_rtc_offer_choose (self->offer, audio, gst_structure_get_string (s, "encoding-name"));
    if (s && !audio)
      publish_clock (self, s);
  }
  if (!n)
    refused = g_error_new (SPT_ERROR, SPT_ERROR_UNSUPPORTED,
        "the stream gives nothing that the browser has offered to play");
  if (!n || !negotiate (self, &refused))
    fail (self, refused);
}

static gboolean
may_begin (SptWebrtcShared *shared, SptStream *stream, gboolean publish, const char *remote,
    GError **error)
{
  GHashTableIter iter;
  gpointer value;
  guint viewers = 0, pending = 0;
  g_hash_table_iter_init (&iter, shared->sessions);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    SptWebrtcSession *other = value;
    viewers += other->stream == stream && !other->publish;
    pending += other->state != CONNECTED && g_strcmp0 (other->remote, remote) == 0;
  }
  if (!publish && viewers >= shared->max_viewers)
    g_set_error (error, SPT_ERROR, SPT_ERROR_UNAVAILABLE,
        "the stream has %u WebRTC viewers; webrtc.max_viewers allows no more", viewers);
  else if (pending >= shared->max_pending)
    g_set_error (error, SPT_ERROR, SPT_ERROR_UNAVAILABLE,
        "%u connections from %s are still being made; try again", pending, remote);
  else
    return !publish || spt_stream_may_publish (stream, error);
  return FALSE;
}

static void
ask_stream (SptWebrtcSession *self, SptWant *want, const SptConsumer *consumer)
{
  spt_rtc_offer_want (self->offer, want);
  self->ask = spt_ask_active (self->stream, want, consumer, on_lease, self);
  spt_filters_clear (want);
}

/**
 * spt_webrtc_session_new:
 * @publish: the peer sends
 * @overlay: (nullable): as asked for (spt_filters_read_overlay())
 * @signals: static
 *
 * Returns: (transfer none): the session, which ends by itself; its owner hears the answer, not
 *   before this returns. Or NULL: INVALID for an offer that cannot be read, UNAVAILABLE when there
 *   are too many, FORBIDDEN for a stream that cannot be published to
 */
SptWebrtcSession *
spt_webrtc_session_new (SptWebrtcShared *shared, SptStream *stream, const char *offer, gsize size,
    gboolean publish, const char *overlay, const SptConsumer *consumer,
    const SptWebrtcSignals *signals, gpointer data, GError **error)
{
  g_autoptr (SptRtcOffer) read = spt_rtc_offer_new (offer, size, error);
  SptWant want = {.container = "webrtc"};
  if (!read || !spt_filters_read_overlay (overlay, &want, error) ||
      !may_begin (shared, stream, publish, consumer->remote_addr, error))
    return NULL;
  if (publish && !spt_rtc_offer_choose_sent (read)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_UNSUPPORTED,
        "the offer sends no codec that can be taken: H264, VP8, VP9, OPUS, PCMU, PCMA");
    return NULL;
  }
  SptWebrtcSession *self = g_new0 (SptWebrtcSession, 1);
  self->shared = shared;
  self->id = spt_random_id ();
  self->tag = spt_random_id ();
  self->remote = g_strdup (consumer->remote_addr);
  self->stream = g_object_ref (stream);
  self->offer = g_steal_pointer (&read);
  self->publish = publish;
  self->signals = signals;
  self->data = data;
  self->gathered = g_ptr_array_new_with_free_func (g_free);
  self->early = g_ptr_array_new_with_free_func (g_free);
  if (publish && !negotiate (self, error)) {
    session_free (self);
    return NULL;
  }
  if (!publish)
    ask_stream (self, &want, consumer);
  self->tick_id = g_timeout_add_seconds (1, on_tick, self);
  g_hash_table_insert (shared->sessions, self->id, self);
  return self;
}

GHashTable *
spt_webrtc_sessions_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, NULL, session_free);
}

const char *
spt_webrtc_session_id (SptWebrtcSession *self)
{
  return self->id;
}

/* The version of its description (an entity tag, without quotes). */
const char *
spt_webrtc_session_tag (SptWebrtcSession *self)
{
  return self->tag;
}

/* Other credentials than those of the offer */
gboolean
spt_webrtc_session_is_restart (SptWebrtcSession *self, const char *ufrag)
{
  return !g_str_equal (ufrag, spt_rtc_offer_ufrag (self->offer));
}

/* @candidate: of the peer, as it came; what is none is ignored. May come before the answer. */
void
spt_webrtc_session_add_candidate (SptWebrtcSession *self, const char *candidate)
{
  g_autofree char *checked = spt_rtc_candidate_check (candidate);
  if (!checked || ++self->n_candidates > CANDIDATES_MAX)
    return;
  if (self->state >= ANSWERED)
    spt_webrtc_peer_add_candidate (self->peer, checked);
  else
    g_ptr_array_add (self->early, g_steal_pointer (&checked));
}
