/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-posedetect
 * @title: posedetect
 *
 * Finds people with BlazePose (TensorFlow Lite) and attaches a #GstPoseMeta to each buffer; the
 * picture is not touched. Of a camera's pictures `fps` a second are analysed; the others get the
 * pose that was found last, marked as held. The frame is sampled where the model looks, so no
 * conversion of the whole of it is needed.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 v4l2src ! videoconvert ! posedetect ! poseoverlay ! videoconvert ! autovideosink
 * ]|
 */
#include "config.h"

#include "gstposedetect.h"

#include <gst/video/video.h>
#include <string.h>

#include "blazepose.h"
#include "oneeuro.h"
#include "poseconstants.h"
#include "posemeta-private.h"
#include "posesample.h"
#include "posesearch.h"

GST_DEBUG_CATEGORY_STATIC (pose_detect_debug);
#define GST_CAT_DEFAULT pose_detect_debug

#define DEFAULT_FPS 15.0
#define DEFAULT_THREADS 1
/* After so long, or when time goes back, people are looked for anew. */
#define GAP (2 * GST_SECOND)

enum {
  PROP_0,
  PROP_MODEL,
  PROP_FPS,
  PROP_PEOPLE,
  PROP_REGION,
  PROP_THREADS,
  PROP_SMOOTHING,
  PROP_STATS,
  PROP_CONSTANTS, /* the first of the constants table */
};

/* The filters of one who is followed. */
typedef struct {
  guint id; /* 0: free */
  PoseFilter *filter;
} Followed;

struct _GstPoseDetect {
  GstBaseTransform parent;

  /* properties, under the object lock */
  BlazePoseKind model;
  double fps;
  char *region;
  guint threads;
  gboolean smoothing;
  PoseSearchParams params;
  gboolean changed; /* the streaming thread has not seen it */

  /* written by the streaming thread, under the object lock */
  PoseSearchStats counted;
  guint64 n_analysed, n_frames;
  GstClockTime spent, slowest; /* analysing: in all, and once */
  guint n_people;

  /* streaming thread */
  GstVideoInfo info;
  BlazePose *blaze;
  BlazePoseKind loaded; /* … of it */
  guint loaded_threads;
  PoseSearch *search;
  Followed followed[POSE_PEOPLE_MAX];
  GstVideoFrame *frame; /* being analysed */
  PoseGrid grid;
  guint8 *luma;      /* of pictures that do not have it in one piece */
  GstPoseMeta held;  /* what was found last */
  GstClockTime last; /* PTS of the picture before */
  GstClockTime next; /* PTS from which the next frame is analysed */
  guint64 analysed;
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK,
    GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE (POSE_SAMPLE_FORMATS)));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC,
    GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE (POSE_SAMPLE_FORMATS)));

G_DEFINE_FINAL_TYPE (GstPoseDetect, gst_pose_detect, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE (posedetect, "posedetect", GST_RANK_NONE, GST_TYPE_POSE_DETECT)

static GType
model_get_type (void)
{
  static const GEnumValue values[] = {
      {BLAZEPOSE_LITE, "For small machines or many cameras", "lite"},
      {BLAZEPOSE_FULL, "Right on limbs", "full"},
      {BLAZEPOSE_HEAVY, "Three times the time of full", "heavy"},
      {0, NULL, NULL},
  };
  static gsize type;
  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstPoseDetectModel", values));
  return type;
}

/* ---- properties --------------------------------------------------------------------------- */

/* "x,y,w,h", parts of the frame; anything else is no region. */
static void
read_region (GstPoseDetect *self)
{
  float r[4] = {0};
  g_auto (GStrv) words = g_strsplit (self->region ? self->region : "", ",", 5);
  if (g_strv_length (words) == 4)
    for (guint i = 0; i < 4; i++)
      r[i] = (float)CLAMP (g_ascii_strtod (words[i], NULL), 0, 1);
  if (self->region && *self->region && (r[2] <= 0 || r[3] <= 0))
    GST_WARNING_OBJECT (self,
        "the region '%s' is not x,y,width,height as parts of the frame: none is used",
        self->region);
  self->params.region.x = r[0];
  self->params.region.y = r[1];
  self->params.region.w = r[2];
  self->params.region.h = r[3];
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstPoseDetect *self = GST_POSE_DETECT (object);
  GST_OBJECT_LOCK (self);
  switch (id) {
  case PROP_MODEL:
    self->model = g_value_get_enum (value);
    break;
  case PROP_FPS:
    self->fps = g_value_get_double (value);
    break;
  case PROP_PEOPLE:
    self->params.people = g_value_get_uint (value);
    break;
  case PROP_REGION:
    g_free (self->region);
    self->region = g_value_dup_string (value);
    read_region (self);
    break;
  case PROP_THREADS:
    self->threads = g_value_get_uint (value);
    break;
  case PROP_SMOOTHING:
    self->smoothing = g_value_get_boolean (value);
    break;
  default:
    *pose_constant (&self->params, id - PROP_CONSTANTS) = (float)g_value_get_double (value);
    break;
  }
  self->changed = TRUE;
  GST_OBJECT_UNLOCK (self);
}

/* (transfer full); object lock */
static GstStructure *
stats_of (GstPoseDetect *self)
{
  return gst_structure_new ("posedetect", "frames", G_TYPE_UINT64, self->n_frames, "analysed",
      G_TYPE_UINT64, self->n_analysed, "people", G_TYPE_UINT, self->n_people, "found",
      G_TYPE_UINT64, self->counted.found, "lost", G_TYPE_UINT64, self->counted.lost, "dropped",
      G_TYPE_UINT64, self->counted.dropped, "denied", G_TYPE_UINT64, self->counted.denied,
      "detector-runs", G_TYPE_UINT64, self->counted.detector_runs, "landmark-runs", G_TYPE_UINT64,
      self->counted.landmark_runs, "analysis-ms", G_TYPE_DOUBLE,
      self->n_analysed ? (double)self->spent / 1e6 / (double)self->n_analysed : 0, "slowest-ms",
      G_TYPE_DOUBLE, (double)self->slowest / 1e6, NULL);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstPoseDetect *self = GST_POSE_DETECT (object);
  GST_OBJECT_LOCK (self);
  switch (id) {
  case PROP_MODEL:
    g_value_set_enum (value, self->model);
    break;
  case PROP_FPS:
    g_value_set_double (value, self->fps);
    break;
  case PROP_PEOPLE:
    g_value_set_uint (value, self->params.people);
    break;
  case PROP_REGION:
    g_value_set_string (value, self->region);
    break;
  case PROP_THREADS:
    g_value_set_uint (value, self->threads);
    break;
  case PROP_SMOOTHING:
    g_value_set_boolean (value, self->smoothing);
    break;
  case PROP_STATS:
    g_value_take_boxed (value, stats_of (self));
    break;
  default:
    g_value_set_double (value, *pose_constant (&self->params, id - PROP_CONSTANTS));
    break;
  }
  GST_OBJECT_UNLOCK (self);
}

/* ---- analysing ---------------------------------------------------------------------------- */

static guint
detect (gpointer data, const PoseRect *square, float min_score, PoseDetection *out, guint max)
{
  GstPoseDetect *self = data;
  return blazepose_detect (self->blaze, self->frame, square, min_score, out, max);
}

static gboolean
landmarks (gpointer data, const PoseRect *roi, PoseResult *out)
{
  GstPoseDetect *self = data;
  return blazepose_landmarks (self->blaze, self->frame, roi, out);
}

static const PoseBackend backend = {.detect = detect, .landmarks = landmarks};

/* The filters of @id; those of who has left are used again. */
static Followed *
followed_of (GstPoseDetect *self, const PosePerson *people, guint n, guint id)
{
  for (guint i = 0; i < POSE_PEOPLE_MAX; i++)
    if (self->followed[i].id == id)
      return &self->followed[i];
  for (guint i = 0; i < POSE_PEOPLE_MAX; i++) {
    gboolean used = FALSE;
    for (guint k = 0; k < n; k++)
      used |= people[k].id == self->followed[i].id;
    if (used)
      continue;
    self->followed[i].id = id;
    pose_filter_reset (self->followed[i].filter);
    return &self->followed[i];
  }
  g_assert_not_reached (); /* there are no more people than filters */
}

static void
put_landmarks (PoseLandmark *to, const PoseLandmark *from, float width, float height)
{
  for (guint i = 0; i < POSE_LANDMARKS; i++) {
    to[i] = from[i];
    to[i].x /= width;
    to[i].y /= height;
    to[i].z /= width;
  }
}

static void
put_person (GstPoseDetect *self, const PosePerson *person, GstClockTime pts, Followed *followed)
{
  GST_OBJECT_LOCK (self);
  gboolean smoothing = self->smoothing;
  GST_OBJECT_UNLOCK (self);
  PoseResult result = person->result;
  GstPosePerson *to = &self->held.people[self->held.n_people++];
  if (person->fresh)
    pose_filter_reset (followed->filter);
  if (smoothing) {
    pose_filter_apply (followed->filter, pts, &person->result, &result);
    pose_search_set_next (self->search, person->id, &result.next);
  }
  to->id = person->id;
  to->flag = result.flag;
  to->roi = result.roi;
  put_landmarks (to->image, result.image, (float)self->info.width, (float)self->info.height);
  memcpy (to->world, result.world, sizeof to->world);
}

/* Luma, or of RGB the green, which is most of it. */
static void
make_grid (GstPoseDetect *self, const GstVideoFrame *frame)
{
  int component = GST_VIDEO_INFO_IS_RGB (&frame->info) ? GST_VIDEO_COMP_G : GST_VIDEO_COMP_Y;
  const guint8 *data = GST_VIDEO_FRAME_COMP_DATA (frame, component);
  int step = GST_VIDEO_FRAME_COMP_PSTRIDE (frame, component);
  int width = GST_VIDEO_FRAME_WIDTH (frame), height = GST_VIDEO_FRAME_HEIGHT (frame);
  gsize stride = (gsize)GST_VIDEO_FRAME_COMP_STRIDE (frame, component);
  if (step == 1) {
    pose_grid_from_luma (&self->grid, data, stride, width, height);
    return;
  }
  self->luma = g_realloc (self->luma, (gsize)width * (gsize)height);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++)
      self->luma[(gsize)y * (gsize)width + (gsize)x] = data[(gsize)y * stride + (gsize)(x * step)];
  pose_grid_from_luma (&self->grid, self->luma, (gsize)width, width, height);
}

static void
analyse (GstPoseDetect *self, GstVideoFrame *frame, GstClockTime pts)
{
  PosePerson people[POSE_PEOPLE_MAX];
  gint64 began = g_get_monotonic_time ();
  self->frame = frame;
  make_grid (self, frame);
  guint n = pose_search_run (
      self->search, &self->grid, self->info.width, self->info.height, pts, &backend, self, people);
  self->frame = NULL;
  self->held.n_people = 0;
  for (guint i = 0; i < n; i++)
    put_person (self, &people[i], pts, followed_of (self, people, n, people[i].id));
  self->held.number = self->analysed++;
  self->held.latency = (GstClockTime)(g_get_monotonic_time () - began) * 1000;
}

static void
count (GstPoseDetect *self, gboolean analysed)
{
  GST_OBJECT_LOCK (self);
  self->n_frames++;
  if (analysed) {
    self->n_analysed++;
    self->n_people = self->held.n_people;
    self->spent += self->held.latency;
    self->slowest = MAX (self->slowest, self->held.latency);
    pose_search_get_stats (self->search, &self->counted);
  }
  GST_OBJECT_UNLOCK (self);
}

/* ---- the element -------------------------------------------------------------------------- */

static void
forget (GstPoseDetect *self)
{
  pose_search_reset (self->search);
  for (guint i = 0; i < POSE_PEOPLE_MAX; i++) {
    self->followed[i].id = 0;
    pose_filter_reset (self->followed[i].filter);
  }
  self->held.n_people = 0;
  self->last = GST_CLOCK_TIME_NONE;
  self->next = 0;
}

/* Loads the model where it is needed: that takes a while, and not on who started the element. */
static gboolean
prepare (GstPoseDetect *self)
{
  GST_OBJECT_LOCK (self);
  gboolean changed = self->changed;
  BlazePoseKind model = self->model;
  guint threads = self->threads;
  PoseSearchParams params = self->params;
  self->changed = FALSE;
  GST_OBJECT_UNLOCK (self);
  if (changed)
    pose_search_set_params (self->search, &params);
  if (self->blaze && self->loaded == model && self->loaded_threads == threads)
    return TRUE;
  g_autoptr (GError) error = NULL;
  BlazePose *blaze = blazepose_new (model, threads, &error);
  if (!blaze) {
    GST_ELEMENT_ERROR (self, RESOURCE, NOT_FOUND, ("%s", error->message), (NULL));
    return FALSE;
  }
  g_clear_pointer (&self->blaze, blazepose_free);
  self->blaze = blaze;
  self->loaded = model;
  self->loaded_threads = threads;
  return TRUE;
}

/* `fps` a second, in step with them: half a frame early is not early. */
static gboolean
is_due (GstPoseDetect *self, GstBuffer *buffer)
{
  GST_OBJECT_LOCK (self);
  double fps = self->fps;
  GST_OBJECT_UNLOCK (self);
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  if (fps <= 0 || !GST_CLOCK_TIME_IS_VALID (pts))
    return TRUE;
  GstClockTime period = (GstClockTime)(GST_SECOND / fps), half = 0;
  if (self->info.fps_n > 0)
    half = gst_util_uint64_scale_int (GST_SECOND, self->info.fps_d, self->info.fps_n * 2);
  if (pts + MIN (half, period / 2) < self->next)
    return FALSE;
  self->next = self->next + period > pts ? self->next + period : pts + period;
  return TRUE;
}

/* A picture or two that a busy machine has dropped are no gap. */
static gboolean
is_elsewhere (GstPoseDetect *self, GstClockTime pts)
{
  return GST_CLOCK_TIME_IS_VALID (pts) && GST_CLOCK_TIME_IS_VALID (self->last) &&
         (pts < self->last || pts - self->last > GAP);
}

static GstFlowReturn
transform_ip (GstBaseTransform *transform, GstBuffer *buffer)
{
  GstPoseDetect *self = GST_POSE_DETECT (transform);
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  if (is_elsewhere (self, pts))
    forget (self);
  self->last = pts;
  gboolean due = is_due (self, buffer);
  if (due) {
    GstVideoFrame frame;
    if (!prepare (self))
      return GST_FLOW_ERROR;
    if (!gst_video_frame_map (&frame, &self->info, buffer, GST_MAP_READ)) {
      GST_ELEMENT_ERROR (self, STREAM, FAILED, ("A picture is smaller than its caps say."), (NULL));
      return GST_FLOW_ERROR;
    }
    analyse (self, &frame, GST_CLOCK_TIME_IS_VALID (pts) ? pts : 0);
    gst_video_frame_unmap (&frame);
  }
  GstPoseMeta *meta = gst_buffer_add_pose_meta (buffer);
  memcpy ((guint8 *)meta + sizeof (GstMeta), (guint8 *)&self->held + sizeof (GstMeta),
      sizeof (GstPoseMeta) - sizeof (GstMeta));
  meta->analysed = due;
  count (self, due);
  return GST_FLOW_OK;
}

static gboolean
set_caps (GstBaseTransform *transform, GstCaps *in, GstCaps *out)
{
  GstPoseDetect *self = GST_POSE_DETECT (transform);
  forget (self);
  return gst_video_info_from_caps (&self->info, in);
}

static gboolean
sink_event (GstBaseTransform *transform, GstEvent *event)
{
  if (GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_STOP)
    forget (GST_POSE_DETECT (transform));
  return GST_BASE_TRANSFORM_CLASS (gst_pose_detect_parent_class)->sink_event (transform, event);
}

static gboolean
stop (GstBaseTransform *transform)
{
  GstPoseDetect *self = GST_POSE_DETECT (transform);
  forget (self);
  g_clear_pointer (&self->blaze, blazepose_free);
  self->analysed = 0;
  return TRUE;
}

static void
finalize (GObject *object)
{
  GstPoseDetect *self = GST_POSE_DETECT (object);
  pose_search_free (self->search);
  for (guint i = 0; i < POSE_PEOPLE_MAX; i++)
    pose_filter_free (self->followed[i].filter);
  g_free (self->luma);
  g_free (self->region);
  G_OBJECT_CLASS (gst_pose_detect_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
  PoseSearchParams defaults;
  pose_search_params_init (&defaults);
  /**
   * GstPoseDetect:model: which landmark model
   */
  g_object_class_install_property (klass, PROP_MODEL,
      g_param_spec_enum (
          "model", "Model", "Which landmark model", model_get_type (), BLAZEPOSE_FULL, flags));
  /**
   * GstPoseDetect:fps: frames a second that are analysed; the others hold the last pose. 0: all
   */
  g_object_class_install_property (klass, PROP_FPS,
      g_param_spec_double ("fps", "Analysed frames",
          "Frames a second that are analysed, the others hold the last pose; 0: all", 0, 240,
          DEFAULT_FPS, flags));
  /**
   * GstPoseDetect:people: how many are followed at once; each costs a run of the landmark model
   */
  g_object_class_install_property (klass, PROP_PEOPLE,
      g_param_spec_uint (
          "people", "People", "How many are followed at once", 1, POSE_PEOPLE_MAX, 1, flags));
  /**
   * GstPoseDetect:region: "x,y,width,height" as parts of the frame: where people are looked for;
   * one who is followed may leave it. Empty: everywhere
   */
  g_object_class_install_property (klass, PROP_REGION,
      g_param_spec_string ("region", "Region",
          "x,y,width,height as parts of the frame: where people are looked for", NULL, flags));
  /**
   * GstPoseDetect:threads: of one run of a model
   */
  g_object_class_install_property (klass, PROP_THREADS,
      g_param_spec_uint (
          "threads", "Threads", "Of one run of a model", 1, 64, DEFAULT_THREADS, flags));
  /**
   * GstPoseDetect:smoothing: One-Euro filters over time, as MediaPipe has them
   */
  g_object_class_install_property (klass, PROP_SMOOTHING,
      g_param_spec_boolean ("smoothing", "Smoothing", "Filters over time", TRUE, flags));
  /**
   * GstPoseDetect:stats: counters since the element was made: frames, analysed, people (now),
   * found, lost, dropped, denied, detector-runs, landmark-runs; analysis-ms (mean), slowest-ms
   */
  g_object_class_install_property (klass, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics", "Counters since the element was made",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
  for (guint i = 0; i < pose_n_constants; i++) {
    const PoseConstant *constant = &pose_constants[i];
    g_object_class_install_property (klass, PROP_CONSTANTS + i,
        g_param_spec_double (constant->name, constant->name, constant->blurb, constant->min,
            constant->max, *pose_constant (&defaults, i), flags));
  }
}

static void
gst_pose_detect_class_init (GstPoseDetectClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *transform_class = GST_BASE_TRANSFORM_CLASS (klass);
  GST_DEBUG_CATEGORY_INIT (pose_detect_debug, "posedetect", 0, "posedetect");
  gst_pose_meta_get_info ();
  object_class->set_property = set_property;
  object_class->get_property = get_property;
  object_class->finalize = finalize;
  transform_class->set_caps = set_caps;
  transform_class->transform_ip = transform_ip;
  transform_class->sink_event = sink_event;
  transform_class->stop = stop;
  install_properties (object_class);
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Pose detector", "Filter/Analyzer/Video",
      "Finds people and their landmarks with BlazePose", "Spotter");
}

static void
gst_pose_detect_init (GstPoseDetect *self)
{
  self->model = BLAZEPOSE_FULL;
  self->fps = DEFAULT_FPS;
  self->threads = DEFAULT_THREADS;
  self->smoothing = TRUE;
  self->changed = TRUE;
  self->last = GST_CLOCK_TIME_NONE;
  pose_search_params_init (&self->params);
  self->search = pose_search_new (&self->params);
  for (guint i = 0; i < POSE_PEOPLE_MAX; i++)
    self->followed[i].filter = pose_filter_new ();
}
