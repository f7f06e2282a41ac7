/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When a frame is shown, in one viewer's own time: what pairs a pose with its picture in a page.
 *
 * A viewer's session makes one, says what it knows as soon as it knows, and gives it a name that
 * nobody can guess; who knows the name may read it. Reading and telling on any thread, the table on
 * the main context. */
#pragma once

#include <gst/gst.h>

typedef struct _SptMediaClock SptMediaClock;

SptMediaClock *spt_media_clock_new (void);
SptMediaClock *spt_media_clock_ref (SptMediaClock *self);
void spt_media_clock_unref (SptMediaClock *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SptMediaClock, spt_media_clock_unref)
void spt_media_clock_set_rtp (SptMediaClock *self, guint32 base, guint rate);
void spt_media_clock_set_origin (SptMediaClock *self, gint64 origin);
gboolean spt_media_clock_rtp (SptMediaClock *self, GstClockTime pts, guint32 *timestamp);
gboolean spt_media_clock_time (SptMediaClock *self, GstClockTime pts, double *seconds);

void spt_media_clock_publish (SptMediaClock *self, const char *name);
void spt_media_clock_withdraw (const char *name);
SptMediaClock *spt_media_clock_find (const char *name);
