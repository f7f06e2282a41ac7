/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ISO/IEC 14496-12 (boxes), -14 (mp4a), -15 (avc1, hvc1), and the Opus-in-ISOBMFF mapping.
 *
 * Sample entries are avc1 and hvc1 and parameter sets also travel in band, which every player was
 * seen to take; so a change of resolution goes on without a new init segment. */
#include "config.h"

#include "fmp4.h"

#include <string.h>

#include "bytes.h"

/* ISO/IEC 14496-12, 8.8.3.1: sample_depends_on, sample_is_non_sync_sample */
#define FLAGS_KEYFRAME 0x02000000u
#define FLAGS_DELTA 0x01010000u

typedef GByteArray Box;

static void
put (Box *box, const void *data, gsize size)
{
  g_byte_array_append (box, data, (guint)size);
}

static void
put_uint (Box *box, guint bytes, guint64 value)
{
  guint8 out[8];
  for (guint i = 0; i < bytes; i++)
    out[i] = (guint8)(value >> (8 * (bytes - 1 - i)));
  put (box, out, bytes);
}

static void
put_zeros (Box *box, guint bytes)
{
  for (guint i = 0; i < bytes; i++)
    put_uint (box, 1, 0);
}

/* Opens a box; close_box() with the returned offset fills in its size. */
static guint
open_box (Box *box, const char *type)
{
  guint start = box->len;
  put_uint (box, 4, 0);
  put (box, type, 4);
  return start;
}

static guint
open_full (Box *box, const char *type, guint version, guint32 flags)
{
  guint start = open_box (box, type);
  put_uint (box, 4, (guint64)version << 24 | flags);
  return start;
}

static void
close_box (Box *box, guint start)
{
  spt_put_be32 (box->data + start, box->len - start);
}

static void
put_matrix (Box *box)
{
  static const guint32 unity[9] = {0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000};
  for (guint i = 0; i < 9; i++)
    put_uint (box, 4, unity[i]);
}

static void
put_bytes (Box *box, GBytes *bytes)
{
  gsize size;
  const void *data = g_bytes_get_data (bytes, &size);
  put (box, data, size);
}

static gboolean
is_video (const SptFmp4Track *track)
{
  return track->codec == SPT_FMP4_AVC || track->codec == SPT_FMP4_HEVC;
}

static void
put_ftyp (Box *box)
{
  guint ftyp = open_box (box, "ftyp");
  put (box, "iso5", 4);
  put_uint (box, 4, 512);
  put (box, "iso5iso6mp41", 12);
  close_box (box, ftyp);
}

static void
put_mvhd (Box *box, guint n)
{
  guint mvhd = open_full (box, "mvhd", 0, 0);
  put_zeros (box, 8);      /* creation, modification */
  put_uint (box, 4, 1000); /* timescale */
  put_uint (box, 4, 0);    /* duration: live */
  put_uint (box, 4, 0x10000);
  put_uint (box, 2, 0x100);
  put_zeros (box, 10);
  put_matrix (box);
  put_zeros (box, 24);
  put_uint (box, 4, n + 1);
  close_box (box, mvhd);
}

static void
put_tkhd (Box *box, const SptFmp4Track *track)
{
  guint tkhd = open_full (box, "tkhd", 0, 3); /* enabled, in movie */
  put_zeros (box, 8);
  put_uint (box, 4, track->id);
  put_zeros (box, 4 + 4 + 8 + 2 + 2);
  put_uint (box, 2, is_video (track) ? 0 : 0x100);
  put_zeros (box, 2);
  put_matrix (box);
  put_uint (box, 4, (guint64)track->width << 16);
  put_uint (box, 4, (guint64)track->height << 16);
  close_box (box, tkhd);
}

static void
put_mdhd_hdlr (Box *box, const SptFmp4Track *track)
{
  guint mdhd = open_full (box, "mdhd", 0, 0);
  put_zeros (box, 8);
  put_uint (box, 4, track->timescale);
  put_uint (box, 4, 0);
  put_uint (box, 2, 0x55c4); /* und */
  put_zeros (box, 2);
  close_box (box, mdhd);
  guint hdlr = open_full (box, "hdlr", 0, 0);
  put_zeros (box, 4);
  put (box, is_video (track) ? "vide" : "soun", 4);
  put_zeros (box, 12);
  put (box, is_video (track) ? "video" : "audio", 6);
  close_box (box, hdlr);
}

static void
put_visual_entry (Box *box, const SptFmp4Track *track)
{
  guint entry = open_box (box, track->codec == SPT_FMP4_AVC ? "avc1" : "hvc1");
  put_zeros (box, 6);
  put_uint (box, 2, 1); /* data_reference_index */
  put_zeros (box, 16);
  put_uint (box, 2, track->width);
  put_uint (box, 2, track->height);
  put_uint (box, 4, 0x480000); /* 72 dpi */
  put_uint (box, 4, 0x480000);
  put_zeros (box, 4);
  put_uint (box, 2, 1); /* frame_count */
  put_zeros (box, 32);
  put_uint (box, 2, 24);
  put_uint (box, 2, 0xffff);
  guint config = open_box (box, track->codec == SPT_FMP4_AVC ? "avcC" : "hvcC");
  put_bytes (box, track->config);
  close_box (box, config);
  close_box (box, entry);
}

/* ISO/IEC 14496-1: ES_Descriptor with one DecoderConfigDescriptor */
static void
put_esds (Box *box, const SptFmp4Track *track)
{
  guint config = track->config ? (guint)g_bytes_get_size (track->config) : 0;
  guint esds = open_full (box, "esds", 0, 0);
  put_uint (box, 1, 3);
  put_uint (box, 1, 3 + 2 + 13 + 2 + config + 3);
  put_uint (box, 2, track->id);
  put_uint (box, 1, 0);
  put_uint (box, 1, 4);
  put_uint (box, 1, 13 + 2 + config);
  put_uint (box, 1, 0x40); /* MPEG-4 audio */
  put_uint (box, 1, 0x15); /* audio stream */
  put_zeros (box, 3 + 4 + 4);
  put_uint (box, 1, 5);
  put_uint (box, 1, config);
  if (track->config)
    put_bytes (box, track->config);
  put_uint (box, 1, 6);
  put_uint (box, 1, 1);
  put_uint (box, 1, 2);
  close_box (box, esds);
}

/* The fields of OpusHead in big endian. */
static void
put_dops (Box *box, const SptFmp4Track *track)
{
  gsize size = 0;
  const guint8 *head = track->config ? g_bytes_get_data (track->config, &size) : NULL;
  gboolean known = size >= 11;
  guint dops = open_box (box, "dOps");
  put_uint (box, 1, 0);
  put_uint (box, 1, track->channels);
  put_uint (box, 2, known ? head[2] | (guint)head[3] << 8 : 312);
  put_uint (box, 4, known ? GUINT32_SWAP_LE_BE (spt_get_be32 (head + 4)) : track->rate);
  put_uint (box, 2, known ? head[8] | (guint)head[9] << 8 : 0);
  guint mapping = known ? head[10] : 0;
  put_uint (box, 1, mapping);
  if (mapping)
    put (box, head + 11, size - 11);
  close_box (box, dops);
}

static void
put_audio_entry (Box *box, const SptFmp4Track *track)
{
  gboolean aac = track->codec == SPT_FMP4_AAC;
  guint entry = open_box (box, aac ? "mp4a" : "Opus");
  put_zeros (box, 6);
  put_uint (box, 2, 1);
  put_zeros (box, 8);
  put_uint (box, 2, track->channels);
  put_uint (box, 2, 16);
  put_zeros (box, 4);
  put_uint (box, 4, track->rate < 0x10000 ? (guint64)track->rate << 16 : 0);
  if (aac)
    put_esds (box, track);
  else
    put_dops (box, track);
  close_box (box, entry);
}

static void
put_stbl (Box *box, const SptFmp4Track *track)
{
  guint stbl = open_box (box, "stbl");
  guint stsd = open_full (box, "stsd", 0, 0);
  put_uint (box, 4, 1);
  if (is_video (track))
    put_visual_entry (box, track);
  else
    put_audio_entry (box, track);
  close_box (box, stsd);
  static const struct {
    const char *type;
    guint zeros;
  } empty[] = {{"stts", 4}, {"stsc", 4}, {"stsz", 8}, {"stco", 4}};
  for (guint i = 0; i < G_N_ELEMENTS (empty); i++) {
    guint table = open_full (box, empty[i].type, 0, 0);
    put_zeros (box, empty[i].zeros);
    close_box (box, table);
  }
  close_box (box, stbl);
}

static void
put_minf (Box *box, const SptFmp4Track *track)
{
  guint minf = open_box (box, "minf");
  guint header = open_full (box, is_video (track) ? "vmhd" : "smhd", 0, is_video (track));
  put_zeros (box, is_video (track) ? 8 : 4);
  close_box (box, header);
  guint dinf = open_box (box, "dinf");
  guint dref = open_full (box, "dref", 0, 0);
  put_uint (box, 4, 1);
  close_box (box, open_full (box, "url ", 0, 1)); /* in this file */
  close_box (box, dref);
  close_box (box, dinf);
  put_stbl (box, track);
  close_box (box, minf);
}

static void
put_trak (Box *box, const SptFmp4Track *track)
{
  guint trak = open_box (box, "trak");
  put_tkhd (box, track);
  guint mdia = open_box (box, "mdia");
  put_mdhd_hdlr (box, track);
  put_minf (box, track);
  close_box (box, mdia);
  close_box (box, trak);
}

/**
 * spt_fmp4_init_segment:
 * @tracks: (array length=n)
 *
 * Returns: (transfer full): ftyp and moov
 */
GBytes *
spt_fmp4_init_segment (const SptFmp4Track *tracks, guint n)
{
  Box *box = g_byte_array_new ();
  put_ftyp (box);
  guint moov = open_box (box, "moov");
  put_mvhd (box, n);
  for (guint i = 0; i < n; i++)
    put_trak (box, &tracks[i]);
  guint mvex = open_box (box, "mvex");
  for (guint i = 0; i < n; i++) {
    guint trex = open_full (box, "trex", 0, 0);
    put_uint (box, 4, tracks[i].id);
    put_uint (box, 4, 1);
    put_zeros (box, 12);
    close_box (box, trex);
  }
  close_box (box, mvex);
  close_box (box, moov);
  return g_byte_array_free_to_bytes (box);
}

/* Where things stand in the head that spt_fmp4_head() writes. */
enum { AT_TRACK = 44, AT_TIME = 60, AT_COMPOSITION = 100, MOOF_SIZE = 104 };

static guint8 *
word (guint8 *at, guint32 value)
{
  spt_put_be32 (at, value);
  return at + 4;
}

static guint8 *
box_head (guint8 *at, guint32 size, const char *type)
{
  at = word (at, size);
  memcpy (at, type, 4);
  return at + 4;
}

/**
 * spt_fmp4_head:
 *
 * Writes moof (mfhd, traf: tfhd, tfdt, trun with one sample) and the header of mdat; the sample's
 * bytes follow it. The layout is fixed, so that a time can be changed in a copy.
 */
void
spt_fmp4_head (const SptFmp4Sample *sample, guint8 head[SPT_FMP4_HEAD_SIZE])
{
  guint8 *at = box_head (head, MOOF_SIZE, "moof");
  at = box_head (at, 16, "mfhd");
  at = word (at, 0);
  at = word (at, sample->sequence);
  at = box_head (at, MOOF_SIZE - 24, "traf");
  at = box_head (at, 16, "tfhd");
  at = word (at, 0x020000); /* default-base-is-moof */
  at = word (at, sample->track);
  at = box_head (at, 20, "tfdt");
  at = word (at, 0x01000000);
  spt_put_be64 (at, sample->decode_time);
  at = box_head (at + 8, 36, "trun");
  at = word (at, 0x01000f01); /* version 1; data offset, duration, size, flags, composition */
  at = word (at, 1);
  at = word (at, SPT_FMP4_HEAD_SIZE);
  at = word (at, sample->duration);
  at = word (at, sample->size);
  at = word (at, sample->keyframe ? FLAGS_KEYFRAME : FLAGS_DELTA);
  at = word (at, (guint32)sample->composition);
  at = box_head (at, 8 + sample->size, "mdat");
  g_assert (at == head + SPT_FMP4_HEAD_SIZE);
}

guint32
spt_fmp4_head_track (const guint8 *head)
{
  return spt_get_be32 (head + AT_TRACK);
}

guint64
spt_fmp4_head_time (const guint8 *head)
{
  return spt_get_be64 (head + AT_TIME);
}

/* Presentation minus decode time */
gint32
spt_fmp4_head_composition (const guint8 *head)
{
  return (gint32)spt_get_be32 (head + AT_COMPOSITION);
}

void
spt_fmp4_head_set_time (guint8 *head, guint64 decode_time)
{
  spt_put_be64 (head + AT_TIME, decode_time);
}
