/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "error.h"

G_DEFINE_QUARK (spt - error - quark, spt_error)

/**
 * spt_error_word:
 * @error: any error
 *
 * Returns: the one-word code that accompanies the sentence in JSON answers. Static.
 */
const char *
spt_error_word (const GError *error)
{
  static const char *const words[] = {
      [SPT_ERROR_FAILED] = "failed",
      [SPT_ERROR_INVALID] = "invalid",
      [SPT_ERROR_FORBIDDEN] = "forbidden",
      [SPT_ERROR_NOT_FOUND] = "not_found",
      [SPT_ERROR_UNSUPPORTED] = "unsupported",
      [SPT_ERROR_UNAVAILABLE] = "unavailable",
  };
  if (error->domain != SPT_ERROR || (guint)error->code >= G_N_ELEMENTS (words))
    return "failed";
  return words[error->code];
}
