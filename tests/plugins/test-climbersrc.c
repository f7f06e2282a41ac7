/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <math.h>

static GstHarness *
make (const char *description)
{
  GstHarness *h = gst_harness_new_parse (description);
  gst_harness_play (h);
  return h;
}

static gboolean
joint (GstBuffer *buffer, guint n, double *x, double *y)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "spotter-climber");
  g_assert_nonnull (meta);
  g_autofree char *fx = g_strdup_printf ("x-%u", n), *fy = g_strdup_printf ("y-%u", n);
  GstStructure *s = gst_custom_meta_get_structure (meta);
  return gst_structure_get_double (s, fx, x) && gst_structure_get_double (s, fy, y);
}

static void
test_frames_are_timed_and_carry_joints (void)
{
  GstHarness *h = make ("climbersrc num-buffers=10 ! capsfilter "
                        "caps=\"video/x-raw,width=640,height=360,framerate=25/1\"");
  for (guint i = 0; i < 10; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    g_assert_cmpuint (GST_BUFFER_PTS (buffer), ==, i * 40 * GST_MSECOND);
    g_assert_cmpuint (gst_buffer_get_size (buffer), ==, 640 * 360 * 3 / 2);
    static const guint joints[] = {0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28};
    for (guint j = 0; j < G_N_ELEMENTS (joints); j++) {
      double x, y;
      g_assert_true (joint (buffer, joints[j], &x, &y));
      g_assert_true (x >= 0 && x < 640 && y >= 0 && y < 360);
    }
  }
  gst_harness_teardown (h);
}

static void
test_left_is_the_persons_own (void)
{
  static const struct {
    const char *view;
    gboolean left_is_right_of_picture;
  } views[] = {{"front", TRUE}, {"stand", TRUE}, {"back", FALSE}};
  for (guint i = 0; i < G_N_ELEMENTS (views); i++) {
    g_autofree char *text = g_strdup_printf ("climbersrc num-buffers=1 view=%s", views[i].view);
    GstHarness *h = make (text);
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    double left, right, y;
    joint (buffer, 11, &left, &y);
    joint (buffer, 12, &right, &y);
    g_assert_cmpint (left > right, ==, views[i].left_is_right_of_picture);
    gst_harness_teardown (h);
  }
}

/* The shoulder is where the shirt is blue, and the picture is not one colour. */
static void
test_joints_lie_on_the_drawn_person (void)
{
  GstHarness *h =
      make ("climbersrc num-buffers=1 ! capsfilter caps=\"video/x-raw,width=1280,height=720\"");
  g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (h->sinkpad);
  GstVideoInfo info;
  GstVideoFrame frame;
  double x, y;
  joint (buffer, 11, &x, &y);
  g_assert_true (gst_video_info_from_caps (&info, caps));
  g_assert_true (gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ));
  const guint8 *u = GST_VIDEO_FRAME_PLANE_DATA (&frame, 1),
               *v = GST_VIDEO_FRAME_PLANE_DATA (&frame, 2);
  gsize at = (gsize)((int)y / 2 * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 1) + (int)x / 2);
  g_assert_cmpuint (u[at], >, 140); /* blue */
  g_assert_cmpuint (v[at], <, 120);
  gst_video_frame_unmap (&frame);
  gst_harness_teardown (h);
}

static void
test_limbs_keep_their_length_while_it_moves (void)
{
  GstHarness *h = make ("climbersrc num-buffers=120 ! capsfilter "
                        "caps=\"video/x-raw,width=320,height=180,framerate=30/1\"");
  double unit = 0.8 * 180 / 7.6, moved = 0, first_x = 0, first_y = 0;
  for (guint i = 0; i < 120; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    double sx, sy, ex, ey, wx, wy;
    joint (buffer, 11, &sx, &sy);
    joint (buffer, 13, &ex, &ey);
    joint (buffer, 15, &wx, &wy);
    g_assert_cmpfloat_with_epsilon (hypot (ex - sx, ey - sy), 1.45 * unit, 0.05 * unit);
    g_assert_cmpfloat_with_epsilon (hypot (wx - ex, wy - ey), 1.2 * unit, 0.05 * unit);
    if (!i) {
      first_x = wx;
      first_y = wy;
    }
    moved = MAX (moved, hypot (wx - first_x, wy - first_y));
  }
  g_assert_cmpfloat (moved, >, unit);
  gst_harness_teardown (h);
}

static void
test_odd_sizes_and_same_seed (void)
{
  guint8 first = 0;
  for (guint i = 0; i < 2; i++) {
    GstHarness *h = make (
        "climbersrc num-buffers=1 seed=3 ! capsfilter caps=\"video/x-raw,width=161,height=91\"");
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    g_autoptr (GstCaps) caps = gst_pad_get_current_caps (h->sinkpad);
    guint8 sum = 0;
    GstVideoInfo info;
    GstVideoFrame frame;
    g_assert_true (gst_video_info_from_caps (&info, caps));
    g_assert_true (gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ));
    const guint8 *luma = GST_VIDEO_FRAME_PLANE_DATA (&frame, 0);
    for (int y = 0; y < 91; y++) /* the rows have padding: only what is seen counts */
      for (int x = 0; x < 161; x++)
        sum = (guint8)(sum * 31 + luma[y * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0) + x]);
    gst_video_frame_unmap (&frame);
    if (i)
      g_assert_cmphex (sum, ==, first);
    first = sum;
    gst_harness_teardown (h);
  }
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  /* Loaded by its file: a scanner process could not load a sanitized one. */
  g_autoptr (GstPlugin) plugin = gst_plugin_load_file (SPT_TEST_PLUGIN, NULL);
  g_assert_nonnull (plugin);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func (
      "/climbersrc/frames-are-timed-and-carry-joints", test_frames_are_timed_and_carry_joints);
  g_test_add_func ("/climbersrc/left-is-the-persons-own", test_left_is_the_persons_own);
  g_test_add_func (
      "/climbersrc/joints-lie-on-the-drawn-person", test_joints_lie_on_the_drawn_person);
  g_test_add_func ("/climbersrc/limbs-keep-their-length-while-it-moves",
      test_limbs_keep_their_length_while_it_moves);
  g_test_add_func ("/climbersrc/odd-sizes-and-same-seed", test_odd_sizes_and_same_seed);
  return g_test_run ();
}
