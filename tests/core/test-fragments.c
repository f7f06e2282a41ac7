/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fragment writer: its parts box by box, then a real encoder through it into qtdemux. */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "fmp4.h"
#include "harness.h"
#include "nal.h"
#include "packer.h"
#include "track.h"
#include "viewer.h"

/* A real SPS (high, level 3.1, 1280x720) and PPS. */
static const guint8 access_unit[] = {0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1, 0x67, 0x64, 0, 0x1f, 0xac,
    0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0xc0, 0xf1, 0x83, 0x19,
    0x60, 0, 0, 0, 1, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0, 0, 1, 0x65, 0x88, 0x84, 0, 0x21};

static void
test_start_codes_become_lengths (void)
{
  gsize size = spt_nal_to_lengths (FALSE, access_unit, sizeof access_unit, NULL, 0);
  g_autofree guint8 *out = g_malloc (size);
  g_assert_cmpuint (
      spt_nal_to_lengths (FALSE, access_unit, sizeof access_unit, out, size), ==, size);
  g_assert_cmpuint (out[4] & 0x1f, ==, 7); /* the delimiter is gone */
  gsize at = 0;
  guint n = 0;
  while (at + 4 <= size) {
    at += 4 + spt_get_be32 (out + at);
    n++;
  }
  g_assert_cmpuint (at, ==, size);
  g_assert_cmpuint (n, ==, 3);
}

static void
test_parameter_sets_make_a_decoder_record (void)
{
  SptNalConfig config = {0};
  g_assert_true (spt_nal_config_update (&config, access_unit, sizeof access_unit));
  g_assert_false (spt_nal_config_update (&config, access_unit, sizeof access_unit));
  g_autofree char *codec = spt_nal_codec_string (&config);
  g_assert_cmpstr (codec, ==, "avc1.64001F");
  g_autoptr (GBytes) record = spt_nal_decoder_config (&config);
  const guint8 *data = g_bytes_get_data (record, NULL);
  g_assert_cmpuint (data[0], ==, 1);
  g_assert_cmpuint (data[1], ==, 0x64);
  g_assert_cmpuint (data[5], ==, 0xe1);
  spt_nal_config_clear (&config);
}

static void
test_garbage_makes_nothing (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (1);
  for (guint round = 0; round < 20000; round++) {
    guint8 data[64];
    gsize size = (gsize)g_rand_int_range (random, 0, sizeof data);
    for (gsize i = 0; i < size; i++) /* many zeros and ones: many start codes */
      data[i] = (guint8)(g_rand_int_range (random, 0, 3) ? g_rand_int_range (random, 0, 2)
                                                         : g_rand_int_range (random, 0, 256));
    SptNalConfig config = {.hevc = round % 2};
    if (spt_nal_config_update (&config, data, size)) {
      g_autoptr (GBytes) record = spt_nal_decoder_config (&config);
      g_autofree char *codec = spt_nal_codec_string (&config);
      g_assert_nonnull (codec);
      g_assert_nonnull (record);
    }
    gsize needed = spt_nal_to_lengths (config.hevc, data, size, NULL, 0);
    g_autofree guint8 *out = g_malloc (needed + 1);
    g_assert_cmpuint (spt_nal_to_lengths (config.hevc, data, size, out, needed), ==, needed);
    spt_nal_config_clear (&config);
  }
}

/* The box of the path "moov/trak/mdia" inside @data, or NULL. */
static const guint8 *
find_box (const guint8 *data, gsize size, const char *path, gsize *box_size)
{
  gsize at = 0;
  while (at + 8 <= size) {
    gsize length = spt_get_be32 (data + at);
    g_assert_cmpuint (length, >=, 8);
    g_assert_cmpuint (at + length, <=, size);
    if (memcmp (data + at + 4, path, 4) == 0) {
      *box_size = length;
      return path[4] ? find_box (data + at + 8, length - 8, path + 5, box_size) : data + at;
    }
    at += length;
  }
  return NULL;
}

static void
test_init_segment_box_by_box (void)
{
  SptNalConfig nal = {0};
  spt_nal_config_update (&nal, access_unit, sizeof access_unit);
  g_autoptr (GBytes) avcc = spt_nal_decoder_config (&nal);
  g_autoptr (GBytes) asc = g_bytes_new ("\x11\x88", 2);
  const SptFmp4Track tracks[] = {
      {SPT_FMP4_AVC, 1, 90000, 1280, 720, 0, 0, avcc},
      {SPT_FMP4_AAC, 2, 48000, 0, 0, 48000, 1, asc},
  };
  g_autoptr (GBytes) init = spt_fmp4_init_segment (tracks, 2);
  gsize size, box;
  const guint8 *data = g_bytes_get_data (init, &size);
  static const char *const paths[] = {"ftyp", "moov", "moov/mvhd", "moov/trak/tkhd",
      "moov/trak/mdia/mdhd", "moov/trak/mdia/hdlr", "moov/trak/mdia/minf/vmhd",
      "moov/trak/mdia/minf/dinf/dref", "moov/trak/mdia/minf/stbl/stsd",
      "moov/trak/mdia/minf/stbl/stts", "moov/trak/mdia/minf/stbl/stsc",
      "moov/trak/mdia/minf/stbl/stsz", "moov/trak/mdia/minf/stbl/stco", "moov/mvex/trex"};
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    g_assert_nonnull (find_box (data, size, paths[i], &box));
  const guint8 *mdhd = find_box (data, size, "moov/trak/mdia/mdhd", &box);
  g_assert_cmpuint (spt_get_be32 (mdhd + 20), ==, 90000);
  const guint8 *tkhd = find_box (data, size, "moov/trak/tkhd", &box);
  g_assert_cmpuint (box, ==, 92);
  g_assert_cmpuint (spt_get_be32 (tkhd + 84), ==, 1280u << 16);
  spt_nal_config_clear (&nal);
}

static void
test_head_box_by_box (void)
{
  guint8 head[SPT_FMP4_HEAD_SIZE];
  gsize box;
  const SptFmp4Sample sample = {.track = 1,
      .sequence = 42,
      .decode_time = 0x123456789aull,
      .duration = 3000,
      .composition = -5,
      .keyframe = TRUE,
      .size = 1000};
  spt_fmp4_head (&sample, head);
  const guint8 *mfhd = find_box (head, 104, "moof/mfhd", &box);
  const guint8 *tfdt = find_box (head, 104, "moof/traf/tfdt", &box);
  const guint8 *trun = find_box (head, 104, "moof/traf/trun", &box);
  g_assert_cmpuint (spt_get_be32 (mfhd + 12), ==, 42);
  g_assert_cmpuint (spt_get_be64 (tfdt + 12), ==, sample.decode_time);
  g_assert_cmpuint (spt_get_be32 (trun + 16), ==, SPT_FMP4_HEAD_SIZE); /* data offset */
  g_assert_cmpuint (spt_get_be32 (trun + 20), ==, 3000);
  g_assert_cmpuint (spt_get_be32 (trun + 24), ==, 1000);
  g_assert_cmphex (spt_get_be32 (trun + 28), ==, 0x02000000);
  g_assert_cmpint ((gint32)spt_get_be32 (trun + 32), ==, -5);
  g_assert_cmpuint (spt_get_be32 (head + 104), ==, 1008);
  g_assert_cmpuint (spt_fmp4_head_track (head), ==, 1);
  spt_fmp4_head_set_time (head, 7);
  g_assert_cmpuint (spt_fmp4_head_time (head), ==, 7);
  g_assert_cmpint (spt_fmp4_head_composition (head), ==, -5);
}

/* ---- the packer --------------------------------------------------------------------------- */

typedef struct {
  SptTrack *video, *out;
  SptViewer *viewer;
  gpointer packer;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 64 << 20, 100 * GST_SECOND};
  g_autoptr (GstCaps) caps = gst_caps_from_string (
      "video/x-h264, stream-format=byte-stream, alignment=au, width=1280, height=720");
  f->video = spt_track_new ("video");
  f->out = spt_track_new ("mp4");
  spt_track_set_caps (f->video, caps);
  f->packer = spt_fragments_packer.new(&f->video, 1, f->out);
  f->viewer = spt_viewer_new (&limits, NULL, NULL);
  spt_track_attach (f->out, f->viewer, 0);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  spt_track_detach (f->out, f->viewer);
  spt_fragments_packer.free (f->packer);
  g_object_unref (f->viewer);
  g_object_unref (f->video);
  g_object_unref (f->out);
}

static void
take (Fixture *f, guint ms, gboolean keyframe)
{
  g_autoptr (GstCaps) caps = spt_track_get_caps (f->video);
  g_autoptr (GstBuffer) buffer = gst_buffer_new_memdup (
      access_unit + (keyframe ? 0 : 46), sizeof access_unit - (keyframe ? 0 : 46));
  GST_BUFFER_PTS (buffer) = ms * GST_MSECOND;
  if (!keyframe)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  g_autoptr (GstSample) unit = gst_sample_new (buffer, caps, NULL, NULL);
  spt_fragments_packer.take (f->packer, unit, 0);
}

static gboolean
pop_time (Fixture *f, guint64 *time)
{
  g_autoptr (GstSample) unit = spt_viewer_pop (f->viewer, NULL);
  guint8 head[SPT_FMP4_HEAD_SIZE];
  if (!unit)
    return FALSE;
  gst_buffer_extract (gst_sample_get_buffer (unit), 0, head, sizeof head);
  *time = spt_fmp4_head_time (head);
  return TRUE;
}

static void
test_starts_with_a_keyframe_at_zero (Fixture *f, gconstpointer data)
{
  guint64 time = 0;
  take (f, 1000, FALSE);
  g_assert_false (pop_time (f, &time));
  take (f, 1033, TRUE);
  g_assert_true (pop_time (f, &time)); /* at once: no frame is waited for */
  g_assert_cmpuint (time, ==, 0);
  take (f, 1066, FALSE);
  g_assert_true (pop_time (f, &time));
  g_assert_cmpuint (time, ==, 33 * 90);
}

static void
test_time_goes_on_over_a_restart_and_never_back (Fixture *f, gconstpointer data)
{
  guint64 time = 0, last = 0;
  static const guint ms[] = {0, 33, 66, 66, 50, 10000, 10033};
  for (guint i = 0; i < G_N_ELEMENTS (ms); i++) {
    take (f, ms[i], i % 5 == 0);
    g_assert_true (pop_time (f, &time));
    if (i)
      g_assert_cmpuint (time, >, last);
    last = time;
  }
  g_assert_cmpuint (last, ==, 10033 * 90);
}

static void
test_new_resolution_changes_the_init_segment (Fixture *f, gconstpointer data)
{
  take (f, 0, TRUE);
  g_autoptr (GstCaps) first = spt_track_get_caps (f->out);
  g_autoptr (GstCaps) caps = gst_caps_from_string (
      "video/x-h264, stream-format=byte-stream, alignment=au, width=640, height=360");
  spt_track_set_caps (f->video, caps);
  take (f, 33, TRUE);
  g_autoptr (GstCaps) second = spt_track_get_caps (f->out);
  g_assert_false (gst_caps_is_equal (first, second));
}

/* ---- a real encoder, and a real demuxer ---------------------------------------------------- */

static void
test_qtdemux_reads_what_is_written (void)
{
  g_autoptr (GstElement) encoder = gst_parse_launch (
      "videotestsrc num-buffers=30 ! video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! "
      "x264enc tune=zerolatency key-int-max=10 ! h264parse config-interval=-1 ! "
      "video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=out sync=false",
      NULL);
  g_autoptr (GstElement) out = gst_bin_get_by_name (GST_BIN (encoder), "out");
  g_autoptr (SptTrack) video = spt_track_new ("video"), track = spt_track_new ("mp4");
  const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, 64 << 20, 100 * GST_SECOND};
  g_autoptr (SptViewer) viewer = spt_viewer_new (&limits, NULL, NULL);
  gpointer packer = NULL;
  GstSample *sample;
  gst_object_ref_sink (encoder);
  gst_element_set_state (encoder, GST_STATE_PLAYING);
  for (;;) {
    g_signal_emit_by_name (out, "pull-sample", &sample);
    if (!sample)
      break;
    if (!packer) {
      spt_track_set_caps (video, gst_sample_get_caps (sample));
      packer = spt_fragments_packer.new(&video, 1, track);
      spt_track_attach (track, viewer, 0);
    }
    spt_fragments_packer.take (packer, sample, 0);
    gst_sample_unref (sample);
  }
  gst_element_set_state (encoder, GST_STATE_NULL);

  g_autoptr (GByteArray) file = g_byte_array_new ();
  g_autoptr (GstCaps) caps = spt_track_get_caps (track);
  GstBuffer *header = spt_fragments_header (caps);
  g_assert_cmpint (GST_BUFFER_FLAG_IS_SET (header, GST_BUFFER_FLAG_HEADER), !=, 0);
  GstMapInfo map;
  gst_buffer_map (header, &map, GST_MAP_READ);
  g_byte_array_append (file, map.data, map.size);
  gst_buffer_unmap (header, &map);
  while ((sample = spt_viewer_pop (viewer, NULL))) {
    gst_buffer_map (gst_sample_get_buffer (sample), &map, GST_MAP_READ);
    g_byte_array_append (file, map.data, map.size);
    gst_buffer_unmap (gst_sample_get_buffer (sample), &map);
    gst_sample_unref (sample);
  }
  spt_track_detach (track, viewer);
  spt_fragments_packer.free (packer);

  g_autofree char *path = g_build_filename (g_get_tmp_dir (), "spotter-XXXXXX.mp4", NULL);
  int fd = g_mkstemp (path);
  g_assert_cmpint (fd, >=, 0);
  g_assert_true (g_file_set_contents (path, (char *)file->data, file->len, NULL));
  g_autofree char *text = g_strdup_printf (
      "filesrc location=%s ! qtdemux ! avdec_h264 ! fakesink name=sink sync=false num-buffers=30",
      path);
  g_autoptr (GstElement) reader = gst_parse_launch (text, NULL);
  g_autoptr (GstBus) bus = gst_element_get_bus (reader);
  gst_object_ref_sink (reader);
  gst_element_set_state (reader, GST_STATE_PLAYING);
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (
      bus, HARNESS_TIMEOUT_S * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  g_assert_cmpint (GST_MESSAGE_TYPE (message), ==, GST_MESSAGE_EOS);
  gst_element_set_state (reader, GST_STATE_NULL);
  g_remove (path);
  close (fd);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/nal/start-codes-become-lengths", test_start_codes_become_lengths);
  g_test_add_func (
      "/nal/parameter-sets-make-a-decoder-record", test_parameter_sets_make_a_decoder_record);
  g_test_add_func ("/nal/garbage-makes-nothing", test_garbage_makes_nothing);
  g_test_add_func ("/fmp4/init-segment-box-by-box", test_init_segment_box_by_box);
  g_test_add_func ("/fmp4/head-box-by-box", test_head_box_by_box);
#define ADD(path, test) g_test_add (path, Fixture, NULL, set_up, test, tear_down)
  ADD ("/fragments/starts-with-a-keyframe-at-zero", test_starts_with_a_keyframe_at_zero);
  ADD ("/fragments/time-goes-on-over-a-restart-and-never-back",
      test_time_goes_on_over_a_restart_and_never_back);
  ADD ("/fragments/new-resolution-changes-the-init-segment",
      test_new_resolution_changes_the_init_segment);
  g_test_add_func ("/fragments/qtdemux-reads-what-is-written", test_qtdemux_reads_what_is_written);
  return g_test_run ();
}
