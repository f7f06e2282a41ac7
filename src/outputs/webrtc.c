/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* WebRTC: the quickest way into a browser.
 *
 *   POST /api/webrtc?src=, /whep/NAME    an offer; by its Content-Type the answer is JSON,
 *                                        WHEP (application/sdp: 201, Location) or bare SDP
 *   POST /api/webrtc?dst=, /whip/NAME    the same for a publisher (RFC 9725)
 *   PATCH, DELETE /api/webrtc/SESSION    candidates; the end
 *   /api/ws                              webrtc/offer or webrtc, webrtc/candidate
 */
#include "config.h"

#include <string.h>

#include "doors.h"
#include "error.h"
#include "json.h"
#include "live.h"
#include "webrtc-session.h"

/* Ports tried from the one in webrtc.listen on: each peer has one of its own. */
#define PORTS 1000
#define ICE_SERVERS_MAX 8
#define EARLY_MAX 16
#define FRAGMENT_MAX (16 * 1024)
#define WS_KEY "webrtc"

GST_DEBUG_CATEGORY (spotter_webrtc); /* also of webrtc-peer.c, webrtc-session.c */
#define GST_CAT_DEFAULT spotter_webrtc

static const SptOption options[] = {
    {"webrtc.listen", SPT_OPTION_STRING, ":8555", 0, 0,
        "address and first port of WebRTC media, or FIRST-LAST, with /udp or /tcp for one of them; "
        "each peer takes the next free port; \"\" closes the door"},
    {"webrtc.candidates", SPT_OPTION_STRINGS, NULL, 0, 0,
        "addresses under which this machine is reached besides its own, such as a router's"},
    {"webrtc.ice_servers", SPT_OPTION_STRINGS, NULL, 0, 0,
        "STUN and TURN servers, as {urls: [...], username: ..., credential: ...}"},
    {"webrtc.filters.loopback", SPT_OPTION_BOOL, "false", 0, 0, "tell peers 127.0.0.1, too"},
    {"webrtc.filters.ips", SPT_OPTION_STRINGS, NULL, 0, 0,
        "the addresses of this machine that peers are told; none: all"},
    {"webrtc.filters.networks", SPT_OPTION_STRINGS, NULL, 0, 0,
        "of udp4, udp6, tcp4, tcp6 those that peers are told; none: all"},
    {"webrtc.filters.udp_ports", SPT_OPTION_STRINGS, NULL, 0, 0,
        "first and last port of media, instead of those in webrtc.listen"},
    {"webrtc.max_viewers", SPT_OPTION_INT, "200", 1, 10000, "most viewers of one stream"},
    {"webrtc.max_pending", SPT_OPTION_INT, "32", 1, 10000,
        "most connections of one address that are not yet made"},
};

typedef struct {
  SptHost *host;
  SptWebrtcShared shared;
  GString *ice_links; /* the Link header for WHEP clients */
} Door;

/* ---- over HTTP ---------------------------------------------------------------------------- */

typedef enum { FORM_JSON, FORM_WHEP, FORM_RAW } Form;

typedef struct {
  Door *door;
  SptHttpRequest *request;
  Form form;
  SptWebrtcSession *session;
  gulong left_id;
} Exchange;

static void
exchange_free (Exchange *self)
{
  g_signal_handler_disconnect (spt_http_request_cancellable (self->request), self->left_id);
  spt_http_request_unref (self->request);
  g_free (self);
}

static void
reply_text (SptHttpRequest *request, guint status, const char *type, const char *text)
{
  g_autoptr (GBytes) body = g_bytes_new (text, strlen (text));
  spt_http_reply (request, status, type, body);
}

static JsonNode *
json_of_answer (const char *sdp, const char *session)
{
  JsonNode *node = json_node_alloc ();
  JsonObject *object = json_object_new ();
  json_object_set_string_member (object, "type", "answer");
  json_object_set_string_member (object, "sdp", sdp);
  if (session)
    json_object_set_string_member (object, "session", session);
  json_node_init_object (node, object);
  json_object_unref (object);
  return node;
}

static void
reply_answer (Exchange *self, const char *sdp)
{
  const char *id = spt_webrtc_session_id (self->session);
  if (self->form == FORM_RAW) {
    reply_text (self->request, SOUP_STATUS_OK, "application/sdp", sdp);
  } else if (self->form == FORM_JSON) {
    spt_http_reply_json (self->request, SOUP_STATUS_OK, json_of_answer (sdp, id));
  } else {
    g_autofree char *location = g_strdup_printf ("/api/webrtc/%s", id);
    g_autofree char *tag = g_strdup_printf ("\"%s\"", spt_webrtc_session_tag (self->session));
    spt_http_add_header (self->request, "Location", location);
    spt_http_add_header (self->request, "ETag", tag);
    spt_http_add_header (self->request, "Accept-Patch", "application/trickle-ice-sdpfrag");
    if (self->door->ice_links->len)
      spt_http_add_header (self->request, "Link", self->door->ice_links->str);
    reply_text (self->request, SOUP_STATUS_CREATED, "application/sdp", sdp);
  }
}

static void
on_http_answer (SptWebrtcSession *session, const char *sdp, const GError *error, gpointer data)
{
  Exchange *self = data;
  spt_webrtc_session_mute (session);
  if (error)
    spt_http_reply_error (self->request, error);
  else
    reply_answer (self, sdp);
  exchange_free (self);
}

static void
on_http_left (GCancellable *cancellable, gpointer data)
{
  Exchange *self = data;
  SptWebrtcSession *session = self->session;
  spt_webrtc_session_mute (session);
  exchange_free (self);
  spt_webrtc_session_end (session, "the client left before the answer");
}

static Form
form_of (SptHttpRequest *request)
{
  const char *type = spt_http_request_header (request, "Content-Type");
  if (type && g_str_has_prefix (type, "application/json"))
    return FORM_JSON;
  return type && g_str_has_prefix (type, "application/sdp") ? FORM_WHEP : FORM_RAW;
}

/* (transfer full) (nullable): the offer in `{"type":"offer","sdp":…}` */
static char *
sdp_of_json (JsonNode *node)
{
  JsonObject *object = node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  JsonNode *sdp = object ? json_object_get_member (object, "sdp") : NULL;
  return sdp && json_node_get_value_type (sdp) == G_TYPE_STRING ? json_node_dup_string (sdp) : NULL;
}

/* (transfer full) (nullable) */
static char *
read_offer (SptHttpRequest *request, Form form, GError **error)
{
  g_autoptr (GBytes) body = spt_http_request_body (request);
  gsize size = 0;
  const char *data = body ? g_bytes_get_data (body, &size) : NULL;
  if (form != FORM_JSON)
    return g_strndup (data ? data : "", size);
  g_autoptr (JsonNode) node = spt_json_parse (body, error);
  if (!node)
    return NULL;
  char *sdp = sdp_of_json (node);
  if (!sdp)
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "the body is no offer: expected {\"type\":\"offer\",\"sdp\":\"…\"}");
  return sdp;
}

static void
exchange (Door *door, SptHttpRequest *request, const char *name, gboolean publish)
{
  static const SptWebrtcSignals signals = {.answer = on_http_answer};
  static const char *const formats[] = {"webrtc/json", "webrtc/whep", "webrtc/raw"};
  g_autoptr (GError) error = NULL;
  Form form = form_of (request);
  SptStream *stream = spt_streams_get (door->host->streams, name, &error);
  g_autofree char *offer = stream ? read_offer (request, form, &error) : NULL;
  Exchange *self = g_new0 (Exchange, 1);
  *self = (Exchange){.door = door, .request = spt_http_request_ref (request), .form = form};
  SptConsumer consumer = {formats[form], "http", (char *)spt_http_request_remote (request),
      (char *)spt_http_request_header (request, "User-Agent")};
  if (offer)
    self->session = spt_webrtc_session_new (&door->shared, stream, offer, strlen (offer), publish,
        spt_http_request_param (request, "overlay"), &consumer, &signals, self, &error);
  if (!self->session) {
    spt_http_reply_error (request, error);
    spt_http_request_unref (self->request);
    g_free (self);
    return;
  }
  self->left_id = g_signal_connect (
      spt_http_request_cancellable (request), "cancelled", G_CALLBACK (on_http_left), self);
  spt_http_wait (request);
}

static void
on_whep (SptHttpRequest *request, gpointer data)
{
  exchange (data, request, spt_http_request_part (request, 1), FALSE);
}

static void
on_whip (SptHttpRequest *request, gpointer data)
{
  exchange (data, request, spt_http_request_part (request, 1), TRUE);
}

static void
on_offer (SptHttpRequest *request, gpointer data)
{
  const char *src = spt_http_request_param (request, "src");
  const char *dst = spt_http_request_param (request, "dst");
  exchange (data, request, dst ? dst : src ? src : "", dst != NULL);
}

/* (transfer none) (nullable): the session in the path; 404 is answered */
static SptWebrtcSession *
find_session (Door *door, SptHttpRequest *request)
{
  SptWebrtcSession *session =
      g_hash_table_lookup (door->shared.sessions, spt_http_request_part (request, 2));
  g_autoptr (GError) error = NULL;
  if (session)
    return session;
  error = g_error_new (SPT_ERROR, SPT_ERROR_NOT_FOUND, "there is no such session, or not any more");
  spt_http_reply_error (request, error);
  return NULL;
}

static void
on_delete (SptHttpRequest *request, gpointer data)
{
  SptWebrtcSession *session = find_session (data, request);
  if (!session)
    return;
  spt_webrtc_session_end (session, "it said so");
  spt_http_reply (request, SOUP_STATUS_OK, NULL, NULL);
}

/* The lines of a fragment (RFC 8840): our session's candidates; FALSE for an ICE restart. */
static gboolean
take_fragment (SptWebrtcSession *session, const char *text)
{
  static const char ufrag[] = "a=ice-ufrag:", candidate[] = "a=candidate:";
  g_auto (GStrv) lines = g_strsplit_set (text, "\r\n", 256);
  for (char **line = lines; *line; line++)
    if (g_str_has_prefix (*line, ufrag) &&
        spt_webrtc_session_is_restart (session, *line + strlen (ufrag)))
      return FALSE;
  for (char **line = lines; *line; line++)
    if (g_str_has_prefix (*line, candidate))
      spt_webrtc_session_add_candidate (session, *line + strlen ("a="));
  return TRUE;
}

static void
on_patch (SptHttpRequest *request, gpointer data)
{
  SptWebrtcSession *session = find_session (data, request);
  const char *match = spt_http_request_header (request, "If-Match");
  if (!session)
    return;
  g_autoptr (GBytes) body = spt_http_request_body (request);
  g_autofree char *tag = g_strdup_printf ("\"%s\"", spt_webrtc_session_tag (session));
  g_autofree char *text = NULL;
  if (!match) {
    reply_text (request, 428, "text/plain", "If-Match is missing: it names the session's ETag\n");
  } else if (!g_str_equal (match, tag) && !g_str_equal (match, "*")) {
    reply_text (request, 412, "text/plain", "the session's ETag is another one\n");
  } else if (!body || g_bytes_get_size (body) > FRAGMENT_MAX) {
    reply_text (request, 400, "text/plain", "the body is no fragment of a description\n");
  } else {
    text = g_strndup (g_bytes_get_data (body, NULL), g_bytes_get_size (body));
    if (take_fragment (session, text))
      spt_http_reply (request, SOUP_STATUS_NO_CONTENT, NULL, NULL);
    else
      reply_text (request, 405, "text/plain", "ICE is not restarted here: make a new session\n");
  }
}

/* ---- over the WebSocket ------------------------------------------------------------------- */

/* The session that a socket signals for. */
typedef struct {
  Door *door;
  SptWsSocket *socket;
  gboolean json;    /* the form of the offer */
  char *id;         /* NULL: none yet */
  GPtrArray *early; /* candidates that came before the offer */
} Signalling;

static SptWebrtcSession *
current_session (Signalling *self)
{
  return self->id ? g_hash_table_lookup (self->door->shared.sessions, self->id) : NULL;
}

/* A peer connection survives the socket. */
static void
signalling_free (gpointer data)
{
  Signalling *self = data;
  SptWebrtcSession *session = current_session (self);
  if (session)
    spt_webrtc_session_mute (session);
  g_ptr_array_unref (self->early);
  g_free (self->id);
  g_free (self);
}

static Signalling *
signalling_of (Door *door, SptWsSocket *socket)
{
  Signalling *self = spt_ws_get_data (socket, WS_KEY);
  if (self)
    return self;
  self = g_new0 (Signalling, 1);
  self->door = door;
  self->socket = socket;
  self->early = g_ptr_array_new_with_free_func (g_free);
  spt_ws_set_data (socket, WS_KEY, self, signalling_free);
  return self;
}

static void
on_ws_answer (SptWebrtcSession *session, const char *sdp, const GError *error, gpointer data)
{
  Signalling *self = data;
  if (error) {
    g_clear_pointer (&self->id, g_free);
    spt_ws_fail (self->socket, self->json ? "webrtc" : "webrtc/offer", error);
    return;
  }
  if (self->json)
    spt_ws_say_json (self->socket, "webrtc", json_of_answer (sdp, NULL));
  else
    spt_ws_say (self->socket, "webrtc/answer", sdp);
  spt_ws_say (self->socket, "webrtc/session", self->id);
}

static void
on_ws_own_candidate (const char *candidate, gpointer data)
{
  Signalling *self = data;
  spt_ws_say (self->socket, "webrtc/candidate", candidate);
}

static void
begin (Door *door, SptWsSocket *socket, const char *offer, gboolean json)
{
  static const SptWebrtcSignals signals = {
      .answer = on_ws_answer, .candidate = on_ws_own_candidate};
  Signalling *self = signalling_of (door, socket);
  SptConsumer consumer = spt_ws_get_consumer (socket, "webrtc");
  SptWebrtcSession *session = current_session (self);
  g_autoptr (GError) error = NULL;
  if (session)
    spt_webrtc_session_end (session, "the same socket brings another offer");
  g_clear_pointer (&self->id, g_free);
  self->json = json;
  session = spt_webrtc_session_new (&door->shared, spt_ws_get_stream (socket), offer ? offer : "",
      offer ? strlen (offer) : 0, FALSE, spt_ws_get_overlay (socket), &consumer, &signals, self,
      &error);
  if (!session) {
    spt_ws_fail (socket, json ? "webrtc" : "webrtc/offer", error);
    return;
  }
  self->id = g_strdup (spt_webrtc_session_id (session));
  for (guint i = 0; i < self->early->len; i++)
    spt_webrtc_session_add_candidate (session, g_ptr_array_index (self->early, i));
  g_ptr_array_set_size (self->early, 0);
}

static const char *
text_of (JsonNode *value)
{
  return value && json_node_get_value_type (value) == G_TYPE_STRING ? json_node_get_string (value)
                                                                    : NULL;
}

static void
on_ws_offer (SptWsSocket *socket, JsonNode *value, gpointer data)
{
  begin (data, socket, text_of (value), FALSE);
}

static void
on_ws_json_offer (SptWsSocket *socket, JsonNode *value, gpointer data)
{
  g_autofree char *offer = sdp_of_json (value);
  begin (data, socket, offer, TRUE);
}

static void
on_ws_candidate (SptWsSocket *socket, JsonNode *value, gpointer data)
{
  Signalling *self = signalling_of (data, socket);
  SptWebrtcSession *session = current_session (self);
  const char *candidate = text_of (value);
  if (candidate && session)
    spt_webrtc_session_add_candidate (session, candidate);
  else if (candidate && self->early->len < EARLY_MAX)
    g_ptr_array_add (self->early, g_strdup (candidate));
}

/* ---- the door ----------------------------------------------------------------------------- */

/* "[ADDRESS]:FIRST[-LAST][/udp|/tcp]" */
static gboolean
read_listen (Door *self, const char *listen, GError **error)
{
  SptWebrtcTransport *transport = &self->shared.transport;
  g_autofree char *text = g_strdup (listen);
  char *slash = strchr (text, '/');
  if (slash)
    *slash++ = '\0';
  char *colon = strrchr (text, ':');
  g_auto (GStrv) ports = g_strsplit (colon ? colon + 1 : "", "-", 2);
  guint64 first = 0, last = 0;
  if (!colon || !ports[0] || !g_ascii_string_to_unsigned (ports[0], 10, 0, 65535, &first, NULL) ||
      (ports[1] && !g_ascii_string_to_unsigned (ports[1], 10, first, 65535, &last, NULL)) ||
      (slash && !g_str_equal (slash, "udp") && !g_str_equal (slash, "tcp"))) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "webrtc.listen: '%s' is no address such as \":8555\" or \"192.0.2.1:8555-8999/udp\"",
        listen);
    return FALSE;
  }
  *colon = '\0';
  transport->udp = !slash || g_str_equal (slash, "udp");
  transport->tcp = !slash || g_str_equal (slash, "tcp");
  transport->first_port = (guint16)first;
  transport->last_port = (guint16)(ports[1] ? last : first ? MIN (first + PORTS - 1, 65535) : 0);
  g_autofree char *address = g_strdup (*text == '[' ? text + 1 : text);
  g_strdelimit (address, "]", '\0');
  if (*address && !g_str_equal (address, "0.0.0.0") && !g_str_equal (address, "::"))
    self->shared.only = g_strdup (address);
  self->shared.loopback = spt_settings_bool (self->host->settings, "webrtc.filters.loopback") ||
                          g_strcmp0 (self->shared.only, "127.0.0.1") == 0;
  return TRUE;
}

static gboolean
read_filters (Door *self, GError **error)
{
  SptSettings *settings = self->host->settings;
  const char *const *ports = spt_settings_strings (settings, "webrtc.filters.udp_ports");
  guint64 first, last;
  self->shared.ips = g_strdupv ((char **)spt_settings_strings (settings, "webrtc.filters.ips"));
  self->shared.networks =
      g_strdupv ((char **)spt_settings_strings (settings, "webrtc.filters.networks"));
  if (!*ports)
    return TRUE;
  if (g_strv_length ((char **)ports) != 2 ||
      !g_ascii_string_to_unsigned (ports[0], 10, 1, 65535, &first, NULL) ||
      !g_ascii_string_to_unsigned (ports[1], 10, first, 65535, &last, NULL)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "webrtc.filters.udp_ports expects two ports such as [50000, 50100]");
    return FALSE;
  }
  self->shared.transport.first_port = (guint16)first;
  self->shared.transport.last_port = (guint16)last;
  return TRUE;
}

/* The addresses of webrtc.candidates; a port there means nothing while each peer has its own. */
static char **
read_candidates (Door *self)
{
  g_autoptr (GStrvBuilder) addresses = g_strv_builder_new ();
  for (const char *const *text = spt_settings_strings (self->host->settings, "webrtc.candidates");
       *text; text++) {
    g_autofree char *word = g_strdup (*text);
    char *colon = strrchr (word, ':');
    if (colon && strchr (word, ':') == colon)
      *colon = '\0';
    g_autoptr (GInetAddress) address = g_inet_address_new_from_string (word);
    if (address)
      g_strv_builder_add (addresses, word);
    else
      GST_WARNING ("webrtc.candidates: '%s' is no address and is left out", *text);
  }
  return g_strv_builder_end (addresses);
}

/* "turn:host:3478?transport=udp" → "turn://user:password@host:3478?transport=udp" */
static char *
server_uri (const char *url, const char *username, const char *credential)
{
  const char *colon = strchr (url, ':');
  if (!colon)
    return NULL;
  g_autofree char *scheme = g_strndup (url, (gsize)(colon - url));
  const char *rest = g_str_has_prefix (colon, "://") ? colon + 3 : colon + 1;
  if (!username || !credential)
    return g_strdup_printf ("%s://%s", scheme, rest);
  g_autofree char *user = g_uri_escape_string (username, NULL, FALSE);
  g_autofree char *password = g_uri_escape_string (credential, NULL, FALSE);
  return g_strdup_printf ("%s://%s:%s@%s", scheme, user, password, rest);
}

static void
add_server (Door *self, const char *url, const char *username, const char *credential)
{
  SptWebrtcTransport *transport = &self->shared.transport;
  char *uri = server_uri (url, username, credential);
  gboolean turn = g_str_has_prefix (url, "turn");
  if (!uri || (!turn && !g_str_has_prefix (url, "stun")) || (turn && !username) ||
      transport->turn->len >= ICE_SERVERS_MAX) {
    GST_WARNING ("webrtc.ice_servers: '%s' is no STUN server, nor a TURN server with its username "
                 "and credential, and is left out",
        url);
    g_free (uri);
    return;
  }
  if (turn)
    g_ptr_array_add (transport->turn, uri);
  else
    transport->stun = (g_free (transport->stun), uri);
  g_string_append_printf (
      self->ice_links, "%s<%s>; rel=\"ice-server\"", self->ice_links->len ? ", " : "", url);
  if (turn)
    g_string_append_printf (self->ice_links,
        "; username=\"%s\"; credential=\"%s\"; credential-type=\"password\"", username, credential);
}

static void
read_servers (Door *self)
{
  for (const char *const *text = spt_settings_strings (self->host->settings, "webrtc.ice_servers");
       *text; text++) {
    g_autoptr (GBytes) bytes = g_bytes_new_static (*text, strlen (*text));
    g_autoptr (JsonNode) node = **text == '{' ? spt_json_parse (bytes, NULL) : NULL;
    if (!node) {
      add_server (self, *text, NULL, NULL);
      continue;
    }
    JsonObject *object = json_node_get_object (node);
    const char *username = text_of (json_object_get_member (object, "username"));
    const char *credential = text_of (json_object_get_member (object, "credential"));
    JsonNode *urls = json_object_get_member (object, "urls");
    if (text_of (urls))
      add_server (self, text_of (urls), username, credential);
    JsonArray *array = urls && JSON_NODE_HOLDS_ARRAY (urls) ? json_node_get_array (urls) : NULL;
    for (guint i = 0; array && i < json_array_get_length (array); i++)
      if (text_of (json_array_get_element (array, i)))
        add_server (self, text_of (json_array_get_element (array, i)), username, credential);
  }
}

static void
stop (gpointer data)
{
  Door *self = data;
  g_hash_table_unref (self->shared.sessions);
  g_ptr_array_unref (self->shared.transport.turn);
  g_string_free (self->ice_links, TRUE);
  g_strfreev (self->shared.announced);
  g_free (self->shared.transport.stun);
  g_strfreev (self->shared.ips);
  g_strfreev (self->shared.networks);
  g_free (self->shared.only);
  g_free (self);
}

static void
open_routes (Door *self)
{
  static const struct {
    const char *methods, *pattern;
    SptAction action;
    SptHttpHandler handler;
  } routes[] = {
      {"POST", "/api/webrtc", SPT_ACTION_VIEW, on_offer},
      {"POST", "/whep/*", SPT_ACTION_VIEW, on_whep},
      {"POST", "/whip/*", SPT_ACTION_MANAGE, on_whip},
      {"DELETE", "/api/webrtc/*", SPT_ACTION_VIEW, on_delete},
      {"PATCH", "/api/webrtc/*", SPT_ACTION_VIEW, on_patch},
  };
  for (guint i = 0; i < G_N_ELEMENTS (routes); i++)
    spt_http_route (self->host->http, routes[i].methods, routes[i].pattern, routes[i].action,
        routes[i].handler, self);
  spt_ws_handle (self->host->ws, "webrtc/offer", on_ws_offer, self);
  spt_ws_handle (self->host->ws, "webrtc", on_ws_json_offer, self);
  spt_ws_handle (self->host->ws, "webrtc/candidate", on_ws_candidate, self);
}

static gpointer
start (SptHost *host, GError **error)
{
  GST_DEBUG_CATEGORY_INIT (spotter_webrtc, "spotter-webrtc", 0, "WebRTC");
  const char *listen = spt_settings_string (host->settings, "webrtc.listen");
  Door *self = g_new0 (Door, 1);
  self->host = host;
  self->ice_links = g_string_new (NULL);
  self->shared.transport.turn = g_ptr_array_new_with_free_func (g_free);
  self->shared.sessions = spt_webrtc_sessions_new ();
  self->shared.max_viewers = (guint)spt_settings_int (host->settings, "webrtc.max_viewers");
  self->shared.max_pending = (guint)spt_settings_int (host->settings, "webrtc.max_pending");
  self->shared.announced = read_candidates (self);
  read_servers (self);
  if (!*listen)
    return self;
  if (!read_listen (self, listen, error) || !read_filters (self, error)) {
    stop (self);
    return NULL;
  }
  open_routes (self);
  return self;
}

const SptOutput spt_output_webrtc = {
    .name = "webrtc",
    .summary = "WebRTC, WHEP and WHIP",
    .options = options,
    .n_options = G_N_ELEMENTS (options),
    .start = start,
    .stop = stop,
};
