/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Progressive MP4: `/stream.mp4?src=NAME`, fragments without end, for <video>, curl and ffmpeg.
 *
 * All viewers share one fragment track; each session starts at zero, so the decode time in a copy
 * of each fragment's head is moved (SptSenderRewrite) while its sample is shared. */
#include "config.h"

#include "doors.h"
#include "fmp4.h"
#include "live.h"
#include "packer.h"

static void
rebase (guint8 *head, gsize size, GstCaps *caps, gint64 *origin)
{
  if (size == SPT_FMP4_HEAD_SIZE)
    spt_fragments_rebase (head, caps, origin);
}

static void
on_stream_mp4 (SptHttpRequest *request, gpointer data)
{
  static const SptLiveDoor door = {
      .container = "mp4", .format = "mp4", .type = "video/mp4", .rewrite = rebase};
  const char *src = spt_http_request_param (request, "src");
  if (src && spt_live_is_apple (request)) {
    g_autofree char *name = g_uri_escape_string (src, NULL, FALSE);
    g_autofree char *playlist = g_strconcat ("stream.m3u8?src=", name, NULL);
    spt_http_add_header (request, "Location", playlist);
    spt_http_reply (request, SOUP_STATUS_TEMPORARY_REDIRECT, NULL, NULL);
    return;
  }
  spt_live_serve (data, request, &door);
}

/* Writer thread: a film of one picture, complete in itself. */
static GstBuffer *
message (GstBuffer *unit, GstCaps *caps, gint64 *state, gpointer data)
{
  GstBuffer *header = spt_fragments_header (caps);
  guint8 head[SPT_FMP4_HEAD_SIZE];
  if (GST_BUFFER_FLAG_IS_SET (unit, GST_BUFFER_FLAG_DELTA_UNIT) || !header ||
      gst_buffer_extract (unit, 0, head, sizeof head) < sizeof head ||
      spt_fmp4_head_track (head) != 1)
    return NULL;
  return gst_buffer_append (gst_buffer_copy (header), gst_buffer_ref (unit));
}

/* `{"type":"mp4"}` on the WebSocket: the same back, then the keyframes. */
static void
on_ws (SptWsSocket *socket, JsonNode *value, gpointer data)
{
  static const SptWsMedia media = {.type = "mp4", .format = "mp4", .message = message};
  static const SptWant want = {.container = "mp4", .no_audio = TRUE};
  spt_ws_say (socket, "mp4", "video/mp4");
  spt_ws_play (socket, &want, &media, NULL, NULL);
}

static gpointer
start (SptHost *host, GError **error)
{
  spt_http_route (host->http, "GET,HEAD", "/stream.mp4", SPT_ACTION_VIEW, on_stream_mp4, host);
  spt_http_route (host->http, "GET,HEAD", "/api/stream.mp4", SPT_ACTION_VIEW, on_stream_mp4, host);
  spt_ws_handle (host->ws, "mp4", on_ws, host);
  return host;
}

const SptOutput spt_output_mp4 = {
    .name = "mp4", .summary = "progressive MP4 over HTTP", .start = start};
