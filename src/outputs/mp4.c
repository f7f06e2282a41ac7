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
  spt_live_serve (data, request, &door);
}

static gpointer
start (SptHost *host, GError **error)
{
  spt_http_route (host->http, "GET,HEAD", "/stream.mp4", SPT_ACTION_VIEW, on_stream_mp4, host);
  spt_http_route (host->http, "GET,HEAD", "/api/stream.mp4", SPT_ACTION_VIEW, on_stream_mp4, host);
  return host;
}

const SptOutput spt_output_mp4 = {
    .name = "mp4", .summary = "progressive MP4 over HTTP", .start = start};
