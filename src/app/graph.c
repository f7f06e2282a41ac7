/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "graph.h"

#include "branch.h"
#include "chain.h"
#include "redact.h"
#include "track.h"
#include "viewer.h"

static void
append_label (GString *dot, const char *text)
{
  g_autofree char *safe = spt_redact (text);
  for (const char *c = safe; *c; c++) {
    if (*c == '"' || *c == '\\')
      g_string_append_c (dot, '\\');
    g_string_append_c (dot, *c == '\n' ? ' ' : *c);
  }
}

/* Tracks are drawn as nodes named by their address: unique, and the edges follow by themselves. */
static void
append_track (GString *dot, SptTrack *track)
{
  SptTrackStats stats;
  g_autoptr (GstCaps) caps = spt_track_get_caps (track);
  spt_track_get_stats (track, &stats);
  g_string_append_printf (dot, "  t%p [shape=cds, label=\"", (void *)track);
  append_label (dot, caps ? gst_structure_get_name (gst_caps_get_structure (caps, 0)) : "…");
  g_string_append_printf (dot, "\\n%" G_GUINT64_FORMAT " units, gop %u, %u viewers\"];\n",
      stats.units, stats.gop_units, stats.viewers);
}

static void
append_branch (GString *dot, SptBranch *branch)
{
  const char *element = spt_branch_get_element (branch);
  g_string_append_printf (dot, "  b%p [shape=box, label=\"", (void *)branch);
  append_label (dot, spt_branch_get_name (branch));
  if (element) {
    g_string_append (dot, "\\n");
    append_label (dot, element);
  }
  g_string_append (dot, "\"];\n");
  append_track (dot, spt_branch_get_track (branch));
  for (guint i = 0; spt_branch_get_input (branch, i); i++)
    g_string_append_printf (
        dot, "  t%p -> b%p;\n", (void *)spt_branch_get_input (branch, i), (void *)branch);
  g_string_append_printf (
      dot, "  b%p -> t%p;\n", (void *)branch, (void *)spt_branch_get_track (branch));
}

static void
append_viewer (GString *dot, SptLease *lease)
{
  const SptConsumer *who = spt_lease_get_consumer (lease);
  SptViewer *viewer = spt_lease_get_viewer (lease);
  SptViewerStats stats = {0};
  if (viewer)
    spt_viewer_get_stats (viewer, &stats);
  g_string_append_printf (dot, "  v%p [shape=ellipse, label=\"%s\\n", (void *)lease, who->format);
  append_label (dot, who->remote_addr ? who->remote_addr : "");
  g_string_append_printf (
      dot, "\\n%" G_GUINT64_FORMAT " drops, %u queued\"];\n", stats.drops, stats.queued_units);
  g_string_append_printf (
      dot, "  t%p -> v%p;\n", (void *)spt_lease_get_track (lease), (void *)lease);
}

/* (transfer full): DOT text, credentials removed */
char *
spt_graph_dot (SptStream *stream)
{
  GString *dot = g_string_new ("digraph stream {\n  rankdir=LR;\n");
  const char *const *sources = spt_stream_get_sources (stream);
  guint current = spt_stream_get_current (stream);
  g_string_append (dot, "  source [shape=box3d, label=\"");
  append_label (dot, current < g_strv_length ((char **)sources) ? sources[current] : "no source");
  g_string_append_printf (
      dot, "\\n%s\"];\n", spt_stream_state_name (spt_stream_get_state (stream)));
  for (guint i = 0; i < 2; i++) {
    SptTrack *track = spt_stream_get_track (stream, i);
    if (!spt_track_is_active (track))
      continue;
    append_track (dot, track);
    g_string_append_printf (dot, "  source -> t%p;\n", (void *)track);
  }
  g_autoptr (GList) nodes = spt_stream_list_branches (stream);
  for (GList *l = nodes; l; l = l->next)
    append_branch (dot, spt_node_get_branch (l->data));
  for (GList *l = spt_stream_list_leases (stream); l; l = l->next)
    append_viewer (dot, l->data);
  g_string_append (dot, "}\n");
  return g_string_free (dot, FALSE);
}
