/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streams follow the configuration while the server runs: those whose sources are the same are not
 * touched. Options are read once by those who declared them, so a change of them waits for the next
 * start; those of the log do not. */
#include "config.h"

#include "configuration.h"

#include "error.h"
#include "log.h"
#include "spec.h"

GST_DEBUG_CATEGORY (spotter_config);
#define GST_CAT_DEFAULT spotter_config

struct _SptConfiguration {
  SptSettings *(*declare) (void);
  char **configs;
  char *listen;
  char *path; /* (nullable): the file that is edited; it need not exist yet */
  SptConfig *config;
  SptSettings *settings; /* as at the start */

  SptStreams *streams; /* from spt_configuration_apply() on */
  SptStore *store;
};

/* @text: (nullable): to be read instead of the file that is edited */
static SptConfig *
read_all (SptConfiguration *self, const char *text, GError **error)
{
  g_autoptr (SptSettings) settings = self->declare ();
  g_autoptr (SptConfig) config = spt_config_new (settings);
  gboolean read = FALSE, ok = TRUE;
  for (char **c = self->configs; ok && c && *c; c++) {
    g_autofree char *path = g_canonicalize_filename (*c, NULL);
    gboolean edited = text && g_strcmp0 (path, self->path) == 0;
    ok = edited ? spt_config_add_text (config, *c, text, strlen (text), error)
                : spt_config_add (config, *c, error);
    read |= edited;
  }
  if (ok && text && !read)
    ok = spt_config_add_text (config, self->path, text, strlen (text), error);
  if (ok && self->listen)
    ok = spt_settings_set (settings, "api.listen", (const char *[]){self->listen, NULL}, error);
  return ok ? g_steal_pointer (&config) : NULL;
}

static void
log_warnings (SptConfig *config)
{
  for (guint i = 0; i < config->warnings->len; i++)
    GST_WARNING ("%s", (char *)g_ptr_array_index (config->warnings, i));
}

/**
 * spt_configuration_new:
 * @declare: makes settings that know every option; (transfer full)
 *
 * Returns: or NULL and INVALID with file:line and what was expected
 */
SptConfiguration *
spt_configuration_new (
    const SptConfigurationHow *how, SptSettings *(*declare) (void), GError **error)
{
  SptConfiguration *self = g_new0 (SptConfiguration, 1);
  GST_DEBUG_CATEGORY_INIT (spotter_config, "spotter-config", 0, "configuration");
  self->declare = declare;
  self->listen = g_strdup (how->listen);
  self->configs = g_strdupv (how->configs);
  if ((!how->configs || !how->configs[0]) && !how->no_file) {
    g_autofree char *found = spt_config_find ();
    self->path = g_canonicalize_filename (found, NULL);
    g_strfreev (self->configs);
    self->configs =
        g_file_test (found, G_FILE_TEST_EXISTS) ? g_strdupv ((char *[]){found, NULL}) : NULL;
  }
  self->config = read_all (self, NULL, error);
  if (!self->config || !spt_log_configure (self->config->settings, error)) {
    spt_configuration_free (self);
    return NULL;
  }
  if (!self->path)
    self->path = g_strdup (self->config->path);
  self->settings = spt_settings_ref (self->config->settings);
  log_warnings (self->config);
  return self;
}

void
spt_configuration_free (SptConfiguration *self)
{
  g_clear_pointer (&self->config, spt_config_free);
  g_clear_pointer (&self->settings, spt_settings_unref);
  g_strfreev (self->configs);
  g_free (self->listen);
  g_free (self->path);
  g_free (self);
}

/* Those of the start. */
SptSettings *
spt_configuration_get_settings (SptConfiguration *self)
{
  return self->settings;
}

/* (nullable): of the file that is edited; NULL when there is none, as with -c key=value */
const char *
spt_configuration_get_path (SptConfiguration *self)
{
  return self->path;
}

static SptConfigStream *
find_stream (SptConfig *config, const char *name)
{
  for (guint i = 0; i < config->streams->len; i++) {
    SptConfigStream *stream = g_ptr_array_index (config->streams, i);
    if (g_str_equal (stream->name, name))
      return stream;
  }
  return NULL;
}

gboolean
spt_configuration_has_stream (SptConfiguration *self, const char *name)
{
  return find_stream (self->config, name) != NULL;
}

/* What the API has said of a stream stands above the configuration. */
static gboolean
put_streams (SptConfiguration *self, SptConfig *config, GError **error)
{
  for (guint i = 0; i < config->streams->len; i++) {
    SptConfigStream *stream = g_ptr_array_index (config->streams, i);
    g_auto (GStrv) stored = NULL;
    g_autoptr (GError) local = NULL;
    if (spt_store_lookup (self->store, stream->name, &stored) ||
        spt_streams_put (
            self->streams, stream->name, (const char *const *)stream->sources, TRUE, &local)) {
      spt_streams_set_pose (self->streams, stream->name, stream->pose);
      continue;
    }
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "the stream %s in the configuration: %s",
        stream->name, local->message);
    return FALSE;
  }
  return TRUE;
}

/**
 * spt_configuration_apply:
 * @streams: get those of the configuration, now and at each spt_configuration_reload(); must
 *   outlive it, like @store
 */
gboolean
spt_configuration_apply (
    SptConfiguration *self, SptStreams *streams, SptStore *store, GError **error)
{
  self->streams = streams;
  self->store = store;
  return put_streams (self, self->config, error);
}

static void
remove_streams (SptConfiguration *self, SptConfig *config)
{
  for (guint i = 0; i < self->config->streams->len; i++) {
    const SptConfigStream *stream = g_ptr_array_index (self->config->streams, i);
    g_auto (GStrv) stored = NULL;
    if (!find_stream (config, stream->name) &&
        !spt_store_lookup (self->store, stream->name, &stored))
      spt_streams_remove (self->streams, stream->name, NULL);
  }
}

/**
 * spt_configuration_reload:
 *
 * Returns: (transfer full) (nullable): options that differ from those the server has started with;
 *   or NULL and why nothing has changed
 */
char **
spt_configuration_reload (SptConfiguration *self, GError **error)
{
  const char *text = NULL;
  g_autofree char *fresh = NULL;
  if (self->path && !self->configs) { /* it was not there at the start */
    if (!g_file_get_contents (self->path, &fresh, NULL, NULL))
      fresh = g_strdup ("");
    text = fresh;
  }
  g_autoptr (SptConfig) config = read_all (self, text, error);
  if (!config || !spt_log_set_level (config->settings, error) || !put_streams (self, config, error))
    return NULL;
  remove_streams (self, config);
  g_clear_pointer (&self->config, spt_config_free);
  self->config = g_steal_pointer (&config);
  log_warnings (self->config);
  return spt_settings_compare (self->settings, self->config->settings);
}

static gboolean
is_known_source (SptConfiguration *self, const char *source)
{
  for (guint i = 0; i < self->config->streams->len; i++) {
    const SptConfigStream *stream = g_ptr_array_index (self->config->streams, i);
    if (g_strv_contains ((const char *const *)stream->sources, source))
      return TRUE;
  }
  return FALSE;
}

static gboolean
check_stream (
    SptConfiguration *self, const SptConfigStream *stream, gboolean trusted, GError **error)
{
  g_autoptr (GError) local = NULL;
  if (!spt_stream_name_is_valid (stream->name)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "the stream '%s': its name has 1 to 64 letters, digits, '_', '-' or '.', and does not "
        "start with a dot",
        stream->name);
    return FALSE;
  }
  for (char **source = stream->sources; *source; source++) {
    g_autoptr (SptSpec) spec =
        **source ? spt_spec_parse (*source, trusted || is_known_source (self, *source), &local)
                 : NULL;
    if (!local)
      continue;
    g_set_error (
        error, SPT_ERROR, (int)local->code, "the stream %s: %s", stream->name, local->message);
    return FALSE;
  }
  return TRUE;
}

/**
 * spt_configuration_check:
 * @text: what the file is to become
 * @trusted: it may bring sources that only trusted texts may hold; else just those it has
 *
 * Nothing is changed.
 *
 * Returns: (transfer full) (nullable): how it was understood; or NULL, INVALID or FORBIDDEN
 */
SptConfig *
spt_configuration_check (SptConfiguration *self, const char *text, gboolean trusted, GError **error)
{
  g_autoptr (SptConfig) config = read_all (self, text, error);
  if (config && !spt_log_check (config->settings, error))
    return NULL;
  for (guint i = 0; config && i < config->streams->len; i++)
    if (!check_stream (self, g_ptr_array_index (config->streams, i), trusted, error))
      return NULL;
  return g_steal_pointer (&config);
}
