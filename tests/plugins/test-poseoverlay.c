/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <math.h>

#include "posemeta.h"

static const char *const formats[] = {
    "I420", "YV12", "NV12", "NV21", "BGRx", "RGBx", "xRGB", "xBGR", "RGB", "BGR"};

/* A person who stands in the middle. */
static void
add_person (GstBuffer *buffer, float shift)
{
  const GstMetaInfo *info = gst_meta_get_info (GST_POSE_META_NAME);
  g_assert_nonnull (info);
  GstPoseMeta *meta = (GstPoseMeta *)gst_buffer_add_meta (buffer, info, NULL);
  meta->analysed = TRUE;
  meta->n_people = 1;
  meta->people[0].id = 1;
  for (guint i = 0; i < POSE_LANDMARKS; i++)
    meta->people[0].image[i] = (PoseLandmark){.x = 0.45f + 0.1f * (float)(i % 2) + shift,
        .y = 0.2f + 0.02f * (float)i,
        .visibility = 0.9f};
}

static GstHarness *
make (const char *properties, const char *format, int width, int height)
{
  g_autofree char *text = g_strconcat ("poseoverlay ", properties, NULL);
  g_autofree char *caps = g_strdup_printf (
      "video/x-raw, format=%s, width=%d, height=%d, framerate=30/1", format, width, height);
  GstHarness *h = gst_harness_new_parse (text);
  gst_harness_set_src_caps_str (h, caps);
  return h;
}

/* A picture of noise. */
static GstBuffer *
noise (const char *format, int width, int height)
{
  GstVideoInfo info;
  gst_video_info_set_format (
      &info, gst_video_format_from_string (format), (guint)width, (guint)height);
  GstBuffer *buffer = gst_buffer_new_and_alloc (GST_VIDEO_INFO_SIZE (&info));
  GstMapInfo map;
  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  for (gsize i = 0; i < map.size; i++)
    map.data[i] = (guint8)(60 + (i * 2654435761u >> 8) % 120);
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = 0;
  return buffer;
}

typedef struct {
  guint bright, dark, all;
} Look;

static Look
look (GstBuffer *buffer, const char *format, int width, int height)
{
  GstVideoInfo info;
  GstVideoFrame frame;
  Look result = {0};
  gst_video_info_set_format (
      &info, gst_video_format_from_string (format), (guint)width, (guint)height);
  g_assert_true (gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ));
  int component = GST_VIDEO_INFO_IS_RGB (&info) ? GST_VIDEO_COMP_G : GST_VIDEO_COMP_Y;
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      guint8 value = ((guint8 *)GST_VIDEO_FRAME_COMP_DATA (
          &frame, component))[y * GST_VIDEO_FRAME_COMP_STRIDE (&frame, component) +
                              x * GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, component)];
      result.bright += value > 100;
      result.dark += value <= 16;
      result.all++;
    }
  gst_video_frame_unmap (&frame);
  return result;
}

static GstBuffer *
run (GstHarness *h, GstBuffer *buffer)
{
  g_assert_cmpint (gst_harness_push (h, buffer), ==, GST_FLOW_OK);
  return gst_harness_pull (h);
}

static void
test_black_leaves_nothing_of_the_picture (void)
{
  static const int sizes[][2] = {{640, 360}, {641, 361}, {17, 13}, {2, 2}, {1, 1}};
  for (guint f = 0; f < G_N_ELEMENTS (formats); f++)
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
      int width = sizes[s][0], height = sizes[s][1];
      GstHarness *h = make ("background=black", formats[f], width, height);
      g_autoptr (GstBuffer) empty = run (h, noise (formats[f], width, height));
      Look nothing = look (empty, formats[f], width, height);
      g_assert_cmpuint (nothing.dark, ==, nothing.all);
      GstBuffer *in = noise (formats[f], width, height);
      add_person (in, 0);
      g_autoptr (GstBuffer) drawn = run (h, in);
      Look skeleton = look (drawn, formats[f], width, height);
      if (width > 600) {
        g_assert_cmpuint (skeleton.bright, >, skeleton.all / 1000);
        g_assert_cmpuint (skeleton.dark, >, skeleton.all / 10 * 9);
      }
      gst_harness_teardown (h);
    }
}

static void
test_keep_touches_only_where_the_skeleton_is (void)
{
  GstHarness *h = make ("", "I420", 640, 360);
  g_autoptr (GstBuffer) before = noise ("I420", 640, 360);
  g_autoptr (GstBuffer) nobody = run (h, gst_buffer_copy_deep (before));
  GstMapInfo a, b;
  gst_buffer_map (before, &a, GST_MAP_READ);
  gst_buffer_map (nobody, &b, GST_MAP_READ);
  g_assert_cmpmem (a.data, a.size, b.data, b.size);
  gst_buffer_unmap (nobody, &b);
  GstBuffer *in = gst_buffer_copy_deep (before);
  add_person (in, 0);
  g_autoptr (GstBuffer) drawn = run (h, in);
  gst_buffer_map (drawn, &b, GST_MAP_READ);
  guint changed = 0;
  for (int y = 0; y < 360; y++)
    for (int x = 0; x < 640; x++) {
      gboolean differs = a.data[y * 640 + x] != b.data[y * 640 + x];
      changed += differs;
      g_assert_true (!differs || (x > 250 && x < 390 && y > 40));
    }
  g_assert_cmpuint (changed, >, 500);
  gst_buffer_unmap (drawn, &b);
  gst_buffer_unmap (before, &a);
  gst_harness_teardown (h);
}

/* What is left of a picture of noise has no detail. */
static void
test_blur_leaves_no_detail (void)
{
  for (guint f = 0; f < G_N_ELEMENTS (formats); f++) {
    GstHarness *h = make ("background=blur", formats[f], 641, 361);
    g_autoptr (GstBuffer) out = run (h, noise (formats[f], 641, 361));
    GstVideoInfo info;
    GstVideoFrame frame;
    gst_video_info_set_format (&info, gst_video_format_from_string (formats[f]), 641, 361);
    g_assert_true (gst_video_frame_map (&frame, &info, out, GST_MAP_READ));
    const guint8 *data = GST_VIDEO_FRAME_COMP_DATA (&frame, 0);
    int step = GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, 0), worst = 0;
    for (int x = 1; x < 640; x++)
      worst = MAX (worst, ABS (data[x * step] - data[(x - 1) * step]));
    g_assert_cmpint (worst, <, 8);
    gst_video_frame_unmap (&frame);
    gst_harness_teardown (h);
  }
}

static void
test_nonsense_in_the_meta_is_survived (void)
{
  static const float values[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 0, 1, 2, -3};
  GRand *rand = g_rand_new_with_seed (1);
  GstHarness *h = make ("names=true trail=2000000000", "I420", 321, 181);
  for (guint i = 0; i < 300; i++) {
    GstBuffer *in = noise ("I420", 321, 181);
    GST_BUFFER_PTS (in) = i % 7 == 0 ? GST_CLOCK_TIME_NONE : i * GST_MSECOND * 33;
    add_person (in, 0);
    GstPoseMeta *meta = gst_buffer_get_pose_meta (in);
    meta->n_people = (guint)g_rand_int_range (rand, 0, POSE_PEOPLE_MAX + 1);
    for (guint p = 0; p < meta->n_people; p++) {
      meta->people[p].id = (guint)g_rand_int_range (rand, 0, 6);
      for (guint k = 0; k < POSE_LANDMARKS; k++)
        meta->people[p].image[k] =
            (PoseLandmark){.x = values[g_rand_int_range (rand, 0, G_N_ELEMENTS (values))],
                .y = values[g_rand_int_range (rand, 0, G_N_ELEMENTS (values))],
                .visibility = values[g_rand_int_range (rand, 0, G_N_ELEMENTS (values))]};
    }
    gst_buffer_unref (run (h, in));
  }
  g_rand_free (rand);
  gst_harness_teardown (h);
}

static void
test_the_trail_stays_for_its_time (void)
{
  GstHarness *h = make ("background=black trail=1000000000", "I420", 640, 360);
  guint with = 0, after = 0;
  for (guint i = 0; i < 90; i++) {
    GstBuffer *in = noise ("I420", 640, 360);
    GST_BUFFER_PTS (in) = i * GST_SECOND / 30;
    add_person (in, i < 30 ? (float)i * 0.01f - 0.15f : 0.15f);
    g_autoptr (GstBuffer) out = run (h, in);
    Look l = look (out, "I420", 640, 360);
    if (i == 30)
      with = l.all - l.dark;
    after = l.all - l.dark;
  }
  g_assert_cmpuint (with, >, after + 200);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  gst_object_unref (gst_plugin_load_file (SPT_TEST_PLUGIN, NULL));
  gst_object_unref (gst_object_ref_sink (gst_element_factory_make ("poseoverlay", NULL)));
  g_test_add_func (
      "/poseoverlay/black-leaves-nothing-of-the-picture", test_black_leaves_nothing_of_the_picture);
  g_test_add_func ("/poseoverlay/keep-touches-only-where-the-skeleton-is",
      test_keep_touches_only_where_the_skeleton_is);
  g_test_add_func ("/poseoverlay/blur-leaves-no-detail", test_blur_leaves_no_detail);
  g_test_add_func (
      "/poseoverlay/nonsense-in-the-meta-is-survived", test_nonsense_in_the_meta_is_survived);
  g_test_add_func ("/poseoverlay/the-trail-stays-for-its-time", test_the_trail_stays_for_its_time);
  return g_test_run ();
}
