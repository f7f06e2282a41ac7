/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "spec.h"

#include <gst/video/video.h>
#include <string.h>

#include "error.h"
#include "redact.h"

/* Longer texts are refused before they are looked at. */
#define SPEC_LENGTH_MAX 4096

static SptSpec *
spec_new (SptSpecKind kind, const char *rest)
{
  SptSpec *self = g_atomic_rc_box_new0 (SptSpec);
  self->kind = kind;
  self->rest = g_strdup (rest);
  self->options = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

static void
spec_clear (gpointer data)
{
  SptSpec *self = data;
  g_free (self->rest);
  g_clear_pointer (&self->publisher, spt_publisher_unref);
  g_hash_table_unref (self->options);
}

SptSpec *
spt_spec_new_published (SptPublisher *publisher)
{
  SptSpec *self = spec_new (SPT_SPEC_PUBLISHED, "");
  self->publisher = spt_publisher_ref (publisher);
  return self;
}

/* Counts references atomically; what a spec says never changes after parsing. */
SptSpec *
spt_spec_ref (SptSpec *self)
{
  return g_atomic_rc_box_acquire (self);
}

void
spt_spec_unref (SptSpec *self)
{
  g_atomic_rc_box_release_full (self, spec_clear);
}

static SptSpec *
invalid (GError **error, const char *text, const char *why)
{
  g_autofree char *safe = spt_redact (text);
  g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "source not supported: '%s' %s", safe, why);
  return NULL;
}

static void
add_options (SptSpec *self, const char *text, const char *separator)
{
  g_auto (GStrv) parts = g_strsplit (text, separator, 64);
  for (char **part = parts; *part; part++) {
    if (!**part)
      continue;
    char *equals = strchr (*part, '=');
    if (equals)
      *equals = '\0';
    g_autofree char *value = equals ? g_uri_unescape_string (equals + 1, NULL) : NULL;
    g_hash_table_replace (
        self->options, g_strdup (*part), value ? g_steal_pointer (&value) : g_strdup (""));
  }
}

/* Cuts `rest` at the first of "?" and takes what follows as options. */
static void
take_query (SptSpec *self)
{
  char *query = strchr (self->rest, '?');
  if (!query)
    return;
  *query = '\0';
  add_options (self, query + 1, "&");
}

/* Also what YAML takes for a line break or refuses: a source must survive being written down. */
static gboolean
is_control (gunichar c)
{
  return (g_unichar_iscntrl (c) && c != '\n' && c != '\t') || c == 0x2028 || c == 0x2029 ||
         (c & 0xfffe) == 0xfffe;
}

static gboolean
is_number (const char *text)
{
  gsize n = strspn (text, "0123456789");
  return n > 0 && n < 4 && !text[n];
}

static gboolean
is_device (const char *text)
{
  return g_str_has_prefix (text, "/dev/") && !strstr (text, "..");
}

static SptSpec *
parse_camera (const char *rest)
{
  g_autoptr (SptSpec) self = spec_new (SPT_SPEC_CAMERA, rest);
  take_query (self);
  const char *device = g_hash_table_lookup (self->options, "video");
  if (g_str_equal (self->rest, "device") && device) {
    g_free (self->rest);
    self->rest = g_strdup (device);
  } else if (g_str_has_prefix (self->rest, "video=")) {
    memmove (self->rest, self->rest + 6, strlen (self->rest + 6) + 1);
  }
  if (!is_number (self->rest) && !is_device (self->rest))
    return NULL;
  return g_steal_pointer (&self);
}

static SptSpec *
parse_v4l2 (const char *scheme, const char *rest, GError **error)
{
  SptSpec *self = parse_camera (rest);
  return self ? self : invalid (error, rest, "is not a camera: give its number or /dev/… path");
}

static SptSpec *
parse_test (const char *scheme, const char *rest, GError **error)
{
  SptSpec *self = spec_new (SPT_SPEC_TEST, rest);
  take_query (self);
  return self;
}

static SptSpec *
parse_rtsp (const char *scheme, const char *rest, GError **error)
{
  g_autofree char *url = g_strconcat (scheme, ":", rest, NULL);
  g_autoptr (GUri) uri =
      g_uri_parse (url, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_PARSE_RELAXED, NULL);
  if (!uri || !g_uri_get_host (uri) || !*g_uri_get_host (uri))
    return invalid (
        error, scheme, "needs a URL with a host (percent-encode # and ? in a password)");
  return spec_new (SPT_SPEC_RTSP, url);
}

static SptSpec *
parse_file (const char *scheme, const char *rest, GError **error)
{
  const char *path = g_str_has_prefix (rest, "///") ? rest + 2 : rest;
  if (*path != '/' || g_str_has_prefix (path, "//"))
    return invalid (error, rest, "is not an absolute path: write file:///path");
  g_autofree char *plain = g_uri_unescape_string (path, NULL);
  if (!plain)
    return invalid (error, rest, "is not a valid path");
  return spec_new (SPT_SPEC_FILE, plain);
}

static SptSpec *
parse_launch (const char *scheme, const char *rest, GError **error)
{
  return spec_new (SPT_SPEC_LAUNCH, rest);
}

/* go2rtc users write ffmpeg: before nearly everything. */
static SptSpec *
parse_ffmpeg (const char *scheme, const char *rest, GError **error)
{
  if (g_str_has_prefix (rest, "virtual")) {
    SptSpec *self = spec_new (SPT_SPEC_TEST, rest);
    take_query (self);
    g_free (self->rest);
    self->rest = g_strdup ("smpte");
    return self;
  }
  SptSpec *camera = parse_camera (rest);
  if (camera)
    return camera;
  if (g_str_has_prefix (rest, "rtsp:") || g_str_has_prefix (rest, "rtsps:")) {
    const char *colon = strchr (rest, ':');
    g_autofree char *inner = g_strndup (rest, (gsize)(colon - rest));
    return parse_rtsp (inner, colon + 1, error);
  }
  if (*rest == '/')
    return parse_file ("file", rest, error);
  return invalid (error, rest, "is not a camera, an rtsp:// URL or an absolute path after ffmpeg:");
}

static const struct {
  const char *name;
  gboolean fragments; /* '#' starts options */
  gboolean trusted;   /* from the configuration file and the command line only */
  SptSpec *(*parse) (const char *scheme, const char *rest, GError **error);
} schemes[] = {
    {"ffmpeg", TRUE, FALSE, parse_ffmpeg},
    {"file", TRUE, FALSE, parse_file},
    {"gst", FALSE, TRUE, parse_launch},
    {"rtsp", TRUE, FALSE, parse_rtsp},
    {"rtsps", TRUE, FALSE, parse_rtsp},
    {"test", TRUE, FALSE, parse_test},
    {"v4l2", TRUE, FALSE, parse_v4l2},
};

/* Options with a type are checked at once, so that the caller hears it and not the log. */
static SptSpec *
checked (SptSpec *self, GError **error)
{
  int a, b;
  if (!spt_spec_size (self, &a, &b, error) || !spt_spec_framerate (self, &a, &b, error)) {
    spt_spec_unref (self);
    return NULL;
  }
  return self;
}

static SptSpec *
parse_scheme (guint row, const char *text, const char *rest, GError **error)
{
  const char *fragment = schemes[row].fragments ? strchr (rest, '#') : NULL;
  g_autofree char *body = g_strndup (rest, fragment ? (gsize)(fragment - rest) : strlen (rest));
  SptSpec *self = schemes[row].parse (schemes[row].name, g_strstrip (body), error);
  if (!self)
    return NULL;
  if (fragment)
    add_options (self, fragment + 1, "#");
  return checked (self, error);
}

/**
 * spt_spec_parse:
 * @text: one source as users write it
 * @trusted: it comes from the configuration file or the command line
 * @error: INVALID with a sentence, or FORBIDDEN for what only trusted texts may hold
 *
 * Pure: opens nothing and does not ask whether the thing exists.
 *
 * Returns: (transfer full)
 */
SptSpec *
spt_spec_parse (const char *text, gboolean trusted, GError **error)
{
  if (!g_utf8_validate (text, -1, NULL) || strlen (text) > SPEC_LENGTH_MAX || !*text)
    return invalid (error, *text ? "…" : "", "is empty, too long or not UTF-8");
  for (const char *c = text; *c; c = g_utf8_next_char (c))
    if (is_control (g_utf8_get_char (c)))
      return invalid (error, "…", "holds control characters");
  if (is_number (text) || is_device (text)) {
    SptSpec *self = parse_camera (text);
    return self ? checked (self, error) : invalid (error, text, "is not a camera");
  }
  for (guint i = 0; i < G_N_ELEMENTS (schemes); i++) {
    gsize length = strlen (schemes[i].name);
    if (g_ascii_strncasecmp (text, schemes[i].name, length) != 0 || text[length] != ':')
      continue;
    if (schemes[i].trusted && !trusted) {
      g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
          "source from insecure producer: %s: is accepted from the configuration file and the "
          "command line only",
          schemes[i].name);
      return NULL;
    }
    return parse_scheme (i, text, text + length + 1, error);
  }
  g_autofree char *known = g_strjoinv (", ", (char **)spt_spec_schemes ());
  g_autofree char *why = g_strdup_printf ("has none of the known schemes (%s)", known);
  return invalid (error, text, why);
}

/* The value, "" for a key without one, NULL when absent. */
const char *
spt_spec_option (const SptSpec *self, const char *key)
{
  return g_hash_table_lookup (self->options, key);
}

/* @value becomes @fallback when the option is absent; FALSE and INVALID when it is no such number.
 */
gboolean
spt_spec_option_int (const SptSpec *self, const char *key, int fallback, int min, int max,
    int *value, GError **error)
{
  const char *text = spt_spec_option (self, key);
  gint64 number = fallback;
  if (text && !g_ascii_string_to_signed (text, 10, min, max, &number, NULL)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "source not supported: %s=%s is not a number from %d to %d", key, text, min, max);
    return FALSE;
  }
  *value = (int)number;
  return TRUE;
}

/**
 * spt_spec_size:
 *
 * The picture size asked for by `video_size=WxH`, `size=` (WxH or lines) or `width=`/`height=`; 0
 * where nothing is asked.
 */
gboolean
spt_spec_size (const SptSpec *self, int *width, int *height, GError **error)
{
  const char *text = spt_spec_option (self, "video_size");
  if (!text)
    text = spt_spec_option (self, "size");
  if (!text)
    return spt_spec_option_int (self, "width", 0, 16, 8192, width, error) &&
           spt_spec_option_int (self, "height", 0, 16, 8192, height, error);
  char *end;
  guint64 first = g_ascii_strtoull (text, &end, 10);
  guint64 second = 0;
  if (*end == 'x')
    second = g_ascii_strtoull (end + 1, &end, 10);
  else if (first && first <= 8192) {
    second = first;
    first = second * 16 / 9 & ~1ull;
  }
  if (*end || first < 16 || second < 16 || first > 16384 || second > 8192) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "source not supported: size '%s' is not WIDTHxHEIGHT, such as 1280x720", text);
    return FALSE;
  }
  *width = (int)first;
  *height = (int)second;
  return TRUE;
}

/* Frames per second by `framerate=30`, `29.97` or `30000/1001`; 0/1 when not asked. */
gboolean
spt_spec_framerate (const SptSpec *self, int *num, int *den, GError **error)
{
  const char *text = spt_spec_option (self, "framerate");
  *num = 0;
  *den = 1;
  if (!text)
    return TRUE;
  char *end;
  double rate = g_ascii_strtod (text, &end);
  double divisor = *end == '/' ? g_ascii_strtod (end + 1, &end) : 1;
  if (*end || end == text || !(divisor >= 1 && divisor < 1e6) || !(rate > 0 && rate < 1e6) ||
      !(rate / divisor <= 1000)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "source not supported: framerate '%s' is not a number of frames per second", text);
    return FALSE;
  }
  gst_video_guess_framerate ((GstClockTime)(GST_SECOND * divisor / rate), num, den);
  return TRUE;
}

/* (array zero-terminated=1): the schemes, sorted; what /api/schemes prints. */
const char *const *
spt_spec_schemes (void)
{
  static const char *names[G_N_ELEMENTS (schemes) + 1];
  for (guint i = 0; i < G_N_ELEMENTS (schemes); i++)
    names[i] = schemes[i].name;
  return names;
}
