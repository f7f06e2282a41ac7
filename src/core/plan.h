/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How to get from what a source gives to what a viewer takes. Pure; no GStreamer state. */
#pragma once

#include "types.h"

typedef struct {
  const char *element; /* what it needs, by which it is chosen */
  const char *launch;  /* launch text between appsrc and appsink; {kbps} and {gop} are filled in */
} SptCandidate;

/* One step: a branch that makes another encoding of the same essence. */
struct _SptRecipe {
  const char *name; /* the word in graphs and in the API: "decode", "h264" */
  const char *from, *to;
  guint cost;
  const SptCandidate *candidates; /* best first; ended by a NULL element */
};

/* What is usable on this machine; NULL when nothing is. */
typedef const SptCandidate *(*SptUsable) (const SptRecipe *recipe);

GPtrArray *spt_plan (GstCaps *have, GstCaps *accept, SptUsable usable, GError **error);
