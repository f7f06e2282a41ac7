/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One peer: its answers and units on their way into its socket, or out as datagrams. All on the
 * writer thread. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "pipeline.h"
#include "sender-private.h"
#include "viewer.h"

/* Units older than OLD are a joiner's start, which his decoder has to keep up with: over UDP one of
 * them in CATCH_UP_US, some eight times as fast as they were made. */
#define OLD (150 * GST_MSECOND)
#define CATCH_UP_US 4000

void
spt_sender_peer_release (SptSenderPeer *peer)
{
  for (guint i = 0; i < peer->n_segments; i++) {
    Segment *segment = &peer->segments[i];
    if (segment->memory) {
      gst_memory_unmap (segment->memory, &segment->map);
      gst_memory_unref (segment->memory);
    }
    g_clear_pointer (&segment->bytes, g_bytes_unref);
  }
  peer->n_segments = 0;
  peer->sent = 0;
}

static void
add_memories (SptSenderPeer *peer, GstBuffer *buffer)
{
  guint n = gst_buffer_n_memory (buffer);
  gboolean merged = n > SEGMENTS_MAX - peer->n_segments;
  for (guint i = 0; i < (merged ? 1 : n); i++) {
    Segment *segment = &peer->segments[peer->n_segments];
    g_autoptr (GstMemory) memory =
        merged ? gst_buffer_get_all_memory (buffer) : gst_buffer_get_memory (buffer, i);
    if (!gst_memory_map (memory, &segment->map, GST_MAP_READ))
      continue;
    segment->memory = g_steal_pointer (&memory);
    segment->data = segment->map.data;
    segment->size = segment->map.size;
    peer->n_segments++;
  }
}

static void
add_control (SptSenderPeer *peer)
{
  GBytes *bytes = g_queue_pop_head (&peer->control);
  Segment *segment = &peer->segments[peer->n_segments++];
  *segment = (Segment){.bytes = bytes};
  segment->data = g_bytes_get_data (bytes, &segment->size);
  peer->control_bytes -= segment->size;
}

static void
add_streamheader (SptSenderPeer *peer, GstCaps *caps)
{
  const GValue *value = gst_structure_get_value (gst_caps_get_structure (caps, 0), "streamheader");
  if (!value)
    return;
  if (GST_VALUE_HOLDS_BUFFER (value))
    add_memories (peer, gst_value_get_buffer (value));
  for (guint i = 0; GST_VALUE_HOLDS_ARRAY (value) && i < gst_value_array_get_size (value) &&
                    peer->n_segments < SEGMENTS_MAX - 3;
       i++)
    add_memories (peer, gst_value_get_buffer (gst_value_array_get_value (value, i)));
}

/* "avc1.64001F,mp4a.40.2" and "avc1.4D0028,mp4a.40.2" are the same codecs. */
static gboolean
same_codecs (GstCaps *a, GstCaps *b)
{
  const char *x = gst_structure_get_string (gst_caps_get_structure (a, 0), "codecs");
  const char *y = gst_structure_get_string (gst_caps_get_structure (b, 0), "codecs");
  if (!x || !y)
    return TRUE;
  g_auto (GStrv) xs = g_strsplit (x, ",", 4), ys = g_strsplit (y, ",", 4);
  guint i = 0;
  while (xs[i] && ys[i] && strncmp (xs[i], ys[i], 4) == 0)
    i++;
  return !xs[i] && !ys[i];
}

/* Makes the unit the one being written; FALSE when the session ends here instead. */
static gboolean
load_unit (SptSenderPeer *peer, GstSample *unit)
{
  GstBuffer *buffer = gst_sample_get_buffer (unit);
  GstCaps *caps = gst_sample_get_caps (unit);
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  g_autoptr (GstBuffer) filtered = NULL;
  if (!peer->caps && !peer->config.filter) /* a filter puts in front what it needs */
    add_streamheader (peer, caps);
  else if (peer->caps && peer->caps != caps && !same_codecs (peer->caps, caps))
    return FALSE;
  if (peer->caps != caps)
    gst_caps_replace (&peer->caps, caps);
  if (peer->first_pts == GST_CLOCK_TIME_NONE)
    peer->first_pts = pts;
  if (peer->config.duration && GST_CLOCK_TIME_IS_VALID (pts) && pts > peer->first_pts &&
      pts - peer->first_pts >= peer->config.duration)
    return FALSE;
  peer->old = GST_CLOCK_TIME_IS_VALID (pts) && pts + OLD < spt_clock_now ();
  if (peer->config.filter) {
    filtered = peer->config.filter (buffer, caps, peer->viewer, peer->config.data);
    if (!filtered)
      return TRUE;
    buffer = filtered;
  }
  guint first = peer->n_segments;
  add_memories (peer, buffer);
  Segment *segment = &peer->segments[first];
  if (peer->config.rewrite && peer->n_segments > first && segment->size <= SPT_SENDER_HEAD_MAX) {
    memcpy (peer->scratch, segment->data, segment->size);
    peer->config.rewrite (peer->scratch, segment->size, caps, &peer->rewrite_state);
    segment->data = peer->scratch;
  }
  return TRUE;
}

typedef enum { LOAD_SOMETHING, LOAD_NOTHING, LOAD_END } LoadResult;

/* Answers first, then one unit with them, so that both leave by one call. */
static LoadResult
load (SptSenderPeer *peer)
{
  while (peer->control.length && peer->n_segments < SEGMENTS_MAX / 2)
    add_control (peer);
  g_autoptr (GstSample) unit =
      peer->viewer && !peer->last ? spt_viewer_pop (peer->viewer, NULL) : NULL;
  if (unit && load_unit (peer, unit))
    return LOAD_SOMETHING;
  peer->last |= unit != NULL;
  if (peer->n_segments)
    return LOAD_SOMETHING;
  if (peer->last || peer->finish ||
      (peer->viewer && !peer->config.stays && spt_viewer_ended (peer->viewer, NULL)))
    return LOAD_END;
  return LOAD_NOTHING;
}

static int
fill_iov (SptSenderPeer *peer, struct iovec *iov)
{
  gsize skip = peer->sent;
  int n = 0;
  for (guint i = 0; i < peer->n_segments; i++) {
    const Segment *segment = &peer->segments[i];
    if (skip >= segment->size) {
      skip -= segment->size;
      continue;
    }
    iov[n].iov_base = (void *)(segment->data + skip);
    iov[n++].iov_len = segment->size - skip;
    skip = 0;
  }
  return n;
}

/* Writes what there is of the current unit. */
static SptSenderFlush
write_segments (SptSenderPeer *peer)
{
  for (;;) {
    struct iovec iov[SEGMENTS_MAX];
    int n = fill_iov (peer, iov);
    if (!n) {
      spt_sender_peer_release (peer);
      return SPT_FLUSH_IDLE;
    }
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (gsize)n};
    ssize_t written = sendmsg (peer->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return errno == EAGAIN || errno == EWOULDBLOCK ? SPT_FLUSH_BLOCKED : SPT_FLUSH_CLOSE;
    peer->progress = g_get_monotonic_time ();
    peer->sent += (gsize)written;
  }
}

/* FALSE: the unit that is loaded has still to wait. */
static gboolean
may_go (SptSenderPeer *peer)
{
  gint64 now = g_get_monotonic_time ();
  if (!peer->old || peer->sent || now - peer->progress >= CATCH_UP_US)
    return TRUE;
  peer->sender->full = TRUE;
  return FALSE;
}

/* What does not go out now, because it is enough at once or the socket's buffer is full, goes out
 * soon: viewers share sockets, and a picture may be larger than the buffer. */
static SptSenderFlush
send_datagrams (SptSenderPeer *peer)
{
  const Segment *unit = &peer->segments[0]; /* one memory (core/rtp.c) */
  if (!peer->n_segments)
    return SPT_FLUSH_IDLE;
  if (!may_go (peer))
    return SPT_FLUSH_BLOCKED;
  if (!spt_datagrams_send (peer->config.datagrams, unit->data, unit->size, &peer->sent)) {
    peer->sender->full = TRUE;
    return SPT_FLUSH_BLOCKED;
  }
  peer->progress = g_get_monotonic_time ();
  spt_sender_peer_release (peer);
  return SPT_FLUSH_IDLE;
}

/* Writes until there is nothing to write or the socket takes no more. */
SptSenderFlush
spt_sender_peer_flush (SptSenderPeer *peer)
{
  for (;;) {
    SptSenderFlush result = peer->fd < 0 ? send_datagrams (peer) : write_segments (peer);
    if (result != SPT_FLUSH_IDLE)
      return result;
    switch (load (peer)) {
    case LOAD_NOTHING:
      return SPT_FLUSH_IDLE;
    case LOAD_END:
      return SPT_FLUSH_CLOSE;
    case LOAD_SOMETHING:
      break;
    }
  }
}
