/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "sdp.h"

#include <gst/sdp/sdp.h>

#include "rtp.h"

static gboolean
add_lane (GstSDPMessage *sdp, GstCaps *caps, guint lane)
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
  gst_sdp_media_add_connection (media, "IN", "IP4", "0.0.0.0", 0, 0);
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
  gst_sdp_message_set_origin (
      sdp, "-", id, "1", "IN", strchr (server, ':') ? "IP6" : "IP4", server);
  gst_sdp_message_set_session_name (sdp, name);
  gst_sdp_message_add_time (sdp, "0", "0", NULL);
  gst_sdp_message_add_attribute (sdp, "tool", "Spotter");
  gst_sdp_message_add_attribute (sdp, "type", "broadcast");
  gst_sdp_message_add_attribute (sdp, "control", "*");
  gst_sdp_message_add_attribute (sdp, "range", "npt=now-");
  guint n = 0;
  for (guint lane = 0; lane < SPT_RTP_LANES; lane++)
    n += add_lane (sdp, caps, lane);
  char *text = n ? gst_sdp_message_as_text (sdp) : NULL;
  gst_sdp_message_free (sdp);
  return text;
}
