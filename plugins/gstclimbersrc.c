/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-climbersrc
 * @title: climbersrc
 *
 * Draws a person who climbs a wall of holds: a test picture that a pose detector finds, with known
 * joints. Each buffer carries a #GstCustomMeta `spotter-climber`, whose structure has the fields
 * `x-N` and `y-N` (doubles, pixels) for the twelve body joints and the nose, N by MediaPipe's
 * numbers.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 climbersrc view=back ! videoconvert ! autovideosink
 * ]|
 */
#include "config.h"

#include "gstclimbersrc.h"

#include <gst/video/video.h>

#include "climberfigure.h"

GST_DEBUG_CATEGORY_STATIC (climbersrc_debug);
#define GST_CAT_DEFAULT climbersrc_debug

#define META_NAME "spotter-climber"
/* Of the frame's height; BlazePose finds figures from 0.42 up (pose.md 15, 19). */
#define DEFAULT_SIZE 0.8
#define DEFAULT_SEED 7

enum { PROP_0, PROP_IS_LIVE, PROP_VIEW, PROP_SEED, PROP_SIZE, PROP_X, PROP_WIDTH, PROP_HEIGHT };

struct _GstClimberSrc {
  GstPushSrc parent;

  /* properties, under the object lock */
  ClimberView view;
  guint seed;
  double size, x;
  int width, height;

  /* streaming thread */
  GstVideoInfo info, drawn_info;
  cairo_surface_t *wall, *canvas;
  GstVideoConverter *converter;
  guint64 frames;
  GstClockTime first; /* running time of the first frame when live */
};

#define CAPS                                                                                       \
  "video/x-raw, format=I420, width=[16, 8192], height=[16, 8192], framerate=[1/1, 240/1], "        \
  "pixel-aspect-ratio=1/1, interlace-mode=progressive"

static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (CAPS));

G_DEFINE_FINAL_TYPE (GstClimberSrc, gst_climber_src, GST_TYPE_PUSH_SRC)
GST_ELEMENT_REGISTER_DEFINE (climbersrc, "climbersrc", GST_RANK_NONE, GST_TYPE_CLIMBER_SRC)

static GType
view_get_type (void)
{
  static const GEnumValue values[] = {
      {CLIMBER_FRONT, "Climbing, face to the camera", "front"},
      {CLIMBER_BACK, "Climbing, seen from behind", "back"},
      {CLIMBER_STAND, "Standing before the wall", "stand"},
      {0, NULL, NULL},
  };
  static gsize type;
  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstClimberSrcView", values));
  return type;
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstClimberSrc *self = GST_CLIMBER_SRC (object);
  GST_OBJECT_LOCK (self);
  switch (id) {
  case PROP_VIEW:
    self->view = g_value_get_enum (value);
    break;
  case PROP_SEED:
    self->seed = g_value_get_uint (value);
    break;
  case PROP_SIZE:
    self->size = g_value_get_double (value);
    break;
  case PROP_X:
    self->x = g_value_get_double (value);
    break;
  case PROP_WIDTH:
    self->width = g_value_get_int (value);
    break;
  case PROP_HEIGHT:
    self->height = g_value_get_int (value);
    break;
  }
  GST_OBJECT_UNLOCK (self);
  if (id == PROP_IS_LIVE)
    gst_base_src_set_live (GST_BASE_SRC (self), g_value_get_boolean (value));
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstClimberSrc *self = GST_CLIMBER_SRC (object);
  if (id == PROP_IS_LIVE) {
    g_value_set_boolean (value, gst_base_src_is_live (GST_BASE_SRC (self)));
    return;
  }
  GST_OBJECT_LOCK (self);
  switch (id) {
  case PROP_VIEW:
    g_value_set_enum (value, self->view);
    break;
  case PROP_SEED:
    g_value_set_uint (value, self->seed);
    break;
  case PROP_SIZE:
    g_value_set_double (value, self->size);
    break;
  case PROP_X:
    g_value_set_double (value, self->x);
    break;
  case PROP_WIDTH:
    g_value_set_int (value, self->width);
    break;
  case PROP_HEIGHT:
    g_value_set_int (value, self->height);
    break;
  }
  GST_OBJECT_UNLOCK (self);
}

static GstCaps *
fixate (GstBaseSrc *base, GstCaps *caps)
{
  GstClimberSrc *self = GST_CLIMBER_SRC (base);
  caps = gst_caps_make_writable (gst_caps_truncate (caps));
  GstStructure *s = gst_caps_get_structure (caps, 0);
  GST_OBJECT_LOCK (self);
  gst_structure_fixate_field_nearest_int (s, "width", self->width);
  gst_structure_fixate_field_nearest_int (s, "height", self->height);
  GST_OBJECT_UNLOCK (self);
  gst_structure_fixate_field_nearest_fraction (s, "framerate", 30, 1);
  return GST_BASE_SRC_CLASS (gst_climber_src_parent_class)->fixate (base, caps);
}

static void
release_pictures (GstClimberSrc *self)
{
  g_clear_pointer (&self->wall, cairo_surface_destroy);
  g_clear_pointer (&self->canvas, cairo_surface_destroy);
  g_clear_pointer (&self->converter, gst_video_converter_free);
}

static gboolean
set_caps (GstBaseSrc *base, GstCaps *caps)
{
  GstClimberSrc *self = GST_CLIMBER_SRC (base);
  if (!gst_video_info_from_caps (&self->info, caps))
    return FALSE;
  int width = GST_VIDEO_INFO_WIDTH (&self->info), height = GST_VIDEO_INFO_HEIGHT (&self->info);
  release_pictures (self);
  self->wall = cairo_image_surface_create (CAIRO_FORMAT_RGB24, width, height);
  self->canvas = cairo_image_surface_create (CAIRO_FORMAT_RGB24, width, height);
  gst_video_info_set_format (&self->drawn_info,
      G_BYTE_ORDER == G_LITTLE_ENDIAN ? GST_VIDEO_FORMAT_BGRx : GST_VIDEO_FORMAT_xRGB, (guint)width,
      (guint)height);
  self->drawn_info.fps_n = self->info.fps_n;
  self->drawn_info.fps_d = self->info.fps_d;
  self->converter = gst_video_converter_new (&self->drawn_info, &self->info, NULL);
  GST_OBJECT_LOCK (self);
  guint32 seed = self->seed;
  GST_OBJECT_UNLOCK (self);
  cairo_t *cr = cairo_create (self->wall);
  climber_draw_wall (cr, width, height, seed);
  cairo_destroy (cr);
  gst_base_src_set_blocksize (base, (guint)GST_VIDEO_INFO_SIZE (&self->info));
  return self->converter != NULL;
}

static void
attach_joints (GstBuffer *buffer, const ClimberPose *pose)
{
  GstCustomMeta *meta = gst_buffer_add_custom_meta (buffer, META_NAME);
  GstStructure *s = gst_custom_meta_get_structure (meta);
  for (guint i = 0; i < CLIMBER_JOINTS; i++) {
    if (i > CLIMBER_NOSE && i < CLIMBER_LEFT_SHOULDER)
      continue;
    if (i > CLIMBER_RIGHT_WRIST && i < CLIMBER_LEFT_HIP)
      continue;
    g_autofree char *x = g_strdup_printf ("x-%u", i), *y = g_strdup_printf ("y-%u", i);
    gst_structure_set (
        s, x, G_TYPE_DOUBLE, pose->joints[i].x, y, G_TYPE_DOUBLE, pose->joints[i].y, NULL);
  }
}

static void
draw (GstClimberSrc *self, ClimberPose *pose)
{
  int width = GST_VIDEO_INFO_WIDTH (&self->info), height = GST_VIDEO_INFO_HEIGHT (&self->info);
  GST_OBJECT_LOCK (self);
  ClimberView view = self->view;
  double size = self->size, x = self->x;
  GST_OBJECT_UNLOCK (self);
  double seconds = (double)gst_util_uint64_scale (self->frames,
                       GST_SECOND * (guint64)GST_VIDEO_INFO_FPS_D (&self->info),
                       (guint64)GST_VIDEO_INFO_FPS_N (&self->info)) /
                   GST_SECOND;
  climber_pose (pose, view, seconds, x * width, height * 0.5, size * height);
  cairo_t *cr = cairo_create (self->canvas);
  cairo_set_source_surface (cr, self->wall, 0, 0);
  cairo_set_operator (cr, CAIRO_OPERATOR_SOURCE);
  cairo_paint (cr);
  cairo_set_operator (cr, CAIRO_OPERATOR_OVER);
  climber_draw (cr, pose, view);
  cairo_destroy (cr);
  cairo_surface_flush (self->canvas);
}

/* Copies the canvas into the buffer, in its format. */
static gboolean
convert (GstClimberSrc *self, GstBuffer *buffer)
{
  gsize size = (gsize)cairo_image_surface_get_stride (self->canvas) *
               (gsize)cairo_image_surface_get_height (self->canvas);
  g_autoptr (GstBuffer) drawn = gst_buffer_new_wrapped_full (GST_MEMORY_FLAG_READONLY,
      cairo_image_surface_get_data (self->canvas), size, 0, size, NULL, NULL);
  GstVideoFrame in, out;
  if (!gst_video_frame_map (&in, &self->drawn_info, drawn, GST_MAP_READ))
    return FALSE;
  gboolean ok = gst_video_frame_map (&out, &self->info, buffer, GST_MAP_WRITE);
  if (ok) {
    gst_video_converter_frame (self->converter, &in, &out);
    gst_video_frame_unmap (&out);
  }
  gst_video_frame_unmap (&in);
  return ok;
}

/* A live source skips what it is too late for, like a camera. */
static void
catch_up (GstClimberSrc *self, GstClockTime now)
{
  guint64 due =
      gst_util_uint64_scale (now - self->first, (guint64)GST_VIDEO_INFO_FPS_N (&self->info),
          (guint64)GST_VIDEO_INFO_FPS_D (&self->info) * GST_SECOND);
  if (due > self->frames + 1)
    self->frames = due;
}

static GstFlowReturn
fill (GstPushSrc *push, GstBuffer *buffer)
{
  GstClimberSrc *self = GST_CLIMBER_SRC (push);
  ClimberPose pose = {0};
  guint64 n = (guint64)GST_VIDEO_INFO_FPS_N (&self->info);
  guint64 d = (guint64)GST_VIDEO_INFO_FPS_D (&self->info) * GST_SECOND;
  GstClockTime offset = 0;
  if (gst_base_src_is_live (GST_BASE_SRC (self))) {
    GstClockTime now = gst_element_get_current_running_time (GST_ELEMENT (self));
    if (GST_CLOCK_TIME_IS_VALID (now)) {
      if (!GST_CLOCK_TIME_IS_VALID (self->first))
        self->first = now;
      catch_up (self, now);
    }
    offset = GST_CLOCK_TIME_IS_VALID (self->first) ? self->first : 0;
  }
  draw (self, &pose);
  if (!convert (self, buffer)) {
    GST_ELEMENT_ERROR (self, RESOURCE, WRITE, (NULL), ("the buffer cannot be written"));
    return GST_FLOW_ERROR;
  }
  attach_joints (buffer, &pose);
  GST_BUFFER_PTS (buffer) = offset + gst_util_uint64_scale (self->frames, d, n);
  GST_BUFFER_DURATION (buffer) = gst_util_uint64_scale (1, d, n);
  GST_BUFFER_OFFSET (buffer) = self->frames;
  self->frames++;
  return GST_FLOW_OK;
}

/* basesrc waits for this before it pushes: a live frame leaves when it is due. */
static void
get_times (GstBaseSrc *base, GstBuffer *buffer, GstClockTime *start, GstClockTime *end)
{
  *start = gst_base_src_is_live (base) ? GST_BUFFER_PTS (buffer) : GST_CLOCK_TIME_NONE;
  *end = GST_CLOCK_TIME_NONE;
}

static gboolean
start (GstBaseSrc *base)
{
  GstClimberSrc *self = GST_CLIMBER_SRC (base);
  self->frames = 0;
  self->first = GST_CLOCK_TIME_NONE;
  gst_video_info_init (&self->info);
  return TRUE;
}

static gboolean
stop (GstBaseSrc *base)
{
  release_pictures (GST_CLIMBER_SRC (base));
  return TRUE;
}

static void
gst_climber_src_class_init (GstClimberSrcClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseSrcClass *src_class = GST_BASE_SRC_CLASS (klass);
  static const char *const tags[] = {NULL};
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

  GST_DEBUG_CATEGORY_INIT (climbersrc_debug, "climbersrc", 0, "drawn climber");
  object_class->set_property = set_property;
  object_class->get_property = get_property;
  g_object_class_install_property (object_class, PROP_IS_LIVE,
      g_param_spec_boolean ("is-live", "Live", "Pace the frames like a camera", FALSE, flags));
  g_object_class_install_property (object_class, PROP_VIEW,
      g_param_spec_enum ("view", "View", "What is seen", view_get_type (), CLIMBER_FRONT, flags));
  g_object_class_install_property (object_class, PROP_SEED,
      g_param_spec_uint ("seed", "Seed", "Where the holds are; taken when caps are set", 0,
          G_MAXUINT, DEFAULT_SEED, flags));
  g_object_class_install_property (object_class, PROP_SIZE,
      g_param_spec_double ("size", "Size", "Height of the standing body in frame heights", 0.05, 2,
          DEFAULT_SIZE, flags | GST_PARAM_CONTROLLABLE));
  g_object_class_install_property (object_class, PROP_X,
      g_param_spec_double ("x", "X", "Middle of the body in frame widths", -1, 2, 0.5,
          flags | GST_PARAM_CONTROLLABLE));
  g_object_class_install_property (object_class, PROP_WIDTH,
      g_param_spec_int (
          "width", "Width", "Width when downstream does not care", 16, 8192, 1280, flags));
  g_object_class_install_property (object_class, PROP_HEIGHT,
      g_param_spec_int (
          "height", "Height", "Height when downstream does not care", 16, 8192, 720, flags));
  gst_element_class_set_static_metadata (element_class, "Drawn climber", "Source/Video",
      "Draws a person who climbs, with known joints", "Spotter");
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_type_mark_as_plugin_api (view_get_type (), 0);
  src_class->fixate = fixate;
  src_class->set_caps = set_caps;
  src_class->get_times = get_times;
  src_class->start = start;
  src_class->stop = stop;
  GST_PUSH_SRC_CLASS (klass)->fill = fill;
  gst_meta_register_custom (META_NAME, (const char **)tags, NULL, NULL, NULL);
}

static void
gst_climber_src_init (GstClimberSrc *self)
{
  self->seed = DEFAULT_SEED;
  self->size = DEFAULT_SIZE;
  self->x = 0.5;
  self->width = 1280;
  self->height = 720;
  gst_base_src_set_format (GST_BASE_SRC (self), GST_FORMAT_TIME);
}
