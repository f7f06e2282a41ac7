/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For sender.c, the thread, and sender-peer.c, what it does with one peer. */
#pragma once

#include "sender.h"

/* Memories of one unit that are written by one call: head, payload, tail; streamheaders. */
#define SEGMENTS_MAX 8

typedef struct {
  const guint8 *data;
  gsize size;
  GstMemory *memory; /* (nullable) */
  GstMapInfo map;
  GBytes *bytes; /* (nullable): an answer, not a unit */
} Segment;

struct _SptSenderPeer {
  gatomicrefcount refs; /* commands on their way have one each */

  /* set before the thread sees it */
  SptSender *sender;
  SptSenderClient config;
  int fd; /* -1: datagrams */
  GError *reason;

  /* writer thread */
  SptViewer *viewer;
  GQueue control; /* of GBytes, sent before the next unit */
  gsize control_bytes;
  gboolean finish;      /* close when all that is queued is written */
  gboolean last;        /* close when what is loaded is written */
  gboolean half_closed; /* all is said: the peer may still read, and close its side */
  gboolean closed;
  GstCaps *caps;
  Segment segments[SEGMENTS_MAX];
  guint n_segments;
  guint8 scratch[SPT_SENDER_HEAD_MAX]; /* the rewritten first memory of the unit */
  gsize sent;                          /* bytes of the segments already written */
  GstClockTime first_pts;
  gint64 rewrite_state;
  gboolean old;    /* the unit loaded is from before the viewer came */
  gint64 progress; /* monotonic µs of the last byte taken */
  gboolean blocked;
  gboolean seen; /* by epoll */
};

struct _SptSender {
  GObject parent;

  /* construct-only */
  guint stall_ms;
  GThread *thread;
  int epoll, event;
  GAsyncQueue *commands; /* of Command */
  GMainContext *context;

  /* atomic */
  int woken, stopping, count;

  /* writer thread */
  GPtrArray *peers;
  guint turn;    /* where serve_all() begins: nobody is always the last */
  gboolean full; /* datagrams wait: go on soon */
};

typedef enum { SPT_FLUSH_IDLE, SPT_FLUSH_BLOCKED, SPT_FLUSH_CLOSE } SptSenderFlush;

/* Writer thread */
SptSenderFlush spt_sender_peer_flush (SptSenderPeer *peer);
void spt_sender_peer_release (SptSenderPeer *peer);
