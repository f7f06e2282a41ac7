/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Accepts HTTP connections for libsoup, counts them, and closes those that do not get on. */
#pragma once

#include <gst/gst.h>
#include <libsoup/soup.h>

typedef struct _SptConnections SptConnections;

typedef struct {
  guint timeout_ms; /* for a whole request head, for a body, and between requests */
  guint max, max_per_address;
} SptConnectionLimits;

SptConnections *spt_connections_new (
    SoupServer *server, GPtrArray *listeners, const SptConnectionLimits *limits);
void spt_connections_stop (SptConnections *self);
GSocket *spt_connections_get_socket (SptConnections *self, SoupServerMessage *message);
char *spt_connections_address (SoupServerMessage *message);
void spt_connections_watch (SptConnections *self, SoupServerMessage *message);
void spt_connections_answering (SptConnections *self, SoupServerMessage *message);
guint spt_connections_count (SptConnections *self);
