/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/gst.h>
#include <gst/sdp/sdp.h>
#include <string.h>

#include "error.h"
#include "rtc-sdp.h"

#define FINGERPRINT                                                                                \
  "sha-256 "                                                                                       \
  "52:AE:58:03:0D:91:C3:01:47:DE:27:3C:F6:F9:92:6D:0E:99:C7:6E:9E:2B:58:D4:5A:50:01:1B:4D:56:4C:"  \
  "84"
#define TRANSPORT                                                                                  \
  "c=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"                 \
  "a=fingerprint:" FINGERPRINT "\r\na=setup:actpass\r\na=rtcp-mux\r\n"
#define HEAD "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

/* As Chromium makes it: the data channel first, sound before the picture. */
static const char offer[] =
    HEAD "a=group:BUNDLE d a v\r\n"
         "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n" TRANSPORT "a=mid:d\r\n"
         "a=sctp-port:5000\r\n"
         "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\n" TRANSPORT "a=mid:a\r\na=recvonly\r\n"
         "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n"
         "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 102 103\r\n" TRANSPORT
         "a=mid:v\r\na=recvonly\r\n"
         "a=candidate:1 1 udp 2113937151 192.0.2.7 50000 typ host generation 0\r\n"
         "a=candidate:2 1 udp 2113937151 1b2c.local 50001 typ host\r\n"
         "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
         "a=rtpmap:98 H264/90000\r\n"
         "a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=640c1f\r\n"
         "a=rtpmap:99 H264/90000\r\n"
         "a=fmtp:99 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
         "a=rtpmap:100 H264/90000\r\n"
         "a=fmtp:100 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f\r\n"
         "a=rtpmap:101 rtx/90000\r\na=fmtp:101 apt=100\r\n"
         "a=rtpmap:102 VP9/90000\r\na=fmtp:102 profile-id=2\r\n"
         "a=rtpmap:103 H265/90000\r\n";

static SptRtcOffer *
read_offer (const char *text)
{
  g_autoptr (GError) error = NULL;
  SptRtcOffer *self = spt_rtc_offer_new (text, strlen (text), &error);
  g_assert_no_error (error);
  return self;
}

static void
test_reads_what_chromium_offers (void)
{
  g_autoptr (SptRtcOffer) self = read_offer (offer);
  SptWant want = {0};
  spt_rtc_offer_want (self, &want);
  g_autofree char *video = gst_caps_to_string (want.video);
  g_autofree char *audio = gst_caps_to_string (want.audio);
  g_assert_cmpstr (video, ==, "video/x-vp8; video/x-h264"); /* profile 2 of VP9 is not ours */
  g_assert_cmpstr (audio, ==, "audio/x-opus; audio/x-mulaw");
  gst_caps_unref (want.video);
  gst_caps_unref (want.audio);
  g_assert_true (spt_rtc_offer_choose (self, 0, "H264"));
  g_assert_false (spt_rtc_offer_choose (self, 0, "VP9"));
  const SptRtcCodec *codec = spt_rtc_offer_chosen (self, 0);
  /* the best profile with packetization-mode 1, with its retransmission */
  g_assert_cmpuint (codec->pt, ==, 100);
  g_assert_cmpuint (codec->rtx, ==, 101);
  g_assert_cmpuint (spt_rtc_offer_candidates (self)->len, ==, 1);
}

static void
test_answers_every_medium_in_its_place (void)
{
  g_autoptr (SptRtcOffer) self = read_offer (offer);
  SptRtcLocal local = {"ufrag", "password", FINGERPRINT, "passive", {1, 2}, {3, 0}};
  g_autoptr (GPtrArray) candidates = g_ptr_array_new ();
  g_ptr_array_add (candidates, (gpointer) "candidate:1 1 udp 1 192.0.2.1 8555 typ host");
  g_assert_true (spt_rtc_offer_choose (self, 0, "H264"));
  g_assert_true (spt_rtc_offer_choose (self, 1, "opus"));
  g_autofree char *text = spt_rtc_offer_answer (self, &local, candidates);
  GstSDPMessage *sdp;
  g_assert_cmpint (gst_sdp_message_new_from_text (text, &sdp), ==, GST_SDP_OK);
  g_assert_cmpuint (gst_sdp_message_medias_len (sdp), ==, 3);
  g_assert_cmpstr (gst_sdp_message_get_attribute_val (sdp, "group"), ==, "BUNDLE a v");
  g_assert_cmpuint (gst_sdp_media_get_port (gst_sdp_message_get_media (sdp, 0)), ==, 0);
  const GstSDPMedia *video = gst_sdp_message_get_media (sdp, 2);
  g_assert_cmpstr (gst_sdp_media_get_attribute_val (video, "mid"), ==, "v");
  g_assert_cmpstr (gst_sdp_media_get_attribute_val (video, "ssrc-group"), ==, "FID 1 3");
  g_assert_nonnull (strstr (text, "profile-level-id=4d001f"));
  g_assert_nonnull (strstr (text, "a=end-of-candidates"));
  gst_sdp_message_free (sdp);
}

static void
test_the_transport_sees_the_chosen_alone (void)
{
  g_autoptr (SptRtcOffer) self = read_offer (offer);
  g_assert_true (spt_rtc_offer_choose (self, 0, "VP8"));
  g_autofree char *text = spt_rtc_offer_reduced (self);
  g_assert_nonnull (strstr (text, "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n"));
  g_assert_null (strstr (text, "H264"));
  g_assert_null (strstr (text, "application"));
  g_assert_null (strstr (text, "opus"));
}

static const struct {
  const char *text, *says;
} bad[] = {
    {"", "no text"},
    {"hello", "media"},
    {HEAD, "0 media"},
    {HEAD "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n", "ice-ufrag"},
    {HEAD "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" TRANSPORT, "mid"},
    {HEAD "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" TRANSPORT "a=mid:0\r\n"
          "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" TRANSPORT "a=mid:0\r\n",
        "one mid"},
    {HEAD "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=ice-ufrag:abcd\r\n"
          "a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 12:34\r\n",
        "fingerprint"},
};

static void
test_says_what_is_wrong (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (spt_rtc_offer_new (bad[i].text, strlen (bad[i].text), &error));
    g_assert_error (error, SPT_ERROR, SPT_ERROR_INVALID);
    g_assert_nonnull (strstr (error->message, bad[i].says));
  }
}

static void
test_candidates (void)
{
  static const struct {
    const char *text, *checked;
  } rows[] = {
      {"candidate:1 1 UDP 5 192.0.2.1 5000 typ host generation 0 ufrag x",
          "candidate:1 1 udp 5 192.0.2.1 5000 typ host"},
      {"candidate:1 1 tcp 5 192.0.2.1 9 typ host tcptype active",
          "candidate:1 1 tcp 5 192.0.2.1 9 typ host tcptype active"},
      {"candidate:a 1 udp 5 2001:db8::1 5000 typ srflx raddr 10.0.0.1 rport 9",
          "candidate:a 1 udp 5 2001:db8::1 5000 typ srflx"},
      {"candidate:1 1 udp 5 secret.local 5000 typ host", NULL}, /* nobody makes us look up names */
      {"candidate:1 2 udp 5 192.0.2.1 5000 typ host", NULL},
      {"candidate:1 1 tcp 5 192.0.2.1 5000 typ host", NULL},
      {"candidate:1 1 udp 5 192.0.2.1 70000 typ host", NULL},
      {"candidate:1 1 udp 5 192.0.2.1 5000 typ host\r\na=evil", NULL},
      {"", NULL},
  };
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *checked = spt_rtc_candidate_check (rows[i].text);
    g_assert_cmpstr (checked, ==, rows[i].checked);
  }
}

/* One of the ways in which an offer may be spoilt. */
static void
mutate (GString *text, GRand *rand)
{
  if (!text->len)
    return;
  guint at = (guint)g_rand_int_range (rand, 0, (gint32)text->len);
  guint length = (guint)g_rand_int_range (rand, 1, 60);
  length = MIN (length, (guint)text->len - at);
  switch (g_rand_int_range (rand, 0, 5)) {
  case 0:
    g_string_erase (text, at, length);
    break;
  case 1:
    text->str[at] = (char)g_rand_int_range (rand, 1, 256);
    break;
  case 2: {
    g_autofree char *again = g_strndup (text->str + at, length);
    g_string_insert (text, (gssize)at, again);
    break;
  }
  case 3:
    g_string_insert (text, (gssize)at, "a=fmtp:99999999999999999999 ;;;=\r\n");
    break;
  default:
    g_string_truncate (text, at + 1);
  }
}

/* What is accepted is always something that can be reduced and answered; nothing crashes. */
static void
test_mutations (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  guint accepted = 0;
  for (guint i = 0; i < 20000; i++) {
    g_autoptr (GString) text = g_string_new (offer);
    g_autoptr (GError) error = NULL;
    for (int n = g_rand_int_range (rand, 1, 6); n > 0; n--)
      mutate (text, rand);
    g_autoptr (SptRtcOffer) self = spt_rtc_offer_new (text->str, text->len, &error);
    g_assert_true (self != NULL || (error && strlen (error->message) > 10));
    if (!self)
      continue;
    accepted++;
    SptRtcLocal local = {"ufrag", "password", FINGERPRINT, "passive", {1, 2}, {3, 0}};
    spt_rtc_offer_choose (self, 0, "H264");
    spt_rtc_offer_choose (self, 1, "OPUS");
    g_autofree char *reduced = spt_rtc_offer_reduced (self);
    g_autofree char *answer = spt_rtc_offer_answer (self, &local, NULL);
    g_assert_true (g_str_has_prefix (reduced, "v=0") && g_str_has_prefix (answer, "v=0"));
  }
  g_test_message ("%u of 20000 spoilt offers can still be answered", accepted);
  g_assert_cmpuint (accepted, >, 100);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rtc-sdp/reads-what-chromium-offers", test_reads_what_chromium_offers);
  g_test_add_func (
      "/rtc-sdp/answers-every-medium-in-its-place", test_answers_every_medium_in_its_place);
  g_test_add_func (
      "/rtc-sdp/the-transport-sees-the-chosen-alone", test_the_transport_sees_the_chosen_alone);
  g_test_add_func ("/rtc-sdp/says-what-is-wrong", test_says_what_is_wrong);
  g_test_add_func ("/rtc-sdp/candidates", test_candidates);
  g_test_add_func ("/rtc-sdp/mutations", test_mutations);
  return g_test_run ();
}
