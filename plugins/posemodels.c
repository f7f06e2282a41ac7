/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "posemodels.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <gio/gio.h>

#define HOW_TO_GET "./dev build in Spotter's sources gets it"

/**
 * pose_own_folder:
 *
 * Returns: (transfer full): the folder of the library or program that holds this function.
 */
char *
pose_own_folder (void)
{
  Dl_info info;
  char *path = dladdr ((void *)pose_own_folder, &info) ? realpath (info.dli_fname, NULL) : NULL;
  char *folder = g_path_get_dirname (path ? path : ".");
  free (path);
  return folder;
}

/* Where models may be, the best first. */
static char **
folders (void)
{
  const char *chosen = g_getenv ("SPOTTER_MODELS");
  g_autofree char *own = pose_own_folder ();
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  if (chosen && *chosen) { /* and nowhere else */
    g_strv_builder_add (builder, chosen);
    return g_strv_builder_end (builder);
  }
  g_autofree char *built = g_build_filename (own, "..", "data", "models", NULL);
  g_strv_builder_add (builder, built);
  g_strv_builder_add (builder, SPT_MODELS_DIR);
  return g_strv_builder_end (builder);
}

/* Returns: (transfer full) (nullable): the first @file there is. */
static char *
find (const char *file, GError **error)
{
  g_auto (GStrv) places = folders ();
  for (guint i = 0; places[i]; i++) {
    g_autofree char *path = g_build_filename (places[i], file, NULL);
    if (g_file_test (path, G_FILE_TEST_IS_REGULAR))
      return g_steal_pointer (&path);
  }
  g_autofree char *all = g_strjoinv (", ", places);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
      "%s is in none of %s: " HOW_TO_GET ", SPOTTER_MODELS may name its folder", file, all);
  return NULL;
}

/**
 * pose_models_map:
 * @name: a group of models.ini: "detector", "lite", "full" or "heavy"
 *
 * Maps a model into memory and compares its SHA-256 with the manifest's; takes 0.1 s for the
 * largest.
 *
 * Returns: (transfer full) (nullable): the file's bytes, shared with whoever else maps it.
 */
GBytes *
pose_models_map (const char *name, GError **error)
{
  g_autofree char *manifest = find ("models.ini", error);
  g_autoptr (GKeyFile) list = g_key_file_new ();
  if (!manifest || !g_key_file_load_from_file (list, manifest, G_KEY_FILE_NONE, error))
    return NULL;
  g_autofree char *file = g_key_file_get_string (list, name, "file", error);
  g_autofree char *wanted = file ? g_key_file_get_string (list, name, "sha256", error) : NULL;
  g_autofree char *path = wanted ? find (file, error) : NULL;
  g_autoptr (GMappedFile) mapped = path ? g_mapped_file_new (path, FALSE, error) : NULL;
  if (!mapped)
    return NULL;
  g_autoptr (GBytes) bytes = g_mapped_file_get_bytes (mapped);
  g_autofree char *sum = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, bytes);
  if (g_ascii_strcasecmp (sum, wanted) != 0) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
        "%s is not the model that %s asks for (its SHA-256 is %s): delete it, " HOW_TO_GET " again",
        path, manifest, sum);
    return NULL;
  }
  return g_steal_pointer (&bytes);
}
