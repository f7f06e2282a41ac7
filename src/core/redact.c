/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "redact.h"

#include <glib.h>

/**
 * spt_redact:
 * @text: (nullable): a URL, a log line, any sentence
 *
 * Replaces the user information of every URL in @text by `***`, and the value of query or fragment
 * keys that carry secrets. A password that itself contains '@' or '/' is covered too: everything up
 * to the last '@' before white space or a quote goes.
 *
 * Returns: (transfer full) (nullable): text that may be logged and sent.
 */
char *
spt_redact (const char *text)
{
  static GRegex *userinfo, *keys;
  static gsize once;
  if (g_once_init_enter (&once)) {
    userinfo = g_regex_new ("://[^\\s\"'<>]*@", G_REGEX_OPTIMIZE, 0, NULL);
    keys =
        g_regex_new ("([\\w-]*(?:pass\\w*|pwd|user-pw|token|secret|credential|api_?key)\\s*=\\s*)"
                     "(?:\"[^\"]*\"|'[^']*'|[^&#\\s\"'<>]*)",
            G_REGEX_OPTIMIZE | G_REGEX_CASELESS, 0, NULL);
    g_once_init_leave (&once, 1);
  }
  if (!text)
    return NULL;
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_autofree char *first = g_regex_replace_literal (userinfo, valid, -1, 0, "://***@", 0, NULL);
  return g_regex_replace (keys, first, -1, 0, "\\1***", 0, NULL);
}
