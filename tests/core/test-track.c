/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"
#include "track.h"
#include "viewer.h"

static const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 1000, GST_SECOND};

static SptTrack *
make_track (const char *media)
{
  SptTrack *track = spt_track_new ("test");
  g_autoptr (GstCaps) caps = gst_caps_new_empty_simple (media);
  spt_track_set_caps (track, caps);
  return track;
}

static guint
pop_ms (SptViewer *viewer)
{
  g_autoptr (GstSample) unit = spt_viewer_pop (viewer, NULL);
  return unit ? GST_BUFFER_PTS (gst_sample_get_buffer (unit)) / GST_MSECOND : G_MAXUINT;
}

static void
test_joiner_gets_the_group_of_pictures (void)
{
  g_autoptr (SptTrack) track = make_track ("video/x-h264");
  spt_track_push (track, harness_unit (0, 10, TRUE));
  spt_track_push (track, harness_unit (33, 10, TRUE));
  spt_track_push (track, harness_unit (66, 10, FALSE));
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  spt_track_attach (track, viewer, 0);
  spt_track_push (track, harness_unit (100, 10, FALSE));
  g_assert_cmpuint (pop_ms (viewer), ==, 33);
  g_assert_cmpuint (pop_ms (viewer), ==, 66);
  g_assert_cmpuint (pop_ms (viewer), ==, 100);
  g_assert_cmpuint (pop_ms (viewer), ==, G_MAXUINT);
  spt_track_detach (track, viewer);
}

static void
test_long_group_is_not_kept (void)
{
  g_autoptr (SptTrack) track = make_track ("video/x-h264");
  SptTrackStats stats;
  for (guint s = 0; s <= 11; s++)
    spt_track_push (track, harness_unit (s * 1000, 10, s == 0));
  spt_track_get_stats (track, &stats);
  g_assert_cmpuint (stats.gop_units, ==, 0);
  g_assert_cmpuint (stats.gop_resets, ==, 1);
  spt_track_push (track, harness_unit (12000, 10, TRUE));
  spt_track_get_stats (track, &stats);
  g_assert_cmpuint (stats.gop_units, ==, 1);
}

static void
test_large_group_is_not_kept (void)
{
  g_autoptr (SptTrack) track = make_track ("video/x-h264");
  SptTrackStats stats;
  for (guint i = 0; i < 10; i++)
    spt_track_push (track, harness_unit (i, 1 << 20, i == 0));
  spt_track_get_stats (track, &stats);
  g_assert_cmpuint (stats.gop_units, ==, 0);
}

static void
test_flush_forgets_but_keeps_viewers (void)
{
  g_autoptr (SptTrack) track = make_track ("video/x-h264");
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  spt_track_attach (track, viewer, 0);
  spt_track_push (track, harness_unit (0, 10, TRUE));
  g_assert_cmpuint (pop_ms (viewer), ==, 0);
  spt_track_flush (track);
  g_assert_false (spt_track_is_active (track));
  spt_track_push (track, harness_unit (5000, 10, TRUE));
  g_assert_cmpuint (pop_ms (viewer), ==, 5000);
  g_assert_false (spt_viewer_ended (viewer, NULL));
  spt_track_detach (track, viewer);
}

static void
test_end_reaches_viewers_and_joiners (void)
{
  g_autoptr (SptTrack) track = make_track ("video/x-h264");
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  g_autoptr (SptViewer) late = spt_viewer_new (&limits, NULL, NULL);
  g_autoptr (GError) reason = g_error_new (G_IO_ERROR, G_IO_ERROR_FAILED, "gone");
  g_autoptr (GError) heard = NULL;
  spt_track_attach (track, viewer, 0);
  spt_track_end (track, reason);
  g_assert_true (spt_viewer_ended (viewer, &heard));
  g_assert_cmpstr (heard->message, ==, "gone");
  spt_track_attach (track, late, 0);
  g_assert_true (spt_viewer_ended (late, NULL));
  spt_track_detach (track, viewer);
  spt_track_detach (track, late);
}

static void
test_pair_is_primed_in_time_order_without_early_sound (void)
{
  g_autoptr (SptTrack) video = make_track ("video/x-h264"), audio = make_track ("audio/mpeg");
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  for (guint ms = 0; ms < 200; ms += 20)
    spt_track_push (audio, harness_unit (ms, 4, TRUE));
  spt_track_push (video, harness_unit (100, 10, TRUE));
  spt_track_push (video, harness_unit (150, 10, FALSE));
  spt_track_attach_pair (video, audio, viewer);
  guint last = 0, pad, n = 0;
  GstSample *unit;
  while ((unit = spt_viewer_pop (viewer, &pad))) {
    guint ms = GST_BUFFER_PTS (gst_sample_get_buffer (unit)) / GST_MSECOND;
    g_assert_cmpuint (ms, >=, n ? last : 100);
    if (n++ == 0)
      g_assert_cmpuint (pad, ==, 0);
    last = ms;
    gst_sample_unref (unit);
  }
  g_assert_cmpuint (n, ==, 2 + 5); /* sound at 100 … 180 */
  spt_track_detach (video, viewer);
  spt_track_detach (audio, viewer);
}

static void
count (gpointer data)
{
  ++*(guint *)data;
}

static void
test_keyframe_requests_are_limited (void)
{
  g_autoptr (SptTrack) track = make_track ("video/x-h264");
  guint requests = 0;
  spt_track_set_keyframe_func (track, count, &requests);
  spt_track_request_keyframe (track);
  g_assert_cmpuint (requests, ==, 0); /* nothing runs yet */
  spt_track_push (track, harness_unit (0, 10, TRUE));
  for (guint i = 0; i < 100; i++)
    spt_track_request_keyframe (track);
  g_assert_cmpuint (requests, ==, 1);
}

static void
test_active_is_told_once_per_start (void)
{
  g_autoptr (SptTrack) track = make_track ("video/x-h264");
  guint active = 0;
  spt_track_set_active_func (track, count, &active);
  spt_track_push (track, harness_unit (0, 10, TRUE));
  spt_track_push (track, harness_unit (1, 10, TRUE));
  g_assert_cmpuint (active, ==, 1);
  spt_track_flush (track);
  spt_track_push (track, harness_unit (2, 10, TRUE));
  g_assert_cmpuint (active, ==, 2);
}

static void
test_order_is_told_by_more_than_one_step_back (void)
{
  static const guint late_start[] = {40, 38, 71, 104, 138},
                     reordered[] = {0, 100, 33, 66, 200, 133};
  g_autoptr (SptTrack) one = make_track ("video/x-h264");
  g_autoptr (SptTrack) other = make_track ("video/x-h264");
  for (guint i = 0; i < G_N_ELEMENTS (late_start); i++)
    spt_track_push (one, harness_unit (late_start[i], 10, i == 0));
  for (guint i = 0; i < G_N_ELEMENTS (reordered); i++)
    spt_track_push (other, harness_unit (reordered[i], 10, i == 0));
  g_assert_false (spt_track_reorders (one));
  g_assert_true (spt_track_reorders (other));
  spt_track_flush (other);
  g_assert_false (spt_track_reorders (other));
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func (
      "/track/joiner-gets-the-group-of-pictures", test_joiner_gets_the_group_of_pictures);
  g_test_add_func ("/track/long-group-is-not-kept", test_long_group_is_not_kept);
  g_test_add_func ("/track/large-group-is-not-kept", test_large_group_is_not_kept);
  g_test_add_func ("/track/flush-forgets-but-keeps-viewers", test_flush_forgets_but_keeps_viewers);
  g_test_add_func ("/track/end-reaches-viewers-and-joiners", test_end_reaches_viewers_and_joiners);
  g_test_add_func ("/track/pair-is-primed-in-time-order-without-early-sound",
      test_pair_is_primed_in_time_order_without_early_sound);
  g_test_add_func ("/track/keyframe-requests-are-limited", test_keyframe_requests_are_limited);
  g_test_add_func ("/track/order-is-told-by-more-than-one-step-back",
      test_order_is_told_by_more_than_one_step_back);
  g_test_add_func ("/track/active-is-told-once-per-start", test_active_is_told_once_per_start);
  return g_test_run ();
}
