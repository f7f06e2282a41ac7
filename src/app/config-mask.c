/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two kinds of credentials stand in a configuration. A value whose key says that it is secret is
 * found by libyaml and known by its path ("api.password"). One inside a text (the user information
 * of an address, `token=…`), which may also stand in a comment, is found by spt_redact() and known
 * by its line, or when that line was changed, by its address. */
#include "config.h"

#include "config-mask.h"

#include <string.h>
#include <yaml.h>

#include "error.h"
#include "redact.h"

#define DEPTH_MAX 16
#define VISITS_MAX 200000 /* aliases of aliases are more than the text is long */
#define SECRET_KEY "pass|pwd|token|secret|credential|api_?key"

/* ---- values of secret keys ---------------------------------------------------------------- */

typedef struct {
  gsize start, end; /* bytes of the text */
  char *path, *value;
} Secret;

typedef struct {
  yaml_document_t *document;
  const char *text;
  GPtrArray *secrets; /* in the order of the text */
  guint visits;
} Walk;

static void
secret_free (gpointer data)
{
  Secret *self = data;
  g_free (self->path);
  g_free (self->value);
  g_free (self);
}

/* A variable is no secret, it names one. */
static gboolean
is_plain (const char *value)
{
  return !*value || g_str_equal (value, "~") || g_str_equal (value, "null") ||
         (g_str_has_prefix (value, "${") && strchr (value, '}') == value + strlen (value) - 1);
}

static void
add_secret (Walk *walk, yaml_node_t *node, const char *path)
{
  const char *value = (const char *)node->data.scalar.value;
  if (is_plain (value))
    return;
  /* libyaml counts characters */
  const char *start = g_utf8_offset_to_pointer (walk->text, (glong)node->start_mark.index);
  const char *end =
      g_utf8_offset_to_pointer (start, (glong)(node->end_mark.index - node->start_mark.index));
  while (start < end && (*start == '&' || *start == '!')) { /* an anchor or a tag is none */
    start += strcspn (start, " \t\r\n");
    start += strspn (start, " \t\r\n");
  }
  if (start >= end)
    return;
  Secret *secret = g_new (Secret, 1);
  *secret = (Secret){
      (gsize)(start - walk->text), (gsize)(end - walk->text), g_strdup (path), g_strdup (value)};
  g_ptr_array_add (walk->secrets, secret);
}

static void
walk_node (Walk *walk, int index, const char *path, gboolean secret, guint depth)
{
  yaml_node_t *node = yaml_document_get_node (walk->document, index);
  if (depth > DEPTH_MAX || ++walk->visits > VISITS_MAX)
    return;
  if (node->type == YAML_SCALAR_NODE && secret)
    add_secret (walk, node, path);
  for (yaml_node_item_t *item = node->data.sequence.items.start;
       node->type == YAML_SEQUENCE_NODE && item < node->data.sequence.items.top; item++) {
    g_autofree char *inner =
        g_strdup_printf ("%s[%u]", path, (guint)(item - node->data.sequence.items.start));
    walk_node (walk, *item, inner, secret, depth + 1);
  }
  for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
       node->type == YAML_MAPPING_NODE && pair < node->data.mapping.pairs.top; pair++) {
    yaml_node_t *key = yaml_document_get_node (walk->document, pair->key);
    const char *word = key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "";
    g_autofree char *inner = g_strconcat (path, ".", word, NULL);
    /* the names of streams and of their sources are no secrets, whatever they are */
    gboolean hides = !g_str_equal (path, ".streams") &&
                     g_regex_match_simple (SECRET_KEY, word, G_REGEX_CASELESS, 0);
    walk_node (walk, pair->value, inner, secret || hides, depth + 1);
  }
}

static int
by_start (gconstpointer a, gconstpointer b)
{
  const Secret *one = *(Secret *const *)a, *other = *(Secret *const *)b;
  return one->start < other->start ? -1 : one->start > other->start;
}

/* (transfer full) (nullable): or NULL and INVALID with the line */
static GPtrArray *
find_secrets (const char *text, GError **error)
{
  yaml_parser_t parser;
  yaml_document_t document;
  Walk walk = {&document, text, g_ptr_array_new_with_free_func (secret_free), 0};
  yaml_parser_initialize (&parser);
  yaml_parser_set_encoding (&parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string (&parser, (const guchar *)text, strlen (text));
  if (yaml_parser_load (&parser, &document)) {
    if (yaml_document_get_root_node (&document))
      walk_node (&walk, 1, "", FALSE, 0);
    g_ptr_array_sort (walk.secrets, by_start);
    yaml_document_delete (&document);
    if (walk.visits > VISITS_MAX) {
      g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "there are too many values in it");
      g_clear_pointer (&walk.secrets, g_ptr_array_unref);
    }
  } else {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "line %u: %s",
        (guint)parser.problem_mark.line + 1, parser.problem ? parser.problem : "this is not YAML");
    g_clear_pointer (&walk.secrets, g_ptr_array_unref);
  }
  yaml_parser_delete (&parser);
  return walk.secrets;
}

static guint
line_at (const char *text, gsize at)
{
  guint line = 1;
  for (gsize i = 0; i < at; i++)
    line += text[i] == '\n';
  return line;
}

/* ---- inside texts ------------------------------------------------------------------------- */

/* (transfer full): each line by itself, so that there are as many after as before */
static char **
redact_lines (char **lines)
{
  g_autoptr (GStrvBuilder) redacted = g_strv_builder_new ();
  for (char **line = lines; *line; line++) {
    g_autofree char *text = spt_redact (*line);
    g_strv_builder_add (redacted, text);
  }
  return g_strv_builder_end (redacted);
}

/* (nullable): the line of @lines whose redacted form is the same; of several the @n-th, or the last
 */
static const char *
find_line (char **lines, char **redacted, const char *line, guint n)
{
  const char *found = NULL;
  for (guint i = 0; redacted[i]; i++)
    if (g_str_equal (redacted[i], line) && strstr (line, SPT_CONFIG_MASK)) {
      found = lines[i];
      if (!n--)
        break;
    }
  return found;
}

/* (transfer full) (nullable): the user information that belongs to "host:port" */
static char *
find_user (char **lines, const char *host)
{
  g_autoptr (GRegex) regex = g_regex_new ("://([^\\s\"'<>]*)@([^\\s\"'<>/?#,\\]}]+)", 0, 0, NULL);
  for (; *lines; lines++) {
    g_autoptr (GMatchInfo) match = NULL;
    for (g_regex_match (regex, *lines, 0, &match); g_match_info_matches (match);
         g_match_info_next (match, NULL)) {
      g_autofree char *other = g_match_info_fetch (match, 2);
      if (g_str_equal (host, other))
        return g_match_info_fetch (match, 1);
    }
  }
  return NULL;
}

static gboolean
put_user (const GMatchInfo *match, GString *result, gpointer data)
{
  g_autofree char *host = g_match_info_fetch (match, 1);
  g_autofree char *user = find_user (data, host);
  g_string_append_printf (result, "://%s@%s", user ? user : SPT_CONFIG_MASK, host);
  return FALSE;
}

/* (transfer full): a line that is not as it was: what its addresses need */
static char *
restore_users (char **lines, const char *line)
{
  g_autoptr (GRegex) regex = g_regex_new ("://\\*\\*\\*@([^\\s\"'<>/?#,\\]}]+)", 0, 0, NULL);
  return g_regex_replace_eval (regex, line, -1, 0, 0, put_user, lines, NULL);
}

static gboolean
has_mask (const char *line)
{
  return g_regex_match_simple (
      "://\\*\\*\\*@|(?:" SECRET_KEY ")\\w*\\s*=\\s*\\*\\*\\*", line, G_REGEX_CASELESS, 0);
}

static char *
unmask_lines (const char *text, const char *original, GError **error)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1), before = g_strsplit (original, "\n", -1);
  g_auto (GStrv) redacted = redact_lines (before);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; lines[i]; i++) {
    if (!has_mask (lines[i]))
      continue;
    guint n = GPOINTER_TO_UINT (g_hash_table_lookup (seen, lines[i]));
    const char *same = find_line (before, redacted, lines[i], n);
    char *restored = same ? g_strdup (same) : restore_users (before, lines[i]);
    g_hash_table_replace (seen, g_strdup (lines[i]), GUINT_TO_POINTER (n + 1));
    g_free (lines[i]);
    lines[i] = restored;
    if (has_mask (restored)) {
      g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
          "line %u: *** stands where a password was that is not known any more; write it out",
          i + 1);
      return NULL;
    }
  }
  return g_strjoinv ("\n", lines);
}

/* ---- the two ways ------------------------------------------------------------------------- */

/**
 * spt_config_mask:
 * @text: YAML, UTF-8
 *
 * Returns: (transfer full) (nullable): with *** for every credential, else as it is; or NULL and
 *   INVALID when it is no YAML (then nobody can tell what is secret in it)
 */
char *
spt_config_mask (const char *text, GError **error)
{
  g_autoptr (GPtrArray) secrets = find_secrets (text, error);
  GString *out = g_string_new (NULL);
  gsize at = 0;
  if (!secrets) {
    g_string_free (out, TRUE);
    return NULL;
  }
  for (guint i = 0; i < secrets->len; i++) {
    const Secret *secret = g_ptr_array_index (secrets, i);
    if (secret->start < at) /* an alias has been here */
      continue;
    g_string_append_len (out, text + at, (gssize)(secret->start - at));
    g_string_append (out, "\"" SPT_CONFIG_MASK "\"");
    if (text[secret->end - 1] == '\n')
      g_string_append_c (out, '\n');
    at = secret->end;
  }
  g_string_append (out, text + at);
  g_auto (GStrv) lines = g_strsplit (out->str, "\n", -1);
  g_auto (GStrv) redacted = redact_lines (lines);
  g_string_free (out, TRUE);
  return g_strjoinv ("\n", redacted);
}

static const Secret *
find_path (GPtrArray *secrets, const char *path)
{
  for (guint i = 0; i < secrets->len; i++) {
    const Secret *secret = g_ptr_array_index (secrets, i);
    if (g_str_equal (secret->path, path))
      return secret;
  }
  return NULL;
}

/**
 * spt_config_unmask:
 * @text: as spt_config_mask() gave it, and then edited
 * @original: what that was made of
 *
 * Returns: (transfer full) (nullable): @text with the credentials of @original where *** stands; or
 *   NULL and INVALID with the line of one that cannot be found
 */
char *
spt_config_unmask (const char *text, const char *original, GError **error)
{
  g_autoptr (GPtrArray) now = find_secrets (text, error);
  g_autoptr (GPtrArray) before = now ? find_secrets (original, NULL) : NULL;
  g_autoptr (GString) out = g_string_new (NULL);
  gsize at = 0;
  if (!now)
    return NULL;
  for (guint i = 0; i < now->len; i++) {
    const Secret *secret = g_ptr_array_index (now, i);
    const Secret *known = before ? find_path (before, secret->path) : NULL;
    if (!g_str_equal (secret->value, SPT_CONFIG_MASK) || secret->start < at)
      continue;
    if (!known) {
      g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
          "line %u: *** stands for no password that %s had; write it out",
          line_at (text, secret->start), secret->path + 1);
      return NULL;
    }
    g_string_append_len (out, text + at, (gssize)(secret->start - at));
    g_string_append_len (out, original + known->start, (gssize)(known->end - known->start));
    at = secret->end;
    if (text[at] == '\n' && original[known->end - 1] == '\n')
      at++;
  }
  g_string_append (out, text + at);
  return unmask_lines (out->str, original, error);
}
