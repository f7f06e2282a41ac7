/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One error domain. Doors turn the code into a status in exactly one place (net/http.c), the
 * command line into an exit code (main.c). A message finishes the sentence "could not …". */
#pragma once

#include <glib.h>

#define SPT_ERROR (spt_error_quark ())

typedef enum {
  SPT_ERROR_FAILED,      /* something inside broke: 500 */
  SPT_ERROR_INVALID,     /* what the caller sent is wrong: 400 */
  SPT_ERROR_FORBIDDEN,   /* understood, and not allowed: 403 */
  SPT_ERROR_NOT_FOUND,   /* no such stream, path, session: 404 */
  SPT_ERROR_UNSUPPORTED, /* nothing on this machine can do it: 501 */
  SPT_ERROR_UNAVAILABLE, /* the source cannot be opened now: 503 */
} SptErrorCode;

GQuark spt_error_quark (void);
const char *spt_error_word (const GError *error);
