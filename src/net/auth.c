/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "auth.h"

#include <string.h>

#include "error.h"

static const SptOption options[] = {
    {"api.username", SPT_OPTION_STRING, "", 0, 0, "user name asked for by Basic authentication"},
    {"api.password", SPT_OPTION_STRING, "", 0, 0, "its password; empty: none is asked for"},
    {"api.local_auth", SPT_OPTION_BOOL, "false", 0, 0, "ask for the password over loopback too"},
};

struct _SptAuth {
  char *expected; /* "user:password"; NULL: open */
  gboolean local_auth;
};

void
spt_auth_declare_options (SptSettings *settings)
{
  spt_settings_declare (settings, options, G_N_ELEMENTS (options));
}

SptAuth *
spt_auth_new (SptSettings *settings)
{
  SptAuth *self = g_new0 (SptAuth, 1);
  const char *password = spt_settings_string (settings, "api.password");
  if (*password)
    self->expected =
        g_strconcat (spt_settings_string (settings, "api.username"), ":", password, NULL);
  self->local_auth = spt_settings_bool (settings, "api.local_auth");
  return self;
}

void
spt_auth_free (SptAuth *self)
{
  g_free (self->expected);
  g_free (self);
}

/* TRUE when no password is set. */
gboolean
spt_auth_is_open (SptAuth *self)
{
  return self->expected == NULL;
}

/* Takes as long for a wrong byte at the start as for one at the end. */
static gboolean
equal_in_constant_time (const char *a, const char *b)
{
  gsize n = strlen (a), m = strlen (b);
  guint8 different = n != m;
  for (gsize i = 0; i < m; i++)
    different |= (guint8)(b[i] ^ a[n ? i % n : 0]);
  return !different;
}

/**
 * spt_auth_authorize:
 * @stream: (nullable): which one, when the action is about one
 *
 * Returns: TRUE when @who may; else FALSE with FORBIDDEN, which HTTP turns into 401
 */
gboolean
spt_auth_authorize (
    SptAuth *self, const SptCredentials *who, SptAction action, const char *stream, GError **error)
{
  if (!self->expected || (who->local && !self->local_auth))
    return TRUE;
  if (who->authorization && g_ascii_strncasecmp (who->authorization, "Basic ", 6) == 0) {
    gsize length;
    g_autofree guchar *decoded = g_base64_decode (who->authorization + 6, &length);
    g_autofree char *given = g_strndup ((const char *)decoded, length);
    if (equal_in_constant_time (given, self->expected))
      return TRUE;
  }
  g_set_error (error, SPT_ERROR, SPT_ERROR_FORBIDDEN, "a user name and password are needed");
  return FALSE;
}
