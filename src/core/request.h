/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A viewer's wish on its way to a lease. For stream.c only. */
#pragma once

#include "chain.h"
#include "stream.h"

typedef struct _SptRequest SptRequest;
typedef void (*SptRequestCancelled) (GCancellable *cancellable, gpointer request);

SptRequest *spt_request_new (GTask *task, const SptWant *want, const SptConsumer *consumer);
void spt_request_watch (SptRequest *self, GCancellable *cancellable, SptRequestCancelled cancelled);
SptStream *spt_request_get_stream (SptRequest *self);
gboolean spt_request_advance (SptRequest *self, SptChain *chain, SptTrack *const tracks[2]);
void spt_request_finish (SptRequest *self, SptStream *stream);
void spt_request_fail (SptRequest *self, const GError *error);

/* stream.c */
void spt_stream_add_lease (SptStream *self, SptLease *lease);
void spt_stream_drop_lease (SptStream *self, SptLease *lease);
