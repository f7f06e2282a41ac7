/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "ask.h"

#include "error.h"
#include "track.h"
#include "viewer.h"

struct _SptAsk {
  gatomicrefcount refs; /* the asker's until it is over, the request's, one of each idle call */
  GCancellable *cancellable;
  SptAnswered answered; /* NULL: taken back, or answered */
  gpointer data;
  gboolean to_first_unit;
  SptLease *lease;  /* while the first unit is waited for */
  SptViewer *scout; /* tells when it has come */
};

static SptAsk *
ask_ref (SptAsk *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

static void
ask_unref (gpointer data)
{
  SptAsk *self = data;
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_object_unref (self->cancellable);
  g_free (self);
}

static void
recall_scout (SptAsk *self)
{
  if (!self->scout)
    return;
  spt_track_detach (spt_lease_get_track (self->lease), self->scout);
  spt_viewer_silence (self->scout);
  g_clear_object (&self->scout);
}

static void
answer (SptAsk *self, const GError *error)
{
  SptAnswered answered = g_steal_pointer (&self->answered);
  recall_scout (self);
  if (error)
    g_clear_pointer (&self->lease, spt_lease_free);
  answered (g_steal_pointer (&self->lease), error, self->data);
  ask_unref (self);
}

static gboolean
on_first_unit (gpointer data)
{
  SptAsk *self = data;
  g_autoptr (GError) reason = NULL;
  if (!self->scout)
    return G_SOURCE_REMOVE;
  if (spt_track_is_active (spt_lease_get_track (self->lease))) {
    answer (self, NULL);
  } else if (spt_viewer_ended (self->scout, &reason)) {
    if (!reason)
      reason = g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "the stream ended");
    answer (self, reason);
  }
  return G_SOURCE_REMOVE;
}

/* Streaming thread */
static void
on_scout (SptViewer *viewer, gpointer data)
{
  g_idle_add_full (G_PRIORITY_DEFAULT, on_first_unit, ask_ref (data), ask_unref);
}

static void
on_lease (GObject *object, GAsyncResult *result, gpointer data)
{
  static const SptViewerLimits limits = {SPT_DROP_TO_NEWEST, 1, 0};
  SptAsk *self = data;
  g_autoptr (GError) error = NULL;
  self->lease = spt_stream_request_finish (SPT_STREAM (object), result, &error);
  if (!self->answered) {
    g_clear_pointer (&self->lease, spt_lease_free);
    ask_unref (self);
    return;
  }
  SptTrack *track = self->lease ? spt_lease_get_track (self->lease) : NULL;
  if (!track || !self->to_first_unit || spt_track_is_active (track)) {
    answer (self, error);
    ask_unref (self);
    return;
  }
  self->scout = spt_viewer_new (&limits, on_scout, self);
  spt_track_attach (track, self->scout, 0);
  ask_unref (self);
}

static SptAsk *
ask (SptStream *stream, const SptWant *want, const SptConsumer *consumer, gboolean to_first_unit,
    SptAnswered answered, gpointer data)
{
  SptAsk *self = g_new0 (SptAsk, 1);
  g_atomic_ref_count_init (&self->refs);
  self->cancellable = g_cancellable_new ();
  self->answered = answered;
  self->data = data;
  self->to_first_unit = to_first_unit;
  spt_stream_request_async (stream, want, consumer, self->cancellable, on_lease, ask_ref (self));
  return self;
}

/**
 * spt_ask:
 * @want: copied
 * @consumer: copied
 * @answered: called once, not before this returns, unless the question is taken back; @data may go
 *   then
 */
SptAsk *
spt_ask (SptStream *stream, const SptWant *want, const SptConsumer *consumer, SptAnswered answered,
    gpointer data)
{
  return ask (stream, want, consumer, FALSE, answered, data);
}

/* As spt_ask(), answered when the track has had its first unit: then its caps are final. */
SptAsk *
spt_ask_active (SptStream *stream, const SptWant *want, const SptConsumer *consumer,
    SptAnswered answered, gpointer data)
{
  return ask (stream, want, consumer, TRUE, answered, data);
}

/* Nobody waits for the answer any more: it is not called. */
void
spt_ask_take_back (SptAsk *self)
{
  self->answered = NULL;
  recall_scout (self);
  g_clear_pointer (&self->lease, spt_lease_free);
  g_cancellable_cancel (self->cancellable);
  ask_unref (self);
}
