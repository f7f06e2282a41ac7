/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* H.264 and H.265 access units in byte-stream form: what an MP4 needs of them. */
#pragma once

#include <glib.h>

typedef struct {
  gboolean hevc;
  GBytes *vps, *sps, *pps; /* the first of each kind; vps only for H.265 */
} SptNalConfig;

void spt_nal_config_clear (SptNalConfig *self);
gboolean spt_nal_config_update (SptNalConfig *self, const guint8 *data, gsize size);

gsize spt_nal_to_lengths (
    gboolean hevc, const guint8 *data, gsize size, guint8 *out, gsize out_size);
GBytes *spt_nal_decoder_config (const SptNalConfig *self);
char *spt_nal_codec_string (const SptNalConfig *self);
