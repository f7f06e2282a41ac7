/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "rtsp-address.h"

#include <string.h>

#include "filters.h"

void
spt_rtsp_address_clear (SptRtspAddress *self)
{
  g_free (self->name);
  g_free (self->query);
}

/**
 * spt_rtsp_address_parse:
 * @url: "rtsp://host:8554/NAME?query/trackID=1", ".../NAME/trackID=1?query", "/NAME" ...
 * @address: (out): free with spt_rtsp_address_clear(), also after FALSE
 *
 * Returns: FALSE when it has no path
 */
gboolean
spt_rtsp_address_parse (const char *url, SptRtspAddress *address)
{
  const char *scheme = strstr (url, "://");
  gboolean absolute = scheme && scheme < url + strcspn (url, "/?");
  const char *path = absolute ? strchr (scheme + 3, '/') : url;
  *address = (SptRtspAddress){.lane = -1};
  if (!path || *path != '/')
    return FALSE;
  g_autofree char *text = g_strdup (path + 1);
  char *control = strstr (text, "/trackID=");
  if (control) {
    char *digit = control + strlen ("/trackID=");
    if (!g_ascii_isdigit (*digit) || (digit[1] && !strchr ("/?", digit[1])))
      return FALSE;
    address->lane = *digit - '0';
    memmove (control, digit + 1, strlen (digit + 1) + 1);
  }
  char *query = strchr (text, '?');
  if (query)
    *query++ = '\0';
  gsize length = strlen (text);
  if (length && text[length - 1] == '/')
    text[length - 1] = '\0';
  length = query ? strlen (query) : 0;
  if (length && query[length - 1] == '/')
    query[length - 1] = '\0';
  address->name = g_uri_unescape_string (text, NULL);
  address->query = g_strdup (query ? query : "");
  return address->name != NULL;
}

/* (transfer full) (nullable): the value of the last @key, "" without one */
static char *
query_value (const char *query, const char *key)
{
  g_auto (GStrv) pairs = g_strsplit (query, "&", 32);
  char *value = NULL;
  for (char **pair = pairs; *pair; pair++) {
    char *equals = strchr (*pair, '=');
    if (equals)
      *equals = '\0';
    if (!g_str_equal (*pair, key))
      continue;
    g_free (value);
    value = equals ? g_uri_unescape_string (equals + 1, NULL) : g_strdup ("");
  }
  return value;
}

/**
 * spt_rtsp_address_read_query:
 * @want: (out): free with spt_filters_clear(), also after an error
 *
 * What the query asks for; unknown keys mean nothing.
 */
gboolean
spt_rtsp_address_read_query (const char *query, SptWant *want, GError **error)
{
  g_autofree char *video = query_value (query, "video");
  g_autofree char *audio = query_value (query, "audio");
  g_autofree char *overlay = query_value (query, "overlay");
  if (!spt_filters_read (video, audio, want, error) ||
      !spt_filters_read_overlay (overlay, want, error))
    return FALSE;
  g_autoptr (GstCaps) jpeg = gst_caps_new_empty_simple ("image/jpeg");
  want->container = want->video && gst_caps_is_subset (want->video, jpeg) ? "rtp-jpeg" : "rtp";
  return TRUE;
}

/**
 * spt_rtsp_transport_choose:
 * @offered: a Transport header
 * @take: called with one transport after the other, until it takes one; they are plain RTP
 *
 * Returns: (transfer full) (nullable): what @take answered; NULL: none could be had (461)
 */
char *
spt_rtsp_transport_choose (const char *offered, SptRtspTransportFunc take, gpointer data)
{
  g_auto (GStrv) wishes = g_strsplit (offered, ",", 8);
  char *chosen = NULL;
  for (char **text = wishes; *text && !chosen; text++) {
    GstRTSPTransport *wish;
    if (!*g_strstrip (*text))
      continue;
    gst_rtsp_transport_new (&wish);
    if (gst_rtsp_transport_parse (*text, wish) == GST_RTSP_OK &&
        wish->trans == GST_RTSP_TRANS_RTP && wish->profile == GST_RTSP_PROFILE_AVP)
      chosen = take (wish, data);
    gst_rtsp_transport_free (wish);
  }
  return chosen;
}
