/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* WHEP viewers made of GStreamer's webrtcbin:
 *
 *   webrtc-client URL VIEWERS ROUNDS HOLD_MS
 *
 * In each round all viewers join, wait for a decodable first frame, stay for HOLD_MS and leave
 * without a word. Prints "joined MS" for each, "frames N" and "done". */
#include <gst/gst.h>
#include <gst/sdp/sdp.h>
#include <gst/webrtc/webrtc.h>
#include <libsoup/soup.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
  GstElement *pipeline, *bin;
  gint64 began;
  gboolean posted;
  int frames; /* atomic */
} Viewer;

static SoupSession *session;
static GMainLoop *loop;
static const char *url;
static guint waiting;
static guint rounds, hold_ms, n_viewers;
static Viewer *viewers;

static gboolean
say_joined (gpointer data)
{
  Viewer *self = data;
  g_print ("joined %" G_GINT64_FORMAT "\n", (g_get_monotonic_time () - self->began) / 1000);
  if (--waiting == 0)
    g_main_loop_quit (loop);
  return G_SOURCE_REMOVE;
}

/* The first frame is one that a decoder can begin with: depayloaders wait for it. */
static GstPadProbeReturn
on_frame (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Viewer *self = data;
  GstBuffer *frame = GST_PAD_PROBE_INFO_BUFFER (info);
  if (!g_atomic_int_get (&self->frames) &&
      GST_BUFFER_FLAG_IS_SET (frame, GST_BUFFER_FLAG_DELTA_UNIT))
    return GST_PAD_PROBE_OK;
  if (g_atomic_int_add (&self->frames, 1) == 0)
    g_main_context_invoke (NULL, say_joined, self);
  return GST_PAD_PROBE_OK;
}

static void
on_pad (GstElement *bin, GstPad *pad, gpointer data)
{
  Viewer *self = data;
  if (GST_PAD_DIRECTION (pad) != GST_PAD_SRC)
    return;
  GstElement *end =
      gst_parse_bin_from_description ("rtph264depay ! h264parse ! video/x-h264, alignment=au ! "
                                      "fakesink name=sink sync=false async=false",
          TRUE, NULL);
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (end), "sink");
  g_autoptr (GstPad) last = gst_element_get_static_pad (sink, "sink");
  gst_pad_add_probe (last, GST_PAD_PROBE_TYPE_BUFFER, on_frame, self, NULL);
  gst_bin_add (GST_BIN (self->pipeline), end);
  gst_element_sync_state_with_parent (end);
  g_autoptr (GstPad) first = gst_element_get_static_pad (end, "sink");
  gst_pad_link (pad, first);
}

static void
on_reply (GObject *object, GAsyncResult *result, gpointer data)
{
  Viewer *self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) body =
      soup_session_send_and_read_finish (SOUP_SESSION (object), result, &error);
  SoupMessage *message = soup_session_get_async_result_message (SOUP_SESSION (object), result);
  if (!body || soup_message_get_status (message) != 201) {
    g_printerr ("error: %u %.*s\n", soup_message_get_status (message),
        body ? (int)g_bytes_get_size (body) : 200,
        body ? (const char *)g_bytes_get_data (body, NULL) : error->message);
    exit (1);
  }
  GstSDPMessage *sdp;
  gst_sdp_message_new (&sdp);
  gst_sdp_message_parse_buffer (g_bytes_get_data (body, NULL), (guint)g_bytes_get_size (body), sdp);
  GstWebRTCSessionDescription *answer =
      gst_webrtc_session_description_new (GST_WEBRTC_SDP_TYPE_ANSWER, sdp);
  g_signal_emit_by_name (self->bin, "set-remote-description", answer, NULL);
  gst_webrtc_session_description_free (answer);
}

static gboolean
post_offer (gpointer data)
{
  Viewer *self = data;
  GstWebRTCSessionDescription *offer = NULL;
  if (self->posted)
    return G_SOURCE_REMOVE;
  self->posted = TRUE;
  g_object_get (self->bin, "local-description", &offer, NULL);
  g_autofree char *text = gst_sdp_message_as_text (offer->sdp);
  g_autoptr (GBytes) body = g_bytes_new (text, strlen (text));
  g_autoptr (SoupMessage) message = soup_message_new ("POST", url);
  soup_message_set_request_body_from_bytes (message, "application/sdp", body);
  self->began = g_get_monotonic_time ();
  soup_session_send_and_read_async (session, message, G_PRIORITY_DEFAULT, NULL, on_reply, self);
  gst_webrtc_session_description_free (offer);
  return G_SOURCE_REMOVE;
}

static void
on_gathering (GstElement *bin, GParamSpec *spec, gpointer data)
{
  GstWebRTCICEGatheringState state;
  g_object_get (bin, "ice-gathering-state", &state, NULL);
  if (state == GST_WEBRTC_ICE_GATHERING_STATE_COMPLETE)
    g_main_context_invoke (NULL, post_offer, data);
}

static void
on_offer (GstPromise *promise, gpointer data)
{
  Viewer *self = data;
  GstWebRTCSessionDescription *offer = NULL;
  gst_structure_get (
      gst_promise_get_reply (promise), "offer", GST_TYPE_WEBRTC_SESSION_DESCRIPTION, &offer, NULL);
  gst_promise_unref (promise);
  g_signal_emit_by_name (self->bin, "set-local-description", offer, NULL);
  gst_webrtc_session_description_free (offer);
}

static void
join (Viewer *self)
{
  g_autoptr (GObject) ice = NULL, agent = NULL;
  g_autoptr (GstCaps) caps = gst_caps_from_string (
      "application/x-rtp, media=video, encoding-name=H264, clock-rate=90000, payload=96, "
      "packetization-mode=(string)1, profile-level-id=(string)640c1f");
  GstWebRTCRTPTransceiver *transceiver = NULL;
  *self = (Viewer){.pipeline = gst_pipeline_new (NULL)};
  self->bin = gst_element_factory_make ("webrtcbin", NULL);
  g_object_set (
      self->bin, "bundle-policy", GST_WEBRTC_BUNDLE_POLICY_MAX_BUNDLE, "latency", 0, NULL);
  gst_bin_add (GST_BIN (self->pipeline), self->bin);
  g_object_get (self->bin, "ice-agent", &ice, NULL);
  g_object_get (ice, "agent", &agent, NULL);
  g_object_set (agent, "upnp", FALSE, NULL);
  g_signal_connect (self->bin, "pad-added", G_CALLBACK (on_pad), self);
  g_signal_connect (self->bin, "notify::ice-gathering-state", G_CALLBACK (on_gathering), self);
  gst_element_set_state (self->pipeline, GST_STATE_PLAYING);
  g_signal_emit_by_name (self->bin, "add-transceiver",
      GST_WEBRTC_RTP_TRANSCEIVER_DIRECTION_RECVONLY, caps, &transceiver);
  gst_clear_object (&transceiver);
  g_signal_emit_by_name (
      self->bin, "create-offer", NULL, gst_promise_new_with_change_func (on_offer, self, NULL));
}

static void
leave (Viewer *self)
{
  gst_element_set_state (self->pipeline, GST_STATE_NULL);
  gst_object_unref (self->pipeline);
}

static gboolean
quit (gpointer data)
{
  g_main_loop_quit (loop);
  return G_SOURCE_REMOVE;
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  if (argc != 5) {
    g_printerr ("usage: webrtc-client URL VIEWERS ROUNDS HOLD_MS\n");
    return 2;
  }
  url = argv[1];
  n_viewers = (guint)atoi (argv[2]);
  rounds = (guint)atoi (argv[3]);
  hold_ms = (guint)atoi (argv[4]);
  loop = g_main_loop_new (NULL, FALSE);
  session = soup_session_new_with_options ("max-conns", 1000, "max-conns-per-host", 1000, NULL);
  viewers = g_new0 (Viewer, n_viewers);
  setvbuf (stdout, NULL, _IOLBF, 0);
  for (guint round = 0; round < rounds; round++) {
    guint frames = 0;
    waiting = n_viewers;
    for (guint i = 0; i < n_viewers; i++)
      join (&viewers[i]);
    g_main_loop_run (loop);
    g_print ("all\n");
    if (hold_ms) {
      g_timeout_add (hold_ms, quit, NULL);
      g_main_loop_run (loop);
    }
    for (guint i = 0; i < n_viewers; i++) {
      frames += (guint)g_atomic_int_get (&viewers[i].frames);
      leave (&viewers[i]);
    }
    g_print ("frames %u\n", frames);
  }
  g_print ("done\n");
  return 0;
}
