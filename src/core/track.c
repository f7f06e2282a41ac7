/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hub. A producer (a source's or a branch's appsink, or a packer) pushes units on its streaming
 * thread; each is wrapped once in a GstSample with the current caps and handed by reference to
 * every viewer, and to the cache from which joiners are primed:
 *
 *   video   the units since the last keyframe (for raw pictures and JPEG that is the last one)
 *   audio   the units of the last GOP_TIME_MAX, so that a joiner's sound starts with its picture
 *
 * The track outlives what produces it: a restart flushes the cache, and viewers go on. */
#include "config.h"

#include "track.h"

#include "viewer.h"

/* A longer group of pictures is not kept: joiners then wait for the next keyframe (design.md 7). */
#define GOP_BYTES_MAX (8u << 20)
#define GOP_TIME_MAX (10 * GST_SECOND)
/* Forced keyframes are expensive for everybody: at most one in this time. */
#define KEYFRAME_INTERVAL_US (500 * G_TIME_SPAN_MILLISECOND)

/* A picture that is shown so much later than it is decoded waits for others; less is rounding. */
#define REORDERED (5 * GST_MSECOND)
/* How often time must go back. A receiver takes a camera's first picture for one that came without
 * delay; when it did not, the next is put right, and that may be before it. */
#define STEPS_BACK 2

GST_DEBUG_CATEGORY_STATIC (spotter_track);
#define GST_CAT_DEFAULT spotter_track

typedef struct {
  SptViewer *viewer;
  guint pad;
} Attachment;

struct _SptTrack {
  GObject parent;

  /* construct-only */
  char *name;

  /* under lock; lock order: track, then viewer, then a track further downstream */
  GMutex lock;
  GstCaps *caps;
  gboolean audio;
  GQueue gop; /* of GstSample */
  gsize gop_bytes;
  GArray *attachments;
  gboolean active;
  gboolean ended;
  gboolean reorders;
  guint steps_back;
  GstClockTime last_pts;
  gint64 last_keyframe_request; /* monotonic µs */
  SptTrackStats stats;
  SptActiveFunc active_func;
  gpointer active_data;

  /* main context */
  SptKeyframeFunc keyframe_func;
  gpointer keyframe_data;
};

G_DEFINE_FINAL_TYPE_WITH_CODE (SptTrack, spt_track, G_TYPE_OBJECT,
    GST_DEBUG_CATEGORY_INIT (spotter_track, "spotter-track", 0, "hubs"))

static void
attachment_clear (gpointer data)
{
  g_clear_object (&((Attachment *)data)->viewer);
}

static void
spt_track_finalize (GObject *object)
{
  SptTrack *self = SPT_TRACK (object);
  g_array_unref (self->attachments);
  g_queue_clear_full (&self->gop, (GDestroyNotify)gst_sample_unref);
  gst_clear_caps (&self->caps);
  g_free (self->name);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (spt_track_parent_class)->finalize (object);
}

static void
spt_track_class_init (SptTrackClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = spt_track_finalize;
}

static void
spt_track_init (SptTrack *self)
{
  g_mutex_init (&self->lock);
  g_queue_init (&self->gop);
  self->attachments = g_array_new (FALSE, FALSE, sizeof (Attachment));
  g_array_set_clear_func (self->attachments, attachment_clear);
}

SptTrack *
spt_track_new (const char *name)
{
  SptTrack *self = g_object_new (SPT_TYPE_TRACK, NULL);
  self->name = g_strdup (name);
  return self;
}

const char *
spt_track_get_name (SptTrack *self)
{
  return self->name;
}

/**
 * spt_track_set_keyframe_func:
 * @func: (nullable): called on the main context when a joiner wants a keyframe
 */
void
spt_track_set_keyframe_func (SptTrack *self, SptKeyframeFunc func, gpointer data)
{
  self->keyframe_func = func;
  self->keyframe_data = data;
}

/**
 * spt_track_set_active_func:
 * @func: (nullable): called once on the streaming thread with the first unit after creation or
 * after spt_track_flush(), under the track's lock
 */
void
spt_track_set_active_func (SptTrack *self, SptActiveFunc func, gpointer data)
{
  g_mutex_lock (&self->lock);
  self->active_func = func;
  self->active_data = data;
  g_mutex_unlock (&self->lock);
}

/**
 * spt_track_set_caps:
 * @caps: (transfer none): what the following units are. Streaming thread, or before any.
 */
void
spt_track_set_caps (SptTrack *self, GstCaps *caps)
{
  g_mutex_lock (&self->lock);
  if (!self->caps || !gst_caps_is_equal (self->caps, caps)) {
    GST_DEBUG_OBJECT (self, "%s: %" GST_PTR_FORMAT, self->name, caps);
    gst_caps_replace (&self->caps, caps);
    self->audio =
        g_str_has_prefix (gst_structure_get_name (gst_caps_get_structure (caps, 0)), "audio/");
  }
  g_mutex_unlock (&self->lock);
}

static void
gop_pop_locked (SptTrack *self)
{
  GstSample *unit = g_queue_pop_head (&self->gop);
  self->gop_bytes -= gst_buffer_get_size (gst_sample_get_buffer (unit));
  gst_sample_unref (unit);
}

static void
gop_clear_locked (SptTrack *self)
{
  while (self->gop.length)
    gop_pop_locked (self);
}

static GstClockTime
unit_pts (GstSample *unit)
{
  return GST_BUFFER_PTS (gst_sample_get_buffer (unit));
}

static GstClockTime
gop_time_locked (SptTrack *self)
{
  if (!self->gop.length)
    return 0;
  GstClockTime first = unit_pts (self->gop.head->data);
  GstClockTime last = unit_pts (self->gop.tail->data);
  return last > first ? last - first : 0;
}

static gboolean
gop_too_large_locked (SptTrack *self)
{
  return self->gop.length > 1 &&
         (self->gop_bytes > GOP_BYTES_MAX || gop_time_locked (self) > GOP_TIME_MAX);
}

static void
gop_add_locked (SptTrack *self, GstSample *unit, gboolean keyframe)
{
  if (keyframe && !self->audio)
    gop_clear_locked (self);
  else if (!self->gop.length && !self->audio)
    return;
  g_queue_push_tail (&self->gop, gst_sample_ref (unit));
  self->gop_bytes += gst_buffer_get_size (gst_sample_get_buffer (unit));
  if (self->audio) {
    while (gop_too_large_locked (self))
      gop_pop_locked (self);
  } else if (gop_too_large_locked (self)) {
    GST_INFO_OBJECT (
        self, "%s: keyframes are too far apart to keep: joiners will wait", self->name);
    self->stats.gop_resets++;
    gop_clear_locked (self);
  }
}

/* Pictures that refer to later ones (B-frames) come in another order than they are shown. */
static void
watch_order_locked (SptTrack *self, GstBuffer *unit)
{
  GstClockTime pts = GST_BUFFER_PTS (unit), dts = GST_BUFFER_DTS (unit);
  gboolean delta = GST_BUFFER_FLAG_IS_SET (unit, GST_BUFFER_FLAG_DELTA_UNIT);
  if (self->audio || !GST_CLOCK_TIME_IS_VALID (pts))
    return;
  self->steps_back += delta && pts < self->last_pts;
  if (self->steps_back >= STEPS_BACK || (GST_CLOCK_TIME_IS_VALID (dts) && pts > dts + REORDERED))
    self->reorders = TRUE;
  self->last_pts = pts;
}

/**
 * spt_track_push:
 * @unit: (transfer full): one access unit, frame or fragment; PTS is running time of the process
 *   clock; DELTA_UNIT marks what cannot be a start
 *
 * Feeds the cache and every viewer, then notifies them. Streaming thread.
 */
void
spt_track_push (SptTrack *self, GstBuffer *unit)
{
  gboolean keyframe = !GST_BUFFER_FLAG_IS_SET (unit, GST_BUFFER_FLAG_DELTA_UNIT);

  g_mutex_lock (&self->lock);
  if (!self->caps || self->ended) {
    g_mutex_unlock (&self->lock);
    gst_buffer_unref (unit);
    return;
  }
  g_autoptr (GstSample) sample = gst_sample_new (unit, self->caps, NULL, NULL);
  self->stats.units++;
  self->stats.bytes += gst_buffer_get_size (unit);
  self->stats.keyframes += keyframe;
  self->stats.last_push = (GstClockTime)g_get_monotonic_time () * 1000;
  watch_order_locked (self, unit);
  gst_buffer_unref (unit);
  gop_add_locked (self, sample, keyframe);
  for (guint i = 0; i < self->attachments->len; i++) {
    Attachment *a = &g_array_index (self->attachments, Attachment, i);
    spt_viewer_offer (a->viewer, sample, a->pad);
  }
  for (guint i = 0; i < self->attachments->len; i++)
    spt_viewer_notify (g_array_index (self->attachments, Attachment, i).viewer);
  if (!self->active) {
    self->active = TRUE;
    if (self->active_func)
      self->active_func (self->active_data);
  }
  g_mutex_unlock (&self->lock);
}

/**
 * spt_track_flush:
 *
 * The producer stopped or restarts: nothing old may reach a joiner. Viewers stay, and go on at the
 * next keyframe.
 */
void
spt_track_flush (SptTrack *self)
{
  g_mutex_lock (&self->lock);
  gop_clear_locked (self);
  self->active = FALSE;
  self->reorders = FALSE;
  self->steps_back = 0;
  for (guint i = 0; i < self->attachments->len; i++) {
    Attachment *a = &g_array_index (self->attachments, Attachment, i);
    if (a->pad == 0)
      spt_viewer_resync (a->viewer);
  }
  g_mutex_unlock (&self->lock);
}

/**
 * spt_track_end:
 * @reason: (nullable): what viewers hear
 *
 * Nothing will ever come again: ends all viewers, also those that join later.
 */
void
spt_track_end (SptTrack *self, const GError *reason)
{
  g_mutex_lock (&self->lock);
  self->ended = TRUE;
  gop_clear_locked (self);
  for (guint i = 0; i < self->attachments->len; i++)
    spt_viewer_end (g_array_index (self->attachments, Attachment, i).viewer, reason);
  g_mutex_unlock (&self->lock);
}

static void
add_locked (SptTrack *self, SptViewer *viewer, guint pad)
{
  Attachment a = {g_object_ref (viewer), pad};
  g_array_append_val (self->attachments, a);
  if (self->ended)
    spt_viewer_end (viewer, NULL);
}

/**
 * spt_track_attach:
 * @pad: the number the viewer knows this track by; 0 decides about keyframes
 *
 * Primes the viewer from the cache and feeds it from now on. Also asks the producer for a keyframe,
 * which shortens the wait of the next ones. Main context.
 */
void
spt_track_attach (SptTrack *self, SptViewer *viewer, guint pad)
{
  g_mutex_lock (&self->lock);
  for (GList *l = self->gop.head; l; l = l->next)
    if (!self->audio ||
        !l->next) /* of sound alone only the newest: it has no keyframes to wait for */
      spt_viewer_prime (viewer, l->data, pad);
  add_locked (self, viewer, pad);
  spt_viewer_notify (viewer);
  g_mutex_unlock (&self->lock);
  spt_track_request_keyframe (self);
}

/**
 * spt_track_attach_with:
 * @prime: called once, under the track's lock, with the cached units (of GstSample) from the
 *   keyframe on; what it hands to spt_viewer_prime() is what the joiner begins with
 *
 * As spt_track_attach() to pad 0, for a door that cannot use the cache as it is. Main context.
 */
void
spt_track_attach_with (SptTrack *self, SptViewer *viewer, SptPrimeFunc prime, gpointer data)
{
  g_mutex_lock (&self->lock);
  prime (viewer, self->gop.head, data);
  add_locked (self, viewer, 0);
  spt_viewer_notify (viewer);
  g_mutex_unlock (&self->lock);
  spt_track_request_keyframe (self);
}

/**
 * spt_track_attach_pair:
 * @video: becomes pad 0
 * @audio: becomes pad 1
 *
 * Attaches to both, primed in the order of time and with no sound from before the first picture.
 * Main context. Takes both tracks' locks, video first; nothing takes them the other way round.
 */
void
spt_track_attach_pair (SptTrack *video, SptTrack *audio, SptViewer *viewer)
{
  g_mutex_lock (&video->lock);
  g_mutex_lock (&audio->lock);
  GList *v = video->gop.head, *a = audio->gop.head;
  while (a && v && unit_pts (a->data) < unit_pts (v->data))
    a = a->next;
  while (v || (a && video->gop.length)) {
    gboolean sound = a && (!v || unit_pts (a->data) < unit_pts (v->data));
    spt_viewer_prime (viewer, sound ? a->data : v->data, sound);
    if (sound)
      a = a->next;
    else
      v = v->next;
  }
  add_locked (video, viewer, 0);
  add_locked (audio, viewer, 1);
  spt_viewer_notify (viewer);
  g_mutex_unlock (&audio->lock);
  g_mutex_unlock (&video->lock);
  spt_track_request_keyframe (video);
}

/**
 * spt_track_detach:
 *
 * The viewer gets nothing more from this track, and no notification on its behalf is under way when
 * this returns. Harmless when it was not attached. Not from within a notification.
 */
void
spt_track_detach (SptTrack *self, SptViewer *viewer)
{
  g_mutex_lock (&self->lock);
  for (guint i = self->attachments->len; i-- > 0;)
    if (g_array_index (self->attachments, Attachment, i).viewer == viewer)
      g_array_remove_index (self->attachments, i);
  g_mutex_unlock (&self->lock);
}

/**
 * spt_track_request_keyframe:
 *
 * Asks the producer for a keyframe, at most once per 500 ms. Main context.
 */
void
spt_track_request_keyframe (SptTrack *self)
{
  gint64 now = g_get_monotonic_time ();
  g_mutex_lock (&self->lock);
  gboolean due = self->active && now - self->last_keyframe_request >= KEYFRAME_INTERVAL_US;
  if (due)
    self->last_keyframe_request = now;
  g_mutex_unlock (&self->lock);
  if (due && self->keyframe_func)
    self->keyframe_func (self->keyframe_data);
}

/**
 * spt_track_get_caps:
 *
 * Returns: (transfer full) (nullable): the current caps
 */
GstCaps *
spt_track_get_caps (SptTrack *self)
{
  g_mutex_lock (&self->lock);
  GstCaps *caps = self->caps ? gst_caps_ref (self->caps) : NULL;
  g_mutex_unlock (&self->lock);
  return caps;
}

/* PTS of the newest cached unit, 0 when the cache is empty. */
GstClockTime
spt_track_newest_pts (SptTrack *self)
{
  g_mutex_lock (&self->lock);
  GstClockTime pts = self->gop.length ? unit_pts (self->gop.tail->data) : 0;
  g_mutex_unlock (&self->lock);
  return pts;
}

gboolean
spt_track_is_active (SptTrack *self)
{
  g_mutex_lock (&self->lock);
  gboolean active = self->active;
  g_mutex_unlock (&self->lock);
  return active;
}

/* TRUE when nothing more will come. */
gboolean
spt_track_has_ended (SptTrack *self)
{
  g_mutex_lock (&self->lock);
  gboolean ended = self->ended;
  g_mutex_unlock (&self->lock);
  return ended;
}

/* TRUE when pictures have come in another order than they are shown. */
gboolean
spt_track_reorders (SptTrack *self)
{
  g_mutex_lock (&self->lock);
  gboolean reorders = self->reorders;
  g_mutex_unlock (&self->lock);
  return reorders;
}

void
spt_track_get_stats (SptTrack *self, SptTrackStats *stats)
{
  g_mutex_lock (&self->lock);
  *stats = self->stats;
  stats->gop_units = self->gop.length;
  stats->gop_bytes = self->gop_bytes;
  stats->gop_time = gop_time_locked (self);
  stats->viewers = self->attachments->len;
  g_mutex_unlock (&self->lock);
}
