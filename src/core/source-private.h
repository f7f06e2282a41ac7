/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For source.c, the life and the tails of a source, and source-kinds.c, what it begins with. */
#pragma once

#include "source.h"
#include "spec.h"

struct _SptSource {
  GObject parent;

  /* construct-only */
  SptSpec *spec;
  SptTrack *tracks[2]; /* video, audio */
  SptSourceEvents events;
  gpointer data;

  /* main context */
  gboolean running;

  /* set before the pipeline starts; kept until the end, because streaming threads add to it */
  GstElement *pipeline;
  GstElement *camera; /* v4l2src, whose mode is chosen when it is open */
  GstElement *camera_mode;
  gboolean live;
  gboolean loop;

  /* under lock; streaming threads link pads */
  GMutex lock;
  GstElement *taps[2];
  GPtrArray *syncs;  /* clocksync elements, borrowed from the pipeline */
  guint published;   /* bits: media of a publisher that have begun */
  guint parsers;     /* parsebins that have not shown all their pads */
  gboolean all_pads; /* the element before them has shown all its pads */
  gboolean offset_set;
  gboolean completed;
  gint64 offset; /* ns; written before the data that needs it passes */
};

gboolean spt_source_build (SptSource *self, GError **error);

/* For builders: an element (nullable: it is missing), a pad that is there, one that has come, and
 * that these were all. */
GstElement *spt_source_add_element (SptSource *self, const char *name);
void spt_source_add_pad (SptSource *self, GstPad *pad);
void spt_source_pad_added (GstElement *element, GstPad *pad, gpointer self);
void spt_source_all_pads (GstElement *element, gpointer self);
