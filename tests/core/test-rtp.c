/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The RTP packer: real payloaders fed with made-up units; what comes out packet by packet. */
#include <gst/rtp/rtp.h>
#include <string.h>

#include "bytes.h"
#include "harness.h"
#include "packer.h"
#include "rtp.h"
#include "track.h"
#include "viewer.h"

#define H264                                                                                       \
  "video/x-h264, stream-format=byte-stream, alignment=au, width=1280, height=720, framerate=30/1"
#define MULAW "audio/x-mulaw, rate=8000, channels=1"

static const guint8 parameter_sets[] = {0, 0, 0, 1, 0x67, 0x64, 0, 0x1f, 0xac, 0xd9, 0x40, 0x50,
    0x05, 0xbb, 0x01, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0xc0, 0xf1, 0x83, 0x19, 0x60, 0, 0, 0, 1,
    0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0};

typedef struct {
  SptTrack *inputs[2], *out;
  GstCaps *caps[2];
  gpointer packer;
  SptViewer *viewer;
} Fixture;

static void
set_up (Fixture *f, guint n)
{
  static const char *const texts[2] = {H264, MULAW};
  SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 16u << 20, 10 * GST_SECOND};
  f->out = spt_track_new ("rtp");
  f->viewer = spt_viewer_new (&limits, NULL, NULL);
  for (guint i = 0; i < n; i++) {
    f->inputs[i] = spt_track_new (i ? "audio" : "video");
    f->caps[i] = gst_caps_from_string (texts[i]);
    spt_track_set_caps (f->inputs[i], f->caps[i]);
  }
  f->packer = spt_rtp_packer.new(f->inputs, n, f->out);
  spt_track_attach (f->out, f->viewer, 0);
}

static void
tear_down (Fixture *f)
{
  spt_track_detach (f->out, f->viewer);
  spt_rtp_packer.free (f->packer);
  for (guint i = 0; i < 2; i++) {
    g_clear_object (&f->inputs[i]);
    gst_clear_caps (&f->caps[i]);
  }
  g_object_unref (f->viewer);
  g_object_unref (f->out);
}

/* A picture of one slice of @size bytes. */
static void
feed_picture (Fixture *f, guint ms, gsize size, gboolean keyframe)
{
  gsize sets = keyframe ? sizeof parameter_sets : 0;
  GstBuffer *unit = harness_unit (ms, sets + size, keyframe);
  const guint8 start[] = {0, 0, 0, 1, keyframe ? 0x65 : 0x41, 0x88, 0x84, 0x11};
  gst_buffer_memset (unit, 0, 0x55, sets + size);
  gst_buffer_fill (unit, 0, parameter_sets, sets);
  gst_buffer_fill (unit, sets, start, sizeof start);
  g_autoptr (GstSample) sample = gst_sample_new (unit, f->caps[0], NULL, NULL);
  gst_buffer_unref (unit);
  spt_rtp_packer.take (f->packer, sample, 0);
}

static void
feed_sound (Fixture *f, guint ms)
{
  GstBuffer *unit = harness_unit (ms, 160, TRUE); /* 20 ms */
  GST_BUFFER_DURATION (unit) = 20 * GST_MSECOND;
  g_autoptr (GstSample) sample = gst_sample_new (unit, f->caps[1], NULL, NULL);
  gst_buffer_unref (unit);
  spt_rtp_packer.take (f->packer, sample, 1);
}

typedef struct {
  guint rtp, reports, marks;
  guint16 seqnum; /* of the last */
  guint32 timestamp;
  guint64 ntp;
  guint32 report_timestamp;
} Seen;

/* Checks the framing of the unit and counts what is in it. */
static Seen
look (GstSample *sample)
{
  GstMapInfo map;
  SptRtpPacket packet;
  Seen seen = {0};
  gsize at = 0, total = 0;
  GstBuffer *unit = gst_sample_get_buffer (sample);
  gst_buffer_map (unit, &map, GST_MAP_READ);
  while (spt_rtp_next (map.data, map.size, &at, &packet)) {
    total += SPT_RTP_FRAME + packet.size;
    g_assert_cmpuint (map.data[packet.data - map.data - SPT_RTP_FRAME], ==, '$');
    g_assert_cmpuint (packet.channel / 2, ==, spt_rtp_lane (unit));
    g_assert_cmpuint (packet.size, <=, 1400);
    if (packet.channel & 1) {
      g_assert_cmpuint (packet.data[1], ==, 200);
      seen.reports++;
      seen.ntp = spt_get_be64 (packet.data + 8);
      seen.report_timestamp = spt_get_be32 (packet.data + 16);
      continue;
    }
    if (seen.rtp)
      g_assert_cmpuint (spt_get_be16 (packet.data + 2), ==, (guint16)(seen.seqnum + 1));
    seen.seqnum = spt_get_be16 (packet.data + 2);
    seen.timestamp = spt_get_be32 (packet.data + 4);
    seen.marks += packet.data[1] >> 7;
    seen.rtp++;
  }
  g_assert_cmpuint (total, ==, map.size);
  gst_buffer_unmap (unit, &map);
  return seen;
}

static void
test_a_unit_is_one_access_unit (void)
{
  Fixture f = {0};
  set_up (&f, 1);
  feed_picture (&f, 1000, 50000, TRUE);
  feed_picture (&f, 1033, 5000, FALSE);
  g_autoptr (GstSample) key = spt_viewer_pop (f.viewer, NULL);
  g_autoptr (GstSample) delta = spt_viewer_pop (f.viewer, NULL);
  Seen a = look (key), b = look (delta);
  g_assert_cmpuint (a.rtp, >=, 36);
  g_assert_cmpuint (a.reports, ==, 1);
  g_assert_cmpuint (a.marks, ==, 1);
  g_assert_cmpuint (b.reports, ==, 0);
  g_assert_cmpuint (b.marks, ==, 1);
  g_assert_cmpuint (b.timestamp - a.timestamp, ==, 33 * 90);
  g_assert_cmpuint (a.report_timestamp, ==, a.timestamp);
  g_assert_false (GST_BUFFER_FLAG_IS_SET (gst_sample_get_buffer (key), GST_BUFFER_FLAG_DELTA_UNIT));
  g_assert_true (
      GST_BUFFER_FLAG_IS_SET (gst_sample_get_buffer (delta), GST_BUFFER_FLAG_DELTA_UNIT));
  g_autoptr (GstCaps) rtp = spt_rtp_lane_caps (gst_sample_get_caps (key), 0);
  const GstStructure *s = gst_caps_get_structure (rtp, 0);
  g_assert_cmpstr (gst_structure_get_string (s, "encoding-name"), ==, "H264");
  g_assert_nonnull (gst_structure_get_string (s, "sprop-parameter-sets"));
  tear_down (&f);
}

/* Equal PTS of picture and sound have equal NTP times in their reports. */
/* NALs of the kind in an RTP packet: alone or in a STAP-A (RFC 6184, 5.7.1) */
static guint
count_nals (const guint8 *data, gsize size, guint kind)
{
  guint n = 0;
  if ((data[12] & 31) != 24)
    return (data[12] & 31) == kind;
  for (gsize at = 13; at + 2 < size; at += 2u + spt_get_be16 (data + at))
    n += (data[at + 2] & 31) == kind;
  return n;
}

/* They were repeated before every slice, and players made two broken pictures of the keyframe. */
static void
test_a_keyframe_of_two_slices_has_its_parameter_sets_once (void)
{
  static const guint8 slices[] = {
      0, 0, 0, 1, 0x65, 0x88, 0x84, 0x11, 0x22, 0, 0, 0, 1, 0x65, 0x04, 0x88, 0x84, 0x11};
  Fixture f = {0};
  GstMapInfo map;
  SptRtpPacket packet;
  gsize at = 0;
  guint sets = 0, keyslices = 0;
  set_up (&f, 1);
  GstBuffer *unit = harness_unit (1000, sizeof parameter_sets + sizeof slices, TRUE);
  gst_buffer_fill (unit, 0, parameter_sets, sizeof parameter_sets);
  gst_buffer_fill (unit, sizeof parameter_sets, slices, sizeof slices);
  g_autoptr (GstSample) sample = gst_sample_new (unit, f.caps[0], NULL, NULL);
  gst_buffer_unref (unit);
  spt_rtp_packer.take (f.packer, sample, 0);
  g_autoptr (GstSample) packed = spt_viewer_pop (f.viewer, NULL);
  GstBuffer *packets = gst_sample_get_buffer (packed);
  gst_buffer_map (packets, &map, GST_MAP_READ);
  while (spt_rtp_next (map.data, map.size, &at, &packet)) {
    if (packet.channel & 1)
      continue;
    sets += count_nals (packet.data, packet.size, 7);
    keyslices += count_nals (packet.data, packet.size, 5);
  }
  gst_buffer_unmap (packets, &map);
  g_assert_cmpuint (keyslices, ==, 2);
  g_assert_cmpuint (sets, ==, 1);
  tear_down (&f);
}

static void
test_reports_bring_sound_and_picture_together (void)
{
  Fixture f = {0};
  set_up (&f, 2);
  feed_sound (&f, 2000);
  feed_picture (&f, 2000, 1000, TRUE);
  g_autoptr (GstSample) picture = spt_viewer_pop (f.viewer, NULL);
  g_autoptr (GstSample) report = spt_viewer_pop (f.viewer, NULL);
  Seen video = look (picture), audio = look (report);
  g_assert_cmpuint (audio.rtp, ==, 0);
  g_assert_cmpuint (audio.reports, ==, 1);
  gint64 apart = (gint64)(video.ntp - audio.ntp);
  g_assert_cmpint (ABS (apart), <, (1ll << 32) / 1000); /* a millisecond */
  tear_down (&f);
}

/* A joiner gets the group at once, a millisecond apart, ending at the newest picture's own time. */
static void
prime (SptViewer *viewer, GList *units, gpointer data)
{
  g_autoptr (GstSample) first = spt_rtp_prime_now (viewer, units);
  g_assert_true ((first != NULL) == (units != NULL));
}

static void
test_a_joiner_starts_now (void)
{
  Fixture f = {0};
  SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 16u << 20, 10 * GST_SECOND};
  g_autoptr (SptViewer) early = spt_viewer_new (&limits, NULL, NULL);
  set_up (&f, 2);
  spt_track_attach_with (f.out, early, prime, NULL); /* nothing is there yet */
  g_assert_false (spt_viewer_has_data (early));
  static const guint order[] = {0, 100, 33, 66, 133}; /* with pictures between others */
  feed_sound (&f, 1000);
  for (guint i = 0; i < G_N_ELEMENTS (order); i++) {
    feed_picture (&f, 1000 + order[i], 3000, i == 0);
    feed_sound (&f, 1020 + 20 * i);
  }
  g_autoptr (SptViewer) joiner = spt_viewer_new (&limits, NULL, NULL);
  spt_track_attach_with (f.out, joiner, prime, NULL);
  guint32 timestamps[G_N_ELEMENTS (order)];
  for (guint i = 0; i < G_N_ELEMENTS (order); i++) {
    g_autoptr (GstSample) unit = spt_viewer_pop (joiner, NULL);
    g_assert_cmpuint (spt_rtp_lane (gst_sample_get_buffer (unit)), ==, 0);
    timestamps[i] = look (unit).timestamp;
  }
  g_assert_false (spt_viewer_has_data (joiner));
  g_assert_cmpint ((gint32)(timestamps[4] - timestamps[0]), ==, 4 * 90);
  g_assert_cmpint ((gint32)(timestamps[4] - timestamps[1]), ==, 1 * 90);
  g_assert_cmpint ((gint32)(timestamps[4] - timestamps[2]), ==, 3 * 90);
  feed_picture (&f, 1166, 3000, FALSE);
  g_autoptr (GstSample) live = spt_viewer_pop (joiner, NULL);
  g_assert_cmpint ((gint32)(look (live).timestamp - timestamps[4]), ==, 33 * 90);
  spt_track_detach (f.out, joiner);
  spt_track_detach (f.out, early);
  tear_down (&f);
}

static void
test_other_channels (void)
{
  Fixture f = {0};
  set_up (&f, 1);
  feed_picture (&f, 0, 4000, TRUE);
  g_autoptr (GstSample) unit = spt_viewer_pop (f.viewer, NULL);
  g_autoptr (GstBuffer) moved = spt_rtp_move (gst_sample_get_buffer (unit), 7, 9);
  GstMapInfo map;
  SptRtpPacket packet;
  gsize at = 0;
  gst_buffer_map (moved, &map, GST_MAP_READ);
  while (spt_rtp_next (map.data, map.size, &at, &packet))
    g_assert_cmpuint (packet.channel, ==, packet.data[1] == 200 ? 9 : 7);
  gst_buffer_unmap (moved, &map);
  tear_down (&f);
}

/* A restart may bring another size: the same payloader goes on with the sequence. */
static void
test_other_caps_go_on (void)
{
  Fixture f = {0};
  set_up (&f, 1);
  feed_picture (&f, 0, 4000, TRUE);
  g_autoptr (GstSample) before = spt_viewer_pop (f.viewer, NULL);
  gst_clear_caps (&f.caps[0]);
  f.caps[0] = gst_caps_from_string (
      "video/x-h264, stream-format=byte-stream, alignment=au, width=640, height=360, "
      "framerate=15/1");
  feed_picture (&f, 100, 4000, TRUE);
  g_autoptr (GstSample) after = spt_viewer_pop (f.viewer, NULL);
  Seen a = look (before), b = look (after);
  g_assert_cmpuint ((guint16)(b.seqnum - a.seqnum), ==, b.rtp);
  tear_down (&f);
}

static void
test_frames_cut_short (void)
{
  static const guint8 cut[] = {'$', 0, 0, 4, 1, 2, 3, 4, '$', 1, 0, 9, 1};
  SptRtpPacket packet;
  gsize at = 0;
  g_assert_true (spt_rtp_next (cut, sizeof cut, &at, &packet));
  g_assert_cmpuint (packet.size, ==, 4);
  g_assert_false (spt_rtp_next (cut, sizeof cut, &at, &packet));
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rtp/a unit is one access unit", test_a_unit_is_one_access_unit);
  g_test_add_func ("/rtp/a keyframe of two slices has its parameter sets once",
      test_a_keyframe_of_two_slices_has_its_parameter_sets_once);
  g_test_add_func ("/rtp/reports bring sound and picture together",
      test_reports_bring_sound_and_picture_together);
  g_test_add_func ("/rtp/a joiner starts now", test_a_joiner_starts_now);
  g_test_add_func ("/rtp/other channels", test_other_channels);
  g_test_add_func ("/rtp/other caps go on", test_other_caps_go_on);
  g_test_add_func ("/rtp/frames cut short", test_frames_cut_short);
  return g_test_run ();
}
