/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pose-keeper.h"

#include "ask.h"
#include "track.h"

/* Until a stream that gives no poses is asked again. */
#define AGAIN_S 30

struct _SptPoseKeeper {
  SptStreams *streams;
  GHashTable *kept; /* SptStream → Kept */
};

/* A lease that nobody watches: the detector runs. */
typedef struct {
  SptStream *stream;
  SptAsk *ask;
  SptLease *lease;
  guint pause; /* seconds */
} Kept;

static void
kept_free (gpointer data)
{
  Kept *self = data;
  g_clear_pointer (&self->ask, spt_ask_take_back);
  g_clear_pointer (&self->lease, spt_lease_free);
  g_object_unref (self->stream);
  g_free (self);
}

static void
on_kept (SptLease *lease, const GError *error, gpointer data)
{
  Kept *self = data;
  self->ask = NULL;
  self->lease = lease;
  self->pause = lease ? 0 : AGAIN_S;
}

static gboolean
is_removed (gpointer key, gpointer value, gpointer data)
{
  return spt_streams_get (data, spt_stream_get_name (key), NULL) != key;
}

/* Once a second. */
void
spt_pose_keeper_tick (SptPoseKeeper *self)
{
  static const SptWant want = {.container = "pose", .overlay = "meta", .no_audio = TRUE};
  static const SptConsumer consumer = {"pose/always", "none", NULL, NULL};
  g_autoptr (GList) streams = spt_streams_list (self->streams);
  g_hash_table_foreach_remove (self->kept, is_removed, self->streams);
  for (GList *l = streams; l; l = l->next) {
    Kept *kept = g_hash_table_lookup (self->kept, l->data);
    if (!kept) {
      kept = g_new0 (Kept, 1);
      kept->stream = g_object_ref (l->data);
      g_hash_table_insert (self->kept, kept->stream, kept);
    }
    if (kept->lease && spt_track_has_ended (spt_lease_get_track (kept->lease)))
      g_clear_pointer (&kept->lease, spt_lease_free);
    if (!kept->lease && !kept->ask && (!kept->pause || !--kept->pause))
      kept->ask = spt_ask (kept->stream, &want, &consumer, on_kept, kept);
  }
}

/* @streams: must outlive it */
SptPoseKeeper *
spt_pose_keeper_new (SptStreams *streams)
{
  SptPoseKeeper *self = g_new (SptPoseKeeper, 1);
  self->streams = streams;
  self->kept = g_hash_table_new_full (NULL, NULL, NULL, kept_free);
  return self;
}

void
spt_pose_keeper_free (SptPoseKeeper *self)
{
  g_hash_table_unref (self->kept);
  g_free (self);
}
