/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An RTSP camera in a process of its own, to be started, watched, killed and restarted by tests.
 * Prints "ready PORT"; then a line for each client that connects and leaves.
 *
 *   rtsp-camera [--port N] [--gop SECONDS] [--kbps N] [--size WxH] [--fps N]
 *               [--codec h264|h265|jpeg] [--b-frames N] [--no-audio]
 *
 * --numbered: a climber, in pictures that tell their number (numbered.h), instead of noise
 *
 * --relay URL serves what another server gives, as gst-rtsp-server does it: a peer to measure
 * against.
 *
 * --trace prints "frame HEX NS" as each access unit leaves the encoder: its last bytes, monotonic
 * time. */
#include <gst/rtsp-server/rtsp-server.h>
#include <stdio.h>

#include "numbered.h"

static int port, gop = 1, kbps = 2000, fps = 30, b_frames;
static char *size, *codec, *relay;
static gboolean no_audio, trace, numbered;

static void
on_closed (GstRTSPClient *client, gpointer data)
{
  printf ("closed\n");
  fflush (stdout);
}

static void
on_client (GstRTSPServer *server, GstRTSPClient *client, gpointer data)
{
  printf ("client\n");
  fflush (stdout);
  g_signal_connect (client, "closed", G_CALLBACK (on_closed), NULL);
}

static GstPadProbeReturn
on_frame (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstMapInfo map;
  gint64 now = g_get_monotonic_time () * 1000;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  if (gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    printf ("frame ");
    for (gsize i = map.size > 16 ? map.size - 16 : 0; i < map.size; i++)
      printf ("%02x", map.data[i]);
    printf (" %" G_GINT64_FORMAT "\n", now);
    fflush (stdout);
    gst_buffer_unmap (buffer, &map);
  }
  return GST_PAD_PROBE_OK;
}

static void
on_media (GstRTSPMediaFactory *factory, GstRTSPMedia *media, gpointer data)
{
  g_autoptr (GstElement) bin = gst_rtsp_media_get_element (media);
  g_autoptr (GstElement) pay = gst_bin_get_by_name (GST_BIN (bin), "pay0");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (pay, "sink");
  if (numbered)
    numbered_begin (GST_BIN (bin));
  if (trace)
    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_frame, NULL, NULL);
}

/* … and payloader */
static char *
make_encoder (void)
{
  if (g_strcmp0 (codec, "jpeg") == 0)
    return g_strdup ("jpegenc quality=90 ! rtpjpegpay name=pay0 pt=26");
  if (g_strcmp0 (codec, "h265") == 0)
    return g_strdup_printf (
        "x265enc tune=zerolatency speed-preset=ultrafast bitrate=%d key-int-max=%d ! "
        "rtph265pay name=pay0 pt=96 config-interval=-1",
        kbps, gop * fps);
  /* rtph264pay puts parameter sets before every slice of a keyframe, which makes two pictures of
   * it for who takes them at their word: where pictures are counted there is one slice. */
  g_autofree char *order =
      b_frames ? g_strdup_printf (
                     "speed-preset=superfast bframes=%d b-adapt=false rc-lookahead=0", b_frames)
               : g_strdup ("speed-preset=ultrafast tune=zerolatency");
  return g_strdup_printf (
      "x264enc %s bitrate=%d key-int-max=%d threads=%d "
      "option-string=scenecut=0:nal-hrd=cbr:force-cfr=1 vbv-buf-capacity=500 ! %s"
      "rtph264pay name=pay0 pt=96 config-interval=-1",
      order, kbps, gop * fps, numbered ? 1 : 0, b_frames ? "video/x-h264,profile=main ! " : "");
}

static char *
launch (void)
{
  int width = 640, height = 360;
  if (relay)
    return g_strdup_printf ("( rtspsrc location=%s protocols=tcp latency=0 ! rtph264depay ! "
                            "h264parse config-interval=-1 ! "
                            "rtph264pay name=pay0 pt=96 aggregate-mode=zero-latency )",
        relay);
  if (size)
    sscanf (size, "%dx%d", &width, &height);
  g_autofree char *encoder = make_encoder ();
  return g_strdup_printf ("( %s is-live=true ! "
                          "video/x-raw,format=I420,width=%d,height=%d,framerate=%d/1 ! %s %s)",
      numbered ? NUMBERED_SOURCE : "videotestsrc pattern=snow", width, height, fps, encoder,
      no_audio ? ""
               : "audiotestsrc is-live=true volume=0.1 ! audio/x-raw,rate=48000,channels=1 ! "
                 "avenc_aac ! "
                 "aacparse ! rtpmp4gpay name=pay1 pt=97 ");
}

int
main (int argc, char **argv)
{
  const GOptionEntry entries[] = {
      {"port", 0, 0, G_OPTION_ARG_INT, &port, NULL, NULL},
      {"gop", 0, 0, G_OPTION_ARG_INT, &gop, NULL, NULL},
      {"kbps", 0, 0, G_OPTION_ARG_INT, &kbps, NULL, NULL},
      {"size", 0, 0, G_OPTION_ARG_STRING, &size, NULL, NULL},
      {"fps", 0, 0, G_OPTION_ARG_INT, &fps, NULL, NULL},
      {"b-frames", 0, 0, G_OPTION_ARG_INT, &b_frames, NULL, NULL},
      {"codec", 0, 0, G_OPTION_ARG_STRING, &codec, NULL, NULL},
      {"relay", 0, 0, G_OPTION_ARG_STRING, &relay, NULL, NULL},
      {"trace", 0, 0, G_OPTION_ARG_NONE, &trace, NULL, NULL},
      {"numbered", 0, 0, G_OPTION_ARG_NONE, &numbered, NULL, NULL},
      {"no-audio", 0, 0, G_OPTION_ARG_NONE, &no_audio, NULL, NULL},
      {NULL},
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, NULL))
    return 64;
  gst_init (NULL, NULL);
  gst_object_unref (gst_plugin_load_file (SPT_TEST_PLUGIN, NULL));
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GstRTSPServer) server = gst_rtsp_server_new ();
  g_autoptr (GstRTSPMountPoints) mounts = gst_rtsp_server_get_mount_points (server);
  GstRTSPMediaFactory *factory = gst_rtsp_media_factory_new ();
  g_autofree char *text = launch ();
  g_autofree char *service = g_strdup_printf ("%d", port);
  gst_rtsp_media_factory_set_launch (factory, text);
  gst_rtsp_media_factory_set_shared (factory, TRUE);
  g_signal_connect (factory, "media-configure", G_CALLBACK (on_media), NULL);
  gst_rtsp_mount_points_add_factory (mounts, "/camera", factory);
  gst_rtsp_server_set_address (server, "127.0.0.1");
  gst_rtsp_server_set_service (server, service);
  g_signal_connect (server, "client-connected", G_CALLBACK (on_client), NULL);
  if (!gst_rtsp_server_attach (server, NULL)) {
    printf ("failed\n");
    return 1;
  }
  printf ("ready %d\n", gst_rtsp_server_get_bound_port (server));
  fflush (stdout);
  g_main_loop_run (loop);
  return 0;
}
