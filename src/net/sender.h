/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many sockets, one writer thread: each socket gets the units of its viewer as they come. */
#pragma once

#include <gio/gio.h>

#include "datagram.h"
#include "types.h"

#define SPT_TYPE_SENDER (spt_sender_get_type ())
G_DECLARE_FINAL_TYPE (SptSender, spt_sender, SPT, SENDER, GObject)

/* One socket, or one viewer's datagrams. Valid until its closed function has returned. */
typedef struct _SptSenderPeer SptSenderPeer;

/* The most bytes of a unit's first memory that a rewrite may change. */
#define SPT_SENDER_HEAD_MAX 256
/* More than this of answers that nobody takes, and the peer is cut. */
#define SPT_SENDER_CONTROL_MAX (256 * 1024)

/* Changes a copy of the unit's first memory for one socket. Called on the writer thread. */
typedef void (*SptSenderRewrite) (guint8 *head, gsize size, GstCaps *caps, gint64 *state);
/* Returns (transfer full) (nullable): what is sent instead of the unit; NULL: nothing. Called on
 * the writer thread. */
typedef GstBuffer *(*SptSenderFilter) (
    GstBuffer *unit, GstCaps *caps, SptViewer *viewer, gpointer data);
/* Nothing more is sent, for @reason (nullable: the stream ended, or the peer left). The socket is
 * closed when this returns. Main context. */
typedef void (*SptSenderClosed) (const GError *reason, gpointer data);

typedef struct {
  GIOStream *stream;        /* taken (nullable): what owns the socket */
  GSocket *socket;          /* taken (nullable) */
  SptDatagrams *datagrams;  /* taken (nullable): instead of a socket */
  gboolean stays;           /* when the viewer has ended; else that is the end of the socket */
  gboolean duplex;          /* the owner reads from the socket; else what comes is thrown away */
  SptViewer *viewer;        /* (nullable): drained from now on by the sender */
  GstClockTime duration;    /* media time after which the socket is closed; 0: never */
  SptSenderRewrite rewrite; /* (nullable) */
  SptSenderFilter filter;   /* (nullable) */
  SptSenderClosed closed;
  gpointer data;
} SptSenderClient;

SptSender *spt_sender_new (guint stall_ms);
SptSenderPeer *spt_sender_add (SptSender *self, const SptSenderClient *client, GBytes *head);
void spt_sender_write (SptSenderPeer *peer, GBytes *bytes);
void spt_sender_feed (SptSenderPeer *peer, SptViewer *viewer);
void spt_sender_finish (SptSenderPeer *peer);
void spt_sender_remove (SptSenderPeer *peer);
void spt_sender_stop (SptSender *self);
gboolean spt_sender_is_stopping (SptSender *self);
guint spt_sender_count (SptSender *self);
