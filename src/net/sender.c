/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread, one epoll, all sockets. A track's streaming thread only queues a reference in each
 * viewer and wakes this thread once; here every socket that can take bytes gets them by one
 * vectored write a unit, straight from the shared memory.
 *
 * Bounds: a viewer queues at most a few seconds and then drops to the next keyframe (viewer.c); the
 * kernel holds at most SEND_BUFFER; a socket that takes nothing for stall_ms is reset. */
#include "config.h"

#include "sender.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "error.h"
#include "viewer.h"

#define SEND_BUFFER (512 * 1024)
#define EVENTS_MAX 128
/* Memories of one unit that are written by one call: head, payload, tail; streamheaders. */
#define SEGMENTS_MAX 8
#define TICK_MS 1000

GST_DEBUG_CATEGORY_STATIC (spotter_sender);
#define GST_CAT_DEFAULT spotter_sender

typedef struct {
  GstMemory *memory;
  GstMapInfo map;
} Segment;

typedef struct {
  /* set before the thread sees it */
  SptSender *sender;
  SptSenderClient config;
  int fd;
  GError *reason;

  /* writer thread */
  GstCaps *caps;
  Segment segments[SEGMENTS_MAX];
  guint n_segments;
  guint8 scratch[SPT_SENDER_HEAD_MAX]; /* the rewritten first memory of the unit */
  gsize sent;                          /* bytes of the segments already written */
  gsize head_sent;
  GstClockTime first_pts;
  gint64 rewrite_state;
  gint64 progress; /* monotonic µs of the last byte taken */
  gboolean blocked;
  gboolean seen; /* by epoll */
} Client;

struct _SptSender {
  GObject parent;

  /* construct-only */
  guint stall_ms;
  GThread *thread;
  int epoll, event;
  GAsyncQueue *incoming; /* of Client */
  GMainContext *context;

  /* atomic */
  int woken, stopping, count;

  /* writer thread */
  GPtrArray *clients;
};

G_DEFINE_FINAL_TYPE_WITH_CODE (SptSender, spt_sender, G_TYPE_OBJECT,
    GST_DEBUG_CATEGORY_INIT (spotter_sender, "spotter-sender", 0, "writer of sockets"))

static void
wake (SptSender *self)
{
  if (!g_atomic_int_compare_and_exchange (&self->woken, 0, 1))
    return;
  guint64 one = 1;
  if (write (self->event, &one, sizeof one) < 0)
    GST_ERROR_OBJECT (self, "eventfd: %s", g_strerror (errno));
}

static void
on_viewer (SptViewer *viewer, gpointer data)
{
  wake (data);
}

/* ---- one socket --------------------------------------------------------------------------- */

static void
release_segments (Client *client)
{
  for (guint i = 0; i < client->n_segments; i++) {
    gst_memory_unmap (client->segments[i].memory, &client->segments[i].map);
    gst_memory_unref (client->segments[i].memory);
  }
  client->n_segments = 0;
  client->sent = 0;
}

static void
add_memories (Client *client, GstBuffer *buffer)
{
  for (guint i = 0; i < gst_buffer_n_memory (buffer) && client->n_segments < SEGMENTS_MAX; i++) {
    Segment *segment = &client->segments[client->n_segments];
    GstMemory *memory = gst_buffer_peek_memory (buffer, i);
    if (!gst_memory_map (memory, &segment->map, GST_MAP_READ))
      continue;
    segment->memory = gst_memory_ref (memory);
    client->n_segments++;
  }
}

static void
add_streamheader (Client *client, GstCaps *caps)
{
  const GValue *value = gst_structure_get_value (gst_caps_get_structure (caps, 0), "streamheader");
  if (!value)
    return;
  if (GST_VALUE_HOLDS_BUFFER (value))
    add_memories (client, gst_value_get_buffer (value));
  for (guint i = 0; GST_VALUE_HOLDS_ARRAY (value) && i < gst_value_array_get_size (value) &&
                    client->n_segments < SEGMENTS_MAX - 3;
       i++)
    add_memories (client, gst_value_get_buffer (gst_value_array_get_value (value, i)));
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
load (Client *client, GstSample *unit)
{
  GstBuffer *buffer = gst_sample_get_buffer (unit);
  GstCaps *caps = gst_sample_get_caps (unit);
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  if (!client->caps)
    add_streamheader (client, caps);
  else if (client->caps != caps && !same_codecs (client->caps, caps))
    return FALSE;
  if (client->caps != caps)
    gst_caps_replace (&client->caps, caps);
  if (client->first_pts == GST_CLOCK_TIME_NONE)
    client->first_pts = pts;
  if (client->config.duration && GST_CLOCK_TIME_IS_VALID (pts) && pts > client->first_pts &&
      pts - client->first_pts >= client->config.duration)
    return FALSE;
  guint first = client->n_segments;
  add_memories (client, buffer);
  GstMapInfo *map = &client->segments[first].map;
  if (client->config.rewrite && client->n_segments > first && map->size <= SPT_SENDER_HEAD_MAX) {
    memcpy (client->scratch, map->data, map->size);
    client->config.rewrite (client->scratch, map->size, caps, &client->rewrite_state);
    map->data = client->scratch;
  }
  return TRUE;
}

static int
fill_iov (Client *client, struct iovec *iov)
{
  gsize skip = client->sent;
  int n = 0;
  const char *head = client->config.head;
  if (head && head[client->head_sent]) {
    iov[n].iov_base = (char *)head + client->head_sent;
    iov[n++].iov_len = strlen (head + client->head_sent);
  }
  for (guint i = 0; i < client->n_segments; i++) {
    GstMapInfo *map = &client->segments[i].map;
    if (skip >= map->size) {
      skip -= map->size;
      continue;
    }
    iov[n].iov_base = map->data + skip;
    iov[n++].iov_len = map->size - skip;
    skip = 0;
  }
  return n;
}

typedef enum { FLUSH_IDLE, FLUSH_BLOCKED, FLUSH_CLOSE } FlushResult;

/* Writes what there is of the current unit. */
static FlushResult
write_segments (Client *client)
{
  for (;;) {
    struct iovec iov[SEGMENTS_MAX + 1];
    int n = fill_iov (client, iov);
    if (!n) {
      release_segments (client);
      return FLUSH_IDLE;
    }
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (gsize)n};
    ssize_t written = sendmsg (client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return errno == EAGAIN || errno == EWOULDBLOCK ? FLUSH_BLOCKED : FLUSH_CLOSE;
    client->progress = g_get_monotonic_time ();
    gsize head_left = client->config.head ? strlen (client->config.head + client->head_sent) : 0;
    gsize of_head = MIN (head_left, (gsize)written);
    client->head_sent += of_head;
    client->sent += (gsize)written - of_head;
  }
}

/* Writes until there is nothing to write or the socket takes no more. */
static FlushResult
flush (Client *client)
{
  for (;;) {
    FlushResult result = write_segments (client);
    if (result != FLUSH_IDLE)
      return result;
    g_autoptr (GstSample) unit = spt_viewer_pop (client->config.viewer, NULL);
    if (!unit)
      return spt_viewer_ended (client->config.viewer, NULL) ? FLUSH_CLOSE : FLUSH_IDLE;
    if (!load (client, unit))
      return FLUSH_CLOSE;
  }
}

/* ---- life of a client --------------------------------------------------------------------- */

static gboolean
closed_on_main (gpointer data)
{
  Client *client = data;
  client->config.closed (client->reason, client->config.data);
  g_clear_error (&client->reason);
  g_object_unref (client->config.viewer);
  g_free (client->config.head);
  g_atomic_int_dec_and_test (&client->sender->count);
  g_object_unref (client->sender);
  g_free (client);
  return G_SOURCE_REMOVE;
}

/* Closes the socket itself: dropping the stream that libsoup gave us would leak it. */
static void
close_client (SptSender *self, Client *client, GError *reason)
{
  client->reason = reason;
  release_segments (client);
  gst_clear_caps (&client->caps);
  if (client->seen)
    epoll_ctl (self->epoll, EPOLL_CTL_DEL, client->fd, NULL);
  if (reason) {
    struct linger now = {1, 0};
    setsockopt (client->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  g_socket_close (client->config.socket, NULL);
  g_clear_object (&client->config.stream);
  g_clear_object (&client->config.socket);
  g_ptr_array_remove_fast (self->clients, client);
  g_autoptr (GSource) idle = g_idle_source_new ();
  g_source_set_priority (idle, G_PRIORITY_DEFAULT);
  g_source_set_callback (idle, closed_on_main, client, NULL);
  g_source_attach (idle, self->context);
}

static void
watch_output (SptSender *self, Client *client, gboolean blocked)
{
  if (client->seen && client->blocked == blocked)
    return;
  struct epoll_event event = {
      .events = EPOLLIN | EPOLLRDHUP | (blocked ? EPOLLOUT : 0u), .data.ptr = client};
  if (!client->blocked && blocked)
    client->progress = g_get_monotonic_time ();
  epoll_ctl (self->epoll, client->seen ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, client->fd, &event);
  client->seen = TRUE;
  client->blocked = blocked;
}

static void
serve (SptSender *self, Client *client)
{
  FlushResult result = flush (client);
  if (result == FLUSH_CLOSE)
    close_client (self, client, NULL);
  else
    watch_output (self, client, result == FLUSH_BLOCKED);
}

/* What a viewer says after its request is of no interest; that it went away is. */
static gboolean
still_there (Client *client)
{
  char waste[4096];
  ssize_t n = recv (client->fd, waste, sizeof waste, MSG_DONTWAIT);
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void
on_event (SptSender *self, struct epoll_event *event)
{
  Client *client = event->data.ptr;
  if (event->events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) ||
      (event->events & EPOLLIN && !still_there (client)))
    close_client (self, client, NULL);
  else if (event->events & EPOLLOUT)
    serve (self, client);
}

static void
accept_incoming (SptSender *self)
{
  Client *client;
  while ((client = g_async_queue_try_pop (self->incoming))) {
    client->progress = g_get_monotonic_time ();
    g_ptr_array_add (self->clients, client);
  }
}

static void
serve_all (SptSender *self)
{
  for (guint i = self->clients->len; i-- > 0;) {
    Client *client = g_ptr_array_index (self->clients, i);
    if (!client->blocked)
      serve (self, client);
  }
}

static void
cut_stalled (SptSender *self)
{
  gint64 now = g_get_monotonic_time ();
  for (guint i = self->clients->len; i-- > 0;) {
    Client *client = g_ptr_array_index (self->clients, i);
    if (client->blocked && now - client->progress > self->stall_ms * 1000ll)
      close_client (self, client,
          g_error_new (SPT_ERROR, SPT_ERROR_FAILED, "the viewer took nothing for %.0f s",
              self->stall_ms / 1000.0));
  }
}

static gpointer
writer_thread (gpointer data)
{
  SptSender *self = data;
  struct epoll_event events[EVENTS_MAX];
  gint64 ticked = g_get_monotonic_time ();
  while (!g_atomic_int_get (&self->stopping)) {
    int n = epoll_wait (self->epoll, events, EVENTS_MAX, self->clients->len ? TICK_MS : -1);
    gboolean woken = FALSE;
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr)
        on_event (self, &events[i]);
      else
        woken = TRUE;
    }
    if (woken) {
      guint64 count;
      if (read (self->event, &count, sizeof count) < 0)
        count = 0;
      g_atomic_int_set (&self->woken, 0);
      accept_incoming (self);
      serve_all (self);
    }
    if (g_get_monotonic_time () - ticked > TICK_MS * 1000) {
      ticked = g_get_monotonic_time ();
      cut_stalled (self);
    }
  }
  accept_incoming (self);
  while (self->clients->len)
    close_client (self, g_ptr_array_index (self->clients, 0), NULL);
  return NULL;
}

/* ---- from outside ------------------------------------------------------------------------- */

static void
spt_sender_finalize (GObject *object)
{
  SptSender *self = SPT_SENDER (object);
  spt_sender_stop (self);
  close (self->epoll);
  close (self->event);
  g_async_queue_unref (self->incoming);
  g_ptr_array_unref (self->clients);
  g_main_context_unref (self->context);
  G_OBJECT_CLASS (spt_sender_parent_class)->finalize (object);
}

static void
spt_sender_class_init (SptSenderClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = spt_sender_finalize;
}

static void
spt_sender_init (SptSender *self)
{
  self->epoll = epoll_create1 (EPOLL_CLOEXEC);
  self->event = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
  self->incoming = g_async_queue_new ();
  self->clients = g_ptr_array_new ();
  self->context = g_main_context_ref_thread_default ();
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->event, &event);
}

/**
 * spt_sender_new:
 * @stall_ms: a socket that takes nothing for so long is reset
 */
SptSender *
spt_sender_new (guint stall_ms)
{
  SptSender *self = g_object_new (SPT_TYPE_SENDER, NULL);
  self->stall_ms = stall_ms;
  self->thread = g_thread_new ("sender", writer_thread, self);
  return self;
}

/**
 * spt_sender_add:
 * @client: copied; its closed function is called exactly once, on the main context; the viewer must
 *   be detached from its track there, if not before
 */
void
spt_sender_add (SptSender *self, const SptSenderClient *config)
{
  int size = SEND_BUFFER, on = 1;
  Client *client = g_new0 (Client, 1);
  client->sender = g_object_ref (self);
  client->config = *config;
  g_object_ref (client->config.viewer);
  client->fd = g_socket_get_fd (config->socket);
  client->first_pts = GST_CLOCK_TIME_NONE;
  client->rewrite_state = -1;
  setsockopt (client->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  setsockopt (client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  g_socket_set_blocking (config->socket, FALSE);
  g_atomic_int_inc (&self->count);
  g_async_queue_push (self->incoming, client);
  spt_viewer_set_notify (config->viewer, on_viewer, self);
}

/* Sockets being served now. */
guint
spt_sender_count (SptSender *self)
{
  return (guint)g_atomic_int_get (&self->count);
}

/**
 * spt_sender_stop:
 *
 * Closes all sockets; their closed functions are called from the main context afterwards.
 * Idempotent.
 */
void
spt_sender_stop (SptSender *self)
{
  if (!self->thread)
    return;
  g_atomic_int_set (&self->stopping, 1);
  guint64 one = 1;
  if (write (self->event, &one, sizeof one) < 0)
    GST_ERROR_OBJECT (self, "eventfd: %s", g_strerror (errno));
  g_clear_pointer (&self->thread, g_thread_join);
}
