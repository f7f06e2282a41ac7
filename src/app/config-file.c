/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libyaml makes a document, this walks it. A key that nobody declared is worth a warning with its
 * line, never a failure (files of go2rtc load as they are); a value of the wrong type stops with
 * its line. */
#include "config.h"

#include "config-file.h"

#include <json-glib/json-glib.h>
#include <string.h>
#include <yaml.h>

#include "error.h"

#define FILE_MAX (4 * 1024 * 1024)

/* Of mappings inside a list. */
#define DEPTH_MAX 4
/* Of all lists together; aliases of aliases are more than the file is long. */
#define ITEMS_MAX 200000

/* Sections of go2rtc that mean nothing here. */
static const char *const ignored[] = {"ffmpeg", "hls", "homekit", "ngrok", "srtp", "preload",
    "publish", "app", "echo", "exec", "hass", "mp4", "wyze", "xiaomi", "record", NULL};

/* Of pose, those that a stream may have for itself. */
static const char *const pose_options[] = {
    "model", "fps", "people", "region", "threads", "smoothing", NULL};

typedef struct {
  SptConfig *config;
  yaml_document_t *document;
  const char *name; /* of the file, for messages */
  GHashTable *env;  /* the env: section */
  guint items;      /* read so far */
} Walk;

SptConfig *
spt_config_new (SptSettings *settings)
{
  SptConfig *self = g_new0 (SptConfig, 1);
  self->settings = spt_settings_ref (settings);
  self->streams = g_ptr_array_new ();
  self->warnings = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void
spt_config_free (SptConfig *self)
{
  for (guint i = 0; i < self->streams->len; i++) {
    SptConfigStream *stream = g_ptr_array_index (self->streams, i);
    g_free (stream->name);
    g_strfreev (stream->sources);
    g_clear_pointer (&stream->pose, gst_structure_free);
    g_free (stream);
  }
  g_ptr_array_unref (self->streams);
  g_ptr_array_unref (self->warnings);
  spt_settings_unref (self->settings);
  g_free (self->path);
  g_free (self);
}

static guint
line_of (yaml_node_t *node)
{
  return (guint)node->start_mark.line + 1;
}

static void
warn (Walk *walk, yaml_node_t *at, const char *format, const char *what)
{
  g_autofree char *text = g_strdup_printf ("'%s' %s", what, format);
  g_ptr_array_add (
      walk->config->warnings, g_strdup_printf ("%s:%u: %s", walk->name, line_of (at), text));
}

static gboolean
fail (Walk *walk, yaml_node_t *at, const char *sentence, GError **error)
{
  g_set_error (
      error, SPT_ERROR, SPT_ERROR_INVALID, "%s:%u: %s", walk->name, line_of (at), sentence);
  return FALSE;
}

/* ---- values ------------------------------------------------------------------------------- */

/* (transfer full) (nullable): from the env: section, systemd's credentials, the environment */
static char *
look_up_variable (Walk *walk, const char *name)
{
  const char *own = g_hash_table_lookup (walk->env, name);
  if (own)
    return g_strdup (own);
  const char *directory = g_getenv ("CREDENTIALS_DIRECTORY");
  if (directory && !strchr (name, '/')) {
    g_autofree char *path = g_build_filename (directory, name, NULL);
    char *text = NULL;
    if (g_file_get_contents (path, &text, NULL, NULL))
      return g_strchomp (text);
  }
  return g_strdup (g_getenv (name));
}

/* ${NAME} and ${NAME:default} */
static char *
substitute (Walk *walk, yaml_node_t *node, GError **error)
{
  const char *text = (const char *)node->data.scalar.value;
  GString *out = g_string_new (NULL);
  for (const char *open; (open = strstr (text, "${"));) {
    const char *end = strchr (open, '}');
    if (!end)
      break;
    g_string_append_len (out, text, open - text);
    g_autofree char *name = g_strndup (open + 2, (gsize)(end - open - 2));
    char *fallback = strchr (name, ':');
    if (fallback)
      *fallback++ = '\0';
    g_autofree char *value = look_up_variable (walk, name);
    if (!value && !fallback) {
      g_autofree char *sentence =
          g_strdup_printf ("${%s} is set nowhere; write ${%s:default} for a default", name, name);
      g_string_free (out, TRUE);
      fail (walk, node, sentence, error);
      return NULL;
    }
    g_string_append (out, value ? value : fallback);
    text = end + 1;
  }
  g_string_append (out, text);
  return g_string_free (out, FALSE);
}

static yaml_node_t *
get (Walk *walk, int index)
{
  return yaml_document_get_node (walk->document, index);
}

static gboolean
is_null (yaml_node_t *node)
{
  return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
         (!node->data.scalar.length || g_str_equal (node->data.scalar.value, "~") ||
             g_str_equal (node->data.scalar.value, "null"));
}

/* (transfer full) (nullable): what the node says, as JSON; scalars are texts */
static JsonNode *
json_of (Walk *walk, yaml_node_t *node, guint depth, GError **error)
{
  JsonNode *json = json_node_alloc ();
  gboolean ok = TRUE;
  if (depth > DEPTH_MAX) { /* or it has itself inside, by an alias */
    ok = fail (walk, node, "this is nested too deeply", error);
  } else if (++walk->items > ITEMS_MAX) {
    ok = fail (walk, node, "there are too many values in it", error);
  } else if (node->type == YAML_MAPPING_NODE) {
    JsonObject *object = json_object_new ();
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         ok && pair < node->data.mapping.pairs.top; pair++) {
      yaml_node_t *key = get (walk, pair->key);
      JsonNode *value = key->type == YAML_SCALAR_NODE
                            ? json_of (walk, get (walk, pair->value), depth + 1, error)
                            : NULL;
      ok = value != NULL;
      if (ok)
        json_object_set_member (object, (const char *)key->data.scalar.value, value);
      else if (key->type != YAML_SCALAR_NODE)
        fail (walk, key, "expected a text as the key", error);
    }
    json_node_take_object (json_node_init (json, JSON_NODE_OBJECT), object);
  } else if (node->type == YAML_SEQUENCE_NODE) {
    JsonArray *array = json_array_new ();
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         ok && item < node->data.sequence.items.top; item++) {
      JsonNode *value = json_of (walk, get (walk, *item), depth + 1, error);
      ok = value != NULL;
      if (ok)
        json_array_add_element (array, value);
    }
    json_node_take_array (json_node_init (json, JSON_NODE_ARRAY), array);
  } else {
    g_autofree char *text = substitute (walk, node, error);
    ok = text != NULL;
    json_node_init_string (json, ok ? text : "");
  }
  if (!ok)
    g_clear_pointer (&json, json_node_unref);
  return json;
}

/* (transfer full) (nullable): an item of a list: a text, or a mapping as JSON */
static char *
read_item (Walk *walk, yaml_node_t *node, GError **error)
{
  if (++walk->items > ITEMS_MAX) {
    fail (walk, node, "there are too many values in it", error);
    return NULL;
  }
  if (node->type == YAML_SCALAR_NODE)
    return substitute (walk, node, error);
  if (node->type != YAML_MAPPING_NODE) {
    fail (walk, node, "expected a text in this list", error);
    return NULL;
  }
  g_autoptr (JsonNode) json = json_of (walk, node, 0, error);
  return json ? json_to_string (json, FALSE) : NULL;
}

/* A scalar, or a sequence of items, as texts. */
static char **
read_texts (Walk *walk, yaml_node_t *node, GError **error)
{
  g_autoptr (GStrvBuilder) texts = g_strv_builder_new ();
  if (node->type == YAML_SCALAR_NODE) {
    g_autofree char *text = substitute (walk, node, error);
    if (!text)
      return NULL;
    if (!is_null (node))
      g_strv_builder_add (texts, text);
    return g_strv_builder_end (texts);
  }
  if (node->type != YAML_SEQUENCE_NODE) {
    fail (walk, node, "expected a text or a list of texts, not a mapping", error);
    return NULL;
  }
  for (yaml_node_item_t *item = node->data.sequence.items.start;
       item < node->data.sequence.items.top; item++) {
    g_autofree char *text = read_item (walk, get (walk, *item), error);
    if (!text)
      return NULL;
    g_strv_builder_add (texts, text);
  }
  return g_strv_builder_end (texts);
}

/* ---- sections ----------------------------------------------------------------------------- */

/* @sources, @pose: (transfer full); @pose: (nullable) */
static void
put_stream (SptConfig *self, const char *name, char **sources, GstStructure *pose)
{
  for (guint i = 0; i < self->streams->len; i++) {
    SptConfigStream *known = g_ptr_array_index (self->streams, i);
    if (g_str_equal (known->name, name)) {
      g_strfreev (known->sources);
      g_clear_pointer (&known->pose, gst_structure_free);
      known->sources = sources;
      known->pose = pose;
      return;
    }
  }
  SptConfigStream *stream = g_new (SptConfigStream, 1);
  *stream = (SptConfigStream){g_strdup (name), sources, pose};
  g_ptr_array_add (self->streams, stream);
}

/* `pose:` of a stream: the options of pose, for it alone. */
static GstStructure *
read_pose (Walk *walk, yaml_node_t *node, GError **error)
{
  g_autoptr (GstStructure) pose = gst_structure_new_empty ("pose");
  if (node->type != YAML_MAPPING_NODE) {
    fail (walk, node, "'pose' expects a mapping", error);
    return NULL;
  }
  for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
       pair++) {
    yaml_node_t *key = get (walk, pair->key), *value = get (walk, pair->value);
    const char *word = key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "?";
    g_autofree char *option = g_strconcat ("pose.", word, NULL);
    g_autofree char *property = g_strdelimit (g_strdup (word), "_", '-');
    if (!g_strv_contains (pose_options, word) ||
        !spt_settings_find (walk->config->settings, option)) {
      warn (walk, key, "is not known for a stream's pose and has no effect", word);
      continue;
    }
    g_auto (GStrv) texts = read_texts (walk, value, error);
    if (!texts)
      return NULL;
    g_autofree char *text = g_strjoinv (",", texts);
    gst_structure_set (pose, property, G_TYPE_STRING, text, NULL);
  }
  return g_steal_pointer (&pose);
}

/* The value of a stream is a source, a list of them, or a mapping with `source`. */
static gboolean
read_stream (Walk *walk, const char *name, yaml_node_t *node, GError **error)
{
  yaml_node_t *sources = node;
  g_autoptr (GstStructure) pose = NULL;
  if (node->type == YAML_MAPPING_NODE) {
    sources = NULL;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
      yaml_node_t *key = get (walk, pair->key);
      const char *word = key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "?";
      if (g_str_equal (word, "source") || g_str_equal (word, "url"))
        sources = get (walk, pair->value);
      else if (!g_str_equal (word, "pose"))
        warn (walk, key, "is not known for a stream and has no effect", word);
      else if (!pose && !(pose = read_pose (walk, get (walk, pair->value), error)))
        return FALSE;
    }
    if (!sources)
      return fail (walk, node, "a stream needs a source", error);
  }
  char **texts = read_texts (walk, sources, error);
  if (!texts)
    return FALSE;
  /* `name:`, `name: ""` and `name: []` are streams that somebody publishes to. */
  if (texts[0] && !*texts[0] && !texts[1])
    g_clear_pointer (&texts[0], g_free);
  put_stream (walk->config, name, texts, g_steal_pointer (&pose));
  return TRUE;
}

static gboolean
read_option (Walk *walk, const char *key, yaml_node_t *node, GError **error)
{
  g_auto (GStrv) texts = read_texts (walk, node, error);
  g_autoptr (GError) local = NULL;
  if (!texts)
    return FALSE;
  if (spt_settings_set (walk->config->settings, key, (const char *const *)texts, &local))
    return TRUE;
  return fail (walk, node, local->message, error);
}

static gboolean
read_mapping (Walk *walk, const char *prefix, yaml_node_t *node, GError **error)
{
  for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
       pair++) {
    yaml_node_t *key = get (walk, pair->key), *value = get (walk, pair->value);
    if (key->type != YAML_SCALAR_NODE)
      return fail (walk, key, "expected a text as key", error);
    const char *word = (const char *)key->data.scalar.value;
    g_autofree char *path = *prefix ? g_strconcat (prefix, ".", word, NULL) : g_strdup (word);
    if (g_str_equal (prefix, "streams")) {
      if (!read_stream (walk, word, value, error))
        return FALSE;
    } else if (g_str_equal (path, "env") || is_null (value)) {
      continue;
    } else if (spt_settings_find (walk->config->settings, path)) {
      if (!read_option (walk, path, value, error))
        return FALSE;
    } else if (g_str_equal (path, "streams") ||
               spt_settings_is_section (walk->config->settings, path)) {
      if (value->type != YAML_MAPPING_NODE) {
        g_autofree char *sentence = g_strdup_printf ("'%s' expects a mapping", path);
        return fail (walk, value, sentence, error);
      }
      if (!read_mapping (walk, path, value, error))
        return FALSE;
    } else if (!*prefix && g_strv_contains (ignored, word)) {
      warn (walk, key, "is a section of features that are not here yet; it has no effect", path);
    } else {
      warn (walk, key, "is not known and has no effect", path);
    }
  }
  return TRUE;
}

static void
read_env (Walk *walk, yaml_node_t *root)
{
  for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top;
       pair++) {
    yaml_node_t *key = get (walk, pair->key), *env = get (walk, pair->value);
    if (key->type != YAML_SCALAR_NODE || !g_str_equal (key->data.scalar.value, "env") ||
        env->type != YAML_MAPPING_NODE)
      continue;
    for (yaml_node_pair_t *e = env->data.mapping.pairs.start; e < env->data.mapping.pairs.top;
         e++) {
      yaml_node_t *name = get (walk, e->key), *value = get (walk, e->value);
      if (name->type == YAML_SCALAR_NODE && value->type == YAML_SCALAR_NODE)
        g_hash_table_replace (walk->env, g_strdup ((char *)name->data.scalar.value),
            g_strdup ((char *)value->data.scalar.value));
    }
  }
}

/**
 * spt_config_add_text:
 * @name: of the file, for messages
 * @text: YAML
 *
 * As spt_config_add() of a file that has this text.
 */
gboolean
spt_config_add_text (
    SptConfig *self, const char *name, const char *text, gsize size, GError **error)
{
  yaml_parser_t parser;
  yaml_document_t document;
  yaml_parser_initialize (&parser);
  yaml_parser_set_input_string (&parser, (const guchar *)text, size);
  if (!yaml_parser_load (&parser, &document)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "%s:%u: %s", name,
        (guint)parser.problem_mark.line + 1, parser.problem ? parser.problem : "this is not YAML");
    yaml_parser_delete (&parser);
    return FALSE;
  }
  Walk walk = {
      self, &document, name, g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free), 0};
  yaml_node_t *root = yaml_document_get_root_node (&document);
  gboolean ok = TRUE;
  if (root && root->type == YAML_MAPPING_NODE) {
    read_env (&walk, root);
    ok = read_mapping (&walk, "", root, error);
  } else if (root && !is_null (root)) {
    ok = fail (&walk, root, "expected a mapping such as `streams:`", error);
  }
  g_hash_table_unref (walk.env);
  yaml_document_delete (&document);
  yaml_parser_delete (&parser);
  return ok;
}

static gboolean
read_file (SptConfig *self, const char *path, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *text = NULL;
  gsize size;
  if (!g_file_get_contents (path, &text, &size, &local)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "the configuration cannot be read: %s",
        local->message);
    return FALSE;
  }
  if (size > FILE_MAX) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "%s is larger than 4 MiB", path);
    return FALSE;
  }
  if (!self->path)
    self->path = g_canonicalize_filename (path, NULL);
  return spt_config_add_text (self, path, text, size, error);
}

/* "api.listen=:1984" or "streams.cam=rtsp://…" */
static gboolean
read_assignment (SptConfig *self, const char *argument, GError **error)
{
  const char *equals = strchr (argument, '=');
  g_autofree char *key = g_strndup (argument, (gsize)(equals - argument));
  const char *values[] = {equals + 1, NULL};
  if (g_str_has_prefix (key, "streams.")) {
    put_stream (self, key + strlen ("streams."), g_strdupv ((char **)values), NULL);
    return TRUE;
  }
  return spt_settings_set (self->settings, key, values, error);
}

static gboolean
looks_like_key (const char *argument)
{
  gsize length =
      strspn (argument, "abcdefghijklmnopqrstuvwxyz_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-.");
  return length && argument[length] == '=' && memchr (argument, '.', length);
}

/**
 * spt_config_add:
 * @argument: of -c: a file, `{inline: yaml}` or key=value
 *
 * Reads it over what is there. On an error, INVALID with file:line and what was expected.
 */
gboolean
spt_config_add (SptConfig *self, const char *argument, GError **error)
{
  if (*argument == '{')
    return spt_config_add_text (self, "-c", argument, strlen (argument), error);
  if (looks_like_key (argument) && !g_file_test (argument, G_FILE_TEST_EXISTS))
    return read_assignment (self, argument, error);
  return read_file (self, argument, error);
}

/* (transfer full): the first file found where users put it; or where one of theirs belongs */
char *
spt_config_find (void)
{
  static const char *const names[] = {"spotter.yaml", "go2rtc.yaml", "go2rtc.yml"};
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_file_test (names[i], G_FILE_TEST_IS_REGULAR))
      return g_strdup (names[i]);
  char *user = g_build_filename (g_get_user_config_dir (), "spotter", "spotter.yaml", NULL);
  if (g_file_test (user, G_FILE_TEST_IS_REGULAR) ||
      !g_file_test ("/etc/spotter/spotter.yaml", G_FILE_TEST_IS_REGULAR))
    return user;
  g_free (user);
  return g_strdup ("/etc/spotter/spotter.yaml");
}
