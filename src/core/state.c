/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "state.h"

#define RETRY_MAX_MS 30000

#define TO(state) (1u << SPT_STREAM_##state)

static const struct {
  const char *name;
  guint next;
} states[] = {
    [SPT_STREAM_IDLE] = {"idle", TO (STARTING)},
    [SPT_STREAM_STARTING] = {"starting", TO (LIVE) | TO (FAILED) | TO (STOPPING)},
    [SPT_STREAM_LIVE] = {"live", TO (STALLED) | TO (FAILED) | TO (STOPPING) | TO (STARTING)},
    [SPT_STREAM_STALLED] = {"stalled", TO (FAILED) | TO (STARTING) | TO (STOPPING)},
    [SPT_STREAM_FAILED] = {"failed", TO (STARTING) | TO (STOPPING)},
    [SPT_STREAM_STOPPING] = {"stopping", TO (IDLE) | TO (STARTING)},
};

const char *
spt_stream_state_name (SptStreamState state)
{
  return states[state].name;
}

gboolean
spt_stream_state_may_follow (SptStreamState from, SptStreamState to)
{
  return (states[from].next & (1u << to)) != 0;
}

/**
 * spt_stream_retry_delay:
 * @retries: how often it was tried in vain already
 * @jitter: 0.8 … 1.2, so that many streams of one dead host do not come back at once
 *
 * Returns: ms: 1, 2, 4 … 30 s
 */
guint
spt_stream_retry_delay (guint retries, double jitter)
{
  return (guint)(MIN (1000u << MIN (retries, 5u), RETRY_MAX_MS) * jitter);
}
