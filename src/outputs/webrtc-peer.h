/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One peer connection: how the media travel. This one is GStreamer's webrtcbin, a small pipeline of
 * its own for each peer; what is negotiated is settled before (net/rtc-sdp.h). Main context. */
#pragma once

#include "rtc-sdp.h"

typedef struct _SptWebrtcPeer SptWebrtcPeer;

/* The same for all peers. */
typedef struct {
  guint16 first_port, last_port; /* 0, 0: any */
  gboolean udp, tcp;
  char *stun;      /* (nullable): "stun://host:port" */
  GPtrArray *turn; /* of char*: "turn://user:password@host:port" */
} SptWebrtcTransport;

typedef struct {
  double bitrate;    /* bits per second sent, or received */
  double loss;       /* 0 … 1, of what the peer has last reported of */
  gboolean measured; /* it has, since the last time we looked */
  double rtt_ms;     /* round trip */
  guint64 nacks;     /* packets that were asked for again */
  gboolean reported; /* the peer has said something since the last time we looked */
} SptWebrtcStats;

/* Called on the main context, never from within a call, until spt_webrtc_peer_free(). */
typedef struct {
  /* @local: what the answer needs, the listener's to keep; or @error */
  void (*ready) (const SptRtcLocal *local, const GError *error, gpointer data);
  void (*candidate) (const char *candidate, gpointer data); /* NULL: that was the last */
  void (*connected) (gpointer data);
  void (*keyframe) (gpointer data); /* the peer has lost its picture */
  void (*gone) (const char *why, gpointer data);
} SptWebrtcEvents;

SptWebrtcPeer *spt_webrtc_peer_new (const SptWebrtcTransport *transport, SptRtcOffer *offer,
    gboolean send, const SptWebrtcEvents *events, gpointer data, GError **error);
void spt_webrtc_peer_add_candidate (SptWebrtcPeer *self, const char *candidate);
void spt_webrtc_peer_feed (SptWebrtcPeer *self, SptViewer *viewer);
void spt_webrtc_peer_publish (SptWebrtcPeer *self, SptPublisher *publisher);
void spt_webrtc_peer_ask_keyframe (SptWebrtcPeer *self);
void spt_webrtc_peer_keyframes_only (SptWebrtcPeer *self, gboolean only);
void spt_webrtc_peer_get_stats (SptWebrtcPeer *self, SptWebrtcStats *stats);
void spt_webrtc_peer_free (SptWebrtcPeer *self);
