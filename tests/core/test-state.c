/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state.h"

static void
test_every_state_can_start_and_stop (void)
{
  for (int from = SPT_STREAM_IDLE; from <= SPT_STREAM_STOPPING; from++) {
    g_assert_nonnull (spt_stream_state_name (from));
    g_assert_false (spt_stream_state_may_follow (from, from));
    if (from != SPT_STREAM_IDLE && from != SPT_STREAM_STOPPING)
      g_assert_true (spt_stream_state_may_follow (from, SPT_STREAM_STOPPING));
    if (from != SPT_STREAM_STARTING)
      g_assert_true (spt_stream_state_may_follow (from, SPT_STREAM_STARTING));
  }
  g_assert_false (spt_stream_state_may_follow (SPT_STREAM_IDLE, SPT_STREAM_LIVE));
  g_assert_false (spt_stream_state_may_follow (SPT_STREAM_FAILED, SPT_STREAM_LIVE));
}

static void
test_retries_back_off_to_thirty_seconds (void)
{
  static const guint seconds[] = {1, 2, 4, 8, 16, 30, 30};
  for (guint i = 0; i < G_N_ELEMENTS (seconds); i++)
    g_assert_cmpuint (spt_stream_retry_delay (i, 1), ==, seconds[i] * 1000);
  g_assert_cmpuint (spt_stream_retry_delay (G_MAXUINT, 1), ==, 30000);
  g_assert_cmpuint (spt_stream_retry_delay (0, 1.2), ==, 1200);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/state/every-state-can-start-and-stop", test_every_state_can_start_and_stop);
  g_test_add_func (
      "/state/retries-back-off-to-thirty-seconds", test_retries_back_off_to_thirty_seconds);
  return g_test_run ();
}
