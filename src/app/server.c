/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "server.h"

#include <glib-unix.h>
#include <gst/gst.h>

#include "api-config.h"
#include "api-devices.h"
#include "api.h"
#include "auth.h"
#include "doors-table.h"
#include "error.h"
#include "log.h"
#include "pipeline.h"
#include "store.h"
#include "web.h"

/* A socket that takes nothing for so long is cut (design.md 7). */
#define STALL_MS 15000

static const SptOption options[] = {
    {"app.state", SPT_OPTION_STRING, "", 0, 0,
        "file that keeps what the API adds; empty: streams.yaml in the state directory"},
    {"api.allow_pipelines", SPT_OPTION_BOOL, "false", 0, 0,
        "gst: sources may be added through the API; they can run anything"},
};

GST_DEBUG_CATEGORY_STATIC (spotter_app);
#define GST_CAT_DEFAULT spotter_app

struct _SptServer {
  GMainLoop *loop;
  SptSettings *settings;
  SptConfiguration *configuration;
  SptAuth *auth;
  SptHost host;
  SptStore *store;
  SptApi *api;
  SptConfigApi *config_api;
  gpointer *doors;
  guint signal_ids[3];
};

static SptSettings *
declare (void)
{
  SptSettings *settings = spt_settings_new ();
  spt_settings_declare (settings, options, G_N_ELEMENTS (options));
  spt_log_declare_options (settings);
  spt_http_declare_options (settings);
  spt_auth_declare_options (settings);
  spt_streams_declare_options (settings);
  for (guint i = 0; i < spt_n_outputs; i++)
    spt_settings_declare (settings, spt_outputs[i]->options, spt_outputs[i]->n_options);
  return settings;
}

/* (transfer full): every option with its default, for --help */
char *
spt_server_describe_options (void)
{
  g_autoptr (SptSettings) settings = declare ();
  return spt_settings_describe (settings);
}

static gboolean
put (SptServer *self, const char *name, const char *const *sources, const char *where,
    GError **error)
{
  g_autoptr (GError) local = NULL;
  if (spt_streams_put (self->host.streams, name, sources, TRUE, &local))
    return TRUE;
  g_set_error (
      error, SPT_ERROR, SPT_ERROR_INVALID, "the stream %s in %s: %s", name, where, local->message);
  return FALSE;
}

static void
put_stored (const char *name, const char *const *sources, gpointer data)
{
  SptServer *self = data;
  g_autoptr (GError) error = NULL;
  if (sources && !put (self, name, sources, "the state file", &error))
    GST_WARNING ("%s", error->message);
}

static gboolean
add_streams (SptServer *self, const SptServerOptions *how, GError **error)
{
  const char *path = spt_settings_string (self->settings, "app.state");
  g_autofree char *fallback = *path ? NULL : spt_store_default_path ();
  self->store = spt_store_new (how->launch ? NULL : *path ? path : fallback);
  if (!how->launch && !spt_store_load (self->store, error))
    return FALSE;
  if (!spt_configuration_apply (self->configuration, self->host.streams, self->store, error))
    return FALSE;
  spt_store_foreach (self->store, put_stored, self);
  if (!how->launch)
    return TRUE;
  g_autofree char *source = g_strconcat ("gst:", how->launch, NULL);
  const char *sources[] = {source, NULL};
  return put (self, how->name, sources, "the command line", error);
}

static gboolean
start_doors (SptServer *self, GError **error)
{
  self->doors = g_new0 (gpointer, spt_n_outputs);
  for (guint i = 0; i < spt_n_outputs; i++) {
    self->doors[i] = spt_outputs[i]->start (&self->host, error);
    if (!self->doors[i])
      return FALSE;
  }
  return TRUE;
}

static gboolean
on_signal (gpointer data)
{
  SptServer *self = data;
  spt_server_quit (self);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_hangup (gpointer data)
{
  SptServer *self = data;
  spt_config_api_reload (self->config_api);
  return G_SOURCE_CONTINUE;
}

/**
 * spt_server_new:
 *
 * Reads the configuration, opens the doors. No camera is opened.
 *
 * Returns: (nullable): NULL and a sentence when it cannot start
 */
SptServer *
spt_server_new (const SptServerOptions *how, GError **error)
{
  SptServer *self = g_new0 (SptServer, 1);
  GST_DEBUG_CATEGORY_INIT (spotter_app, "spotter-app", 0, "application");
  self->loop = g_main_loop_new (NULL, FALSE);
  self->configuration = spt_configuration_new (
      &(SptConfigurationHow){how->configs, how->listen, how->launch != NULL}, declare, error);
  if (!self->configuration) {
    spt_server_free (self);
    return NULL;
  }
  self->settings = spt_settings_ref (spt_configuration_get_settings (self->configuration));
  self->auth = spt_auth_new (spt_settings_string (self->settings, "api.username"),
      spt_settings_string (self->settings, "api.password"),
      spt_settings_bool (self->settings, "api.local_auth"));
  self->host = (SptHost){.settings = self->settings,
      .streams = spt_streams_new (self->settings),
      .http = spt_http_new (self->settings, self->auth),
      .sender = spt_sender_new (STALL_MS)};
  self->host.ws = spt_ws_new (self->host.http, self->host.sender, self->host.streams);
  if (!add_streams (self, how, error)) {
    spt_server_free (self);
    return NULL;
  }
  self->api = spt_api_new (&self->host, self->store, self->configuration);
  self->config_api = spt_config_api_new (&self->host, self->configuration);
  spt_devices_api_start (&self->host);
  spt_web_start (&self->host);
  if (!start_doors (self, error) || !spt_http_listen (self->host.http, error)) {
    spt_server_free (self);
    return NULL;
  }
  self->signal_ids[0] = g_unix_signal_add (SIGTERM, on_signal, self);
  self->signal_ids[1] = g_unix_signal_add (SIGINT, on_signal, self);
  self->signal_ids[2] = g_unix_signal_add (SIGHUP, on_hangup, self);
  return self;
}

/* Serves until spt_server_quit() or SIGTERM, SIGINT. */
void
spt_server_run (SptServer *self)
{
  g_main_loop_run (self->loop);
}

void
spt_server_quit (SptServer *self)
{
  GST_INFO ("stopping");
  g_main_loop_quit (self->loop);
}

/* Safe after a start that failed half way. */
void
spt_server_free (SptServer *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (self->signal_ids); i++)
    g_clear_handle_id (&self->signal_ids[i], g_source_remove);
  g_clear_pointer (&self->api, spt_api_free);
  g_clear_pointer (&self->config_api, spt_config_api_free);
  if (self->host.http)
    spt_http_stop (self->host.http);
  if (self->host.sender)
    spt_sender_stop (self->host.sender);
  while (self->host.sender && spt_sender_count (self->host.sender))
    g_main_context_iteration (NULL, TRUE);
  for (guint i = spt_n_outputs; self->doors && i-- > 0;)
    if (self->doors[i] && spt_outputs[i]->stop)
      spt_outputs[i]->stop (self->doors[i]);
  g_free (self->doors);
  if (self->host.streams)
    spt_streams_stop (self->host.streams);
  spt_pipeline_wait_stopped ();
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_clear_pointer (&self->host.ws, spt_ws_free);
  g_clear_object (&self->host.sender);
  g_clear_object (&self->host.http);
  g_clear_object (&self->host.streams);
  g_clear_pointer (&self->store, spt_store_free);
  g_clear_pointer (&self->auth, spt_auth_free);
  g_clear_pointer (&self->configuration, spt_configuration_free);
  g_clear_pointer (&self->settings, spt_settings_unref);
  g_main_loop_unref (self->loop);
  g_free (self);
}
