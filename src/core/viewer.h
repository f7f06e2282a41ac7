/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One who is fed by a track, or by a video and an audio track together: a bounded queue of shared
 * units (a unit is a GstSample: one access unit, frame or fragment with its caps). */
#pragma once

#include "types.h"

/* What a viewer gives up when it is too slow. */
typedef enum {
  SPT_DROP_TO_KEYFRAME, /* empties the queue and goes on with the next keyframe */
  SPT_DROP_TO_NEWEST,   /* goes on with the newest unit: for pictures that stand alone */
} SptDropPolicy;

typedef struct {
  SptDropPolicy policy;
  gsize max_bytes;       /* queued beyond the prime */
  GstClockTime max_time; /* ns between the oldest and the newest queued unit, beyond the prime */
} SptViewerLimits;

typedef struct {
  guint64 units, bytes; /* taken out of the queue */
  guint64 drops;        /* units lost to slowness */
  gsize queued_bytes;
  guint queued_units;
} SptViewerStats;

#define SPT_TYPE_VIEWER (spt_viewer_get_type ())
G_DECLARE_FINAL_TYPE (SptViewer, spt_viewer, SPT, VIEWER, GObject)

/* Called when something can be taken out, or the end was reached; see spt_viewer_new(). */
typedef void (*SptViewerNotify) (SptViewer *viewer, gpointer data);
/* Takes one unit; FALSE leaves it in the queue and stops the drain. Called under the viewer's lock.
 */
typedef gboolean (*SptViewerTake) (GstSample *unit, guint pad, gpointer data);

SptViewer *spt_viewer_new (const SptViewerLimits *limits, SptViewerNotify notify, gpointer data);
void spt_viewer_set_notify (SptViewer *self, SptViewerNotify notify, gpointer data);
GstSample *spt_viewer_pop (SptViewer *self, guint *pad);
void spt_viewer_drain (SptViewer *self, SptViewerTake take, gpointer data);
gboolean spt_viewer_has_data (SptViewer *self);
gboolean spt_viewer_ended (SptViewer *self, GError **reason);
void spt_viewer_end (SptViewer *self, const GError *reason);
void spt_viewer_silence (SptViewer *self);
void spt_viewer_get_stats (SptViewer *self, SptViewerStats *stats);

/* For tracks. */
void spt_viewer_prime (SptViewer *self, GstSample *unit, guint pad);
void spt_viewer_resync (SptViewer *self);
gboolean spt_viewer_offer (SptViewer *self, GstSample *unit, guint pad);
void spt_viewer_notify (SptViewer *self);
