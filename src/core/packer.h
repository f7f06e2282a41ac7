/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Containers that we write ourselves: units in, units of a container out, on the thread that feeds
 * them: fragmented MP4, multipart JPEG, RTP, poses. */
#pragma once

#include "types.h"

typedef struct {
  const char *name;
  /* @inputs: the tracks that will feed it; pad 0 and, when there are two, pad 1. @out gets the
   * units. */
  gpointer (*new) (SptTrack *const *inputs, guint n, SptTrack *out);
  /* Streaming threads, one at a time. */
  void (*take) (gpointer self, GstSample *unit, guint pad);
  void (*free) (gpointer self);
} SptPacker;

extern const SptPacker spt_fragments_packer;
GstBuffer *spt_fragments_header (GstCaps *caps);
void spt_fragments_rebase (guint8 *head, GstCaps *caps, gint64 *origin);
extern const SptPacker spt_multipart_packer;
extern const SptPacker spt_rtp_packer;
extern const SptPacker spt_webrtc_packer; /* smaller packets */

extern const SptPacker spt_pose_packer;

/* The boundary of multipart JPEG; clients of go2rtc know it by this name. */
#define SPT_MULTIPART_BOUNDARY "frame"
