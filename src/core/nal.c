/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Start codes to lengths, and decoder configuration records (ISO/IEC 14496-15, sections 5.3.3 and
 * 8.3.3) out of the parameter sets that travel in band. Everything is bounded by the sizes given:
 * what a camera sends is not trusted. */
#include "config.h"

#include "nal.h"

#include <gst/base/gstbitreader.h>
#include <string.h>

#include "bytes.h"

/* nal_unit_type: ITU-T H.264 table 7-1, H.265 table 7-1 */
enum { H264_SPS = 7, H264_PPS = 8, H264_AUD = 9 };
enum { H265_VPS = 32, H265_SPS = 33, H265_PPS = 34, H265_AUD = 35 };

typedef struct {
  const guint8 *data;
  gsize size;
  gsize position;
} Scanner;

/* The offset of the next 00 00 01 at or after @from, or size. */
static gsize
find_start (const Scanner *s, gsize from)
{
  while (from + 3 <= s->size) {
    const guint8 *one = memchr (s->data + from + 2, 1, s->size - from - 2);
    if (!one)
      break;
    gsize at = (gsize)(one - s->data) - 2;
    if (s->data[at] == 0 && s->data[at + 1] == 0)
      return at;
    from = at + 1;
  }
  return s->size;
}

/* The next NAL unit without start code and trailing zeros; FALSE at the end. */
static gboolean
next_nal (Scanner *s, const guint8 **nal, gsize *size)
{
  while (s->position < s->size) {
    gsize start = find_start (s, s->position);
    if (start == s->size)
      break;
    gsize begin = start + 3;
    gsize end = find_start (s, begin);
    s->position = end;
    while (end > begin && s->data[end - 1] == 0)
      end--;
    if (end > begin) {
      *nal = s->data + begin;
      *size = end - begin;
      return TRUE;
    }
  }
  s->position = s->size;
  return FALSE;
}

static guint
nal_type (gboolean hevc, const guint8 *nal)
{
  return hevc ? (nal[0] >> 1) & 0x3f : nal[0] & 0x1f;
}

void
spt_nal_config_clear (SptNalConfig *self)
{
  g_clear_pointer (&self->vps, g_bytes_unref);
  g_clear_pointer (&self->sps, g_bytes_unref);
  g_clear_pointer (&self->pps, g_bytes_unref);
}

static gboolean
replace (GBytes **slot, const guint8 *nal, gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (nal, size);
  if (*slot && g_bytes_equal (*slot, bytes))
    return FALSE;
  g_clear_pointer (slot, g_bytes_unref);
  *slot = g_steal_pointer (&bytes);
  return TRUE;
}

/**
 * spt_nal_config_update:
 * @data: an access unit in byte-stream form
 *
 * Takes the parameter sets out of a keyframe.
 *
 * Returns: TRUE when they are complete and differ from before
 */
gboolean
spt_nal_config_update (SptNalConfig *self, const guint8 *data, gsize size)
{
  Scanner scanner = {data, size, 0};
  const guint8 *nal;
  gsize length;
  gboolean changed = FALSE, seen_sps = FALSE, seen_pps = FALSE;
  while (next_nal (&scanner, &nal, &length)) {
    guint type = nal_type (self->hevc, nal);
    if (type == (self->hevc ? H265_SPS : H264_SPS) && length >= 4 && !seen_sps) {
      changed |= replace (&self->sps, nal, length);
      seen_sps = TRUE;
    } else if (type == (self->hevc ? H265_PPS : H264_PPS) && !seen_pps) {
      changed |= replace (&self->pps, nal, length);
      seen_pps = TRUE;
    } else if (self->hevc && type == H265_VPS) {
      changed |= replace (&self->vps, nal, length);
    }
  }
  return changed && self->sps && self->pps && (!self->hevc || self->vps);
}

/**
 * spt_nal_to_lengths:
 * @out: (nullable): NULL only counts
 *
 * Rewrites start codes as 4-byte lengths and leaves out access unit delimiters, which have no place
 * in an MP4 sample.
 *
 * Returns: the bytes written, or needed
 */
gsize
spt_nal_to_lengths (gboolean hevc, const guint8 *data, gsize size, guint8 *out, gsize out_size)
{
  Scanner scanner = {data, size, 0};
  const guint8 *nal;
  gsize length, total = 0;
  while (next_nal (&scanner, &nal, &length)) {
    if (nal_type (hevc, nal) == (hevc ? H265_AUD : H264_AUD))
      continue;
    if (out) {
      if (total + 4 + length > out_size)
        break;
      spt_put_be32 (out + total, length);
      memcpy (out + total + 4, nal, length);
    }
    total += 4 + length;
  }
  return total;
}

static void
put16 (GByteArray *array, guint value)
{
  guint8 bytes[2] = {(guint8)(value >> 8), (guint8)value};
  g_byte_array_append (array, bytes, 2);
}

static void
put8 (GByteArray *array, guint value)
{
  guint8 byte = (guint8)value;
  g_byte_array_append (array, &byte, 1);
}

static void
put_set (GByteArray *array, GBytes *set)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (set, &size);
  put16 (array, (guint)MIN (size, 0xffff));
  g_byte_array_append (array, data, (guint)MIN (size, 0xffff));
}

/* The payload without emulation prevention bytes (00 00 03 → 00 00). */
static GByteArray *
unescape (GBytes *nal)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (nal, &size);
  GByteArray *out = g_byte_array_sized_new ((guint)size);
  for (gsize i = 0; i < size; i++)
    if (!(i >= 2 && data[i] == 3 && data[i - 1] == 0 && data[i - 2] == 0))
      put8 (out, data[i]);
  return out;
}

static guint
exp_golomb (GstBitReader *reader)
{
  guint zeros = 0;
  guint8 bit = 0;
  guint32 rest = 0;
  while (gst_bit_reader_get_bits_uint8 (reader, &bit, 1) && !bit && zeros < 31)
    zeros++;
  if (zeros && !gst_bit_reader_get_bits_uint32 (reader, &rest, zeros))
    return 0;
  return (1u << zeros) - 1 + rest;
}

/* chroma_format_idc and bit depths out of an H.265 SPS (section 7.3.2.2.1). */
static void
h265_formats (GByteArray *sps, guint *chroma, guint *luma_depth, guint *chroma_depth)
{
  *chroma = 1;
  *luma_depth = *chroma_depth = 0;
  if (sps->len < 16)
    return;
  GstBitReader reader;
  gst_bit_reader_init (&reader, sps->data, sps->len);
  guint sub_layers = (sps->data[2] >> 1) & 7;
  gst_bit_reader_skip (&reader, 16 + 8 + 96); /* header, sps_video_parameter_set_id…, general PTL */
  guint8 profile[8] = {0}, level[8] = {0};
  for (guint i = 0; i < sub_layers; i++) {
    gst_bit_reader_get_bits_uint8 (&reader, &profile[i], 1);
    gst_bit_reader_get_bits_uint8 (&reader, &level[i], 1);
  }
  if (sub_layers)
    gst_bit_reader_skip (&reader, 2 * (8 - sub_layers));
  for (guint i = 0; i < sub_layers; i++)
    gst_bit_reader_skip (&reader, (profile[i] ? 88u : 0u) + (level[i] ? 8u : 0u));
  exp_golomb (&reader); /* sps_seq_parameter_set_id */
  *chroma = exp_golomb (&reader);
  guint8 flag = 0;
  if (*chroma == 3)
    gst_bit_reader_skip (&reader, 1);
  exp_golomb (&reader); /* width */
  exp_golomb (&reader); /* height */
  if (gst_bit_reader_get_bits_uint8 (&reader, &flag, 1) && flag)
    for (guint i = 0; i < 4; i++)
      exp_golomb (&reader);
  *luma_depth = exp_golomb (&reader) & 7;
  *chroma_depth = exp_golomb (&reader) & 7;
}

static GByteArray *
avcc (const SptNalConfig *self)
{
  const guint8 *sps = g_bytes_get_data (self->sps, NULL);
  GByteArray *out = g_byte_array_new ();
  put8 (out, 1);
  g_byte_array_append (out, sps + 1, 3); /* profile, compatibility, level */
  put8 (out, 0xff);                      /* lengths have 4 bytes */
  put8 (out, 0xe1);
  put_set (out, self->sps);
  put8 (out, 1);
  put_set (out, self->pps);
  if (sps[1] == 100 || sps[1] == 110 || sps[1] == 122 || sps[1] == 144) {
    put8 (out, 0xfd); /* 4:2:0; other formats are transcoded before they come here */
    put8 (out, 0xf8);
    put8 (out, 0xf8);
    put8 (out, 0);
  }
  return out;
}

static GByteArray *
hvcc (const SptNalConfig *self)
{
  g_autoptr (GByteArray) sps = unescape (self->sps);
  guint8 general[12] = {0}; /* profile space/tier/idc, compatibility, constraints, level */
  if (sps->len >= 15)
    memcpy (general, sps->data + 3, 12);
  guint chroma, luma_depth, chroma_depth;
  h265_formats (sps, &chroma, &luma_depth, &chroma_depth);
  GByteArray *out = g_byte_array_new ();
  put8 (out, 1);
  g_byte_array_append (out, general, 12);
  put16 (out, 0xf000); /* min_spatial_segmentation_idc unknown */
  put8 (out, 0xfc);    /* parallelismType unknown */
  put8 (out, 0xfc | (chroma & 3));
  put8 (out, 0xf8 | luma_depth);
  put8 (out, 0xf8 | chroma_depth);
  put16 (out, 0); /* avgFrameRate unknown */
  put8 (out, 0x0f | (sps->len > 2 ? ((((guint)sps->data[2] >> 1) & 7) + 1) << 3 : 0));
  put8 (out, 3);
  GBytes *const sets[] = {self->vps, self->sps, self->pps};
  for (guint i = 0; i < 3; i++) {
    put8 (out, H265_VPS + i);
    put16 (out, 1);
    put_set (out, sets[i]);
  }
  return out;
}

/**
 * spt_nal_decoder_config:
 * @self: complete (spt_nal_config_update() has returned TRUE once)
 *
 * Returns: (transfer full): the avcC or hvcC record
 */
GBytes *
spt_nal_decoder_config (const SptNalConfig *self)
{
  return g_byte_array_free_to_bytes (self->hevc ? hvcc (self) : avcc (self));
}

/**
 * spt_nal_codec_string:
 *
 * Returns: (transfer full): RFC 6381, such as avc1.64001F or hvc1.1.6.L93.B0
 */
char *
spt_nal_codec_string (const SptNalConfig *self)
{
  g_autoptr (GByteArray) sps = unescape (self->sps);
  if (!self->hevc)
    return g_strdup_printf ("avc1.%02X%02X%02X", sps->data[1], sps->data[2], sps->data[3]);
  if (sps->len < 15)
    return g_strdup ("hvc1");
  const guint8 *p = sps->data + 3;
  guint32 compatibility = spt_get_be32 (p + 1), reversed = 0;
  for (guint i = 0; i < 32; i++)
    reversed |= ((compatibility >> i) & 1u) << (31 - i);
  static const char *const spaces[] = {"", "A", "B", "C"};
  GString *text = g_string_new (NULL);
  g_string_printf (text, "hvc1.%s%u.%X.%c%u", spaces[p[0] >> 6], p[0] & 0x1f, reversed,
      p[0] & 0x20 ? 'H' : 'L', p[11]);
  guint last = 6;
  while (last && !p[4 + last])
    last--;
  for (guint i = 1; i <= last; i++)
    g_string_append_printf (text, ".%X", p[4 + i]);
  return g_string_free (text, FALSE);
}
