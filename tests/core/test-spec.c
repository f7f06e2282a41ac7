/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/gst.h>
#include <string.h>

#include "error.h"
#include "redact.h"
#include "spec.h"

static const struct {
  const char *text;
  SptSpecKind kind;
  const char *rest, *key, *value;
} good[] = {
    {"/dev/video0", SPT_SPEC_CAMERA, "/dev/video0", NULL, NULL},
    {"0", SPT_SPEC_CAMERA, "0", NULL, NULL},
    {"ffmpeg:0", SPT_SPEC_CAMERA, "0", NULL, NULL},
    {"ffmpeg:0?input_format=mjpeg&video_size=1280x720&framerate=30", SPT_SPEC_CAMERA, "0",
        "input_format", "mjpeg"},
    {"ffmpeg:/dev/video0", SPT_SPEC_CAMERA, "/dev/video0", NULL, NULL},
    {"ffmpeg:video=/dev/video0", SPT_SPEC_CAMERA, "/dev/video0", NULL, NULL},
    {"ffmpeg:device?video=/dev/video2#video=h264", SPT_SPEC_CAMERA, "/dev/video2", "video", "h264"},
    {"v4l2:/dev/video1", SPT_SPEC_CAMERA, "/dev/video1", NULL, NULL},
    {"v4l2:device?video=/dev/video0&framerate=15", SPT_SPEC_CAMERA, "/dev/video0", "framerate",
        "15"},
    {"rtsp://user:secret@cam.local/stream#transport=udp", SPT_SPEC_RTSP,
        "rtsp://user:secret@cam.local/stream", "transport", "udp"},
    {"ffmpeg:rtsp://cam/1#video=copy", SPT_SPEC_RTSP, "rtsp://cam/1", "video", "copy"},
    {"rtsps://cam:322/x", SPT_SPEC_RTSP, "rtsps://cam:322/x", NULL, NULL},
    {"file:///tmp/a%20b.mp4#loop", SPT_SPEC_FILE, "/tmp/a b.mp4", "loop", ""},
    {"ffmpeg:/tmp/a.mp4", SPT_SPEC_FILE, "/tmp/a.mp4", NULL, NULL},
    {"test:climber", SPT_SPEC_TEST, "climber", NULL, NULL},
    {"test:climber?view=back", SPT_SPEC_TEST, "climber", "view", "back"},
    {"ffmpeg:virtual?video=testsrc&size=720", SPT_SPEC_TEST, "smpte", "size", "720"},
    {"gst:videotestsrc ! x264enc", SPT_SPEC_LAUNCH, "videotestsrc ! x264enc", NULL, NULL},
};

static void
test_spellings (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (good); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (SptSpec) spec = spt_spec_parse (good[i].text, TRUE, &error);
    g_assert_no_error (error);
    g_assert_cmpint (spec->kind, ==, good[i].kind);
    g_assert_cmpstr (spec->rest, ==, good[i].rest);
    if (good[i].key)
      g_assert_cmpstr (spt_spec_option (spec, good[i].key), ==, good[i].value);
  }
}

static void
test_wrong_sources_get_a_sentence (void)
{
  static const char *const bad[] = {"", "nonsense", "unknown:thing", "ffmpeg:", "ffmpeg:nothing",
      "rtsp:", "rtsp://", "file:relative", "file://host/path", "/dev/../etc/passwd", "99999",
      "ffmpeg:0?video_size=huge", "ffmpeg:0?framerate=-1", "ffmpeg:0?framerate=nan",
      "v4l2:device?video=x", "test:ball?size=0", "0\n1\001", "\xff\xfe", "file:///a\xc2\x80",
      "file:///a\xe2\x80\xa8"};
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (spt_spec_parse (bad[i], TRUE, &error));
    g_assert_error (error, SPT_ERROR, SPT_ERROR_INVALID);
    g_assert_true (g_str_has_prefix (error->message, "source not supported"));
  }
  g_autofree char *huge = g_strnfill (100000, 'x');
  g_autoptr (GError) error = NULL;
  g_assert_null (spt_spec_parse (huge, TRUE, &error));
  g_assert_cmpuint (strlen (error->message), <, 200);
}

static void
test_launch_text_needs_trust (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (spt_spec_parse ("gst:videotestsrc", FALSE, &error));
  g_assert_nonnull (strstr (error->message, "source from insecure producer"));
}

static void
test_sizes_and_rates (void)
{
  int width, height, num, den;
  g_autoptr (SptSpec) spec =
      spt_spec_parse ("ffmpeg:0?video_size=1280x720&framerate=29.97", TRUE, NULL);
  g_assert_true (spt_spec_size (spec, &width, &height, NULL));
  g_assert_cmpint (width, ==, 1280);
  g_assert_cmpint (height, ==, 720);
  g_assert_true (spt_spec_framerate (spec, &num, &den, NULL));
  g_assert_cmpint (num, ==, 30000);
  g_assert_cmpint (den, ==, 1001);
  g_autoptr (SptSpec) lines = spt_spec_parse ("ffmpeg:virtual?size=720", TRUE, NULL);
  g_assert_true (spt_spec_size (lines, &width, &height, NULL));
  g_assert_cmpint (width, ==, 1280);
}

static void
test_redaction (void)
{
  static const struct {
    const char *text, *safe;
  } cases[] = {
      {"rtsp://user:pass@host/x", "rtsp://***@host/x"},
      {"rtsp://user:p@ss/w@host/x and http://a:b@c", "rtsp://***@host/x and http://***@c"},
      {"rtsp://host/?user=admin&password=canary&x=1", "rtsp://host/?user=admin&password=***&x=1"},
      {"no secret here: a@b", "no secret here: a@b"},
      {"#token=canary", "#token=***"},
      {"user-id=a user-pw=canary ! x", "user-id=a user-pw=*** ! x"},
      {"passphrase=\"can ary\" y", "passphrase=*** y"},
      {"?access_token=canary&api_password = 'c'", "?access_token=***&api_password = ***"},
      {"rtsp://admin:a?b#c@host/x", "rtsp://***@host/x"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *safe = spt_redact (cases[i].text);
    g_assert_cmpstr (safe, ==, cases[i].safe);
  }
  g_assert_null (spt_redact (NULL));
  g_autofree char *broken = spt_redact ("\xff rtsp://a:b@c");
  g_assert_null (strstr (broken, "a:b"));
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/spec/spellings", test_spellings);
  g_test_add_func ("/spec/wrong-sources-get-a-sentence", test_wrong_sources_get_a_sentence);
  g_test_add_func ("/spec/launch-text-needs-trust", test_launch_text_needs_trust);
  g_test_add_func ("/spec/sizes-and-rates", test_sizes_and_rates);
  g_test_add_func ("/redact/redaction", test_redaction);
  return g_test_run ();
}
