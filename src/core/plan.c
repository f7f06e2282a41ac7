/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The planner: the cheapest chain of at most MAX_STEPS recipes. Passthrough costs nothing and so
 * always wins; decoding is cheaper than encoding. */
#include "config.h"

#include "plan.h"

#include "error.h"

/* decode, find the pose, draw it, encode */
#define MAX_STEPS 4

#define I420 "videoconvert ! video/x-raw, format=I420 ! "
#define H264_OUT                                                                                   \
  " ! h264parse config-interval=-1 ! "                                                             \
  "capsfilter caps=\"video/x-h264, stream-format=byte-stream, alignment=au\""

static const SptCandidate h264_decoders[] = {
    {"vah264dec", "vah264dec ! vapostproc ! capsfilter caps=video/x-raw"},
    {"v4l2h264dec", "v4l2h264dec ! videoconvert"},
    {"avdec_h264", "avdec_h264"},
    {"openh264dec", "openh264dec"},
    {NULL, NULL},
};
static const SptCandidate h265_decoders[] = {
    {"vah265dec", "vah265dec ! vapostproc ! capsfilter caps=video/x-raw"},
    {"avdec_h265", "avdec_h265"},
    {NULL, NULL},
};
static const SptCandidate vp8_decoders[] = {{"vp8dec", "vp8dec"}, {NULL, NULL}};
static const SptCandidate vp9_decoders[] = {{"vp9dec", "vp9dec"}, {NULL, NULL}};
static const SptCandidate av1_decoders[] = {
    {"dav1ddec", "dav1ddec"}, {"av1dec", "av1dec"}, {NULL, NULL}};
static const SptCandidate jpeg_decoders[] = {{"jpegdec", "jpegdec"}, {NULL, NULL}};
static const SptCandidate mpeg_decoders[] = {
    {"avdec_mpeg2video", "avdec_mpeg2video"}, {NULL, NULL}};
static const SptCandidate mpeg4_decoders[] = {{"avdec_mpeg4", "avdec_mpeg4"}, {NULL, NULL}};

/* Hardware first; each is tried out once before it is used (branch.c). */
static const SptCandidate h264_encoders[] = {
    {"vah264enc",
        I420 "vapostproc ! vah264enc bitrate={kbps} key-int-max={gop} b-frames=0" H264_OUT},
    {"nvh264enc", I420 "nvh264enc bitrate={kbps} gop-size={gop} zerolatency=true" H264_OUT},
    {"v4l2h264enc", I420 "v4l2h264enc" H264_OUT},
    {"x264enc",
        I420 "x264enc tune=zerolatency speed-preset=superfast threads=2 sliced-threads=true "
             "bitrate={kbps} key-int-max={gop}" H264_OUT},
    {"openh264enc", I420 "openh264enc complexity=low gop-size={gop}" H264_OUT},
    {NULL, NULL},
};
static const SptCandidate vp8_encoders[] = {
    {"vp8enc", I420 "vp8enc deadline=1 cpu-used=8 threads=2 lag-in-frames=0 end-usage=cbr "
                    "target-bitrate={kbps}000 keyframe-max-dist={gop}"},
    {NULL, NULL},
};
static const SptCandidate jpeg_encoders[] = {{"jpegenc", I420 "jpegenc quality=80"}, {NULL, NULL}};

#define AAC_OUT " ! aacparse ! capsfilter caps=\"audio/mpeg, mpegversion=4, stream-format=raw\""
static const SptCandidate aac_encoders[] = {
    {"fdkaacenc", "audioconvert ! audioresample ! fdkaacenc" AAC_OUT},
    {"avenc_aac", "audioconvert ! audioresample ! avenc_aac" AAC_OUT},
    {"voaacenc", "audioconvert ! audioresample ! voaacenc" AAC_OUT},
    {NULL, NULL},
};
static const SptCandidate opus_encoders[] = {
    {"opusenc", "audioconvert ! audioresample ! audio/x-raw, rate=48000 ! opusenc ! opusparse"},
    {NULL, NULL},
};
static const SptCandidate aac_decoders[] = {
    {"avdec_aac", "avdec_aac"}, {"faad", "faad"}, {NULL, NULL}};
static const SptCandidate mp3_decoders[] = {
    {"mpg123audiodec", "mpg123audiodec"}, {"avdec_mp3", "avdec_mp3"}, {NULL, NULL}};
static const SptCandidate opus_decoders[] = {{"opusdec", "opusdec"}, {NULL, NULL}};
static const SptCandidate mulaw_decoders[] = {{"mulawdec", "mulawdec"}, {NULL, NULL}};
static const SptCandidate alaw_decoders[] = {{"alawdec", "alawdec"}, {NULL, NULL}};

static const SptCandidate pose_detectors[] = {
    {"posedetect", "videoconvert ! posedetect name=pose"}, {NULL, NULL}};
static const SptCandidate pose_overlays[] = {
    {"poseoverlay", "videoconvert ! poseoverlay"}, {NULL, NULL}};
static const SptCandidate skeletons[] = {
    {"poseoverlay", "videoconvert ! poseoverlay background=black"}, {NULL, NULL}};

static const SptRecipe recipes[] = {
    {"decode", "video/x-h264", "video/x-raw", 10, h264_decoders},
    {"decode", "video/x-h265", "video/x-raw", 10, h265_decoders},
    {"decode", "video/x-vp8", "video/x-raw", 10, vp8_decoders},
    {"decode", "video/x-vp9", "video/x-raw", 10, vp9_decoders},
    {"decode", "video/x-av1", "video/x-raw", 10, av1_decoders},
    {"decode", "image/jpeg", "video/x-raw", 10, jpeg_decoders},
    {"decode", "video/mpeg, mpegversion=(int){1, 2}", "video/x-raw", 10, mpeg_decoders},
    {"decode", "video/mpeg, mpegversion=4", "video/x-raw", 10, mpeg4_decoders},
    {"pose", "video/x-raw, " SPT_OVERLAY "=" SPT_OVERLAY_NONE,
        "video/x-raw, " SPT_OVERLAY "=" SPT_OVERLAY_META, 15, pose_detectors, TRUE},
    {"overlay", "video/x-raw, " SPT_OVERLAY "=" SPT_OVERLAY_META,
        "video/x-raw, " SPT_OVERLAY "=" SPT_OVERLAY_POSE, 5, pose_overlays},
    {"skeleton", "video/x-raw, " SPT_OVERLAY "=" SPT_OVERLAY_META,
        "video/x-raw, " SPT_OVERLAY "=" SPT_OVERLAY_SKELETON, 5, skeletons},
    {"h264", "video/x-raw", "video/x-h264, profile=high", 30, h264_encoders},
    {"vp8", "video/x-raw", "video/x-vp8", 40, vp8_encoders},
    {"jpeg", "video/x-raw", "image/jpeg", 20, jpeg_encoders},
    {"decode-audio", "audio/mpeg, mpegversion=4", "audio/x-raw", 1, aac_decoders},
    {"decode-audio", "audio/mpeg, mpegversion=1", "audio/x-raw", 1, mp3_decoders},
    {"decode-audio", "audio/x-opus", "audio/x-raw", 1, opus_decoders},
    {"decode-audio", "audio/x-mulaw", "audio/x-raw", 1, mulaw_decoders},
    {"decode-audio", "audio/x-alaw", "audio/x-raw", 1, alaw_decoders},
    {"aac", "audio/x-raw", "audio/mpeg, mpegversion=4, stream-format=raw", 2, aac_encoders},
    {"opus", "audio/x-raw", "audio/x-opus", 3, opus_encoders},
};

typedef struct {
  GstCaps *accept;
  SptUsable usable;
  const SptRecipe *path[MAX_STEPS], *best[MAX_STEPS];
  guint best_length, best_cost;
} Search;

/* What is drawn stays drawn through a step that does not speak of it. */
static void
carry_overlay (GstCaps *have, GstCaps *to)
{
  const char *overlay = gst_structure_get_string (gst_caps_get_structure (have, 0), SPT_OVERLAY);
  if (overlay && !gst_structure_has_field (gst_caps_get_structure (to, 0), SPT_OVERLAY))
    gst_caps_set_simple (to, SPT_OVERLAY, G_TYPE_STRING, overlay, NULL);
}

static void
search (Search *s, GstCaps *have, guint depth, guint cost)
{
  if (cost >= s->best_cost)
    return;
  if (gst_caps_can_intersect (have, s->accept)) {
    s->best_cost = cost;
    s->best_length = depth;
    memcpy (s->best, s->path, sizeof s->path);
    return;
  }
  for (guint i = 0; depth < MAX_STEPS && i < G_N_ELEMENTS (recipes); i++) {
    g_autoptr (GstCaps) from = gst_caps_from_string (recipes[i].from);
    if (!gst_caps_can_intersect (have, from) || !s->usable (&recipes[i]))
      continue;
    g_autoptr (GstCaps) to = gst_caps_from_string (recipes[i].to);
    carry_overlay (have, to);
    s->path[depth] = &recipes[i];
    search (s, to, depth + 1, cost + recipes[i].cost);
  }
}

static char *
names (GstCaps *caps)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < gst_caps_get_size (caps); i++)
    g_string_append_printf (
        text, "%s%s", i ? " or " : "", gst_structure_get_name (gst_caps_get_structure (caps, i)));
  return g_string_free (text, FALSE);
}

/**
 * spt_plan:
 * @have: what a source's track gives
 * @accept: what a viewer takes
 * @usable: says which recipes this machine can run
 *
 * Returns: (transfer container) (element-type SptRecipe): the steps in order, none for passthrough;
 *   or NULL and UNSUPPORTED with a sentence that names both sides
 */
GPtrArray *
spt_plan (GstCaps *have, GstCaps *accept, SptUsable usable, GError **error)
{
  Search s = {.accept = accept, .usable = usable, .best_cost = G_MAXUINT};
  search (&s, have, 0, 0);
  if (s.best_cost == G_MAXUINT) {
    g_autofree char *from = names (have);
    g_autofree char *to = names (accept);
    g_set_error (
        error, SPT_ERROR, SPT_ERROR_UNSUPPORTED, "the source gives %s; no way to %s", from, to);
    return NULL;
  }
  GPtrArray *steps = g_ptr_array_new ();
  for (guint i = 0; i < s.best_length; i++)
    g_ptr_array_add (steps, (gpointer)s.best[i]);
  return steps;
}
