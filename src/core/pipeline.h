/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What sources and branches share: pipelines on the one clock and base time of the process, their
 * end in a track, their errors as one sentence, and stopping without blocking the main context. */
#pragma once

#include "types.h"

GstClockTime spt_clock_now (void);
gint64 spt_clock_wall (GstClockTime running);

GstElement *spt_pipeline_new (const char *name);

/* Called on the main context: an error, or (with NULL) the end of the stream. */
typedef void (*SptPipelineEnded) (const GError *error, gpointer data);
void spt_pipeline_watch (GstElement *pipeline, SptPipelineEnded ended, gpointer data);
void spt_pipeline_unwatch (GstElement *pipeline);

GstElement *spt_pipeline_add_tap (GstBin *bin, SptTrack *track, const gint64 *offset);
void spt_pipeline_force_keyframe (GstElement *appsink);

typedef gboolean (*SptPipelinePrepare) (gpointer data, GError **error);
gboolean spt_pipeline_start (
    GstElement *pipeline, SptPipelinePrepare prepare, gpointer data, GError **error);
void spt_pipeline_stop (GstElement *pipeline, GAsyncReadyCallback done, gpointer data);
void spt_pipeline_wait_stopped (void);
