/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* WebSockets. `/api/ws?src=NAME`: messages `{"type","value"}` to the doors that know them, and
 * media as binary messages. Doors may have addresses of their own, whose texts they read
 * themselves. */
#pragma once

#include "http.h"
#include "sender.h"
#include "stream.h"
#include "streams.h"

typedef struct _SptWs SptWs;
typedef struct _SptWsSocket SptWsSocket;

/* @value: (nullable). Main context. */
typedef void (*SptWsHandler) (SptWsSocket *socket, JsonNode *value, gpointer data);

/* @text: one message, as it came; no longer than 64 KiB. Main context. */
typedef void (*SptWsText) (SptWsSocket *socket, const char *text, gsize size, gpointer data);

/* What a door makes of the units of a track for one socket. */
typedef struct {
  const char *type;   /* of the messages: "mse" */
  const char *format; /* the consumer's format_name in the API */
  gboolean newest;    /* pictures stand alone: only the newest counts */
  gboolean text;      /* the messages are text, not binary */
  /* (nullable): the stream gives nothing; else that is told. Main context. */
  void (*failed) (SptWsSocket *socket, const GError *error);
  /* Returns (transfer full) (nullable): the message; NULL: none. @start is called with the
   * first unit's caps before that, and may put whole frames in front. Writer thread. */
  GstBuffer *(*message) (GstBuffer *unit, GstCaps *caps, gint64 *state, gpointer data);
  void (*start) (GstCaps *caps, GByteArray *frames, gpointer data); /* (nullable) */
} SptWsMedia;

SptWs *spt_ws_new (SptHttp *http, SptSender *sender, SptStreams *streams);
void spt_ws_free (SptWs *self);
void spt_ws_handle (SptWs *self, const char *type, SptWsHandler handler, gpointer data);

SptStream *spt_ws_get_stream (SptWsSocket *self);
SptConsumer spt_ws_get_consumer (SptWsSocket *self, const char *format);
void spt_ws_set_data (SptWsSocket *self, const char *key, gpointer data, GDestroyNotify free);
gpointer spt_ws_get_data (SptWsSocket *self, const char *key);
void spt_ws_say (SptWsSocket *self, const char *type, const char *value);
void spt_ws_say_json (SptWsSocket *self, const char *type, JsonNode *value);
void spt_ws_fail (SptWsSocket *self, const char *type, const GError *error);
void spt_ws_play (SptWsSocket *self, const SptWant *want, const SptWsMedia *media, gpointer data,
    GDestroyNotify free);

gboolean spt_ws_may_open (SptHttpRequest *request);
SptWsSocket *spt_ws_open (
    SptWs *self, SptHttpRequest *request, SptStream *stream, SptWsText text, gpointer data);
const char *spt_ws_get_overlay (SptWsSocket *self);
void spt_ws_set_stream (SptWsSocket *self, SptStream *stream);
gboolean spt_ws_is_playing (SptWsSocket *self);
GBytes *spt_ws_frame_text (const char *text, gsize size);
void spt_ws_send (SptWsSocket *self, GBytes *frame);

void spt_ws_put_text (GByteArray *frames, const char *type, const char *value);
void spt_ws_put_binary (GByteArray *frames, GstBuffer *content);
