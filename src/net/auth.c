/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "auth.h"

#include <gst/rtsp/rtsp.h>
#include <libsoup/soup.h>
#include <string.h>

#include "error.h"

static const SptOption options[] = {
    {"api.username", SPT_OPTION_STRING, "", 0, 0, "user name asked for by Basic authentication"},
    {"api.password", SPT_OPTION_STRING, "", 0, 0, "its password; empty: none is asked for"},
    {"api.local_auth", SPT_OPTION_BOOL, "false", 0, 0, "ask for the password over loopback too"},
};

struct _SptAuth {
  char *username, *password; /* an empty password: open */
  gboolean local_auth;
};

void
spt_auth_declare_options (SptSettings *settings)
{
  spt_settings_declare (settings, options, G_N_ELEMENTS (options));
}

/* @local_auth: ask over loopback too; an empty @password asks nobody */
SptAuth *
spt_auth_new (const char *username, const char *password, gboolean local_auth)
{
  SptAuth *self = g_new0 (SptAuth, 1);
  self->username = g_strdup (username);
  self->password = g_strdup (password);
  self->local_auth = local_auth;
  return self;
}

void
spt_auth_free (SptAuth *self)
{
  g_free (self->username);
  g_free (self->password);
  g_free (self);
}

/* TRUE when no password is set. */
gboolean
spt_auth_is_open (SptAuth *self)
{
  return !*self->password;
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

static gboolean
check_basic (SptAuth *self, const char *text)
{
  gsize length;
  g_autofree guchar *decoded = g_base64_decode (text, &length);
  g_autofree char *given = g_strndup ((const char *)decoded, length);
  g_autofree char *expected = g_strconcat (self->username, ":", self->password, NULL);
  return equal_in_constant_time (given, expected);
}

/* RFC 2617 without qop, as RTSP clients speak it. */
static gboolean
check_digest (SptAuth *self, const SptCredentials *who, const char *text)
{
  g_autoptr (GHashTable) given = soup_header_parse_param_list (text);
  const char *username = g_hash_table_lookup (given, "username");
  const char *nonce = g_hash_table_lookup (given, "nonce");
  const char *uri = g_hash_table_lookup (given, "uri");
  const char *response = g_hash_table_lookup (given, "response");
  if (!username || !nonce || !uri || !response || !who->nonce || !who->method ||
      !g_str_equal (nonce, who->nonce) || !g_str_equal (username, self->username))
    return FALSE;
  g_autofree char *expected = gst_rtsp_generate_digest_auth_response (
      NULL, who->method, SPT_AUTH_REALM, self->username, self->password, uri, nonce);
  return expected && equal_in_constant_time (response, expected);
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
  if (spt_auth_is_open (self) || (who->local && !self->local_auth))
    return TRUE;
  const char *text = who->authorization;
  if (text && g_ascii_strncasecmp (text, "Basic ", 6) == 0 && check_basic (self, text + 6))
    return TRUE;
  if (text && g_ascii_strncasecmp (text, "Digest ", 7) == 0 && check_digest (self, who, text + 7))
    return TRUE;
  g_set_error (error, SPT_ERROR, SPT_ERROR_FORBIDDEN, "a user name and password are needed");
  return FALSE;
}
