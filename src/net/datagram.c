/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A picture's packets have one size but for the last: the kernel takes them in one call and cuts
 * them itself (UDP_SEGMENT, Linux 4.18), which costs about half of a sendmmsg() of single packets.
 * Where that is missing, sendmmsg(). */
#include "config.h"

#include "datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "rtp.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
/* Limits of the kernel: UDP_MAX_SEGMENTS, and one IP datagram before it is cut. */
#define SEGMENTS_MAX 60
#define BYTES_MAX 60000

typedef struct {
  struct iovec iov[SEGMENTS_MAX];
  gsize offsets[SEGMENTS_MAX]; /* of their frames in the unit */
  guint n;
  gsize bytes;
  guint8 channel;
} Batch;

/* A receiver's buffer holds some 90 packets by default (212,992 bytes with the kernel's own): a
 * joiner's group of pictures, or a large keyframe, goes out in portions that it has time to take
 * in. 256 Mbit/s at most. */
#define PORTION (64 * 1024)
#define PORTION_US 2000

/* 1 when the kernel or a driver has refused to cut; atomic */
static int cannot_segment;

SptDatagrams *
spt_datagrams_new (void)
{
  return g_new0 (SptDatagrams, 1);
}

void
spt_datagrams_free (SptDatagrams *self)
{
  for (guint i = 0; i < SPT_DATAGRAM_CHANNELS; i++)
    g_clear_object (&self->channels[i].socket);
  g_free (self);
}

/**
 * spt_datagrams_set:
 * @socket: unconnected; shared with others
 */
gboolean
spt_datagrams_set (
    SptDatagrams *self, guint channel, GSocket *socket, GSocketAddress *to, GError **error)
{
  g_return_val_if_fail (channel < SPT_DATAGRAM_CHANNELS, FALSE);
  gssize length = g_socket_address_get_native_size (to);
  if (!g_socket_address_to_native (to, &self->channels[channel].to, (gsize)length, error))
    return FALSE;
  self->channels[channel].length = (socklen_t)length;
  g_set_object (&self->channels[channel].socket, socket);
  return TRUE;
}

static gboolean
send_segmented (int fd, struct sockaddr_storage *to, socklen_t length, Batch *batch)
{
  union {
    char bytes[CMSG_SPACE (sizeof (guint16))];
    struct cmsghdr align;
  } control = {0};
  struct msghdr message = {
      .msg_name = to, .msg_namelen = length, .msg_iov = batch->iov, .msg_iovlen = batch->n};
  if (batch->n > 1) {
    guint16 size = (guint16)batch->iov[0].iov_len;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    struct cmsghdr *cmsg = CMSG_FIRSTHDR (&message);
    cmsg->cmsg_level = IPPROTO_UDP;
    cmsg->cmsg_type = UDP_SEGMENT;
    cmsg->cmsg_len = CMSG_LEN (sizeof size);
    memcpy (CMSG_DATA (cmsg), &size, sizeof size);
  }
  return sendmsg (fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* How many of the batch went out. */
static guint
send_single (int fd, struct sockaddr_storage *to, socklen_t length, Batch *batch)
{
  struct mmsghdr messages[SEGMENTS_MAX] = {0};
  guint sent = 0;
  for (guint i = 0; i < batch->n; i++)
    messages[i].msg_hdr = (struct msghdr){
        .msg_name = to, .msg_namelen = length, .msg_iov = &batch->iov[i], .msg_iovlen = 1};
  while (sent < batch->n) {
    int n = sendmmsg (fd, messages + sent, batch->n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
      sent += (guint)n;
    else if (n == 0 || errno != EINTR)
      break;
  }
  return sent;
}

static gboolean
is_full (void)
{
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS;
}

/* How many packets are dealt with: fewer than there are when the socket's buffer is full. What else
 * happens to a datagram is its own affair. */
static guint
flush (SptDatagrams *self, Batch *batch)
{
  if (!batch->n)
    return 0;
  int fd = g_socket_get_fd (self->channels[batch->channel].socket);
  struct sockaddr_storage *to = &self->channels[batch->channel].to;
  socklen_t length = self->channels[batch->channel].length;
  if (!self->whole && !g_atomic_int_get (&cannot_segment)) {
    if (send_segmented (fd, to, length, batch))
      return batch->n;
    if (is_full ())
      return 0;
    if (errno == EINVAL) /* this way's MTU */
      self->whole = TRUE;
    else if (errno == EIO || errno == ENOPROTOOPT || errno == EOPNOTSUPP)
      g_atomic_int_set (&cannot_segment, 1);
    else
      return batch->n;
  }
  guint sent = send_single (fd, to, length, batch);
  return sent < batch->n && is_full () ? sent : batch->n;
}

static gboolean
fits (const Batch *batch, const SptRtpPacket *packet)
{
  return !batch->n ||
         (packet->channel == batch->channel && batch->n < SEGMENTS_MAX &&
             batch->bytes + packet->size <= BYTES_MAX && packet->size <= batch->iov[0].iov_len &&
             batch->iov[batch->n - 1].iov_len == batch->iov[0].iov_len);
}

/* Sends the batch and makes room for the next; FALSE when the socket is full, and @at is where to
 * go on. */
static gboolean
send_batch (SptDatagrams *self, Batch *batch, gsize *at)
{
  guint sent = batch->bytes <= self->budget ? flush (self, batch) : 0;
  gboolean all = sent == batch->n;
  if (all)
    self->budget -= batch->bytes;
  else
    *at = batch->offsets[sent];
  batch->n = 0;
  batch->bytes = 0;
  return all;
}

/**
 * spt_datagrams_send:
 * @unit: framed packets (core/rtp.h)
 * @at: (inout): where in the unit to go on; 0 at first
 *
 * Sends what belongs to the viewer's channels, PORTION bytes in PORTION_US at most. Never blocks.
 * Any thread, one at a time.
 *
 * Returns: FALSE when that, or the socket's buffer, is used up: the rest begins at @at
 */
gboolean
spt_datagrams_send (SptDatagrams *self, const guint8 *unit, gsize size, gsize *at)
{
  Batch batch = {0};
  SptRtpPacket packet;
  gsize next = *at, begin = next;
  gint64 now = g_get_monotonic_time ();
  if (now - self->refilled >= PORTION_US) {
    self->refilled = now;
    self->budget = PORTION;
  }
  while (spt_rtp_next (unit, size, &next, &packet)) {
    if (packet.channel < SPT_DATAGRAM_CHANNELS && self->channels[packet.channel].socket) {
      if (!fits (&batch, &packet) && !send_batch (self, &batch, at))
        return FALSE;
      batch.offsets[batch.n] = begin;
      batch.iov[batch.n++] = (struct iovec){(void *)packet.data, packet.size};
      batch.bytes += packet.size;
      batch.channel = packet.channel;
    }
    begin = next;
  }
  return send_batch (self, &batch, at);
}
