/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The named thing users see: sources, the tracks they feed, branches, and who is watching. */
#pragma once

#include "publisher.h"
#include "state.h"
#include "types.h"

/* What a door wants for one viewer. */
typedef struct {
  const char *container; /* "mp4", "ts", "rtp" …; NULL: the elementary stream itself */
  GstCaps *video;        /* (nullable): narrows what the container takes; needed without one */
  GstCaps *audio;        /* (nullable): narrows what the container takes */
  gboolean no_video, no_audio;
  const char *overlay; /* (nullable): SPT_OVERLAY_… (plan.h); static */
} SptWant;

/* Who a lease is for; what /api/streams shows as a consumer. */
typedef struct {
  const char *format;             /* "mp4", "mjpeg" … static */
  const char *protocol;           /* "http", "rtsp+tcp" … static */
  char *remote_addr, *user_agent; /* (nullable) */
} SptConsumer;

/* What a door knows of the way to its viewer. */
typedef struct {
  double bitrate; /* bits per second */
  double loss;    /* 0 … 1 */
  double rtt_ms;  /* round trip */
  guint64 nacks;  /* packets asked for again */
  guint keyframes_asked;
} SptLink;

typedef struct {
  guint linger_ms; /* how long a source and a branch outlive their last viewer */
  guint stall_ms;  /* no unit for so long is a failure */
  guint start_ms;  /* no first unit for so long is a failure */
} SptStreamTimes;

#define SPT_TYPE_STREAM (spt_stream_get_type ())
G_DECLARE_FINAL_TYPE (SptStream, spt_stream, SPT, STREAM, GObject)

gboolean spt_stream_name_is_valid (const char *name);
SptStream *spt_stream_new (const char *name, const SptStreamTimes *times);
gboolean spt_stream_set_sources (
    SptStream *self, const char *const *sources, gboolean trusted, GError **error);
void spt_stream_set_pose (SptStream *self, const GstStructure *options);
void spt_stream_end (SptStream *self);

gboolean spt_stream_may_publish (SptStream *self, GError **error);
gboolean spt_stream_publish (SptStream *self, SptPublisher *publisher, GError **error);
SptPublisher *spt_stream_get_publisher (SptStream *self);
void spt_stream_unpublish (SptStream *self, SptPublisher *publisher);

void spt_stream_request_async (SptStream *self, const SptWant *want, const SptConsumer *consumer,
    GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data);
SptLease *spt_stream_request_finish (SptStream *self, GAsyncResult *result, GError **error);
SptTrack *spt_lease_get_track (SptLease *lease);
SptStream *spt_lease_get_stream (SptLease *lease);
void spt_lease_set_viewer (SptLease *lease, SptViewer *viewer);
SptViewer *spt_lease_get_viewer (SptLease *lease);
const SptConsumer *spt_lease_get_consumer (SptLease *lease);
void spt_lease_set_protocol (SptLease *lease, const char *protocol);
void spt_lease_set_link (SptLease *lease, const SptLink *link);
const SptLink *spt_lease_get_link (SptLease *lease);
guint64 spt_lease_get_id (SptLease *lease);
void spt_lease_free (SptLease *lease);

const char *spt_stream_get_name (SptStream *self);
const char *const *spt_stream_get_sources (SptStream *self);
SptStreamState spt_stream_get_state (SptStream *self);
const char *spt_stream_get_reason (SptStream *self);
gint64 spt_stream_get_since (SptStream *self);
guint spt_stream_get_retries (SptStream *self);
guint spt_stream_get_current (SptStream *self);
SptTrack *spt_stream_get_track (SptStream *self, gboolean audio);
GList *spt_stream_list_branches (SptStream *self);
GList *spt_stream_list_leases (SptStream *self);
GstElement *spt_stream_get_pipeline (SptStream *self);
