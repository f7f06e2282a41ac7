/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Boxes of a live fragmented MP4: the init segment, and one moof+mdat per sample. Pure. */
#pragma once

#include <glib.h>

typedef enum {
  SPT_FMP4_AVC,
  SPT_FMP4_HEVC,
  SPT_FMP4_AAC,
  SPT_FMP4_OPUS,
} SptFmp4Codec;

typedef struct {
  SptFmp4Codec codec;
  guint32 id;           /* 1 … */
  guint32 timescale;    /* units per second */
  guint width, height;  /* video */
  guint rate, channels; /* audio */
  GBytes *config;       /* avcC, hvcC, AudioSpecificConfig, OpusHead after its magic (nullable) */
} SptFmp4Track;

typedef struct {
  guint32 track, sequence;
  guint64 decode_time; /* in the track's timescale */
  guint32 duration;
  gint32 composition; /* presentation minus decode time */
  gboolean keyframe;
  guint32 size; /* of the sample that follows */
} SptFmp4Sample;

/* The size of what stands before a sample: moof and the header of mdat. */
#define SPT_FMP4_HEAD_SIZE 112

GBytes *spt_fmp4_init_segment (const SptFmp4Track *tracks, guint n);
void spt_fmp4_head (const SptFmp4Sample *sample, guint8 head[SPT_FMP4_HEAD_SIZE]);
guint32 spt_fmp4_head_track (const guint8 *head);
guint64 spt_fmp4_head_time (const guint8 *head);
gint32 spt_fmp4_head_composition (const guint8 *head);
void spt_fmp4_head_set_time (guint8 *head, guint64 decode_time);
