/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a request: libsoup reads its head; check() decides whether it may go on (one Host,
 * known host, trusted origin, authorized); its body is read within a bound and a time; the route's
 * handler answers, at once or after spt_http_wait(), or takes the socket over. A viewer that leaves
 * meanwhile cancels the request's cancellable.
 *
 * Connections are accepted, counted and timed in connections.c. */
#include "config.h"

#include "http.h"

#include <string.h>

#include "connections.h"
#include "error.h"
#include "guard.h"
#include "listen.h"

#define BODY_MAX (1024 * 1024)
#define ROUTES_PARTS_MAX 8

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

/* ---- requests ----------------------------------------------------------------------------- */

static void
detach_message (SptHttpRequest *self)
{
  if (!self->message)
    return;
  g_signal_handler_disconnect (self->message, self->finished_id);
  g_signal_handler_disconnect (self->message, self->disconnected_id);
  g_clear_object (&self->message);
}

static void
on_message_gone (SoupServerMessage *message, gpointer data)
{
  g_autoptr (SptHttpRequest) self = spt_http_request_ref (data);
  detach_message (self);
  g_cancellable_cancel (self->cancellable);
}

static GPtrArray *
parse_query (const char *text)
{
  GPtrArray *query = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) pairs = g_strsplit (text ? text : "", "&", 256);
  for (char **pair = pairs; *pair; pair++) {
    g_strdelimit (*pair, "+", ' ');
    char *equals = strchr (*pair, '=');
    if (equals)
      *equals = '\0';
    g_autofree char *name = g_uri_unescape_string (*pair, NULL);
    g_autofree char *value = equals ? g_uri_unescape_string (equals + 1, NULL) : g_strdup ("");
    if (!name || !value || !g_utf8_validate (name, -1, NULL) || !g_utf8_validate (value, -1, NULL))
      continue;
    g_ptr_array_add (query, g_steal_pointer (&name));
    g_ptr_array_add (query, g_steal_pointer (&value));
  }
  return query;
}

static gboolean
wants_json (SoupServerMessage *message, const char *path)
{
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (message);
  const char *accept = soup_message_headers_get_one (headers, "Accept");
  const char *type = soup_message_headers_get_one (headers, "Content-Type");
  return (accept && strstr (accept, "application/json")) ||
         (type && g_str_has_prefix (type, "application/json"));
}

static SptHttpRequest *
request_new (SptHttp *http, SoupServerMessage *message, const char *path)
{
  SptHttpRequest *self = g_new0 (SptHttpRequest, 1);
  g_ref_count_init (&self->refs);
  self->http = g_object_ref (http);
  self->message = g_object_ref (message);
  self->method = g_strdup (soup_server_message_get_method (message));
  self->path = g_strdup (path);
  self->parts = g_strsplit (path + (*path == '/'), "/", ROUTES_PARTS_MAX + 1);
  self->remote = spt_connections_address (message);
  self->query = parse_query (g_uri_get_query (soup_server_message_get_uri (message)));
  self->cancellable = g_cancellable_new ();
  self->json = wants_json (message, path);
  self->finished_id = g_signal_connect (message, "finished", G_CALLBACK (on_message_gone), self);
  self->disconnected_id =
      g_signal_connect (message, "disconnected", G_CALLBACK (on_message_gone), self);
  return self;
}

SptHttpRequest *
spt_http_request_ref (SptHttpRequest *self)
{
  g_ref_count_inc (&self->refs);
  return self;
}

void
spt_http_request_unref (SptHttpRequest *self)
{
  if (!g_ref_count_dec (&self->refs))
    return;
  detach_message (self);
  g_object_unref (self->cancellable);
  g_ptr_array_unref (self->query);
  g_strfreev (self->parts);
  g_free (self->remote);
  g_free (self->path);
  g_free (self->method);
  g_object_unref (self->http);
  g_free (self);
}

const char *
spt_http_request_method (SptHttpRequest *self)
{
  return self->method;
}

const char *
spt_http_request_path (SptHttpRequest *self)
{
  return self->path;
}

/* The part of the path, "" beyond its end: of /api/streams/cam, 2 is "cam". */
const char *
spt_http_request_part (SptHttpRequest *self, guint index)
{
  return index < g_strv_length (self->parts) ? self->parts[index] : "";
}

/* (nullable): the first value of a query parameter */
const char *
spt_http_request_param (SptHttpRequest *self, const char *name)
{
  for (guint i = 0; i + 1 < self->query->len; i += 2)
    if (g_str_equal (g_ptr_array_index (self->query, i), name))
      return g_ptr_array_index (self->query, i + 1);
  return NULL;
}

/* (transfer full) (array zero-terminated=1): all values of a query parameter */
char **
spt_http_request_params (SptHttpRequest *self, const char *name)
{
  g_autoptr (GStrvBuilder) values = g_strv_builder_new ();
  for (guint i = 0; i + 1 < self->query->len; i += 2)
    if (g_str_equal (g_ptr_array_index (self->query, i), name))
      g_strv_builder_add (values, g_ptr_array_index (self->query, i + 1));
  return g_strv_builder_end (values);
}

/* @value becomes @fallback when the parameter is absent; FALSE and INVALID when it is no such
 * number. */
gboolean
spt_http_request_number (SptHttpRequest *self, const char *name, double fallback, double min,
    double max, double *value, GError **error)
{
  const char *text = spt_http_request_param (self, name);
  *value = fallback;
  if (!text || !*text)
    return TRUE;
  char *end;
  double number = g_ascii_strtod (text, &end);
  if (*end == 's' && !end[1])
    end++;
  if (*end || !(number >= min && number <= max)) {
    g_set_error (
        error, SPT_ERROR, SPT_ERROR_INVALID, "'%s' must be a number from %g to %g", name, min, max);
    return FALSE;
  }
  *value = number;
  return TRUE;
}

/* (nullable) */
const char *
spt_http_request_header (SptHttpRequest *self, const char *name)
{
  if (!self->message)
    return NULL;
  return soup_message_headers_get_one (
      soup_server_message_get_request_headers (self->message), name);
}

/* (transfer full) */
GBytes *
spt_http_request_body (SptHttpRequest *self)
{
  return soup_message_body_flatten (soup_server_message_get_request_body (self->message));
}

/* The peer's address, without port */
const char *
spt_http_request_remote (SptHttpRequest *self)
{
  return self->remote;
}

/* FALSE when a web page of a foreign origin has made the request. */
gboolean
spt_http_request_is_trusted (SptHttpRequest *self)
{
  return self->message && spt_guard_origin (self->http->guard,
                              soup_server_message_get_request_headers (self->message));
}

/* Cancelled when the peer leaves before the answer. */
GCancellable *
spt_http_request_cancellable (SptHttpRequest *self)
{
  return self->cancellable;
}

/* ---- answers ------------------------------------------------------------------------------ */

/* The answer comes later; keep a reference to the request until then. */
void
spt_http_wait (SptHttpRequest *self)
{
  if (self->message && !self->waiting) {
    self->waiting = TRUE;
    soup_server_message_pause (self->message);
  }
}

static void
finish (SptHttpRequest *self)
{
  SoupServerMessage *message = g_object_ref (self->message);
  detach_message (self);
  if (self->http->connections)
    spt_connections_answering (self->http->connections, message);
  if (self->waiting)
    soup_server_message_unpause (message);
  g_object_unref (message);
}

void
spt_http_add_header (SptHttpRequest *self, const char *name, const char *value)
{
  if (self->message)
    soup_message_headers_replace (
        soup_server_message_get_response_headers (self->message), name, value);
}

/**
 * spt_http_reply:
 * @body: (nullable) (transfer none): a HEAD request gets only its length
 *
 * Answers; once per request. Does nothing when the peer has left.
 */
void
spt_http_reply (SptHttpRequest *self, guint status, const char *type, GBytes *body)
{
  if (!self->message)
    return;
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (self->message);
  soup_server_message_set_status (self->message, status, NULL);
  if (type)
    soup_message_headers_replace (headers, "Content-Type", type);
  if (body && g_bytes_get_size (body) && !g_str_equal (self->method, "HEAD"))
    soup_message_body_append_bytes (soup_server_message_get_response_body (self->message), body);
  else if (body)
    soup_message_headers_set_content_length (headers, (goffset)g_bytes_get_size (body));
  finish (self);
}

/* Answers a HEAD for what would be a body without end. */
void
spt_http_reply_head (SptHttpRequest *self, const char *type)
{
  if (!self->message)
    return;
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (self->message);
  soup_message_headers_set_encoding (headers, SOUP_ENCODING_EOF);
  spt_http_reply (self, SOUP_STATUS_OK, type, NULL);
}

/* @node: (transfer full) */
void
spt_http_reply_json (SptHttpRequest *self, guint status, JsonNode *node)
{
  g_autoptr (JsonNode) owned = node;
  char *text = json_to_string (node, FALSE);
  g_autoptr (GBytes) body = g_bytes_new_take (text, strlen (text));
  spt_http_reply (self, status, "application/json", body);
}

/* The one place where an error becomes a status. */
static guint
status_of (const GError *error)
{
  static const guint statuses[] = {
      [SPT_ERROR_FAILED] = 500,
      [SPT_ERROR_INVALID] = 400,
      [SPT_ERROR_FORBIDDEN] = 403,
      [SPT_ERROR_NOT_FOUND] = 404,
      [SPT_ERROR_UNSUPPORTED] = 501,
      [SPT_ERROR_UNAVAILABLE] = 503,
  };
  if (error->domain != SPT_ERROR || (guint)error->code >= G_N_ELEMENTS (statuses))
    return 500;
  return statuses[error->code];
}

static void
reply_error_status (SptHttpRequest *self, guint status, const char *word, const char *sentence)
{
  if (self->json) {
    JsonObject *object = json_object_new ();
    json_object_set_string_member (object, "error", sentence);
    json_object_set_string_member (object, "code", word);
    JsonNode *node = json_node_init_object (json_node_alloc (), object);
    json_object_unref (object);
    spt_http_reply_json (self, status, node);
    return;
  }
  g_autofree char *line = g_strconcat (sentence, "\n", NULL);
  g_autoptr (GBytes) body = g_bytes_new (line, strlen (line));
  spt_http_reply (self, status, "text/plain; charset=utf-8", body);
}

/* Answers with the sentence: as JSON to those who speak it, as text to others. */
void
spt_http_reply_error (SptHttpRequest *self, const GError *error)
{
  reply_error_status (self, status_of (error), spt_error_word (error), error->message);
}

static void
append_header (const char *name, const char *value, gpointer data)
{
  static const char *const own[] = {
      "Content-Length", "Content-Type", "Connection", "Transfer-Encoding", "Keep-Alive", NULL};
  for (guint i = 0; own[i]; i++)
    if (g_ascii_strcasecmp (name, own[i]) == 0)
      return;
  g_string_append_printf (data, "%s: %s\r\n", name, value);
}

/**
 * spt_http_take_over:
 * @type: content type of the endless body
 * @socket: (out) (transfer full)
 * @head: (out) (transfer full): status line and headers, to be sent first
 *
 * Takes the connection away from libsoup. Whoever gets it closes the socket itself.
 *
 * Returns: (transfer full) (nullable): what owns the socket; NULL when the peer has left
 */
GIOStream *
spt_http_take_over (SptHttpRequest *self, const char *type, GSocket **socket, char **head)
{
  if (!self->message)
    return NULL;
  GString *text = g_string_new (NULL);
  g_string_printf (text, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n", type);
  soup_message_headers_foreach (
      soup_server_message_get_response_headers (self->message), append_header, text);
  g_string_append (text, "\r\n");
  g_autoptr (SoupServerMessage) message = g_object_ref (self->message);
  detach_message (self);
  GSocket *own = spt_connections_get_socket (self->http->connections, message);
  if (!own || g_socket_is_closed (own)) {
    g_string_free (text, TRUE);
    return NULL;
  }
  *socket = g_object_ref (own);
  *head = g_string_free (text, FALSE);
  GIOStream *stream = soup_server_message_steal_connection (message);
  if (!stream) {
    g_clear_object (socket);
    g_clear_pointer (head, g_free);
  }
  return stream;
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
    reply_error_status (self, 403, "forbidden",
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
    reply_error_status (self, 401, "unauthorized", error->message);
    return FALSE;
  }
  gsize *total = g_object_get_data (G_OBJECT (self->message), "spt-body");
  if (total && *total > BODY_MAX) {
    reply_error_status (self, 413, "too_large", "a request's body is limited to 1 MiB");
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
    reply_error_status (self, 404, "not_found", "there is nothing at this path");
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
  reply_error_status (self, 405, "method", "this path does not know this method");
}

static void
on_request (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query,
    gpointer data)
{
  SptHttp *self = data;
  add_common_headers (self, message, path);
  g_autoptr (SptHttpRequest) request = request_new (self, message, path);
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
