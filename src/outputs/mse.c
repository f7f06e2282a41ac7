/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Media Source Extensions: fragments over the WebSocket, for browsers.
 *
 *   → {"type":"mse","value":"avc1.640029,…,mp4a.40.2,opus"}     what the browser can play
 *   ← {"type":"mse","value":"video/mp4; codecs=\"…\""}
 *   ← {"type":"mse/session","value":"…"}                        the name of its clock (/ws/pose/)
 *   ← the init segment and fragments, one message each
 *
 * It is the track of the MP4 door: one more viewer costs a few bytes of framing. */
#include "config.h"

#include <string.h>

#include "doors.h"
#include "error.h"
#include "fmp4.h"
#include "media-clock.h"
#include "packer.h"
#include "random.h"
#include "ws.h"

/* Codec strings (RFC 6381) begin like this. */
static const struct {
  const char *prefix, *caps;
  gboolean audio;
} codecs[] = {
    {"avc", "video/x-h264", FALSE},
    {"hvc1", "video/x-h265", FALSE},
    {"hev1", "video/x-h265", FALSE},
    {"mp4a", "audio/mpeg, mpegversion=4", TRUE},
    {"opus", "audio/x-opus", TRUE},
};

/* What a player's pictures are paired with by those who know the name. */
typedef struct {
  SptMediaClock *clock;
  char *session;
} Flow;

static void
flow_free (gpointer data)
{
  Flow *self = data;
  spt_media_clock_unref (self->clock);
  g_free (self->session);
  g_free (self);
}

/* Writer thread: at what PTS the time of what the player shows is 0. */
static void
tell_clock (SptMediaClock *clock, const guint8 *head, GstCaps *caps, GstClockTime pts)
{
  int timescale = 0;
  gst_structure_get_int (gst_caps_get_structure (caps, 0), "timescale-1", &timescale);
  if (spt_fmp4_head_track (head) != 1 || timescale <= 0)
    return;
  gint64 shown = (gint64)spt_fmp4_head_time (head) + spt_fmp4_head_composition (head);
  gint64 time =
      (gint64)gst_util_uint64_scale ((guint64)MAX (shown, 0), GST_SECOND, (guint64)timescale);
  spt_media_clock_set_origin (clock, (gint64)pts - time);
}

/* Writer thread: the fragment with the session's own decode time; its sample is shared. */
static GstBuffer *
message (GstBuffer *unit, GstCaps *caps, gint64 *origin, gpointer data)
{
  Flow *flow = data;
  guint8 *head = g_malloc (SPT_FMP4_HEAD_SIZE);
  gst_buffer_extract (unit, 0, head, SPT_FMP4_HEAD_SIZE);
  spt_fragments_rebase (head, caps, origin);
  tell_clock (flow->clock, head, caps, GST_BUFFER_PTS (unit));
  GstBuffer *moved = gst_buffer_new_wrapped (head, SPT_FMP4_HEAD_SIZE);
  gst_buffer_copy_into (moved, unit, GST_BUFFER_COPY_MEMORY, SPT_FMP4_HEAD_SIZE, (gsize)-1);
  return moved;
}

/* Writer thread */
static void
start_media (GstCaps *caps, GByteArray *frames, gpointer data)
{
  Flow *flow = data;
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  GstBuffer *header = spt_fragments_header (caps);
  g_autofree char *type =
      g_strdup_printf ("video/mp4; codecs=\"%s\"", gst_structure_get_string (s, "codecs"));
  spt_ws_put_text (frames, "mse", type);
  spt_ws_put_text (frames, "mse/session", flow->session);
  if (header)
    spt_ws_put_binary (frames, header);
}

static const SptWsMedia media = {
    .type = "mse", .format = "mse/fmp4", .message = message, .start = start_media};

/* What the browser can play; it says nothing of what it cannot. */
static void
read_codecs (const char *list, SptWant *want)
{
  g_auto (GStrv) names = g_strsplit (list, ",", 32);
  GstCaps *caps[2] = {gst_caps_new_empty (), gst_caps_new_empty ()};
  for (char **name = names; *name; name++)
    for (guint i = 0; i < G_N_ELEMENTS (codecs); i++)
      if (g_str_has_prefix (g_strstrip (*name), codecs[i].prefix))
        caps[codecs[i].audio] =
            gst_caps_merge (caps[codecs[i].audio], gst_caps_from_string (codecs[i].caps));
  want->no_video = gst_caps_is_empty (caps[0]);
  want->no_audio = gst_caps_is_empty (caps[1]);
  want->video = caps[0];
  want->audio = caps[1];
}

static void
withdraw (gpointer data)
{
  spt_media_clock_withdraw (data);
  g_free (data);
}

static void
play (SptWsSocket *socket, const SptWant *want)
{
  Flow *flow = g_new (Flow, 1);
  *flow = (Flow){spt_media_clock_new (), spt_random_id ()};
  spt_media_clock_publish (flow->clock, flow->session);
  spt_ws_set_data (socket, "mse", g_strdup (flow->session), withdraw);
  spt_ws_play (socket, want, &media, flow, flow_free);
}

static void
on_mse (SptWsSocket *socket, JsonNode *value, gpointer data)
{
  const char *list = value && json_node_get_value_type (value) == G_TYPE_STRING
                         ? json_node_get_string (value)
                         : "avc1,mp4a.40.2"; /* what every browser with MSE plays */
  SptWant want = {.container = "mp4"};
  read_codecs (list, &want);
  if (want.no_video && want.no_audio) {
    g_autoptr (GError) error = g_error_new (SPT_ERROR, SPT_ERROR_UNSUPPORTED,
        "none of the codecs that the browser plays can be sent: %.200s", list);
    spt_ws_fail (socket, "mse", error);
  } else {
    play (socket, &want);
  }
  gst_clear_caps (&want.video);
  gst_clear_caps (&want.audio);
}

static gpointer
start (SptHost *host, GError **error)
{
  spt_ws_handle (host->ws, "mse", on_mse, host);
  return host;
}

const SptOutput spt_output_mse = {
    .name = "mse", .summary = "Media Source Extensions over the WebSocket", .start = start};
