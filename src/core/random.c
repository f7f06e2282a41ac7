/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "random.h"

#include <sys/random.h>

/**
 * spt_random_id:
 *
 * Returns: (transfer full): 128 bits of the kernel's as 32 hexadecimal digits (GLib's generator can
 *   be foretold from what it has given). Any thread
 */
char *
spt_random_id (void)
{
  guint64 words[2];
  if (getentropy (words, sizeof words) != 0)
    g_error ("the system gives no random numbers"); /* nothing is safe without */
  return g_strdup_printf (
      "%016" G_GINT64_MODIFIER "x%016" G_GINT64_MODIFIER "x", words[0], words[1]);
}
