/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of a peer: webrtc-peer.c negotiates, webrtc-peer-media.c sends, receives and counts. */
#pragma once

#include <gst/webrtc/webrtc.h>

#include "viewer.h"
#include "webrtc-peer.h"

#define SPT_WEBRTC_RETRANSMISSION "do-nack" /* of a transceiver */

typedef struct {
  GstElement *appsrc; /* lives as long as the pipeline */
  SptRtcCodec codec;
  guint32 ssrc;
  guint16 sequence; /* feeding thread */
} SptWebrtcLane;

/* What a report says of a lane since its beginning (RFC 3550, 6.4.1). */
typedef struct {
  gint32 lost;
  guint32 highest; /* sequence number, extended; 0: there was no report */
} SptWebrtcReport;

struct _SptWebrtcPeer {
  gatomicrefcount refs; /* the owner's, and one of each of webrtcbin's handlers and promises */

  /* construct-only */
  GstElement *pipeline, *bin;
  GMainContext *context;
  SptWebrtcLane lanes[SPT_RTC_LANES];

  /* main context */
  const SptWebrtcEvents *events; /* NULL: freed */
  gpointer data;
  gboolean sends, connected, gone;
  guint64 last_octets;
  gint64 last_look; /* monotonic µs */
  int last_heard;
  SptWebrtcReport last_report;
  double loss;

  /* feeding thread */
  SptViewer *viewer;
  gboolean waits_for_keyframe;

  /* under the viewer's lock */
  gint64 step;   /* monotonic µs: when it began */
  guint in_step; /* units that have gone in it */

  /* atomic */
  int paced; /* a source waits for the next step */
  int keyframes_only;
  int heard; /* RTCP packets of the peer */

  /* under lock: packets come while the publisher goes */
  GMutex lock;
  SptPublisher *publisher;
  GstPad *picture;        /* (nullable): what comes from the peer */
  SptWebrtcReport report; /* the latest of our picture, or of our sound when that is all */
};

SptWebrtcPeer *spt_webrtc_peer_ref (SptWebrtcPeer *self);
void spt_webrtc_peer_unref (gpointer self);

void spt_webrtc_peer_tell_keyframe (SptWebrtcPeer *self);

void spt_webrtc_peer_add_sender (SptWebrtcPeer *self, guint lane);
void spt_webrtc_peer_add_receiver (SptWebrtcPeer *self, GstPad *pad);
void spt_webrtc_peer_listen_to_reports (SptWebrtcPeer *self);
