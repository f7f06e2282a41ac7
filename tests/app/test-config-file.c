/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "config-file.h"
#include "error.h"
#include "settings.h"
#include "store.h"

static const SptOption options[] = {
    {"api.listen", SPT_OPTION_STRING, "127.0.0.1:1984", 0, 0, "address"},
    {"api.local_auth", SPT_OPTION_BOOL, "false", 0, 0, "flag"},
    {"api.origin", SPT_OPTION_STRINGS, NULL, 0, 0, "list"},
    {"api.max", SPT_OPTION_INT, "10", 1, 100, "number"},
    {"stream.linger", SPT_OPTION_SECONDS, "10s", 0, 60000, "time"},
    {"log.level", SPT_OPTION_STRING, "info", 0, 0, "level"},
    {"log.out", SPT_OPTION_STRING, "", 0, 0, "output"},
};

static SptConfig *
make_config (void)
{
  g_autoptr (SptSettings) settings = spt_settings_new ();
  spt_settings_declare (settings, options, G_N_ELEMENTS (options));
  return spt_config_new (settings);
}

static SptConfigStream *
stream (SptConfig *config, guint index)
{
  g_assert_cmpuint (index, <, config->streams->len);
  return g_ptr_array_index (config->streams, index);
}

static void
test_options_and_streams (void)
{
  g_autoptr (SptConfig) config = make_config ();
  g_autoptr (GError) error = NULL;
  spt_config_add (config,
      "{api: {listen: ':1984', local_auth: yes, origin: [a.example, b.example], max: 7}, "
      "stream: {linger: 500ms}, streams: {one: 'test:ball', two: [a, b], three: {source: c}}}",
      &error);
  g_assert_no_error (error);
  g_assert_cmpstr (spt_settings_string (config->settings, "api.listen"), ==, ":1984");
  g_assert_true (spt_settings_bool (config->settings, "api.local_auth"));
  g_assert_cmpstr (spt_settings_strings (config->settings, "api.origin")[1], ==, "b.example");
  g_assert_cmpint (spt_settings_int (config->settings, "api.max"), ==, 7);
  g_assert_cmpint (spt_settings_int (config->settings, "stream.linger"), ==, 500);
  g_assert_cmpstr (stream (config, 0)->sources[0], ==, "test:ball");
  g_assert_cmpstr (stream (config, 1)->sources[1], ==, "b");
  g_assert_cmpstr (stream (config, 2)->sources[0], ==, "c");
  g_assert_cmpuint (config->warnings->len, ==, 0);
}

static void
test_go2rtc_file_loads_as_is (void)
{
  g_autoptr (SptConfig) config = make_config ();
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_build_filename (g_get_tmp_dir (), "spotter-go2rtc-XXXXXX", NULL);
  g_close (g_mkstemp (path), NULL);
  g_file_set_contents (path,
      "log:\n  level: debug\n  out: stderr\napi:\n  listen: \":1984\"\nrtsp:\n  listen: \":8554\"\n"
      "webrtc:\n  ice_servers:\n    - urls: [stun:stun.example:3478]\nstreams:\n  camera:\n"
      "    - ffmpeg:video=/dev/video0\n    - ffmpeg:/dev/video0\n",
      -1, NULL);
  spt_config_add (config, path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (spt_settings_string (config->settings, "log.level"), ==, "debug");
  g_assert_cmpstr (stream (config, 0)->sources[1], ==, "ffmpeg:/dev/video0");
  g_remove (path);
}

static const struct {
  const char *yaml, *expected;
} mistakes[] = {
    {"{api: {listen: [a, b]}}", "-c:1: 'api.listen' expects one value, not a list"},
    {"{api: {max: many}}", "-c:1: 'api.max' expects a whole number, not 'many'"},
    {"{api: {max: 1000}}", "-c:1: 'api.max' must lie between 1 and 100, it is 1000"},
    {"{api: {local_auth: perhaps}}", "-c:1: 'api.local_auth' expects true or false, not 'perhaps'"},
    {"{stream: {linger: soon}}",
        "-c:1: 'stream.linger' expects a time such as 10s or 500ms, not 'soon'"},
    {"{api: text}", "-c:1: 'api' expects a mapping"},
    {"{streams: {a: {b: c}}}", "-c:1: a stream needs a source"},
    {"{streams: {a: [[b]]}}", "-c:1: expected a text in this list"},
    {"{streams: {a: [{b: &x {c: *x}}]}}", "-c:1: this is nested too deeply"},
    {"{api: {listen: '${SPOTTER_NOT_SET}'}}",
        "-c:1: ${SPOTTER_NOT_SET} is set nowhere; write ${SPOTTER_NOT_SET:default} for a default"},
};

static void
test_mistakes_name_line_and_expectation (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (mistakes); i++) {
    g_autoptr (SptConfig) config = make_config ();
    g_autoptr (GError) error = NULL;
    g_assert_false (spt_config_add (config, mistakes[i].yaml, &error));
    g_assert_cmpstr (error->message, ==, mistakes[i].expected);
  }
  g_autoptr (SptConfig) config = make_config ();
  g_autoptr (GError) error = NULL;
  g_assert_false (spt_config_add (config, "{a: b", &error));
  g_assert_true (g_str_has_prefix (error->message, "-c:"));
}

static void
test_unknown_keys_warn_with_line (void)
{
  g_autoptr (SptConfig) config = make_config ();
  g_autoptr (GError) error = NULL;
  spt_config_add (config, "{api: {lisen: x}, unheard: {of: 1}, ffmpeg: {bin: x}}", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (config->warnings->len, ==, 3);
  g_assert_cmpstr (g_ptr_array_index (config->warnings, 0), ==,
      "-c:1: 'api.lisen' is not known and has no effect");
}

static void
test_environment_is_substituted (void)
{
  g_autoptr (SptConfig) config = make_config ();
  g_setenv ("SPOTTER_TEST_HOST", "cam.example", TRUE);
  g_assert_true (spt_config_add (config,
      "{env: {PASS: canary}, streams: {a: 'rtsp://u:${PASS}@${SPOTTER_TEST_HOST}:${PORT:554}/x'}}",
      NULL));
  g_assert_cmpstr (stream (config, 0)->sources[0], ==, "rtsp://u:canary@cam.example:554/x");
}

static void
test_assignments (void)
{
  g_autoptr (SptConfig) config = make_config ();
  g_assert_true (spt_config_add (config, "api.listen=127.0.0.1:0", NULL));
  g_assert_true (spt_config_add (config, "streams.cam=test:ball", NULL));
  g_assert_false (spt_config_add (config, "api.nothing=1", NULL));
  g_assert_cmpstr (stream (config, 0)->name, ==, "cam");
}

/* ---- the store ---------------------------------------------------------------------------- */

static void
on_saved (GObject *object, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  *(int *)data = spt_store_save_finish (result, &error) ? 1 : -1;
}

static int
save (SptStore *store)
{
  int state = 0;
  spt_store_save_async (store, on_saved, &state);
  while (!state)
    g_main_context_iteration (NULL, TRUE);
  return state;
}

static void
collect (const char *name, const char *const *sources, gpointer data)
{
  g_autofree char *list = sources ? g_strjoinv ("|", (char **)sources) : g_strdup ("~");
  g_hash_table_insert (data, g_strdup (name), g_steal_pointer (&list));
}

static void
test_store_gives_back_what_it_was_given (void)
{
  g_autofree char *directory = g_dir_make_tmp ("spotter-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "deep", "streams.yaml", NULL);
  const char *sources[] = {"rtsp://u:p\"\\w@h/ü#x=1", "a: b\n- c", NULL};
  SptStore *store = spt_store_new (path);
  g_assert_true (spt_store_load (store, NULL)); /* there is none yet */
  spt_store_put (store, "cam", sources);
  spt_store_put (store, "other", sources);
  spt_store_bury (store, "old");
  spt_store_forget (store, "other");
  g_assert_cmpint (save (store), ==, 1);
  spt_store_free (store);

  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  store = spt_store_new (path);
  g_assert_true (spt_store_load (store, NULL));
  spt_store_foreach (store, collect, seen);
  g_assert_cmpuint (g_hash_table_size (seen), ==, 2);
  g_assert_cmpstr (g_hash_table_lookup (seen, "cam"), ==, "rtsp://u:p\"\\w@h/ü#x=1|a: b\n- c");
  g_assert_cmpstr (g_hash_table_lookup (seen, "old"), ==, "~");
  spt_store_free (store);
  GStatBuf info;
  g_assert_cmpint (g_stat (path, &info), ==, 0);
  g_assert_cmphex (info.st_mode & 0777, ==, 0600); /* it holds passwords */
}

static void
test_store_says_when_it_cannot_write (void)
{
  SptStore *store = spt_store_new ("/proc/spotter/streams.yaml");
  g_assert_cmpint (save (store), ==, -1);
  spt_store_free (store);
}

static void
test_damaged_store_is_reported (void)
{
  g_autofree char *directory = g_dir_make_tmp ("spotter-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "streams.yaml", NULL);
  g_autoptr (GError) error = NULL;
  g_file_set_contents (path, "cam: [unclosed\n", -1, NULL);
  SptStore *store = spt_store_new (path);
  g_assert_false (spt_store_load (store, &error));
  g_assert_nonnull (strstr (error->message, path));
  spt_store_free (store);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/config/options-and-streams", test_options_and_streams);
  g_test_add_func ("/config/go2rtc-file-loads-as-is", test_go2rtc_file_loads_as_is);
  g_test_add_func (
      "/config/mistakes-name-line-and-expectation", test_mistakes_name_line_and_expectation);
  g_test_add_func ("/config/unknown-keys-warn-with-line", test_unknown_keys_warn_with_line);
  g_test_add_func ("/config/environment-is-substituted", test_environment_is_substituted);
  g_test_add_func ("/config/assignments", test_assignments);
  g_test_add_func ("/store/gives-back-what-it-was-given", test_store_gives_back_what_it_was_given);
  g_test_add_func ("/store/says-when-it-cannot-write", test_store_says_when_it_cannot_write);
  g_test_add_func ("/store/damaged-store-is-reported", test_damaged_store_is_reported);
  return g_test_run ();
}
