/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The last segments of one fragment track and the playlists that name them. Pure; main context.
 *
 * A segment begins with a keyframe and is made of parts of about SPT_HLS_PART; RFC 8216 and
 * draft-pantos-hls-rfc8216bis (low latency). */
#pragma once

#include <gst/gst.h>

#define SPT_HLS_PART (500 * GST_MSECOND)

typedef struct _SptHlsRing SptHlsRing;

SptHlsRing *spt_hls_ring_new (void);
void spt_hls_ring_free (SptHlsRing *self);

void spt_hls_ring_set_init (SptHlsRing *self, GstBuffer *init, const char *codecs);
void spt_hls_ring_push (SptHlsRing *self, GstBuffer *fragment, gboolean first_track, gint64 wall);

gboolean spt_hls_ring_is_ready (SptHlsRing *self);
gboolean spt_hls_ring_has (SptHlsRing *self, guint64 segment, int part);
gboolean spt_hls_ring_is_too_far (SptHlsRing *self, guint64 segment);
gboolean spt_hls_ring_has_parts (SptHlsRing *self);
guint spt_hls_ring_target (SptHlsRing *self);

char *spt_hls_ring_master (SptHlsRing *self, const char *query);
char *spt_hls_ring_playlist (SptHlsRing *self, const char *query, gboolean low_latency);
GBytes *spt_hls_ring_get_init (SptHlsRing *self, guint version);
GBytes *spt_hls_ring_get (SptHlsRing *self, guint64 segment, int part);
