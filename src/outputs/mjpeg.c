/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Motion JPEG: `/stream.mjpeg?src=NAME`, for <img> and everything that is old. The newest picture
 * wins: a slow viewer gets fewer, never late ones. */
#include "config.h"

#include "doors.h"
#include "live.h"

static void
on_stream_mjpeg (SptHttpRequest *request, gpointer data)
{
  static const SptLiveDoor door = {.container = "mjpeg",
      .format = "mjpeg",
      .type = "multipart/x-mixed-replace; boundary=frame",
      .newest = TRUE};
  spt_live_serve (data, request, &door);
}

/* Writer thread: the picture as it is. */
static GstBuffer *
message (GstBuffer *unit, GstCaps *caps, gint64 *state, gpointer data)
{
  return gst_buffer_ref (unit);
}

/* `{"type":"mjpeg"}` on the WebSocket: the same back, then one picture a message. */
static void
on_ws (SptWsSocket *socket, JsonNode *value, gpointer data)
{
  static const SptWsMedia media = {
      .type = "mjpeg", .format = "mjpeg", .newest = TRUE, .message = message};
  g_autoptr (GstCaps) jpeg = gst_caps_new_empty_simple ("image/jpeg");
  SptWant want = {.video = jpeg, .no_audio = TRUE};
  spt_ws_say (socket, "mjpeg", NULL);
  spt_ws_play (socket, &want, &media, NULL, NULL);
}

static gpointer
start (SptHost *host, GError **error)
{
  spt_http_route (host->http, "GET,HEAD", "/stream.mjpeg", SPT_ACTION_VIEW, on_stream_mjpeg, host);
  spt_http_route (
      host->http, "GET,HEAD", "/api/stream.mjpeg", SPT_ACTION_VIEW, on_stream_mjpeg, host);
  spt_ws_handle (host->ws, "mjpeg", on_ws, host);
  return host;
}

const SptOutput spt_output_mjpeg = {
    .name = "mjpeg", .summary = "Motion JPEG over HTTP", .start = start};
