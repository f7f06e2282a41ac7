/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "hls-ring.h"

#define FRAME (GST_SECOND / 30)
#define WALL (1795380000 * (gint64)GST_SECOND)

static SptHlsRing *
make_ring (void)
{
  SptHlsRing *ring = spt_hls_ring_new ();
  g_autoptr (GstBuffer) init = gst_buffer_new_memdup ("init", 4);
  spt_hls_ring_set_init (ring, init, "avc1.64001F");
  return ring;
}

static void
push (SptHlsRing *ring, GstClockTime pts, gboolean keyframe, gsize size)
{
  g_autoptr (GstBuffer) fragment = gst_buffer_new_allocate (NULL, size, NULL);
  gst_buffer_memset (fragment, 0, (guint8)(pts / FRAME), size);
  GST_BUFFER_PTS (fragment) = pts;
  if (!keyframe)
    GST_BUFFER_FLAG_SET (fragment, GST_BUFFER_FLAG_DELTA_UNIT);
  spt_hls_ring_push (ring, fragment, TRUE, WALL + (gint64)pts);
}

/* So many pictures from `*pts` on, a keyframe every `gop` of them. */
static void
push_many (SptHlsRing *ring, GstClockTime *pts, guint n, guint gop, GstClockTime frame)
{
  for (guint i = 0; i < n; i++, *pts += frame)
    push (ring, *pts, i % gop == 0, 100);
}

static guint
count (const char *text, const char *word)
{
  guint n = 0;
  for (const char *at = text; (at = strstr (at, word)); at += strlen (word))
    n++;
  return n;
}

static guint64
number_after (const char *text, const char *word)
{
  const char *at = strstr (text, word);
  g_assert_nonnull (at);
  return g_ascii_strtoull (at + strlen (word), NULL, 10);
}

static void
test_segments_begin_with_keyframes (void)
{
  SptHlsRing *ring = make_ring ();
  GstClockTime pts = 0;
  push_many (ring, &pts, 59, 60, FRAME);
  g_assert_false (spt_hls_ring_is_ready (ring));
  pts = 0;
  spt_hls_ring_free (ring);
  ring = make_ring ();
  push_many (ring, &pts, 60 * 4 + 5, 60, FRAME);
  g_autofree char *text = spt_hls_ring_playlist (ring, "src=x", FALSE);
  g_assert_cmpuint (count (text, "#EXTINF:2.00000,"), ==, 4);
  g_assert_cmpuint (count (text, "EXT-X-PART"), ==, 0);
  g_assert_cmpuint (number_after (text, "#EXT-X-TARGETDURATION:"), ==, 2);
  guint64 first = number_after (text, "#EXT-X-MEDIA-SEQUENCE:");
  g_autoptr (GBytes) whole = spt_hls_ring_get (ring, first, -1);
  g_assert_cmpuint (g_bytes_get_size (whole), ==, 60 * 100);
  g_assert_false (spt_hls_ring_has (ring, first + 4, -1));
  g_assert_null (spt_hls_ring_get (ring, first + 4, -1));
  spt_hls_ring_free (ring);
}

static void
test_parts_are_even_and_make_the_segment (void)
{
  SptHlsRing *ring = make_ring ();
  GstClockTime pts = 0;
  push_many (ring, &pts, 60 + 20, 60, FRAME);
  g_autofree char *text = spt_hls_ring_playlist (ring, "src=x", TRUE);
  guint64 first = number_after (text, "#EXT-X-MEDIA-SEQUENCE:");
  gsize size = 0;
  for (int part = 0; part < 4; part++) {
    g_assert_true (spt_hls_ring_has (ring, first, part));
    g_autoptr (GBytes) bytes = spt_hls_ring_get (ring, first, part);
    size += g_bytes_get_size (bytes);
  }
  g_assert_cmpuint (size, ==, 60 * 100);
  g_assert_true (spt_hls_ring_has (ring, first, 4)); /* the next segment's first */
  g_assert_false (spt_hls_ring_has (ring, first + 1, 1));
  g_assert_cmpuint (count (text, "#EXT-X-PRELOAD-HINT"), ==, 1);
  spt_hls_ring_free (ring);
}

static void
test_a_gap_is_a_discontinuity (void)
{
  SptHlsRing *ring = make_ring ();
  GstClockTime pts = 0;
  push_many (ring, &pts, 90, 60, FRAME);
  pts += 20 * GST_SECOND;
  push_many (ring, &pts, 70, 60, FRAME);
  g_autofree char *text = spt_hls_ring_playlist (ring, "src=x", FALSE);
  g_assert_cmpuint (count (text, "#EXT-X-DISCONTINUITY\n"), ==, 1);
  g_assert_cmpuint (number_after (text, "#EXT-X-TARGETDURATION:"), ==, 2);
  push_many (ring, &pts, 60 * 20, 60, FRAME); /* it leaves the playlist */
  g_autofree char *later = spt_hls_ring_playlist (ring, "src=x", FALSE);
  g_assert_cmpuint (count (later, "#EXT-X-DISCONTINUITY\n"), ==, 0);
  g_assert_cmpuint (number_after (later, "#EXT-X-DISCONTINUITY-SEQUENCE:"), ==, 1);
  spt_hls_ring_free (ring);
}

static void
test_slow_pictures_make_no_parts_and_no_gaps (void)
{
  SptHlsRing *ring = make_ring ();
  GstClockTime pts = 0;
  push_many (ring, &pts, 12, 1, 1500 * GST_MSECOND);
  g_autofree char *text = spt_hls_ring_playlist (ring, "src=x", TRUE);
  g_autofree char *master = spt_hls_ring_master (ring, "src=x");
  g_assert_false (spt_hls_ring_has_parts (ring));
  g_assert_cmpuint (count (text, "DISCONTINUITY\n"), ==, 0);
  g_assert_cmpuint (count (text, "#EXTINF:3.00000,"), ==, 5);
  g_assert_null (strstr (master, "inf"));
  spt_hls_ring_free (ring);
}

/* A camera or its network that stumbled thrice a day lost low latency for ever. */
static void
test_hiccups_leave_low_latency_on (void)
{
  SptHlsRing *ring = make_ring ();
  GstClockTime pts = 0;
  push_many (ring, &pts, 300, 60, FRAME);
  for (guint i = 0; i < 3; i++) {
    pts += 300 * GST_MSECOND;
    push_many (ring, &pts, 3, 60, FRAME);
    g_assert_true (spt_hls_ring_has_parts (ring));
  }
  for (guint i = 0; i < 50; i++) {
    pts += 300 * GST_MSECOND;
    push_many (ring, &pts, 60, 60, FRAME);
    g_assert_true (spt_hls_ring_has_parts (ring));
  }
  spt_hls_ring_free (ring);
}

static void
test_pictures_may_become_slow_and_quick_again (void)
{
  SptHlsRing *ring = make_ring ();
  GstClockTime pts = 0;
  push_many (ring, &pts, 3000, 60, FRAME);
  g_assert_true (spt_hls_ring_has_parts (ring));
  push_many (ring, &pts, 20, 60, 500 * GST_MSECOND);
  g_assert_false (spt_hls_ring_has_parts (ring));
  push_many (ring, &pts, 1000, 60, 500 * GST_MSECOND);
  g_assert_false (spt_hls_ring_has_parts (ring));
  push_many (ring, &pts, 300, 60, FRAME);
  g_assert_true (spt_hls_ring_has_parts (ring));
  spt_hls_ring_free (ring);
}

static void
test_all_who_ask_share_the_same_bytes (void)
{
  SptHlsRing *ring = make_ring ();
  GstClockTime pts = 0;
  push_many (ring, &pts, 60 + 20, 60, FRAME);
  g_autofree char *text = spt_hls_ring_playlist (ring, "src=x", FALSE);
  guint64 n = number_after (text, "#EXT-X-MEDIA-SEQUENCE:");
  g_autoptr (GBytes) part = spt_hls_ring_get (ring, n, 1);
  g_autoptr (GBytes) part_again = spt_hls_ring_get (ring, n, 1);
  g_assert_true (part == part_again);
  g_autoptr (GBytes) under_way = spt_hls_ring_get (ring, n + 1, 0); /* closed; its segment is not */
  g_autoptr (GBytes) under_way_again = spt_hls_ring_get (ring, n + 1, 0);
  g_assert_true (under_way == under_way_again);
  g_autoptr (GBytes) whole = spt_hls_ring_get (ring, n, -1);
  g_autoptr (GBytes) whole_again = spt_hls_ring_get (ring, n, -1);
  g_assert_true (whole == whole_again);

  /* One block: the parts are slices of the whole, with the bytes that they had before. */
  const guint8 *data = g_bytes_get_data (whole, NULL);
  gsize offset = 0;
  for (int i = 0; i < 4; i++) {
    g_autoptr (GBytes) slice = spt_hls_ring_get (ring, n, i);
    g_assert_true (g_bytes_get_data (slice, NULL) == data + offset);
    g_assert_true (i != 1 || g_bytes_equal (slice, part));
    offset += g_bytes_get_size (slice);
  }
  g_assert_cmpuint (offset, ==, g_bytes_get_size (whole));
  for (gsize i = 0; i < offset; i++)
    g_assert_cmpuint (data[i], ==, i / 100);
  spt_hls_ring_free (ring);
}

static void
test_another_init_segment (void)
{
  SptHlsRing *ring = make_ring ();
  g_autoptr (GstBuffer) init = gst_buffer_new_memdup ("second", 6);
  GstClockTime pts = 0;
  push_many (ring, &pts, 70, 60, FRAME);
  spt_hls_ring_set_init (ring, init, "avc1.640028");
  push_many (ring, &pts, 70, 60, FRAME);
  g_autofree char *text = spt_hls_ring_playlist (ring, "src=x", FALSE);
  g_assert_cmpuint (count (text, "#EXT-X-MAP:"), ==, 2);
  g_assert_cmpuint (count (text, "#EXT-X-DISCONTINUITY\n"), ==, 1);
  const char *last = g_strrstr (text, "&v=");
  g_autoptr (GBytes) bytes =
      spt_hls_ring_get_init (ring, (guint)g_ascii_strtoull (last + 3, NULL, 10));
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, 6);
  spt_hls_ring_free (ring);
}

static void
test_a_segment_without_an_end_is_bounded (void)
{
  SptHlsRing *ring = make_ring ();
  GstClockTime pts = 0;
  push_many (ring, &pts, 61, 60, FRAME);
  guint64 n = 0;
  g_autofree char *before = spt_hls_ring_playlist (ring, "src=x", FALSE);
  n = number_after (before, "#EXT-X-MEDIA-SEQUENCE:") + 1;
  for (guint i = 0; i < 2000; i++, pts += FRAME) /* full when 23 parts are; the last stays empty */
    push (ring, pts, FALSE, 97600);
  push_many (ring, &pts, 61, 60, FRAME);
  gsize size = 0;
  for (int part = 0; part < 24; part++) {
    g_autoptr (GBytes) bytes = spt_hls_ring_get (ring, n, part);
    g_assert_true ((g_bytes_get_size (bytes) == 0) == (part == 23));
    size += g_bytes_get_size (bytes);
  }
  g_autoptr (GBytes) endless = spt_hls_ring_get (ring, n, -1);
  g_assert_cmpuint (g_bytes_get_size (endless), ==, size);
  g_assert_cmpuint (size, <, 34u << 20);
  spt_hls_ring_free (ring);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hls-ring/segments-begin-with-keyframes", test_segments_begin_with_keyframes);
  g_test_add_func (
      "/hls-ring/parts-are-even-and-make-the-segment", test_parts_are_even_and_make_the_segment);
  g_test_add_func ("/hls-ring/a-gap-is-a-discontinuity", test_a_gap_is_a_discontinuity);
  g_test_add_func ("/hls-ring/slow-pictures-make-no-parts-and-no-gaps",
      test_slow_pictures_make_no_parts_and_no_gaps);
  g_test_add_func ("/hls-ring/hiccups-leave-low-latency-on", test_hiccups_leave_low_latency_on);
  g_test_add_func ("/hls-ring/pictures-may-become-slow-and-quick-again",
      test_pictures_may_become_slow_and_quick_again);
  g_test_add_func (
      "/hls-ring/all-who-ask-share-the-same-bytes", test_all_who_ask_share_the_same_bytes);
  g_test_add_func ("/hls-ring/another-init-segment", test_another_init_segment);
  g_test_add_func (
      "/hls-ring/a-segment-without-an-end-is-bounded", test_a_segment_without_an_end_is_bounded);
  return g_test_run ();
}
