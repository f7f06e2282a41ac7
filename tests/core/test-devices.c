/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices.h"
#include "error.h"

static const struct {
  const char *format;
  int width, height, num;
  const char *chosen;
} modes[] = {
    {"mjpeg", 1280, 720, 30, "image/jpeg, width=1280, height=720, framerate=30/1"},
    {"mjpeg", 1920, 1080, 30, "image/jpeg, width=1920, height=1080, framerate=30/1"},
    {"yuyv422", 1280, 720, 30, "video/x-raw, format=YUY2, width=1280, height=720, framerate=10/1"},
    {NULL, 1280, 720, 30, "image/jpeg, width=1280, height=720, framerate=30/1"},
    {NULL, 0, 0, 0, "image/jpeg, width=1280, height=720, framerate=30/1"},
    {"mjpeg", 1300, 700, 25, "image/jpeg, width=1280, height=720, framerate=30/1"},
    {"h264", 640, 480, 30, "video/x-raw, format=YUY2, width=640, height=480, framerate=30/1"},
};

static void
test_nearest_camera_mode (void)
{
  g_autoptr (GstCaps) offered =
      gst_caps_from_string ("video/x-raw, format=YUY2, width=640, height=480, framerate=30/1;"
                            "video/x-raw, format=YUY2, width=1280, height=720, framerate=10/1;"
                            "image/jpeg, width=1280, height=720, framerate=30/1;"
                            "image/jpeg, width=1920, height=1080, framerate=30/1");
  for (guint i = 0; i < G_N_ELEMENTS (modes); i++) {
    g_autoptr (GstCaps) mode = spt_devices_choose_mode (
        offered, modes[i].format, modes[i].width, modes[i].height, modes[i].num, 1);
    g_autoptr (GstCaps) chosen = gst_caps_from_string (modes[i].chosen);
    g_assert_true (gst_caps_is_equal (mode, chosen));
  }
  g_autoptr (GstCaps) none = gst_caps_new_empty ();
  g_assert_null (spt_devices_choose_mode (none, NULL, 0, 0, 0, 1));
}

static void
test_missing_camera_says_what_there_is (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (spt_devices_resolve ("63", &error));
  g_assert_true (g_str_has_prefix (error->message, "camera 63 does not exist; this machine has: "));
}

static void
test_modes_each_once_with_the_highest_rate (void)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (
      "image/jpeg, width=1280, height=720, framerate={30/1, 60/1};"
      "video/x-raw, format=YUY2, width=640, height=480, framerate=[1/1, 15/1];"
      "video/x-raw, format=YUY2, width=640, height=480, framerate=30/1;"
      "video/x-raw, format=GRAY8, width=[16, 800], height=[16, 600];"
      "video/x-raw, format=NV12");
  g_autoptr (GArray) found = spt_devices_modes (caps);
  static const SptCameraMode expected[] = {
      {"mjpeg", 1280, 720, 60}, {"yuyv422", 640, 480, 30}, {"", 800, 600, 0}};
  g_assert_cmpuint (found->len, ==, G_N_ELEMENTS (expected));
  for (guint i = 0; i < found->len; i++) {
    const SptCameraMode *mode = &g_array_index (found, SptCameraMode, i);
    g_assert_cmpstr (mode->format, ==, expected[i].format);
    g_assert_cmpint (mode->width, ==, expected[i].width);
    g_assert_cmpint (mode->height, ==, expected[i].height);
    g_assert_cmpfloat_with_epsilon (mode->fps, expected[i].fps, 0.01);
  }
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/devices/nearest-camera-mode", test_nearest_camera_mode);
  g_test_add_func (
      "/devices/missing-camera-says-what-there-is", test_missing_camera_says_what_there_is);
  g_test_add_func (
      "/devices/modes-each-once-with-the-highest-rate", test_modes_each_once_with_the_highest_rate);
  return g_test_run ();
}
