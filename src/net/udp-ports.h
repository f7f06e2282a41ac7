/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pairs of UDP ports for RTP and RTCP. */
#pragma once

#include <gio/gio.h>

/* Something came from @from (numeric address and port) on the pair. Main context. */
typedef void (*SptUdpReceived) (
    const char *from, const guint8 *data, gsize size, gboolean rtcp, gpointer data_of_pair);

typedef struct {
  GSocket *rtp, *rtcp;
  guint16 port; /* of RTP; RTCP has the next one */
  GSource *sources[2];
  SptUdpReceived received;
  gpointer data;
} SptUdpPair;

/* @first: 0 leaves the choice to the system */
SptUdpPair *spt_udp_pair_new (
    guint16 first, guint16 last, SptUdpReceived received, gpointer data, GError **error);
void spt_udp_pair_close (SptUdpPair *self);
char *spt_udp_name (GSocketAddress *address);
