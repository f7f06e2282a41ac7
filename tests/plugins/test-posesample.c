/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>
#include <string.h>

#include <gst/video/video.h>

#include "posesample.h"

#define SIDE 37 /* not a multiple of anything */

typedef struct {
  GstBuffer *buffer;
  GstVideoInfo info;
  GstVideoFrame frame;
} Picture;

/* A picture of noise; @padding bytes are added to each row. */
static void
picture_init (Picture *picture, GstVideoFormat format, int w, int h, const char *colorimetry,
    GstVideoChromaSite site, int padding)
{
  gst_video_info_set_format (&picture->info, format, (guint)w, (guint)h);
  if (colorimetry)
    g_assert_true (gst_video_colorimetry_from_string (&picture->info.colorimetry, colorimetry));
  if (site)
    picture->info.chroma_site = site;
  if (padding) {
    GstVideoAlignment align = {.padding_right = (guint)padding, .padding_bottom = 3};
    g_assert_true (gst_video_info_align (&picture->info, &align));
  }
  /* Exactly what is needed, so that a sanitizer sees a read outside. */
  gsize size = GST_VIDEO_INFO_SIZE (&picture->info);
  guint8 *bytes = g_malloc (size);
  for (gsize i = 0; i < size; i++)
    bytes[i] = (guint8)g_test_rand_int ();
  picture->buffer = gst_buffer_new_wrapped (bytes, size);
  g_assert_true (
      gst_video_frame_map (&picture->frame, &picture->info, picture->buffer, GST_MAP_READ));
}

static void
picture_clear (Picture *picture)
{
  gst_video_frame_unmap (&picture->frame);
  gst_buffer_unref (picture->buffer);
}

/* One sample of component @c, the nearest if there is none. Written out by format. */
static double
sample (const Picture *picture, guint c, int x, int y)
{
  const GstVideoFrame *frame = &picture->frame;
  int w = picture->info.width, h = picture->info.height;
  static const struct {
    GstVideoFormat format;
    int plane[3], offset[3], step[3];
  } layouts[] = {
      {GST_VIDEO_FORMAT_I420, {0, 1, 2}, {0, 0, 0}, {1, 1, 1}},
      {GST_VIDEO_FORMAT_YV12, {0, 2, 1}, {0, 0, 0}, {1, 1, 1}},
      {GST_VIDEO_FORMAT_Y42B, {0, 1, 2}, {0, 0, 0}, {1, 1, 1}},
      {GST_VIDEO_FORMAT_Y444, {0, 1, 2}, {0, 0, 0}, {1, 1, 1}},
      {GST_VIDEO_FORMAT_NV12, {0, 1, 1}, {0, 0, 1}, {1, 2, 2}},
      {GST_VIDEO_FORMAT_NV21, {0, 1, 1}, {0, 1, 0}, {1, 2, 2}},
      {GST_VIDEO_FORMAT_YUY2, {0, 0, 0}, {0, 1, 3}, {2, 4, 4}},
      {GST_VIDEO_FORMAT_YVYU, {0, 0, 0}, {0, 3, 1}, {2, 4, 4}},
      {GST_VIDEO_FORMAT_UYVY, {0, 0, 0}, {1, 0, 2}, {2, 4, 4}},
      {GST_VIDEO_FORMAT_RGB, {0, 0, 0}, {0, 1, 2}, {3, 3, 3}},
      {GST_VIDEO_FORMAT_BGR, {0, 0, 0}, {2, 1, 0}, {3, 3, 3}},
      {GST_VIDEO_FORMAT_RGBx, {0, 0, 0}, {0, 1, 2}, {4, 4, 4}},
      {GST_VIDEO_FORMAT_BGRx, {0, 0, 0}, {2, 1, 0}, {4, 4, 4}},
      {GST_VIDEO_FORMAT_xRGB, {0, 0, 0}, {1, 2, 3}, {4, 4, 4}},
      {GST_VIDEO_FORMAT_xBGR, {0, 0, 0}, {3, 2, 1}, {4, 4, 4}},
      {GST_VIDEO_FORMAT_RGBA, {0, 0, 0}, {0, 1, 2}, {4, 4, 4}},
      {GST_VIDEO_FORMAT_BGRA, {0, 0, 0}, {2, 1, 0}, {4, 4, 4}},
      {GST_VIDEO_FORMAT_ARGB, {0, 0, 0}, {1, 2, 3}, {4, 4, 4}},
      {GST_VIDEO_FORMAT_ABGR, {0, 0, 0}, {3, 2, 1}, {4, 4, 4}},
      {GST_VIDEO_FORMAT_GRAY8, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}},
  };
  guint l = 0;
  while (layouts[l].format != GST_VIDEO_INFO_FORMAT (&picture->info))
    g_assert_cmpuint (++l, <, G_N_ELEMENTS (layouts));
  GstVideoFormat format = layouts[l].format;
  if (c > 0 && GST_VIDEO_INFO_IS_YUV (&picture->info) && format != GST_VIDEO_FORMAT_Y444) {
    w = (w + 1) / 2;
    if (layouts[l].plane[1] != 0 && format != GST_VIDEO_FORMAT_Y42B)
      h = (h + 1) / 2;
  }
  x = CLAMP (x, 0, w - 1);
  y = CLAMP (y, 0, h - 1);
  const guint8 *plane = frame->data[layouts[l].plane[c]];
  int stride = frame->info.stride[layouts[l].plane[c]];
  return plane[y * stride + x * layouts[l].step[c] + layouts[l].offset[c]];
}

/* Component @c at pixel place (x, y), the middle of the first pixel being (0, 0). */
static double
bilinear (const Picture *picture, guint c, double x, double y)
{
  const GstVideoInfo *info = &picture->info;
  if (c > 0 && GST_VIDEO_INFO_IS_YUV (info)) {
    gboolean cosited_x = info->chroma_site & GST_VIDEO_CHROMA_SITE_H_COSITED;
    gboolean cosited_y = info->chroma_site & GST_VIDEO_CHROMA_SITE_V_COSITED;
    if (GST_VIDEO_FORMAT_INFO_W_SUB (info->finfo, c))
      x = cosited_x ? x / 2 : (x - .5) / 2;
    if (GST_VIDEO_FORMAT_INFO_H_SUB (info->finfo, c))
      y = cosited_y ? y / 2 : (y - .5) / 2;
  }
  double w = GST_VIDEO_INFO_COMP_WIDTH (info, c), h = GST_VIDEO_INFO_COMP_HEIGHT (info, c);
  x = CLAMP (x, 0, w - 1);
  y = CLAMP (y, 0, h - 1);
  int left = (int)x, top = (int)y;
  double fx = x - left, fy = y - top;
  return (1 - fy) *
             ((1 - fx) * sample (picture, c, left, top) + fx * sample (picture, c, left + 1, top)) +
         fy * ((1 - fx) * sample (picture, c, left, top + 1) +
                  fx * sample (picture, c, left + 1, top + 1));
}

typedef struct {
  const char *colorimetry;
  gboolean limited;
  double rv, gu, gv, bu; /* of full range chroma */
} Matrix;

static const Matrix matrices[] = {
    {"bt601", TRUE, 1.402, -0.344136, -0.714136, 1.772},
    {"bt709", TRUE, 1.5748, -0.187324, -0.468124, 1.8556},
    {"1:4:0:0", FALSE, 1.402, -0.344136, -0.714136, 1.772},
    {"1:3:5:1", FALSE, 1.5748, -0.187324, -0.468124, 1.8556},
};

/* Red, green, blue, 0 … 1, at a place of the image. */
static void
reference (const Picture *picture, const Matrix *matrix, double x, double y, double *rgb)
{
  if (!GST_VIDEO_INFO_IS_YUV (&picture->info)) {
    for (guint c = 0; c < 3; c++)
      rgb[c] = bilinear (picture, GST_VIDEO_INFO_IS_GRAY (&picture->info) ? 0 : c, x, y) / 255;
    return;
  }
  double luma = bilinear (picture, 0, x, y), u = bilinear (picture, 1, x, y) - 128,
         v = bilinear (picture, 2, x, y) - 128;
  if (matrix->limited) {
    luma = (luma - 16) / 219;
    u /= 224;
    v /= 224;
  } else {
    luma /= 255;
    u /= 255;
    v /= 255;
  }
  rgb[0] = CLAMP (luma + matrix->rv * v, 0, 1);
  rgb[1] = CLAMP (luma + matrix->gu * u + matrix->gv * v, 0, 1);
  rgb[2] = CLAMP (luma + matrix->bu * u, 0, 1);
}

static void
check (const Picture *picture, const Matrix *matrix, const PoseRect *rect, PoseBorder border)
{
  g_autofree float *tensor = g_new (float, SIDE *SIDE * 3); /* no more, for sanitizers */
  double w = picture->info.width, h = picture->info.height;
  pose_sample (&picture->frame, rect, SIDE, -1, 1, border, tensor);
  for (guint i = 0; i < SIDE * SIDE; i++) {
    double u = (i % SIDE + .5) / SIDE - .5, v = (i / SIDE + .5) / SIDE - .5, rgb[3];
    double x = rect->cx + cos (rect->rotation) * u * rect->w - sin (rect->rotation) * v * rect->h;
    double y = rect->cy + sin (rect->rotation) * u * rect->w + cos (rect->rotation) * v * rect->h;
    gboolean outside = x < 0 || x > w || y < 0 || y > h;
    if (MIN (MIN (fabs (x), fabs (x - w)), MIN (fabs (y), fabs (y - h))) < 1e-3)
      continue; /* on the edge either is right */
    reference (picture, matrix, x - .5, y - .5, rgb);
    for (guint c = 0; c < 3; c++)
      g_assert_cmpfloat_with_epsilon (
          tensor[i * 3 + c], outside && border == POSE_BORDER_ZERO ? -1 : rgb[c] * 2 - 1, 0.004);
  }
}

static const struct {
  int w, h;
} sizes[] = {{64, 48}, {33, 17}, {7, 5}, {2, 1}, {1, 1}};

/* Inside, turned, across a corner, and far larger than the picture. */
static void
check_rects (const Picture *picture, const Matrix *matrix)
{
  float w = (float)picture->info.width, h = (float)picture->info.height;
  const PoseRect rects[] = {{w / 2, h / 2, w, h, 0}, {w / 2, h / 2, w / 2, w / 2, 0.7f},
      {0, h, w, h, -2.5f}, {w / 3, h / 3, 6 * w, 6 * w, 3}};
  for (guint i = 0; i < G_N_ELEMENTS (rects); i++) {
    check (picture, matrix, &rects[i], POSE_BORDER_ZERO);
    check (picture, matrix, &rects[i], POSE_BORDER_REPLICATE);
  }
}

static void
test_every_format_is_read_as_slowly_written_out (void)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string ("video/x-raw, format=" POSE_SAMPLE_FORMATS);
  const GValue *formats = gst_structure_get_value (gst_caps_get_structure (caps, 0), "format");
  for (guint f = 0; f < gst_value_list_get_size (formats); f++) {
    GstVideoFormat format =
        gst_video_format_from_string (g_value_get_string (gst_value_list_get_value (formats, f)));
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
      Picture picture;
      gboolean rgb = gst_video_format_get_info (format)->flags & GST_VIDEO_FORMAT_FLAG_RGB;
      gboolean grey = gst_video_format_get_info (format)->flags & GST_VIDEO_FORMAT_FLAG_GRAY;
      picture_init (&picture, format, sizes[s].w, sizes[s].h,
          rgb    ? "sRGB"
          : grey ? "1:0:0:0"
                 : "bt601",
          0, 0);
      g_assert_true (pose_sample_can (&picture.info));
      check_rects (&picture, &matrices[0]);
      picture_clear (&picture);
    }
  }
}

static void
test_colours_are_as_the_caps_say (void)
{
  static const GstVideoChromaSite sites[] = {
      GST_VIDEO_CHROMA_SITE_JPEG, GST_VIDEO_CHROMA_SITE_MPEG2, GST_VIDEO_CHROMA_SITE_COSITED};
  for (guint m = 0; m < G_N_ELEMENTS (matrices); m++)
    for (guint s = 0; s < G_N_ELEMENTS (sites); s++) {
      Picture picture;
      picture_init (&picture, GST_VIDEO_FORMAT_I420, 33, 17, matrices[m].colorimetry, sites[s], 0);
      check_rects (&picture, &matrices[m]);
      picture_clear (&picture);
    }
}

static void
test_known_colours (void)
{
  static const struct {
    const char *colorimetry;
    guint8 y, u, v;
    float rgb[3];
  } colours[] = {{"bt601", 81, 90, 240, {1, 0, 0}}, {"bt601", 16, 128, 128, {0, 0, 0}},
      {"bt601", 235, 128, 128, {1, 1, 1}}, {"bt709", 63, 102, 240, {1, 0, 0}},
      {"bt709", 173, 42, 26, {0, 1, 0}}, {"1:4:0:0", 255, 128, 128, {1, 1, 1}},
      {"1:4:0:0", 29, 255, 107, {0, 0, 1}}, {"bt601", 255, 128, 128, {1, 1, 1}}};
  for (guint i = 0; i < G_N_ELEMENTS (colours); i++) {
    Picture picture;
    float tensor[4 * 4 * 3];
    picture_init (&picture, GST_VIDEO_FORMAT_I420, 16, 16, colours[i].colorimetry, 0, 0);
    memset (picture.frame.data[0], colours[i].y, 16 * 16);
    memset (picture.frame.data[1], colours[i].u, 8 * 8);
    memset (picture.frame.data[2], colours[i].v, 8 * 8);
    PoseRect rect = {8, 8, 16, 16, 0.3f};
    pose_sample (&picture.frame, &rect, 4, 0, 1, POSE_BORDER_REPLICATE, tensor);
    for (guint c = 0; c < G_N_ELEMENTS (tensor); c++)
      g_assert_cmpfloat_with_epsilon (tensor[c], colours[i].rgb[c % 3], 0.01);
    picture_clear (&picture);
  }
}

static void
test_rows_may_be_padded (void)
{
  static const GstVideoFormat formats[] = {
      GST_VIDEO_FORMAT_I420, GST_VIDEO_FORMAT_NV12, GST_VIDEO_FORMAT_YUY2, GST_VIDEO_FORMAT_BGR};
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    Picture picture;
    picture_init (
        &picture, formats[i], 33, 17, formats[i] == GST_VIDEO_FORMAT_BGR ? "sRGB" : "bt601", 0, 19);
    check_rects (&picture, &matrices[0]);
    picture_clear (&picture);
  }
}

static void
test_limited_range_rgb_and_grey (void)
{
  static const GstVideoFormat formats[] = {GST_VIDEO_FORMAT_RGB, GST_VIDEO_FORMAT_GRAY8};
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    static const guint8 values[] = {0, 16, 125, 235, 255};
    static const float wanted[] = {0, 0, 109 / 219.f, 1, 1};
    for (guint v = 0; v < G_N_ELEMENTS (values); v++) {
      Picture picture;
      float tensor[3];
      picture_init (&picture, formats[i], 4, 4, "2:1:7:1", 0, 0);
      memset (picture.frame.data[0], values[v], GST_VIDEO_INFO_SIZE (&picture.info));
      PoseRect rect = {2, 2, 1, 1, 0};
      pose_sample (&picture.frame, &rect, 1, 0, 1, POSE_BORDER_ZERO, tensor);
      for (guint c = 0; c < 3; c++)
        g_assert_cmpfloat_with_epsilon (tensor[c], wanted[v], 1e-5);
      picture_clear (&picture);
    }
  }
}

static void
test_no_rectangle_leads_outside (void)
{
  const float odd[] = {
      0, -1, 1e4f, -1e9f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN, 1e-40f, 33, 0.5f};
  Picture picture;
  g_autofree float *tensor = g_new (float, SIDE *SIDE * 3);
  picture_init (&picture, GST_VIDEO_FORMAT_NV12, 33, 17, "bt709", 0, 0);
  for (guint i = 0; i < 3000; i++) {
    float r[5];
    for (guint k = 0; k < 5; k++)
      r[k] = odd[g_test_rand_int_range (0, G_N_ELEMENTS (odd))];
    PoseRect rect = {r[0], r[1], r[2], r[3], r[4]};
    pose_sample (&picture.frame, &rect, 5 + i % 33, -1, 1,
        i % 2 ? POSE_BORDER_ZERO : POSE_BORDER_REPLICATE, tensor);
    for (guint k = 0; k < (5 + i % 33) * (5 + i % 33) * 3; k++)
      g_assert_true (tensor[k] >= -1 && tensor[k] <= 1);
  }
  picture_clear (&picture);
}

static void
test_what_is_not_understood_is_refused (void)
{
  static const GstVideoFormat formats[] = {GST_VIDEO_FORMAT_I420_10LE, GST_VIDEO_FORMAT_RGB16,
      GST_VIDEO_FORMAT_v210, GST_VIDEO_FORMAT_NV12_64Z32, GST_VIDEO_FORMAT_GRAY16_LE,
      GST_VIDEO_FORMAT_RGB8P, GST_VIDEO_FORMAT_VYUY, GST_VIDEO_FORMAT_ENCODED,
      GST_VIDEO_FORMAT_P010_10LE};
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    GstVideoInfo info;
    gst_video_info_set_format (&info, formats[i], 64, 64);
    g_assert_false (pose_sample_can (&info));
  }
  GstVideoInfo nothing;
  gst_video_info_init (&nothing);
  g_assert_false (pose_sample_can (&nothing));
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/posesample/every-format-is-read-as-slowly-written-out",
      test_every_format_is_read_as_slowly_written_out);
  g_test_add_func ("/posesample/colours-are-as-the-caps-say", test_colours_are_as_the_caps_say);
  g_test_add_func ("/posesample/known-colours", test_known_colours);
  g_test_add_func ("/posesample/rows-may-be-padded", test_rows_may_be_padded);
  g_test_add_func ("/posesample/limited-range-rgb-and-grey", test_limited_range_rgb_and_grey);
  g_test_add_func ("/posesample/no-rectangle-leads-outside", test_no_rectangle_leads_outside);
  g_test_add_func (
      "/posesample/what-is-not-understood-is-refused", test_what_is_not_understood_is_refused);
  return g_test_run ();
}
