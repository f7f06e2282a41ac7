/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "ask.h"

struct _SptAsk {
  GCancellable *cancellable;
  SptAnswered answered; /* NULL: taken back */
  gpointer data;
};

static void
on_answer (GObject *object, GAsyncResult *result, gpointer data)
{
  SptAsk *self = data;
  g_autoptr (GError) error = NULL;
  SptLease *lease = spt_stream_request_finish (SPT_STREAM (object), result, &error);
  if (self->answered)
    self->answered (lease, error, self->data);
  else
    g_clear_pointer (&lease, spt_lease_free);
  g_object_unref (self->cancellable);
  g_free (self);
}

/**
 * spt_ask:
 * @want: copied
 * @consumer: copied
 * @answered: called once, not before this returns, unless the question is taken back; @data may go
 *   then
 */
SptAsk *
spt_ask (SptStream *stream, const SptWant *want, const SptConsumer *consumer, SptAnswered answered,
    gpointer data)
{
  SptAsk *self = g_new (SptAsk, 1);
  *self = (SptAsk){g_cancellable_new (), answered, data};
  spt_stream_request_async (stream, want, consumer, self->cancellable, on_answer, self);
  return self;
}

/* Nobody waits for the answer any more: it is not called. */
void
spt_ask_take_back (SptAsk *self)
{
  g_autoptr (GCancellable) cancellable = g_object_ref (self->cancellable);
  self->answered = NULL;
  g_cancellable_cancel (cancellable);
}
