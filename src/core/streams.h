/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry: name → stream. */
#pragma once

#include "settings.h"
#include "stream.h"

#define SPT_TYPE_STREAMS (spt_streams_get_type ())
G_DECLARE_FINAL_TYPE (SptStreams, spt_streams, SPT, STREAMS, GObject)

void spt_streams_declare_options (SptSettings *settings);
SptStreams *spt_streams_new (SptSettings *settings);
void spt_streams_set_pose (SptStreams *self, const char *name, const GstStructure *pose);
SptStream *spt_streams_put (SptStreams *self, const char *name, const char *const *sources,
    gboolean trusted, GError **error);
gboolean spt_streams_remove (SptStreams *self, const char *name, GError **error);
SptStream *spt_streams_get (SptStreams *self, const char *name, GError **error);
GList *spt_streams_list (SptStreams *self);
void spt_streams_stop (SptStreams *self);
