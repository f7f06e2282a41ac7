/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Poses as JSON (api.md 3):
 *
 *   WS /ws/pose/, /ws/pose/NAME, ?src=    one text message an analysed frame with a person in it
 *        ?session=ID                      with rtp_timestamp or media_time of that viewer
 *        ?heartbeat=1                     {"type":"status"} once a second
 *        ?empty=1                         empty lists while nobody is there
 *   GET /api/pose?src=NAME                the latest
 *
 * What subscribers say is told to the others of the same stream; start_recording and stop_recording
 * are obeyed, and answered to all of them. Main context but where noted. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "ask.h"
#include "doors.h"
#include "error.h"
#include "json.h"
#include "live.h"
#include "pose-keeper.h"
#include "pose-message.h"
#include "pose-packer.h"
#include "pose-push.h"
#include "pose-recording.h"
#include "track.h"
#include "viewer.h"

/* The stream of a socket that names none. */
#define DEFAULT_STREAM "camera"
#define KEY "pose"
/* How long GET waits for a frame to be analysed. */
#define WAIT_S 10
/* Between two questions to a stream that gives none. */
#define BACKOFF_MAX_S 30
/* How long a session that is not known yet is waited for. */
#define CLOCK_WAIT_S 3
/* Between the beginnings of two recordings of a stream. */
#define RECORDING_PAUSE_US G_USEC_PER_SEC

GST_DEBUG_CATEGORY (spotter_pose); /* also of pose-push.c */
#define GST_CAT_DEFAULT spotter_pose

static const SptOption options[] = {
    {"pose.push", SPT_OPTION_STRINGS, NULL, 0, 0,
        "WebSocket addresses of applications that get the poses of the stream that /ws/pose/ "
        "gives"},
    {"pose.enabled", SPT_OPTION_STRING, "demand", 0, 0,
        "demand: people are looked for while somebody wants to know; always"},
    {"pose.recording_max", SPT_OPTION_SECONDS, "4h", 1000, 30LL * 86400 * 1000,
        "a recording ends after so long"},
    {"pose.recordings", SPT_OPTION_STRING, "", 0, 0,
        "folder for start_recording; empty: recordings in the state directory"},
};

typedef struct {
  SptHost *host;
  GPtrArray *subscribers; /* of Subscriber */
  GPtrArray *pushes;      /* of SptPosePush */
  GPtrArray *recordings;  /* of SptPoseRecording */
  gint64 recorded;        /* monotonic µs: when the last one began */
  SptPoseKeeper *keeper;  /* NULL: on demand */
  guint tick_id;
} Door;

typedef struct {
  Door *door;
  SptWsSocket *socket;
  char *name;    /* (nullable): the stream asked for; NULL: whichever there is */
  char *session; /* (nullable) */
  gboolean heartbeat, empty;
  char *told;           /* (nullable): why there are none, as it was told last */
  guint waited;         /* s, for the clock of its session */
  guint backoff, pause; /* seconds: that were waited, that are left */
} Subscriber;

/* ---- one message -------------------------------------------------------------------------- */

/* What the writer thread knows of a subscriber. */
typedef struct {
  char *source;
  gboolean empty;
  SptMediaClock *clock; /* (nullable) */
} Flow;

static void
flow_free (gpointer data)
{
  Flow *self = data;
  g_clear_pointer (&self->clock, spt_media_clock_unref);
  g_free (self->source);
  g_free (self);
}

/* Writer thread */
static GstBuffer *
message (GstBuffer *unit, GstCaps *caps, gint64 *state, gpointer data)
{
  const Flow *flow = data;
  if (!spt_pose_unit_people (unit) && !flow->empty)
    return NULL;
  return spt_pose_message (unit, flow->source, GST_BUFFER_OFFSET (unit), flow->clock);
}

static void on_failed (SptWsSocket *socket, const GError *error);

static const SptWsMedia media = {.type = "pose",
    .format = "pose",
    .newest = TRUE,
    .text = TRUE,
    .failed = on_failed,
    .message = message};

/* ---- subscribers -------------------------------------------------------------------------- */

/* (transfer none) (nullable): the one asked for, or "camera", or the first there is */
static SptStream *
find_stream (Door *self, const char *name)
{
  SptStream *stream = spt_streams_get (self->host->streams, name ? name : DEFAULT_STREAM, NULL);
  g_autoptr (GList) all = stream || name ? NULL : spt_streams_list (self->host->streams);
  return stream ? stream : all ? all->data : NULL;
}

static void
play (Subscriber *self)
{
  static const SptWant want = {.container = "pose", .overlay = "meta", .no_audio = TRUE};
  if (spt_ws_is_playing (self->socket)) {
    self->backoff = 0;
    return;
  }
  if (self->pause && --self->pause)
    return;
  SptStream *stream = find_stream (self->door, self->name);
  g_autoptr (SptMediaClock) clock = self->session ? spt_media_clock_find (self->session) : NULL;
  if (!stream || (self->session && !clock && self->waited++ < CLOCK_WAIT_S))
    return;
  Flow *flow = g_new0 (Flow, 1);
  flow->source = g_strdup (spt_stream_get_name (stream));
  flow->empty = self->empty;
  flow->clock = g_steal_pointer (&clock);
  spt_ws_set_stream (self->socket, stream);
  spt_ws_play (self->socket, &want, &media, flow, flow_free);
}

/* Told once for each reason; asked again later and later. */
static void
on_failed (SptWsSocket *socket, const GError *error)
{
  Subscriber *self = spt_ws_get_data (socket, KEY);
  self->backoff = CLAMP (self->backoff * 2, 1, BACKOFF_MAX_S);
  self->pause = self->backoff;
  if (g_strcmp0 (self->told, error->message) == 0)
    return;
  g_free (self->told);
  self->told = g_strdup (error->message);
  spt_ws_fail (socket, "pose", error);
}

static void
subscriber_free (gpointer data)
{
  Subscriber *self = data;
  g_ptr_array_remove_fast (self->door->subscribers, self);
  g_free (self->name);
  g_free (self->session);
  g_free (self->told);
  g_free (self);
}

static void
say_wrong (SptWsSocket *socket, const char *sentence)
{
  g_autoptr (GError) error = g_error_new_literal (SPT_ERROR, SPT_ERROR_INVALID, sentence);
  spt_ws_fail (socket, "pose", error);
}

/* json-glib takes numbers that are none in JSON. */
static gboolean
is_finite (JsonNode *node)
{
  if (JSON_NODE_HOLDS_VALUE (node))
    return json_node_get_value_type (node) != G_TYPE_DOUBLE ||
           isfinite (json_node_get_double (node));
  g_autoptr (GList) inner =
      JSON_NODE_HOLDS_OBJECT (node)  ? json_object_get_values (json_node_get_object (node))
      : JSON_NODE_HOLDS_ARRAY (node) ? json_array_get_elements (json_node_get_array (node))
                                     : NULL;
  for (GList *l = inner; l; l = l->next)
    if (!is_finite (l->data))
      return FALSE;
  return TRUE;
}

/* Phones and walls talk with one another over this socket. */
static void
relay (Door *self, Subscriber *from, JsonNode *node)
{
  /* Written anew: json-glib reads more than browsers do. */
  g_autofree char *text = json_to_string (node, FALSE);
  g_autoptr (GBytes) frame = spt_ws_frame_text (text, strlen (text));
  SptStream *stream = find_stream (self, from->name), *other = find_stream (self, NULL);
  for (guint i = 0; i < self->subscribers->len; i++) {
    Subscriber *to = g_ptr_array_index (self->subscribers, i);
    if (to != from && (to->name ? find_stream (self, to->name) : other) == stream)
      spt_ws_send (to->socket, frame);
  }
}

/* ---- recordings --------------------------------------------------------------------------- */

/* All subscribers of the stream, also who has asked. */
static void
tell (Door *self, SptPoseRecording *recording, const char *type)
{
  SptStream *stream = spt_pose_recording_get_stream (recording);
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "type");
  json_builder_add_string_value (builder, type);
  json_builder_set_member_name (builder, "session_id");
  json_builder_add_string_value (builder, spt_pose_recording_get_session (recording));
  json_builder_set_member_name (builder, "name");
  json_builder_add_string_value (builder, spt_pose_recording_get_name (recording));
  json_builder_set_member_name (builder, "source");
  json_builder_add_string_value (builder, spt_stream_get_name (stream));
  json_builder_set_member_name (builder, "frames");
  json_builder_add_int_value (builder, (gint64)spt_pose_recording_count (recording));
  json_builder_end_object (builder);
  g_autoptr (JsonNode) node = json_builder_get_root (builder);
  g_autofree char *text = json_to_string (node, FALSE);
  g_autoptr (GBytes) frame = spt_ws_frame_text (text, strlen (text));
  for (guint i = 0; i < self->subscribers->len; i++) {
    Subscriber *to = g_ptr_array_index (self->subscribers, i);
    if (find_stream (self, to->name) == stream)
      spt_ws_send (to->socket, frame);
  }
}

static SptPoseRecording *
find_recording (Door *self, SptStream *stream)
{
  for (guint i = 0; i < self->recordings->len; i++) {
    SptPoseRecording *recording = g_ptr_array_index (self->recordings, i);
    if (spt_pose_recording_get_stream (recording) == stream)
      return recording;
  }
  return NULL;
}

static void
stop_recording (Door *self, SptPoseRecording *recording)
{
  tell (self, recording, "recording_stopped");
  g_ptr_array_remove (self->recordings, recording);
}

static void
on_recording_failed (SptPoseRecording *recording, const GError *error, gpointer data)
{
  GST_WARNING ("%s: recording: %s", spt_stream_get_name (spt_pose_recording_get_stream (recording)),
      error->message);
  stop_recording (data, recording);
}

static void
start_recording (Door *self, Subscriber *from, SptStream *stream, JsonObject *object)
{
  const char *directory = spt_settings_string (self->host->settings, "pose.recordings");
  const char *state = g_getenv ("STATE_DIRECTORY");
  g_autofree char *fallback =
      state && *state ? g_build_filename (state, "recordings", NULL)
                      : g_build_filename (g_get_user_state_dir (), "spotter", "recordings", NULL);
  JsonNode *name = json_object_get_member (object, "name");
  gboolean named = name && json_node_get_value_type (name) == G_TYPE_STRING;
  g_autoptr (GError) error = NULL;
  SptPoseRecording *recording = spt_pose_recording_new (stream, *directory ? directory : fallback,
      named ? json_node_get_string (name) : NULL, on_recording_failed, self, &error);
  if (!recording) {
    spt_ws_fail (from->socket, "start_recording", error);
    return;
  }
  g_ptr_array_add (self->recordings, recording);
  self->recorded = g_get_monotonic_time ();
  tell (self, recording, "recording_started");
}

static void
on_recording_word (Door *self, Subscriber *from, const char *word, JsonObject *object)
{
  SptStream *stream = find_stream (self, from->name);
  SptPoseRecording *recording = stream ? find_recording (self, stream) : NULL;
  gboolean start = g_str_equal (word, "start_recording");
  g_autoptr (GError) error = NULL;
  if (!stream)
    error = g_error_new (SPT_ERROR, SPT_ERROR_NOT_FOUND, "there is no stream yet");
  else if (start && recording)
    error = g_error_new (SPT_ERROR, SPT_ERROR_INVALID, "the stream is being recorded already");
  else if (start && g_get_monotonic_time () - self->recorded < RECORDING_PAUSE_US)
    error = g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "a recording has just begun; try again");
  else if (!start && !recording)
    error = g_error_new (SPT_ERROR, SPT_ERROR_INVALID, "the stream is not being recorded");
  if (error)
    spt_ws_fail (from->socket, word, error);
  else if (start)
    start_recording (self, from, stream, object);
  else
    stop_recording (self, recording);
}

/* ---- what subscribers say ----------------------------------------------------------------- */

static void
on_text (SptWsSocket *socket, const char *text, gsize size, gpointer data)
{
  Subscriber *self = spt_ws_get_data (socket, KEY);
  g_autoptr (GBytes) bytes = g_bytes_new (text, size);
  g_autoptr (JsonNode) node = spt_json_parse (bytes, NULL);
  JsonObject *object = node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  JsonNode *type = object ? json_object_get_member (object, "type") : NULL;
  const char *word =
      type && json_node_get_value_type (type) == G_TYPE_STRING ? json_node_get_string (type) : "";
  if (!object || !is_finite (node))
    say_wrong (socket, "a message must be a JSON object");
  else if (g_str_equal (word, "start_recording") || g_str_equal (word, "stop_recording"))
    on_recording_word (data, self, word, object);
  else if (!g_str_equal (word, "pose")) /* those come from here only */
    relay (data, self, node);
}

static gboolean
is_set (SptHttpRequest *request, const char *name)
{
  const char *value = spt_http_request_param (request, name);
  return value && !g_str_equal (value, "0") && !g_str_equal (value, "false");
}

static void
on_socket (SptHttpRequest *request, gpointer data)
{
  Door *self = data;
  const char *src = spt_http_request_param (request, "src");
  const char *name = src && *src ? src : spt_http_request_part (request, 2);
  g_autoptr (GError) error = NULL;
  if (!spt_ws_may_open (request))
    return;
  if (name && *name && !spt_streams_get (self->host->streams, name, &error)) {
    spt_http_reply_error (request, error);
    return;
  }
  Subscriber *subscriber = g_new0 (Subscriber, 1);
  subscriber->door = self;
  subscriber->name = name && *name ? g_strdup (name) : NULL;
  subscriber->session = g_strdup (spt_http_request_param (request, "session"));
  subscriber->heartbeat = is_set (request, "heartbeat");
  subscriber->empty = is_set (request, "empty");
  g_ptr_array_add (self->subscribers, subscriber);
  subscriber->socket = spt_ws_open (self->host->ws, request, NULL, on_text, self);
  if (!subscriber->socket) {
    subscriber_free (subscriber);
    return;
  }
  spt_ws_set_data (subscriber->socket, KEY, subscriber, subscriber_free);
  play (subscriber);
}

static void
say_status (Subscriber *self)
{
  SptStream *stream = find_stream (self->door, self->name);
  const char *state = stream ? spt_stream_state_name (spt_stream_get_state (stream)) : "missing";
  g_autofree char *text = g_strdup_printf (
      "{\"type\":\"status\",\"source\":\"%s\",\"state\":\"%s\",\"subscribers\":%u}",
      stream ? spt_stream_get_name (stream) : "", state, self->door->subscribers->len);
  g_autoptr (GBytes) frame = spt_ws_frame_text (text, strlen (text));
  spt_ws_send (self->socket, frame);
}

/* ---- GET /api/pose ------------------------------------------------------------------------ */

typedef struct {
  SptHttpRequest *request;
  char *source;
  SptAsk *ask;
  SptLease *lease;
  SptViewer *viewer;
  gulong left_id;
  guint timeout_id, idle_id;
  GMutex lock; /* of idle_id */
} Query;

static void
query_free (Query *self)
{
  g_clear_pointer (&self->ask, spt_ask_take_back);
  if (self->viewer) {
    spt_track_detach (spt_lease_get_track (self->lease), self->viewer);
    spt_viewer_silence (self->viewer);
  }
  g_clear_handle_id (&self->idle_id, g_source_remove);
  g_clear_handle_id (&self->timeout_id, g_source_remove);
  g_clear_object (&self->viewer);
  g_clear_pointer (&self->lease, spt_lease_free);
  g_signal_handler_disconnect (spt_http_request_cancellable (self->request), self->left_id);
  spt_http_request_unref (self->request);
  g_mutex_clear (&self->lock);
  g_free (self->source);
  g_free (self);
}

static gboolean
on_unit (gpointer data)
{
  Query *self = data;
  g_mutex_lock (&self->lock);
  self->idle_id = 0;
  g_mutex_unlock (&self->lock);
  g_autoptr (GError) reason = NULL;
  GstSample *sample = spt_viewer_pop (self->viewer, NULL);
  if (!sample && !spt_viewer_ended (self->viewer, &reason))
    return G_SOURCE_REMOVE;
  if (sample) {
    GstBuffer *unit = gst_sample_get_buffer (sample);
    GstBuffer *text = spt_pose_message (unit, self->source, GST_BUFFER_OFFSET (unit), NULL);
    gpointer bytes;
    gsize size;
    gst_buffer_extract_dup (text, 0, (gsize)-1, &bytes, &size);
    g_autoptr (GBytes) body = g_bytes_new_take (bytes, size);
    spt_http_reply (self->request, SOUP_STATUS_OK, "application/json", body);
    gst_buffer_unref (text);
    gst_sample_unref (sample);
  } else {
    if (!reason)
      reason = g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "the stream ended");
    spt_http_reply_error (self->request, reason);
  }
  query_free (self);
  return G_SOURCE_REMOVE;
}

/* Streaming thread */
static void
on_viewer (SptViewer *viewer, gpointer data)
{
  Query *self = data;
  g_mutex_lock (&self->lock);
  if (!self->idle_id)
    self->idle_id = g_idle_add_full (G_PRIORITY_DEFAULT, on_unit, self, NULL);
  g_mutex_unlock (&self->lock);
}

static void
on_lease (SptLease *lease, const GError *error, gpointer data)
{
  static const SptViewerLimits limits = {SPT_DROP_TO_NEWEST, 1u << 20, GST_SECOND};
  Query *self = data;
  self->ask = NULL;
  if (!lease) {
    spt_http_reply_error (self->request, error);
    query_free (self);
    return;
  }
  self->lease = lease;
  self->viewer = spt_viewer_new (&limits, on_viewer, self);
  spt_lease_set_viewer (lease, self->viewer);
  spt_track_attach (spt_lease_get_track (lease), self->viewer, 0);
}

static gboolean
on_timeout (gpointer data)
{
  Query *self = data;
  g_autoptr (GError) error = g_error_new (
      SPT_ERROR, SPT_ERROR_UNAVAILABLE, "no frame of %s was analysed in time", self->source);
  self->timeout_id = 0;
  spt_http_reply_error (self->request, error);
  query_free (self);
  return G_SOURCE_REMOVE;
}

static void
on_left (GCancellable *cancellable, gpointer data)
{
  query_free (data);
}

static void
on_get (SptHttpRequest *request, gpointer data)
{
  static const SptWant want = {.container = "pose", .overlay = "meta", .no_audio = TRUE};
  Door *door = data;
  SptStream *stream = spt_live_find_stream (door->host, request);
  if (!stream)
    return;
  if (g_str_equal (spt_http_request_method (request), "HEAD")) {
    spt_http_reply_head (request, "application/json");
    return;
  }
  Query *self = g_new0 (Query, 1);
  g_mutex_init (&self->lock);
  self->request = spt_http_request_ref (request);
  self->source = g_strdup (spt_stream_get_name (stream));
  self->left_id = g_signal_connect (
      spt_http_request_cancellable (request), "cancelled", G_CALLBACK (on_left), self);
  self->timeout_id = g_timeout_add_seconds (WAIT_S, on_timeout, self);
  SptConsumer consumer = {"pose", "http", (char *)spt_http_request_remote (request),
      (char *)spt_http_request_header (request, "User-Agent")};
  spt_http_wait (request);
  self->ask = spt_ask (stream, &want, &consumer, on_lease, self);
}

/* ---- the door ----------------------------------------------------------------------------- */

/* Those whose stream was not there, or has come back, begin. */
static gboolean
on_tick (gpointer data)
{
  Door *self = data;
  for (guint i = 0; i < self->subscribers->len; i++) {
    Subscriber *subscriber = g_ptr_array_index (self->subscribers, i);
    play (subscriber);
    if (subscriber->heartbeat)
      say_status (subscriber);
  }
  gint64 most = spt_settings_int (self->host->settings, "pose.recording_max");
  for (guint i = self->recordings->len; i-- > 0;) {
    SptPoseRecording *recording = g_ptr_array_index (self->recordings, i);
    if (g_get_monotonic_time () - spt_pose_recording_since (recording) > most * 1000)
      stop_recording (self, recording);
  }
  if (self->keeper)
    spt_pose_keeper_tick (self->keeper);
  for (guint i = 0; i < self->pushes->len; i++)
    spt_pose_push_tick (g_ptr_array_index (self->pushes, i), find_stream (self, NULL));
  return G_SOURCE_CONTINUE;
}

/* Its sockets have been closed with the sender. */
static void
stop (gpointer data)
{
  Door *self = data;
  g_source_remove (self->tick_id);
  g_ptr_array_unref (self->pushes);
  g_ptr_array_unref (self->recordings);
  spt_pose_recordings_wait ();
  g_clear_pointer (&self->keeper, spt_pose_keeper_free);
  g_ptr_array_unref (self->subscribers);
  g_free (self);
}

static gpointer
start (SptHost *host, GError **error)
{
  GST_DEBUG_CATEGORY_INIT (spotter_pose, "spotter-pose", 0, "poses");
  const char *const *urls = spt_settings_strings (host->settings, "pose.push");
  Door *self = g_new0 (Door, 1);
  self->host = host;
  self->subscribers = g_ptr_array_new ();
  self->pushes = g_ptr_array_new_with_free_func ((GDestroyNotify)spt_pose_push_free);
  self->recordings = g_ptr_array_new_with_free_func ((GDestroyNotify)spt_pose_recording_free);
  if (g_str_equal (spt_settings_string (host->settings, "pose.enabled"), "always"))
    self->keeper = spt_pose_keeper_new (host->streams);
  self->tick_id = g_timeout_add_seconds (1, on_tick, self);
  for (; *urls; urls++) {
    SptPosePush *push = spt_pose_push_new (*urls, error);
    if (!push) {
      stop (self);
      return NULL;
    }
    g_ptr_array_add (self->pushes, push);
  }
  spt_http_route (host->http, "GET,HEAD", "/ws/pose", SPT_ACTION_VIEW, on_socket, self);
  spt_http_route (host->http, "GET,HEAD", "/ws/pose/*", SPT_ACTION_VIEW, on_socket, self);
  spt_http_route (host->http, "GET,HEAD", "/api/pose", SPT_ACTION_VIEW, on_get, self);
  return self;
}

const SptOutput spt_output_pose = {.name = "pose",
    .summary = "keypoints of people, as JSON over WebSocket",
    .options = options,
    .n_options = G_N_ELEMENTS (options),
    .start = start,
    .stop = stop};
