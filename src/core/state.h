/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The states of a stream and which may follow which. Pure. */
#pragma once

#include <glib.h>

typedef enum {
  SPT_STREAM_IDLE,
  SPT_STREAM_STARTING,
  SPT_STREAM_LIVE,
  SPT_STREAM_STALLED,
  SPT_STREAM_FAILED,
  SPT_STREAM_STOPPING,
} SptStreamState;

const char *spt_stream_state_name (SptStreamState state);
gboolean spt_stream_state_may_follow (SptStreamState from, SptStreamState to);
guint spt_stream_retry_delay (guint retries, double jitter);
