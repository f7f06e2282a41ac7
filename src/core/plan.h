/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How to get from what a source gives to what a viewer takes. Pure; no GStreamer state. */
#pragma once

#include "types.h"

typedef struct {
  const char *element; /* what it needs, by which it is chosen */
  const char *launch;  /* launch text between appsrc and appsink; {kbps} and {gop} are filled in */
} SptCandidate;

/* A field of caps in the plan: what is drawn into the picture, or known of it. */
#define SPT_OVERLAY "overlay"
#define SPT_OVERLAY_NONE "none"
#define SPT_OVERLAY_META "meta"         /* not drawn: a GstPoseMeta goes with each picture */
#define SPT_OVERLAY_POSE "pose"         /* skeletons in the picture */
#define SPT_OVERLAY_SKELETON "skeleton" /* skeletons, and nothing else of the picture */

/* One step: a branch that makes another encoding of the same essence. */
struct _SptRecipe {
  const char *name; /* the word in graphs and in the API: "decode", "h264" */
  const char *from, *to;
  guint cost;
  const SptCandidate *candidates; /* best first; ended by a NULL element */
  gboolean newest;                /* too slow for all pictures: only the newest counts */
};

/* What is usable on this machine; NULL when nothing is. */
typedef const SptCandidate *(*SptUsable) (const SptRecipe *recipe);

GPtrArray *spt_plan (GstCaps *have, GstCaps *accept, SptUsable usable, GError **error);
