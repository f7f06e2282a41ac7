/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many sockets, one writer thread: each socket gets the units of its viewer as they come. */
#pragma once

#include <gio/gio.h>

#include "types.h"

#define SPT_TYPE_SENDER (spt_sender_get_type ())
G_DECLARE_FINAL_TYPE (SptSender, spt_sender, SPT, SENDER, GObject)

/* The most bytes of a unit's first memory that a rewrite may change. */
#define SPT_SENDER_HEAD_MAX 256

/* Changes a copy of the unit's first memory for one socket. Called on the writer thread. */
typedef void (*SptSenderRewrite) (guint8 *head, gsize size, GstCaps *caps, gint64 *state);
/* The socket is closed, for @reason (nullable: the stream ended). Main context. */
typedef void (*SptSenderClosed) (const GError *reason, gpointer data);

typedef struct {
  GIOStream *stream;        /* taken: what owns the socket */
  GSocket *socket;          /* taken */
  char *head;               /* taken (nullable): what is sent first, the answer's header */
  SptViewer *viewer;        /* drained from now on by the sender */
  GstClockTime duration;    /* media time after which the socket is closed; 0: never */
  SptSenderRewrite rewrite; /* (nullable) */
  SptSenderClosed closed;
  gpointer data;
} SptSenderClient;

SptSender *spt_sender_new (guint stall_ms);
void spt_sender_add (SptSender *self, const SptSenderClient *client);
void spt_sender_stop (SptSender *self);
guint spt_sender_count (SptSender *self);
