/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one RTSP viewer has set up, and its playing. For rtsp.c. */
#pragma once

#include "rtsp.h"
#include "stream.h"

/* The UDP ports of the door. */
typedef struct _SptRtspPorts SptRtspPorts;
SptRtspPorts *spt_rtsp_ports_new (guint16 first, guint16 last);
void spt_rtsp_ports_free (SptRtspPorts *self);

typedef struct _SptRtspMedia SptRtspMedia;

/* The first packet that a viewer will get, when it is known already. */
typedef struct {
  gboolean known;
  guint16 seqnum;
  guint32 timestamp;
} SptRtspStart;

SptRtspMedia *spt_rtsp_media_new (
    SptRtspPorts *ports, SptSender *sender, SptRtspConnection *connection);
void spt_rtsp_media_unref (SptRtspMedia *self);

void spt_rtsp_media_set_lease (SptRtspMedia *self, SptLease *lease);
SptLease *spt_rtsp_media_get_lease (SptRtspMedia *self);
char *spt_rtsp_media_set_up (SptRtspMedia *self, guint lane, const char *offered);
gboolean spt_rtsp_media_has_lane (SptRtspMedia *self, guint lane);
gboolean spt_rtsp_media_is_tcp (SptRtspMedia *self);
gboolean spt_rtsp_media_is_playing (SptRtspMedia *self);
void spt_rtsp_media_attach (SptRtspMedia *self, SptRtspStart *start);
void spt_rtsp_media_send (SptRtspMedia *self);
void spt_rtsp_media_pause (SptRtspMedia *self);
