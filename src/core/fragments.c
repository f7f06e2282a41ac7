/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The live fragment writer: one moof+mdat per sample and track, written the moment the sample is
 * there. Its duration is the last delta; decode times are absolute, so that an estimate that was
 * wrong never adds up. Audio never gates video: what comes before the first keyframe is left out,
 * and a silent microphone is simply absent.
 *
 * The out track's caps carry the init segment as `streamheader`, the `codecs` string, and each
 * track's timescale as `timescale-ID`. They change
 * when the codec or its configuration does; parameter sets travel in band as well, so that one who
 * has the old init segment can go on within the same codec. */
#include "config.h"

#include "packer.h"

#include "fmp4.h"
#include "nal.h"
#include "track.h"

#define VIDEO_TIMESCALE 90000
/* Sound whose timestamps stray further than this from the count of its samples starts a new count.
 */
#define AUDIO_RESYNC (60 * GST_MSECOND)
/* A gap longer than this is no frame duration: the last good one is written. */
#define DURATION_MAX GST_SECOND

GST_DEBUG_CATEGORY_STATIC (spotter_fragments);
#define GST_CAT_DEFAULT spotter_fragments

typedef struct {
  gboolean present;
  SptFmp4Track track;
  GstCaps *caps;          /* the last seen, compared by pointer */
  guint64 next;           /* decode time that is due, in timescale */
  GstClockTime last_time; /* running decode time of the last sample */
  guint32 last_duration;  /* in timescale */
} Lane;

typedef struct {
  SptTrack *out;
  Lane lanes[2];
  guint n;
  gboolean audio_only;
  SptNalConfig nal;
  GstClockTime origin; /* running time of decode time 0 */
  guint32 sequence;
  gboolean started;
} Fragments;

static void
lane_clear (Lane *lane)
{
  gst_clear_caps (&lane->caps);
  g_clear_pointer (&lane->track.config, g_bytes_unref);
}

static char *
audio_codec_string (const SptFmp4Track *track)
{
  if (track->codec == SPT_FMP4_OPUS)
    return g_strdup ("opus");
  gsize size = 0;
  const guint8 *config = track->config ? g_bytes_get_data (track->config, &size) : NULL;
  return g_strdup_printf ("mp4a.40.%u", size ? config[0] >> 3 : 2);
}

static void
publish_caps (Fragments *self)
{
  SptFmp4Track tracks[2];
  g_autoptr (GPtrArray) codecs = g_ptr_array_new_with_free_func (g_free);
  guint n = 0;
  for (guint pad = 0; pad < self->n; pad++) {
    Lane *lane = &self->lanes[pad];
    if (!lane->present)
      continue;
    gboolean video = lane->track.codec == SPT_FMP4_AVC || lane->track.codec == SPT_FMP4_HEVC;
    g_ptr_array_add (
        codecs, video ? spt_nal_codec_string (&self->nal) : audio_codec_string (&lane->track));
    tracks[n++] = lane->track;
  }
  g_ptr_array_add (codecs, NULL);
  g_autofree char *list = g_strjoinv (",", (char **)codecs->pdata);
  g_autoptr (GBytes) init = spt_fmp4_init_segment (tracks, n);
  g_autoptr (GstBuffer) header = gst_buffer_new_wrapped_bytes (init);
  GST_BUFFER_FLAG_SET (header, GST_BUFFER_FLAG_HEADER);
  g_autoptr (GstCaps) caps = gst_caps_new_simple (
      "video/mp4", "codecs", G_TYPE_STRING, list, "streamheader", GST_TYPE_BUFFER, header, NULL);
  for (guint i = 0; i < n; i++)
    gst_caps_set_simple (caps, tracks[i].id == 2 ? "timescale-2" : "timescale-1", G_TYPE_INT,
        (int)tracks[i].timescale, NULL);
  if (self->lanes[0].track.width)
    gst_caps_set_simple (caps, "width", G_TYPE_INT, (int)self->lanes[0].track.width, "height",
        G_TYPE_INT, (int)self->lanes[0].track.height, NULL);
  spt_track_set_caps (self->out, caps);
}

static GBytes *
buffer_bytes (const GValue *value, gsize skip)
{
  GstBuffer *buffer = value && GST_VALUE_HOLDS_BUFFER (value) ? gst_value_get_buffer (value) : NULL;
  gsize size = buffer ? gst_buffer_get_size (buffer) : 0;
  if (size <= skip)
    return NULL;
  gpointer data = NULL;
  gst_buffer_extract_dup (buffer, skip, size - skip, &data, &size);
  return g_bytes_new_take (data, size);
}

static void
configure_audio (Lane *lane, const GstStructure *s, guint32 id)
{
  gboolean aac = gst_structure_has_name (s, "audio/mpeg");
  int rate = 48000, channels = 2;
  gst_structure_get_int (s, "rate", &rate);
  gst_structure_get_int (s, "channels", &channels);
  g_clear_pointer (&lane->track.config, g_bytes_unref);
  lane->track = (SptFmp4Track){.codec = aac ? SPT_FMP4_AAC : SPT_FMP4_OPUS,
      .id = id,
      .timescale = aac ? (guint32)MAX (rate, 1) : 48000,
      .rate = aac ? (guint)rate : 48000,
      .channels = (guint)channels};
  if (aac) {
    lane->track.config = buffer_bytes (gst_structure_get_value (s, "codec_data"), 0);
  } else {
    const GValue *headers = gst_structure_get_value (s, "streamheader");
    if (headers && GST_VALUE_HOLDS_ARRAY (headers) && gst_value_array_get_size (headers))
      lane->track.config = buffer_bytes (gst_value_array_get_value (headers, 0), 8);
  }
  lane->present = TRUE;
}

static gboolean
is_audio (GstCaps *caps)
{
  return caps &&
         g_str_has_prefix (gst_structure_get_name (gst_caps_get_structure (caps, 0)), "audio/");
}

static gpointer
fragments_new (SptTrack *const *inputs, guint n, SptTrack *out)
{
  static gsize once;
  if (g_once_init_enter (&once)) {
    GST_DEBUG_CATEGORY_INIT (spotter_fragments, "spotter-fragments", 0, "fragmented MP4");
    g_once_init_leave (&once, 1);
  }
  Fragments *self = g_new0 (Fragments, 1);
  self->out = g_object_ref (out);
  self->n = n;
  self->origin = GST_CLOCK_TIME_NONE;
  for (guint pad = 0; pad < n; pad++) {
    g_autoptr (GstCaps) caps = spt_track_get_caps (inputs[pad]);
    self->lanes[pad].last_time = GST_CLOCK_TIME_NONE;
    if (is_audio (caps)) {
      configure_audio (&self->lanes[pad], gst_caps_get_structure (caps, 0), pad + 1);
      self->audio_only |= pad == 0;
    }
  }
  return self;
}

static void
configure_video (Fragments *self, Lane *lane, GstCaps *caps)
{
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  gboolean hevc = gst_structure_has_name (s, "video/x-h265");
  int width = 0, height = 0;
  gst_structure_get_int (s, "width", &width);
  gst_structure_get_int (s, "height", &height);
  if (self->nal.hevc != hevc)
    spt_nal_config_clear (&self->nal);
  self->nal.hevc = hevc;
  g_clear_pointer (&lane->track.config, g_bytes_unref);
  lane->track = (SptFmp4Track){.codec = hevc ? SPT_FMP4_HEVC : SPT_FMP4_AVC,
      .id = 1,
      .timescale = VIDEO_TIMESCALE,
      .width = (guint)width,
      .height = (guint)height,
      .config = self->nal.sps ? spt_nal_decoder_config (&self->nal) : NULL};
  lane->present = lane->track.config != NULL;
}

/* Takes what a keyframe says about itself; FALSE while nothing can be written yet. */
static gboolean
update_video (
    Fragments *self, Lane *lane, GstSample *unit, const GstMapInfo *map, gboolean keyframe)
{
  GstCaps *caps = gst_sample_get_caps (unit);
  gboolean changed = lane->caps != caps;
  if (changed) {
    gst_caps_replace (&lane->caps, caps);
    configure_video (self, lane, caps);
  }
  if (keyframe && spt_nal_config_update (&self->nal, map->data, map->size)) {
    configure_video (self, lane, caps);
    changed = TRUE;
  }
  if (changed && lane->present)
    publish_caps (self);
  return lane->present && (self->started || keyframe);
}

static guint64
to_scale (GstClockTime time, guint32 timescale)
{
  return gst_util_uint64_scale_round (time, timescale, GST_SECOND);
}

static void
push (Fragments *self, GstBuffer *unit, const SptFmp4Sample *sample, GstMemory *payload)
{
  guint8 *head = g_malloc (SPT_FMP4_HEAD_SIZE);
  spt_fmp4_head (sample, head);
  GstBuffer *fragment = gst_buffer_new_wrapped (head, SPT_FMP4_HEAD_SIZE);
  gst_buffer_append_memory (fragment, payload);
  GST_BUFFER_PTS (fragment) = GST_BUFFER_PTS (unit);
  GST_BUFFER_DTS (fragment) = GST_BUFFER_DTS (unit);
  GST_BUFFER_DURATION (fragment) = GST_BUFFER_DURATION (unit);
  if (!sample->keyframe || (sample->track == 2 && !self->audio_only))
    GST_BUFFER_FLAG_SET (fragment, GST_BUFFER_FLAG_DELTA_UNIT);
  spt_track_push (self->out, fragment);
}

/* Decode times must grow, whatever a camera (or a frame reordered without DTS) says. */
static guint64
video_decode_time (Fragments *self, Lane *lane, GstClockTime time)
{
  if (self->origin == GST_CLOCK_TIME_NONE)
    self->origin = time;
  guint64 decode = time > self->origin ? to_scale (time - self->origin, VIDEO_TIMESCALE) : 0;
  if (lane->last_time != GST_CLOCK_TIME_NONE && decode < lane->next)
    decode = lane->next;
  return decode;
}

static void
take_video (Fragments *self, GstSample *sample)
{
  Lane *lane = &self->lanes[0];
  GstBuffer *unit = gst_sample_get_buffer (sample);
  gboolean keyframe = !GST_BUFFER_FLAG_IS_SET (unit, GST_BUFFER_FLAG_DELTA_UNIT);
  GstMapInfo map;
  if (!gst_buffer_map (unit, &map, GST_MAP_READ))
    return;
  gsize size = update_video (self, lane, sample, &map, keyframe)
                   ? spt_nal_to_lengths (self->nal.hevc, map.data, map.size, NULL, 0)
                   : 0;
  if (size && size < G_MAXINT32) {
    guint8 *payload = g_malloc (size);
    spt_nal_to_lengths (self->nal.hevc, map.data, map.size, payload, size);
    GstClockTime pts = GST_BUFFER_PTS (unit);
    GstClockTime dts = GST_BUFFER_DTS_IS_VALID (unit) ? GST_BUFFER_DTS (unit) : pts;
    guint64 decode = video_decode_time (self, lane, dts);
    if (lane->last_time != GST_CLOCK_TIME_NONE && dts > lane->last_time &&
        dts - lane->last_time < DURATION_MAX)
      lane->last_duration = (guint32)to_scale (dts - lane->last_time, VIDEO_TIMESCALE);
    if (!lane->last_duration)
      lane->last_duration = VIDEO_TIMESCALE / 30;
    gint64 composition =
        (gint64)(pts > self->origin ? to_scale (pts - self->origin, VIDEO_TIMESCALE) : 0) -
        (gint64)decode;
    lane->last_time = dts;
    lane->next = decode + 1;
    self->started = TRUE;
    push (self, unit,
        &(SptFmp4Sample){.track = 1,
            .sequence = ++self->sequence,
            .decode_time = decode,
            .duration = lane->last_duration,
            .composition = (gint32)CLAMP (composition, -G_MAXINT32, G_MAXINT32),
            .keyframe = keyframe,
            .size = (guint32)size},
        gst_memory_new_wrapped (0, payload, size, 0, size, payload, g_free));
  }
  gst_buffer_unmap (unit, &map);
}

static guint32
audio_duration (const Lane *lane, GstBuffer *unit)
{
  if (lane->track.codec == SPT_FMP4_AAC)
    return 1024;
  if (GST_BUFFER_DURATION_IS_VALID (unit))
    return (guint32)to_scale (GST_BUFFER_DURATION (unit), lane->track.timescale);
  return lane->track.timescale / 50;
}

static void
take_audio (Fragments *self, GstSample *sample, guint pad)
{
  Lane *lane = &self->lanes[pad];
  GstBuffer *unit = gst_sample_get_buffer (sample);
  GstCaps *caps = gst_sample_get_caps (sample);
  if (!lane->present || (!self->audio_only && !self->started))
    return;
  if (lane->caps != caps) {
    gboolean changed = lane->caps != NULL && !gst_caps_is_equal (lane->caps, caps);
    gst_caps_replace (&lane->caps, caps);
    if (changed)
      configure_audio (lane, gst_caps_get_structure (caps, 0), pad + 1);
    if (changed || self->audio_only)
      publish_caps (self);
  }
  if (self->origin == GST_CLOCK_TIME_NONE)
    self->origin = GST_BUFFER_PTS (unit);
  if (GST_BUFFER_PTS (unit) < self->origin)
    return;
  guint64 decode = to_scale (GST_BUFFER_PTS (unit) - self->origin, lane->track.timescale);
  guint64 stray = decode > lane->next ? decode - lane->next : lane->next - decode;
  if (lane->last_time != GST_CLOCK_TIME_NONE &&
      (stray < to_scale (AUDIO_RESYNC, lane->track.timescale) || decode < lane->next))
    decode = lane->next;
  guint32 duration = audio_duration (lane, unit);
  lane->last_time = GST_BUFFER_PTS (unit);
  lane->next = decode + duration;
  gsize size = gst_buffer_get_size (unit);
  push (self, unit,
      &(SptFmp4Sample){.track = lane->track.id,
          .sequence = ++self->sequence,
          .decode_time = decode,
          .duration = duration,
          .keyframe = TRUE,
          .size = (guint32)size},
      gst_buffer_get_all_memory (unit));
}

static void
fragments_take (gpointer user_data, GstSample *unit, guint pad)
{
  Fragments *self = user_data;
  if (is_audio (gst_sample_get_caps (unit)))
    take_audio (self, unit, pad);
  else
    take_video (self, unit);
}

static void
fragments_free (gpointer user_data)
{
  Fragments *self = user_data;
  lane_clear (&self->lanes[0]);
  lane_clear (&self->lanes[1]);
  spt_nal_config_clear (&self->nal);
  g_object_unref (self->out);
  g_free (self);
}

const SptPacker spt_fragments_packer = {
    .name = "mp4", .new = fragments_new, .take = fragments_take, .free = fragments_free};

/* (transfer none) (nullable): the init segment that the caps of a fragment track carry */
GstBuffer *
spt_fragments_header (GstCaps *caps)
{
  const GValue *header = gst_structure_get_value (gst_caps_get_structure (caps, 0), "streamheader");
  return header && GST_VALUE_HOLDS_BUFFER (header) ? gst_value_get_buffer (header) : NULL;
}

/**
 * spt_fragments_rebase:
 * @head: a fragment's first SPT_FMP4_HEAD_SIZE bytes
 * @caps: of the track
 * @origin: (inout): ns that the session's first fragment had; -1 before it
 *
 * Moves the decode time so that the session starts at zero.
 */
void
spt_fragments_rebase (guint8 *head, GstCaps *caps, gint64 *origin)
{
  const char *field = spt_fmp4_head_track (head) == 2 ? "timescale-2" : "timescale-1";
  int timescale = 0;
  gst_structure_get_int (gst_caps_get_structure (caps, 0), field, &timescale);
  if (timescale <= 0)
    return;
  guint64 time = spt_fmp4_head_time (head);
  if (*origin < 0)
    *origin = (gint64)gst_util_uint64_scale (time, GST_SECOND, (guint64)timescale);
  guint64 shift = gst_util_uint64_scale_round ((guint64)*origin, (guint64)timescale, GST_SECOND);
  spt_fmp4_head_set_time (head, time > shift ? time - shift : 0);
}
