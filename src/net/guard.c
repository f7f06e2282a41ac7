/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DNS rebinding: a stranger's page whose name suddenly means 127.0.0.1 sends its own name as Host,
 * so only names that are surely ours pass. Cross-site requests carry the page's Origin. libsoup 3.2
 * takes the last of several Host headers, so more than one is refused before anything is compared.
 */
#include "config.h"

#include "guard.h"

#include <string.h>

#include "error.h"

struct _SptGuard {
  char **allowed;  /* origins or host names */
  char *host_name; /* of this machine */
};

SptGuard *
spt_guard_new (const char *const *allowed)
{
  SptGuard *self = g_new0 (SptGuard, 1);
  self->allowed = g_strdupv ((char **)allowed);
  self->host_name = g_strdup (g_get_host_name ());
  return self;
}

void
spt_guard_free (SptGuard *self)
{
  g_strfreev (self->allowed);
  g_free (self->host_name);
  g_free (self);
}

/* "[::1]:1984" → "::1"; NULL when it is not a host. */
static char *
host_part (const char *text)
{
  gsize length = strlen (text);
  if (!length || length > 255)
    return NULL;
  if (*text == '[') {
    const char *end = strchr (text, ']');
    return end ? g_strndup (text + 1, (gsize)(end - text - 1)) : NULL;
  }
  return g_strndup (text, strcspn (text, ":"));
}

static gboolean
is_loopback (const char *host)
{
  if (g_ascii_strcasecmp (host, "localhost") == 0)
    return TRUE;
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (host);
  return address && g_inet_address_get_is_loopback (address);
}

/* An entry of api.origin is "https://host:port", "host:port" or "host". */
static gboolean
is_allowed (SptGuard *self, const char *host)
{
  for (char **entry = self->allowed; *entry; entry++) {
    const char *rest = strstr (*entry, "://");
    g_autofree char *name = host_part (rest ? rest + 3 : *entry);
    if (name && g_ascii_strcasecmp (name, host) == 0)
      return TRUE;
  }
  return FALSE;
}

static gboolean
is_this_machine (SptGuard *self, const char *host)
{
  g_autofree char *mdns = g_strconcat (self->host_name, ".local", NULL);
  g_autoptr (GInetAddress) literal = g_inet_address_new_from_string (host);
  return literal || is_loopback (host) || g_ascii_strcasecmp (host, self->host_name) == 0 ||
         g_ascii_strcasecmp (host, mdns) == 0;
}

typedef struct {
  guint n;
  const char *value;
} Hosts;

static void
count_hosts (const char *name, const char *value, gpointer data)
{
  Hosts *hosts = data;
  if (g_ascii_strcasecmp (name, "Host") == 0) {
    hosts->n++;
    hosts->value = value;
  }
}

/* FALSE and INVALID (no or several hosts) or FORBIDDEN (a name that is not known to be ours). */
gboolean
spt_guard_host (SptGuard *self, SoupMessageHeaders *headers, GError **error)
{
  Hosts hosts = {0};
  soup_message_headers_foreach (headers, count_hosts, &hosts);
  g_autofree char *host = hosts.n == 1 ? host_part (hosts.value) : NULL;
  if (!host) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "a request carries exactly one Host header");
    return FALSE;
  }
  if (is_this_machine (self, host) || is_allowed (self, host))
    return TRUE;
  g_set_error (error, SPT_ERROR, SPT_ERROR_FORBIDDEN,
      "this host name is not known to be this server's; add it to api.origin");
  return FALSE;
}

/* TRUE without an Origin (not a web page), or for this host on any port, loopback, and api.origin.
 */
gboolean
spt_guard_origin (SptGuard *self, SoupMessageHeaders *headers)
{
  const char *origin = soup_message_headers_get_one (headers, "Origin");
  const char *own = soup_message_headers_get_one (headers, "Host");
  if (!origin)
    return TRUE;
  const char *rest = strstr (origin, "://");
  g_autofree char *host = rest ? host_part (rest + 3) : NULL;
  g_autofree char *own_host = own ? host_part (own) : NULL;
  if (!host || !*host)
    return FALSE;
  return is_loopback (host) || is_allowed (self, host) ||
         (own_host && g_ascii_strcasecmp (host, own_host) == 0);
}
