/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The element as others use it: with the real models, on the drawn climber, whose joints are known.
 */
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <math.h>

#include "numbered.h"
#include "posemeta.h"

/* Joints that lie so near, in parts of the body's height, are right (pose.md 19). */
#define RIGHT 0.05

static const guint joints[] = {11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28};

/* One for all tests, which a harness cannot stop: to make a model ready takes long under a
 * sanitizer.
 */
static GstElement *detector, *around;

static void
make_detector (void)
{
  detector = gst_element_factory_make ("posedetect", NULL);
  around = gst_object_ref_sink (gst_bin_new (NULL));
  gst_bin_add (GST_BIN (around), detector);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GstPad) pad = gst_element_get_static_pad (detector, i ? "src" : "sink");
    gst_element_add_pad (around, gst_ghost_pad_new (i ? "src" : "sink", pad));
  }
  gst_element_set_locked_state (detector, TRUE);
  gst_element_set_state (detector, GST_STATE_PLAYING);
}

static GstHarness *
start (const char *description)
{
  GstHarness *h = gst_harness_new_parse (description);
  gst_harness_play (h);
  return h;
}

/* The detector, as it is at first but for @properties ("name=value …"), for pictures of @caps. */
static GstHarness *
detect (const char *properties, const char *caps)
{
  g_auto (GStrv) words = g_strsplit (properties, " ", 0);
  gst_util_set_object_arg (G_OBJECT (detector), "fps", "0");
  gst_util_set_object_arg (G_OBJECT (detector), "smoothing", "true");
  gst_util_set_object_arg (G_OBJECT (detector), "region", "");
  gst_util_set_object_arg (G_OBJECT (detector), "people", "1");
  for (char **word = words; *word && **word; word++) {
    char *equals = strchr (*word, '=');
    *equals = '\0';
    gst_util_set_object_arg (G_OBJECT (detector), *word, equals + 1);
  }
  GstHarness *h = gst_harness_new_with_element (around, "sink", "src");
  gst_harness_set_src_caps_str (h, caps);
  return h;
}

/* (transfer full): one picture through the detector; gone when it is looked at */
static GstBuffer *
through (GstHarness *h, GstBuffer *picture)
{
  g_assert_cmpint (gst_harness_push (h, picture), ==, GST_FLOW_OK);
  return gst_harness_pull (h);
}

/* Stops the detector but keeps its model. */
static void
done (GstHarness *h)
{
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_harness_teardown (h);
}

#define CAPS "video/x-raw, format=I420, width=1280, height=720, framerate=30/1"
#define SMALL "video/x-raw, format=I420, width=640, height=360, framerate=30/1"

static GstBuffer *
picture_of (const char *caps)
{
  g_autofree char *text =
      g_strdup_printf ("climbersrc num-buffers=1 ! capsfilter caps=\"%s\"", caps);
  GstHarness *source = start (text);
  GstBuffer *picture = gst_harness_pull (source);
  gst_harness_teardown (source);
  return picture;
}

/* FALSE after saying what is missing. */
static gboolean
has_models (void)
{
  static int known = -1;
  g_autoptr (GError) error = NULL;
  if (known < 0) {
    GstHarness *h = detect ("", SMALL);
    g_autoptr (GstBus) bus = gst_bus_new ();
    gst_element_set_bus (detector, bus);
    known = gst_harness_push (h, picture_of (SMALL)) == GST_FLOW_OK;
    g_autoptr (GstMessage) message = known ? NULL : gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
    if (message)
      gst_message_parse_error (message, &error, NULL);
    gst_element_set_bus (detector, NULL);
    done (h);
  }
  if (!known)
    g_test_skip (error ? error->message : "the models are missing");
  return known;
}

static gboolean
joint (GstBuffer *buffer, guint n, double *x, double *y)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "spotter-climber");
  g_autofree char *fx = g_strdup_printf ("x-%u", n), *fy = g_strdup_printf ("y-%u", n);
  GstStructure *s = meta ? gst_custom_meta_get_structure (meta) : NULL;
  return s && gst_structure_get_double (s, fx, x) && gst_structure_get_double (s, fy, y);
}

/* How many of the twelve are right. */
static guint
count_right (GstBuffer *buffer, const GstPosePerson *person, int width, int height, double body)
{
  guint right = 0;
  for (guint i = 0; i < G_N_ELEMENTS (joints); i++) {
    double x, y;
    g_assert_true (joint (buffer, joints[i], &x, &y));
    const PoseLandmark *p = &person->image[joints[i]];
    right += hypot (p->x * width - x, p->y * height - y) < RIGHT * body;
  }
  return right;
}

static void
test_finds_the_climber (gconstpointer view)
{
  guint found = 0, right = 0;
  const guint frames = 60;
  if (!has_models ())
    return;
  g_autofree char *text =
      g_strdup_printf ("climbersrc num-buffers=%u view=%s ! capsfilter caps=\"" CAPS "\"", frames,
          (const char *)view);
  GstHarness *source = start (text), *h = detect ("smoothing=false", CAPS);
  guint64 number = 0;
  guint id = 0;
  for (guint i = 0; i < frames; i++) {
    g_autoptr (GstBuffer) buffer = through (h, gst_harness_pull (source));
    const GstPoseMeta *meta = gst_buffer_get_pose_meta (buffer);
    g_assert_true (meta->analysed);
    g_assert_true (!i || meta->number == number + 1);
    number = meta->number;
    if (meta->n_people) {
      g_assert_true (!found++ || meta->people[0].id == id);
      id = meta->people[0].id;
      right += count_right (buffer, &meta->people[0], 1280, 720, 0.8 * 720);
    }
  }
  g_test_message ("found in %u of %u, %.1f %% of the joints right", found, frames,
      100.0 * right / MAX (found * G_N_ELEMENTS (joints), 1));
  g_assert_cmpuint (found, >=, frames - 5); /* motion is not known at first */
  g_assert_cmpuint (right * 10, >=, found * G_N_ELEMENTS (joints) * 9);
  gst_harness_teardown (source);
  done (h);
}

/* Of pictures near @number, that where the climber stands most nearly so. */
static int
offset_of (guint number, double place)
{
  int best = 0;
  for (int offset = -3; offset <= 3; offset++)
    if (fabs (numbered_place (number + (guint)offset) - place) <
        fabs (numbered_place (number + (guint)best) - place))
      best = offset;
  return best;
}

/* What the tests of skew in the browser stand on: the pose alone says which picture it is of. */
static void
test_of_numbered_pictures_it_finds_each_in_its_place (gconstpointer properties)
{
  guint found = 0, right = 0;
  double worst = 0;
  const guint frames = 160;
  if (!has_models ())
    return;
  g_autofree char *text = g_strdup_printf (NUMBERED_SOURCE
      " num-buffers=%u ! video/x-raw, width=640, height=360, framerate=30/1 ! "
      "posedetect smoothing=false %s",
      frames, (const char *)properties);
  GstHarness *h = gst_harness_new_parse (text);
  numbered_begin (GST_BIN (h->element));
  gst_harness_play (h);
  for (guint i = 0; i < frames; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    const GstPoseMeta *meta = gst_buffer_get_pose_meta (buffer);
    if (!meta->analysed || !meta->n_people)
      continue;
    const PoseLandmark *p = meta->people[0].image;
    double place = (p[11].x + p[12].x + p[23].x + p[24].x) / 4;
    found++;
    right += offset_of (i + 32, place) == 0;
    worst = MAX (worst, fabs (place - numbered_place (i)));
  }
  g_test_message (
      "found in %u, %u of them in their place, at most %.4f beside it", found, right, worst);
  g_assert_cmpuint (found, >, frames / 3);
  g_assert_cmpuint (right * 1000, >=, found * 995);
  gst_harness_teardown (h);
}

static void
test_analyses_so_many_and_holds_between (void)
{
  if (!has_models ())
    return;
  GstHarness *source = start ("climbersrc num-buffers=30 ! capsfilter caps=\"" SMALL "\"");
  GstHarness *h = detect ("fps=10", SMALL);
  guint analysed = 0;
  guint64 first = 0;
  GstPosePerson last = {0};
  for (guint i = 0; i < 30; i++) {
    g_autoptr (GstBuffer) buffer = through (h, gst_harness_pull (source));
    const GstPoseMeta *meta = gst_buffer_get_pose_meta (buffer);
    g_assert_cmpint (meta->analysed, ==, i % 3 == 0);
    first = i ? first : meta->number;
    analysed += meta->analysed;
    g_assert_cmpuint (meta->number, ==, first + analysed - 1);
    if (!meta->analysed && meta->n_people)
      g_assert_cmpmem (&last, sizeof last, &meta->people[0], sizeof last);
    if (meta->n_people)
      last = meta->people[0];
  }
  g_assert_cmpuint (analysed, ==, 10);
  gst_harness_teardown (source);
  done (h);
}

static void
test_two_people_keep_their_numbers (void)
{
  guint both = 0, left = 0, right = 0;
  if (!has_models ())
    return;
  GstHarness *source = start (
      "climbersrc num-buffers=60 x=0.25 ! video/x-raw,width=1280,height=720,framerate=30/1 ! "
      "videocrop right=640 ! c.sink_0 "
      "climbersrc num-buffers=60 x=0.75 view=back ! "
      "video/x-raw,width=1280,height=720,framerate=30/1 ! videocrop left=640 ! c.sink_1 "
      "compositor name=c sink_1::xpos=640 ! capsfilter caps=\"" CAPS "\"");
  GstHarness *h = detect ("people=2", CAPS);
  for (guint i = 0; i < 50; i++) {
    g_autoptr (GstBuffer) buffer = through (h, gst_harness_pull (source));
    const GstPoseMeta *meta = gst_buffer_get_pose_meta (buffer);
    for (guint k = 0; k < meta->n_people; k++) {
      guint *id = meta->people[k].image[0].x < 0.5f ? &left : &right;
      g_assert_true (!*id || *id == meta->people[k].id);
      *id = meta->people[k].id;
    }
    both += meta->n_people == 2;
  }
  g_test_message ("both in %u of 50", both);
  g_assert_cmpuint (both, >, 30);
  g_assert_cmpuint (left, !=, right);
  gst_harness_teardown (source);
  done (h);
}

/* The same picture in every format, of odd sizes, 601 and 709, limited and full. */
static void
test_every_format_sees_the_same (void)
{
  static const char *const formats[] = {"I420", "YV12", "NV12", "NV21", "YUY2", "UYVY", "RGB",
      "BGR", "RGBx", "BGRx", "xRGB", "BGRA", "ARGB", "Y444"};
  static const char *const colours[] = {"bt709", "bt601", "1:3:5:1", "1:4:16:4"};
  if (!has_models ())
    return;
  for (guint i = 0; i < G_N_ELEMENTS (formats) + G_N_ELEMENTS (colours); i++) {
    const char *format = i < G_N_ELEMENTS (formats) ? formats[i] : "I420";
    const char *colour = i < G_N_ELEMENTS (formats) ? NULL : colours[i - G_N_ELEMENTS (formats)];
    g_autofree char *caps =
        g_strdup_printf ("video/x-raw, format=%s, width=851, height=479, framerate=30/1%s%s",
            format, colour ? ", colorimetry=" : "", colour ? colour : "");
    g_autofree char *text = g_strdup_printf ("climbersrc num-buffers=8 ! capsfilter caps=\"" CAPS
                                             "\" ! videoscale ! videoconvert ! "
                                             "capsfilter caps=\"%s\"",
        caps);
    GstHarness *source = start (text), *h = detect ("smoothing=false", caps);
    guint found = 0;
    for (guint k = 0; k < 8; k++) {
      g_autoptr (GstBuffer) buffer = through (h, gst_harness_pull (source));
      const GstPoseMeta *meta = gst_buffer_get_pose_meta (buffer);
      const GstPosePerson *person = meta->n_people ? &meta->people[0] : NULL;
      double x, y;
      if (!person || !joint (buffer, 11, &x, &y))
        continue;
      found++;
      g_assert_cmpfloat_with_epsilon (person->image[11].x, x / 1280, 0.04);
      g_assert_cmpfloat_with_epsilon (person->image[11].y, y / 720, 0.06);
    }
    g_test_message ("%s %s: %u", format, colour ? colour : "", found);
    g_assert_cmpuint (found, >=, 4);
    gst_harness_teardown (source);
    done (h);
  }
}

static guint
push (GstHarness *h, GstBuffer *picture, GstClockTime pts, GstBufferFlags flags)
{
  GstBuffer *copy = gst_buffer_copy (picture);
  GST_BUFFER_PTS (copy) = pts;
  GST_BUFFER_FLAG_UNSET (copy, GST_BUFFER_FLAG_DISCONT);
  GST_BUFFER_FLAG_SET (copy, flags);
  g_autoptr (GstBuffer) out = through (h, copy);
  const GstPoseMeta *meta = gst_buffer_get_pose_meta (out);
  return meta->n_people ? meta->people[0].id : 0;
}

static guint
push_until_found (GstHarness *h, GstBuffer *picture, GstClockTime *pts)
{
  guint id = 0;
  for (guint i = 0; i < 40 && !id; i++) {
    id = push (h, picture, *pts, 0);
    *pts += GST_SECOND / 30;
  }
  g_assert_cmpuint (id, >, 0);
  return id;
}

static void
test_a_flush_a_gap_and_other_caps_begin_anew (void)
{
  GstClockTime pts = 0;
  if (!has_models ())
    return;
  g_autoptr (GstBuffer) picture = picture_of (SMALL);
  GstHarness *h = detect ("", SMALL);
  guint first = push_until_found (h, picture, &pts);
  g_assert_cmpuint (push (h, picture, pts, 0), ==, first);
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  GstSegment segment;
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  pts = 0;
  guint second = push_until_found (h, picture, &pts);
  g_assert_cmpuint (second, >, first);
  g_assert_cmpuint (push (h, picture, pts, GST_BUFFER_FLAG_DISCONT), ==, second); /* one dropped */
  push (h, picture, pts + 5 * GST_SECOND, 0);
  pts += 6 * GST_SECOND;
  g_assert_cmpuint (push_until_found (h, picture, &pts), >, second);
  done (h);
}

static void
test_regions (void)
{
  static const char *const bad[] = {
      "0,0,0,0", "1,1,0.5", "nonsense", "nan,nan,nan,nan", "0,0,1,-1"};
  if (!has_models ())
    return;
  g_autoptr (GstBuffer) picture = picture_of (SMALL);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) { /* no region: found as ever */
    g_autofree char *properties = g_strdup_printf ("region=%s", bad[i]);
    GstHarness *h = detect (properties, SMALL);
    GstClockTime pts = 0;
    push_until_found (h, picture, &pts);
    done (h);
  }
  GstHarness *h = detect ("region=0,0,0.2,0.2", SMALL); /* nobody is there */
  for (guint i = 0; i < 20; i++)
    g_assert_cmpuint (push (h, picture, i * GST_SECOND / 30, 0), ==, 0);
  done (h);
}

static void
test_a_missing_model_says_what_to_install (void)
{
  g_autoptr (GError) error = NULL;
  g_setenv ("SPOTTER_MODELS", "/nonexistent", TRUE);
  GstHarness *h = gst_harness_new ("posedetect");
  gst_harness_set_src_caps_str (h, SMALL);
  g_autoptr (GstBus) bus = gst_bus_new ();
  gst_element_set_bus (h->element, bus);
  g_object_set (h->element, "model", 0, NULL); /* that no other test has loaded */
  g_assert_cmpint (gst_harness_push (h, picture_of (SMALL)), ==, GST_FLOW_ERROR);
  g_autoptr (GstMessage) message =
      gst_bus_timed_pop_filtered (bus, 10 * GST_SECOND, GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  gst_message_parse_error (message, &error, NULL);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, "./dev build"));
  gst_harness_teardown (h);
  g_unsetenv ("SPOTTER_MODELS");
}

static void
test_every_constant_is_a_property_with_its_default (void)
{
  static const struct {
    const char *name;
    double value;
  } constants[] = {{"accept-q", 0.45}, {"accept-q-moving", 0.25}, {"accept-m", 0.15},
      {"deny-time", 3}, {"deny-dropped-time", 5}, {"drop-q", 0.45}, {"drop-m", 0.10},
      {"drop-q-alone", 0.20}, {"drop-time", 0.5}, {"average", 0.2}, {"side-least", 0.12},
      {"side-most", 3}, {"motion-change", 12}, {"motion-flood", 0.3}, {"blob-least", 0.4}};
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("posedetect", NULL));
  for (guint i = 0; i < G_N_ELEMENTS (constants); i++) {
    double value;
    g_object_get (element, constants[i].name, &value, NULL);
    g_assert_cmpfloat_with_epsilon (value, constants[i].value, 1e-6);
    g_object_set (element, constants[i].name, value / 2, NULL);
    g_object_get (element, constants[i].name, &value, NULL);
    g_assert_cmpfloat_with_epsilon (value, constants[i].value / 2, 1e-6);
  }
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  gst_object_unref (gst_plugin_load_file (SPT_TEST_PLUGIN, NULL));
  make_detector ();
  g_test_add_data_func ("/posedetect/finds-the-climber/front", "front", test_finds_the_climber);
  g_test_add_data_func ("/posedetect/finds-the-climber/back", "back", test_finds_the_climber);
  g_test_add_data_func ("/posedetect/finds-the-climber/stand", "stand", test_finds_the_climber);
  g_test_add_data_func ("/posedetect/numbered-pictures/full", "fps=0",
      test_of_numbered_pictures_it_finds_each_in_its_place);
  g_test_add_data_func ("/posedetect/numbered-pictures/lite", "fps=0 model=lite",
      test_of_numbered_pictures_it_finds_each_in_its_place);
  g_test_add_data_func ("/posedetect/numbered-pictures/every-other", "fps=15 model=lite",
      test_of_numbered_pictures_it_finds_each_in_its_place);
  g_test_add_func (
      "/posedetect/analyses-so-many-and-holds-between", test_analyses_so_many_and_holds_between);
  g_test_add_func ("/posedetect/two-people-keep-their-numbers", test_two_people_keep_their_numbers);
  g_test_add_func ("/posedetect/every-format-sees-the-same", test_every_format_sees_the_same);
  g_test_add_func ("/posedetect/a-flush-a-gap-and-other-caps-begin-anew",
      test_a_flush_a_gap_and_other_caps_begin_anew);
  g_test_add_func ("/posedetect/regions", test_regions);
  g_test_add_func ("/posedetect/a-missing-model-says-what-to-install",
      test_a_missing_model_says_what_to_install);
  g_test_add_func ("/posedetect/every-constant-is-a-property-with-its-default",
      test_every_constant_is_a_property_with_its_default);
  int result = g_test_run ();
  gst_element_set_state (detector, GST_STATE_NULL);
  gst_object_unref (around);
  return result;
}
