/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "listen.h"

#include <string.h>

#include "error.h"

/* libsoup's own 10 makes fifty viewers at once wait for 2–4 s (platform.md). */
#define BACKLOG 512

static gboolean
split (const char *address, char **host, guint16 *port, GError **error)
{
  const char *colon = strrchr (address, ':');
  guint64 number = 0;
  if (!colon || !g_ascii_string_to_unsigned (colon + 1, 10, 0, 65535, &number, NULL)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "'%s' is not an address to listen on: write 127.0.0.1:1984, or :1984 for every address",
        address);
    return FALSE;
  }
  *port = (guint16)number;
  *host = g_strndup (address, (gsize)(colon - address));
  if (**host == '[') {
    memmove (*host, *host + 1, strlen (*host));
    (*host)[strcspn (*host, "]")] = '\0';
  }
  return TRUE;
}

static GInetAddress *
resolve (const char *host)
{
  if (g_str_equal (host, "localhost"))
    return g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
  return g_inet_address_new_from_string (host);
}

static GSocket *
bind_one (GInetAddress *host, guint16 port, GError **error)
{
  GSocketFamily family = g_inet_address_get_family (host);
  g_autoptr (GSocket) socket =
      g_socket_new (family, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, error);
  if (!socket)
    return NULL;
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new (host, port);
  g_socket_set_listen_backlog (socket, BACKLOG);
  if (!g_socket_bind (socket, address, TRUE, error) || !g_socket_listen (socket, error))
    return NULL;
  return g_steal_pointer (&socket);
}

/**
 * spt_listen:
 * @address: "host:port"; an empty host is every address (IPv6 with IPv4 where the system can)
 *
 * Returns: (transfer full) (element-type GSocket): listening sockets; or INVALID, UNAVAILABLE
 */
GPtrArray *
spt_listen (const char *address, GError **error)
{
  g_autofree char *host = NULL;
  g_autoptr (GError) why = NULL;
  guint16 port;
  if (!split (address, &host, &port, error))
    return NULL;
  g_autoptr (GInetAddress) inet =
      *host ? resolve (host) : g_inet_address_new_any (G_SOCKET_FAMILY_IPV6);
  g_autoptr (GSocket) socket = inet ? bind_one (inet, port, &why) : NULL;
  if (!socket && inet && !*host) { /* a system without IPv6 */
    g_clear_error (&why);
    g_autoptr (GInetAddress) any = g_inet_address_new_any (G_SOCKET_FAMILY_IPV4);
    socket = bind_one (any, port, &why);
  }
  if (!socket) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_UNAVAILABLE, "cannot listen on %s: %s", address,
        why ? why->message : "it is not an IP address of this machine");
    return NULL;
  }
  GPtrArray *sockets = g_ptr_array_new_with_free_func (g_object_unref);
  g_ptr_array_add (sockets, g_steal_pointer (&socket));
  return sockets;
}

/* (transfer full): "127.0.0.1:1984" with the real port; ":1984" for every address */
char *
spt_listen_describe (GSocket *socket)
{
  g_autoptr (GSocketAddress) local = g_socket_get_local_address (socket, NULL);
  GInetSocketAddress *inet = G_INET_SOCKET_ADDRESS (local);
  GInetAddress *host = g_inet_socket_address_get_address (inet);
  g_autofree char *text =
      g_inet_address_get_is_any (host) ? g_strdup ("") : g_inet_address_to_string (host);
  gboolean six = strchr (text, ':') != NULL;
  return g_strdup_printf (
      "%s%s%s:%u", six ? "[" : "", text, six ? "]" : "", g_inet_socket_address_get_port (inet));
}

/* TRUE when only this machine can reach it. */
gboolean
spt_listen_is_loopback (const char *address)
{
  g_autofree char *host = NULL;
  guint16 port;
  if (!split (address, &host, &port, NULL) || !*host)
    return FALSE;
  g_autoptr (GInetAddress) inet = resolve (host);
  return inet && g_inet_address_get_is_loopback (inet);
}
