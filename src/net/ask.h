/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One question of a door to a stream, which can be taken back. Main context. */
#pragma once

#include "stream.h"

typedef struct _SptAsk SptAsk;

/* @lease: (transfer full) (nullable): NULL: @error says why. The question is over: forget it. */
typedef void (*SptAnswered) (SptLease *lease, const GError *error, gpointer data);

SptAsk *spt_ask (SptStream *stream, const SptWant *want, const SptConsumer *consumer,
    SptAnswered answered, gpointer data);
SptAsk *spt_ask_active (SptStream *stream, const SptWant *want, const SptConsumer *consumer,
    SptAnswered answered, gpointer data);
void spt_ask_take_back (SptAsk *self);
