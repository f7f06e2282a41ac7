/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One viewer or publisher: from the offer to the end. Main context. */
#pragma once

#include "webrtc-peer.h"

/* What all sessions share; the door owns it. */
typedef struct {
  SptWebrtcTransport transport;
  char **announced;  /* addresses under which we are reached besides our own, such as a router's */
  char *only;        /* (nullable): the one address of ours that peers are told */
  gboolean loopback; /* they are told 127.0.0.1, too */
  char **ips;        /* none: all; else only these addresses of ours */
  char **networks;   /* none: all; else of "udp4", "udp6", "tcp4", "tcp6" */
  guint max_viewers; /* of one stream */
  guint max_pending; /* of one address, not yet connected */
  GHashTable *sessions; /* id → SptWebrtcSession */
} SptWebrtcShared;

typedef struct _SptWebrtcSession SptWebrtcSession;

/* How its owner talks with the peer; no longer called after spt_webrtc_session_mute(). */
typedef struct {
  /* Once. @sdp: or @error, and then the session is over */
  void (*answer) (SptWebrtcSession *session, const char *sdp, const GError *error, gpointer data);
  /* (nullable): NULL: the answer is held back until it has all candidates. @candidate: "": the end
   */
  void (*candidate) (const char *candidate, gpointer data);
} SptWebrtcSignals;

GHashTable *spt_webrtc_sessions_new (void);
SptWebrtcSession *spt_webrtc_session_new (SptWebrtcShared *shared, SptStream *stream,
    const char *offer, gsize size, gboolean publish, const char *overlay,
    const SptConsumer *consumer, const SptWebrtcSignals *signals, gpointer data, GError **error);
void spt_webrtc_session_mute (SptWebrtcSession *self);
void spt_webrtc_session_end (SptWebrtcSession *self, const char *why);
const char *spt_webrtc_session_id (SptWebrtcSession *self);
const char *spt_webrtc_session_tag (SptWebrtcSession *self);
gboolean spt_webrtc_session_is_restart (SptWebrtcSession *self, const char *ufrag);
void spt_webrtc_session_add_candidate (SptWebrtcSession *self, const char *candidate);
