/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "sdp.h"

#include <gst/sdp/sdp.h>
#include <string.h>

#include "error.h"
#include "rtp.h"

static gboolean
add_lane (GstSDPMessage *sdp, GstCaps *caps, guint lane, gboolean six)
{
  g_autoptr (GstCaps) rtp = spt_rtp_lane_caps (caps, lane);
  GstSDPMedia *media;
  if (!rtp)
    return FALSE;
  /* What is said in packets needs no saying here, and changes with every session. */
  GstStructure *s = gst_caps_get_structure (rtp, 0);
  gst_structure_remove_fields (s, "ssrc", "timestamp-offset", "seqnum-offset", NULL);
  gst_sdp_media_new (&media);
  gst_sdp_media_set_port_info (media, 0, 1);
  gst_sdp_media_set_proto (media, "RTP/AVP");
  gst_sdp_media_add_connection (media, "IN", six ? "IP6" : "IP4", six ? "::" : "0.0.0.0", 0, 0);
  gst_sdp_media_set_media_from_caps (rtp, media);
  g_autofree char *control = g_strdup_printf ("trackID=%u", lane);
  gst_sdp_media_add_attribute (media, "control", control);
  gst_sdp_message_add_media (sdp, media);
  gst_sdp_media_free (media);
  return TRUE;
}

/**
 * spt_sdp_of_track:
 * @name: of the stream
 * @server: our address as the client sees it
 * @caps: of an RTP track (core/rtp.h)
 *
 * Returns: (transfer full) (nullable): what DESCRIBE answers; lane n is trackID=n
 */
char *
spt_sdp_of_track (const char *name, const char *server, GstCaps *caps)
{
  GstSDPMessage *sdp;
  g_autofree char *id = g_strdup_printf ("%" G_GINT64_FORMAT, g_get_real_time ());
  gst_sdp_message_new (&sdp);
  gst_sdp_message_set_version (sdp, "0");
  gboolean six = strchr (server, ':') != NULL;
  gst_sdp_message_set_origin (sdp, "-", id, "1", "IN", six ? "IP6" : "IP4", server);
  gst_sdp_message_set_session_name (sdp, name);
  gst_sdp_message_add_time (sdp, "0", "0", NULL);
  gst_sdp_message_add_attribute (sdp, "tool", "Spotter");
  gst_sdp_message_add_attribute (sdp, "type", "broadcast");
  gst_sdp_message_add_attribute (sdp, "control", "*");
  gst_sdp_message_add_attribute (sdp, "range", "npt=now-");
  guint n = 0;
  for (guint lane = 0; lane < SPT_RTP_LANES; lane++)
    n += add_lane (sdp, caps, lane, six);
  char *text = n ? gst_sdp_message_as_text (sdp) : NULL;
  gst_sdp_message_free (sdp);
  return text;
}

/* FALSE for media that we cannot take: they are left out. */
static gboolean
announce_media (SptSdpAnnounced *announced, const GstSDPMedia *media)
{
  const char *format = gst_sdp_media_get_format (media, 0);
  const char *control = gst_sdp_media_get_attribute_val (media, "control");
  guint64 pt;
  if (announced->n >= G_N_ELEMENTS (announced->caps) || !format || !control || !*control ||
      !g_ascii_string_to_unsigned (format, 10, 0, 127, &pt, NULL) ||
      (!g_str_equal (gst_sdp_media_get_media (media), "video") &&
          !g_str_equal (gst_sdp_media_get_media (media), "audio")))
    return FALSE;
  g_autoptr (GstCaps) caps = gst_sdp_media_get_caps_from_media (media, (int)pt);
  if (!caps)
    return FALSE;
  caps = gst_caps_make_writable (caps);
  gst_structure_set_name (gst_caps_get_structure (caps, 0), "application/x-rtp");
  gst_sdp_media_attributes_to_caps (media, caps);
  const char *slash = strrchr (control, '/');
  announced->caps[announced->n] = g_steal_pointer (&caps);
  announced->controls[announced->n++] = g_strdup (slash ? slash + 1 : control);
  return TRUE;
}

/**
 * spt_sdp_parse_announced:
 * @announced: (out): free with spt_sdp_announced_clear(), also after an error
 *
 * Returns: FALSE and INVALID when the text is no description, or of nothing that we can take
 */
gboolean
spt_sdp_parse_announced (const char *text, gsize size, SptSdpAnnounced *announced, GError **error)
{
  GstSDPMessage *sdp;
  *announced = (SptSdpAnnounced){0};
  gst_sdp_message_new (&sdp);
  gboolean ok =
      size && gst_sdp_message_parse_buffer ((const guint8 *)text, (guint)size, sdp) == GST_SDP_OK;
  for (guint i = 0; ok && i < gst_sdp_message_medias_len (sdp); i++)
    announce_media (announced, gst_sdp_message_get_media (sdp, i));
  gst_sdp_message_free (sdp);
  if (ok && announced->n)
    return TRUE;
  g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
      ok ? "the description announces no picture or sound that can be taken"
         : "ANNOUNCE brings no session description");
  return FALSE;
}

void
spt_sdp_announced_clear (SptSdpAnnounced *self)
{
  for (guint i = 0; i < self->n; i++) {
    gst_caps_unref (self->caps[i]);
    g_free (self->controls[i]);
  }
  self->n = 0;
}
