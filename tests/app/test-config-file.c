/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>

#include "config-file.h"
#include "settings.h"

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
  return g_test_run ();
}
