/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Our files log through GStreamer's categories, `spotter-MODULE` each; here they become lines. The
 * rest of GStreamer is heard from WARNING up only when GST_DEBUG asks for it. */
#include "config.h"

#include "log.h"

#include <errno.h>
#include <gst/gst.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "redact.h"

static const SptOption options[] = {
    {"log.level", SPT_OPTION_STRING, "info", 0, 0, "error, warn, info, debug or trace"},
    {"log.output", SPT_OPTION_STRING, "stdout", 0, 0, "stdout, stderr or a file"},
    {"log.out", SPT_OPTION_STRING, "", 0, 0, "the same, as go2rtc's users write it"},
    {"log.format", SPT_OPTION_STRING, "text", 0, 0, "text or json"},
};

/* Lines that are kept for who asks later. */
#define KEPT 1000

static FILE *output;
static gboolean as_json;
static GMutex kept_lock;
static GQueue kept = G_QUEUE_INIT; /* of char*: JSON; under kept_lock */

typedef struct {
  const char *name;
  GstDebugLevel level;
} Level;

static const Level levels[] = {
    {"error", GST_LEVEL_ERROR},
    {"fatal", GST_LEVEL_ERROR},
    {"warn", GST_LEVEL_WARNING},
    {"warning", GST_LEVEL_WARNING},
    {"info", GST_LEVEL_INFO},
    {"debug", GST_LEVEL_DEBUG},
    {"trace", GST_LEVEL_LOG},
};

static const char *
short_name (GstDebugLevel level)
{
  switch (level) {
  case GST_LEVEL_ERROR:
    return "ERR";
  case GST_LEVEL_WARNING:
    return "WRN";
  case GST_LEVEL_INFO:
    return "INF";
  case GST_LEVEL_DEBUG:
    return "DBG";
  default:
    return "TRC";
  }
}

static const char *
long_name (GstDebugLevel level)
{
  for (guint i = 0; i < G_N_ELEMENTS (levels); i++)
    if (levels[i].level == level)
      return levels[i].name;
  return "trace";
}

/* Any thread */
static void
keep (GstDebugLevel level, const char *module, const char *quoted)
{
  char *line =
      g_strdup_printf ("{\"level\":\"%s\",\"time\":%" G_GINT64_FORMAT ",\"message\":\"[%s] %s\n",
          long_name (level), g_get_real_time () / 1000, module, quoted + 1);
  line[strlen (line) - 1] = '}'; /* behind the text's own quote */
  g_mutex_lock (&kept_lock);
  g_queue_push_tail (&kept, line);
  if (kept.length > KEPT)
    g_free (g_queue_pop_head (&kept));
  g_mutex_unlock (&kept_lock);
}

/* (transfer full): the last lines, a JSON object each */
char *
spt_log_read (void)
{
  GString *text = g_string_new (NULL);
  g_mutex_lock (&kept_lock);
  for (GList *l = kept.head; l; l = l->next)
    g_string_append_printf (text, "%s\n", (char *)l->data);
  g_mutex_unlock (&kept_lock);
  return g_string_free (text, FALSE);
}

void
spt_log_clear (void)
{
  g_mutex_lock (&kept_lock);
  g_queue_clear_full (&kept, g_free);
  g_mutex_unlock (&kept_lock);
}

static void
on_line (GstDebugCategory *category, GstDebugLevel level, const char *file, const char *function,
    int line, GObject *object, GstDebugMessage *message, gpointer data)
{
  const char *name = gst_debug_category_get_name (category);
  if (!g_str_has_prefix (name, "spotter-"))
    return;
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *text = spt_redact (gst_debug_message_get (message));
  g_strdelimit (text, "\r\n", ' ');
  const char *module = name + strlen ("spotter-");
  g_autoptr (JsonNode) node = json_node_init_string (json_node_alloc (), text);
  g_autofree char *quoted = json_to_string (node, FALSE);
  keep (level, module, quoted);
  if (as_json) {
    fprintf (output,
        "{\"time\":%" G_GINT64_FORMAT ",\"level\":\"%s\",\"module\":\"%s\",\"message\":%s}\n",
        g_get_real_time () / 1000, short_name (level), module, quoted);
  } else {
    fprintf (output, "%02d:%02d:%02d.%03d %s [%s] %s\n", g_date_time_get_hour (now),
        g_date_time_get_minute (now), g_date_time_get_second (now),
        g_date_time_get_microsecond (now) / 1000, short_name (level), module, text);
  }
  fflush (output);
}

void
spt_log_declare_options (SptSettings *settings)
{
  spt_settings_declare (settings, options, G_N_ELEMENTS (options));
}

/* From here on our categories print at INFO. Without GST_DEBUG nothing else does. */
void
spt_log_start (void)
{
  output = stdout;
  if (!g_getenv ("GST_DEBUG"))
    gst_debug_remove_log_function (gst_debug_log_default);
  gst_debug_add_log_function (on_line, NULL, NULL);
  gst_debug_set_threshold_for_name ("spotter-*", GST_LEVEL_INFO);
}

static gboolean
open_output (const char *name, GError **error)
{
  if (g_str_equal (name, "stdout"))
    output = stdout;
  else if (g_str_equal (name, "stderr"))
    output = stderr;
  else
    output = fopen (name, "ae");
  if (output)
    return TRUE;
  output = stdout;
  g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "log.output: %s cannot be written: %s", name,
      g_strerror (errno));
  return FALSE;
}

/* (nullable): NULL and INVALID for a word that is no level */
static const Level *
find_level (SptSettings *settings, GError **error)
{
  const char *name = spt_settings_string (settings, "log.level");
  for (guint i = 0; i < G_N_ELEMENTS (levels); i++)
    if (g_ascii_strcasecmp (name, levels[i].name) == 0)
      return &levels[i];
  g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
      "log.level is '%s'; it must be error, warn, info, debug or trace", name);
  return NULL;
}

gboolean
spt_log_check (SptSettings *settings, GError **error)
{
  return find_level (settings, error) != NULL;
}

/* How much is said. */
gboolean
spt_log_set_level (SptSettings *settings, GError **error)
{
  const Level *level = find_level (settings, error);
  if (level)
    gst_debug_set_threshold_for_name ("spotter-*", level->level);
  return level != NULL;
}

/* Once, before there are other threads. */
gboolean
spt_log_configure (SptSettings *settings, GError **error)
{
  const char *out = spt_settings_string (settings, "log.out");
  as_json = g_str_equal (spt_settings_string (settings, "log.format"), "json");
  return open_output (*out ? out : spt_settings_string (settings, "log.output"), error) &&
         spt_log_set_level (settings, error);
}
