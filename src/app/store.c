/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One small YAML file: name → list of sources, or ~ for a configured stream that was removed. A
 * change is answered when a file that has it is on disk, renamed over the old one. While one file
 * is being written, all changes that come wait for the next: a hundred at once cost two or three
 * writes. */
#include "config.h"

#include "store.h"

#include <string.h>
#include <yaml.h>

#include "error.h"
#include "file.h"

struct _SptStore {
  char *path;
  GHashTable *streams; /* name → char **, NULL for a tombstone; main context */
  GPtrArray *waiting;  /* of GTask: for the next write */
  gboolean writing;
};

/* @path: (nullable): NULL keeps nothing beyond this run */
SptStore *
spt_store_new (const char *path)
{
  SptStore *self = g_new0 (SptStore, 1);
  self->path = g_strdup (path);
  self->streams =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_strfreev);
  self->waiting = g_ptr_array_new_with_free_func (g_object_unref);
  return self;
}

void
spt_store_free (SptStore *self)
{
  g_hash_table_unref (self->streams);
  g_ptr_array_unref (self->waiting);
  g_free (self->path);
  g_free (self);
}

/* (transfer full): $STATE_DIRECTORY/streams.yaml, or the one in the user's state directory */
char *
spt_store_default_path (void)
{
  const char *directory = g_getenv ("STATE_DIRECTORY");
  if (directory && *directory)
    return g_build_filename (directory, "streams.yaml", NULL);
  return g_build_filename (g_get_user_state_dir (), "spotter", "streams.yaml", NULL);
}

/* ---- reading ------------------------------------------------------------------------------ */

static char **
read_sources (yaml_document_t *document, yaml_node_t *node)
{
  g_autoptr (GStrvBuilder) sources = g_strv_builder_new ();
  for (yaml_node_item_t *item = node->data.sequence.items.start;
       item < node->data.sequence.items.top; item++) {
    yaml_node_t *child = yaml_document_get_node (document, *item);
    if (child->type == YAML_SCALAR_NODE)
      g_strv_builder_add (sources, (const char *)child->data.scalar.value);
  }
  return g_strv_builder_end (sources);
}

static void
read_document (SptStore *self, yaml_document_t *document)
{
  yaml_node_t *root = yaml_document_get_root_node (document);
  if (!root || root->type != YAML_MAPPING_NODE)
    return;
  for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top;
       pair++) {
    yaml_node_t *key = yaml_document_get_node (document, pair->key);
    yaml_node_t *value = yaml_document_get_node (document, pair->value);
    if (key->type == YAML_SCALAR_NODE)
      g_hash_table_replace (self->streams, g_strdup ((char *)key->data.scalar.value),
          value->type == YAML_SEQUENCE_NODE ? read_sources (document, value) : NULL);
  }
}

/* Reads the file; that there is none is fine. INVALID when it is damaged. */
gboolean
spt_store_load (SptStore *self, GError **error)
{
  g_autofree char *text = NULL;
  gsize size;
  g_autoptr (GError) local = NULL;
  if (!g_file_get_contents (self->path, &text, &size, &local)) {
    if (g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
      return TRUE;
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "the streams added before cannot be read: %s",
        local->message);
    return FALSE;
  }
  yaml_parser_t parser;
  yaml_document_t document;
  yaml_parser_initialize (&parser);
  yaml_parser_set_input_string (&parser, (const guchar *)text, size);
  gboolean ok = yaml_parser_load (&parser, &document);
  if (ok) {
    read_document (self, &document);
    yaml_document_delete (&document);
  } else {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "%s:%u: %s; repair or remove the file",
        self->path, (guint)parser.problem_mark.line + 1, parser.problem);
  }
  yaml_parser_delete (&parser);
  return ok;
}

void
spt_store_foreach (SptStore *self, SptStoreEach each, gpointer data)
{
  GHashTableIter iter;
  gpointer name, sources;
  g_hash_table_iter_init (&iter, self->streams);
  while (g_hash_table_iter_next (&iter, &name, &sources))
    each (name, sources, data);
}

/* ---- changing ----------------------------------------------------------------------------- */

/* @sources: (out) (transfer full) (nullable): NULL for a tombstone. FALSE without an entry. */
gboolean
spt_store_lookup (SptStore *self, const char *name, char ***sources)
{
  gpointer found = NULL;
  gboolean known = g_hash_table_lookup_extended (self->streams, name, NULL, &found);
  *sources = g_strdupv (found);
  return known;
}

void
spt_store_put (SptStore *self, const char *name, const char *const *sources)
{
  g_hash_table_replace (self->streams, g_strdup (name), g_strdupv ((char **)sources));
}

/* Remembers that a configured stream was removed. */
void
spt_store_bury (SptStore *self, const char *name)
{
  g_hash_table_replace (self->streams, g_strdup (name), NULL);
}

void
spt_store_forget (SptStore *self, const char *name)
{
  g_hash_table_remove (self->streams, name);
}

/* ---- writing ------------------------------------------------------------------------------ */

static void
append_quoted (GString *text, const char *value)
{
  g_string_append_c (text, '"');
  for (const char *c = value; *c; c = g_utf8_next_char (c)) {
    gunichar u = g_utf8_get_char (c);
    if (u == '"' || u == '\\')
      g_string_append_c (text, '\\');
    if (u < 0x20 || u > 0x7e)
      g_string_append_printf (text, "\\U%08X", u);
    else
      g_string_append_c (text, (char)u);
  }
  g_string_append_c (text, '"');
}

static void
append_stream (const char *name, const char *const *sources, gpointer data)
{
  GString *text = data;
  append_quoted (text, name);
  g_string_append (text, sources ? ": [" : ": ~");
  for (guint i = 0; sources && sources[i]; i++) {
    g_string_append (text, i ? ", " : "");
    append_quoted (text, sources[i]);
  }
  g_string_append (text, sources ? "]\n" : "\n");
}

typedef struct {
  char *path, *text;
} Write;

static void
write_free (gpointer data)
{
  Write *write = data;
  g_free (write->path);
  g_free (write->text);
  g_free (write);
}

static void
write_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Write *write = data;
  GError *error = NULL;
  if (spt_file_replace (write->path, write->text, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void start_write (SptStore *self);

typedef struct {
  SptStore *store;
  GPtrArray *answered; /* of GTask: those whose changes this write has */
} Round;

static void
write_done (GObject *object, GAsyncResult *result, gpointer data)
{
  Round *round = data;
  g_autoptr (GError) error = NULL;
  gboolean ok = g_task_propagate_boolean (G_TASK (result), &error);
  round->store->writing = FALSE;
  for (guint i = 0; i < round->answered->len; i++) {
    GTask *task = g_ptr_array_index (round->answered, i);
    if (ok)
      g_task_return_boolean (task, TRUE);
    else
      g_task_return_error (task, g_error_copy (error));
  }
  g_ptr_array_unref (round->answered);
  if (round->store->waiting->len)
    start_write (round->store);
  g_free (round);
}

static void
start_write (SptStore *self)
{
  GString *text = g_string_new ("# Written by Spotter: streams added through the API.\n");
  spt_store_foreach (self, append_stream, text);
  Write *write = g_new (Write, 1);
  *write = (Write){g_strdup (self->path), g_string_free (text, FALSE)};
  Round *round = g_new (Round, 1);
  *round = (Round){self, g_steal_pointer (&self->waiting)};
  self->waiting = g_ptr_array_new_with_free_func (g_object_unref);
  self->writing = TRUE;
  g_autoptr (GTask) task = g_task_new (NULL, NULL, write_done, round);
  g_task_set_task_data (task, write, write_free);
  g_task_run_in_thread (task, write_thread);
}

/* Answers when all changes made so far are on disk, or FAILED with why not. */
void
spt_store_save_async (SptStore *self, GAsyncReadyCallback callback, gpointer data)
{
  GTask *task = g_task_new (NULL, NULL, callback, data);
  if (!self->path) {
    g_task_return_boolean (task, TRUE);
    g_object_unref (task);
    return;
  }
  g_ptr_array_add (self->waiting, task);
  if (!self->writing)
    start_write (self);
}

gboolean
spt_store_save_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
