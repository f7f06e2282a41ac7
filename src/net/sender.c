/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread, one epoll, all sockets. A track's streaming thread only queues a reference in each
 * viewer and wakes this thread once; here every socket that can take bytes gets them by one
 * vectored write a unit, straight from the shared memory. Datagrams go out as they come.
 *
 * The main context says what happens to a peer by commands, which this thread obeys in their order:
 * an answer that was written before a viewer was set goes out before that viewer's first unit.
 *
 * Bounds: a viewer queues at most a few seconds and then drops to the next keyframe (viewer.c); the
 * kernel holds at most SEND_BUFFER; a socket that takes nothing for stall_ms is reset. */
#include "config.h"

#include "sender-private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "viewer.h"

#define SEND_BUFFER (512 * 1024)
#define EVENTS_MAX 128
#define TICK_MS 1000
/* How long a peer may take to close its side after the last answer. */
#define LINGER_US (2 * G_USEC_PER_SEC)
/* How soon datagrams that wait are tried again. */
#define FULL_MS 2

GST_DEBUG_CATEGORY_STATIC (spotter_sender);
#define GST_CAT_DEFAULT spotter_sender

typedef enum { COMMAND_ADD, COMMAND_WRITE, COMMAND_FEED, COMMAND_FINISH, COMMAND_REMOVE } Order;

typedef struct {
  SptSenderPeer *peer; /* a reference */
  Order order;
  gpointer argument; /* GBytes, SptViewer; owned */
} Command;

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

/* ---- life of a peer ----------------------------------------------------------------------- */

static SptSenderPeer *
peer_ref (SptSenderPeer *peer)
{
  g_atomic_ref_count_inc (&peer->refs);
  return peer;
}

static void
peer_unref (SptSenderPeer *peer)
{
  if (!g_atomic_ref_count_dec (&peer->refs))
    return;
  g_clear_error (&peer->reason);
  g_clear_object (&peer->viewer);
  g_clear_pointer (&peer->config.datagrams, spt_datagrams_free);
  g_object_unref (peer->sender);
  g_free (peer);
}

/* Closes the socket itself: dropping the stream that libsoup gave us would leak it. The owner may
 * still be reading from it, so this happens after it has heard. */
static gboolean
closed_on_main (gpointer data)
{
  SptSenderPeer *peer = data;
  peer->config.closed (peer->reason, peer->config.data);
  if (peer->reason && peer->fd >= 0) {
    struct linger now = {1, 0};
    setsockopt (peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  if (peer->config.socket)
    g_socket_close (peer->config.socket, NULL);
  g_clear_object (&peer->config.stream);
  g_clear_object (&peer->config.socket);
  g_atomic_int_dec_and_test (&peer->sender->count);
  peer_unref (peer);
  return G_SOURCE_REMOVE;
}

static void
close_later (SptSenderPeer *peer)
{
  g_autoptr (GSource) idle = g_idle_source_new ();
  g_source_set_priority (idle, G_PRIORITY_DEFAULT);
  g_source_set_callback (idle, closed_on_main, peer, NULL);
  g_source_attach (idle, peer->sender->context);
}

static void
close_peer (SptSender *self, SptSenderPeer *peer, GError *reason)
{
  peer->closed = TRUE;
  peer->reason = reason;
  spt_sender_peer_release (peer);
  gst_clear_caps (&peer->caps);
  g_queue_clear_full (&peer->control, (GDestroyNotify)g_bytes_unref);
  if (peer->seen)
    epoll_ctl (self->epoll, EPOLL_CTL_DEL, peer->fd, NULL);
  g_ptr_array_remove_fast (self->peers, peer);
  close_later (peer);
}

static void
watch_output (SptSender *self, SptSenderPeer *peer, gboolean blocked)
{
  if (peer->fd < 0) {
    peer->blocked = blocked;
    return;
  }
  if (peer->seen && peer->blocked == blocked)
    return;
  guint32 input = peer->config.duplex ? 0 : EPOLLIN | EPOLLRDHUP;
  struct epoll_event event = {.events = input | (blocked ? EPOLLOUT : 0u), .data.ptr = peer};
  if (!peer->blocked && blocked)
    peer->progress = g_get_monotonic_time ();
  epoll_ctl (self->epoll, peer->seen ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, peer->fd, &event);
  peer->seen = TRUE;
  peer->blocked = blocked;
}

static void
serve (SptSender *self, SptSenderPeer *peer)
{
  SptSenderFlush result = spt_sender_peer_flush (peer);
  if (result == SPT_FLUSH_CLOSE && peer->finish && peer->config.duplex) {
    /* Closing a socket with unread input resets it, and the peer would lose the last answer: it
     * sees the end here, and the owner closes when it has nothing more to read. */
    shutdown (peer->fd, SHUT_WR);
    peer->finish = FALSE;
    peer->half_closed = TRUE;
    peer->progress = g_get_monotonic_time ();
    result = SPT_FLUSH_IDLE;
  }
  if (result == SPT_FLUSH_CLOSE)
    close_peer (self, peer, NULL);
  else
    watch_output (self, peer, result == SPT_FLUSH_BLOCKED);
}

/* What a viewer says after its request is of no interest; that it went away is. */
static gboolean
still_there (SptSenderPeer *peer)
{
  char waste[4096];
  ssize_t n = recv (peer->fd, waste, sizeof waste, MSG_DONTWAIT);
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void
on_event (SptSender *self, struct epoll_event *event)
{
  SptSenderPeer *peer = event->data.ptr;
  if (event->events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) ||
      (event->events & EPOLLIN && !still_there (peer)))
    close_peer (self, peer, NULL);
  else if (event->events & EPOLLOUT)
    serve (self, peer);
}

static void
write_control (SptSender *self, SptSenderPeer *peer, GBytes *bytes)
{
  peer->control_bytes += g_bytes_get_size (bytes);
  g_queue_push_tail (&peer->control, g_bytes_ref (bytes));
  if (peer->control_bytes > SPT_SENDER_CONTROL_MAX)
    close_peer (self, peer,
        g_error_new_literal (SPT_ERROR, SPT_ERROR_FAILED, "the peer asks and does not listen"));
}

static void
obey (SptSender *self, const Command *command)
{
  SptSenderPeer *peer = command->peer;
  if (peer->closed)
    return;
  switch (command->order) {
  case COMMAND_ADD:
    peer->progress = g_get_monotonic_time ();
    g_ptr_array_add (self->peers, peer);
    break;
  case COMMAND_WRITE:
    write_control (self, peer, command->argument);
    break;
  case COMMAND_FEED: /* another session, perhaps of another codec */
    g_set_object (&peer->viewer, command->argument);
    gst_clear_caps (&peer->caps);
    peer->first_pts = GST_CLOCK_TIME_NONE;
    break;
  case COMMAND_FINISH:
    g_clear_object (&peer->viewer);
    peer->finish = TRUE;
    break;
  case COMMAND_REMOVE:
    close_peer (self, peer, NULL);
    break;
  }
}

static void
command_free (Command *command)
{
  if (command->argument && command->order == COMMAND_WRITE)
    g_bytes_unref (command->argument);
  else if (command->argument)
    g_object_unref (command->argument);
  peer_unref (command->peer);
  g_free (command);
}

static void
obey_all (SptSender *self)
{
  Command *command;
  while ((command = g_async_queue_try_pop (self->commands))) {
    obey (self, command);
    command_free (command);
  }
}

static void
serve_all (SptSender *self)
{
  guint n = self->peers->len;
  self->turn++;
  self->full = FALSE;
  for (guint i = n; i-- > 0;) {
    guint k = (i + self->turn) % n;
    SptSenderPeer *peer = k < self->peers->len ? g_ptr_array_index (self->peers, k) : NULL;
    if (peer && (!peer->blocked || peer->fd < 0))
      serve (self, peer);
  }
  /* Who left has changed the places: somebody may have been passed over. */
  if (self->peers->len < n)
    self->full = TRUE;
}

static void
cut_stalled (SptSender *self)
{
  gint64 now = g_get_monotonic_time ();
  for (guint i = self->peers->len; i-- > 0;) {
    SptSenderPeer *peer = g_ptr_array_index (self->peers, i);
    if (peer->half_closed && now - peer->progress > LINGER_US)
      close_peer (self, peer, NULL);
    else if (peer->blocked && now - peer->progress > self->stall_ms * 1000ll)
      close_peer (self, peer,
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
    int wait = self->full ? FULL_MS : self->peers->len ? TICK_MS : -1;
    int n = epoll_wait (self->epoll, events, EVENTS_MAX, wait);
    gboolean woken = self->full;
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr)
        on_event (self, &events[i]);
      else
        woken = TRUE;
    }
    if (woken) {
      guint64 count;
      if (read (self->event, &count, sizeof count) < 0) /* it does not block */
        count = 0;
      g_atomic_int_set (&self->woken, 0);
      obey_all (self);
      serve_all (self);
    }
    if (g_get_monotonic_time () - ticked > TICK_MS * 1000) {
      ticked = g_get_monotonic_time ();
      cut_stalled (self);
    }
  }
  obey_all (self);
  while (self->peers->len)
    close_peer (self, g_ptr_array_index (self->peers, 0), NULL);
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
  g_async_queue_unref (self->commands);
  g_ptr_array_unref (self->peers);
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
  self->commands = g_async_queue_new ();
  self->peers = g_ptr_array_new ();
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

static void
order (SptSenderPeer *peer, Order what, gpointer argument)
{
  Command *command = g_new (Command, 1);
  *command = (Command){peer_ref (peer), what, argument};
  if (spt_sender_is_stopping (peer->sender)) { /* its peers are closed already */
    command_free (command);
    return;
  }
  g_async_queue_push (peer->sender->commands, command);
  wake (peer->sender);
}

/* A peer whose machine has gone is noticed though its stream is silent. */
static void
keep_alive (int fd)
{
  static const int on = 1, idle_s = 30, interval_s = 10, count = 3;
  setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt (fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  setsockopt (fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  setsockopt (fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

/**
 * spt_sender_add:
 * @config: copied; its closed function is called exactly once, on the main context; the viewer must
 *   be detached from its track there, if not before
 * @head: (nullable): what is sent first
 *
 * Returns: (transfer none): the peer; all that follows is said to it from the main context
 */
SptSenderPeer *
spt_sender_add (SptSender *self, const SptSenderClient *config, GBytes *head)
{
  int size = SEND_BUFFER, on = 1;
  SptSenderPeer *peer = g_new0 (SptSenderPeer, 1);
  g_atomic_ref_count_init (&peer->refs);
  peer->sender = g_object_ref (self);
  peer->config = *config;
  peer->fd = config->socket ? g_socket_get_fd (config->socket) : -1;
  peer->first_pts = GST_CLOCK_TIME_NONE;
  peer->rewrite_state = -1;
  if (config->socket) {
    setsockopt (peer->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt (peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    keep_alive (peer->fd);
    g_socket_set_blocking (config->socket, FALSE);
  }
  g_atomic_int_inc (&self->count);
  if (spt_sender_is_stopping (self)) {
    close_later (peer);
    return peer;
  }
  order (peer, COMMAND_ADD, NULL);
  if (head)
    spt_sender_write (peer, head);
  if (config->viewer)
    spt_sender_feed (peer, config->viewer);
  return peer;
}

/**
 * spt_sender_write:
 * @bytes: (transfer none): an answer; goes out whole, between two units
 */
void
spt_sender_write (SptSenderPeer *peer, GBytes *bytes)
{
  order (peer, COMMAND_WRITE, g_bytes_ref (bytes));
}

/**
 * spt_sender_feed:
 * @viewer: (nullable): whose units are sent from now on; NULL: none, after the one under way
 */
void
spt_sender_feed (SptSenderPeer *peer, SptViewer *viewer)
{
  order (peer, COMMAND_FEED, viewer ? g_object_ref (viewer) : NULL);
  if (viewer)
    spt_viewer_set_notify (viewer, on_viewer, peer->sender);
}

/* Sends what has been written and no more units, then closes; a duplex peer may first close its
 * side: its owner hears the end of the input and says spt_sender_remove(), or it is closed soon. */
void
spt_sender_finish (SptSenderPeer *peer)
{
  order (peer, COMMAND_FINISH, NULL);
}

/* Closes at once. */
void
spt_sender_remove (SptSenderPeer *peer)
{
  order (peer, COMMAND_REMOVE, NULL);
}

/* TRUE when it takes no more peers: they would hear at once that they are closed. */
gboolean
spt_sender_is_stopping (SptSender *self)
{
  return g_atomic_int_get (&self->stopping);
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
