/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A request walks from the source's tracks along the planned steps. A step needs the caps of the
 * track before it, so each waits until that track is active: the stream calls spt_request_advance()
 * again whenever something became active, failed, or time has passed. What the request has reached
 * it holds; the lease then holds only the end, which holds what it hangs on. Main context. */
#include "config.h"

#include "request.h"

#include "error.h"
#include "plan.h"
#include "track.h"

/* Sound that takes longer to come about is left out: it never gates the picture. */
#define AUDIO_WAIT_US (1500 * G_TIME_SPAN_MILLISECOND)

struct _SptRequest {
  GTask *task;
  SptWant want;
  char *container;
  SptConsumer consumer;
  GCancellable *cancellable;
  gulong cancelled_id;
  gint64 since; /* monotonic µs of the first advance; 0 before */
  gboolean audio_given_up;
  GPtrArray *holds[2]; /* of SptNode: the steps of the video lane and of the audio lane */
  SptNode *node;       /* the end, held */
  SptTrack *track;
  GError *error;
};

struct _SptLease {
  SptStream *stream;
  SptNode *node; /* (nullable): the source's own track */
  SptTrack *track;
  SptViewer *viewer;
  SptConsumer consumer;
  guint64 id;
  gboolean has_link;
  SptLink link;
};

typedef enum { LANE_READY, LANE_WAITS, LANE_FAILED } LaneState;

static void
consumer_copy (SptConsumer *to, const SptConsumer *from)
{
  to->format = from->format;
  to->protocol = from->protocol;
  to->remote_addr = g_strdup (from->remote_addr);
  to->user_agent = g_strdup (from->user_agent);
}

static void
consumer_clear (SptConsumer *self)
{
  g_clear_pointer (&self->remote_addr, g_free);
  g_clear_pointer (&self->user_agent, g_free);
}

SptRequest *
spt_request_new (GTask *task, const SptWant *want, const SptConsumer *consumer)
{
  SptRequest *self = g_new0 (SptRequest, 1);
  self->task = g_object_ref (task);
  self->want = *want;
  self->container = g_strdup (want->container);
  self->want.container = self->container;
  if (self->want.video)
    gst_caps_ref (self->want.video);
  if (self->want.audio)
    gst_caps_ref (self->want.audio);
  consumer_copy (&self->consumer, consumer);
  for (guint i = 0; i < 2; i++)
    self->holds[i] = g_ptr_array_new_with_free_func ((GDestroyNotify)spt_node_release);
  return self;
}

static void
request_free (SptRequest *self)
{
  if (self->cancellable) {
    g_signal_handler_disconnect (self->cancellable, self->cancelled_id);
    g_object_unref (self->cancellable);
  }
  g_clear_pointer (&self->node, spt_node_release);
  g_clear_object (&self->track);
  for (guint i = 0; i < 2; i++)
    g_ptr_array_unref (self->holds[i]);
  gst_clear_caps (&self->want.video);
  gst_clear_caps (&self->want.audio);
  consumer_clear (&self->consumer);
  g_clear_error (&self->error);
  g_free (self->container);
  g_object_unref (self->task);
  g_free (self);
}

/* @cancelled is called on the main context, at most once, while the request waits. */
void
spt_request_watch (SptRequest *self, GCancellable *cancellable, SptRequestCancelled cancelled)
{
  self->cancellable = g_object_ref (cancellable);
  self->cancelled_id = g_signal_connect (cancellable, "cancelled", G_CALLBACK (cancelled), self);
}

SptStream *
spt_request_get_stream (SptRequest *self)
{
  return g_task_get_source_object (self->task);
}

/* A branch that failed is not made again for the request that saw it fail. */
static gboolean
lane_has_failed (GPtrArray *holds, GError **error)
{
  for (guint i = 0; i < holds->len; i++) {
    const GError *failed = spt_node_get_error (g_ptr_array_index (holds, i));
    if (failed) {
      g_propagate_error (error, g_error_copy (failed));
      return TRUE;
    }
  }
  return FALSE;
}

/* Goes along the steps as far as it can; @node and @track are where it got to. */
static LaneState
walk (SptChain *chain, GPtrArray *holds, GstCaps *accept, SptNode **node, SptTrack **track,
    GError **error)
{
  if (lane_has_failed (holds, error))
    return LANE_FAILED;
  g_autoptr (GstCaps) have = gst_caps_make_writable (spt_track_get_caps (*track));
  gst_caps_set_simple (have, SPT_REORDERS, G_TYPE_BOOLEAN, spt_track_reorders (*track), SPT_OVERLAY,
      G_TYPE_STRING, SPT_OVERLAY_NONE, NULL);
  g_autoptr (GPtrArray) steps = spt_plan (have, accept, spt_branch_usable, error);
  if (!steps)
    return LANE_FAILED;
  for (guint i = 0; i < steps->len; i++) {
    if (!spt_track_is_active (*track))
      return LANE_WAITS;
    if (i == holds->len) {
      SptNode *next = spt_chain_recipe (chain, g_ptr_array_index (steps, i), *node, *track, error);
      if (!next)
        return LANE_FAILED;
      g_ptr_array_add (holds, next);
    }
    *node = g_ptr_array_index (holds, i);
    *track = spt_node_get_track (*node);
  }
  return LANE_READY;
}

static gboolean
settle (SptRequest *self, SptNode *node, SptTrack *track)
{
  self->node = node ? spt_node_hold (node) : NULL;
  self->track = g_object_ref (track);
  return TRUE;
}

/* (nullable): the container takes nothing of what is wanted */
static GstCaps *
accept_codec (SptRequest *self, const SptContainer *container)
{
  g_autoptr (GstCaps) takes = container ? spt_container_accept_video (container) : NULL;
  if (!takes)
    return gst_caps_ref (self->want.video);
  if (!self->want.video)
    return g_steal_pointer (&takes);
  g_autoptr (GstCaps) both = gst_caps_intersect (takes, self->want.video);
  if (!gst_caps_is_empty (both))
    return g_steal_pointer (&both);
  g_autofree char *wanted = gst_caps_to_string (self->want.video);
  self->error =
      g_error_new (SPT_ERROR, SPT_ERROR_UNSUPPORTED, "%s cannot carry %s", self->container, wanted);
  return NULL;
}

/* (nullable) */
static GstCaps *
accept_video (SptRequest *self, const SptContainer *container)
{
  GstCaps *accept = accept_codec (self, container);
  if (!accept || !self->want.overlay)
    return accept;
  accept = gst_caps_make_writable (accept);
  gst_caps_set_simple (accept, SPT_OVERLAY, G_TYPE_STRING, self->want.overlay, NULL);
  return accept;
}

/* (nullable): the container takes no sound */
static GstCaps *
accept_audio (SptRequest *self, const SptContainer *container)
{
  g_autoptr (GstCaps) takes = spt_container_accept_audio (container);
  return takes && self->want.audio ? gst_caps_intersect (takes, self->want.audio)
                                   : g_steal_pointer (&takes);
}

/* The sound for a container: ready, waiting, or done without. */
static LaneState
advance_audio (SptRequest *self, SptChain *chain, const SptContainer *container, SptNode **node,
    SptTrack **track)
{
  g_autoptr (GstCaps) accept = accept_audio (self, container);
  g_autoptr (GError) error = NULL;
  if (!accept || self->want.no_audio || self->audio_given_up || !spt_track_is_active (*track))
    return LANE_FAILED;
  LaneState state = walk (chain, self->holds[1], accept, node, track, &error);
  if (state == LANE_READY && !spt_track_is_active (*track))
    state = LANE_WAITS;
  if (state == LANE_WAITS && g_get_monotonic_time () - self->since > AUDIO_WAIT_US)
    state = LANE_FAILED;
  self->audio_given_up = state == LANE_FAILED;
  return state;
}

static gboolean
advance_container (SptRequest *self, SptChain *chain, const SptContainer *container,
    SptNode *video_node, SptTrack *video, SptTrack *audio)
{
  SptNode *nodes[2] = {NULL, NULL};
  SptTrack *inputs[2];
  guint n = 0;
  if (video) {
    if (!spt_track_is_active (video))
      return FALSE;
    nodes[n] = video_node;
    inputs[n++] = video;
  }
  SptNode *audio_node = NULL;
  LaneState sound = advance_audio (self, chain, container, &audio_node, &audio);
  if (sound == LANE_WAITS)
    return FALSE;
  if (sound == LANE_READY) {
    nodes[n] = audio_node;
    inputs[n++] = audio;
  }
  if (!n) {
    self->error = g_error_new (
        SPT_ERROR, SPT_ERROR_UNSUPPORTED, "the source gives nothing that fits %s", self->container);
    return TRUE;
  }
  g_autoptr (GError) error = NULL;
  SptNode *end = spt_chain_container (chain, container, nodes, inputs, n, &error);
  if (!end) {
    self->error = g_steal_pointer (&error);
    return TRUE;
  }
  settle (self, end, spt_node_get_track (end));
  spt_node_release (end);
  return TRUE;
}

/**
 * spt_request_advance:
 * @tracks: the source's video and audio; inactive where it has none
 *
 * Returns: TRUE when there is nothing more to wait for: spt_request_finish() answers
 */
gboolean
spt_request_advance (SptRequest *self, SptChain *chain, SptTrack *const tracks[2])
{
  if (!self->since)
    self->since = g_get_monotonic_time ();
  const SptContainer *container = self->container ? spt_container_find (self->container) : NULL;
  gboolean has_video = spt_track_is_active (tracks[0]) && !self->want.no_video;
  SptTrack *video = has_video ? tracks[0] : NULL;
  SptNode *node = NULL;
  if (has_video) {
    g_autoptr (GstCaps) accept = accept_video (self, container);
    if (!accept)
      return TRUE;
    LaneState state = walk (chain, self->holds[0], accept, &node, &video, &self->error);
    if (state != LANE_READY)
      return state == LANE_FAILED;
    if (!container)
      return settle (self, node, video);
  } else if (!container || !spt_container_accept_audio (container)) {
    self->error = g_error_new (SPT_ERROR, SPT_ERROR_UNSUPPORTED, "the source has no picture");
    return TRUE;
  }
  return advance_container (self, chain, container, node, video, tracks[1]);
}

static SptLease *
lease_new (SptRequest *request, SptStream *stream)
{
  static guint64 ids;
  SptLease *lease = g_new0 (SptLease, 1);
  lease->stream = g_object_ref (stream);
  lease->node = g_steal_pointer (&request->node);
  lease->track = g_steal_pointer (&request->track);
  consumer_copy (&lease->consumer, &request->consumer);
  lease->id = ++ids;
  spt_stream_add_lease (stream, lease);
  return lease;
}

/**
 * spt_request_finish:
 *
 * Answers the request with what spt_request_advance() has found, and frees it. Whoever is answered
 * may ask again, cancel others or give the lease back before this returns.
 */
void
spt_request_finish (SptRequest *self, SptStream *stream)
{
  if (self->error) {
    g_autoptr (GError) error = g_steal_pointer (&self->error);
    spt_request_fail (self, error);
    return;
  }
  g_autoptr (GTask) task = g_object_ref (self->task);
  SptLease *lease = lease_new (self, stream);
  request_free (self);
  g_task_return_pointer (task, lease, (GDestroyNotify)spt_lease_free);
}

/* Answers with @error and frees the request: first, because whoever is answered may cancel. */
void
spt_request_fail (SptRequest *self, const GError *error)
{
  g_autoptr (GTask) task = g_object_ref (self->task);
  request_free (self);
  g_task_return_error (task, g_error_copy (error));
}

/* ---- leases ------------------------------------------------------------------------------- */

SptTrack *
spt_lease_get_track (SptLease *lease)
{
  return lease->track;
}

SptStream *
spt_lease_get_stream (SptLease *lease)
{
  return lease->stream;
}

/* The viewer whose counters belong to this lease. */
void
spt_lease_set_viewer (SptLease *lease, SptViewer *viewer)
{
  g_set_object (&lease->viewer, viewer);
}

/* (nullable) */
SptViewer *
spt_lease_get_viewer (SptLease *lease)
{
  return lease->viewer;
}

const SptConsumer *
spt_lease_get_consumer (SptLease *lease)
{
  return &lease->consumer;
}

/* How its bytes travel, once that is known. @protocol: static */
void
spt_lease_set_protocol (SptLease *lease, const char *protocol)
{
  lease->consumer.protocol = protocol;
}

/* How it fares on its way to the viewer, told now and then. */
void
spt_lease_set_link (SptLease *lease, const SptLink *link)
{
  lease->link = *link;
  lease->has_link = TRUE;
}

/* (nullable): nobody has told */
const SptLink *
spt_lease_get_link (SptLease *lease)
{
  return lease->has_link ? &lease->link : NULL;
}

guint64
spt_lease_get_id (SptLease *lease)
{
  return lease->id;
}

/* The viewer is gone. Main context. */
void
spt_lease_free (SptLease *lease)
{
  spt_stream_drop_lease (lease->stream, lease);
  if (lease->node)
    spt_node_release (lease->node);
  g_object_unref (lease->track);
  g_clear_object (&lease->viewer);
  consumer_clear (&lease->consumer);
  g_object_unref (lease->stream);
  g_free (lease);
}
