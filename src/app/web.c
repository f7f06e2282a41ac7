/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "web.h"

#include "error.h"

#define RESOURCES "/org/spotter/web"
/* Own scripts, styles and media only; nothing inline, nothing from elsewhere. */
#define POLICY                                                                                     \
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "          \
  "media-src "                                                                                     \
  "'self' blob:; "                                                                                 \
  "connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'self'"

static const struct {
  const char *path, *file, *type;
} pages[] = {
    {"/", "index.html", "text/html; charset=utf-8"},
    {"/index.html", "index.html", "text/html; charset=utf-8"},
    {"/app.js", "app.js", "text/javascript; charset=utf-8"},
    {"/api.js", "api.js", "text/javascript; charset=utf-8"},
    {"/stream.html", "stream.html", "text/html; charset=utf-8"},
    {"/stream.js", "stream.js", "text/javascript; charset=utf-8"},
    {"/live-buffer.js", "live-buffer.js", "text/javascript; charset=utf-8"},
    {"/pose.js", "pose.js", "text/javascript; charset=utf-8"},
    {"/players.js", "players.js", "text/javascript; charset=utf-8"},
    {"/video-rtc.js", "video-rtc.js", "text/javascript; charset=utf-8"},
    {"/webrtc.html", "stream.html", "text/html; charset=utf-8"},
    {"/hls.html", "stream.html", "text/html; charset=utf-8"},
    {"/links.html", "watch.html", "text/html; charset=utf-8"},
    {"/watch.html", "watch.html", "text/html; charset=utf-8"},
    {"/watch.js", "watch.js", "text/javascript; charset=utf-8"},
    {"/graph.js", "graph.js", "text/javascript; charset=utf-8"},
    {"/camera/", "camera.html", "text/html; charset=utf-8"},
    {"/camera.js", "camera.js", "text/javascript; charset=utf-8"},
    {"/config.html", "config.html", "text/html; charset=utf-8"},
    {"/config.js", "config.js", "text/javascript; charset=utf-8"},
    {"/log.html", "log.html", "text/html; charset=utf-8"},
    {"/log.js", "log.js", "text/javascript; charset=utf-8"},
    {"/style.css", "style.css", "text/css; charset=utf-8"},
    {"/icon.svg", "icon.svg", "image/svg+xml"},
    {"/openapi.yaml", "openapi.yaml", "application/yaml"},
};

static void
on_page (SptHttpRequest *request, gpointer data)
{
  for (guint i = 0; i < G_N_ELEMENTS (pages); i++) {
    if (!g_str_equal (pages[i].path, spt_http_request_path (request)))
      continue;
    g_autofree char *path = g_strconcat (RESOURCES "/", pages[i].file, NULL);
    g_autoptr (GBytes) body = g_resources_lookup_data (path, 0, NULL);
    spt_http_add_header (request, "Content-Security-Policy", POLICY);
    spt_http_reply (request, SOUP_STATUS_OK, pages[i].type, body);
    return;
  }
}

void
spt_web_start (SptHost *host)
{
  for (guint i = 0; i < G_N_ELEMENTS (pages); i++)
    spt_http_route (host->http, "GET,HEAD", pages[i].path, SPT_ACTION_VIEW, on_page, host);
}
