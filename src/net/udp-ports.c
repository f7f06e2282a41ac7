/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "udp-ports.h"

#include <string.h>
#include <sys/socket.h>

#include "error.h"

#define BUFFER (1024 * 1024)
#define DATAGRAM_MAX 2048
/* Tries to find an even port whose neighbour is free as well. */
#define TRIES 64

/* Beyond the system's limit only for the privileged; up to it for everybody. */
static void
set_buffer (GSocket *socket, int force, int option)
{
  if (!g_socket_set_option (socket, SOL_SOCKET, force, BUFFER, NULL))
    g_socket_set_option (socket, SOL_SOCKET, option, BUFFER, NULL);
}

static GSocket *
bind_port (guint16 port, GError **error)
{
  static const GSocketFamily families[] = {G_SOCKET_FAMILY_IPV6, G_SOCKET_FAMILY_IPV4};
  for (guint i = 0; i < G_N_ELEMENTS (families); i++) {
    g_clear_error (error);
    g_autoptr (GSocket) socket =
        g_socket_new (families[i], G_SOCKET_TYPE_DATAGRAM, G_SOCKET_PROTOCOL_UDP, error);
    if (!socket)
      continue; /* a system without IPv6 */
    g_autoptr (GInetAddress) any = g_inet_address_new_any (families[i]);
    g_autoptr (GSocketAddress) address = g_inet_socket_address_new (any, port);
    if (!g_socket_bind (socket, address, FALSE, error))
      return NULL;
    set_buffer (socket, SO_SNDBUFFORCE, SO_SNDBUF);
    set_buffer (socket, SO_RCVBUFFORCE, SO_RCVBUF);
    g_socket_set_blocking (socket, FALSE);
    return g_steal_pointer (&socket);
  }
  return NULL;
}

static guint16
port_of (GSocket *socket)
{
  g_autoptr (GSocketAddress) address = g_socket_get_local_address (socket, NULL);
  return g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address));
}

static gboolean
bind_pair (SptUdpPair *self, guint16 port)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) rtp = bind_port (port, &error);
  guint16 got = rtp ? port_of (rtp) : 0;
  if (!rtp || got & 1)
    return FALSE;
  g_autoptr (GSocket) rtcp = bind_port (got + 1, &error);
  if (!rtcp)
    return FALSE;
  self->rtp = g_steal_pointer (&rtp);
  self->rtcp = g_steal_pointer (&rtcp);
  self->port = got;
  return TRUE;
}

/* (transfer full): "127.0.0.1 5000" */
char *
spt_udp_name (GSocketAddress *address)
{
  GInetSocketAddress *inet = G_INET_SOCKET_ADDRESS (address);
  g_autofree char *text = g_inet_address_to_string (g_inet_socket_address_get_address (inet));
  return g_strdup_printf ("%s %u",
      g_str_has_prefix (text, "::ffff:") ? text + strlen ("::ffff:") : text,
      g_inet_socket_address_get_port (inet));
}

static gboolean
on_readable (GSocket *socket, GIOCondition condition, gpointer data)
{
  SptUdpPair *self = data;
  char datagram[DATAGRAM_MAX];
  for (guint i = 0; i < TRIES; i++) {
    g_autoptr (GSocketAddress) from = NULL;
    gssize n = g_socket_receive_from (socket, &from, datagram, sizeof datagram, NULL, NULL);
    if (n < 0)
      break;
    g_autofree char *name = from ? spt_udp_name (from) : NULL;
    if (name)
      self->received (name, (const guint8 *)datagram, (gsize)n, socket == self->rtcp, self->data);
  }
  return G_SOURCE_CONTINUE;
}

static GSource *
watch (SptUdpPair *self, GSocket *socket)
{
  GSource *source = g_socket_create_source (socket, G_IO_IN, NULL);
  g_source_set_callback (source, G_SOURCE_FUNC (on_readable), self, NULL);
  g_source_attach (source, NULL);
  return source;
}

/**
 * spt_udp_pair_new:
 * @first: the range to take the pair from; 0: any
 * @received: called on the main context until spt_udp_pair_close()
 *
 * Returns: two sockets on neighbouring ports, the first even; or UNAVAILABLE
 */
SptUdpPair *
spt_udp_pair_new (
    guint16 first, guint16 last, SptUdpReceived received, gpointer data, GError **error)
{
  SptUdpPair *self = g_new0 (SptUdpPair, 1);
  gboolean ok = FALSE;
  if (!first)
    for (guint i = 0; !ok && i < TRIES; i++)
      ok = bind_pair (self, 0);
  for (guint port = first + (first & 1u); first && !ok && port + 1 <= last; port += 2)
    ok = bind_pair (self, (guint16)port);
  if (!ok) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_UNAVAILABLE, "there is no pair of UDP ports free");
    g_free (self);
    return NULL;
  }
  self->received = received;
  self->data = data;
  self->sources[0] = watch (self, self->rtp);
  self->sources[1] = watch (self, self->rtcp);
  return self;
}

/* Nothing is received any more. The sockets live on as long as somebody sends on them. */
void
spt_udp_pair_close (SptUdpPair *self)
{
  for (guint i = 0; i < 2; i++) {
    g_source_destroy (self->sources[i]);
    g_clear_pointer (&self->sources[i], g_source_unref);
  }
  g_object_unref (self->rtp);
  g_object_unref (self->rtcp);
  g_free (self);
}
