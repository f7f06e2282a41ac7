/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Against what MediaPipe's official build says of the same pictures (tests/pose/README.md). */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <json-glib/json-glib.h>
#include <math.h>

#include "blazepose.h"

typedef struct {
  const char *name;    /* in the golden files */
  const char *path;    /* relative ones are ours */
  const char *package; /* Debian's, that has it */
} Picture;

static const Picture pictures[] = {
    {"synth_f.png", "synth_f.png", NULL},
    {"synth_s.png", "synth_s.png", NULL},
    {"synth_b.png", "synth_b.png", NULL},
    {"astronaut.png", "/usr/lib/python3/dist-packages/skimage/data/astronaut.png",
        "python3-skimage"},
    {"darknet_person.png", "/usr/share/darknet/data/person.jpg", "darknet"},
};

static const struct {
  BlazePoseKind kind;
  const char *name, *golden;
} kinds[] = {{BLAZEPOSE_LITE, "lite", "gold_complexity0.jsonl"},
    {BLAZEPOSE_FULL, "full", "gold_complexity1.jsonl"},
    {BLAZEPOSE_HEAVY, "heavy", "gold_complexity2.jsonl"}};

/* MediaPipe was shown what ffmpeg makes of the JPEG. Another decoder's chroma moves landmarks by
 * 0.005 in that picture. */
static gboolean
jpeg_to_png (const char *jpeg, const char *png)
{
  const char *argv[] = {"ffmpeg", "-v", "error", "-y", "-i", jpeg, png, NULL};
  return g_spawn_sync (
      NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
}

/* Returns: (transfer full): the PNG as RGB. */
static GstSample *
read_png (const char *path)
{
  GError *error = NULL;
  g_autoptr (GstElement) pipeline =
      gst_parse_launch ("filesrc name=file ! pngdec ! videoconvert ! video/x-raw,format=RGB ! "
                        "appsink name=out sync=false",
          &error);
  g_assert_no_error (error);
  g_autoptr (GstElement) file = gst_bin_get_by_name (GST_BIN (pipeline), "file");
  g_autoptr (GstElement) out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  g_object_set (file, "location", path, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  GstSample *sample = gst_app_sink_try_pull_sample (GST_APP_SINK (out), 20 * GST_SECOND);
  g_assert_nonnull (sample);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return sample;
}

static GstSample *
read_picture (const Picture *picture)
{
  if (!g_path_is_absolute (picture->path)) {
    g_autofree char *path = g_build_filename (SPT_TEST_POSE, picture->path, NULL);
    return read_png (path);
  }
  if (!g_str_has_suffix (picture->path, ".jpg"))
    return read_png (picture->path);
  g_autofree char *folder = g_dir_make_tmp ("pose-XXXXXX", NULL);
  g_autofree char *png = g_build_filename (folder, "picture.png", NULL);
  GstSample *sample = jpeg_to_png (picture->path, png) ? read_png (png) : NULL;
  g_unlink (png);
  g_rmdir (folder);
  return sample;
}

/* Returns: (transfer full): what MediaPipe says of @name. */
static JsonNode *
read_golden (const char *file, const char *name)
{
  g_autofree char *path = g_build_filename (SPT_TEST_POSE, file, NULL), *text = NULL;
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autofree char *start = g_strdup_printf ("{\"f\":\"%s\",", name);
  for (guint i = 0; lines[i]; i++)
    if (g_str_has_prefix (lines[i], start))
      return json_from_string (lines[i], NULL);
  g_assert_not_reached ();
}

static double
number (JsonArray *points, guint n, const char *axis)
{
  return json_object_get_double_member (json_array_get_object_element (points, n), axis);
}

static void
compare (const PoseResult *got, JsonObject *golden, double width, double height)
{
  JsonArray *image = json_object_get_array_member (golden, "lm");
  JsonArray *world = json_object_get_array_member (golden, "world");
  guint near = 0;
  double mean = 0, worst = 0, worst_world = 0, worst_visibility = 0, worst_z = 0;
  for (guint i = 0; i < POSE_LANDMARKS; i++) {
    double away = hypot (got->image[i].x / width - number (image, i, "x"),
        got->image[i].y / height - number (image, i, "y"));
    near += away <= 0.002;
    mean += away / POSE_LANDMARKS;
    worst = MAX (worst, away);
    worst_z = MAX (worst_z, fabs (got->image[i].z / width - number (image, i, "z")));
    worst_visibility =
        MAX (worst_visibility, fabs (got->image[i].visibility - number (image, i, "visibility")));
    double dx = got->world[i].x - number (world, i, "x"),
           dy = got->world[i].y - number (world, i, "y");
    worst_world =
        MAX (worst_world, hypot (hypot (dx, dy), got->world[i].z - number (world, i, "z")));
  }
  g_test_message (
      "%u of 33 within 0.002, mean %.6f, worst %.6f; z %.5f, visibility %.5f; world %.5f m", near,
      mean, worst, worst_z, worst_visibility, worst_world);
  g_assert_cmpuint (near, >=, 31);
  g_assert_cmpfloat (mean, <=, 0.001);
  g_assert_cmpfloat (worst_z, <=, 0.005);
  g_assert_cmpfloat (worst_visibility, <=, 0.005);
  g_assert_cmpfloat (worst_world, <=, 0.005);
}

/* Made once for all pictures: under a sanitizer that takes ten seconds. */
static BlazePose *poses[G_N_ELEMENTS (kinds)];

/* Returns: (nullable): the kind of the current test, or NULL when that is skipped. */
static BlazePose *
get_pose (guint kind)
{
  g_autoptr (GError) error = NULL;
  if (!poses[kind])
    poses[kind] = blazepose_new (kinds[kind].kind, 1, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
      g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED))
    g_test_skip (error->message);
  else
    g_assert_no_error (error);
  return poses[kind];
}

static void
test_same_as_mediapipe (gconstpointer data)
{
  guint n = GPOINTER_TO_UINT (data) % G_N_ELEMENTS (pictures);
  guint kind = GPOINTER_TO_UINT (data) / G_N_ELEMENTS (pictures);
  const Picture *picture = &pictures[n];
  if (picture->package && !g_file_test (picture->path, G_FILE_TEST_EXISTS)) {
    g_autofree char *why = g_strdup_printf (
        "%s is missing: install Debian's package %s", picture->path, picture->package);
    g_test_skip (why);
    return;
  }
  BlazePose *pose = get_pose (kind);
  if (!pose)
    return;
  g_autoptr (GstSample) sample = read_picture (picture);
  if (!sample) {
    g_test_skip ("ffmpeg is missing: install Debian's package ffmpeg");
    return;
  }
  GstVideoInfo info;
  GstVideoFrame frame;
  g_assert_true (gst_video_info_from_caps (&info, gst_sample_get_caps (sample)));
  g_assert_true (gst_video_frame_map (&frame, &info, gst_sample_get_buffer (sample), GST_MAP_READ));
  PoseRect all = blazepose_letterbox (&info);
  PoseDetection person;
  PoseResult result;
  g_assert_cmpuint (blazepose_detect (pose, &frame, &all, 0.5f, &person, 1), ==, 1);
  g_assert_true (blazepose_landmarks (pose, &frame, &person.roi, &result));
  gst_video_frame_unmap (&frame);
  g_test_message ("score %.3f, flag %.3f", person.score, result.flag);
  g_assert_cmpfloat (result.flag, >, 0.5);
  g_autoptr (JsonNode) golden = read_golden (kinds[kind].golden, picture->name);
  compare (&result, json_node_get_object (golden), info.width, info.height);
}

typedef struct {
  BlazePose *pose;
  const GstVideoFrame *frame;
  PoseDetection found[8];
} Looker;

static gpointer
look (gpointer data)
{
  Looker *self = data;
  PoseRect all = blazepose_letterbox (&self->frame->info);
  for (guint i = 0; i < G_N_ELEMENTS (self->found); i++)
    blazepose_detect (self->pose, self->frame, &all, 0.5f, &self->found[i], 1);
  return NULL;
}

/* Lite and full have one detector's file. */
static void
test_two_threads_share_a_model (void)
{
  BlazePose *lite = get_pose (0), *full = lite ? get_pose (1) : NULL;
  if (!full)
    return;
  g_autoptr (GstSample) sample = read_picture (&pictures[0]);
  GstVideoInfo info;
  GstVideoFrame frame;
  g_assert_true (gst_video_info_from_caps (&info, gst_sample_get_caps (sample)));
  g_assert_true (gst_video_frame_map (&frame, &info, gst_sample_get_buffer (sample), GST_MAP_READ));
  Looker one = {lite, &frame}, other = {full, &frame};
  GThread *thread = g_thread_new ("other", look, &other);
  look (&one);
  g_thread_join (thread);
  gst_video_frame_unmap (&frame);
  g_assert_cmpfloat (one.found[0].score, >, 0.9);
  for (guint i = 0; i < G_N_ELEMENTS (one.found); i++) {
    g_assert_cmpfloat (one.found[i].score, ==, one.found[0].score);
    g_assert_cmpmem (&one.found[i], sizeof one.found[i], &other.found[i], sizeof other.found[i]);
  }
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  for (guint kind = 0; kind < G_N_ELEMENTS (kinds); kind++)
    for (guint i = 0; i < G_N_ELEMENTS (pictures); i++) {
      g_autofree char *path = g_strdup_printf (
          "/pose-golden/%s-sees-%s-as-mediapipe-does", kinds[kind].name, pictures[i].name);
      g_test_add_data_func (
          path, GUINT_TO_POINTER (kind * G_N_ELEMENTS (pictures) + i), test_same_as_mediapipe);
    }
  g_test_add_func ("/pose-golden/two-threads-share-a-model", test_two_threads_share_a_model);
  int status = g_test_run ();
  for (guint kind = 0; kind < G_N_ELEMENTS (kinds); kind++)
    g_clear_pointer (&poses[kind], blazepose_free);
  return status;
}
