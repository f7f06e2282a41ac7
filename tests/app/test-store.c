/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "store.h"

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
  g_test_add_func ("/store/gives-back-what-it-was-given", test_store_gives_back_what_it_was_given);
  g_test_add_func ("/store/says-when-it-cannot-write", test_store_says_when_it_cannot_write);
  g_test_add_func ("/store/damaged-store-is-reported", test_damaged_store_is_reported);
  return g_test_run ();
}
