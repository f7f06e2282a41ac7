/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command table: serve (the default) and launch run here, all other verbs ask a running server.
 */
#include "config.h"

#include <gst/gst.h>
#include <locale.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "ctl.h"
#include "log.h"
#include "server.h"

/* Our elements, from the build tree when running there, else from where they were installed. */
static void
load_plugin (void)
{
  g_autofree char *exe = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *directory = exe ? g_path_get_dirname (exe) : g_strdup (".");
  g_autofree char *own = g_build_filename (directory, "..", "plugins", "libgstspotter.so", NULL);
  g_autofree char *installed = g_build_filename (SPT_PLUGIN_DIR, "libgstspotter.so", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GstPlugin) plugin =
      gst_plugin_load_file (g_file_test (own, G_FILE_TEST_EXISTS) ? own : installed, &error);
  if (!plugin)
    g_printerr ("spotter: its own GStreamer plugin is missing: %s\n", error->message);
}

/* Every viewer is a descriptor, and the usual soft limit is 1024. */
static void
raise_descriptor_limit (void)
{
  struct rlimit limit;
  if (getrlimit (RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = MIN (limit.rlim_max, 65536);
    setrlimit (RLIMIT_NOFILE, &limit);
  }
}

static int
serve (const SptServerOptions *options)
{
  g_autoptr (GError) error = NULL;
  raise_descriptor_limit ();
  gst_init (NULL, NULL);
  spt_log_start ();
  load_plugin ();
  SptServer *server = spt_server_new (options, &error);
  if (!server) {
    g_printerr ("spotter: %s\n", error->message);
    return EX_CONFIG;
  }
  spt_server_run (server);
  spt_server_free (server);
  return EX_OK;
}

static char *
describe_verbs (void)
{
  g_autofree char *options = spt_server_describe_options ();
  GString *text =
      g_string_new ("Commands:\n"
                    "  serve                    serves the streams of the configuration "
                    "(the default)\n"
                    "  launch ELEMENT ! …       serves a GStreamer pipeline\n");
  for (guint i = 0; i < spt_n_verbs; i++)
    g_string_append_printf (text, "  %-24s %s\n", spt_verbs[i].name, spt_verbs[i].summary);
  g_string_append_printf (text, "\nOptions of the configuration (-c key=value):\n%s", options);
  return g_string_free (text, FALSE);
}

static int
run_serve (int argc, char **argv)
{
  g_auto (GStrv) configs = NULL, rest = NULL;
  g_autofree char *listen = NULL;
  gboolean version = FALSE;
  const GOptionEntry entries[] = {
      {"config", 'c', 0, G_OPTION_ARG_STRING_ARRAY, &configs,
          "a configuration file, {inline: yaml} or key=value; may be repeated", "FILE"},
      {"listen", 0, 0, G_OPTION_ARG_STRING, &listen, "address of the HTTP door", "ADDR"},
      {"version", 'v', 0, G_OPTION_ARG_NONE, &version, "print the version", NULL},
      {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &rest, NULL, NULL},
      {NULL},
  };
  g_autofree char *description = describe_verbs ();
  g_autoptr (GOptionContext) context =
      g_option_context_new ("[COMMAND] - opens a camera once and gives it to everyone");
  g_autoptr (GError) error = NULL;
  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_set_description (context, description);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("spotter: %s\n", error->message);
    return EX_USAGE;
  }
  if (rest) {
    g_printerr ("spotter: there is no command '%s'; see spotter --help\n", rest[0]);
    return EX_USAGE;
  }
  if (version) {
    g_print ("spotter %s\n", SPT_VERSION);
    return EX_OK;
  }
  return serve (&(SptServerOptions){.configs = configs, .listen = listen});
}

/* As gst-launch-1.0 does: an argument with spaces stays one word, unless it is quoted itself. */
static char *
join (char **words)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; words[i]; i++) {
    gboolean quoted = FALSE;
    if (i)
      g_string_append_c (text, ' ');
    for (const char *c = words[i]; *c; c++) {
      quoted ^= *c == '"';
      if (*c == ' ' && !quoted)
        g_string_append_c (text, '\\');
      g_string_append_c (text, *c);
    }
  }
  return g_string_free (text, FALSE);
}

static int
run_launch (int argc, char **argv)
{
  g_auto (GStrv) configs = NULL, rest = NULL;
  g_autofree char *listen = NULL, *name = NULL;
  const GOptionEntry entries[] = {
      {"config", 'c', 0, G_OPTION_ARG_STRING_ARRAY, &configs, "as for serve", "FILE"},
      {"listen", 0, 0, G_OPTION_ARG_STRING, &listen, "address of the HTTP door", "ADDR"},
      {"name", 0, 0, G_OPTION_ARG_STRING, &name, "the stream's name [camera]", "NAME"},
      {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &rest, NULL, NULL},
      {NULL},
  };
  g_autoptr (GOptionContext) context =
      g_option_context_new ("ELEMENT ! ELEMENT … - serves a GStreamer pipeline");
  g_autoptr (GError) error = NULL;
  g_option_context_set_strict_posix (context, TRUE); /* what follows belongs to the pipeline */
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("spotter: %s\n", error->message);
    return EX_USAGE;
  }
  if (!rest) {
    g_printerr ("spotter: launch needs a pipeline, such as: videotestsrc ! x264enc\n");
    return EX_USAGE;
  }
  g_autofree char *text = join (rest);
  return serve (&(SptServerOptions){
      .configs = configs, .listen = listen, .launch = text, .name = name ? name : "camera"});
}

/* go2rtc's users write long options with one dash. */
static void
accept_single_dashes (int argc, char **argv)
{
  static const struct {
    const char *from;
    const char *to;
  } spellings[] = {{"-listen", "--listen"}, {"-config", "--config"}, {"-version", "--version"}};
  for (int i = 1; i < argc; i++)
    for (guint s = 0; s < G_N_ELEMENTS (spellings); s++)
      if (g_str_equal (argv[i], spellings[s].from))
        argv[i] = (char *)spellings[s].to;
}

int
main (int argc, char **argv)
{
  setlocale (LC_ALL, "");
  const char *verb = argc > 1 ? argv[1] : "";
  if (g_str_equal (verb, "launch"))
    return run_launch (argc - 1, argv + 1);
  for (guint i = 0; i < spt_n_verbs; i++)
    if (g_str_equal (verb, spt_verbs[i].name))
      return spt_verbs[i].run (argc - 1, argv + 1);
  accept_single_dashes (argc, argv);
  if (g_str_equal (verb, "serve"))
    return run_serve (argc - 1, argv + 1);
  return run_serve (argc, argv);
}
