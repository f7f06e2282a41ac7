/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Another encoding or a container, made of tracks and published as a track. */
#pragma once

#include "plan.h"
#include "types.h"

/* A kind of container: what it takes, and how it is written. */
typedef struct _SptContainer SptContainer;
const SptContainer *spt_container_find (const char *name);
const char *spt_container_get_name (const SptContainer *container);
GstCaps *spt_container_accept_video (const SptContainer *container);
GstCaps *spt_container_accept_audio (const SptContainer *container);

#define SPT_TYPE_BRANCH (spt_branch_get_type ())
G_DECLARE_FINAL_TYPE (SptBranch, spt_branch, SPT, BRANCH, GObject)

/* Called on the main context when the branch broke and can give nothing more. */
typedef void (*SptBranchFailed) (SptBranch *branch, const GError *error, gpointer data);

const SptCandidate *spt_branch_usable (const SptRecipe *recipe);

SptBranch *spt_branch_new_recipe (
    const SptRecipe *recipe, SptTrack *input, const GstStructure *properties, GError **error);
SptBranch *spt_branch_new_container (
    const SptContainer *container, SptTrack *const *inputs, guint n, GError **error);
void spt_branch_start (SptBranch *self, SptBranchFailed failed, gpointer data);
void spt_branch_stop (SptBranch *self);

const char *spt_branch_get_name (SptBranch *self);
const char *spt_branch_get_element (SptBranch *self);
SptTrack *spt_branch_get_track (SptBranch *self);
SptTrack *spt_branch_get_input (SptBranch *self, guint index);
SptViewer *spt_branch_get_viewer (SptBranch *self);
GstElement *spt_branch_get_pipeline (SptBranch *self);
void spt_branch_set_properties (SptBranch *self, const GstStructure *properties);
GstStructure *spt_branch_get_stats (SptBranch *self);
