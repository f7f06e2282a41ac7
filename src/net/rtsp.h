/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RTSP connections: messages in and answers out, within limits. Knows no streams and no sessions:
 * that is outputs/rtsp.c. */
#pragma once

#include <gst/rtsp/rtsp.h>

#include "auth.h"
#include "sender.h"

typedef struct _SptRtspServer SptRtspServer;
typedef struct _SptRtspConnection SptRtspConnection;

/* All on the main context. */
typedef struct {
  /* A request, authorized. It is answered by spt_rtsp_reply(), now or later; no other comes before
   * that. */
  void (*request) (SptRtspConnection *connection, GstRTSPMethod method, const char *url,
      GstRTSPMessage *message, gpointer data);
  /* An interleaved packet. */
  void (*packet) (SptRtspConnection *connection, guint8 channel, const guint8 *packet, gsize size,
      gpointer data);
  /* The connection is over; it is freed when the last reference goes. */
  void (*closed) (SptRtspConnection *connection, gpointer data);
} SptRtspHandlers;

typedef struct {
  guint timeout_ms; /* for a whole message, and between messages without a session */
  guint max, max_per_address;
} SptRtspLimits;

SptRtspServer *spt_rtsp_server_new (SptAuth *auth, SptSender *sender, const SptRtspLimits *limits,
    const SptRtspHandlers *handlers, gpointer data);
gboolean spt_rtsp_server_listen (SptRtspServer *self, const char *address, GError **error);
const char *spt_rtsp_server_address (SptRtspServer *self);
void spt_rtsp_server_stop (SptRtspServer *self);

SptRtspConnection *spt_rtsp_connection_ref (SptRtspConnection *self);
void spt_rtsp_connection_unref (SptRtspConnection *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SptRtspConnection, spt_rtsp_connection_unref)
void spt_rtsp_connection_set_data (SptRtspConnection *self, gpointer data);
gpointer spt_rtsp_connection_get_data (SptRtspConnection *self);
const char *spt_rtsp_connection_remote (SptRtspConnection *self);
GSocket *spt_rtsp_connection_get_socket (SptRtspConnection *self);
SptSenderPeer *spt_rtsp_connection_get_peer (SptRtspConnection *self);
const char *spt_rtsp_connection_user_agent (SptRtspConnection *self);
void spt_rtsp_connection_set_filter (
    SptRtspConnection *self, SptSenderFilter filter, gpointer data);
void spt_rtsp_connection_set_timeout (SptRtspConnection *self, guint ms);
void spt_rtsp_connection_touch (SptRtspConnection *self);
void spt_rtsp_connection_finish (SptRtspConnection *self);

void spt_rtsp_reply (SptRtspConnection *self, GstRTSPStatusCode status, const char *headers,
    const char *type, const char *body);
void spt_rtsp_reply_error (SptRtspConnection *self, const GError *error);
