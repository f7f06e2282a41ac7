/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "ctl.h"

#include <json-glib/json-glib.h>
#include <libsoup/soup.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define TIMEOUT_S 20

/* Options that every verb knows. */
typedef struct {
  char *url, *output, *camera, *stream_name;
  gboolean json;
  char **rest;
} Arguments;

static void
arguments_clear (Arguments *self)
{
  g_free (self->url);
  g_free (self->output);
  g_free (self->camera);
  g_free (self->stream_name);
  g_strfreev (self->rest);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Arguments, arguments_clear)

static const SptVerb *
verb_named (const char *name)
{
  for (guint i = 0; i < spt_n_verbs; i++)
    if (g_str_equal (spt_verbs[i].name, name))
      return &spt_verbs[i];
  return NULL;
}

static gboolean
parse (Arguments *self, int argc, char **argv, guint min, guint max)
{
  const SptVerb *verb = verb_named (argv[0]);
  const GOptionEntry entries[] = {
      {"url", 0, 0, G_OPTION_ARG_STRING, &self->url,
          "the server [$SPOTTER_URL or http://127.0.0.1:1984]", "URL"},
      {"json", 0, 0, G_OPTION_ARG_NONE, &self->json, "print the server's JSON", NULL},
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &self->output, "write to a file", "FILE"},
      {"camera", 0, 0, G_OPTION_ARG_STRING, &self->camera, "the camera's number (add)", "N"},
      {"stream-name", 0, 0, G_OPTION_ARG_STRING, &self->stream_name, "its name (add)", "NAME"},
      {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &self->rest, NULL, NULL},
      {NULL},
  };
  g_autofree char *usage = g_strdup_printf ("%s %s", verb->name, verb->arguments);
  g_autoptr (GOptionContext) context = g_option_context_new (usage);
  g_autoptr (GError) error = NULL;
  g_option_context_set_summary (context, verb->summary);
  g_option_context_add_main_entries (context, entries, NULL);
  g_set_prgname ("spotter");
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("spotter: %s\n", error->message);
    return FALSE;
  }
  guint n = self->rest ? g_strv_length (self->rest) : 0;
  gboolean camera = self->camera && self->stream_name;
  if ((n < min && !camera) || n > max) {
    g_printerr ("spotter: usage: spotter %s\n", usage);
    return FALSE;
  }
  if (!self->url)
    self->url =
        g_strdup (g_getenv ("SPOTTER_URL") ? g_getenv ("SPOTTER_URL") : "http://127.0.0.1:1984");
  return TRUE;
}

/* Asks the server. 0 and @answer, or an exit code after the server's sentence was printed. */
static int
ask (const Arguments *self, const char *method, const char *path, const char *body, GBytes **answer)
{
  g_autofree char *url = g_strconcat (self->url, path, NULL);
  g_autoptr (SoupMessage) message = soup_message_new (method, url);
  g_autoptr (GError) error = NULL;
  if (!message) {
    g_printerr ("spotter: '%s' is not a URL\n", self->url);
    return EX_USAGE;
  }
  g_autoptr (SoupSession) session = soup_session_new_with_options ("timeout", TIMEOUT_S, NULL);
  soup_message_headers_replace (
      soup_message_get_request_headers (message), "Accept", "application/json");
  if (body) {
    g_autoptr (GBytes) bytes = g_bytes_new (body, strlen (body));
    soup_message_set_request_body_from_bytes (message, "application/json", bytes);
  }
  *answer = soup_session_send_and_read (session, message, NULL, &error);
  if (!*answer) {
    g_printerr ("spotter: no server at %s: %s\n", self->url, error->message);
    return EX_UNAVAILABLE;
  }
  guint status = soup_message_get_status (message);
  if (status == SOUP_STATUS_OK)
    return 0;
  gsize size;
  const char *text = g_bytes_get_data (*answer, &size);
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonNode *root = json_parser_load_from_data (parser, text ? text : "", (gssize)size, NULL)
                       ? json_parser_get_root (parser)
                       : NULL;
  const char *sentence =
      root && JSON_NODE_HOLDS_OBJECT (root)
          ? json_object_get_string_member_with_default (json_node_get_object (root), "error", NULL)
          : NULL;
  g_printerr ("spotter: %s\n", sentence ? sentence : soup_message_get_reason_phrase (message));
  g_clear_pointer (answer, g_bytes_unref);
  return status == 401 || status == 403 ? EX_NOPERM
         : status == 400                ? EX_DATAERR
         : status == 404                ? EX_NOINPUT
                                        : EX_UNAVAILABLE;
}

static void
print_bytes (GBytes *bytes)
{
  gsize size;
  const char *text = g_bytes_get_data (bytes, &size);
  fwrite (text, 1, size, stdout);
  fputc ('\n', stdout);
}

static JsonObject *
object_of (GBytes *bytes, JsonParser *parser)
{
  gsize size;
  const char *text = g_bytes_get_data (bytes, &size);
  if (!json_parser_load_from_data (parser, text, (gssize)size, NULL) ||
      !JSON_NODE_HOLDS_OBJECT (json_parser_get_root (parser)))
    return NULL;
  return json_node_get_object (json_parser_get_root (parser));
}

static char *
path_with (const char *path, const char *name)
{
  g_autofree char *escaped = g_uri_escape_string (name, NULL, TRUE);
  return g_strconcat (path, escaped, NULL);
}

static int
run_add (int argc, char **argv)
{
  g_auto (Arguments) a = {0};
  if (!parse (&a, argc, argv, 2, 64))
    return EX_USAGE;
  JsonBuilder *builder = json_builder_new ();
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "name");
  json_builder_add_string_value (builder, a.camera ? a.stream_name : a.rest[0]);
  json_builder_set_member_name (builder, "src");
  json_builder_begin_array (builder);
  if (a.camera)
    json_builder_add_string_value (builder, a.camera);
  for (guint i = 1; !a.camera && a.rest[i]; i++)
    json_builder_add_string_value (builder, a.rest[i]);
  json_builder_end_array (builder);
  json_builder_end_object (builder);
  g_autoptr (JsonNode) node = json_builder_get_root (builder);
  g_autofree char *body = json_to_string (node, FALSE);
  g_object_unref (builder);
  g_autoptr (GBytes) answer = NULL;
  int code = ask (&a, "POST", "/api/streams", body, &answer);
  if (!code && a.json)
    print_bytes (answer);
  return code;
}

static void
print_stream (JsonObject *streams, const char *name, JsonNode *node, gpointer data)
{
  JsonObject *stream = json_node_get_object (node);
  JsonArray *consumers = json_object_get_array_member (stream, "consumers");
  g_print ("%-20s %-9s %3u viewers  %s\n", name, json_object_get_string_member (stream, "state"),
      consumers ? json_array_get_length (consumers) : 0,
      json_object_get_string_member (stream, "src"));
}

static int
run_list (int argc, char **argv)
{
  g_auto (Arguments) a = {0};
  if (!parse (&a, argc, argv, 0, 0))
    return EX_USAGE;
  g_autoptr (GBytes) answer = NULL;
  int code = ask (&a, "GET", "/api/streams", NULL, &answer);
  if (code)
    return code;
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *streams = object_of (answer, parser);
  if (a.json || !streams)
    print_bytes (answer);
  else
    json_object_foreach_member (streams, print_stream, NULL);
  return 0;
}

/* The RTSP door's port is told by the server; its host is the one we have reached it by. */
static void
print_rtsp_address (Arguments *a, const char *name)
{
  g_autoptr (GBytes) answer = NULL;
  g_autoptr (GUri) uri = g_uri_parse (a->url, G_URI_FLAGS_NONE, NULL);
  if (!uri || ask (a, "GET", "/api", NULL, &answer))
    return;
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *info = object_of (answer, parser);
  JsonObject *rtsp = info ? json_object_get_object_member (info, "rtsp") : NULL;
  const char *listen = rtsp ? json_object_get_string_member_with_default (rtsp, "listen", "") : "";
  const char *port = strrchr (listen, ':');
  if (port)
    g_print ("  address  rtsp://%s%s/%s\n", g_uri_get_host (uri), port, name);
}

static int
run_show (int argc, char **argv)
{
  g_auto (Arguments) a = {0};
  if (!parse (&a, argc, argv, 1, 1))
    return EX_USAGE;
  g_autofree char *path = path_with ("/api/streams?src=", a.rest[0]);
  g_autoptr (GBytes) answer = NULL;
  int code = ask (&a, "GET", path, NULL, &answer);
  if (code)
    return code;
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *stream = object_of (answer, parser);
  if (a.json || !stream) {
    print_bytes (answer);
    return 0;
  }
  const char *reason = json_object_get_string_member_with_default (stream, "reason", "");
  g_print ("%s: %s%s%s\n", a.rest[0], json_object_get_string_member (stream, "state"),
      *reason ? ", " : "", reason);
  JsonArray *producers = json_object_get_array_member (stream, "producers");
  for (guint i = 0; i < json_array_get_length (producers); i++)
    g_print ("  source   %s\n",
        json_object_get_string_member (json_array_get_object_element (producers, i), "url"));
  JsonArray *consumers = json_object_get_array_member (stream, "consumers");
  for (guint i = 0; i < json_array_get_length (consumers); i++) {
    JsonObject *viewer = json_array_get_object_element (consumers, i);
    g_print ("  viewer   %s from %s\n", json_object_get_string_member (viewer, "format_name"),
        json_object_get_string_member_with_default (viewer, "remote_addr", "?"));
  }
  static const char *const doors[] = {"stream.mp4", "stream.mjpeg", "stream.ts", "api/frame.jpeg"};
  for (guint i = 0; i < G_N_ELEMENTS (doors); i++)
    g_print ("  address  %s/%s?src=%s\n", a.url, doors[i], a.rest[0]);
  print_rtsp_address (&a, a.rest[0]);
  return 0;
}

static int
run_remove (int argc, char **argv)
{
  g_auto (Arguments) a = {0};
  if (!parse (&a, argc, argv, 1, 1))
    return EX_USAGE;
  g_autofree char *path = path_with ("/api/streams?src=", a.rest[0]);
  g_autoptr (GBytes) answer = NULL;
  return ask (&a, "DELETE", path, NULL, &answer);
}

static int
run_snapshot (int argc, char **argv)
{
  g_auto (Arguments) a = {0};
  if (!parse (&a, argc, argv, 1, 1))
    return EX_USAGE;
  g_autofree char *path = path_with ("/api/frame.jpeg?src=", a.rest[0]);
  g_autofree char *fallback = g_strconcat (a.rest[0], ".jpg", NULL);
  const char *file = a.output ? a.output : fallback;
  g_autoptr (GBytes) answer = NULL;
  g_autoptr (GError) error = NULL;
  int code = ask (&a, "GET", path, NULL, &answer);
  if (code)
    return code;
  gsize size;
  const char *data = g_bytes_get_data (answer, &size);
  if (g_str_equal (file, "-")) {
    fwrite (data, 1, size, stdout);
  } else if (!g_file_set_contents (file, data, (gssize)size, &error)) {
    g_printerr ("spotter: %s\n", error->message);
    return EX_CANTCREAT;
  }
  return 0;
}

static int
run_graph (int argc, char **argv)
{
  g_auto (Arguments) a = {0};
  if (!parse (&a, argc, argv, 1, 1))
    return EX_USAGE;
  g_autofree char *name = path_with ("/api/streams/", a.rest[0]);
  g_autofree char *path = g_strconcat (name, "/graph", NULL);
  g_autoptr (GBytes) answer = NULL;
  int code = ask (&a, "GET", path, NULL, &answer);
  if (!code)
    print_bytes (answer);
  return code;
}

typedef struct {
  GMainLoop *loop;
  const char *url;
  int code;
} Listening;

static void
on_pose (SoupWebsocketConnection *socket, int type, GBytes *text, gpointer data)
{
  Listening *self = data;
  print_bytes (text);
  if (fflush (stdout) != 0) /* whoever read it has gone */
    g_main_loop_quit (self->loop);
}

static void
on_poses_end (SoupWebsocketConnection *socket, gpointer data)
{
  Listening *self = data;
  g_printerr ("spotter: the server closed the connection\n");
  self->code = EX_UNAVAILABLE;
  g_main_loop_quit (self->loop);
}

static void
on_listening (GObject *object, GAsyncResult *result, gpointer data)
{
  Listening *self = data;
  g_autoptr (GError) error = NULL;
  SoupWebsocketConnection *socket =
      soup_session_websocket_connect_finish (SOUP_SESSION (object), result, &error);
  if (!socket) {
    g_printerr ("spotter: no server at %s: %s\n", self->url, error->message);
    self->code = EX_UNAVAILABLE;
    g_main_loop_quit (self->loop);
    return;
  }
  g_object_set_data_full (object, "socket", socket, g_object_unref);
  g_signal_connect (socket, "message", G_CALLBACK (on_pose), self);
  g_signal_connect (socket, "closed", G_CALLBACK (on_poses_end), self);
}

/* A line of JSON for each pose, until somebody stops it. */
static int
run_pose (int argc, char **argv)
{
  g_auto (Arguments) a = {0};
  if (!parse (&a, argc, argv, 1, 1))
    return EX_USAGE;
  g_autofree char *known = path_with ("/api/streams?src=", a.rest[0]);
  g_autoptr (GBytes) answer = NULL;
  int code = ask (&a, "GET", known, NULL, &answer);
  if (code)
    return code;
  g_autofree char *path = path_with ("/ws/pose/", a.rest[0]);
  g_autofree char *url = g_strconcat (a.url, path, NULL);
  g_autoptr (SoupMessage) message = soup_message_new ("GET", url);
  g_autoptr (SoupSession) session = soup_session_new ();
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Listening listening = {loop, a.url, 0};
  soup_session_websocket_connect_async (
      session, message, NULL, NULL, G_PRIORITY_DEFAULT, NULL, on_listening, &listening);
  g_main_loop_run (loop);
  return listening.code;
}

static void
print_camera (JsonArray *cameras, guint index, JsonNode *node, gpointer data)
{
  JsonObject *camera = json_node_get_object (node);
  JsonArray *modes = json_object_get_array_member (camera, "modes");
  const char *stream = json_object_get_string_member_with_default (camera, "stream", NULL);
  g_print ("%u  %s  %s%s%s\n", index, json_object_get_string_member (camera, "path"),
      json_object_get_string_member (camera, "name"), stream ? "  stream " : "",
      stream ? stream : "");
  for (guint i = 0; i < json_array_get_length (modes); i++) {
    JsonObject *mode = json_array_get_object_element (modes, i);
    g_print ("     %-8s %4" G_GINT64_FORMAT " x %-4" G_GINT64_FORMAT " %3.0f fps  %s\n",
        json_object_get_string_member (mode, "format"), json_object_get_int_member (mode, "width"),
        json_object_get_int_member (mode, "height"), json_object_get_double_member (mode, "fps"),
        json_object_get_string_member (mode, "source"));
  }
}

static int
run_devices (int argc, char **argv)
{
  g_auto (Arguments) a = {0};
  if (!parse (&a, argc, argv, 0, 0))
    return EX_USAGE;
  g_autoptr (GBytes) answer = NULL;
  int code = ask (&a, "GET", "/api/devices", NULL, &answer);
  if (code)
    return code;
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *object = object_of (answer, parser);
  JsonArray *cameras = object ? json_object_get_array_member (object, "cameras") : NULL;
  if (a.json || !cameras)
    print_bytes (answer);
  else if (!json_array_get_length (cameras))
    g_print ("no camera was found on the server's machine\n");
  else
    json_array_foreach_element (cameras, print_camera, NULL);
  return 0;
}

const SptVerb spt_verbs[] = {
    {"add", "NAME SOURCE… | --camera N --stream-name NAME",
        "Adds a stream, or changes its sources.", run_add},
    {"list", "", "Lists the streams.", run_list},
    {"show", "NAME", "Shows a stream, its viewers and addresses.", run_show},
    {"remove", "NAME", "Removes a stream.", run_remove},
    {"snapshot", "NAME [-o FILE]", "Saves a picture as NAME.jpg.", run_snapshot},
    {"pose", "NAME", "Prints a line of JSON for each pose.", run_pose},
    {"devices", "", "Lists the cameras of the server's machine, and their modes.", run_devices},
    {"graph", "NAME", "Prints what runs for a stream, as DOT.", run_graph},
};
const guint spt_n_verbs = G_N_ELEMENTS (spt_verbs);
