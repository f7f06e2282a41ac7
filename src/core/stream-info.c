/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be seen of a stream. All on the main context. */
#include "config.h"

#include "error.h"
#include "source.h"
#include "stream-private.h"
#include "track.h"

const char *
spt_stream_get_name (SptStream *self)
{
  return self->name;
}

/* (array zero-terminated=1): as given, with credentials */
const char *const *
spt_stream_get_sources (SptStream *self)
{
  return (const char *const *)self->sources;
}

SptStreamState
spt_stream_get_state (SptStream *self)
{
  return self->state;
}

/* (nullable): why it is in this state, redacted */
const char *
spt_stream_get_reason (SptStream *self)
{
  return self->reason;
}

/* Wall clock, µs */
gint64
spt_stream_get_since (SptStream *self)
{
  return self->since;
}

guint
spt_stream_get_retries (SptStream *self)
{
  return self->retries;
}

/* The index of the source in use */
guint
spt_stream_get_current (SptStream *self)
{
  return self->current;
}

SptTrack *
spt_stream_get_track (SptStream *self, gboolean audio)
{
  return self->tracks[audio ? 1 : 0];
}

/* (transfer container) (element-type SptNode) */
GList *
spt_stream_list_branches (SptStream *self)
{
  return self->chain ? spt_chain_list (self->chain) : NULL;
}

/* (transfer none) (element-type SptLease) */
GList *
spt_stream_list_leases (SptStream *self)
{
  return self->leases;
}

/* (transfer none) (nullable): the running source's */
GstElement *
spt_stream_get_pipeline (SptStream *self)
{
  return self->source ? spt_source_get_pipeline (self->source) : NULL;
}

/* TRUE when somebody may publish into the stream now; else FORBIDDEN, why not. */
gboolean
spt_stream_may_publish (SptStream *self, GError **error)
{
  if (!self->ended && !self->specs->len)
    return TRUE;
  g_set_error (error, SPT_ERROR, SPT_ERROR_FORBIDDEN,
      self->ended       ? "the stream %s was removed"
      : self->publisher ? "the stream %s has a publisher already"
                        : "the stream %s has a source of its own: only one without can be "
                          "published to",
      self->name);
  return FALSE;
}

/* (transfer none) (nullable): who sends us the stream now */
SptPublisher *
spt_stream_get_publisher (SptStream *self)
{
  return self->publisher;
}
