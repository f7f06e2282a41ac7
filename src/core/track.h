/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One encoding of one essence: the hub between what produces units and the viewers that are fed. */
#pragma once

#include "types.h"

/* A field of caps in plans: some pictures are shown later than others that come after them. */
#define SPT_REORDERS "reorders"

typedef struct {
  guint64 units, bytes, keyframes; /* pushed so far */
  guint64 gop_resets;              /* times the cache was given up for size or length */
  guint gop_units;
  gsize gop_bytes;
  GstClockTime gop_time; /* ns from the first to the last cached unit */
  guint viewers;
  GstClockTime last_push; /* monotonic ns of the last unit; 0 when none */
} SptTrackStats;

/* Forces a keyframe at the producer; see spt_track_set_keyframe_func(). */
typedef void (*SptKeyframeFunc) (gpointer data);
/* The first unit after creation or a flush; see spt_track_set_active_func(). */
typedef void (*SptActiveFunc) (gpointer data);
/* Primes a joiner its own way; see spt_track_attach_with(). */
typedef void (*SptPrimeFunc) (SptViewer *viewer, GList *units, gpointer data);

#define SPT_TYPE_TRACK (spt_track_get_type ())
G_DECLARE_FINAL_TYPE (SptTrack, spt_track, SPT, TRACK, GObject)

SptTrack *spt_track_new (const char *name);
const char *spt_track_get_name (SptTrack *self);

/* the producer */
void spt_track_set_keyframe_func (SptTrack *self, SptKeyframeFunc func, gpointer data);
void spt_track_set_active_func (SptTrack *self, SptActiveFunc func, gpointer data);
void spt_track_set_caps (SptTrack *self, GstCaps *caps);
void spt_track_push (SptTrack *self, GstBuffer *unit);
void spt_track_flush (SptTrack *self);
void spt_track_end (SptTrack *self, const GError *reason);

/* the viewers */
void spt_track_attach (SptTrack *self, SptViewer *viewer, guint pad);
void spt_track_attach_with (SptTrack *self, SptViewer *viewer, SptPrimeFunc prime, gpointer data);
void spt_track_attach_pair (SptTrack *video, SptTrack *audio, SptViewer *viewer);
void spt_track_detach (SptTrack *self, SptViewer *viewer);
void spt_track_request_keyframe (SptTrack *self);

GstCaps *spt_track_get_caps (SptTrack *self);
GstClockTime spt_track_newest_pts (SptTrack *self);
gboolean spt_track_is_active (SptTrack *self);
gboolean spt_track_has_ended (SptTrack *self);
gboolean spt_track_reorders (SptTrack *self);
void spt_track_get_stats (SptTrack *self, SptTrackStats *stats);
