/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One request: what it says, and its answer. */
#include "config.h"

#include <string.h>

#include "error.h"
#include "http-private.h"

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

SptHttpRequest *
spt_http_request_new (SptHttp *http, SoupServerMessage *message, const char *path)
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

void
spt_http_reply_error_status (
    SptHttpRequest *self, guint status, const char *word, const char *sentence)
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
  spt_http_reply_error_status (self, status_of (error), spt_error_word (error), error->message);
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
