/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A node is found by what it is made of: its recipe or container and its inputs. A branch that has
 * lost its last holder lingers, because a viewer often comes right back; one that failed leaves the
 * table at once, so that the next viewer gets a fresh one. All on the main context. */
#include "config.h"

#include "chain.h"

#include "error.h"
#include "track.h"

GST_DEBUG_CATEGORY_STATIC (spotter_chain);
#define GST_CAT_DEFAULT spotter_chain

struct _SptNode {
  SptChain *chain;
  char *key;
  SptBranch *branch;
  SptNode *parents[2]; /* held */
  guint holds;
  guint linger_id;
  GError *error; /* failed: no longer in the table */
};

/* Shared with callbacks that may still be queued when the chain is gone. */
struct _SptChain {
  gatomicrefcount refs; /* streaming threads take one for an idle call */
  GHashTable *nodes;    /* key → SptNode, borrowed: a node leaves when it dies */
  GQueue order;
  guint linger_ms;
  GstStructure *properties; /* (nullable) */
  SptChainChanged changed;
  gpointer data;
};

static void
chain_unref (gpointer data)
{
  SptChain *self = data;
  if (g_atomic_ref_count_dec (&self->refs)) {
    g_hash_table_unref (self->nodes);
    g_clear_pointer (&self->properties, gst_structure_free);
    g_free (self);
  }
}

SptChain *
spt_chain_new (SptChainChanged changed, gpointer data)
{
  static gsize once;
  if (g_once_init_enter (&once)) {
    GST_DEBUG_CATEGORY_INIT (spotter_chain, "spotter-chain", 0, "branches of a stream");
    g_once_init_leave (&once, 1);
  }
  SptChain *self = g_new0 (SptChain, 1);
  g_atomic_ref_count_init (&self->refs);
  self->nodes = g_hash_table_new (g_str_hash, g_str_equal);
  self->changed = changed;
  self->data = data;
  return self;
}

void
spt_chain_set_linger (SptChain *self, guint ms)
{
  self->linger_ms = ms;
}

/* @properties: (nullable): of all branches, now and later (spt_branch_set_properties()) */
void
spt_chain_set_properties (SptChain *self, const GstStructure *properties)
{
  g_clear_pointer (&self->properties, gst_structure_free);
  self->properties = properties ? gst_structure_copy (properties) : NULL;
  for (GList *l = self->order.head; properties && l; l = l->next)
    spt_branch_set_properties (spt_node_get_branch (l->data), properties);
}

static gboolean
changed_on_main (gpointer data)
{
  SptChain *self = data;
  if (self->changed)
    self->changed (self->data);
  return G_SOURCE_REMOVE;
}

static void
notify_changed (gpointer data)
{
  SptChain *self = data;
  g_atomic_ref_count_inc (&self->refs);
  g_idle_add_full (G_PRIORITY_DEFAULT, changed_on_main, self, chain_unref);
}

/**
 * spt_chain_watch:
 *
 * Calls the changed function when @track gets its first unit. The chain must outlive the track's
 * producer.
 */
void
spt_chain_watch (SptChain *self, SptTrack *track)
{
  spt_track_set_active_func (track, notify_changed, self);
}

static void
forget (SptNode *node)
{
  if (g_hash_table_lookup (node->chain->nodes, node->key) == node)
    g_hash_table_remove (node->chain->nodes, node->key);
}

static void
node_free (SptNode *node)
{
  GST_INFO ("%s: stopped", node->key);
  forget (node);
  g_queue_remove (&node->chain->order, node);
  spt_track_set_active_func (spt_node_get_track (node), NULL, NULL);
  spt_branch_stop (node->branch);
  /* A viewer that still sits on it hears that nothing more comes. */
  spt_track_end (spt_node_get_track (node), node->error);
  g_object_unref (node->branch);
  for (guint i = 0; i < 2; i++)
    if (node->parents[i])
      spt_node_release (node->parents[i]);
  g_clear_error (&node->error);
  g_free (node->key);
  chain_unref (node->chain);
  g_free (node);
}

static gboolean
linger_over (gpointer data)
{
  SptNode *node = data;
  node->linger_id = 0;
  node_free (node);
  return G_SOURCE_REMOVE;
}

SptNode *
spt_node_hold (SptNode *node)
{
  node->holds++;
  g_clear_handle_id (&node->linger_id, g_source_remove);
  return node;
}

/* Gives back a hold; the last one starts the linger, or ends a failed branch. */
void
spt_node_release (SptNode *node)
{
  g_return_if_fail (node->holds > 0);
  if (--node->holds)
    return;
  if (node->error || !node->chain->linger_ms)
    node_free (node);
  else
    node->linger_id = g_timeout_add (node->chain->linger_ms, linger_over, node);
}

SptTrack *
spt_node_get_track (SptNode *node)
{
  return spt_branch_get_track (node->branch);
}

SptBranch *
spt_node_get_branch (SptNode *node)
{
  return node->branch;
}

/* (nullable): why it can give nothing more */
const GError *
spt_node_get_error (SptNode *node)
{
  return node->error;
}

static void
fail (SptNode *node, const GError *reason)
{
  if (!node->error)
    node->error = g_error_copy (reason);
  forget (node);
  spt_branch_stop (node->branch);
  spt_track_end (spt_node_get_track (node), reason);
}

/* A list of all nodes, each held; drop_all() gives the holds back and frees what nobody else has.
 */
static GList *
hold_all (SptChain *self)
{
  GList *nodes = g_list_copy (self->order.head);
  for (GList *l = nodes; l; l = l->next)
    spt_node_hold (l->data);
  return nodes;
}

static void
drop_all (GList *nodes)
{
  g_list_free_full (nodes, (GDestroyNotify)spt_node_release);
}

static gboolean
is_dead (SptNode *parent)
{
  return parent && parent->error;
}

static void
on_branch_failed (SptBranch *branch, const GError *error, gpointer data)
{
  SptNode *node = data;
  SptChain *chain = node->chain;
  GST_WARNING ("%s: %s", node->key, error->message);
  GList *nodes = hold_all (chain);
  fail (node, error);
  /* What hangs behind it gets nothing any more either; parents stand before their children. */
  for (GList *l = nodes; l; l = l->next) {
    SptNode *child = l->data;
    if (!child->error && (is_dead (child->parents[0]) || is_dead (child->parents[1])))
      fail (child, error);
  }
  notify_changed (chain);
  drop_all (nodes);
}

static SptNode *
find (SptChain *self, const char *key)
{
  SptNode *node = g_hash_table_lookup (self->nodes, key);
  return node ? spt_node_hold (node) : NULL;
}

static SptNode *
add (SptChain *self, const char *key, SptBranch *branch, SptNode *const *parents, guint n)
{
  SptNode *node = g_new0 (SptNode, 1);
  g_atomic_ref_count_inc (&self->refs);
  node->chain = self;
  node->key = g_strdup (key);
  node->branch = branch;
  node->holds = 1;
  for (guint i = 0; i < n; i++)
    node->parents[i] = parents[i] ? spt_node_hold (parents[i]) : NULL;
  g_hash_table_insert (self->nodes, node->key, node);
  g_queue_push_tail (&self->order, node);
  GST_INFO ("%s: started%s%s", key, spt_branch_get_element (branch) ? " with " : "",
      spt_branch_get_element (branch) ? spt_branch_get_element (branch) : "");
  spt_chain_watch (self, spt_branch_get_track (branch));
  spt_branch_start (branch, on_branch_failed, node);
  return node;
}

static const char *
input_key (SptNode *parent, SptTrack *input)
{
  return parent ? parent->key : spt_track_get_name (input);
}

/**
 * spt_chain_recipe:
 * @parent: (nullable): the node @input belongs to; NULL for a track of the source
 * @input: active
 *
 * Returns: (transfer full): a hold on the one branch that does this
 */
SptNode *
spt_chain_recipe (
    SptChain *self, const SptRecipe *recipe, SptNode *parent, SptTrack *input, GError **error)
{
  g_autofree char *key = g_strconcat (input_key (parent, input), "/", recipe->name, NULL);
  SptNode *node = find (self, key);
  if (node)
    return node;
  SptBranch *branch = spt_branch_new_recipe (recipe, input, self->properties, error);
  return branch ? add (self, key, branch, &parent, 1) : NULL;
}

/* As spt_chain_recipe(), for a container fed by one or two tracks. */
SptNode *
spt_chain_container (SptChain *self, const SptContainer *container, SptNode *const *parents,
    SptTrack *const *inputs, guint n, GError **error)
{
  const char *first = input_key (parents[0], inputs[0]);
  const char *second = n > 1 ? input_key (parents[1], inputs[1]) : NULL;
  g_autofree char *key = g_strconcat (first, second ? "+" : "", second ? second : "", "/",
      spt_container_get_name (container), NULL);
  SptNode *node = find (self, key);
  if (node)
    return node;
  SptBranch *branch = spt_branch_new_container (container, inputs, n, error);
  return branch ? add (self, key, branch, parents, n) : NULL;
}

/* The source stops or restarts: what its branches have cached is of no time any more. */
void
spt_chain_flush (SptChain *self)
{
  for (GList *l = self->order.head; l; l = l->next)
    spt_track_flush (spt_node_get_track (l->data));
}

/**
 * spt_chain_end:
 * @reason: (nullable): what viewers hear
 *
 * Ends every branch; holds stay valid and only need to be given back.
 */
void
spt_chain_end (SptChain *self, const GError *reason)
{
  g_autoptr (GError) ended = reason ? g_error_copy (reason)
                                    : g_error_new (SPT_ERROR, SPT_ERROR_FAILED, "the stream ended");
  GList *nodes = hold_all (self);
  for (GList *l = nodes; l; l = l->next)
    fail (l->data, ended);
  drop_all (nodes);
}

/* (transfer container) (element-type SptNode): in the order they were made */
GList *
spt_chain_list (SptChain *self)
{
  return g_list_copy (self->order.head);
}

/* Ends all; nothing is called back any more. */
void
spt_chain_free (SptChain *self)
{
  self->changed = NULL;
  spt_chain_end (self, NULL);
  chain_unref (self);
}
