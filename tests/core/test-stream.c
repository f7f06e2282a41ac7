/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streams with real pipelines behind them: start, share, linger, retry, restart, removal. */
#include <dirent.h>
#include <string.h>

#include "branch.h"
#include "chain.h"
#include "error.h"
#include "harness.h"
#include "pipeline.h"
#include "stream.h"
#include "track.h"
#include "viewer.h"

static const SptStreamTimes quick = {.linger_ms = 0, .stall_ms = 1000, .start_ms = 10000};
static const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 16 << 20, 3 * GST_SECOND};
static const SptConsumer nobody = {.format = "test"};

#define LIVE_H264                                                                                  \
  "gst:videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! " \
  "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30"

typedef struct {
  SptLease *lease;
  GError *error;
  gboolean done;
} Answer;

static void
on_answer (GObject *object, GAsyncResult *result, gpointer data)
{
  Answer *answer = data;
  answer->lease = spt_stream_request_finish (SPT_STREAM (object), result, &answer->error);
  answer->done = TRUE;
}

static SptStream *
make_stream (const char *first, const char *second)
{
  const char *sources[] = {first, second, NULL};
  g_autoptr (GError) error = NULL;
  SptStream *stream = spt_stream_new ("test", &quick);
  spt_stream_set_sources (stream, sources, TRUE, &error);
  g_assert_no_error (error);
  return stream;
}

static void
ask (SptStream *stream, const char *container, Answer *answer)
{
  SptWant want = {.container = container};
  *answer = (Answer){0};
  spt_stream_request_async (stream, &want, &nobody, NULL, on_answer, answer);
}

static SptLease *
get (SptStream *stream, const char *container)
{
  Answer answer;
  ask (stream, container, &answer);
  WAIT_FOR (answer.done);
  g_assert_no_error (answer.error);
  return answer.lease;
}

static void
end (SptStream *stream)
{
  spt_stream_end (stream);
  spt_pipeline_wait_stopped ();
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_finalize_object (stream);
}

static guint
count_branches (SptStream *stream, const char *name)
{
  g_autoptr (GList) nodes = spt_stream_list_branches (stream);
  guint n = 0;
  for (GList *l = nodes; l; l = l->next)
    n += !name || g_str_equal (spt_branch_get_name (spt_node_get_branch (l->data)), name);
  return n;
}

static guint64
units (SptViewer *viewer)
{
  SptViewerStats stats;
  spt_viewer_get_stats (viewer, &stats);
  return stats.units + stats.queued_units;
}

static void
test_starts_on_demand_and_stops_after_the_last (void)
{
  SptStream *stream = make_stream ("test:ball", NULL);
  g_assert_cmpint (spt_stream_get_state (stream), ==, SPT_STREAM_IDLE);
  SptLease *lease = get (stream, "mp4");
  g_assert_cmpint (spt_stream_get_state (stream), ==, SPT_STREAM_LIVE);
  spt_lease_free (lease);
  WAIT_FOR (spt_stream_get_state (stream) == SPT_STREAM_IDLE);
  g_assert_cmpuint (count_branches (stream, NULL), ==, 0);
  end (stream);
}

static void
test_passthrough_has_no_codec (void)
{
  SptStream *stream = make_stream (LIVE_H264, NULL);
  SptLease *leases[20];
  for (guint i = 0; i < G_N_ELEMENTS (leases); i++)
    leases[i] = get (stream, "mp4");
  g_assert_cmpuint (count_branches (stream, NULL), ==, 1);
  g_assert_cmpuint (count_branches (stream, "mp4"), ==, 1);
  for (guint i = 0; i < G_N_ELEMENTS (leases); i++)
    spt_lease_free (leases[i]);
  end (stream);
}

static void
test_raw_is_encoded_once_for_all (void)
{
  SptStream *stream = make_stream ("test:smpte", NULL);
  static const char *const containers[] = {"mp4", "ts", "mjpeg", "mp4", "ts", "mjpeg"};
  SptLease *leases[6];
  for (guint i = 0; i < 6; i++)
    leases[i] = get (stream, containers[i]);
  g_assert_cmpuint (count_branches (stream, "h264"), ==, 1);
  g_assert_cmpuint (count_branches (stream, "jpeg"), ==, 1);
  g_assert_cmpuint (count_branches (stream, "aac"), ==, 1);
  g_assert_cmpuint (count_branches (stream, "decode"), ==, 0);
  g_assert_cmpuint (count_branches (stream, NULL), ==, 6);
  for (guint i = 0; i < 6; i++)
    spt_lease_free (leases[i]);
  end (stream);
}

static void
test_joiner_is_served_from_the_cache (void)
{
  SptStream *stream = make_stream (LIVE_H264, NULL);
  SptLease *first = get (stream, "mp4");
  SptTrackStats stats = {0};
  WAIT_FOR ((spt_track_get_stats (spt_lease_get_track (first), &stats), stats.gop_units > 3));
  SptLease *second = get (stream, "mp4");
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  spt_track_attach (spt_lease_get_track (second), viewer, 0);
  g_assert_true (spt_viewer_has_data (viewer)); /* at once */
  g_autoptr (GstSample) unit = spt_viewer_pop (viewer, NULL);
  g_assert_false (
      GST_BUFFER_FLAG_IS_SET (gst_sample_get_buffer (unit), GST_BUFFER_FLAG_DELTA_UNIT));
  spt_track_detach (spt_lease_get_track (second), viewer);
  spt_lease_free (first);
  spt_lease_free (second);
  end (stream);
}

static void
test_failed_source_says_why (void)
{
  Answer answer;
  SptStream *stream = make_stream ("file:///nonexistent/film.mp4", NULL);
  ask (stream, "mp4", &answer);
  WAIT_FOR (answer.done);
  g_assert_error (answer.error, SPT_ERROR, SPT_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (answer.error->message, "/nonexistent/film.mp4"));
  WAIT_FOR (spt_stream_get_state (stream) == SPT_STREAM_IDLE); /* nobody wants it any more … */
  g_assert_cmpstr (
      spt_stream_get_reason (stream), ==, answer.error->message); /* … but we know why */
  g_clear_error (&answer.error);
  end (stream);
}

static void
test_alternatives_are_tried_in_order (void)
{
  SptStream *stream = make_stream ("file:///nonexistent.mp4", "test:ball");
  SptLease *lease = get (stream, "mp4");
  g_assert_cmpuint (spt_stream_get_current (stream), ==, 1);
  spt_lease_free (lease);
  end (stream);
}

static void
test_viewer_goes_on_over_new_sources (void)
{
  SptStream *stream = make_stream (LIVE_H264, NULL);
  SptLease *lease = get (stream, "mp4");
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  spt_track_attach (spt_lease_get_track (lease), viewer, 0);
  WAIT_FOR (units (viewer) > 5);
  const char *other[] = {LIVE_H264 " ! h264parse", NULL};
  g_assert_true (spt_stream_set_sources (stream, other, TRUE, NULL));
  guint64 before = units (viewer);
  WAIT_FOR (units (viewer) > before + 30);
  GstClockTime last = 0;
  GstSample *unit;
  while ((unit = spt_viewer_pop (viewer, NULL))) {
    GstClockTime pts = GST_BUFFER_PTS (gst_sample_get_buffer (unit));
    g_assert_cmpuint (pts, >, last);
    last = pts;
    gst_sample_unref (unit);
  }
  g_assert_false (spt_viewer_ended (viewer, NULL));
  spt_track_detach (spt_lease_get_track (lease), viewer);
  spt_lease_free (lease);
  end (stream);
}

static void
test_equal_sources_restart_nothing (void)
{
  SptStream *stream = make_stream ("test:ball", NULL);
  SptLease *lease = get (stream, "mp4");
  gint64 since = spt_stream_get_since (stream);
  const char *same[] = {"test:ball", NULL};
  g_assert_true (spt_stream_set_sources (stream, same, FALSE, NULL));
  g_assert_cmpint (spt_stream_get_state (stream), ==, SPT_STREAM_LIVE);
  g_assert_cmpint (spt_stream_get_since (stream), ==, since);
  spt_lease_free (lease);
  end (stream);
}

static void
test_removal_ends_viewers (void)
{
  SptStream *stream = make_stream ("test:ball", NULL);
  SptLease *lease = get (stream, "mjpeg");
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  spt_track_attach (spt_lease_get_track (lease), viewer, 0);
  WAIT_FOR (units (viewer) > 0);
  spt_stream_end (stream);
  while (spt_viewer_has_data (viewer))
    gst_sample_unref (spt_viewer_pop (viewer, NULL));
  g_assert_true (spt_viewer_ended (viewer, NULL));
  spt_track_detach (spt_lease_get_track (lease), viewer);
  spt_lease_free (lease);
  end (stream);
}

static void
test_silent_source_is_stalled_and_failed (void)
{
  /* Ten frames, then nothing and no end. */
  SptStream *stream = make_stream ("gst:videotestsrc is-live=true ! "
                                   "video/x-raw,format=I420,width=64,height=64,framerate=30/1 ! "
                                   "valve name=v ! identity eos-after=-1 drop-probability=0.0",
      NULL);
  SptLease *lease = get (stream, "mjpeg");
  g_autoptr (GstElement) valve =
      gst_bin_get_by_name (GST_BIN (spt_stream_get_pipeline (stream)), "v");
  g_object_set (valve, "drop", TRUE, NULL);
  WAIT_FOR (spt_stream_get_state (stream) == SPT_STREAM_FAILED);
  g_assert_nonnull (strstr (spt_stream_get_reason (stream), "no data"));
  WAIT_FOR (spt_stream_get_state (stream) == SPT_STREAM_LIVE); /* and back by itself */
  spt_lease_free (lease);
  end (stream);
}

static void
test_cancelled_request_leaves_nothing (void)
{
  SptStream *stream = make_stream ("test:ball", NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  SptWant want = {.container = "mp4"};
  Answer answer = {0};
  spt_stream_request_async (stream, &want, &nobody, cancellable, on_answer, &answer);
  g_cancellable_cancel (cancellable);
  WAIT_FOR (answer.done);
  g_assert_error (answer.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&answer.error);
  WAIT_FOR (spt_stream_get_state (stream) == SPT_STREAM_IDLE);
  end (stream);
}

static guint
entries (const char *directory)
{
  guint n = 0;
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  while (dir && g_dir_read_name (dir))
    n++;
  return n;
}

/* A thousand joins and leaves on a running stream: a sibling sees no gap, nothing is left behind.
 */
static void
test_thousand_joins_leave_nothing (void)
{
  SptStream *stream = make_stream (LIVE_H264, NULL);
  SptLease *sibling = get (stream, "mp4");
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  spt_track_attach (spt_lease_get_track (sibling), viewer, 0);
  SptLease *warm = get (stream, "ts");
  guint fds = entries ("/proc/self/fd"), threads = entries ("/proc/self/task");
  gint64 longest = 0, last = g_get_monotonic_time ();
  for (guint i = 0; i < 1000; i++) {
    SptLease *lease = get (stream, i % 2 ? "mp4" : "ts");
    g_autoptr (SptViewer) joiner = spt_viewer_new (&limits, NULL, NULL);
    spt_track_attach (spt_lease_get_track (lease), joiner, 0);
    spt_track_detach (spt_lease_get_track (lease), joiner);
    spt_lease_free (lease);
    while (spt_viewer_has_data (viewer)) {
      gst_sample_unref (spt_viewer_pop (viewer, NULL));
      longest = MAX (longest, g_get_monotonic_time () - last);
      last = g_get_monotonic_time ();
    }
  }
  for (guint i = 0; i < 5; i++) { /* whole branches come and go too */
    SptLease *picture = get (stream, "mjpeg");
    spt_lease_free (picture);
  }
  spt_pipeline_wait_stopped ();
  SptViewerStats stats;
  spt_viewer_get_stats (viewer, &stats);
  g_assert_cmpuint (stats.drops, ==, 0);
  WAIT_FOR (entries ("/proc/self/task") <= threads + 2);
  WAIT_FOR (entries ("/proc/self/fd") <= fds + 2);
  g_test_message ("longest gap of the sibling: %" G_GINT64_FORMAT " ms", longest / 1000);
  spt_track_detach (spt_lease_get_track (sibling), viewer);
  spt_lease_free (sibling);
  spt_lease_free (warm);
  end (stream);
}

static void
test_names (void)
{
  g_autofree char *longest = g_strnfill (64, 'a'), *longer = g_strnfill (65, 'a');
  g_assert_true (spt_stream_name_is_valid ("cam-1_2.x"));
  g_assert_true (spt_stream_name_is_valid (longest));
  g_assert_false (spt_stream_name_is_valid (longer));
  g_assert_false (spt_stream_name_is_valid (""));
  g_assert_false (spt_stream_name_is_valid (".hidden"));
  g_assert_false (spt_stream_name_is_valid ("a/b"));
  g_assert_false (spt_stream_name_is_valid ("käse"));
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/stream/names", test_names);
  g_test_add_func ("/stream/starts-on-demand-and-stops-after-the-last",
      test_starts_on_demand_and_stops_after_the_last);
  g_test_add_func ("/stream/passthrough-has-no-codec", test_passthrough_has_no_codec);
  g_test_add_func ("/stream/raw-is-encoded-once-for-all", test_raw_is_encoded_once_for_all);
  g_test_add_func ("/stream/joiner-is-served-from-the-cache", test_joiner_is_served_from_the_cache);
  g_test_add_func ("/stream/failed-source-says-why", test_failed_source_says_why);
  g_test_add_func ("/stream/alternatives-are-tried-in-order", test_alternatives_are_tried_in_order);
  g_test_add_func ("/stream/viewer-goes-on-over-new-sources", test_viewer_goes_on_over_new_sources);
  g_test_add_func ("/stream/equal-sources-restart-nothing", test_equal_sources_restart_nothing);
  g_test_add_func ("/stream/removal-ends-viewers", test_removal_ends_viewers);
  g_test_add_func (
      "/stream/silent-source-is-stalled-and-failed", test_silent_source_is_stalled_and_failed);
  g_test_add_func (
      "/stream/cancelled-request-leaves-nothing", test_cancelled_request_leaves_nothing);
  g_test_add_func ("/stream/thousand-joins-leave-nothing", test_thousand_joins_leave_nothing);
  return g_test_run ();
}
