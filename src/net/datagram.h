/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RTP units over UDP: many packets with few system calls. */
#pragma once

#include <gio/gio.h>
#include <sys/socket.h>

/* RTP and RTCP of two lanes */
#define SPT_DATAGRAM_CHANNELS 4

/* Where the packets of one viewer go. A channel without a socket is not sent. */
typedef struct {
  struct {
    GSocket *socket; /* owned */
    struct sockaddr_storage to;
    socklen_t length;
  } channels[SPT_DATAGRAM_CHANNELS];
  gsize budget;    /* bytes that may still be sent now; see spt_datagrams_send() */
  gint64 refilled; /* monotonic µs */
  gboolean whole;  /* the way there takes no larger parts than one packet */
} SptDatagrams;

SptDatagrams *spt_datagrams_new (void);
void spt_datagrams_free (SptDatagrams *self);
gboolean spt_datagrams_set (
    SptDatagrams *self, guint channel, GSocket *socket, GSocketAddress *to, GError **error);
gboolean spt_datagrams_send (SptDatagrams *self, const guint8 *unit, gsize size, gsize *at);
