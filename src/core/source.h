/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pipeline made from one source text; its elementary streams feed a video and an audio track. */
#pragma once

#include "types.h"

typedef struct {
  /* All elementary streams are known and linked. */
  void (*complete) (gpointer data);
  /* Nothing more will come: an error, or NULL at the end of what was played. */
  void (*ended) (const GError *error, gpointer data);
} SptSourceEvents;

#define SPT_TYPE_SOURCE (spt_source_get_type ())
G_DECLARE_FINAL_TYPE (SptSource, spt_source, SPT, SOURCE, GObject)

SptSource *spt_source_new (
    SptSpec *spec, SptTrack *video, SptTrack *audio, const SptSourceEvents *events, gpointer data);
gboolean spt_source_start (SptSource *self, GError **error);
void spt_source_stop (SptSource *self, GAsyncReadyCallback done, gpointer data);
gboolean spt_source_has_video (SptSource *self);
gboolean spt_source_has_audio (SptSource *self);
GstElement *spt_source_get_pipeline (SptSource *self);
