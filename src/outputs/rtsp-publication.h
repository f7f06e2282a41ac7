/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One who records into a stream: ANNOUNCE, SETUP of each medium, RECORD, packets. For rtsp.c. */
#pragma once

#include "streams.h"
#include "udp-ports.h"

typedef struct _SptPublication SptPublication;

/* Something came by UDP: the publisher lives. */
typedef void (*SptPublicationAlive) (gpointer data);

SptPublication *spt_publication_new (
    SptStream *stream, const char *sdp, gsize size, GError **error);
char *spt_publication_set_up_tcp (SptPublication *self, const char *url, int rtp, int rtcp);
char *spt_publication_set_up_udp (SptPublication *self, const char *url, GInetAddress *from,
    const int ports[2], guint16 first, guint16 last, SptPublicationAlive alive, gpointer data);
gboolean spt_publication_record (SptPublication *self, GError **error);
void spt_publication_pause (SptPublication *self);
gboolean spt_publication_packet (
    SptPublication *self, guint8 channel, const guint8 *packet, gsize size);
void spt_publication_free (SptPublication *self);
