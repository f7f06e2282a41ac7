/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the steps of the pose detector cost: `pose [RUNS [THREADS [FORMAT]]]` prints medians in ms
 * for frames of 1280×720 with the drawn climber. */
#include <stdlib.h>
#include <string.h>

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include "blazepose.h"
#include "posesample.h"
#include "tflite.h"

static guint runs = 100;

static int
smaller_first (gconstpointer a, gconstpointer b)
{
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

#define MEASURE(name, ...)                                                                         \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_autofree double *ms = g_new (double, runs);                                                  \
    for (guint run = 0; run < runs; run++) {                                                       \
      gint64 run_begin = g_get_monotonic_time ();                                                  \
      __VA_ARGS__;                                                                                 \
      ms[run] = (double)(g_get_monotonic_time () - run_begin) / 1000;                              \
    }                                                                                              \
    qsort (ms, runs, sizeof *ms, smaller_first);                                                   \
    g_print ("%-28s %8.3f ms\n", name, ms[runs / 2]);                                              \
  }                                                                                                \
  G_STMT_END

/* Returns: (transfer full): one frame of the climber. */
static GstSample *
climber (const char *format)
{
  g_autofree char *text = g_strdup_printf (
      "filesrc location=%s ! pngdec ! videoconvert ! video/x-raw,format=%s ! appsink name=out",
      SPT_TEST_POSE "/synth_f.png", format);
  g_autoptr (GstElement) pipeline = gst_parse_launch (text, NULL);
  g_autoptr (GstElement) out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  GstSample *sample = gst_app_sink_pull_sample (GST_APP_SINK (out));
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return sample;
}

/* The arithmetic round the models, with what they really give. */
static void
measure_decoding (const GstVideoFrame *frame, const PoseRect *square, const PoseRect *roi,
    TfliteRunner *detector, TfliteRunner *landmarks)
{
  PoseDetection person;
  PoseResult result;
  float *input = tflite_runner_input (detector, 4, 1, 224, 224, 3);
  pose_sample (frame, square, 224, -1, 1, POSE_BORDER_ZERO, input);
  tflite_runner_run (detector, NULL);
  const float *boxes = tflite_runner_output (detector, 3, 1, 2254, 12);
  const float *scores = tflite_runner_output (detector, 3, 1, 2254, 1);
  MEASURE (
      "  decode and merge", blazepose_decode_detections (boxes, scores, square, .5f, &person, 1));
  input = tflite_runner_input (landmarks, 4, 1, 256, 256, 3);
  pose_sample (frame, roi, 256, 0, 1, POSE_BORDER_REPLICATE, input);
  tflite_runner_run (landmarks, NULL);
  BlazePoseTensors tensors = {tflite_runner_output (landmarks, 2, 1, 195),
      tflite_runner_output (landmarks, 2, 1, 1), tflite_runner_output (landmarks, 4, 1, 64, 64, 39),
      tflite_runner_output (landmarks, 2, 1, 117)};
  MEASURE ("  decode, refine, project", blazepose_decode_landmarks (&tensors, roi, &result));
}

static void
measure_kind (const GstVideoFrame *frame, BlazePoseKind kind, const char *name, guint threads)
{
  g_autoptr (GError) error = NULL;
  gint64 begin = g_get_monotonic_time ();
  g_autoptr (BlazePose) pose = blazepose_new (kind, threads, &error);
  if (!pose) {
    g_printerr ("%s\n", error->message);
    exit (1);
  }
  g_print ("%s: loaded in %.0f ms\n", name, (double)(g_get_monotonic_time () - begin) / 1000);
  g_autoptr (TfliteModel) detector_model = tflite_model_load ("detector", NULL);
  g_autoptr (TfliteModel) landmark_model = tflite_model_load (name, NULL);
  g_autoptr (TfliteRunner) detector = tflite_runner_new (detector_model, threads, NULL);
  g_autoptr (TfliteRunner) landmarks = tflite_runner_new (landmark_model, threads, NULL);
  PoseRect square = blazepose_letterbox (&frame->info);
  PoseDetection person = {0};
  PoseResult result;
  MEASURE ("detect", blazepose_detect (pose, frame, &square, .5f, &person, 1));
  MEASURE ("  detector alone", tflite_runner_run (detector, NULL));
  MEASURE ("landmarks", blazepose_landmarks (pose, frame, &person.roi, &result));
  MEASURE ("  model alone", tflite_runner_run (landmarks, NULL));
  measure_decoding (frame, &square, &person.roi, detector, landmarks);
}

static void
measure_sampling (const GstVideoFrame *frame)
{
  g_autofree float *tensor = g_new (float, 256 * 256 * 3);
  PoseRect all = blazepose_letterbox (&frame->info), body = {640, 360, 700, 700, .1f},
           far = {300, 100, 3000, 3000, .1f};
  MEASURE ("letterbox", pose_sample (frame, &all, 224, -1, 1, POSE_BORDER_ZERO, tensor));
  MEASURE ("warp", pose_sample (frame, &body, 256, 0, 1, POSE_BORDER_REPLICATE, tensor));
  MEASURE ("warp, much of it outside",
      pose_sample (frame, &far, 256, 0, 1, POSE_BORDER_REPLICATE, tensor));
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  runs = argc > 1 ? (guint)CLAMP (atoi (argv[1]), 1, 100000) : runs;
  guint threads = argc > 2 ? (guint)CLAMP (atoi (argv[2]), 1, 64) : 1;
  g_autoptr (GstSample) sample = climber (argc > 3 ? argv[3] : "I420");
  GstVideoInfo info;
  GstVideoFrame frame;
  gst_video_info_from_caps (&info, gst_sample_get_caps (sample));
  gst_video_frame_map (&frame, &info, gst_sample_get_buffer (sample), GST_MAP_READ);
  measure_sampling (&frame);
  measure_kind (&frame, BLAZEPOSE_LITE, "lite", threads);
  measure_kind (&frame, BLAZEPOSE_FULL, "full", threads);
  measure_kind (&frame, BLAZEPOSE_HEAVY, "heavy", threads);
  gst_video_frame_unmap (&frame);
  return 0;
}
