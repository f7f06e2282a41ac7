/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What RTSP requests say: addresses, queries, transports, passwords, descriptions. */
#include <gst/gst.h>
#include <string.h>

#include "auth.h"
#include "filters.h"
#include "rtsp-address.h"
#include "sdp.h"

static void
test_addresses (void)
{
  static const struct {
    const char *url, *name, *query;
    int lane;
  } rows[] = {
      {"rtsp://host:8554/cam", "cam", "", -1},
      {"rtsp://host:8554/cam/", "cam", "", -1},
      {"rtsp://[::1]:8554/cam/trackID=1", "cam", "", 1},
      {"rtsp://host/cam?video=h264", "cam", "video=h264", -1},
      {"rtsp://host/cam?video=h264/trackID=0", "cam", "video=h264", 0},
      {"rtsp://host/cam/trackID=0?video=h264", "cam", "video=h264", 0},
      {"rtsp://host/cam/?audio", "cam", "audio", -1},
      {"/cam?x=http://a/b", "cam", "x=http://a/b", -1},
      {"rtsp://host/a%2Db", "a-b", "", -1},
      {"rtsp://host", NULL, NULL, 0},
      {"*", NULL, NULL, 0},
      {"", NULL, NULL, 0},
      {"rtsp://host/cam/trackID=10", NULL, NULL, 0},
      {"rtsp://host/cam/trackID=", NULL, NULL, 0},
      {"rtsp://host/%00", NULL, NULL, 0},
  };
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    SptRtspAddress address;
    gboolean ok = spt_rtsp_address_parse (rows[i].url, &address);
    g_assert_cmpint (ok, ==, rows[i].name != NULL);
    if (ok) {
      g_assert_cmpstr (address.name, ==, rows[i].name);
      g_assert_cmpstr (address.query, ==, rows[i].query);
      g_assert_cmpint (address.lane, ==, rows[i].lane);
    }
    spt_rtsp_address_clear (&address);
  }
}

static void
test_queries (void)
{
  static const struct {
    const char *query, *container, *video, *audio; /* caps; NULL: any */
    gboolean no_video, no_audio, bad;
  } rows[] = {
      {"", "rtp", NULL, NULL, FALSE, FALSE, FALSE},
      {"video&audio", "rtp", NULL, NULL, FALSE, FALSE, FALSE},
      {"video", "rtp", NULL, NULL, FALSE, TRUE, FALSE},
      {"audio=copy", "rtp", NULL, NULL, TRUE, FALSE, FALSE},
      {"video=h264,h265&x=1", "rtp", "video/x-h264; video/x-h265", NULL, FALSE, TRUE, FALSE},
      {"video=mjpeg", "rtp-jpeg", "image/jpeg", NULL, FALSE, TRUE, FALSE},
      {"video=h264&audio=opus", "rtp", "video/x-h264", "audio/x-opus", FALSE, FALSE, FALSE},
      {"video=theora", NULL, NULL, NULL, FALSE, FALSE, TRUE},
      {"audio=%zz", "rtp", NULL, NULL, FALSE, FALSE, FALSE},
  };
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GError) error = NULL;
    SptWant want = {0};
    gboolean ok = spt_rtsp_address_read_query (rows[i].query, &want, &error);
    g_assert_cmpint (ok, ==, !rows[i].bad);
    if (ok) {
      g_autoptr (GstCaps) video = rows[i].video ? gst_caps_from_string (rows[i].video) : NULL;
      g_autoptr (GstCaps) audio = rows[i].audio ? gst_caps_from_string (rows[i].audio) : NULL;
      g_assert_cmpstr (want.container, ==, rows[i].container);
      g_assert_true (video ? gst_caps_is_equal (video, want.video) : !want.video);
      g_assert_true (audio ? gst_caps_is_equal (audio, want.audio) : !want.audio);
      if (strchr (rows[i].query, '%') == NULL) {
        g_assert_cmpint (want.no_video, ==, rows[i].no_video);
        g_assert_cmpint (want.no_audio, ==, rows[i].no_audio);
      }
    }
    spt_filters_clear (&want);
  }
}

static char *
take (const GstRTSPTransport *wish, gpointer data)
{
  (*(guint *)data)++;
  return wish->lower_transport & GST_RTSP_LOWER_TRANS_TCP ? g_strdup ("tcp") : NULL;
}

static void
test_transports (void)
{
  guint seen = 0;
  g_autofree char *chosen = spt_rtsp_transport_choose (
      ",,;;,RTP/SAVP;unicast, RTP/AVP;unicast;client_port=1-2,RTP/AVP/TCP;interleaved=0-1,"
      "RTP/AVP/TCP;interleaved=2-3",
      take, &seen);
  g_assert_cmpstr (chosen, ==, "tcp");
  g_assert_cmpuint (seen, ==, 2);
  g_assert_null (spt_rtsp_transport_choose ("", take, &seen));
}

static gboolean
may (SptAuth *auth, const char *authorization, const char *nonce)
{
  SptCredentials who = {
      .authorization = authorization, .local = TRUE, .method = "DESCRIBE", .nonce = nonce};
  return spt_auth_authorize (auth, &who, SPT_ACTION_VIEW, NULL, NULL);
}

static void
test_passwords (void)
{
  SptAuth *open = spt_auth_new ("", "", TRUE);
  SptAuth *closed = spt_auth_new ("anna", "secret", TRUE);
  SptAuth *lenient = spt_auth_new ("anna", "secret", FALSE);
  g_assert_true (may (open, NULL, NULL));
  g_assert_true (may (lenient, NULL, NULL));
  g_assert_false (may (closed, NULL, NULL));
  g_assert_true (may (closed, "Basic YW5uYTpzZWNyZXQ=", NULL));
  g_assert_false (may (closed, "Basic YW5uYTpzZWNyZXRz", NULL));
  g_assert_false (may (closed, "Basic", NULL));
  /* HA1 = md5 (anna:Spotter:secret), HA2 = md5 (DESCRIBE:rtsp://h/cam) */
  g_autofree char *ha1 = g_compute_checksum_for_string (G_CHECKSUM_MD5, "anna:Spotter:secret", -1);
  g_autofree char *ha2 =
      g_compute_checksum_for_string (G_CHECKSUM_MD5, "DESCRIBE:rtsp://h/cam", -1);
  g_autofree char *all = g_strconcat (ha1, ":n0nce:", ha2, NULL);
  g_autofree char *response = g_compute_checksum_for_string (G_CHECKSUM_MD5, all, -1);
  g_autofree char *digest = g_strdup_printf ("Digest username=\"anna\", realm=\"Spotter\", "
                                             "nonce=\"n0nce\", uri=\"rtsp://h/cam\", "
                                             "response=\"%s\"",
      response);
  g_assert_true (may (closed, digest, "n0nce"));
  g_assert_false (may (closed, digest, "another"));
  g_assert_false (may (closed, digest, NULL));
  g_assert_false (may (closed, "Digest username=\"anna\", nonce=\"n0nce\"", "n0nce"));
  g_assert_false (may (closed, "Digest ", "n0nce"));
  spt_auth_free (open);
  spt_auth_free (closed);
  spt_auth_free (lenient);
}

static void
test_descriptions (void)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (
      "application/x-rtp, "
      "lane0=(GstCaps)[application/x-rtp, media=video, payload=96, clock-rate=90000, "
      "encoding-name=H264, ssrc=(uint)5], "
      "lane1=(GstCaps)[application/x-rtp, media=audio, payload=0, clock-rate=8000, "
      "encoding-name=PCMU]");
  g_assert_nonnull (caps);
  g_autofree char *four = spt_sdp_of_track ("cam", "192.0.2.1", caps);
  g_assert_nonnull (strstr (four, "m=video 0 RTP/AVP 96"));
  g_assert_nonnull (strstr (four, "a=rtpmap:96 H264/90000"));
  g_assert_nonnull (strstr (four, "a=control:trackID=1"));
  g_assert_nonnull (strstr (four, "c=IN IP4 0.0.0.0"));
  g_assert_null (strstr (four, "ssrc"));
  g_autofree char *six = spt_sdp_of_track ("cam", "2001:db8::1", caps);
  g_assert_nonnull (strstr (six, "c=IN IP6 ::"));
  g_autoptr (GstCaps) nothing = gst_caps_new_empty_simple ("application/x-rtp");
  g_assert_null (spt_sdp_of_track ("cam", "192.0.2.1", nothing));
}

static void
test_announcements (void)
{
  static const char good[] = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n"
                             "m=application 0 RTP/AVP 98\r\na=control:streamid=0\r\n"
                             "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
                             "a=fmtp:96 packetization-mode=1\r\na=control:rtsp://h/x/streamid=1\r\n"
                             "m=audio 0 RTP/AVP 0\r\na=control:streamid=2\r\n";
  SptSdpAnnounced announced;
  g_assert_true (spt_sdp_parse_announced (good, strlen (good), &announced, NULL));
  g_assert_cmpuint (announced.n, ==, 2);
  g_assert_cmpstr (announced.controls[0], ==, "streamid=1");
  g_assert_cmpstr (
      gst_structure_get_string (gst_caps_get_structure (announced.caps[0], 0), "encoding-name"), ==,
      "H264");
  spt_sdp_announced_clear (&announced);
  for (gsize cut = 0; cut < strlen (good); cut++) {
    g_autoptr (GError) error = NULL;
    gboolean ok = spt_sdp_parse_announced (good, cut, &announced, &error);
    g_assert_true (ok != (error != NULL));
    spt_sdp_announced_clear (&announced);
  }
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rtsp/addresses", test_addresses);
  g_test_add_func ("/rtsp/queries", test_queries);
  g_test_add_func ("/rtsp/transports", test_transports);
  g_test_add_func ("/rtsp/passwords", test_passwords);
  g_test_add_func ("/rtsp/descriptions", test_descriptions);
  g_test_add_func ("/rtsp/announcements", test_announcements);
  return g_test_run ();
}
