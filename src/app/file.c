/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "file.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

/* The directory entry must be on disk too, or the rename may be lost with the power. */
static void
sync_directory (const char *directory)
{
  int fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    fsync (fd);
    close (fd);
  }
}

/**
 * spt_file_replace:
 * @path: a file, a link to one, or what is to become one
 *
 * Blocks until @text is on disk, renamed over the old file, with its permissions (else only ours).
 *
 * Returns: FALSE and FAILED with why the old file is still there
 */
gboolean
spt_file_replace (const char *path, const char *text, GError **error)
{
  g_autoptr (GError) local = NULL;
  char *real = realpath (path, NULL);
  const char *target = real ? real : path;
  g_autofree char *directory = g_path_get_dirname (target);
  GStatBuf status;
  int mode = g_stat (target, &status) == 0 ? (int)(status.st_mode & 0777) : 0600;
  g_mkdir_with_parents (directory, 0700);
  gboolean ok = g_file_set_contents_full (
      target, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, mode, &local);
  if (ok)
    sync_directory (directory);
  else
    g_set_error (error, SPT_ERROR, SPT_ERROR_FAILED,
        "the change was not kept, because it could not be written: %s", local->message);
  free (real);
  return ok;
}
