/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "filters.h"

#include "error.h"
#include "plan.h"

typedef struct {
  const char *name, *caps;
} Codec;

static const Codec video_codecs[] = {
    {"h264", "video/x-h264"},
    {"h265", "video/x-h265"},
    {"hevc", "video/x-h265"},
    {"vp8", "video/x-vp8"},
    {"vp9", "video/x-vp9"},
    {"mjpeg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {NULL, NULL},
};

static const Codec audio_codecs[] = {
    {"aac", "audio/mpeg, mpegversion=4"},
    {"mp4a", "audio/mpeg, mpegversion=4"},
    {"mp3", "audio/mpeg, mpegversion=1"},
    {"opus", "audio/x-opus"},
    {"pcmu", "audio/x-mulaw"},
    {"pcma", "audio/x-alaw"},
    {NULL, NULL},
};

static gboolean
read_one (const char *key, const char *value, const Codec *codecs, GstCaps **wanted, GError **error)
{
  if (!value || !*value || g_str_equal (value, "all") || g_str_equal (value, "copy"))
    return TRUE;
  g_autoptr (GstCaps) caps = gst_caps_new_empty ();
  g_auto (GStrv) names = g_strsplit (value, ",", 8);
  for (char **name = names; *name; name++)
    for (const Codec *codec = codecs; codec->name; codec++)
      if (g_ascii_strcasecmp (*name, codec->name) == 0)
        gst_caps_append (caps, gst_caps_from_string (codec->caps));
  if (gst_caps_is_empty (caps)) {
    GString *known = g_string_new (NULL);
    for (const Codec *codec = codecs; codec->name; codec++)
      g_string_append_printf (known, "%s%s", known->len ? ", " : "", codec->name);
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "%s=%.64s: no such codec; known are %s", key,
        value, known->str);
    g_string_free (known, TRUE);
    return FALSE;
  }
  *wanted = g_steal_pointer (&caps);
  return TRUE;
}

/**
 * spt_filters_read:
 * @video: (nullable): codec names separated by commas; "", "all" and "copy" take any
 * @audio: (nullable): the same
 * @want: gets the caps; free with spt_filters_clear()
 *
 * With one of the two given the other is left out, as go2rtc does.
 */
gboolean
spt_filters_read (const char *video, const char *audio, SptWant *want, GError **error)
{
  want->no_video = audio && !video;
  want->no_audio = video && !audio;
  return read_one ("video", video, video_codecs, &want->video, error) &&
         read_one ("audio", audio, audio_codecs, &want->audio, error);
}

/**
 * spt_filters_read_overlay:
 * @overlay: (nullable): "pose": skeletons drawn into the picture; "skeleton": and nothing else
 */
gboolean
spt_filters_read_overlay (const char *overlay, SptWant *want, GError **error)
{
  static const char *const known[] = {SPT_OVERLAY_POSE, SPT_OVERLAY_SKELETON};
  if (!overlay || !*overlay)
    return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    if (g_str_equal (overlay, known[i])) {
      want->overlay = known[i];
      return TRUE;
    }
  g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
      "overlay=%.64s: there is no such overlay; known are pose, skeleton", overlay);
  return FALSE;
}

void
spt_filters_clear (SptWant *want)
{
  gst_clear_caps (&want->video);
  gst_clear_caps (&want->audio);
}
