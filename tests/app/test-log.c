/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/gst.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "error.h"
#include "log.h"

/* Lines that the log promises to keep. */
#define KEPT 1000

GST_DEBUG_CATEGORY_STATIC (ours);
GST_DEBUG_CATEGORY_STATIC (others);
#define GST_CAT_DEFAULT ours

static char *path; /* where lines go: standard output is for TAP */

/* @level, @format: (nullable): NULL for the fallback */
static gboolean
configure (const char *level, const char *output, const char *format, GError **error)
{
  const char *options[][2] = {{"log.level", level}, {"log.output", output}, {"log.format", format}};
  g_autoptr (SptSettings) settings = spt_settings_new ();
  spt_log_declare_options (settings);
  for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
    const char *values[] = {options[i][1], NULL};
    if (values[0])
      g_assert_true (spt_settings_set (settings, options[i][0], values, NULL));
  }
  return spt_log_configure (settings, error);
}

/* Nothing has been said yet: neither in the file nor in what is kept. */
static void
begin (const char *level, const char *format)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (g_file_set_contents (path, "", 0, NULL));
  configure (level, path, format, &error);
  g_assert_no_error (error);
  spt_log_clear ();
}

/* What spt_log_read() gives, line by line; each is JSON. */
static GPtrArray *
read_kept (void)
{
  g_autofree char *text = spt_log_read ();
  g_auto (GStrv) lines = g_strsplit (text, "\n", 0);
  GPtrArray *objects = g_ptr_array_new_with_free_func ((GDestroyNotify)json_node_unref);
  for (char **line = lines; **line; line++) {
    g_autoptr (GError) error = NULL;
    JsonNode *node = json_from_string (*line, &error);
    g_assert_no_error (error);
    g_ptr_array_add (objects, node);
  }
  return objects;
}

static const char *
member (GPtrArray *objects, guint index, const char *name)
{
  g_assert_cmpuint (index, <, objects->len);
  return json_object_get_string_member (
      json_node_get_object (g_ptr_array_index (objects, index)), name);
}

static char *
read_file (void)
{
  char *text = NULL;
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return text;
}

static void
test_lines_are_printed_and_kept (void)
{
  begin (NULL, NULL);
  gint64 now = g_get_real_time () / 1000;
  GST_INFO ("listen addr=%s", ":1984");
  GST_WARNING ("two\nlines and a \"quote\"");
  GST_DEBUG ("below the level");
  GST_CAT_ERROR (others, "not ours");
  g_autoptr (GPtrArray) kept = read_kept ();
  g_assert_cmpuint (kept->len, ==, 2);
  g_assert_cmpstr (member (kept, 0, "level"), ==, "info");
  g_assert_cmpstr (member (kept, 0, "message"), ==, "[test] listen addr=:1984");
  g_assert_cmpstr (member (kept, 1, "level"), ==, "warn");
  g_assert_cmpstr (member (kept, 1, "message"), ==, "[test] two lines and a \"quote\"");
  JsonObject *first = json_node_get_object (g_ptr_array_index (kept, 0));
  g_assert_cmpint (json_object_get_int_member (first, "time"), >=, now);
  g_autofree char *text = read_file ();
  g_assert_true (g_regex_match_simple ("^\\d\\d:\\d\\d:\\d\\d\\.\\d{3} INF \\[test\\] listen "
                                       "addr=:1984\n[\\d:.]+ WRN \\[test\\] two lines and a "
                                       "\"quote\"\n$",
      text, G_REGEX_DOLLAR_ENDONLY, 0));
}

static void
test_json_is_printed_a_line_each (void)
{
  begin ("debug", "json");
  GST_DEBUG ("a \"quote\", a \\ and a\nbreak");
  g_autofree char *text = read_file ();
  g_autoptr (JsonNode) node = json_from_string (text, NULL);
  JsonObject *object = json_node_get_object (node);
  g_assert_cmpstr (strchr (text, '\n'), ==, "\n");
  g_assert_cmpstr (json_object_get_string_member (object, "level"), ==, "DBG");
  g_assert_cmpstr (json_object_get_string_member (object, "module"), ==, "test");
  g_assert_cmpstr (
      json_object_get_string_member (object, "message"), ==, "a \"quote\", a \\ and a break");
}

static void
test_newest_lines_are_kept (void)
{
  begin (NULL, NULL);
  for (int i = 0; i < KEPT + 5; i++)
    GST_INFO ("line %d", i);
  g_autoptr (GPtrArray) kept = read_kept ();
  g_assert_cmpuint (kept->len, ==, KEPT);
  g_assert_cmpstr (member (kept, 0, "message"), ==, "[test] line 5");
  g_assert_cmpstr (member (kept, KEPT - 1, "message"), ==, "[test] line 1004");
}

static void
test_cleared_log_begins_anew (void)
{
  begin (NULL, NULL);
  GST_INFO ("before");
  spt_log_clear ();
  g_autofree char *empty = spt_log_read ();
  g_assert_cmpstr (empty, ==, "");
  GST_INFO ("after");
  g_autoptr (GPtrArray) kept = read_kept ();
  g_assert_cmpuint (kept->len, ==, 1);
  g_assert_cmpstr (member (kept, 0, "message"), ==, "[test] after");
}

static void
test_credentials_are_neither_printed_nor_kept (void)
{
  static const char *const formats[] = {"text", "json"};
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    begin (NULL, formats[i]);
    GST_INFO ("cam: rtsp://user:canary@cam.example/live?token=canary does not answer");
    g_autofree char *printed = read_file ();
    g_autofree char *kept = spt_log_read ();
    g_assert_nonnull (strstr (printed, "rtsp://***@cam.example/live?token=*** does not answer"));
    g_assert_nonnull (strstr (kept, "rtsp://***@cam.example/live?token=*** does not answer"));
    g_assert_null (strstr (printed, "canary"));
    g_assert_null (strstr (kept, "canary"));
  }
}

static void
test_mistakes_name_what_is_expected (void)
{
  g_autoptr (GError) level = NULL, output = NULL;
  g_assert_false (configure ("loud", path, NULL, &level));
  g_assert_error (level, SPT_ERROR, SPT_ERROR_INVALID);
  g_assert_cmpstr (
      level->message, ==, "log.level is 'loud'; it must be error, warn, info, debug or trace");
  g_assert_false (configure (NULL, "/proc/spotter/log", NULL, &output));
  g_assert_error (output, SPT_ERROR, SPT_ERROR_INVALID);
  g_assert_true (g_str_has_prefix (output->message, "log.output: /proc/spotter/log cannot be "));
}

int
main (int argc, char **argv)
{
  g_unsetenv ("GST_DEBUG");
  gst_init (NULL, NULL);
  g_test_init (&argc, &argv, NULL);
  GST_DEBUG_CATEGORY_INIT (ours, "spotter-test", 0, "of this test");
  GST_DEBUG_CATEGORY_INIT (others, "somebody", 0, "of somebody else");
  gst_debug_category_set_threshold (others, GST_LEVEL_WARNING);
  path = g_build_filename (g_get_tmp_dir (), "spotter-log-XXXXXX", NULL);
  g_close (g_mkstemp (path), NULL);
  spt_log_start ();
  g_test_add_func ("/log/lines-are-printed-and-kept", test_lines_are_printed_and_kept);
  g_test_add_func ("/log/json-is-printed-a-line-each", test_json_is_printed_a_line_each);
  g_test_add_func ("/log/newest-lines-are-kept", test_newest_lines_are_kept);
  g_test_add_func ("/log/cleared-log-begins-anew", test_cleared_log_begins_anew);
  g_test_add_func ("/log/credentials-are-neither-printed-nor-kept",
      test_credentials_are_neither_printed_nor_kept);
  g_test_add_func ("/log/mistakes-name-what-is-expected", test_mistakes_name_what_is_expected);
  int failed = g_test_run ();
  g_remove (path);
  g_free (path);
  return failed;
}
