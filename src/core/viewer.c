/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue of one viewer.
 *
 * A joiner is primed with the cached group of pictures. That may be more than the bound, so the
 * bound is raised by the size of the prime until the queue has once been emptied to half the bound.
 * On overflow a viewer loses what it has not read and goes on at the next keyframe: it stays close
 * to live, and nobody else notices. Pad 0 decides about keyframes; pad 1 (the audio beside a video)
 * never gates.
 *
 * Lock order: track, then viewer; locks are only ever taken downstream. */
#include "config.h"

#include "viewer.h"

typedef struct {
  GstSample *unit;
  guint pad;
} Entry;

struct _SptViewer {
  GObject parent;

  /* construct-only */
  SptViewerLimits limits;

  /* under lock */
  GMutex lock;
  SptViewerNotify notify;
  gpointer notify_data;
  GArray *queue; /* ring of Entry: [head, len) */
  guint head;
  gsize bytes;
  gsize prime_bytes;
  GstClockTime prime_time;
  gboolean wait_keyframe;
  gboolean ended;
  GError *reason;
  SptViewerStats stats;
};

G_DEFINE_FINAL_TYPE (SptViewer, spt_viewer, G_TYPE_OBJECT)

static void
entry_clear (gpointer data)
{
  Entry *entry = data;
  g_clear_pointer (&entry->unit, gst_sample_unref);
}

static void
spt_viewer_finalize (GObject *object)
{
  SptViewer *self = SPT_VIEWER (object);
  g_array_unref (self->queue);
  g_clear_error (&self->reason);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (spt_viewer_parent_class)->finalize (object);
}

static void
spt_viewer_class_init (SptViewerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = spt_viewer_finalize;
}

static void
spt_viewer_init (SptViewer *self)
{
  g_mutex_init (&self->lock);
  self->queue = g_array_new (FALSE, TRUE, sizeof (Entry));
  g_array_set_clear_func (self->queue, entry_clear);
}

/**
 * spt_viewer_new:
 * @limits: the bound and what happens beyond it
 * @notify: (nullable): called on the thread that feeds the track, with the track's lock held but
 * not the viewer's: it may drain the viewer, wake a thread or push into a track further down; it
 * must not attach or detach
 * @data: for @notify; must live until spt_viewer_silence() has returned
 */
SptViewer *
spt_viewer_new (const SptViewerLimits *limits, SptViewerNotify notify, gpointer data)
{
  SptViewer *self = g_object_new (SPT_TYPE_VIEWER, NULL);
  self->limits = *limits;
  self->wait_keyframe = limits->policy == SPT_DROP_TO_KEYFRAME;
  self->notify = notify;
  self->notify_data = data;
  return self;
}

/**
 * spt_viewer_set_notify:
 *
 * Somebody else drains from now on. A notification of the old kind may still be under way; the new
 * one is called once, so that nothing that is queued is missed.
 */
void
spt_viewer_set_notify (SptViewer *self, SptViewerNotify notify, gpointer data)
{
  g_mutex_lock (&self->lock);
  self->notify = notify;
  self->notify_data = data;
  g_mutex_unlock (&self->lock);
  notify (self, data);
}

static guint
length_locked (SptViewer *self)
{
  return self->queue->len - self->head;
}

static Entry *
entry_locked (SptViewer *self, guint index)
{
  return &g_array_index (self->queue, Entry, self->head + index);
}

static void
clear_locked (SptViewer *self)
{
  g_array_set_size (self->queue, 0);
  self->head = 0;
  self->bytes = 0;
  self->prime_bytes = 0;
  self->prime_time = 0;
}

static gsize
unit_size (GstSample *unit)
{
  return gst_buffer_get_size (gst_sample_get_buffer (unit));
}

static void
append_locked (SptViewer *self, GstSample *unit, guint pad)
{
  Entry entry = {gst_sample_ref (unit), pad};
  /* Consumed entries in front are cleared by zeroing; shift them out when they are the most. */
  if (self->head > 32 && self->head * 2 > self->queue->len) {
    g_array_remove_range (self->queue, 0, self->head);
    self->head = 0;
  }
  g_array_append_val (self->queue, entry);
  self->bytes += unit_size (unit);
}

/* The unit at the head, owned by the caller now. */
static GstSample *
shift_locked (SptViewer *self, guint *pad)
{
  if (!length_locked (self))
    return NULL;
  Entry *entry = entry_locked (self, 0);
  GstSample *unit = g_steal_pointer (&entry->unit);
  gsize size = unit_size (unit);
  if (pad)
    *pad = entry->pad;
  self->head++;
  if (self->head == self->queue->len) {
    g_array_set_size (self->queue, 0);
    self->head = 0;
  }
  self->bytes -= size;
  self->stats.units++;
  self->stats.bytes += size;
  if (self->bytes * 2 <= self->limits.max_bytes)
    self->prime_bytes = 0;
  return unit;
}

/* From the oldest queued unit to @newest. */
static GstClockTime
span_locked (SptViewer *self, GstSample *newest)
{
  if (!length_locked (self))
    return 0;
  GstClockTime first = GST_BUFFER_PTS (gst_sample_get_buffer (entry_locked (self, 0)->unit));
  GstClockTime last = GST_BUFFER_PTS (gst_sample_get_buffer (newest));
  if (!GST_CLOCK_TIME_IS_VALID (first) || !GST_CLOCK_TIME_IS_VALID (last) || last < first)
    return 0;
  return last - first;
}

static gboolean
overflows_locked (SptViewer *self, GstSample *unit)
{
  if (!length_locked (self))
    return FALSE;
  GstClockTime span = span_locked (self, unit);
  if (span * 2 <= self->limits.max_time)
    self->prime_time = 0;
  return self->bytes + unit_size (unit) > self->limits.max_bytes + self->prime_bytes ||
         span > self->limits.max_time + self->prime_time;
}

/**
 * spt_viewer_prime:
 * @unit: (transfer none): a cached unit
 *
 * Queues a unit that the bound does not count. Called by the track, under its lock.
 */
void
spt_viewer_prime (SptViewer *self, GstSample *unit, guint pad)
{
  g_mutex_lock (&self->lock);
  if (!self->ended) {
    append_locked (self, unit, pad);
    if (pad == 0)
      self->wait_keyframe = FALSE; /* a cache begins with one */
    self->prime_bytes = self->bytes;
    self->prime_time = span_locked (self, unit);
  }
  g_mutex_unlock (&self->lock);
}

/* What follows has nothing to do with what came before: goes on at the next keyframe. */
void
spt_viewer_resync (SptViewer *self)
{
  g_mutex_lock (&self->lock);
  self->wait_keyframe = self->limits.policy == SPT_DROP_TO_KEYFRAME;
  g_mutex_unlock (&self->lock);
}

/**
 * spt_viewer_offer:
 * @unit: (transfer none): a live unit
 * @pad: which of the viewer's tracks it comes from
 *
 * Queues the unit, or drops by the viewer's policy. Called by the track, under its lock.
 *
 * Returns: TRUE when there is something new to take.
 */
gboolean
spt_viewer_offer (SptViewer *self, GstSample *unit, guint pad)
{
  gboolean delta =
      GST_BUFFER_FLAG_IS_SET (gst_sample_get_buffer (unit), GST_BUFFER_FLAG_DELTA_UNIT);
  gboolean taken = FALSE;

  g_mutex_lock (&self->lock);
  if (!self->ended) {
    if (overflows_locked (self, unit)) {
      self->stats.drops += length_locked (self);
      clear_locked (self);
      self->wait_keyframe = self->limits.policy == SPT_DROP_TO_KEYFRAME;
    }
    if (self->wait_keyframe && pad == 0 && !delta)
      self->wait_keyframe = FALSE;
    if (self->wait_keyframe) {
      self->stats.drops++;
    } else {
      append_locked (self, unit, pad);
      taken = TRUE;
    }
  }
  g_mutex_unlock (&self->lock);
  return taken;
}

/**
 * spt_viewer_notify:
 *
 * Tells whoever drains the viewer. Called by the track after it has fed all its viewers.
 */
void
spt_viewer_notify (SptViewer *self)
{
  g_mutex_lock (&self->lock);
  SptViewerNotify notify = self->notify;
  gpointer data = self->notify_data;
  g_mutex_unlock (&self->lock);
  if (notify)
    notify (self, data);
}

/**
 * spt_viewer_pop:
 * @pad: (out) (optional): the track the unit came from
 *
 * Returns: (transfer full) (nullable): the oldest unit. Any thread.
 */
GstSample *
spt_viewer_pop (SptViewer *self, guint *pad)
{
  g_mutex_lock (&self->lock);
  GstSample *unit = shift_locked (self, pad);
  g_mutex_unlock (&self->lock);
  return unit;
}

/**
 * spt_viewer_drain:
 * @take: gets each unit in order
 *
 * Hands units to @take under the viewer's lock, so that two threads that drain at once cannot
 * change the order.
 */
void
spt_viewer_drain (SptViewer *self, SptViewerTake take, gpointer data)
{
  g_mutex_lock (&self->lock);
  while (length_locked (self)) {
    Entry *entry = entry_locked (self, 0);
    if (!take (entry->unit, entry->pad, data))
      break;
    gst_sample_unref (shift_locked (self, NULL));
  }
  g_mutex_unlock (&self->lock);
}

gboolean
spt_viewer_has_data (SptViewer *self)
{
  g_mutex_lock (&self->lock);
  gboolean has = length_locked (self) > 0;
  g_mutex_unlock (&self->lock);
  return has;
}

/**
 * spt_viewer_end:
 * @reason: (nullable): why, for those who want to know; NULL is a regular end
 *
 * Nothing more will come. What is queued can still be taken. Any thread.
 */
void
spt_viewer_end (SptViewer *self, const GError *reason)
{
  g_mutex_lock (&self->lock);
  gboolean first = !self->ended;
  if (first) {
    self->ended = TRUE;
    self->reason = reason ? g_error_copy (reason) : NULL;
  }
  SptViewerNotify notify = first ? self->notify : NULL;
  gpointer data = self->notify_data;
  g_mutex_unlock (&self->lock);
  if (notify)
    notify (self, data);
}

/**
 * spt_viewer_ended:
 * @reason: (out) (optional) (nullable): a copy of why
 *
 * Returns: TRUE when nothing is queued and nothing will come.
 */
gboolean
spt_viewer_ended (SptViewer *self, GError **reason)
{
  g_mutex_lock (&self->lock);
  gboolean ended = self->ended && !length_locked (self);
  if (ended && reason)
    *reason = self->reason ? g_error_copy (self->reason) : NULL;
  g_mutex_unlock (&self->lock);
  return ended;
}

/**
 * spt_viewer_silence:
 *
 * No notification starts after this returns. A viewer must be detached first, so that none is under
 * way either.
 */
void
spt_viewer_silence (SptViewer *self)
{
  g_mutex_lock (&self->lock);
  self->notify = NULL;
  self->ended = TRUE;
  clear_locked (self);
  g_mutex_unlock (&self->lock);
}

void
spt_viewer_get_stats (SptViewer *self, SptViewerStats *stats)
{
  g_mutex_lock (&self->lock);
  *stats = self->stats;
  stats->queued_bytes = self->bytes;
  stats->queued_units = length_locked (self);
  g_mutex_unlock (&self->lock);
}
