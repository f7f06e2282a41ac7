/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libsoup 3.2 limits neither connections nor the time they take, and says nothing about a
 * connection before a request has begun. So we accept ourselves and hand the stream over; a
 * connection is found again by its peer's address and port, and counted until its socket object is
 * gone, wherever that was handed to. All on the main context, but for the last breath of a socket.
 */
#include "config.h"

#include "connections.h"

#include "admission.h"

GST_DEBUG_CATEGORY_STATIC (spotter_connections);
#define GST_CAT_DEFAULT spotter_connections

typedef struct {
  SptConnections *owner;
  GSocket *socket; /* not owned: the record goes with it */
  char *key, *address;
  guint timer;
} Connection;

struct _SptConnections {
  grefcount refs;
  SoupServer *server; /* NULL when stopped */
  SptConnectionLimits limits;
  SptAdmission admission;
  GHashTable *by_peer; /* "address port" → Connection */
  GPtrArray *sources;
};

static void
connections_unref (SptConnections *self)
{
  if (!g_ref_count_dec (&self->refs))
    return;
  g_hash_table_unref (self->by_peer);
  spt_admission_clear (&self->admission);
  g_free (self);
}

static char *
peer_key (GSocketAddress *address)
{
  g_autofree char *text = spt_admission_address (address);
  guint port = G_IS_INET_SOCKET_ADDRESS (address)
                   ? g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address))
                   : 0;
  return g_strdup_printf ("%s %u", text, port);
}

/* ---- one connection ----------------------------------------------------------------------- */

static gboolean
too_slow (gpointer data)
{
  Connection *connection = data;
  connection->timer = 0;
  g_socket_shutdown (connection->socket, TRUE, TRUE, NULL);
  return G_SOURCE_REMOVE;
}

/* Closes the connection unless it gets further in time; 0 disarms. */
static void
arm (Connection *connection, guint ms)
{
  g_clear_handle_id (&connection->timer, g_source_remove);
  if (ms)
    connection->timer = g_timeout_add (ms, too_slow, connection);
}

static gboolean
connection_over (gpointer data)
{
  Connection *connection = data;
  SptConnections *self = connection->owner;
  spt_admission_leave (&self->admission, connection->address);
  /* The peer may have come back from the same port in the meantime. */
  if (g_hash_table_lookup (self->by_peer, connection->key) == connection)
    g_hash_table_remove (self->by_peer, connection->key);
  arm (connection, 0);
  g_free (connection->address);
  g_free (connection->key);
  g_free (connection);
  connections_unref (self);
  return G_SOURCE_REMOVE;
}

/* The socket object is being freed; any thread. */
static void
socket_gone (gpointer data)
{
  g_idle_add_full (G_PRIORITY_HIGH, connection_over, data, NULL);
}

static Connection *
admit (SptConnections *self, GSocket *socket, GSocketAddress *peer)
{
  g_autofree char *address = spt_admission_address (peer);
  if (!spt_admission_enter (&self->admission, address)) {
    GST_INFO ("refused a connection from %s: %u are open", address, self->admission.count);
    return NULL;
  }
  Connection *connection = g_new0 (Connection, 1);
  g_ref_count_inc (&self->refs);
  connection->owner = self;
  connection->socket = socket;
  connection->key = peer_key (peer);
  connection->address = g_steal_pointer (&address);
  g_hash_table_replace (self->by_peer, connection->key, connection);
  g_object_set_data_full (G_OBJECT (socket), "spt-connection", connection, socket_gone);
  return connection;
}

static gboolean
on_incoming (GSocket *listener, GIOCondition condition, gpointer data)
{
  SptConnections *self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_socket_accept (listener, NULL, &error);
  g_autoptr (GSocketAddress) local = socket ? g_socket_get_local_address (socket, NULL) : NULL;
  g_autoptr (GSocketAddress) peer = socket ? g_socket_get_remote_address (socket, NULL) : NULL;
  if (!local || !peer)
    return G_SOURCE_CONTINUE; /* it has left already, or there is no descriptor for it */
  Connection *connection = admit (self, socket, peer);
  if (!connection)
    return G_SOURCE_CONTINUE; /* dropping the socket closes it */
  g_autoptr (GSocketConnection) stream = g_socket_connection_factory_create_connection (socket);
  arm (connection, self->limits.timeout_ms);
  if (!soup_server_accept_iostream (self->server, G_IO_STREAM (stream), local, peer, &error))
    GST_WARNING ("%s", error->message);
  return G_SOURCE_CONTINUE;
}

/* ---- requests ----------------------------------------------------------------------------- */

static Connection *
find (SptConnections *self, SoupServerMessage *message)
{
  g_autofree char *key = peer_key (soup_server_message_get_remote_address (message));
  return g_hash_table_lookup (self->by_peer, key);
}

/* (transfer none) (nullable) */
GSocket *
spt_connections_get_socket (SptConnections *self, SoupServerMessage *message)
{
  Connection *connection = find (self, message);
  return connection ? connection->socket : NULL;
}

/* (transfer full): the peer's address without port */
char *
spt_connections_address (SoupServerMessage *message)
{
  return spt_admission_address (soup_server_message_get_remote_address (message));
}

static void
rearm (SptConnections *self, SoupServerMessage *message, guint ms)
{
  Connection *connection = find (self, message);
  if (connection)
    arm (connection, ms);
}

static void
on_got_headers (SoupServerMessage *message, gpointer data)
{
  SptConnections *self = data;
  rearm (self, message, self->limits.timeout_ms);
}

static void
on_got_body (SoupServerMessage *message, gpointer data)
{
  rearm (data, message, 0); /* our turn */
}

static void
on_wrote_body (SoupServerMessage *message, gpointer data)
{
  SptConnections *self = data;
  rearm (self, message, self->limits.timeout_ms); /* until the next request is here */
}

/* The answer is ready: from here on the peer must take some of it now and then. */
void
spt_connections_answering (SptConnections *self, SoupServerMessage *message)
{
  rearm (self, message, self->limits.timeout_ms);
}

static void
on_wrote_data (SoupServerMessage *message, guint size, gpointer data)
{
  spt_connections_answering (data, message);
}

/* Watches over a request that has begun. */
void
spt_connections_watch (SptConnections *self, SoupServerMessage *message)
{
  g_signal_connect (message, "got-headers", G_CALLBACK (on_got_headers), self);
  g_signal_connect (message, "got-body", G_CALLBACK (on_got_body), self);
  g_signal_connect (message, "wrote-body-data", G_CALLBACK (on_wrote_data), self);
  g_signal_connect (message, "wrote-body", G_CALLBACK (on_wrote_body), self);
}

/* ---- the listener ------------------------------------------------------------------------- */

/**
 * spt_connections_new:
 * @listeners: (element-type GSocket): listening; used until spt_connections_stop()
 */
SptConnections *
spt_connections_new (SoupServer *server, GPtrArray *listeners, const SptConnectionLimits *limits)
{
  static gsize once;
  if (g_once_init_enter (&once)) {
    GST_DEBUG_CATEGORY_INIT (spotter_connections, "spotter-connections", 0, "HTTP connections");
    g_once_init_leave (&once, 1);
  }
  SptConnections *self = g_new0 (SptConnections, 1);
  g_ref_count_init (&self->refs);
  self->server = server;
  self->limits = *limits;
  self->by_peer = g_hash_table_new (g_str_hash, g_str_equal);
  spt_admission_init (&self->admission, limits->max, limits->max_per_address);
  self->sources = g_ptr_array_new ();
  for (guint i = 0; i < listeners->len; i++) {
    GSource *source = g_socket_create_source (g_ptr_array_index (listeners, i), G_IO_IN, NULL);
    g_source_set_callback (source, G_SOURCE_FUNC (on_incoming), self, NULL);
    g_source_attach (source, NULL);
    g_ptr_array_add (self->sources, source);
  }
  return self;
}

/* Open connections, also those that were handed over. */
guint
spt_connections_count (SptConnections *self)
{
  return g_hash_table_size (self->by_peer);
}

/* Accepts no more, and gives up its part; the records go with their sockets. */
void
spt_connections_stop (SptConnections *self)
{
  for (guint i = 0; i < self->sources->len; i++) {
    g_source_destroy (g_ptr_array_index (self->sources, i));
    g_source_unref (g_ptr_array_index (self->sources, i));
  }
  g_ptr_array_unref (self->sources);
  self->server = NULL;
  connections_unref (self);
}
