/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two families of clients use these paths unmodified: go2rtc's, and ProjectClimb's (api.md 1a, 1b).
 * A change is applied, written, and only then answered; when it cannot be written it is taken back.
 */
#include "config.h"

#include "api.h"

#include <string.h>

#include "error.h"
#include "graph.h"
#include "log.h"
#include "json.h"
#include "spec.h"

/* The level of go2rtc's API that is served; its clients check it. */
#define GO2RTC_VERSION "1.9.14"

struct _SptApi {
  SptHost *host;
  SptStore *store;
  SptConfiguration *configuration;
  int changing; /* requests that wait for the disk */
};

static JsonNode *
node_of (JsonObject *object)
{
  JsonNode *node = json_node_init_object (json_node_alloc (), object);
  json_object_unref (object);
  return node;
}

/* ---- reading ------------------------------------------------------------------------------ */

static void
on_info (SptHttpRequest *request, gpointer data)
{
  SptApi *self = data;
  JsonObject *object = json_object_new (), *rtsp = json_object_new ();
  const char *host = spt_http_request_header (request, "Host");
  json_object_set_string_member (
      rtsp, "listen", self->host->rtsp_address ? self->host->rtsp_address : "");
  json_object_set_string_member (
      rtsp, "default_query", spt_settings_string (self->host->settings, "rtsp.default_query"));
  const char *path = spt_configuration_get_path (self->configuration);
  json_object_set_string_member (object, "config_path", path ? path : "");
  json_object_set_string_member (object, "host", host ? host : "");
  json_object_set_string_member (object, "revision", SPT_VERSION);
  json_object_set_object_member (object, "rtsp", rtsp);
  json_object_set_string_member (object, "version", GO2RTC_VERSION);
  json_object_set_string_member (object, "server", "spotter");
  json_object_set_string_member (object, "spotter_version", SPT_VERSION);
  spt_http_reply_json (request, SOUP_STATUS_OK, node_of (object));
}

static void
on_schemes (SptHttpRequest *request, gpointer data)
{
  spt_http_reply_json (request, SOUP_STATUS_OK, spt_json_strings (spt_spec_schemes ()));
}

static void
on_health (SptHttpRequest *request, gpointer data)
{
  SptApi *self = data;
  gboolean healthy;
  JsonNode *node = spt_json_health (self->host->streams, &healthy);
  spt_http_reply_json (request, healthy ? SOUP_STATUS_OK : SOUP_STATUS_SERVICE_UNAVAILABLE, node);
}

static void
on_list (SptHttpRequest *request, gpointer data)
{
  SptApi *self = data;
  const char *src = spt_http_request_param (request, "src");
  g_autoptr (GError) error = NULL;
  if (!src || !*src) {
    spt_http_reply_json (request, SOUP_STATUS_OK, spt_json_streams (self->host->streams));
    return;
  }
  SptStream *stream = spt_streams_get (self->host->streams, src, &error);
  if (stream)
    spt_http_reply_json (request, SOUP_STATUS_OK, spt_json_stream (stream));
  else
    spt_http_reply_error (request, error);
}

static SptStream *
stream_of_path (SptApi *self, SptHttpRequest *request)
{
  g_autoptr (GError) error = NULL;
  SptStream *stream =
      spt_streams_get (self->host->streams, spt_http_request_part (request, 2), &error);
  if (!stream)
    spt_http_reply_error (request, error);
  return stream;
}

static void
on_stats (SptHttpRequest *request, gpointer data)
{
  SptStream *stream = stream_of_path (data, request);
  if (stream)
    spt_http_reply_json (request, SOUP_STATUS_OK, spt_json_stream_stats (stream));
}

static void
on_log (SptHttpRequest *request, gpointer data)
{
  char *text = spt_log_read ();
  g_autoptr (GBytes) body = g_bytes_new_take (text, strlen (text));
  spt_http_reply (request, SOUP_STATUS_OK, "application/jsonlines", body);
}

static void
on_clear_log (SptHttpRequest *request, gpointer data)
{
  spt_log_clear ();
  spt_http_reply (request, SOUP_STATUS_OK, NULL, NULL);
}

static void
on_graph (SptHttpRequest *request, gpointer data)
{
  SptStream *stream = stream_of_path (data, request);
  if (!stream)
    return;
  char *dot = spt_graph_dot (stream);
  g_autoptr (GBytes) body = g_bytes_new_take (dot, strlen (dot));
  spt_http_reply (request, SOUP_STATUS_OK, "text/vnd.graphviz", body);
}

/* ---- changing ----------------------------------------------------------------------------- */

typedef struct {
  SptApi *api;
  SptHttpRequest *request;
  char *name;
  char **before, **after; /* (nullable): its sources; NULL when there is no such stream */
  gboolean stored;        /* the store had an entry before … */
  char **stored_sources;  /* … with these, or NULL for a tombstone */
} Change;

static void
change_free (Change *change)
{
  spt_http_request_unref (change->request);
  g_strfreev (change->before);
  g_strfreev (change->after);
  g_strfreev (change->stored_sources);
  g_free (change->name);
  g_free (change);
}

static Change *
change_new (SptApi *self, SptHttpRequest *request, const char *name)
{
  Change *change = g_new0 (Change, 1);
  SptStream *known = spt_streams_get (self->host->streams, name, NULL);
  change->api = self;
  change->request = spt_http_request_ref (request);
  change->name = g_strdup (name);
  change->before = known ? g_strdupv ((char **)spt_stream_get_sources (known)) : NULL;
  change->stored = spt_store_lookup (self->store, name, &change->stored_sources);
  return change;
}

static gboolean
still_as_changed (Change *change)
{
  SptStream *now = spt_streams_get (change->api->host->streams, change->name, NULL);
  if (!now || !change->after)
    return !now && !change->after;
  return g_strv_equal (spt_stream_get_sources (now), (const char *const *)change->after);
}

/* Takes the change back, unless a later one has replaced it: what is not on disk is not there. */
static void
undo (Change *change)
{
  SptApi *self = change->api;
  if (!still_as_changed (change))
    return;
  if (change->before)
    spt_streams_put (
        self->host->streams, change->name, (const char *const *)change->before, TRUE, NULL);
  else
    spt_streams_remove (self->host->streams, change->name, NULL);
  if (change->stored && change->stored_sources)
    spt_store_put (self->store, change->name, (const char *const *)change->stored_sources);
  else if (change->stored)
    spt_store_bury (self->store, change->name);
  else
    spt_store_forget (self->store, change->name);
}

static void
on_saved (GObject *object, GAsyncResult *result, gpointer data)
{
  Change *change = data;
  g_autoptr (GError) error = NULL;
  change->api->changing--;
  if (spt_store_save_finish (result, &error)) {
    SptStream *stream = spt_streams_get (change->api->host->streams, change->name, NULL);
    spt_http_reply_json (change->request, SOUP_STATUS_OK,
        stream ? spt_json_stream (stream) : node_of (json_object_new ()));
  } else {
    undo (change);
    spt_http_reply_error (change->request, error);
  }
  change_free (change);
}

static void
save (Change *change)
{
  change->api->changing++;
  spt_http_wait (change->request);
  spt_store_save_async (change->api->store, on_saved, change);
}

static void
put (SptApi *self, SptHttpRequest *request, const char *name, const char *const *sources)
{
  g_autoptr (GError) error = NULL;
  Change *change = change_new (self, request, name);
  gboolean same = change->before && g_strv_equal ((const char *const *)change->before, sources);
  change->after = g_strdupv ((char **)sources);
  gboolean trusted = spt_settings_bool (self->host->settings, "api.allow_pipelines");
  if (!spt_streams_put (self->host->streams, name, sources, trusted, &error)) {
    spt_http_reply_error (request, error);
    change_free (change);
    return;
  }
  /* What the configuration already says is not written a second time. */
  if (!same || !spt_configuration_has_stream (self->configuration, name))
    spt_store_put (self->store, name, sources);
  save (change);
}

static void
reply_invalid (SptHttpRequest *request, const char *sentence)
{
  g_autoptr (GError) error = g_error_new_literal (SPT_ERROR, SPT_ERROR_INVALID, sentence);
  spt_http_reply_error (request, error);
}

/* PUT and PATCH: ?name=&src=&src= */
static void
on_put (SptHttpRequest *request, gpointer data)
{
  SptApi *self = data;
  g_auto (GStrv) sources = spt_http_request_params (request, "src");
  const char *name = spt_http_request_param (request, "name");
  if (!sources[0])
    reply_invalid (request, "the parameter src is missing: it says what to open");
  else
    put (self, request, name && *name ? name : sources[0], (const char *const *)sources);
}

static void
on_patch (SptHttpRequest *request, gpointer data)
{
  SptApi *self = data;
  const char *name = spt_http_request_param (request, "name");
  g_autoptr (GError) error = NULL;
  if (!name || !*name)
    reply_invalid (request, "the parameter name is missing");
  else if (!spt_streams_get (self->host->streams, name, &error))
    spt_http_reply_error (request, error);
  else
    on_put (request, data);
}

/* (transfer full) (nullable): a text, or a list of texts */
static char **
read_sources (JsonNode *node)
{
  g_autoptr (GStrvBuilder) texts = g_strv_builder_new ();
  if (node && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING) {
    g_strv_builder_add (texts, json_node_get_string (node));
    return g_strv_builder_end (texts);
  }
  if (!node || !JSON_NODE_HOLDS_ARRAY (node))
    return NULL;
  JsonArray *array = json_node_get_array (node);
  for (guint i = 0; i < json_array_get_length (array); i++) {
    JsonNode *item = json_array_get_element (array, i);
    if (!JSON_NODE_HOLDS_VALUE (item) || json_node_get_value_type (item) != G_TYPE_STRING)
      return NULL;
    g_strv_builder_add (texts, json_node_get_string (item));
  }
  return g_strv_builder_end (texts);
}

static void
post_json (SptApi *self, SptHttpRequest *request)
{
  g_autoptr (GBytes) body = spt_http_request_body (request);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) root = spt_json_parse (body, &error);
  if (!root) {
    spt_http_reply_error (request, error);
    return;
  }
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  JsonNode *name = object ? json_object_get_member (object, "name") : NULL;
  JsonNode *src = object ? json_object_get_member (object, "src") : NULL;
  if (!src && object)
    src = json_object_get_member (object, "sources");
  g_auto (GStrv) sources = read_sources (src);
  if (!name || !JSON_NODE_HOLDS_VALUE (name) || json_node_get_value_type (name) != G_TYPE_STRING)
    reply_invalid (request, "\"name\" is missing or not a text");
  else if (!sources || !sources[0])
    reply_invalid (request, "\"src\" is missing, or neither a text nor a list of texts");
  else
    put (self, request, json_node_get_string (name), (const char *const *)sources);
}

static void
on_post (SptHttpRequest *request, gpointer data)
{
  const char *type = spt_http_request_header (request, "Content-Type");
  g_autoptr (GError) error = NULL;
  if (!spt_http_request_param (request, "dst")) {
    if (type && g_str_has_prefix (type, "application/json"))
      post_json (data, request);
    else
      reply_invalid (request, "send the stream as JSON, with Content-Type: application/json");
    return;
  }
  error = g_error_new (SPT_ERROR, SPT_ERROR_UNSUPPORTED,
      "playing a source into a stream, or publishing it, is not possible yet");
  spt_http_reply_error (request, error);
}

static void
on_delete (SptHttpRequest *request, gpointer data)
{
  SptApi *self = data;
  const char *name = spt_http_request_param (request, "src");
  g_autoptr (GError) error = NULL;
  if (!spt_streams_get (self->host->streams, name ? name : "", &error)) {
    spt_http_reply_error (request, error);
    return;
  }
  Change *change = change_new (self, request, name);
  spt_streams_remove (self->host->streams, change->name, NULL);
  if (spt_configuration_has_stream (self->configuration, change->name))
    spt_store_bury (self->store, change->name);
  else
    spt_store_forget (self->store, change->name);
  save (change);
}

/**
 * spt_api_new:
 * @host: must outlive the API, like @store and @configuration
 */
SptApi *
spt_api_new (SptHost *host, SptStore *store, SptConfiguration *configuration)
{
  static const struct {
    const char *methods, *path;
    SptAction action;
    SptHttpHandler handler;
  } routes[] = {
      {"GET,HEAD", "/api", SPT_ACTION_VIEW, on_info},
      {"GET,HEAD", "/api/info", SPT_ACTION_VIEW, on_info},
      {"GET,HEAD", "/api/health", SPT_ACTION_VIEW, on_health},
      {"GET,HEAD", "/api/schemes", SPT_ACTION_VIEW, on_schemes},
      {"GET,HEAD", "/api/streams", SPT_ACTION_VIEW, on_list},
      {"PUT", "/api/streams", SPT_ACTION_MANAGE, on_put},
      {"PATCH", "/api/streams", SPT_ACTION_MANAGE, on_patch},
      {"POST", "/api/streams", SPT_ACTION_MANAGE, on_post},
      {"DELETE", "/api/streams", SPT_ACTION_MANAGE, on_delete},
      {"GET,HEAD", "/api/log", SPT_ACTION_MANAGE, on_log},
      {"DELETE", "/api/log", SPT_ACTION_MANAGE, on_clear_log},
      {"GET,HEAD", "/api/streams/*/stats", SPT_ACTION_VIEW, on_stats},
      {"GET,HEAD", "/api/streams/*/graph", SPT_ACTION_VIEW, on_graph},
  };
  SptApi *self = g_new0 (SptApi, 1);
  self->host = host;
  self->store = store;
  self->configuration = configuration;
  for (guint i = 0; i < G_N_ELEMENTS (routes); i++)
    spt_http_route (
        host->http, routes[i].methods, routes[i].path, routes[i].action, routes[i].handler, self);
  spt_http_allow_any_origin (host->http, "/api");
  spt_http_allow_any_origin (host->http, "/api/info");
  spt_http_allow_any_origin (host->http, "/api/health");
  return self;
}

/* Waits until what is being written is written. */
void
spt_api_free (SptApi *self)
{
  while (self->changing)
    g_main_context_iteration (NULL, TRUE);
  g_free (self);
}
