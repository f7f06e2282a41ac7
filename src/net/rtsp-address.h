/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The addresses of RTSP requests. */
#pragma once

#include "stream.h"

typedef struct {
  char *name, *query; /* query: "" without one */
  int lane;           /* of "trackID=": -1: none */
} SptRtspAddress;

gboolean spt_rtsp_address_parse (const char *url, SptRtspAddress *address);
void spt_rtsp_address_clear (SptRtspAddress *self);
gboolean spt_rtsp_address_read_query (const char *query, SptWant *want, GError **error);
