/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The addresses and transports that RTSP requests name. */
#pragma once

#include <gst/rtsp/rtsp.h>

#include "stream.h"

typedef struct {
  char *name, *query; /* query: "" without one */
  int lane;           /* of "trackID=": -1: none */
} SptRtspAddress;

gboolean spt_rtsp_address_parse (const char *url, SptRtspAddress *address);
void spt_rtsp_address_clear (SptRtspAddress *self);
gboolean spt_rtsp_address_read_query (const char *query, SptWant *want, GError **error);

/* (transfer full) (nullable): what to answer to a wish; NULL: it cannot be had */
typedef char *(*SptRtspTransportFunc) (const GstRTSPTransport *wish, gpointer data);

char *spt_rtsp_transport_choose (const char *offered, SptRtspTransportFunc take, gpointer data);
