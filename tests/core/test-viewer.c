/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"
#include "viewer.h"

static void
offer (SptViewer *viewer, guint ms, gsize size, gboolean keyframe, guint pad)
{
  g_autoptr (GstBuffer) buffer = harness_unit (ms, size, keyframe);
  g_autoptr (GstSample) unit = gst_sample_new (buffer, NULL, NULL, NULL);
  spt_viewer_offer (viewer, unit, pad);
}

static guint
queued (SptViewer *viewer)
{
  SptViewerStats stats;
  spt_viewer_get_stats (viewer, &stats);
  return stats.queued_units;
}

static guint64
drops (SptViewer *viewer)
{
  SptViewerStats stats;
  spt_viewer_get_stats (viewer, &stats);
  return stats.drops;
}

static void
test_overflow_goes_on_at_the_next_keyframe (void)
{
  const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 100, GST_SECOND};
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  offer (viewer, 0, 60, TRUE, 0);
  offer (viewer, 1, 60, FALSE, 0); /* overflow: both go */
  g_assert_cmpuint (queued (viewer), ==, 0);
  offer (viewer, 2, 10, FALSE, 0);
  offer (viewer, 2, 10, TRUE, 1); /* sound is no keyframe */
  g_assert_cmpuint (queued (viewer), ==, 0);
  offer (viewer, 3, 10, TRUE, 0);
  offer (viewer, 4, 10, FALSE, 0);
  offer (viewer, 4, 10, TRUE, 1);
  g_assert_cmpuint (queued (viewer), ==, 3);
  g_assert_cmpuint (drops (viewer), ==, 4);
}

static void
test_time_is_a_bound_too (void)
{
  const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 1 << 20, 100 * GST_MSECOND};
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  for (guint ms = 0; ms < 10000; ms += 10)
    offer (viewer, ms, 1, ms % 500 == 0, 0);
  g_assert_cmpuint (queued (viewer), <=, 13);
  g_assert_cmpuint (drops (viewer), >, 900);
}

static void
test_newest_picture_wins (void)
{
  const SptViewerLimits limits = {SPT_DROP_TO_NEWEST, 1 << 20, 100 * GST_MSECOND};
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  for (guint ms = 0; ms <= 100; ms += 50)
    offer (viewer, ms, 10, TRUE, 0);
  g_assert_cmpuint (queued (viewer), ==, 3); /* a hiccup costs nothing */
  offer (viewer, 150, 10, TRUE, 0);
  g_assert_cmpuint (queued (viewer), ==, 1);
  g_assert_cmpuint (drops (viewer), ==, 3);
  g_autoptr (GstSample) unit = spt_viewer_pop (viewer, NULL);
  g_assert_cmpuint (GST_BUFFER_PTS (gst_sample_get_buffer (unit)), ==, 150 * GST_MSECOND);
}

static void
test_prime_may_exceed_the_bound_once (void)
{
  const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 100, GST_SECOND};
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  for (guint i = 0; i < 10; i++) {
    g_autoptr (GstBuffer) buffer = harness_unit (i * 1000, 100, i == 0);
    g_autoptr (GstSample) unit = gst_sample_new (buffer, NULL, NULL, NULL);
    spt_viewer_prime (viewer, unit, 0);
  }
  offer (viewer, 10000, 50, FALSE, 0);
  g_assert_cmpuint (queued (viewer), ==, 11);
  for (guint i = 0; i < 11; i++)
    gst_sample_unref (spt_viewer_pop (viewer, NULL));
  offer (viewer, 10001, 60, TRUE, 0);
  offer (viewer, 10002, 60, FALSE, 0);
  g_assert_cmpuint (queued (viewer), ==, 0);
}

static gboolean
take_two (GstSample *unit, guint pad, gpointer data)
{
  return ++*(guint *)data <= 2;
}

static void
test_drain_leaves_what_was_not_taken (void)
{
  const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 1000, GST_SECOND};
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  guint taken = 0;
  for (guint i = 0; i < 5; i++)
    offer (viewer, i, 10, TRUE, 0);
  spt_viewer_drain (viewer, take_two, &taken);
  g_assert_cmpuint (queued (viewer), ==, 3);
  g_autoptr (GstSample) unit = spt_viewer_pop (viewer, NULL);
  g_assert_cmpuint (GST_BUFFER_PTS (gst_sample_get_buffer (unit)), ==, 2 * GST_MSECOND);
}

static void
on_notify (SptViewer *viewer, gpointer data)
{
  ++*(guint *)data;
}

static void
test_end_is_told_once_and_silence_is_kept (void)
{
  const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 1000, GST_SECOND};
  guint told = 0;
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, on_notify, &told);
  spt_viewer_end (viewer, NULL);
  spt_viewer_end (viewer, NULL);
  g_assert_cmpuint (told, ==, 1);
  spt_viewer_silence (viewer);
  spt_viewer_notify (viewer);
  g_assert_cmpuint (told, ==, 1);
}

static void
test_queue_survives_long_use (void)
{
  const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 1 << 20, GST_SECOND};
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  for (guint i = 0; i < 10000; i++) {
    offer (viewer, i, 1, TRUE, 0);
    if (i >= 50) {
      g_autoptr (GstSample) unit = spt_viewer_pop (viewer, NULL);
      g_assert_cmpuint (GST_BUFFER_PTS (gst_sample_get_buffer (unit)), ==, (i - 50) * GST_MSECOND);
    }
  }
  g_assert_cmpuint (queued (viewer), ==, 50);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func (
      "/viewer/overflow-goes-on-at-the-next-keyframe", test_overflow_goes_on_at_the_next_keyframe);
  g_test_add_func ("/viewer/time-is-a-bound-too", test_time_is_a_bound_too);
  g_test_add_func ("/viewer/newest-picture-wins", test_newest_picture_wins);
  g_test_add_func ("/viewer/prime-may-exceed-the-bound-once", test_prime_may_exceed_the_bound_once);
  g_test_add_func ("/viewer/drain-leaves-what-was-not-taken", test_drain_leaves_what_was_not_taken);
  g_test_add_func (
      "/viewer/end-is-told-once-and-silence-is-kept", test_end_is_told_once_and_silence_is_kept);
  g_test_add_func ("/viewer/queue-survives-long-use", test_queue_survives_long_use);
  return g_test_run ();
}
