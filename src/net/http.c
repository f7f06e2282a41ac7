/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a request: libsoup reads its head; check() decides whether it may go on (one Host,
 * known host, trusted origin, authorized); its body is read within a bound and a time; the route's
 * handler answers, at once or after spt_http_wait(), or takes the socket over. A viewer that leaves
 * meanwhile cancels the request's cancellable.
 *
 * Connections are accepted, counted and timed in connections.c; what a request says and how it is
 * answered is in http-request.c. */
#include "config.h"

#include "http-private.h"

#include <string.h>

#include "error.h"
#include "listen.h"

#define BODY_MAX (1024 * 1024)

GST_DEBUG_CATEGORY_STATIC (spotter_api);
#define GST_CAT_DEFAULT spotter_api

static const SptOption options[] = {
    {"api.listen", SPT_OPTION_STRING, "127.0.0.1:1984", 0, 0,
        "address and port of the HTTP door; \":1984\" is every address"},
    {"api.origin", SPT_OPTION_STRINGS, NULL, 0, 0,
        "further web origins or host names that may use the API"},
    {"api.timeout", SPT_OPTION_SECONDS, "15s", 100, 600000,
        "a connection that sends no whole request for so long is closed"},
    {"api.max_connections", SPT_OPTION_INT, "2000", 1, 1000000, "connections at once"},
    {"api.max_connections_per_address", SPT_OPTION_INT, "500", 1, 1000000,
        "connections at once from one address"},
};

typedef struct {
  char **methods;
  char **parts; /* "*" matches one part */
  SptAction action;
  SptHttpHandler handler;
  gpointer data;
} Route;

G_DEFINE_FINAL_TYPE_WITH_CODE (SptHttp, spt_http, G_TYPE_OBJECT,
    GST_DEBUG_CATEGORY_INIT (spotter_api, "spotter-api", 0, "HTTP"))

/* ---- bodies -----------------------------------------------------------------------------------
 */

/* An upload beyond the bound is not kept; the handler answers 413. */
static void
on_got_chunk (SoupServerMessage *message, GBytes *chunk, gpointer data)
{
  gsize *total = data;
  *total += g_bytes_get_size (chunk);
  if (*total > BODY_MAX)
    soup_message_body_set_accumulate (soup_server_message_get_request_body (message), FALSE);
}

static void
on_request_started (SoupServer *server, SoupServerMessage *message, gpointer data)
{
  SptHttp *self = data;
  gsize *total = g_new0 (gsize, 1);
  g_object_set_data_full (G_OBJECT (message), "spt-body", total, g_free);
  g_signal_connect (message, "got-chunk", G_CALLBACK (on_got_chunk), total);
  spt_connections_watch (self->connections, message);
}

/* ---- routing ------------------------------------------------------------------------------ */

static void
route_free (gpointer data)
{
  Route *route = data;
  g_strfreev (route->methods);
  g_strfreev (route->parts);
  g_free (route);
}

static gboolean
matches (const Route *route, char **parts)
{
  guint i = 0;
  for (; route->parts[i] && parts[i]; i++)
    if (!g_str_equal (route->parts[i], "*") && !g_str_equal (route->parts[i], parts[i]))
      return FALSE;
  return !route->parts[i] && !parts[i];
}

/* Headers of every answer: which page may read it, and that it is not to be guessed or kept. */
static void
add_common_headers (SptHttp *self, SoupServerMessage *message, const char *path)
{
  SoupMessageHeaders *in = soup_server_message_get_request_headers (message);
  SoupMessageHeaders *out = soup_server_message_get_response_headers (message);
  const char *origin = soup_message_headers_get_one (in, "Origin");
  if (g_hash_table_contains (self->any_origin, path)) {
    soup_message_headers_replace (out, "Access-Control-Allow-Origin", "*");
  } else if (origin && spt_guard_origin (self->guard, in)) {
    soup_message_headers_replace (out, "Access-Control-Allow-Origin", origin);
    soup_message_headers_replace (out, "Vary", "Origin");
  }
  soup_message_headers_replace (out, "Cache-Control", "no-store");
  /* libsoup closes a connection that none of its own listeners accepted after each answer; a client
   * that is not told sends its next request into the closing socket. */
  soup_message_headers_replace (out, "Connection", "close");
  soup_message_headers_replace (out, "X-Content-Type-Options", "nosniff");
  soup_message_headers_replace (out, "Cross-Origin-Resource-Policy", "cross-origin");
}

static gboolean
is_local (SoupServerMessage *message)
{
  GSocketAddress *address = soup_server_message_get_remote_address (message);
  return !G_IS_INET_SOCKET_ADDRESS (address) ||
         g_inet_address_get_is_loopback (
             g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (address)));
}

/* What every request must pass before a handler sees it. */
static gboolean
check (SptHttpRequest *self, SptAction action)
{
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (self->message);
  g_autoptr (GError) error = NULL;
  gboolean reads = g_str_equal (self->method, "GET") || g_str_equal (self->method, "HEAD");
  if (!spt_guard_host (self->http->guard, headers, &error)) {
    spt_http_reply_error (self, error);
    return FALSE;
  }
  if (!reads && !spt_guard_origin (self->http->guard, headers)) {
    spt_http_reply_error_status (self, 403, "forbidden",
        "this web page's origin is not allowed to change anything here; api.origin allows it");
    return FALSE;
  }
  if (g_str_equal (self->method, "OPTIONS"))
    return TRUE; /* a browser asks this first, and without credentials */
  SptCredentials who = {
      soup_message_headers_get_one (headers, "Authorization"), is_local (self->message)};
  if (!spt_auth_authorize (
          self->http->auth, &who, action, spt_http_request_param (self, "src"), &error)) {
    spt_http_add_header (self, "WWW-Authenticate", "Basic realm=\"Spotter\", charset=\"UTF-8\"");
    spt_http_reply_error_status (self, 401, "unauthorized", error->message);
    return FALSE;
  }
  gsize *total = g_object_get_data (G_OBJECT (self->message), "spt-body");
  if (total && *total > BODY_MAX) {
    spt_http_reply_error_status (self, 413, "too_large", "a request's body is limited to 1 MiB");
    return FALSE;
  }
  return TRUE;
}

static void
reply_preflight (SptHttpRequest *self, const char *allow)
{
  spt_http_add_header (self, "Allow", allow);
  if (spt_http_request_header (self, "Access-Control-Request-Method")) {
    spt_http_add_header (self, "Access-Control-Allow-Methods", allow);
    spt_http_add_header (
        self, "Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match");
    spt_http_add_header (self, "Access-Control-Max-Age", "600");
  }
  spt_http_reply (self, SOUP_STATUS_NO_CONTENT, NULL, NULL);
}

static void
dispatch (SptHttpRequest *self)
{
  SptHttp *http = self->http;
  g_autoptr (GPtrArray) allowed = g_ptr_array_new ();
  for (guint i = 0; i < http->routes->len; i++) {
    Route *route = g_ptr_array_index (http->routes, i);
    if (!matches (route, self->parts))
      continue;
    if (g_strv_contains ((const char *const *)route->methods, self->method)) {
      if (check (self, route->action))
        route->handler (self, route->data);
      return;
    }
    for (char **method = route->methods; *method; method++)
      g_ptr_array_add (allowed, *method);
  }
  if (!check (self, SPT_ACTION_VIEW))
    return;
  if (!allowed->len) {
    spt_http_reply_error_status (self, 404, "not_found", "there is nothing at this path");
    return;
  }
  g_ptr_array_add (allowed, (gpointer) "OPTIONS");
  g_ptr_array_add (allowed, NULL);
  g_autofree char *list = g_strjoinv (", ", (char **)allowed->pdata);
  if (g_str_equal (self->method, "OPTIONS")) {
    reply_preflight (self, list);
    return;
  }
  spt_http_add_header (self, "Allow", list);
  spt_http_reply_error_status (self, 405, "method", "this path does not know this method");
}

static void
on_request (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query,
    gpointer data)
{
  SptHttp *self = data;
  add_common_headers (self, message, path);
  g_autoptr (SptHttpRequest) request = spt_http_request_new (self, message, path);
  GST_DEBUG ("%s %s %s", request->remote, request->method, path);
  dispatch (request);
}

/* ---- the server --------------------------------------------------------------------------- */

static void
spt_http_finalize (GObject *object)
{
  SptHttp *self = SPT_HTTP (object);
  spt_http_stop (self);
  g_ptr_array_unref (self->routes);
  g_hash_table_unref (self->any_origin);
  spt_guard_free (self->guard);
  g_free (self->listen);
  g_free (self->address);
  G_OBJECT_CLASS (spt_http_parent_class)->finalize (object);
}

static void
spt_http_class_init (SptHttpClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = spt_http_finalize;
}

static void
spt_http_init (SptHttp *self)
{
  self->routes = g_ptr_array_new_with_free_func (route_free);
  self->any_origin = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
}

void
spt_http_declare_options (SptSettings *settings)
{
  spt_settings_declare (settings, options, G_N_ELEMENTS (options));
}

/* @auth: must outlive the server */
SptHttp *
spt_http_new (SptSettings *settings, SptAuth *auth)
{
  SptHttp *self = g_object_new (SPT_TYPE_HTTP, NULL);
  self->auth = auth;
  self->listen = g_strdup (spt_settings_string (settings, "api.listen"));
  self->guard = spt_guard_new (spt_settings_strings (settings, "api.origin"));
  self->limits = (SptConnectionLimits){
      .timeout_ms = (guint)spt_settings_int (settings, "api.timeout"),
      .max = (guint)spt_settings_int (settings, "api.max_connections"),
      .max_per_address = (guint)spt_settings_int (settings, "api.max_connections_per_address"),
  };
  return self;
}

/**
 * spt_http_route:
 * @methods: "GET,HEAD"
 * @pattern: "/api/streams" or, with a part of any name, "/camera/∗/stats" (an asterisk)
 * @handler: called on the main context; answers, waits or takes over
 */
void
spt_http_route (SptHttp *self, const char *methods, const char *pattern, SptAction action,
    SptHttpHandler handler, gpointer data)
{
  Route *route = g_new0 (Route, 1);
  route->methods = g_strsplit (methods, ",", 8);
  route->parts = g_strsplit (pattern + 1, "/", ROUTES_PARTS_MAX + 1);
  route->action = action;
  route->handler = handler;
  route->data = data;
  g_ptr_array_add (self->routes, route);
}

/* Any web page may read this path: it says nothing that is private. */
void
spt_http_allow_any_origin (SptHttp *self, const char *path)
{
  g_hash_table_add (self->any_origin, g_strdup (path));
}

/* Starts to serve. UNAVAILABLE with a sentence when the address cannot be used. */
gboolean
spt_http_listen (SptHttp *self, GError **error)
{
  if (!*self->listen)
    return TRUE;
  g_autoptr (GPtrArray) sockets = spt_listen (self->listen, error);
  if (!sockets)
    return FALSE;
  self->server = soup_server_new ("server-header", "spotter", NULL);
  g_signal_connect (self->server, "request-started", G_CALLBACK (on_request_started), self);
  soup_server_add_handler (self->server, NULL, on_request, self, NULL);
  self->connections = spt_connections_new (self->server, sockets, &self->limits);
  self->address = spt_listen_describe (g_ptr_array_index (sockets, 0));
  GST_INFO ("listen addr=%s", self->address);
  if (spt_auth_is_open (self->auth) && !spt_listen_is_loopback (self->listen))
    GST_WARNING ("anyone who reaches this machine can watch and change streams: set "
                 "api.username and api.password, or api.listen to 127.0.0.1:1984");
  return TRUE;
}

guint
spt_http_count_connections (SptHttp *self)
{
  return self->connections ? spt_connections_count (self->connections) : 0;
}

/* Closes all connections that were not handed over. Idempotent. */
void
spt_http_stop (SptHttp *self)
{
  if (!self->server)
    return;
  soup_server_disconnect (self->server);
  g_clear_pointer (&self->connections, spt_connections_stop);
  g_clear_object (&self->server);
}
