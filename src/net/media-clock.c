/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "media-clock.h"

struct _SptMediaClock {
  gatomicrefcount refs;

  /* under lock */
  GMutex lock;
  gboolean has_rtp, has_origin;
  guint32 base;
  guint rate;
  gint64 origin;
};

static GHashTable *clocks; /* name → SptMediaClock; main context */

SptMediaClock *
spt_media_clock_new (void)
{
  SptMediaClock *self = g_new0 (SptMediaClock, 1);
  g_atomic_ref_count_init (&self->refs);
  g_mutex_init (&self->lock);
  return self;
}

SptMediaClock *
spt_media_clock_ref (SptMediaClock *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
spt_media_clock_unref (SptMediaClock *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_mutex_clear (&self->lock);
  g_free (self);
}

/* @base: the RTP timestamp of PTS 0; @rate: of the RTP clock, Hz */
void
spt_media_clock_set_rtp (SptMediaClock *self, guint32 base, guint rate)
{
  g_mutex_lock (&self->lock);
  self->base = base;
  self->rate = rate;
  self->has_rtp = TRUE;
  g_mutex_unlock (&self->lock);
}

/* @origin: the PTS that is second 0 of the viewer's media, ns */
void
spt_media_clock_set_origin (SptMediaClock *self, gint64 origin)
{
  g_mutex_lock (&self->lock);
  self->origin = origin;
  self->has_origin = TRUE;
  g_mutex_unlock (&self->lock);
}

/* FALSE while the viewer has none. */
gboolean
spt_media_clock_rtp (SptMediaClock *self, GstClockTime pts, guint32 *timestamp)
{
  g_mutex_lock (&self->lock);
  gboolean has = self->has_rtp;
  if (has)
    *timestamp = self->base + (guint32)gst_util_uint64_scale (pts, self->rate, GST_SECOND);
  g_mutex_unlock (&self->lock);
  return has;
}

/* FALSE while the viewer has none. */
gboolean
spt_media_clock_time (SptMediaClock *self, GstClockTime pts, double *seconds)
{
  g_mutex_lock (&self->lock);
  gboolean has = self->has_origin;
  if (has)
    *seconds = (double)((gint64)pts - self->origin) / 1e9;
  g_mutex_unlock (&self->lock);
  return has;
}

/* @name: see spt_random_id() */
void
spt_media_clock_publish (SptMediaClock *self, const char *name)
{
  if (!clocks)
    clocks = g_hash_table_new_full (
        g_str_hash, g_str_equal, g_free, (GDestroyNotify)spt_media_clock_unref);
  g_hash_table_replace (clocks, g_strdup (name), spt_media_clock_ref (self));
}

/* Also one that was never published. */
void
spt_media_clock_withdraw (const char *name)
{
  if (clocks && g_hash_table_remove (clocks, name) && !g_hash_table_size (clocks))
    g_clear_pointer (&clocks, g_hash_table_unref);
}

/* (transfer full) (nullable) */
SptMediaClock *
spt_media_clock_find (const char *name)
{
  SptMediaClock *clock = clocks ? g_hash_table_lookup (clocks, name) : NULL;
  return clock ? spt_media_clock_ref (clock) : NULL;
}
