/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* posedetect against the drawn climber's own joints, in scenes with and without trouble: one row
 * each. `found` is the share of frames with somebody in them, `first` the frame of the first. */
#include <gst/check/gstharness.h>
#include <math.h>

#include "posemeta.h"

#define WIDTH 1280
#define HEIGHT 720
#define CAPS "video/x-raw,format=I420,width=1280,height=720,framerate=30/1"
#define OUTSIDE (-1.0) /* of climbersrc's x: an empty wall */
/* Joints that lie so near, in parts of the body's height, are right (pose.md 19). */
#define RIGHT 0.05

static const guint joints[] = {11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28};

typedef struct {
  const char *name, *climber, *effect, *detector;
  guint frames;
  double size;
  double shake;             /* pixels, to and fro */
  guint leaves, comes_back; /* frames; 0: stays */
} Scene;

static const Scene scenes[] = {
    {"front, full", "view=front", "identity", "", 300, 0.8},
    {"back, full", "view=back", "identity", "", 300, 0.8},
    {"standing, full", "view=stand", "identity", "", 300, 0.8},
    {"front, lite", "view=front", "identity", "model=lite", 300, 0.8},
    {"back, lite", "view=back", "identity", "model=lite", 300, 0.8},
    {"back, shaken by 3 px", "view=back", "identity", "", 300, 0.8, 3},
    {"back, dark", "view=back", "videobalance brightness=-0.25 contrast=0.7", "", 300, 0.8},
    {"back, bright", "view=back", "videobalance brightness=0.25", "", 300, 0.8},
    {"back, 0.42 of the height", "view=back size=0.42", "identity", "", 300, 0.42},
    {"back, 0.3, far left", "view=back size=0.3 x=0.12", "identity", "", 300, 0.3},
    {"standing still for 20 s", "view=stand", "identity", "", 600, 0.8},
    {"leaves for 3 s, comes back", "view=back", "identity", "", 300, 0.8, 0, 90, 180},
    {"an empty wall for 60 s", "x=-1", "identity", "", 1800, 0},
    {"an empty wall, shaken", "x=-1", "identity", "", 600, 0, 3},
};

static double
distance (GstBuffer *buffer, const GstPosePerson *person, guint n)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "spotter-climber");
  g_autofree char *fx = g_strdup_printf ("x-%u", n), *fy = g_strdup_printf ("y-%u", n);
  double x = 0, y = 0;
  gst_structure_get_double (gst_custom_meta_get_structure (meta), fx, &x);
  gst_structure_get_double (gst_custom_meta_get_structure (meta), fy, &y);
  return hypot (person->image[n].x * WIDTH - x, person->image[n].y * HEIGHT - y);
}

typedef struct {
  guint found, looked, right;
  int first, again; /* frames; -1: never. again: after it has come back */
} Result;

static void
judge (const Scene *scene, GstBuffer *buffer, guint frame, Result *result)
{
  const GstPoseMeta *meta = gst_buffer_get_pose_meta (buffer);
  if (!meta->n_people)
    return;
  result->found++;
  if (result->first < 0)
    result->first = (int)frame;
  if (scene->comes_back && frame >= scene->comes_back && result->again < 0)
    result->again = (int)(frame - scene->comes_back);
  for (guint i = 0; scene->size > 0 && i < G_N_ELEMENTS (joints); i++) {
    result->looked++;
    result->right += distance (buffer, &meta->people[0], joints[i]) < RIGHT * scene->size * HEIGHT;
  }
}

static void
play (const Scene *scene)
{
  g_autofree char *text = g_strdup_printf ("climbersrc name=climber num-buffers=%u %s ! " CAPS
                                           " ! videobox name=box ! videoscale ! " CAPS
                                           " ! %s ! posedetect fps=15 smoothing=false %s",
      scene->frames, scene->climber, scene->effect, scene->detector);
  GstHarness *h = gst_harness_new_parse (text);
  g_autoptr (GstElement) box = gst_bin_get_by_name (GST_BIN (h->element), "box");
  g_autoptr (GstElement) climber = gst_bin_get_by_name (GST_BIN (h->element), "climber");
  Result result = {.first = -1, .again = -1};
  gst_harness_set_blocking_push_mode (h);
  gst_harness_play (h);
  for (guint i = 0; i < scene->frames; i++) {
    int shift = scene->shake > 0 ? (int)lround (scene->shake * sin (i * 1.3)) : 0;
    if (scene->shake > 0)
      g_object_set (box, "left", shift, "right", -shift, NULL);
    if (scene->leaves && (i == scene->leaves || i == scene->comes_back))
      g_object_set (climber, "x", i == scene->leaves ? OUTSIDE : 0.5, NULL);
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    judge (scene, buffer, i, &result);
  }
  g_print ("%-28s %6.1f %% %8d %8d %10.1f %%\n", scene->name, 100.0 * result.found / scene->frames,
      result.first, result.again, result.looked ? 100.0 * result.right / result.looked : 0);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  gst_object_unref (gst_plugin_load_file (SPT_TEST_PLUGIN, NULL));
  g_print ("%-28s %8s %8s %8s %12s\n", "scene", "found", "first", "again", "joints right");
  for (guint i = 0; i < G_N_ELEMENTS (scenes); i++)
    play (&scenes[i]);
  return 0;
}
