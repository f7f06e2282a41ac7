/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RTP units: what the "rtp" containers give.
 *
 * A unit is one buffer with all packets of one access unit, each behind the four bytes of RTSP's
 * interleaving ($, channel, length; RFC 2326, 10.12), so that a TCP viewer is served by writing the
 * unit as it is. Channel 2n carries lane n's RTP, channel 2n + 1 its RTCP. A unit belongs to one
 * lane: its buffer's offset. */
#pragma once

#include "types.h"

#define SPT_RTP_LANES 2
/* $, channel, length */
#define SPT_RTP_FRAME 4

typedef struct {
  guint8 channel;
  const guint8 *data; /* the packet; its frame stands before it */
  gsize size;
} SptRtpPacket;

gboolean spt_rtp_next (const guint8 *data, gsize size, gsize *at, SptRtpPacket *packet);
guint spt_rtp_lane (GstBuffer *unit);
GstCaps *spt_rtp_lane_caps (GstCaps *caps, guint lane);
gboolean spt_rtp_first (GstBuffer *unit, guint16 *seqnum, guint32 *timestamp);
GstSample *spt_rtp_prime_now (SptViewer *viewer, GList *units);
void spt_rtp_prime_again (SptViewer *viewer, GList *units);
GstBuffer *spt_rtp_move (GstBuffer *unit, guint8 rtp_channel, guint8 rtcp_channel);
