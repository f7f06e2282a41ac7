/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Of an offer only what we know and have checked is kept, word by word; what reaches the transport
 * (spt_rtc_offer_reduced()) and the answer are written anew from that. RFC 8829, RFC 8839. */
#include "config.h"

#include "rtc-sdp.h"

#include <gst/sdp/sdp.h>
#include <string.h>

#include "error.h"

#define MEDIA_MAX 4
#define CANDIDATES_MAX 16
#define CANDIDATE_MAX 256
#define NO_MEDIA (-1)

/* What we can send or take; the first that is offered is taken from a publisher. */
static const struct {
  const char *name, *caps;
  guint lane, clock_rate, channels;
} codecs[] = {
    {"H264", "video/x-h264", 0, 90000, 0},
    {"VP8", "video/x-vp8", 0, 90000, 0},
    {"VP9", "video/x-vp9", 0, 90000, 0},
    {"OPUS", "audio/x-opus", 1, 48000, 2},
    {"PCMU", "audio/x-mulaw", 1, 8000, 1},
    {"PCMA", "audio/x-alaw", 1, 8000, 1},
};

/* Best first; the level is the encoder's affair. */
static const char *const h264_profiles[] = {"64", "4d", "42e0", "42"};

typedef struct {
  char *kind, *proto, *format, *mid;
  gboolean sends, receives; /* the peer */
  GArray *codecs;           /* of SptRtcCodec, each name once */
  int chosen;               /* index of it, or -1 */
} Media;

struct _SptRtcOffer {
  guint n;
  Media media[MEDIA_MAX];
  int lanes[SPT_RTC_LANES]; /* index of the media, or NO_MEDIA */
  gboolean bundle;
  char *ufrag, *pwd, *fingerprint;
  const char *setup;     /* the part that the peer plays */
  GPtrArray *candidates; /* of char* */
};

/* ---- words -------------------------------------------------------------------------------- */

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define ICE_CHARS ALNUM "+/"
#define TOKEN_CHARS ALNUM "!#$%&'*+-.^_`{|}~"

static gboolean
is_made_of (const char *word, const char *chars, gsize min, gsize max)
{
  gsize length = word ? strlen (word) : 0;
  return length >= min && length <= max && strspn (word, chars) == length;
}

/* "sha-256" and 32 pairs of digits */
static gboolean
is_fingerprint (const char *word)
{
  static const char sha[] = "sha-256 ";
  const gsize digits = 32 * 3 - 1;
  if (!word || g_ascii_strncasecmp (word, sha, strlen (sha)) != 0 ||
      strlen (word) != strlen (sha) + digits)
    return FALSE;
  word += strlen (sha);
  for (gsize i = 0; i < digits; i++)
    if (i % 3 == 2 ? word[i] != ':' : !g_ascii_isxdigit (word[i]))
      return FALSE;
  return TRUE;
}

/* The attribute of the media, or else of the session. */
static const char *
attribute (const GstSDPMessage *sdp, const GstSDPMedia *media, const char *name)
{
  const char *value = media ? gst_sdp_media_get_attribute_val (media, name) : NULL;
  return value ? value : gst_sdp_message_get_attribute_val (sdp, name);
}

/* ---- reading codecs ----------------------------------------------------------------------- */

static guint
profile_rank (const char *profile)
{
  for (guint i = 0; i < G_N_ELEMENTS (h264_profiles); i++)
    if (g_ascii_strncasecmp (profile, h264_profiles[i], strlen (h264_profiles[i])) == 0)
      return i;
  return G_N_ELEMENTS (h264_profiles);
}

/* (transfer full) (nullable): the value of `key` in the fmtp attribute of a payload type */
static char *
format_parameter (const GstSDPMedia *media, guint pt, const char *key)
{
  for (guint i = 0;; i++) {
    const char *value = gst_sdp_media_get_attribute_val_n (media, "fmtp", i);
    char *rest;
    if (!value)
      return NULL;
    if (g_ascii_strtoull (value, &rest, 10) != pt || *rest != ' ')
      continue;
    g_auto (GStrv) pairs = g_strsplit (rest + 1, ";", 32);
    for (char **pair = pairs; *pair; pair++) {
      char *word = g_strstrip (*pair);
      gsize length = strlen (key);
      if (g_ascii_strncasecmp (word, key, length) == 0 && word[length] == '=')
        return g_strdup (word + length + 1);
    }
  }
}

/* The payload type in which lost packets of `pt` are sent again (RFC 4588); 0: none */
static guint8
find_rtx (const GstSDPMedia *media, guint pt)
{
  for (guint i = 0; i < gst_sdp_media_formats_len (media); i++) {
    guint64 other = g_ascii_strtoull (gst_sdp_media_get_format (media, i), NULL, 10);
    g_autofree char *apt = other < 128 ? format_parameter (media, (guint)other, "apt") : NULL;
    if (apt && g_ascii_strtoull (apt, NULL, 10) == pt)
      return (guint8)other;
  }
  return 0;
}

/* FALSE: a variant that we do not send */
static gboolean
read_parameters (const GstSDPMedia *media, SptRtcCodec *codec)
{
  if (g_str_equal (codec->name, "VP9")) {
    g_autofree char *profile = format_parameter (media, codec->pt, "profile-id");
    return !profile || g_str_equal (profile, "0");
  }
  if (!g_str_equal (codec->name, "H264"))
    return TRUE;
  g_autofree char *mode = format_parameter (media, codec->pt, "packetization-mode");
  g_autofree char *profile = format_parameter (media, codec->pt, "profile-level-id");
  if (g_strcmp0 (mode, "1") != 0)
    return FALSE;
  if (profile && is_made_of (profile, "0123456789abcdefABCDEF", 6, 6))
    g_strlcpy (codec->profile, profile, sizeof codec->profile);
  else
    g_strlcpy (codec->profile, "42e01f", sizeof codec->profile);
  return profile_rank (codec->profile) < G_N_ELEMENTS (h264_profiles);
}

static void
keep_codec (Media *self, const SptRtcCodec *codec)
{
  for (guint i = 0; i < self->codecs->len; i++) {
    SptRtcCodec *known = &g_array_index (self->codecs, SptRtcCodec, i);
    if (known->name != codec->name)
      continue;
    if (profile_rank (codec->profile) < profile_rank (known->profile))
      *known = *codec;
    return;
  }
  g_array_append_val (self->codecs, *codec);
}

static void
read_codec (Media *self, const GstSDPMedia *media, guint lane, guint pt, const char *map)
{
  for (guint i = 0; i < G_N_ELEMENTS (codecs); i++) {
    gsize length = strlen (codecs[i].name);
    if (codecs[i].lane != lane || g_ascii_strncasecmp (map, codecs[i].name, length) != 0 ||
        map[length] != '/' || g_ascii_strtoull (map + length + 1, NULL, 10) != codecs[i].clock_rate)
      continue;
    SptRtcCodec codec = {.name = codecs[i].name,
        .pt = (guint8)pt,
        .clock_rate = codecs[i].clock_rate,
        .channels = codecs[i].channels};
    if (!read_parameters (media, &codec))
      continue;
    codec.rtx = lane == 0 ? find_rtx (media, pt) : 0;
    keep_codec (self, &codec);
  }
}

static void
read_codecs (Media *self, const GstSDPMedia *media, guint lane)
{
  for (guint i = 0; i < gst_sdp_media_formats_len (media); i++) {
    const char *format = gst_sdp_media_get_format (media, i);
    guint64 pt;
    if (!g_ascii_string_to_unsigned (format, 10, 0, 127, &pt, NULL))
      continue;
    const char *map = pt == 0 ? "PCMU/8000" : pt == 8 ? "PCMA/8000" : NULL; /* RFC 3551, 6 */
    for (guint k = 0; !map; k++) {
      const char *value = gst_sdp_media_get_attribute_val_n (media, "rtpmap", k);
      char *rest = NULL;
      if (!value)
        break;
      if (g_ascii_strtoull (value, &rest, 10) == pt && *rest == ' ')
        map = rest + 1;
    }
    if (map)
      read_codec (self, media, lane, (guint)pt, map);
  }
}

/* ---- reading the offer -------------------------------------------------------------------- */

static gboolean
has_flag (const GstSDPMessage *sdp, const GstSDPMedia *media, const char *name)
{
  return attribute (sdp, media, name) != NULL;
}

static void
read_direction (Media *self, const GstSDPMessage *sdp, const GstSDPMedia *media)
{
  gboolean inactive = has_flag (sdp, media, "inactive");
  self->sends = !inactive && !has_flag (sdp, media, "recvonly");
  self->receives = !inactive && !has_flag (sdp, media, "sendonly");
}

static void
read_candidates (SptRtcOffer *self, const GstSDPMedia *media)
{
  for (guint i = 0; self->candidates->len < CANDIDATES_MAX; i++) {
    const char *value = gst_sdp_media_get_attribute_val_n (media, "candidate", i);
    if (!value)
      return;
    g_autofree char *text = g_strconcat ("candidate:", value, NULL);
    char *candidate = spt_rtc_candidate_check (text);
    if (candidate)
      g_ptr_array_add (self->candidates, candidate);
  }
}

static gboolean
read_media (SptRtcOffer *self, const GstSDPMessage *sdp, const GstSDPMedia *media, GError **error)
{
  Media *m = &self->media[self->n++];
  const char *mid = gst_sdp_media_get_attribute_val (media, "mid");
  const char *kind = gst_sdp_media_get_media (media);
  m->codecs = g_array_new (FALSE, FALSE, sizeof (SptRtcCodec));
  m->chosen = -1;
  m->kind = g_strdup (kind);
  m->proto = g_strdup (gst_sdp_media_get_proto (media));
  m->format = g_strdup (gst_sdp_media_get_format (media, 0));
  m->mid = g_strdup (mid);
  if (!is_made_of (m->kind, TOKEN_CHARS, 1, 32) || !is_made_of (m->proto, TOKEN_CHARS "/", 1, 32) ||
      !is_made_of (m->format, TOKEN_CHARS, 1, 32) || !is_made_of (m->mid, TOKEN_CHARS, 1, 32)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "the offer's media %u have no mid, protocol or format that can be read", self->n);
    return FALSE;
  }
  guint lane = g_str_equal (kind, "video") ? 0 : g_str_equal (kind, "audio") ? 1 : SPT_RTC_LANES;
  read_candidates (self, media);
  if (lane == SPT_RTC_LANES || self->lanes[lane] != NO_MEDIA || !gst_sdp_media_get_port (media) ||
      !strstr (m->proto, "RTP/SAVP"))
    return TRUE;
  read_direction (m, sdp, media);
  read_codecs (m, media, lane);
  self->lanes[lane] = (int)self->n - 1;
  return TRUE;
}

static gboolean
read_transport (SptRtcOffer *self, const GstSDPMessage *sdp, GError **error)
{
  const GstSDPMedia *first = gst_sdp_message_get_media (sdp, 0);
  const char *setup = attribute (sdp, first, "setup");
  const char *group = gst_sdp_message_get_attribute_val (sdp, "group");
  self->ufrag = g_strdup (attribute (sdp, first, "ice-ufrag"));
  self->pwd = g_strdup (attribute (sdp, first, "ice-pwd"));
  self->fingerprint = g_strdup (attribute (sdp, first, "fingerprint"));
  self->bundle = group && g_str_has_prefix (group, "BUNDLE ");
  /* Who has the choice begins the handshake: browsers repeat a lost hello sooner than we do. */
  self->setup = setup && g_str_equal (setup, "passive") ? "passive" : "active";
  if (!is_made_of (self->ufrag, ICE_CHARS, 4, 256) || !is_made_of (self->pwd, ICE_CHARS, 22, 256))
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "the offer has no ice-ufrag and ice-pwd");
  else if (!is_fingerprint (self->fingerprint))
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "the offer has no fingerprint of a certificate (sha-256)");
  else
    return TRUE;
  return FALSE;
}

static gboolean
read_offer (SptRtcOffer *self, const GstSDPMessage *sdp, GError **error)
{
  guint n = gst_sdp_message_medias_len (sdp);
  if (n == 0 || n > MEDIA_MAX) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "the offer has %u media; one to %u can be answered", n, MEDIA_MAX);
    return FALSE;
  }
  for (guint i = 0; i < n; i++)
    if (!read_media (self, sdp, gst_sdp_message_get_media (sdp, i), error))
      return FALSE;
  for (guint i = 0; i < n; i++)
    for (guint k = 0; k < i; k++)
      if (g_str_equal (self->media[i].mid, self->media[k].mid)) {
        g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "two media of the offer have one mid");
        return FALSE;
      }
  return read_transport (self, sdp, error);
}

/**
 * spt_rtc_offer_new:
 *
 * Returns: (transfer full): or NULL and INVALID with a sentence
 */
SptRtcOffer *
spt_rtc_offer_new (const char *text, gsize size, GError **error)
{
  g_autoptr (SptRtcOffer) self = g_new0 (SptRtcOffer, 1);
  GstSDPMessage *sdp;
  self->candidates = g_ptr_array_new_with_free_func (g_free);
  self->lanes[0] = self->lanes[1] = NO_MEDIA;
  if (!size || size > SPT_RTC_OFFER_MAX || memchr (text, 0, size) ||
      !g_utf8_validate (text, (gssize)size, NULL)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "the offer is no text of 1 to %u bytes",
        SPT_RTC_OFFER_MAX);
    return NULL;
  }
  gst_sdp_message_new (&sdp);
  gboolean read =
      gst_sdp_message_parse_buffer ((const guint8 *)text, (guint)size, sdp) == GST_SDP_OK;
  if (!read)
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "the offer is no session description");
  gboolean ok = read && read_offer (self, sdp, error);
  gst_sdp_message_free (sdp);
  return ok ? g_steal_pointer (&self) : NULL;
}

void
spt_rtc_offer_free (SptRtcOffer *self)
{
  for (guint i = 0; i < self->n; i++) {
    Media *m = &self->media[i];
    g_free (m->kind);
    g_free (m->proto);
    g_free (m->format);
    g_free (m->mid);
    g_array_unref (m->codecs);
  }
  g_ptr_array_unref (self->candidates);
  g_free (self->ufrag);
  g_free (self->pwd);
  g_free (self->fingerprint);
  g_free (self);
}

/* ---- choosing ----------------------------------------------------------------------------- */

static Media *
lane_media (SptRtcOffer *self, guint lane)
{
  return self->lanes[lane] == NO_MEDIA ? NULL : &self->media[self->lanes[lane]];
}

/**
 * spt_rtc_offer_want:
 * @want: (out): its caps are to be freed
 *
 * What the peer can receive.
 */
void
spt_rtc_offer_want (SptRtcOffer *self, SptWant *want)
{
  GstCaps *caps[SPT_RTC_LANES] = {gst_caps_new_empty (), gst_caps_new_empty ()};
  for (guint lane = 0; lane < SPT_RTC_LANES; lane++) {
    const Media *m = lane_media (self, lane);
    for (guint i = 0; m && m->receives && i < m->codecs->len; i++)
      for (guint k = 0; k < G_N_ELEMENTS (codecs); k++)
        if (codecs[k].name == g_array_index (m->codecs, SptRtcCodec, i).name)
          gst_caps_append (caps[lane], gst_caps_from_string (codecs[k].caps));
  }
  want->no_video = gst_caps_is_empty (caps[0]);
  /* Without BUNDLE each medium would need a port of its own: the picture alone, then. */
  want->no_audio = gst_caps_is_empty (caps[1]) || (!self->bundle && !want->no_video);
  want->video = caps[0];
  want->audio = caps[1];
}

/* @name: as in rtpmap, in any case. FALSE: it was not offered, or @lane was not */
gboolean
spt_rtc_offer_choose (SptRtcOffer *self, guint lane, const char *name)
{
  Media *m = lane_media (self, lane);
  for (guint i = 0; m && i < m->codecs->len; i++)
    if (g_ascii_strcasecmp (g_array_index (m->codecs, SptRtcCodec, i).name, name) == 0) {
      m->chosen = (int)i;
      return TRUE;
    }
  return FALSE;
}

/* Of what the peer sends, takes the codecs that we like best; how many lanes there are. */
guint
spt_rtc_offer_choose_sent (SptRtcOffer *self)
{
  guint n = 0;
  for (guint lane = 0; lane < SPT_RTC_LANES; lane++) {
    Media *m = lane_media (self, lane);
    if (!m || !m->sends || (n && !self->bundle))
      continue;
    for (guint i = 0; m->chosen < 0 && i < G_N_ELEMENTS (codecs); i++)
      if (codecs[i].lane == lane)
        spt_rtc_offer_choose (self, lane, codecs[i].name);
    n += m->chosen >= 0;
  }
  return n;
}

static const SptRtcCodec *
media_chosen (const Media *m)
{
  return m->chosen < 0 ? NULL : &g_array_index (m->codecs, SptRtcCodec, (guint)m->chosen);
}

/* (nullable) */
const SptRtcCodec *
spt_rtc_offer_chosen (SptRtcOffer *self, guint lane)
{
  Media *m = lane_media (self, lane);
  return m ? media_chosen (m) : NULL;
}

/* (transfer none) (element-type utf8): those in the offer, checked */
GPtrArray *
spt_rtc_offer_candidates (SptRtcOffer *self)
{
  return self->candidates;
}

/* Of the peer; a change of it would be an ICE restart. */
const char *
spt_rtc_offer_ufrag (SptRtcOffer *self)
{
  return self->ufrag;
}

/* ---- writing ------------------------------------------------------------------------------ */

#define HEAD "v=0\r\no=- %" G_GINT64_FORMAT " 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"

static void
put_group (SptRtcOffer *self, GString *text)
{
  if (!self->bundle)
    return;
  g_string_append (text, "a=group:BUNDLE");
  for (guint i = 0; i < self->n; i++)
    if (self->media[i].chosen >= 0)
      g_string_append_printf (text, " %s", self->media[i].mid);
  g_string_append (text, "\r\n");
}

/* The m line and what both sides say of it in the same words. */
static void
put_media (const Media *m, const SptRtcCodec *codec, const char *direction, GString *text)
{
  g_autofree char *rtx = codec->rtx ? g_strdup_printf (" %u", codec->rtx) : g_strdup ("");
  g_string_append_printf (text, "m=%s 9 UDP/TLS/RTP/SAVPF %u%s\r\n", m->kind, codec->pt, rtx);
  g_string_append_printf (
      text, "c=IN IP4 0.0.0.0\r\na=mid:%s\r\na=%s\r\na=rtcp-mux\r\n", m->mid, direction);
  g_string_append_printf (text, "a=rtpmap:%u %s/%u", codec->pt, codec->name, codec->clock_rate);
  g_string_append (text, codec->channels == 2 ? "/2\r\n" : "\r\n");
  if (*codec->profile)
    g_string_append_printf (text,
        "a=fmtp:%u level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=%s\r\n",
        codec->pt, codec->profile);
  if (g_str_equal (codec->name, "OPUS"))
    g_string_append_printf (text, "a=fmtp:%u minptime=10;useinbandfec=1\r\n", codec->pt);
  if (codec->clock_rate == 90000)
    g_string_append_printf (text,
        "a=rtcp-fb:%u nack\r\na=rtcp-fb:%u nack pli\r\na=rtcp-fb:%u ccm fir\r\n", codec->pt,
        codec->pt, codec->pt);
  if (codec->rtx)
    g_string_append_printf (text, "a=rtpmap:%u rtx/%u\r\na=fmtp:%u apt=%u\r\n", codec->rtx,
        codec->clock_rate, codec->rtx, codec->pt);
}

static void
put_transport (
    GString *text, const char *ufrag, const char *pwd, const char *fingerprint, const char *setup)
{
  g_string_append_printf (text,
      "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:%s\r\na=setup:%s\r\n", ufrag, pwd,
      fingerprint, setup);
}

/**
 * spt_rtc_offer_reduced:
 *
 * Returns: (transfer full): the offer as a transport may read it: of the chosen codecs alone
 */
char *
spt_rtc_offer_reduced (SptRtcOffer *self)
{
  GString *text = g_string_new (NULL);
  g_string_append_printf (text, HEAD, g_get_real_time ());
  put_group (self, text);
  for (guint i = 0; i < self->n; i++) {
    const Media *m = &self->media[i];
    const SptRtcCodec *codec = media_chosen (m);
    if (!codec)
      continue;
    const char *direction = m->sends && m->receives ? "sendrecv"
                            : m->sends              ? "sendonly"
                                                    : "recvonly";
    put_media (m, codec, direction, text);
    put_transport (text, self->ufrag, self->pwd, self->fingerprint, self->setup);
  }
  return g_string_free (text, FALSE);
}

static void
put_ssrcs (GString *text, const SptRtcLocal *local, guint lane)
{
  guint32 ssrc = local->ssrc[lane], rtx = local->rtx_ssrc[lane];
  g_string_append_printf (text, "a=msid:spotter %s\r\n", lane ? "sound" : "picture");
  if (rtx)
    g_string_append_printf (text, "a=ssrc-group:FID %u %u\r\n", ssrc, rtx);
  for (guint i = 0; i < 2; i++)
    if (i ? rtx : ssrc)
      g_string_append_printf (text, "a=ssrc:%u cname:spotter\r\na=ssrc:%u msid:spotter %s\r\n",
          i ? rtx : ssrc, i ? rtx : ssrc, lane ? "sound" : "picture");
}

/**
 * spt_rtc_offer_answer:
 * @candidates: (element-type utf8) (nullable): all there are; NULL: they will follow
 *
 * Returns: (transfer full): the answer, with every medium of the offer in its place
 */
char *
spt_rtc_offer_answer (SptRtcOffer *self, const SptRtcLocal *local, GPtrArray *candidates)
{
  GString *text = g_string_new (NULL);
  gboolean told = FALSE;
  g_string_append_printf (text, HEAD, g_get_real_time ());
  put_group (self, text);
  g_string_append (text, "a=ice-options:trickle\r\na=msid-semantic: WMS spotter\r\n");
  for (guint i = 0; i < self->n; i++) {
    const Media *m = &self->media[i];
    const SptRtcCodec *codec = media_chosen (m);
    if (!codec) {
      g_string_append_printf (text,
          "m=%s 0 %s %s\r\nc=IN IP4 0.0.0.0\r\na=mid:%s\r\na=inactive\r\n", m->kind, m->proto,
          m->format, m->mid);
      continue;
    }
    guint lane = self->lanes[1] == (int)i;
    put_media (m, codec, local->ssrc[lane] ? "sendonly" : "recvonly", text);
    put_transport (text, local->ufrag, local->pwd, local->fingerprint, local->setup);
    if (local->ssrc[lane])
      put_ssrcs (text, local, lane);
    for (guint k = 0; candidates && !told && k < candidates->len; k++)
      g_string_append_printf (text, "a=%s\r\n", (char *)g_ptr_array_index (candidates, k));
    if (candidates && !told)
      g_string_append (text, "a=end-of-candidates\r\n");
    told = TRUE;
  }
  return g_string_free (text, FALSE);
}

void
spt_rtc_local_clear (SptRtcLocal *self)
{
  g_clear_pointer (&self->ufrag, g_free);
  g_clear_pointer (&self->pwd, g_free);
  g_clear_pointer (&self->fingerprint, g_free);
  g_clear_pointer (&self->setup, g_free);
}

/**
 * spt_rtc_candidate_check:
 * @candidate: "candidate:1 1 udp 2122 192.0.2.1 5000 typ host …"
 *
 * Returns: (transfer full) (nullable): the words of it that we know; NULL for what is none, and for
 *   names instead of addresses: nobody makes us look up names
 */
char *
spt_rtc_candidate_check (const char *candidate)
{
  static const char *const types[] = {"host", "srflx", "prflx", "relay", NULL};
  static const char *const tcp_types[] = {"active", "passive", "so", NULL};
  guint64 component, priority, port;
  if (strlen (candidate) > CANDIDATE_MAX || !g_str_has_prefix (candidate, "candidate:"))
    return NULL;
  g_auto (GStrv) words = g_strsplit (candidate + strlen ("candidate:"), " ", 32);
  if (g_strv_length (words) < 8 || !is_made_of (words[0], ICE_CHARS, 1, 32) ||
      !g_ascii_string_to_unsigned (words[1], 10, 1, 1, &component, NULL) ||
      !g_ascii_string_to_unsigned (words[3], 10, 1, G_MAXUINT32, &priority, NULL) ||
      !g_ascii_string_to_unsigned (words[5], 10, 0, 65535, &port, NULL) ||
      !g_str_equal (words[6], "typ") || !g_strv_contains (types, words[7]))
    return NULL;
  gboolean udp = g_ascii_strcasecmp (words[2], "udp") == 0;
  gboolean tcp = g_ascii_strcasecmp (words[2], "tcp") == 0;
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (words[4]);
  if (!address || (!udp && !tcp))
    return NULL;
  const char *tcp_type = NULL;
  for (guint i = 8; tcp && words[i] && words[i + 1]; i += 2)
    if (g_str_equal (words[i], "tcptype") && g_strv_contains (tcp_types, words[i + 1]))
      tcp_type = words[i + 1];
  if (tcp && !tcp_type)
    return NULL;
  g_autofree char *plain = g_inet_address_to_string (address);
  return g_strdup_printf ("candidate:%s 1 %s %" G_GUINT64_FORMAT " %s %" G_GUINT64_FORMAT
                          " typ %s%s%s",
      words[0], udp ? "udp" : "tcp", priority, plain, port, words[7], tcp ? " tcptype " : "",
      tcp ? tcp_type : "");
}
