/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GET gives the file with *** for its credentials; POST takes it back with or without them, checks
 * it as the next start would, and only then replaces the file. */
#include "config.h"

#include "api-config.h"

#include <string.h>

#include "config-mask.h"
#include "error.h"
#include "file.h"
#include "json.h"

/* An editor saves in several steps. */
#define SETTLE_MS 200

GST_DEBUG_CATEGORY_EXTERN (spotter_config);
#define GST_CAT_DEFAULT spotter_config

struct _SptConfigApi {
  SptHost *host;
  SptConfiguration *configuration;
  GFileMonitor *monitor; /* (nullable) */
  guint settle_id;
  int writing; /* requests that wait for the disk */
};

/* ---- following the file ------------------------------------------------------------------- */

/* (transfer full) (nullable): options that wait for the next start; NULL: nothing has changed */
static char **
reload (SptConfigApi *self)
{
  g_autoptr (GError) error = NULL;
  char **waiting = spt_configuration_reload (self->configuration, &error);
  if (!waiting) {
    GST_ERROR ("the configuration is not taken over: %s", error->message);
    return NULL;
  }
  g_autofree char *list = g_strjoinv (", ", waiting);
  GST_INFO ("the configuration was read again%s%s", *waiting ? "; after a restart: " : "", list);
  return waiting;
}

/* As SIGHUP asks for it; what is wrong is logged. */
void
spt_config_api_reload (SptConfigApi *self)
{
  g_strfreev (reload (self));
}

static gboolean
on_settled (gpointer data)
{
  SptConfigApi *self = data;
  self->settle_id = 0;
  spt_config_api_reload (self);
  return G_SOURCE_REMOVE;
}

static void
on_changed (
    GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer data)
{
  SptConfigApi *self = data;
  if (event == G_FILE_MONITOR_EVENT_DELETED || event == G_FILE_MONITOR_EVENT_ATTRIBUTE_CHANGED)
    return;
  g_clear_handle_id (&self->settle_id, g_source_remove);
  self->settle_id = g_timeout_add (SETTLE_MS, on_settled, self);
}

/* ---- requests ----------------------------------------------------------------------------- */

/* (transfer full) (nullable): what the file says now, "" when there is none yet */
static char *
read_file (SptConfigApi *self, GError **error)
{
  const char *path = spt_configuration_get_path (self->configuration);
  g_autoptr (GError) local = NULL;
  g_autofree char *text = NULL;
  gsize size = 0;
  if (!path)
    g_set_error (error, SPT_ERROR, SPT_ERROR_NOT_FOUND,
        "the server runs without a configuration file; start it with -c FILE");
  else if (!g_file_get_contents (path, &text, &size, &local) &&
           !g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    g_set_error (
        error, SPT_ERROR, SPT_ERROR_FAILED, "the configuration cannot be read: %s", local->message);
  else if (text && !g_utf8_validate (text, (gssize)size, NULL))
    g_set_error (error, SPT_ERROR, SPT_ERROR_FAILED, "%s is not UTF-8", path);
  else
    return text ? g_steal_pointer (&text) : g_strdup ("");
  return NULL;
}

static void
on_get (SptHttpRequest *request, gpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = read_file (data, &error);
  char *masked = text ? spt_config_mask (text, &error) : NULL;
  if (!masked) {
    spt_http_reply_error (request, error);
    return;
  }
  g_autoptr (GBytes) body = g_bytes_new_take (masked, strlen (masked));
  spt_http_reply (request, SOUP_STATUS_OK, "application/yaml", body);
}

typedef struct {
  SptConfigApi *api;
  SptHttpRequest *request;
  char *path, *text;
  JsonArray *warnings;
} Save;

static void
save_free (gpointer data)
{
  Save *self = data;
  spt_http_request_unref (self->request);
  json_array_unref (self->warnings);
  g_free (self->path);
  g_free (self->text);
  g_free (self);
}

/* @waiting: (nullable) */
static void
reply (Save *self, char **waiting)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();
  json_object_set_array_member (object, "warnings", json_array_ref (self->warnings));
  json_object_set_member (object, "restart", spt_json_strings ((const char *const *)waiting));
  json_node_take_object (node, object);
  spt_http_reply_json (self->request, SOUP_STATUS_OK, node);
}

static void
write_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Save *self = data;
  GError *error = NULL;
  if (spt_file_replace (self->path, self->text, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void
on_written (GObject *object, GAsyncResult *result, gpointer data)
{
  SptConfigApi *api = data;
  Save *self = g_task_get_task_data (G_TASK (result));
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) waiting = NULL;
  api->writing--;
  if (g_task_propagate_boolean (G_TASK (result), &error))
    waiting = spt_configuration_reload (api->configuration, &error);
  if (waiting)
    reply (self, waiting);
  else
    spt_http_reply_error (self->request, error);
}

/* (transfer full) (nullable) */
static char *
read_body (SptHttpRequest *request, GError **error)
{
  g_autoptr (GBytes) body = spt_http_request_body (request);
  gsize size;
  const char *data = g_bytes_get_data (body, &size);
  if (g_utf8_validate (data ? data : "", (gssize)size, NULL))
    return g_strndup (data ? data : "", size);
  g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "the configuration must be text in UTF-8");
  return NULL;
}

/* ?check=1 changes nothing. */
static void
on_post (SptHttpRequest *request, gpointer data)
{
  SptConfigApi *api = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *masked = read_body (request, &error);
  g_autofree char *before = masked ? read_file (api, &error) : NULL;
  g_autofree char *text = before ? spt_config_unmask (masked, before, &error) : NULL;
  gboolean trusted = spt_settings_bool (api->host->settings, "api.allow_pipelines");
  g_autoptr (SptConfig) config =
      text ? spt_configuration_check (api->configuration, text, trusted, &error) : NULL;
  if (!config) {
    spt_http_reply_error (request, error);
    return;
  }
  Save *self = g_new0 (Save, 1);
  self->api = api;
  self->request = spt_http_request_ref (request);
  self->path = g_strdup (spt_configuration_get_path (api->configuration));
  self->text = g_steal_pointer (&text);
  self->warnings = json_array_new ();
  for (guint i = 0; i < config->warnings->len; i++)
    json_array_add_string_element (self->warnings, g_ptr_array_index (config->warnings, i));
  if (g_strcmp0 (spt_http_request_param (request, "check"), "1") == 0) {
    g_auto (GStrv) waiting = spt_settings_compare (api->host->settings, config->settings);
    reply (self, waiting);
    save_free (self);
    return;
  }
  api->writing++;
  spt_http_wait (request);
  g_autoptr (GTask) task = g_task_new (NULL, NULL, on_written, api);
  g_task_set_task_data (task, self, save_free);
  g_task_run_in_thread (task, write_thread);
}

/* ---- the beginning and the end ------------------------------------------------------------ */

/* @host: must outlive it, like @configuration, which has been applied */
SptConfigApi *
spt_config_api_new (SptHost *host, SptConfiguration *configuration)
{
  SptConfigApi *self = g_new0 (SptConfigApi, 1);
  self->host = host;
  self->configuration = configuration;
  spt_http_route (host->http, "GET,HEAD", "/api/config", SPT_ACTION_MANAGE, on_get, self);
  spt_http_route (host->http, "POST", "/api/config", SPT_ACTION_MANAGE, on_post, self);
  const char *path = spt_configuration_get_path (configuration);
  g_autoptr (GFile) file = path ? g_file_new_for_path (path) : NULL;
  self->monitor = file ? g_file_monitor_file (file, G_FILE_MONITOR_NONE, NULL, NULL) : NULL;
  if (self->monitor)
    g_signal_connect (self->monitor, "changed", G_CALLBACK (on_changed), self);
  return self;
}

/* Waits until what is being written is written. */
void
spt_config_api_free (SptConfigApi *self)
{
  while (self->writing)
    g_main_context_iteration (NULL, TRUE);
  g_clear_handle_id (&self->settle_id, g_source_remove);
  if (self->monitor)
    g_signal_handlers_disconnect_by_data (self->monitor, self);
  g_clear_object (&self->monitor);
  g_free (self);
}
