/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Session descriptions of RTP tracks. */
#pragma once

#include <gst/gst.h>

/* What somebody announces: its media in their order. */
typedef struct {
  guint n;
  GstCaps *caps[2];  /* application/x-rtp */
  char *controls[2]; /* the last part of each one's address */
} SptSdpAnnounced;

gboolean spt_sdp_parse_announced (
    const char *text, gsize size, SptSdpAnnounced *announced, GError **error);
void spt_sdp_announced_clear (SptSdpAnnounced *self);

char *spt_sdp_of_track (const char *name, const char *server, GstCaps *caps);
