/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shapes are go2rtc's where it has them (api.md 1b), with keys of our own beside. Every text that
 * may hold a URL passes the redaction. */
#include "config.h"

#include "json.h"

#include <string.h>

#include "branch.h"
#include "chain.h"
#include "error.h"
#include "pipeline.h"
#include "redact.h"
#include "track.h"
#include "viewer.h"

static void
set_text (JsonObject *object, const char *key, const char *text)
{
  g_autofree char *safe = spt_redact (text);
  if (safe)
    json_object_set_string_member (object, key, safe);
}

static JsonNode *
node_of (JsonObject *object)
{
  JsonNode *node = json_node_init_object (json_node_alloc (), object);
  json_object_unref (object);
  return node;
}

/* (nullable): go2rtc's name of the codec in @caps */
static const char *
codec_name (GstCaps *caps)
{
  static const struct {
    const char *media, *name;
  } names[] = {
      {"video/x-h264", "h264"},
      {"video/x-h265", "hevc"},
      {"video/x-vp8", "vp8"},
      {"video/x-vp9", "vp9"},
      {"video/x-av1", "av1"},
      {"image/jpeg", "mjpeg"},
      {"video/x-raw", "rawvideo"},
      {"audio/mpeg", "aac"},
      {"audio/x-opus", "opus"},
      {"audio/x-mulaw", "pcm_mulaw"},
      {"audio/x-alaw", "pcm_alaw"},
      {"audio/x-raw", "pcm_s16le"},
  };
  const char *media = caps ? gst_structure_get_name (gst_caps_get_structure (caps, 0)) : "";
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (media, names[i].media))
      return names[i].name;
  return NULL;
}

static JsonObject *
codec_object (GstCaps *caps, gboolean audio)
{
  JsonObject *object = json_object_new ();
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  int width = 0, height = 0, rate = 0, channels = 0, num = 0, den = 1;
  const char *name = codec_name (caps);
  json_object_set_string_member (object, "codec_name", name ? name : gst_structure_get_name (s));
  json_object_set_string_member (object, "codec_type", audio ? "audio" : "video");
  set_text (object, "profile", gst_structure_get_string (s, "profile"));
  set_text (object, "level", gst_structure_get_string (s, "level"));
  if (gst_structure_get_int (s, "width", &width) && gst_structure_get_int (s, "height", &height)) {
    json_object_set_int_member (object, "width", width);
    json_object_set_int_member (object, "height", height);
  }
  if (gst_structure_get_fraction (s, "framerate", &num, &den) && num > 0 && den > 0)
    json_object_set_double_member (object, "framerate", (double)num / den);
  if (gst_structure_get_int (s, "rate", &rate))
    json_object_set_int_member (object, "sample_rate", rate);
  if (gst_structure_get_int (s, "channels", &channels))
    json_object_set_int_member (object, "channels", channels);
  return object;
}

static JsonObject *
receiver (SptTrack *track, gboolean audio, guint id)
{
  SptTrackStats stats;
  g_autoptr (GstCaps) caps = spt_track_get_caps (track);
  spt_track_get_stats (track, &stats);
  JsonObject *object = json_object_new ();
  json_object_set_int_member (object, "id", id);
  json_object_set_object_member (object, "codec", codec_object (caps, audio));
  json_object_set_int_member (object, "bytes", (gint64)stats.bytes);
  json_object_set_int_member (object, "packets", (gint64)stats.units);
  return object;
}

static const char *
protocol_of (const char *source)
{
  static const char *const known[] = {"rtsps", "rtsp", "file", "test"};
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    if (strstr (source, known[i]))
      return known[i];
  return "local";
}

static void
add_running (JsonObject *object, SptStream *stream, const char *source)
{
  JsonArray *medias = json_array_new (), *receivers = json_array_new ();
  gint64 bytes = 0;
  for (guint i = 0; i < 2; i++) {
    SptTrack *track = spt_stream_get_track (stream, i);
    g_autoptr (GstCaps) caps = spt_track_get_caps (track);
    if (!spt_track_is_active (track) || !caps)
      continue;
    SptTrackStats stats;
    spt_track_get_stats (track, &stats);
    bytes += (gint64)stats.bytes;
    const char *name = codec_name (caps);
    g_autofree char *upper = g_ascii_strup (name ? name : "unknown", -1);
    g_autofree char *media = g_strdup_printf ("%s, recvonly, %s", i ? "audio" : "video", upper);
    json_array_add_string_element (medias, media);
    json_array_add_object_element (receivers, receiver (track, i, i + 1));
  }
  json_object_set_int_member (object, "id", 1);
  json_object_set_string_member (object, "format_name", protocol_of (source));
  json_object_set_string_member (object, "protocol", protocol_of (source));
  json_object_set_array_member (object, "medias", medias);
  json_object_set_array_member (object, "receivers", receivers);
  json_object_set_int_member (object, "bytes_recv", bytes);
}

static JsonArray *
producers (SptStream *stream)
{
  const char *const *sources = spt_stream_get_sources (stream);
  JsonArray *array = json_array_new ();
  for (guint i = 0; sources[i]; i++) {
    JsonObject *object = json_object_new ();
    set_text (object, "url", sources[i]);
    if (i == spt_stream_get_current (stream) && spt_stream_get_pipeline (stream))
      add_running (object, stream, sources[i]);
    json_array_add_object_element (array, object);
  }
  return array;
}

/* What only some doors know: how the way to the viewer fares. */
static void
add_link (JsonObject *object, const SptLink *link)
{
  json_object_set_double_member (object, "bitrate", link->bitrate);
  json_object_set_double_member (object, "loss", link->loss);
  json_object_set_double_member (object, "rtt_ms", link->rtt_ms);
  json_object_set_int_member (object, "nacks", (gint64)link->nacks);
  json_object_set_int_member (object, "keyframes_asked", link->keyframes_asked);
}

/* (transfer full): "H264,OPUS", or the media type of a track that is no container */
static char *
codecs_of (SptTrack *track)
{
  g_autoptr (GstCaps) caps = spt_track_get_caps (track);
  const GstStructure *s = caps ? gst_caps_get_structure (caps, 0) : NULL;
  const char *codecs = s ? gst_structure_get_string (s, "codecs") : NULL;
  return g_strdup (codecs ? codecs : s ? gst_structure_get_name (s) : NULL);
}

static JsonObject *
consumer (SptLease *lease)
{
  const SptConsumer *who = spt_lease_get_consumer (lease);
  SptViewer *viewer = spt_lease_get_viewer (lease);
  SptViewerStats stats = {0};
  JsonObject *object = json_object_new ();
  if (viewer)
    spt_viewer_get_stats (viewer, &stats);
  json_object_set_int_member (object, "id", (gint64)spt_lease_get_id (lease));
  json_object_set_string_member (object, "format_name", who->format);
  json_object_set_string_member (object, "protocol", who->protocol);
  set_text (object, "remote_addr", who->remote_addr);
  set_text (object, "user_agent", who->user_agent);
  JsonArray *senders = json_array_new ();
  JsonObject *sender = json_object_new ();
  json_object_set_int_member (sender, "id", (gint64)spt_lease_get_id (lease));
  json_object_set_int_member (sender, "parent", 1);
  json_object_set_int_member (sender, "bytes", (gint64)stats.bytes);
  json_object_set_int_member (sender, "packets", (gint64)stats.units);
  json_object_set_int_member (sender, "drops", (gint64)stats.drops);
  json_array_add_object_element (senders, sender);
  json_object_set_array_member (object, "senders", senders);
  json_object_set_int_member (object, "bytes_send", (gint64)stats.bytes);
  g_autofree char *codecs = codecs_of (spt_lease_get_track (lease));
  set_text (object, "codecs", codecs);
  if (spt_lease_get_link (lease))
    add_link (object, spt_lease_get_link (lease));
  json_object_set_int_member (object, "drops", (gint64)stats.drops);
  json_object_set_int_member (object, "queued_bytes", (gint64)stats.queued_bytes);
  return object;
}

static JsonArray *
consumers (SptStream *stream)
{
  JsonArray *array = json_array_new ();
  for (GList *l = spt_stream_list_leases (stream); l; l = l->next)
    json_array_add_object_element (array, consumer (l->data));
  return array;
}

static void
set_state (JsonObject *object, SptStream *stream)
{
  json_object_set_string_member (
      object, "state", spt_stream_state_name (spt_stream_get_state (stream)));
  json_object_set_double_member (object, "since", spt_stream_get_since (stream) / 1e6);
  if (spt_stream_get_reason (stream))
    set_text (object, "reason", spt_stream_get_reason (stream));
  else
    json_object_set_null_member (object, "reason");
  json_object_set_int_member (object, "retries", spt_stream_get_retries (stream));
}

static gboolean
set_number (GQuark field, const GValue *value, gpointer data)
{
  g_autofree char *name = g_strdelimit (g_strdup (g_quark_to_string (field)), "-", '_');
  GValue number = G_VALUE_INIT;
  g_value_init (&number, G_TYPE_DOUBLE);
  if (g_value_transform (value, &number))
    json_object_set_double_member (data, name, g_value_get_double (&number));
  return TRUE;
}

/* What the branch's element counts. */
static void
set_stats (JsonObject *object, SptBranch *branch)
{
  g_autoptr (GstStructure) stats = spt_branch_get_stats (branch);
  if (!stats)
    return;
  JsonObject *numbers = json_object_new ();
  gst_structure_foreach (stats, set_number, numbers);
  json_object_set_object_member (object, "stats", numbers);
}

static JsonArray *
branches (SptStream *stream)
{
  JsonArray *array = json_array_new ();
  g_autoptr (GList) nodes = spt_stream_list_branches (stream);
  for (GList *l = nodes; l; l = l->next) {
    SptBranch *branch = spt_node_get_branch (l->data);
    SptTrackStats stats;
    spt_track_get_stats (spt_branch_get_track (branch), &stats);
    JsonObject *object = json_object_new ();
    json_object_set_string_member (object, "name", spt_branch_get_name (branch));
    set_text (object, "element", spt_branch_get_element (branch));
    json_object_set_string_member (
        object, "input", spt_track_get_name (spt_branch_get_input (branch, 0)));
    json_object_set_int_member (object, "units", (gint64)stats.units);
    json_object_set_int_member (object, "bytes", (gint64)stats.bytes);
    json_object_set_int_member (object, "viewers", stats.viewers);
    set_stats (object, branch);
    json_array_add_object_element (array, object);
  }
  return array;
}

static JsonObject *
stream_object (SptStream *stream)
{
  const char *const *sources = spt_stream_get_sources (stream);
  JsonObject *object = json_object_new ();
  set_text (object, "src", sources[0] ? sources[0] : "");
  json_object_set_array_member (object, "producers", producers (stream));
  json_object_set_array_member (object, "consumers", consumers (stream));
  set_state (object, stream);
  return object;
}

/* One stream as `/api/streams?src=` gives it. */
JsonNode *
spt_json_stream (SptStream *stream)
{
  return node_of (stream_object (stream));
}

/* An object keyed by name. */
JsonNode *
spt_json_streams (SptStreams *streams)
{
  JsonObject *object = json_object_new ();
  g_autoptr (GList) list = spt_streams_list (streams);
  for (GList *l = list; l; l = l->next)
    json_object_set_object_member (object, spt_stream_get_name (l->data), stream_object (l->data));
  return node_of (object);
}

static void
set_track_stats (JsonObject *object, SptTrack *track)
{
  SptTrackStats stats;
  spt_track_get_stats (track, &stats);
  json_object_set_int_member (object, "units", (gint64)stats.units);
  json_object_set_int_member (object, "bytes", (gint64)stats.bytes);
  json_object_set_int_member (object, "keyframes", (gint64)stats.keyframes);
  json_object_set_int_member (object, "gop_units", stats.gop_units);
  json_object_set_int_member (object, "gop_bytes", (gint64)stats.gop_bytes);
  json_object_set_double_member (object, "gop_seconds", stats.gop_time / 1e9);
  json_object_set_int_member (object, "viewers", stats.viewers);
}

/* Tracks, branches and viewers of a stream with their counters. */
JsonNode *
spt_json_stream_stats (SptStream *stream)
{
  JsonObject *object = json_object_new ();
  JsonArray *tracks = json_array_new ();
  json_object_set_string_member (object, "name", spt_stream_get_name (stream));
  set_state (object, stream);
  for (guint i = 0; i < 2; i++) {
    SptTrack *track = spt_stream_get_track (stream, i);
    g_autoptr (GstCaps) caps = spt_track_get_caps (track);
    if (!caps || !spt_track_is_active (track))
      continue;
    JsonObject *entry = json_object_new ();
    json_object_set_string_member (entry, "name", spt_track_get_name (track));
    json_object_set_object_member (entry, "codec", codec_object (caps, i));
    set_track_stats (entry, track);
    json_array_add_object_element (tracks, entry);
  }
  json_object_set_array_member (object, "tracks", tracks);
  json_object_set_array_member (object, "branches", branches (stream));
  json_object_set_array_member (object, "viewers", consumers (stream));
  return node_of (object);
}

/**
 * spt_json_health:
 * @healthy: (out): no stream is failed or stalled
 */
JsonNode *
spt_json_health (SptStreams *streams, gboolean *healthy)
{
  JsonObject *object = json_object_new (), *all = json_object_new ();
  g_autoptr (GList) list = spt_streams_list (streams);
  *healthy = TRUE;
  for (GList *l = list; l; l = l->next) {
    SptStream *stream = l->data;
    JsonObject *entry = json_object_new ();
    SptTrackStats stats;
    spt_track_get_stats (spt_stream_get_track (stream, FALSE), &stats);
    set_state (entry, stream);
    if (spt_stream_get_state (stream) == SPT_STREAM_LIVE && stats.last_push)
      json_object_set_double_member (
          entry, "frame_age", g_get_monotonic_time () / 1e6 - stats.last_push / 1e9);
    else
      json_object_set_null_member (entry, "frame_age");
    json_object_set_object_member (all, spt_stream_get_name (stream), entry);
    SptStreamState state = spt_stream_get_state (stream);
    *healthy &= state != SPT_STREAM_FAILED && state != SPT_STREAM_STALLED;
  }
  json_object_set_string_member (object, "status", *healthy ? "ok" : "failing");
  json_object_set_object_member (object, "streams", all);
  return node_of (object);
}

JsonNode *
spt_json_strings (const char *const *strings)
{
  JsonArray *array = json_array_new ();
  for (guint i = 0; strings[i]; i++)
    json_array_add_string_element (array, strings[i]);
  JsonNode *node = json_node_init_array (json_node_alloc (), array);
  json_array_unref (array);
  return node;
}

/* How deep a text that a stranger sends may nest: json-glib parses recursively. */
#define DEPTH_MAX 32

static gboolean
too_deep (const char *text, gsize size)
{
  guint depth = 0;
  gboolean quoted = FALSE;
  for (gsize i = 0; i < size; i++) {
    if (quoted && text[i] == '\\')
      i++;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (!quoted && (text[i] == '[' || text[i] == '{') && ++depth > DEPTH_MAX)
      return TRUE;
    else if (!quoted && (text[i] == ']' || text[i] == '}') && depth)
      depth--;
  }
  return FALSE;
}

/**
 * spt_json_parse:
 * @text: from a stranger
 *
 * Refuses what json-glib does not take well: other encodings, deep nesting, escaped NULs (it would
 * cut the text there).
 *
 * Returns: (transfer full): or NULL and INVALID
 */
JsonNode *
spt_json_parse (GBytes *text, GError **error)
{
  gsize size;
  const char *data = g_bytes_get_data (text, &size);
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  if (size && g_utf8_validate (data, (gssize)size, NULL) && !too_deep (data, size) &&
      !g_strstr_len (data, (gssize)size, "\\u0000") &&
      json_parser_load_from_data (parser, data, (gssize)size, NULL) &&
      json_parser_get_root (parser))
    return json_node_ref (json_parser_get_root (parser));
  g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "the body is not JSON that can be read");
  return NULL;
}
