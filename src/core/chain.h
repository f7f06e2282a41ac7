/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The branches of one stream: each exists at most once, as long as someone holds it. */
#pragma once

#include "branch.h"
#include "types.h"

/* One branch and who holds it. */
typedef struct _SptNode SptNode;
typedef struct _SptChain SptChain;

/* Called on the main context: a track became active, or a branch failed. */
typedef void (*SptChainChanged) (gpointer data);

SptChain *spt_chain_new (SptChainChanged changed, gpointer data);
void spt_chain_free (SptChain *self);

SptNode *spt_chain_recipe (
    SptChain *self, const SptRecipe *recipe, SptNode *parent, SptTrack *input, GError **error);
SptNode *spt_chain_container (SptChain *self, const SptContainer *container,
    SptNode *const *parents, SptTrack *const *inputs, guint n, GError **error);
SptNode *spt_node_hold (SptNode *node);
void spt_node_release (SptNode *node);
SptTrack *spt_node_get_track (SptNode *node);
SptBranch *spt_node_get_branch (SptNode *node);
const GError *spt_node_get_error (SptNode *node);

void spt_chain_watch (SptChain *self, SptTrack *track);
void spt_chain_flush (SptChain *self);
void spt_chain_end (SptChain *self, const GError *reason);
void spt_chain_set_properties (SptChain *self, const GstStructure *properties);
void spt_chain_set_linger (SptChain *self, guint ms);
GList *spt_chain_list (SptChain *self);
