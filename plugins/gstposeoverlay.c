/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-poseoverlay
 * @title: poseoverlay
 *
 * Draws the skeletons that #GstPoseDetect has found (#GstPoseMeta) into the picture. Only the part
 * of the frame that they cover is touched; with `background` not `keep` the picture itself does not
 * leave the element.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 v4l2src ! videoconvert ! posedetect ! poseoverlay ! videoconvert ! autovideosink
 * ]|
 */
#include "config.h"

#include "gstposeoverlay.h"

#include <gst/video/video.h>
#include <string.h>

#include "posedraw.h"
#include "posemeta-private.h"

GST_DEBUG_CATEGORY_STATIC (pose_overlay_debug);
#define GST_CAT_DEFAULT pose_overlay_debug

typedef enum { BACKGROUND_KEEP, BACKGROUND_BLACK, BACKGROUND_BLUR } Background;

/* So many picture elements become one: nobody is recognised (a face of 100 becomes three). */
#define BLUR 32

enum { PROP_0, PROP_BACKGROUND, PROP_NAMES, PROP_TRAIL };

struct _GstPoseOverlay {
  GstVideoFilter parent;

  /* properties, under the object lock */
  Background background;
  gboolean names;
  GstClockTime trail;

  /* streaming thread */
  PoseTrail trails[POSE_PEOPLE_MAX];
  GstVideoConverter *down, *up;
  GstVideoInfo small_info;
  GstBuffer *small;
};

#define FORMATS "{ I420, YV12, NV12, NV21, BGRx, RGBx, xRGB, xBGR, RGB, BGR }"

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE (
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE (FORMATS)));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE (
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE (FORMATS)));

G_DEFINE_FINAL_TYPE (GstPoseOverlay, gst_pose_overlay, GST_TYPE_VIDEO_FILTER)
GST_ELEMENT_REGISTER_DEFINE (poseoverlay, "poseoverlay", GST_RANK_NONE, GST_TYPE_POSE_OVERLAY)

static GType
background_get_type (void)
{
  static const GEnumValue values[] = {
      {BACKGROUND_KEEP, "The picture", "keep"},
      {BACKGROUND_BLACK, "Nothing but the skeletons", "black"},
      {BACKGROUND_BLUR, "The picture, so coarse that nobody is recognised", "blur"},
      {0, NULL, NULL},
  };
  static gsize type;
  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstPoseOverlayBackground", values));
  return type;
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstPoseOverlay *self = GST_POSE_OVERLAY (object);
  GST_OBJECT_LOCK (self);
  if (id == PROP_BACKGROUND)
    self->background = g_value_get_enum (value);
  else if (id == PROP_NAMES)
    self->names = g_value_get_boolean (value);
  else if (id == PROP_TRAIL)
    self->trail = g_value_get_uint64 (value);
  GST_OBJECT_UNLOCK (self);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstPoseOverlay *self = GST_POSE_OVERLAY (object);
  GST_OBJECT_LOCK (self);
  if (id == PROP_BACKGROUND)
    g_value_set_enum (value, self->background);
  else if (id == PROP_NAMES)
    g_value_set_boolean (value, self->names);
  else if (id == PROP_TRAIL)
    g_value_set_uint64 (value, self->trail);
  GST_OBJECT_UNLOCK (self);
}

/* ---- the background ----------------------------------------------------------------------- */

static void
fill_plane (GstVideoFrame *frame, guint plane, int value)
{
  const GstVideoFormatInfo *info = frame->info.finfo;
  int component[GST_VIDEO_MAX_COMPONENTS];
  gst_video_format_info_component (info, plane, component);
  int rows =
      GST_VIDEO_FORMAT_INFO_SCALE_HEIGHT (info, component[0], GST_VIDEO_FRAME_HEIGHT (frame));
  int bytes =
      GST_VIDEO_FORMAT_INFO_SCALE_WIDTH (info, component[0], GST_VIDEO_FRAME_WIDTH (frame)) *
      GST_VIDEO_FORMAT_INFO_PSTRIDE (info, component[0]);
  for (int y = 0; y < rows; y++)
    memset ((guint8 *)GST_VIDEO_FRAME_PLANE_DATA (frame, plane) +
                (gssize)y * GST_VIDEO_FRAME_PLANE_STRIDE (frame, plane),
        value, (gsize)bytes);
}

static void
blacken (GstVideoFrame *frame)
{
  gboolean full = frame->info.colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255;
  gboolean yuv = GST_VIDEO_INFO_IS_YUV (&frame->info);
  for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES (frame); i++)
    fill_plane (frame, i, !yuv ? 0 : i ? 128 : full ? 0 : 16);
}

static void
drop_blur (GstPoseOverlay *self)
{
  g_clear_pointer (&self->down, gst_video_converter_free);
  g_clear_pointer (&self->up, gst_video_converter_free);
  gst_clear_buffer (&self->small);
}

static gboolean
make_blur (GstPoseOverlay *self, const GstVideoInfo *info)
{
  gst_video_info_set_format (&self->small_info, GST_VIDEO_INFO_FORMAT (info),
      (guint)MAX (info->width / BLUR, 2), (guint)MAX (info->height / BLUR, 2));
  self->small_info.fps_n = info->fps_n;
  self->small_info.fps_d = info->fps_d;
  self->small_info.colorimetry = info->colorimetry;
  self->small_info.chroma_site = info->chroma_site;
  self->down = gst_video_converter_new (info, &self->small_info,
      gst_structure_new ("down", GST_VIDEO_CONVERTER_OPT_RESAMPLER_METHOD,
          GST_TYPE_VIDEO_RESAMPLER_METHOD, GST_VIDEO_RESAMPLER_METHOD_LINEAR,
          GST_VIDEO_RESAMPLER_OPT_MAX_TAPS, G_TYPE_INT, BLUR, NULL));
  self->up = gst_video_converter_new (&self->small_info, info, NULL);
  self->small = gst_buffer_new_and_alloc (GST_VIDEO_INFO_SIZE (&self->small_info));
  return self->down && self->up;
}

/* FALSE when it cannot be done: then nothing of the picture may stay. */
static gboolean
blur (GstPoseOverlay *self, GstVideoFrame *frame)
{
  GstVideoFrame small;
  if (!self->small && !make_blur (self, &frame->info))
    return FALSE;
  if (!gst_video_frame_map (&small, &self->small_info, self->small, GST_MAP_READWRITE))
    return FALSE;
  gst_video_converter_frame (self->down, frame, &small);
  gst_video_converter_frame (self->up, &small, frame);
  gst_video_frame_unmap (&small);
  return TRUE;
}

/* ---- the skeletons ------------------------------------------------------------------------ */

/* (nullable): of one who is in the picture; those of who has left are used again */
static PoseTrail *
trail_of (GstPoseOverlay *self, const GstPoseMeta *meta, guint id)
{
  for (guint i = 0; i < POSE_PEOPLE_MAX; i++)
    if (self->trails[i].id == id)
      return &self->trails[i];
  for (guint i = 0; i < POSE_PEOPLE_MAX; i++) {
    gboolean used = FALSE;
    for (guint k = 0; k < meta->n_people; k++)
      used |= meta->people[k].id == self->trails[i].id;
    if (!used)
      return &self->trails[i];
  }
  return NULL;
}

static void
draw_person (
    GstVideoFrame *frame, const PoseStyle *style, const GstPosePerson *person, PoseTrail *trail)
{
  int rect[4];
  if (!pose_draw_extents (style, person, trail, rect))
    return;
  int stride = rect[2] * 4;
  guint8 *data = g_malloc0 ((gsize)stride * (gsize)rect[3]);
  cairo_surface_t *surface =
      cairo_image_surface_create_for_data (data, CAIRO_FORMAT_ARGB32, rect[2], rect[3], stride);
  cairo_t *cr = cairo_create (surface);
  cairo_translate (cr, -rect[0], -rect[1]);
  pose_draw (cr, style, person, trail);
  cairo_destroy (cr);
  cairo_surface_finish (surface);
  cairo_surface_destroy (surface);
  GstBuffer *pixels = gst_buffer_new_wrapped (data, (gsize)stride * (gsize)rect[3]);
  gst_buffer_add_video_meta (pixels, GST_VIDEO_FRAME_FLAG_NONE,
      GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB, (guint)rect[2], (guint)rect[3]);
  GstVideoOverlayRectangle *rectangle = gst_video_overlay_rectangle_new_raw (pixels, rect[0],
      rect[1], (guint)rect[2], (guint)rect[3], GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA);
  GstVideoOverlayComposition *composition = gst_video_overlay_composition_new (rectangle);
  gst_video_overlay_composition_blend (composition, frame);
  gst_video_overlay_composition_unref (composition);
  gst_video_overlay_rectangle_unref (rectangle);
  gst_buffer_unref (pixels);
}

static GstFlowReturn
transform_frame_ip (GstVideoFilter *filter, GstVideoFrame *frame)
{
  GstPoseOverlay *self = GST_POSE_OVERLAY (filter);
  const GstPoseMeta *meta = gst_buffer_get_pose_meta (frame->buffer);
  GstClockTime now = GST_BUFFER_PTS (frame->buffer);
  GST_OBJECT_LOCK (self);
  Background background = self->background;
  PoseStyle style = {
      GST_VIDEO_FRAME_WIDTH (frame), GST_VIDEO_FRAME_HEIGHT (frame), self->names, self->trail, now};
  GST_OBJECT_UNLOCK (self);
  if (background == BACKGROUND_BLACK || (background == BACKGROUND_BLUR && !blur (self, frame)))
    blacken (frame);
  for (guint i = 0; meta && i < meta->n_people; i++) {
    PoseTrail *trail = style.trail && GST_CLOCK_TIME_IS_VALID (now)
                           ? trail_of (self, meta, meta->people[i].id)
                           : NULL;
    if (trail && meta->analysed)
      pose_trail_add (trail, &meta->people[i], now);
    draw_person (frame, &style, &meta->people[i], trail);
  }
  return GST_FLOW_OK;
}

static void
forget_trails (GstPoseOverlay *self)
{
  for (guint i = 0; i < POSE_PEOPLE_MAX; i++)
    self->trails[i].id = 0;
}

static gboolean
set_info (GstVideoFilter *filter, GstCaps *in, GstVideoInfo *in_info, GstCaps *out,
    GstVideoInfo *out_info)
{
  GstPoseOverlay *self = GST_POSE_OVERLAY (filter);
  drop_blur (self);
  forget_trails (self);
  return TRUE;
}

static gboolean
sink_event (GstBaseTransform *transform, GstEvent *event)
{
  if (GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_STOP)
    forget_trails (GST_POSE_OVERLAY (transform));
  return GST_BASE_TRANSFORM_CLASS (gst_pose_overlay_parent_class)->sink_event (transform, event);
}

static gboolean
stop (GstBaseTransform *transform)
{
  GstPoseOverlay *self = GST_POSE_OVERLAY (transform);
  drop_blur (self);
  forget_trails (self);
  return TRUE;
}

static void
gst_pose_overlay_class_init (GstPoseOverlayClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *transform_class = GST_BASE_TRANSFORM_CLASS (klass);
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
  GST_DEBUG_CATEGORY_INIT (pose_overlay_debug, "poseoverlay", 0, "poseoverlay");
  gst_pose_meta_get_info ();
  object_class->set_property = set_property;
  object_class->get_property = get_property;
  transform_class->stop = stop;
  transform_class->sink_event = sink_event;
  GST_VIDEO_FILTER_CLASS (klass)->set_info = set_info;
  GST_VIDEO_FILTER_CLASS (klass)->transform_frame_ip = transform_frame_ip;
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Pose overlay", "Filter/Editor/Video",
      "Draws the skeletons that posedetect has found", "Spotter");

  /**
   * GstPoseOverlay:background: what becomes of the picture
   */
  g_object_class_install_property (object_class, PROP_BACKGROUND,
      g_param_spec_enum ("background", "Background", "What becomes of the picture",
          background_get_type (), BACKGROUND_KEEP, flags));
  /**
   * GstPoseOverlay:names: the number of each person stands beside the head
   */
  g_object_class_install_property (object_class, PROP_NAMES,
      g_param_spec_boolean (
          "names", "Names", "The number of each person stands beside the head", FALSE, flags));
  /**
   * GstPoseOverlay:trail: how long the ways of hands and feet are shown, in nanoseconds; 0: not
   */
  g_object_class_install_property (object_class, PROP_TRAIL,
      g_param_spec_uint64 ("trail", "Trail", "How long the ways of hands and feet are shown (ns)",
          0, 8 * GST_SECOND, 0, flags));
}

static void
gst_pose_overlay_init (GstPoseOverlay *self)
{
}
