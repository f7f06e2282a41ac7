/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For stream.c, which changes it, and stream-info.c, which tells about it. */
#pragma once

#include "chain.h"
#include "publisher.h"
#include "stream.h"

struct _SptStream {
  GObject parent;

  /* construct-only */
  char *name;
  SptStreamTimes times;

  /* main context */
  char **sources;
  GPtrArray *specs;
  guint current; /* index of the alternative in use */
  SptStreamState state;
  char *reason;
  char *failure; /* why the last try failed; still told when nobody wants the stream any more */
  gint64 since;  /* wall clock µs of the last change of state */
  guint retries;
  SptPublisher *publisher; /* who sends us the stream; its spec is the only one then */

  SptTrack *tracks[2];
  char *media[2]; /* what the branches were planned for */
  SptSource *source;
  gboolean closing;    /* the last source has not let go of its device yet */
  gboolean wanted;     /* start when it has */
  gboolean complete;   /* the source has shown all its pads */
  gboolean ended;      /* removed: nothing starts any more */
  gint64 started;      /* monotonic µs of the last start */
  gint64 active_since; /* monotonic µs of its first data; 0 before */

  SptChain *chain;
  GList *requests; /* of SptRequest, waiting */
  GList *leases;   /* of SptLease */

  guint retry_id, linger_id, watchdog_id;
};
