/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a stream. A viewer's request starts the source; leases keep it; the linger of the
 * last one stops it. One field holds the state, one function changes it:
 *
 *   idle → starting → live → stalled → failed → starting …
 *             └───────────────────────→ failed
 *   anything → stopping → idle
 *
 * A failed source is tried again after 1, 2, 4 … 30 s, for ever, while somebody wants it; several
 * sources are alternatives, tried in order before the wait. The tracks stay through all that, so
 * viewers stay attached and go on. All on the main context. */
#include "config.h"

#include "stream.h"

#include <string.h>

#include "chain.h"
#include "error.h"
#include "redact.h"
#include "request.h"
#include "source.h"
#include "spec.h"
#include "stream-private.h"
#include "track.h"

/* After the first data, a track without any is not waited for longer than this. */
#define TRACK_WAIT_US (2 * G_USEC_PER_SEC)
/* A new viewer hurries a waiting retry, but not more often than this. */
#define HURRY_US G_USEC_PER_SEC
#define WATCHDOG_MS 500

GST_DEBUG_CATEGORY_STATIC (spotter_stream);
#define GST_CAT_DEFAULT spotter_stream

G_DEFINE_FINAL_TYPE_WITH_CODE (SptStream, spt_stream, G_TYPE_OBJECT,
    GST_DEBUG_CATEGORY_INIT (spotter_stream, "spotter-stream", 0, "streams"))

enum { SIGNAL_STATE, N_SIGNALS };
static guint signals[N_SIGNALS];

static void start (SptStream *self);

static void
set_state (SptStream *self, SptStreamState state, const char *reason)
{
  if (state == self->state)
    return;
  g_return_if_fail (spt_stream_state_may_follow (self->state, state));
  g_autofree char *safe = spt_redact (reason);
  if (state == SPT_STREAM_FAILED)
    GST_WARNING ("%s: %s → failed (%s)", self->name, spt_stream_state_name (self->state), safe);
  else
    GST_INFO ("%s: %s → %s%s%s%s", self->name, spt_stream_state_name (self->state),
        spt_stream_state_name (state), safe ? " (" : "", safe ? safe : "", safe ? ")" : "");
  self->state = state;
  self->since = g_get_real_time ();
  g_free (self->reason);
  self->reason = g_steal_pointer (&safe);
  g_signal_emit (self, signals[SIGNAL_STATE], 0);
}

static gboolean
is_used (SptStream *self)
{
  return self->requests || self->leases || self->publisher;
}

/* ---- tracks and requests ------------------------------------------------------------------ */

static void serve_requests (SptStream *self);

static void
on_chain_changed (gpointer data)
{
  serve_requests (data);
}

static void
make_tracks (SptStream *self)
{
  static const char *const names[2] = {"video", "audio"};
  for (guint i = 0; i < 2; i++) {
    self->tracks[i] = spt_track_new (names[i]);
    spt_chain_watch (self->chain, self->tracks[i]);
  }
}

/* Ends whoever watches; the stream can start again afterwards, with fresh tracks. */
static void
end_viewers (SptStream *self, const GError *reason)
{
  spt_chain_end (self->chain, reason);
  for (guint i = 0; i < 2; i++) {
    spt_track_set_active_func (self->tracks[i], NULL, NULL);
    spt_track_end (self->tracks[i], reason);
    g_clear_object (&self->tracks[i]);
    g_clear_pointer (&self->media[i], g_free);
  }
  make_tracks (self);
}

static char *
media_of (SptTrack *track)
{
  g_autoptr (GstCaps) caps = spt_track_get_caps (track);
  return caps ? g_strdup (gst_structure_get_name (gst_caps_get_structure (caps, 0))) : NULL;
}

/* TRUE when the source now gives another codec than the one that branches and viewers were made
 * for. */
static gboolean
codec_changed (SptStream *self)
{
  gboolean changed = FALSE;
  for (guint i = 0; i < 2; i++) {
    g_autofree char *media =
        spt_track_is_active (self->tracks[i]) ? media_of (self->tracks[i]) : NULL;
    if (!media)
      continue;
    changed |= self->media[i] && g_strcmp0 (self->media[i], media) != 0;
    g_free (self->media[i]);
    self->media[i] = g_steal_pointer (&media);
  }
  return changed;
}

static gboolean
tracks_ready (SptStream *self)
{
  gboolean video = spt_source_has_video (self->source);
  gboolean audio = spt_source_has_audio (self->source);
  gboolean video_on = spt_track_is_active (self->tracks[0]);
  gboolean audio_on = spt_track_is_active (self->tracks[1]);
  if (!video_on && !audio_on)
    return FALSE;
  /* A camera may announce sound and be muted: what is silent is not waited for. */
  if (!self->active_since)
    self->active_since = g_get_monotonic_time ();
  gboolean waited = g_get_monotonic_time () - self->active_since > TRACK_WAIT_US;
  return (self->complete && video == video_on && audio == audio_on) || waited;
}

static void close_source (SptStream *self);

static void
check_live (SptStream *self)
{
  if (self->state != SPT_STREAM_STARTING || !self->source || !tracks_ready (self))
    return;
  if (codec_changed (self)) {
    /* Branches and sessions were made for another codec: they end, and the source, which feeds
     * their tracks, begins again with fresh ones. */
    GST_INFO ("%s: the source came back with another codec", self->name);
    end_viewers (self, NULL);
    close_source (self);
    start (self);
    return;
  }
  self->retries = 0;
  g_clear_pointer (&self->failure, g_free);
  set_state (self, SPT_STREAM_LIVE, NULL);
}

static void
forget_request (SptStream *self, SptRequest *request)
{
  self->requests = g_list_remove (self->requests, request);
}

static void check_use (SptStream *self);

/* (nullable): the first request that has nothing more to wait for */
static SptRequest *
next_ready (SptStream *self)
{
  for (GList *l = self->requests; l; l = l->next)
    if (spt_request_advance (l->data, self->chain, self->tracks))
      return l->data;
  return NULL;
}

/* Goes on with every request that waits. Each answer may change the list. */
static void
serve_requests (SptStream *self)
{
  SptRequest *request;
  check_live (self);
  while (self->state == SPT_STREAM_LIVE && (request = next_ready (self))) {
    forget_request (self, request);
    spt_request_finish (request, self);
  }
  if (self->state == SPT_STREAM_LIVE)
    check_use (self);
}

/* Those who wait now, not those who ask again because of the answer. */
static void
fail_requests (SptStream *self, const GError *error)
{
  for (guint n = g_list_length (self->requests); n && self->requests; n--) {
    SptRequest *request = self->requests->data;
    forget_request (self, request);
    spt_request_fail (request, error);
  }
}

/* ---- the source --------------------------------------------------------------------------- */

static void
flush (SptStream *self)
{
  spt_track_flush (self->tracks[0]);
  spt_track_flush (self->tracks[1]);
  if (self->chain)
    spt_chain_flush (self->chain);
}

static void
on_source_closed (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (SptStream) self = user_data;
  self->closing = FALSE;
  flush (self); /* it pushed until now */
  if (self->wanted && !self->ended) {
    self->wanted = FALSE;
    start (self);
  } else if (self->state == SPT_STREAM_STOPPING) {
    set_state (self, SPT_STREAM_IDLE, self->failure);
  }
}

static void
close_source (SptStream *self)
{
  g_clear_handle_id (&self->watchdog_id, g_source_remove);
  if (!self->source)
    return;
  self->closing = TRUE;
  g_autoptr (SptSource) source = g_steal_pointer (&self->source);
  spt_source_stop (source, on_source_closed, g_object_ref (self));
  flush (self);
}

static gboolean
retry (gpointer data)
{
  SptStream *self = data;
  self->retry_id = 0;
  self->retries++;
  start (self);
  return G_SOURCE_REMOVE;
}

static void
fail (SptStream *self, const GError *error)
{
  close_source (self);
  if (self->current + 1 < self->specs->len && self->state != SPT_STREAM_FAILED) {
    g_autofree char *safe = spt_redact (error->message);
    GST_INFO ("%s: source %u: %s; trying the next", self->name, self->current + 1, safe);
    self->current++;
    start (self);
    return;
  }
  self->current = 0;
  g_free (self->failure);
  self->failure = g_strdup (error->message);
  set_state (self, SPT_STREAM_FAILED, error->message);
  g_autofree char *safe = spt_redact (error->message);
  g_autoptr (GError) reason = g_error_new_literal (error->domain, error->code, safe);
  fail_requests (self, reason);
  if (is_used (self))
    self->retry_id = g_timeout_add (
        spt_stream_retry_delay (self->retries, g_random_double_range (0.8, 1.2)), retry, self);
  else
    check_use (self);
}

static void
on_source_complete (gpointer data)
{
  SptStream *self = data;
  self->complete = TRUE;
  serve_requests (self);
}

static void
on_source_ended (const GError *error, gpointer data)
{
  SptStream *self = data;
  const SptSpec *spec = g_ptr_array_index (self->specs, self->current);
  if (error) {
    fail (self, error);
    return;
  }
  if (spec->kind != SPT_SPEC_FILE) {
    g_autoptr (GError) over =
        g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "the source ended the stream");
    fail (self, over);
    return;
  }
  /* A file that was played to its end has done all it can. */
  close_source (self);
  end_viewers (self, NULL);
  set_state (self, SPT_STREAM_STOPPING, "the file ended");
  g_autoptr (GError) over = g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "the file has ended");
  fail_requests (self, over);
}

static GstClockTime
last_unit (SptStream *self)
{
  SptTrackStats video, audio;
  spt_track_get_stats (self->tracks[0], &video);
  spt_track_get_stats (self->tracks[1], &audio);
  /* A picture that stands still is not excused by sound that goes on. */
  return spt_track_is_active (self->tracks[0]) ? video.last_push : audio.last_push;
}

static gboolean
watchdog (gpointer data)
{
  SptStream *self = data;
  gint64 now = g_get_monotonic_time ();
  gboolean live = self->state == SPT_STREAM_LIVE;
  serve_requests (self); /* some wait for time to pass */
  if (self->state == SPT_STREAM_LIVE && live) {
    gint64 silent = now - (gint64)(last_unit (self) / 1000);
    if (silent < self->times.stall_ms * 1000ll)
      return G_SOURCE_CONTINUE;
    set_state (self, SPT_STREAM_STALLED, "no data");
  } else if (self->state != SPT_STREAM_STARTING ||
             now - self->started < self->times.start_ms * 1000ll) {
    return G_SOURCE_CONTINUE;
  }
  g_autoptr (GError) error = g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE,
      "the source gave no data for %.0f s",
      (self->state == SPT_STREAM_STALLED ? self->times.stall_ms : self->times.start_ms) / 1000.0);
  self->watchdog_id = 0;
  fail (self, error);
  return G_SOURCE_REMOVE;
}

static void
start (SptStream *self)
{
  static const SptSourceEvents events = {on_source_complete, on_source_ended};
  g_clear_handle_id (&self->retry_id, g_source_remove);
  set_state (self, SPT_STREAM_STARTING, NULL);
  if (self->closing) {
    self->wanted = TRUE;
    return;
  }
  self->complete = FALSE;
  self->active_since = 0;
  self->started = g_get_monotonic_time ();
  self->source = spt_source_new (g_ptr_array_index (self->specs, self->current), self->tracks[0],
      self->tracks[1], &events, self);
  g_autoptr (GError) error = NULL;
  if (spt_source_start (self->source, &error)) {
    self->watchdog_id = g_timeout_add (WATCHDOG_MS, watchdog, self);
    return;
  }
  g_clear_object (&self->source);
  fail (self, error);
}

static void
stop (SptStream *self, const char *reason)
{
  g_clear_handle_id (&self->retry_id, g_source_remove);
  g_clear_handle_id (&self->linger_id, g_source_remove);
  self->wanted = FALSE;
  self->current = 0;
  self->retries = 0;
  if (self->state == SPT_STREAM_IDLE)
    return;
  close_source (self);
  end_viewers (self, NULL); /* and what the next source gives is compared with nothing */
  if (self->state != SPT_STREAM_STOPPING)
    set_state (self, SPT_STREAM_STOPPING, reason);
  if (!self->closing)
    set_state (self, SPT_STREAM_IDLE, self->failure);
}

static gboolean
linger_over (gpointer data)
{
  SptStream *self = data;
  self->linger_id = 0;
  stop (self, "nobody is watching");
  return G_SOURCE_REMOVE;
}

/* Starts or ends the linger, whichever the number of viewers asks for. */
static void
check_use (SptStream *self)
{
  if (is_used (self))
    g_clear_handle_id (&self->linger_id, g_source_remove);
  else if (!self->linger_id && self->state != SPT_STREAM_IDLE && !self->ended)
    self->linger_id = g_timeout_add (self->times.linger_ms, linger_over, self);
}

/* ---- viewers ------------------------------------------------------------------------------ */

static void
on_cancelled (GCancellable *cancellable, gpointer data)
{
  SptRequest *request = data;
  SptStream *self = spt_request_get_stream (request);
  forget_request (self, request);
  g_autoptr (GError) error = g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "the viewer left");
  spt_request_fail (request, error);
  check_use (self);
}

/* The pure part of a request's arrival: what is to be done about the source? */
static gboolean
needs_start (SptStream *self)
{
  if (self->state == SPT_STREAM_FAILED)
    return g_get_monotonic_time () - self->started > HURRY_US || !self->retry_id;
  return self->state == SPT_STREAM_IDLE || self->state == SPT_STREAM_STOPPING;
}

/**
 * spt_stream_request_async:
 * @want: what the viewer can take
 * @consumer: who it is; copied
 * @cancellable: (nullable): cancelled when the viewer leaves
 *
 * Starts what is needed and answers when the track is there: with a lease on it, or with why not,
 * at the first failure of all of the stream's sources. May take as long as the source does.
 */
void
spt_stream_request_async (SptStream *self, const SptWant *want, const SptConsumer *consumer,
    GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, data);
  g_task_set_check_cancellable (task, FALSE);
  if (self->ended || !self->specs->len) {
    g_task_return_new_error (task, SPT_ERROR, SPT_ERROR_UNAVAILABLE,
        self->ended ? "the stream %s was removed"
                    : "the stream %s has no source, and nobody publishes to it",
        self->name);
    return;
  }
  SptRequest *request = spt_request_new (task, want, consumer);
  if (cancellable)
    spt_request_watch (request, cancellable, on_cancelled);
  self->requests = g_list_append (self->requests, request);
  check_use (self);
  if (self->state == SPT_STREAM_FAILED && !needs_start (self)) {
    forget_request (self, request);
    g_autoptr (GError) why = g_error_new_literal (SPT_ERROR, SPT_ERROR_UNAVAILABLE, self->reason);
    spt_request_fail (request, why);
    check_use (self);
    return;
  }
  if (needs_start (self))
    start (self);
  else
    serve_requests (self);
}

/* (transfer full): free with spt_lease_free() when the viewer has gone */
SptLease *
spt_stream_request_finish (SptStream *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* For request.c: before the viewer has it, because it may give it back at once. */
void
spt_stream_add_lease (SptStream *self, SptLease *lease)
{
  self->leases = g_list_append (self->leases, lease);
}

/* For spt_lease_free() only. */
void
spt_stream_drop_lease (SptStream *self, SptLease *lease)
{
  self->leases = g_list_remove (self->leases, lease);
  check_use (self);
}

/* ---- life --------------------------------------------------------------------------------- */

/* Tracks must not tell a chain that is no more. Idempotent. */
static void
free_chain (SptStream *self)
{
  for (guint i = 0; i < 2; i++)
    spt_track_set_active_func (self->tracks[i], NULL, NULL);
  g_clear_pointer (&self->chain, spt_chain_free);
}

static void
spt_stream_finalize (GObject *object)
{
  SptStream *self = SPT_STREAM (object);
  g_assert (!self->requests && !self->leases && !self->source);
  free_chain (self);
  g_clear_pointer (&self->publisher, spt_publisher_unref);
  for (guint i = 0; i < 2; i++) {
    g_clear_object (&self->tracks[i]);
    g_free (self->media[i]);
  }
  g_ptr_array_unref (self->specs);
  g_strfreev (self->sources);
  g_free (self->failure);
  g_free (self->reason);
  g_free (self->name);
  G_OBJECT_CLASS (spt_stream_parent_class)->finalize (object);
}

static void
spt_stream_class_init (SptStreamClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = spt_stream_finalize;
  /**
   * SptStream::state: the state changed. Main context.
   */
  signals[SIGNAL_STATE] = g_signal_new (
      "state", SPT_TYPE_STREAM, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
spt_stream_init (SptStream *self)
{
  self->since = g_get_real_time ();
  self->specs = g_ptr_array_new_with_free_func ((GDestroyNotify)spt_spec_unref);
  self->sources = g_new0 (char *, 1);
  self->chain = spt_chain_new (on_chain_changed, self);
  make_tracks (self);
}

/* `[A-Za-z0-9_.-]{1,64}`, not starting with a dot */
gboolean
spt_stream_name_is_valid (const char *name)
{
  gsize length = strlen (name);
  return length >= 1 && length <= 64 && name[0] != '.' &&
         strspn (name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
             length;
}

SptStream *
spt_stream_new (const char *name, const SptStreamTimes *times)
{
  SptStream *self = g_object_new (SPT_TYPE_STREAM, NULL);
  self->name = g_strdup (name);
  self->times = *times;
  spt_chain_set_linger (self->chain, times->linger_ms);
  return self;
}

/* @options: of posedetect, as texts; for detectors that start from now on */
void
spt_stream_set_pose (SptStream *self, const GstStructure *options)
{
  spt_chain_set_properties (self->chain, options);
}

/**
 * spt_stream_set_sources:
 * @sources: (array zero-terminated=1): alternatives in order; may be empty
 * @trusted: they come from the configuration file or the command line
 *
 * Equal sources change nothing. Different ones take over running viewers: the old source lets go of
 * its device before the new one starts. On an error nothing changes.
 */
gboolean
spt_stream_set_sources (
    SptStream *self, const char *const *sources, gboolean trusted, GError **error)
{
  if (g_strv_equal (sources, (const char *const *)self->sources))
    return TRUE;
  g_autoptr (GPtrArray) specs = g_ptr_array_new_with_free_func ((GDestroyNotify)spt_spec_unref);
  for (guint i = 0; sources[i]; i++) {
    SptSpec *spec = spt_spec_parse (sources[i], trusted, error);
    if (!spec)
      return FALSE;
    g_ptr_array_add (specs, spec);
  }
  gboolean running = self->source || self->retry_id || self->wanted;
  g_clear_pointer (&self->publisher, spt_publisher_unref);
  close_source (self);
  g_strfreev (self->sources);
  self->sources = g_strdupv ((char **)sources);
  g_ptr_array_unref (self->specs);
  self->specs = g_steal_pointer (&specs);
  self->current = 0;
  self->retries = 0;
  self->wanted = FALSE;
  if (running && self->specs->len && is_used (self)) {
    if (self->state == SPT_STREAM_LIVE)
      set_state (self, SPT_STREAM_STALLED, "new sources");
    start (self);
  } else if (running) {
    stop (self, "new sources");
  }
  return TRUE;
}

/**
 * spt_stream_end:
 *
 * The stream is removed: stops it for good and ends all viewers and requests. Idempotent.
 */
void
spt_stream_end (SptStream *self)
{
  if (self->ended)
    return;
  self->ended = TRUE;
  g_clear_pointer (&self->publisher, spt_publisher_unref);
  stop (self, "removed");
  g_autoptr (GError) removed =
      g_error_new (SPT_ERROR, SPT_ERROR_NOT_FOUND, "the stream %s was removed", self->name);
  fail_requests (self, removed);
  free_chain (self);
  for (guint i = 0; i < 2; i++)
    spt_track_end (self->tracks[i], removed);
}

/* ---- publishing --------------------------------------------------------------------------- */

/**
 * spt_stream_publish:
 *
 * Somebody sends us this stream, until spt_stream_unpublish(): FORBIDDEN when it has a source or
 * another publisher. Viewers who waited, or had the one before, get it.
 */
gboolean
spt_stream_publish (SptStream *self, SptPublisher *publisher, GError **error)
{
  if (!spt_stream_may_publish (self, error))
    return FALSE;
  self->publisher = spt_publisher_ref (publisher);
  g_ptr_array_add (self->specs, spt_spec_new_published (publisher));
  g_clear_handle_id (&self->linger_id, g_source_remove);
  start (self);
  return TRUE;
}

/* The publisher has left: viewers wait for the next one. Harmless when it is another one. */
void
spt_stream_unpublish (SptStream *self, SptPublisher *publisher)
{
  if (self->publisher != publisher)
    return;
  g_autoptr (GError) left = g_error_new (
      SPT_ERROR, SPT_ERROR_UNAVAILABLE, "the publisher of the stream %s has left", self->name);
  g_clear_handle_id (&self->retry_id, g_source_remove);
  g_clear_pointer (&self->publisher, spt_publisher_unref);
  g_ptr_array_set_size (self->specs, 0);
  self->wanted = FALSE;
  self->retries = 0;
  close_source (self);
  fail_requests (self, left);
  if (self->state == SPT_STREAM_LIVE)
    set_state (self, SPT_STREAM_STALLED, left->message);
  else if (self->state == SPT_STREAM_STARTING)
    set_state (self, SPT_STREAM_FAILED, left->message);
  check_use (self);
}
