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

static gpointer
start (SptHost *host, GError **error)
{
  spt_http_route (host->http, "GET,HEAD", "/stream.mjpeg", SPT_ACTION_VIEW, on_stream_mjpeg, host);
  spt_http_route (
      host->http, "GET,HEAD", "/api/stream.mjpeg", SPT_ACTION_VIEW, on_stream_mjpeg, host);
  return host;
}

const SptOutput spt_output_mjpeg = {
    .name = "mjpeg", .summary = "Motion JPEG over HTTP", .start = start};
