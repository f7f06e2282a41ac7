/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A branch is fed as a viewer of its input track (or of a video and an audio track together) and
 * publishes its own track. Two kinds:
 *
 *   pipeline   appsrc ! … ! appsink, for codecs and for containers GStreamer writes well
 *   packer     a container of ours, written on the feeding thread: no thread, no delay
 *
 * Its viewer is primed with the cached GOP. A decoder decodes that as fast as it can; the pictures
 * before the newest one are dropped, so that what comes out first is now. */
#include "config.h"

#include "branch.h"

#include <gst/app/gstappsrc.h>
#include <string.h>

#include "error.h"
#include "packer.h"
#include "pipeline.h"
#include "plan.h"
#include "track.h"
#include "viewer.h"

/* Units inside an appsrc; what waits beyond that waits in the viewer, where the policy is. A muxer
 * has two, fed from one queue: a full one must not hold up what the other waits for. */
#define APPSRC_UNITS 3
#define APPSRC_UNITS_OF_PAIR 300
#define PROBE_TIMEOUT (5 * GST_SECOND)

GST_DEBUG_CATEGORY_STATIC (spotter_branch);
#define GST_CAT_DEFAULT spotter_branch

struct _SptContainer {
  const char *name, *media;
  const char *video, *audio; /* accepted caps; NULL: none */
  const SptPacker *packer;   /* or else */
  const char *launch;        /* from appsrcs in0, in1 */
};

#define BROWSER_H264                                                                               \
  "video/x-h264, profile=(string){ constrained-baseline, baseline, main, high, "                   \
  "constrained-high, progressive-high, extended }"

#define RTP_AUDIO                                                                                  \
  "audio/mpeg, mpegversion=4, stream-format=raw; audio/x-opus; audio/x-mulaw; audio/x-alaw; "      \
  "audio/mpeg, mpegversion=1"

static const SptContainer containers[] = {
    {"mp4", "video/mp4", BROWSER_H264 "; video/x-h265",
        "audio/mpeg, mpegversion=4, stream-format=raw; audio/x-opus", &spt_fragments_packer, NULL},
    /* JPEG only for those who ask for it: everybody can play H.264 */
    {"rtp", "application/x-rtp", "video/x-h264; video/x-h265; video/x-vp8; video/x-vp9", RTP_AUDIO,
        &spt_rtp_packer, NULL},
    /* Browsers cannot be told to wait: no reordered pictures (SPT_REORDERS). */
    {"webrtc", "application/x-rtp",
        BROWSER_H264 ", " SPT_REORDERS "=(boolean)false; video/x-vp8; video/x-vp9",
        "audio/x-opus, channel-mapping-family=(int)0; audio/x-mulaw; audio/x-alaw",
        &spt_webrtc_packer, NULL},
    {"rtp-jpeg", "application/x-rtp", "image/jpeg", RTP_AUDIO, &spt_rtp_packer, NULL},
    {"pose", "application/x-pose", "video/x-raw, " SPT_OVERLAY "=" SPT_OVERLAY_META, NULL,
        &spt_pose_packer, NULL},
    {"mjpeg", "multipart/x-mixed-replace", "image/jpeg", NULL, &spt_multipart_packer, NULL},
    /* latency: how long a picture may wait for sound of its time */
    {"ts", "video/mpegts", BROWSER_H264 "; video/x-h265",
        "audio/mpeg, mpegversion=4, stream-format=raw; audio/x-opus", NULL,
        "mpegtsmux name=mux latency=30000000"},
};

struct _SptBranch {
  GObject parent;

  /* construct-only */
  char *name;
  const SptRecipe *recipe;       /* or */
  const SptContainer *container; /* … */
  const char *element;           /* the codec chosen */
  gboolean newest;               /* one picture waits; an older one gives way to it */
  SptTrack *inputs[2];
  guint n;
  SptTrack *out;
  SptViewer *viewer;
  const SptPacker *packer;
  gpointer packed;
  GstElement *appsrc[2];
  GstElement *tap;

  /* main context */
  GstElement *pipeline;
  SptBranchFailed failed;
  gpointer failed_data;

  /* written before data flows, read on the streaming thread */
  GstClockTime drop_before;
};

G_DEFINE_FINAL_TYPE_WITH_CODE (SptBranch, spt_branch, G_TYPE_OBJECT,
    GST_DEBUG_CATEGORY_INIT (spotter_branch, "spotter-branch", 0, "branches"))

static void
spt_branch_finalize (GObject *object)
{
  SptBranch *self = SPT_BRANCH (object);
  g_assert (!self->pipeline);
  if (self->packed)
    self->packer->free (self->packed);
  g_clear_object (&self->viewer);
  for (guint i = 0; i < self->n; i++)
    g_clear_object (&self->inputs[i]);
  g_clear_object (&self->out);
  g_free (self->name);
  G_OBJECT_CLASS (spt_branch_parent_class)->finalize (object);
}

static void
spt_branch_class_init (SptBranchClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = spt_branch_finalize;
}

static void
spt_branch_init (SptBranch *self)
{
}

/* ---- what this machine can do ------------------------------------------------------------- */

const SptContainer *
spt_container_find (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (containers); i++)
    if (g_str_equal (containers[i].name, name))
      return &containers[i];
  return NULL;
}

const char *
spt_container_get_name (const SptContainer *container)
{
  return container->name;
}

/* (transfer full) */
GstCaps *
spt_container_accept_video (const SptContainer *container)
{
  return container->video ? gst_caps_from_string (container->video) : NULL;
}

/* (transfer full) (nullable) */
GstCaps *
spt_container_accept_audio (const SptContainer *container)
{
  return container->audio ? gst_caps_from_string (container->audio) : NULL;
}

static char *
fill_in (const char *launch, guint kbps, guint gop)
{
  g_autofree char *kbps_text = g_strdup_printf ("%u", kbps);
  g_autofree char *gop_text = g_strdup_printf ("%u", gop);
  GString *text = g_string_new (launch);
  g_string_replace (text, "{kbps}", kbps_text, 0);
  g_string_replace (text, "{gop}", gop_text, 0);
  return g_string_free (text, FALSE);
}

/* Hardware says it is there when the driver is; only a frame shows that it works. */
static gboolean
probe_encoder (const SptCandidate *candidate)
{
  g_autofree char *middle = fill_in (candidate->launch, 500, 30);
  g_autofree char *text = g_strdup_printf (
      "videotestsrc num-buffers=2 ! video/x-raw, format=I420, width=640, height=360 ! %s ! "
      "fakesink sync=false",
      middle);
  g_autoptr (GstElement) pipeline = gst_parse_launch (text, NULL);
  if (!pipeline)
    return FALSE;
  gst_object_ref_sink (pipeline);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_autoptr (GstMessage) message =
      gst_bus_timed_pop_filtered (bus, PROBE_TIMEOUT, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  gboolean works = message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS;
  gst_element_set_state (pipeline, GST_STATE_NULL);
  GST_INFO ("%s %s", candidate->element, works ? "works" : "is present, but does not encode");
  return works;
}

static gboolean
works (const SptRecipe *recipe, const SptCandidate *candidate)
{
  g_autoptr (GstElementFactory) factory = gst_element_factory_find (candidate->element);
  if (!factory)
    return FALSE;
  const char *klass = gst_element_factory_get_metadata (factory, GST_ELEMENT_METADATA_KLASS);
  gboolean encoder = klass && strstr (klass, "Encoder");
  return !encoder || !strstr (klass, "Hardware") || probe_encoder (candidate);
}

/**
 * spt_branch_usable:
 *
 * Returns: (nullable): the first candidate that works here; found once, remembered. Main context.
 */
const SptCandidate *
spt_branch_usable (const SptRecipe *recipe)
{
  static GHashTable *known;
  if (!known)
    known = g_hash_table_new (NULL, NULL);
  gpointer found;
  if (g_hash_table_lookup_extended (known, recipe, NULL, &found))
    return found;
  const SptCandidate *candidate = recipe->candidates;
  while (candidate->element && !works (recipe, candidate))
    candidate++;
  found = candidate->element ? (gpointer)candidate : NULL;
  g_hash_table_insert (known, (gpointer)recipe, found);
  return found;
}

/* ---- feeding ------------------------------------------------------------------------------ */

static gboolean
take_packer (GstSample *unit, guint pad, gpointer user_data)
{
  SptBranch *self = user_data;
  self->packer->take (self->packed, unit, pad);
  return TRUE;
}

static gboolean
take_appsrc (GstSample *unit, guint pad, gpointer user_data)
{
  SptBranch *self = user_data;
  GstAppSrc *appsrc = GST_APP_SRC (self->appsrc[pad]);
  guint most = self->n > 1 ? APPSRC_UNITS_OF_PAIR : APPSRC_UNITS;
  if (!self->newest && gst_app_src_get_current_level_buffers (appsrc) >= most)
    return FALSE;
  gst_app_src_push_sample (appsrc, unit);
  return TRUE;
}

/* Feeding thread; also an appsrc's own, when it has run empty. */
static void
pump (SptViewer *viewer, gpointer user_data)
{
  SptBranch *self = user_data;
  spt_viewer_drain (viewer, self->packer ? take_packer : take_appsrc, self);
}

static void
on_need_data (GstAppSrc *appsrc, guint length, gpointer user_data)
{
  SptBranch *self = user_data;
  pump (self->viewer, self);
}

static GstPadProbeReturn
drop_old (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  SptBranch *self = user_data;
  GstClockTime pts = GST_BUFFER_PTS (GST_PAD_PROBE_INFO_BUFFER (info));
  if (GST_CLOCK_TIME_IS_VALID (pts) && pts < self->drop_before)
    return GST_PAD_PROBE_DROP;
  return GST_PAD_PROBE_REMOVE;
}

static void
forward_keyframe (gpointer user_data)
{
  SptBranch *self = user_data;
  spt_track_request_keyframe (self->inputs[0]);
}

static void
force_keyframe (gpointer user_data)
{
  SptBranch *self = user_data;
  spt_pipeline_force_keyframe (self->tap);
}

/* ---- construction ------------------------------------------------------------------------- */

static SptBranch *
branch_new (const char *name, gboolean newest, SptTrack *const *inputs, guint n)
{
  SptBranch *self = g_object_new (SPT_TYPE_BRANCH, NULL);
  self->name = g_strdup (name);
  self->n = n;
  for (guint i = 0; i < n; i++)
    self->inputs[i] = g_object_ref (inputs[i]);
  self->out = spt_track_new (name);
  g_autoptr (GstCaps) caps = spt_track_get_caps (inputs[0]);
  gboolean raw = caps && gst_structure_has_name (gst_caps_get_structure (caps, 0), "video/x-raw");
  /* Raw pictures are large and each stands alone: few. Encoded ones: enough for a hiccup. */
  SptViewerLimits limits = {
      SPT_DROP_TO_KEYFRAME, raw ? 64u << 20 : 16u << 20, raw ? 200 * GST_MSECOND : 3 * GST_SECOND};
  if (newest)
    limits = (SptViewerLimits){SPT_DROP_TO_NEWEST, 64u << 20, 1};
  self->newest = newest;
  self->viewer = spt_viewer_new (&limits, pump, self);
  return self;
}

static gboolean
build (SptBranch *self, const char *launch, GError **error)
{
  g_autoptr (GError) local = NULL;
  self->pipeline = spt_pipeline_new (self->name);
  g_autoptr (GstElement) bin =
      gst_parse_launch_full (launch, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &local);
  if (!bin) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_UNSUPPORTED, "the branch %s cannot be built: %s",
        self->name, local->message);
    gst_clear_object (&self->pipeline);
    return FALSE;
  }
  gst_object_ref_sink (bin);
  gst_bin_add (GST_BIN (self->pipeline), bin);
  for (guint i = 0; i < self->n; i++) {
    g_autofree char *name = g_strdup_printf ("in%u", i);
    g_autoptr (GstElement) appsrc = gst_bin_get_by_name (GST_BIN (bin), name);
    self->appsrc[i] = appsrc; /* lives as long as the pipeline */
    g_object_set (appsrc, "format", GST_FORMAT_TIME, "is-live", TRUE, "max-bytes", (guint64)0,
        "block", FALSE, NULL);
    if (self->newest) /* what waits gives way to what comes */
      g_object_set (appsrc, "max-buffers", (guint64)1, "leaky-type", 2 /* downstream */, NULL);
    GstAppSrcCallbacks callbacks = {.need_data = on_need_data};
    gst_app_src_set_callbacks (GST_APP_SRC (appsrc), &callbacks, self, NULL);
  }
  g_autoptr (GstPad) open = gst_bin_find_unlinked_pad (GST_BIN (bin), GST_PAD_SRC);
  GstPad *ghost = gst_ghost_pad_new ("src", open);
  gst_element_add_pad (bin, ghost);
  self->tap = spt_pipeline_add_tap (GST_BIN (self->pipeline), self->out, NULL);
  gst_element_link (bin, self->tap);
  return TRUE;
}

/* Bits per picture element that x264 superfast needs for a camera's picture to look clean. */
#define BITS_PER_PIXEL 0.09
/* Seconds between keyframes of our own encoder; joiners force one anyway. */
#define KEYFRAME_DISTANCE 2

static char *
recipe_launch (const SptCandidate *candidate, SptTrack *input)
{
  g_autoptr (GstCaps) caps = spt_track_get_caps (input);
  int width = 1280, height = 720, num = 30, den = 1;
  if (caps) {
    const GstStructure *s = gst_caps_get_structure (caps, 0);
    gst_structure_get_int (s, "width", &width);
    gst_structure_get_int (s, "height", &height);
    gst_structure_get_fraction (s, "framerate", &num, &den);
  }
  double fps = num > 0 && den > 0 ? CLAMP ((double)num / den, 1, 120) : 30;
  double kbps = CLAMP (width * (double)height * fps * BITS_PER_PIXEL / 1000, 300, 12000);
  g_autofree char *middle =
      fill_in (candidate->launch, (guint)kbps, (guint)MAX (fps * KEYFRAME_DISTANCE, 1));
  return g_strconcat ("bin.( appsrc name=in0 ! ", middle, " )", NULL);
}

/* What the element does not have means nothing to it. */
static gboolean
set_property (GQuark field, const GValue *value, gpointer data)
{
  GObject *element = data;
  const char *name = g_quark_to_string (field);
  if (g_object_class_find_property (G_OBJECT_GET_CLASS (element), name))
    gst_util_set_object_arg (element, name, g_value_get_string (value));
  else
    GST_WARNING ("%s has no option '%s'", GST_OBJECT_NAME (element), name);
  return TRUE;
}

/**
 * spt_branch_new_recipe:
 * @input: has caps
 * @properties: (nullable): as for spt_branch_set_properties()
 *
 * Returns: (transfer full): not started; or UNSUPPORTED
 */
SptBranch *
spt_branch_new_recipe (
    const SptRecipe *recipe, SptTrack *input, const GstStructure *properties, GError **error)
{
  const SptCandidate *candidate = spt_branch_usable (recipe);
  g_return_val_if_fail (candidate != NULL, NULL);
  g_autoptr (SptBranch) self = branch_new (recipe->name, recipe->newest, &input, 1);
  self->recipe = recipe;
  self->element = candidate->element;
  g_autofree char *launch = recipe_launch (candidate, input);
  if (!build (self, launch, error))
    return NULL;
  if (properties)
    spt_branch_set_properties (self, properties);
  if (!g_str_has_prefix (recipe->name, "decode"))
    spt_track_set_keyframe_func (self->out, force_keyframe, self);
  return g_steal_pointer (&self);
}

static char *
container_launch (const SptContainer *container, SptTrack *const *inputs, guint n)
{
  GString *text = g_string_new ("bin.( ");
  g_string_append (text, container->launch);
  for (guint i = 0; i < n; i++) {
    g_autoptr (GstCaps) caps = spt_track_get_caps (inputs[i]);
    gboolean aac = caps && gst_structure_has_name (gst_caps_get_structure (caps, 0), "audio/mpeg");
    g_string_append_printf (text, " appsrc name=in%u ! %smux.", i, aac ? "aacparse ! " : "");
  }
  g_string_append (text, " )");
  return g_string_free (text, FALSE);
}

/**
 * spt_branch_new_container:
 * @inputs: (array length=n): what the container takes; the picture first
 *
 * Returns: (transfer full): not started; or UNSUPPORTED
 */
SptBranch *
spt_branch_new_container (
    const SptContainer *container, SptTrack *const *inputs, guint n, GError **error)
{
  g_autoptr (SptBranch) self = branch_new (container->name, FALSE, inputs, n);
  self->container = container;
  self->packer = container->packer;
  if (self->packer) {
    self->packed = self->packer->new (self->inputs, n, self->out);
  } else {
    g_autofree char *launch = container_launch (container, inputs, n);
    if (!build (self, launch, error))
      return NULL;
  }
  spt_track_set_keyframe_func (self->out, forward_keyframe, self);
  return g_steal_pointer (&self);
}

/* ---- running ------------------------------------------------------------------------------ */

static void
on_ended (const GError *error, gpointer user_data)
{
  SptBranch *self = user_data;
  g_autoptr (GError) end = error ? g_error_copy (error)
                                 : g_error_new (SPT_ERROR, SPT_ERROR_FAILED,
                                       "the branch %s ended by itself", self->name);
  if (self->failed)
    self->failed (self, end, self->failed_data);
}

/* A decoder is primed with a whole GOP: only its last picture is of interest. */
static void
skip_prime (SptBranch *self)
{
  SptTrackStats stats;
  spt_track_get_stats (self->inputs[0], &stats);
  if (!self->recipe || stats.gop_units < 2 || !g_str_equal (self->recipe->to, "video/x-raw"))
    return;
  self->drop_before = spt_track_newest_pts (self->inputs[0]);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (self->tap, "sink");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, drop_old, self, NULL);
}

/**
 * spt_branch_start:
 * @failed: called on the main context, at most until spt_branch_stop()
 */
void
spt_branch_start (SptBranch *self, SptBranchFailed failed, gpointer data)
{
  self->failed = failed;
  self->failed_data = data;
  if (self->pipeline) {
    skip_prime (self);
    spt_pipeline_watch (self->pipeline, on_ended, self);
    gst_element_set_state (self->pipeline, GST_STATE_PLAYING);
  }
  if (self->n == 2)
    spt_track_attach_pair (self->inputs[0], self->inputs[1], self->viewer);
  else
    spt_track_attach (self->inputs[0], self->viewer, 0);
}

/**
 * spt_branch_stop:
 *
 * Nothing reaches the branch's track after this. Its track is not ended: that is the caller's. The
 * pipeline goes to NULL in a worker thread. Idempotent.
 */
void
spt_branch_stop (SptBranch *self)
{
  self->failed = NULL;
  for (guint i = 0; i < self->n; i++)
    spt_track_detach (self->inputs[i], self->viewer);
  spt_viewer_silence (self->viewer);
  spt_track_set_keyframe_func (self->out, NULL, NULL);
  if (self->pipeline) {
    GstElement *pipeline = g_steal_pointer (&self->pipeline);
    /* The callbacks point at us until NULL is reached: hold on till then. */
    g_object_set_data_full (G_OBJECT (pipeline), "spt-branch", g_object_ref (self), g_object_unref);
    spt_pipeline_stop (pipeline, NULL, NULL);
  }
}

const char *
spt_branch_get_name (SptBranch *self)
{
  return self->name;
}

/* (nullable): the codec element; NULL for containers */
const char *
spt_branch_get_element (SptBranch *self)
{
  return self->element;
}

SptTrack *
spt_branch_get_track (SptBranch *self)
{
  return self->out;
}

/* (transfer none) (nullable) */
SptTrack *
spt_branch_get_input (SptBranch *self, guint index)
{
  return index < self->n ? self->inputs[index] : NULL;
}

SptViewer *
spt_branch_get_viewer (SptBranch *self)
{
  return self->viewer;
}

/* (transfer none) (nullable): NULL for packers and after the stop */
GstElement *
spt_branch_get_pipeline (SptBranch *self)
{
  return self->pipeline;
}

/* @properties: texts, for the element that the recipe is named after; also while it runs */
void
spt_branch_set_properties (SptBranch *self, const GstStructure *properties)
{
  g_autoptr (GstElement) element =
      self->pipeline ? gst_bin_get_by_name (GST_BIN (self->pipeline), self->name) : NULL;
  if (element)
    gst_structure_foreach (properties, set_property, element);
}

/* (transfer full) (nullable): what the element that the recipe is named after counts */
GstStructure *
spt_branch_get_stats (SptBranch *self)
{
  g_autoptr (GstElement) element =
      self->pipeline ? gst_bin_get_by_name (GST_BIN (self->pipeline), self->name) : NULL;
  GstStructure *stats = NULL;
  if (element && g_object_class_find_property (G_OBJECT_GET_CLASS (element), "stats"))
    g_object_get (element, "stats", &stats, NULL);
  return stats;
}
