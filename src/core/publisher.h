/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Somebody who sends us a stream: RTP that a door receives, on its way into a source. */
#pragma once

#include "types.h"

#define SPT_PUBLISHER_LANES 2

typedef struct _SptPublisher SptPublisher;

SptPublisher *spt_publisher_new (GstCaps *const *caps, guint n, guint latency_ms);
SptPublisher *spt_publisher_ref (SptPublisher *self);
void spt_publisher_unref (SptPublisher *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SptPublisher, spt_publisher_unref)

guint spt_publisher_count (SptPublisher *self);
void spt_publisher_push (
    SptPublisher *self, guint lane, gboolean rtcp, const guint8 *packet, gsize size);
GstElement *spt_publisher_build (SptPublisher *self, GstBin *bin, GError **error);
