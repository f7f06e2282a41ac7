/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The HTTP server: routes, the checks every request passes, answers, and handing a socket over. */
#pragma once

#include <json-glib/json-glib.h>
#include <libsoup/soup.h>

#include "auth.h"
#include "types.h"

#define SPT_TYPE_HTTP (spt_http_get_type ())
G_DECLARE_FINAL_TYPE (SptHttp, spt_http, SPT, HTTP, GObject)

/* One request and its answer. Reference counted; main context. */
typedef struct _SptHttpRequest SptHttpRequest;
typedef void (*SptHttpHandler) (SptHttpRequest *request, gpointer data);

void spt_http_declare_options (SptSettings *settings);
SptHttp *spt_http_new (SptSettings *settings, SptAuth *auth);
void spt_http_route (SptHttp *self, const char *methods, const char *pattern, SptAction action,
    SptHttpHandler handler, gpointer data);
void spt_http_allow_any_origin (SptHttp *self, const char *path);
gboolean spt_http_listen (SptHttp *self, GError **error);
void spt_http_stop (SptHttp *self);
guint spt_http_count_connections (SptHttp *self);

SptHttpRequest *spt_http_request_ref (SptHttpRequest *self);
void spt_http_request_unref (SptHttpRequest *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SptHttpRequest, spt_http_request_unref)

const char *spt_http_request_method (SptHttpRequest *self);
const char *spt_http_request_path (SptHttpRequest *self);
const char *spt_http_request_part (SptHttpRequest *self, guint index);
const char *spt_http_request_param (SptHttpRequest *self, const char *name);
char **spt_http_request_params (SptHttpRequest *self, const char *name);
gboolean spt_http_request_number (SptHttpRequest *self, const char *name, double fallback,
    double min, double max, double *value, GError **error);
const char *spt_http_request_header (SptHttpRequest *self, const char *name);
GBytes *spt_http_request_body (SptHttpRequest *self);
const char *spt_http_request_remote (SptHttpRequest *self);
gboolean spt_http_request_is_trusted (SptHttpRequest *self);
GCancellable *spt_http_request_cancellable (SptHttpRequest *self);

void spt_http_wait (SptHttpRequest *self);
void spt_http_add_header (SptHttpRequest *self, const char *name, const char *value);
void spt_http_reply (SptHttpRequest *self, guint status, const char *type, GBytes *body);
void spt_http_reply_json (SptHttpRequest *self, guint status, JsonNode *node);
void spt_http_reply_error (SptHttpRequest *self, const GError *error);
GIOStream *spt_http_take_over (
    SptHttpRequest *self, const char *type, GSocket **socket, char **head);
void spt_http_reply_head (SptHttpRequest *self, const char *type);
