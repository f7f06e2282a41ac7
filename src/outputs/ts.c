/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MPEG transport stream: `/stream.ts?src=NAME`. */
#include "config.h"

#include "doors.h"
#include "live.h"

static void
on_stream_ts (SptHttpRequest *request, gpointer data)
{
  static const SptLiveDoor door = {.container = "ts", .format = "mpegts", .type = "video/mp2t"};
  spt_live_serve (data, request, &door);
}

static gpointer
start (SptHost *host, GError **error)
{
  spt_http_route (host->http, "GET,HEAD", "/stream.ts", SPT_ACTION_VIEW, on_stream_ts, host);
  spt_http_route (host->http, "GET,HEAD", "/api/stream.ts", SPT_ACTION_VIEW, on_stream_ts, host);
  return host;
}

const SptOutput spt_output_ts = {
    .name = "ts", .summary = "MPEG transport stream over HTTP", .start = start};
