/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For http.c, the server and its routes, and http-request.c. */
#pragma once

#include "connections.h"
#include "guard.h"
#include "http.h"

#define ROUTES_PARTS_MAX 8

struct _SptHttp {
  GObject parent;

  /* construct-only */
  SptAuth *auth;
  SptGuard *guard;
  char *listen;
  SptConnectionLimits limits;

  /* main context */
  SoupServer *server;
  SptConnections *connections;
  char *address; /* what is listened on, with the real port */
  GPtrArray *routes;
  GHashTable *any_origin; /* paths */
};

struct _SptHttpRequest {
  grefcount refs;
  SptHttp *http;
  SoupServerMessage *message; /* NULL when answered, taken over or gone */
  char *method, *path, *remote;
  char **parts;
  GPtrArray *query; /* name, value, name, value … */
  GCancellable *cancellable;
  gulong finished_id, disconnected_id;
  gboolean waiting;
  gboolean json;
};

SptHttpRequest *spt_http_request_new (SptHttp *http, SoupServerMessage *message, const char *path);
void spt_http_reply_error_status (
    SptHttpRequest *self, guint status, const char *word, const char *sentence);
