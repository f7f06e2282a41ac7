/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <gio/gio.h>
#include <glib/gstdio.h>

#include "posemodels.h"

static char *folder;

/* Lists one model, whose file holds @text, with the checksum of @promised. */
static void
write_model (const char *text, const char *promised)
{
  g_autofree char *sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, promised, -1);
  g_autofree char *list =
      g_strdup_printf ("[toy]\npackage=x@1\nfile=toy-model.tflite\nsha256=%s\n", sum);
  g_autofree char *manifest = g_build_filename (folder, "models.ini", NULL);
  g_autofree char *path = g_build_filename (folder, "toy-model.tflite", NULL);
  g_assert_true (g_file_set_contents (manifest, list, -1, NULL));
  g_unlink (path);
  if (text)
    g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static void
test_a_listed_model_is_mapped (void)
{
  g_autoptr (GError) error = NULL;
  write_model ("weights", "weights");
  g_autoptr (GBytes) bytes = pose_models_map ("toy", &error);
  g_assert_no_error (error);
  gsize size;
  const void *data = g_bytes_get_data (bytes, &size);
  g_assert_cmpmem (data, size, "weights", 7);
}

static void
test_a_changed_model_is_refused (void)
{
  g_autoptr (GError) error = NULL;
  write_model ("weightz", "weights");
  g_assert_null (pose_models_map ("toy", &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
  g_assert_nonnull (strstr (error->message, "toy-model.tflite"));
}

static void
test_a_missing_model_says_what_to_do (void)
{
  g_autoptr (GError) error = NULL;
  write_model (NULL, "weights");
  g_assert_null (pose_models_map ("toy", &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "toy-model.tflite"));
  g_assert_nonnull (strstr (error->message, "./dev build"));
  g_assert_nonnull (strstr (error->message, folder));
}

static void
test_a_model_that_is_not_listed_is_an_error (void)
{
  g_autoptr (GError) error = NULL;
  write_model ("weights", "weights");
  g_assert_null (pose_models_map ("../toy", &error));
  g_assert_nonnull (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("posemodels-XXXXXX", NULL);
  g_setenv ("SPOTTER_MODELS", folder, TRUE);
  g_test_add_func ("/posemodels/a-listed-model-is-mapped", test_a_listed_model_is_mapped);
  g_test_add_func ("/posemodels/a-changed-model-is-refused", test_a_changed_model_is_refused);
  g_test_add_func (
      "/posemodels/a-missing-model-says-what-to-do", test_a_missing_model_says_what_to_do);
  g_test_add_func ("/posemodels/a-model-that-is-not-listed-is-an-error",
      test_a_model_that_is_not_listed_is_an_error);
  int status = g_test_run ();
  write_model (NULL, "");
  g_autofree char *manifest = g_build_filename (folder, "models.ini", NULL);
  g_unlink (manifest);
  g_rmdir (folder);
  g_free (folder);
  return status;
}
