/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a protocol door is: one file, one descriptor, one row in app/doors.c. */
#pragma once

#include "http.h"
#include "sender.h"
#include "settings.h"
#include "streams.h"
#include "ws.h"

/* What the application offers to doors; all of it lives longer than any door. */
typedef struct {
  SptSettings *settings;
  SptStreams *streams;
  SptHttp *http;
  SptSender *sender;
  SptWs *ws;
  const char *rtsp_address; /* "127.0.0.1:8554" while that door is open, else NULL; it says so */
} SptHost;

/* All calls on the main context. */
typedef struct {
  const char *name;    /* the file, the section of the configuration, the word in the API */
  const char *summary; /* one sentence, for --help */
  const SptOption *options;
  guint n_options;
  gpointer (*start) (SptHost *host, GError **error);
  void (*stop) (gpointer self); /* (nullable) */
} SptOutput;
