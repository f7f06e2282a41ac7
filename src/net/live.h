/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers an HTTP request with a stream that does not end: what MP4, TS and MJPEG have in common.
 */
#pragma once

#include "output.h"

typedef struct {
  const char *container; /* core/branch.c */
  const char *format;    /* the consumer's format_name in the API */
  const char *type;      /* Content-Type */
  gboolean newest;       /* pictures stand alone: only the newest counts */
  SptSenderRewrite rewrite;
} SptLiveDoor;

void spt_live_serve (SptHost *host, SptHttpRequest *request, const SptLiveDoor *door);
gboolean spt_live_is_apple (SptHttpRequest *request);
SptStream *spt_live_find_stream (SptHost *host, SptHttpRequest *request);
