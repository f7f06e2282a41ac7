/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rtsp-publication.h"

#include <string.h>

#include "error.h"
#include "sdp.h"

/* How long a packet that UDP has lost or turned round is waited for. */
#define UDP_LATENCY_MS 100

typedef struct {
  SptPublication *owner;
  gboolean set_up;
  int rtp, rtcp;   /* TCP: channels, or -1 */
  SptUdpPair *udp; /* or */
  char *host;      /* where its packets must come from: "192.0.2.1 " */
} Medium;

struct _SptPublication {
  SptStream *stream;
  SptSdpAnnounced announced;
  Medium media[SPT_PUBLISHER_LANES];
  SptPublisher *publisher; /* while it records */
  SptPublicationAlive alive;
  gpointer data;
};

/* FORBIDDEN when the stream is not to be published to; INVALID for a bad description. */
SptPublication *
spt_publication_new (SptStream *stream, const char *sdp, gsize size, GError **error)
{
  SptPublication *self = g_new0 (SptPublication, 1);
  self->stream = g_object_ref (stream);
  for (guint i = 0; i < SPT_PUBLISHER_LANES; i++)
    self->media[i] = (Medium){.owner = self, .rtp = -1, .rtcp = -1};
  if (spt_stream_may_publish (stream, error) &&
      spt_sdp_parse_announced (sdp, size, &self->announced, error))
    return self;
  spt_publication_free (self);
  return NULL;
}

/* The medium whose control address this is; or else the next one. */
static Medium *
find_medium (SptPublication *self, const char *url)
{
  for (guint i = 0; i < self->announced.n; i++) {
    g_autofree char *end = g_strconcat ("/", self->announced.controls[i], NULL);
    if (g_str_has_suffix (url, end))
      return self->media[i].set_up ? NULL : &self->media[i];
  }
  for (guint i = 0; i < self->announced.n; i++)
    if (!self->media[i].set_up)
      return &self->media[i];
  return NULL;
}

/* (transfer full) (nullable): the Transport to answer with */
char *
spt_publication_set_up_tcp (SptPublication *self, const char *url, int rtp, int rtcp)
{
  Medium *medium = find_medium (self, url);
  if (!medium || self->publisher)
    return NULL;
  int index = (int)(medium - self->media);
  medium->rtp = rtp >= 0 ? rtp : index * 2;
  medium->rtcp = rtp >= 0 && rtcp > rtp ? rtcp : medium->rtp + 1;
  medium->set_up = TRUE;
  return g_strdup_printf (
      "RTP/AVP/TCP;unicast;interleaved=%d-%d;mode=\"RECORD\"", medium->rtp, medium->rtcp);
}

static void
push (Medium *medium, gboolean rtcp, const guint8 *packet, gsize size)
{
  SptPublication *self = medium->owner;
  if (self->publisher)
    spt_publisher_push (self->publisher, (guint)(medium - self->media), rtcp, packet, size);
}

static void
on_datagram (const char *from, const guint8 *data, gsize size, gboolean rtcp, gpointer user_data)
{
  Medium *medium = user_data;
  if (!g_str_has_prefix (from, medium->host))
    return; /* not from whom we let in */
  medium->owner->alive (medium->owner->data);
  push (medium, rtcp, data, size);
}

/* (transfer full) (nullable): the Transport to answer with */
char *
spt_publication_set_up_udp (SptPublication *self, const char *url, GInetAddress *from,
    const int ports[2], guint16 first, guint16 last, SptPublicationAlive alive, gpointer data)
{
  Medium *medium = find_medium (self, url);
  if (!medium || self->publisher)
    return NULL;
  medium->udp = spt_udp_pair_new (first, last, on_datagram, medium, NULL);
  if (!medium->udp)
    return NULL;
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new (from, 1);
  g_autofree char *name = spt_udp_name (address);
  medium->host = g_strndup (name, strcspn (name, " ") + 1);
  medium->set_up = TRUE;
  self->alive = alive;
  self->data = data;
  return g_strdup_printf ("RTP/AVP;unicast;client_port=%d-%d;server_port=%u-%u;mode=\"RECORD\"",
      ports[0], ports[1], medium->udp->port, medium->udp->port + 1u);
}

/* From here on the stream is what comes. FORBIDDEN when another one was faster. */
gboolean
spt_publication_record (SptPublication *self, GError **error)
{
  GstCaps *caps[SPT_PUBLISHER_LANES] = {NULL, NULL};
  guint n = 0;
  gboolean udp = FALSE;
  if (self->publisher)
    return TRUE;
  while (n < self->announced.n && self->media[n].set_up) {
    udp |= self->media[n].udp != NULL;
    caps[n] = self->announced.caps[n];
    n++;
  }
  if (!n) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "RECORD before the SETUP of a medium");
    return FALSE;
  }
  g_autoptr (SptPublisher) publisher = spt_publisher_new (caps, n, udp ? UDP_LATENCY_MS : 0);
  if (!spt_stream_publish (self->stream, publisher, error))
    return FALSE;
  self->publisher = g_steal_pointer (&publisher);
  return TRUE;
}

/* The stream is free for another publisher, until RECORD. Idempotent. */
void
spt_publication_pause (SptPublication *self)
{
  if (!self->publisher)
    return;
  spt_stream_unpublish (self->stream, self->publisher);
  g_clear_pointer (&self->publisher, spt_publisher_unref);
}

/* An interleaved packet. FALSE when the stream has been given another source meanwhile. */
gboolean
spt_publication_packet (SptPublication *self, guint8 channel, const guint8 *packet, gsize size)
{
  for (guint i = 0; i < self->announced.n; i++) {
    Medium *medium = &self->media[i];
    if (medium->rtp == channel || medium->rtcp == channel)
      push (medium, medium->rtcp == channel, packet, size);
  }
  return !self->publisher || spt_stream_get_publisher (self->stream) == self->publisher;
}

void
spt_publication_free (SptPublication *self)
{
  spt_publication_pause (self);
  for (guint i = 0; i < SPT_PUBLISHER_LANES; i++) {
    if (self->media[i].udp)
      spt_udp_pair_close (self->media[i].udp);
    g_free (self->media[i].host);
  }
  spt_sdp_announced_clear (&self->announced);
  g_object_unref (self->stream);
  g_free (self);
}
