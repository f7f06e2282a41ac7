/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* WebRTC's session descriptions: a browser's offer, read with suspicion, and our answer. Knows
 * nothing of how the media travel. */
#pragma once

#include "stream.h"

enum { SPT_RTC_VIDEO, SPT_RTC_AUDIO, SPT_RTC_LANES };
#define SPT_RTC_OFFER_MAX (64 * 1024)

typedef struct {
  const char *name; /* as in rtpmap: "H264"; static */
  guint8 pt, rtx;   /* payload types, as the offer has them; rtx 0: none */
  char profile[7];  /* H264: profile-level-id */
  guint clock_rate, channels;
} SptRtcCodec;

/* Our side of one connection. */
typedef struct {
  char *ufrag, *pwd, *fingerprint, *setup;
  guint32 ssrc[SPT_RTC_LANES], rtx_ssrc[SPT_RTC_LANES]; /* 0: none */
} SptRtcLocal;

typedef struct _SptRtcOffer SptRtcOffer;

SptRtcOffer *spt_rtc_offer_new (const char *text, gsize size, GError **error);
void spt_rtc_offer_free (SptRtcOffer *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SptRtcOffer, spt_rtc_offer_free)

void spt_rtc_offer_want (SptRtcOffer *self, SptWant *want);
gboolean spt_rtc_offer_choose (SptRtcOffer *self, guint lane, const char *name);
guint spt_rtc_offer_choose_sent (SptRtcOffer *self);
const SptRtcCodec *spt_rtc_offer_chosen (SptRtcOffer *self, guint lane);
GPtrArray *spt_rtc_offer_candidates (SptRtcOffer *self);
const char *spt_rtc_offer_ufrag (SptRtcOffer *self);
char *spt_rtc_offer_reduced (SptRtcOffer *self);
char *spt_rtc_offer_answer (SptRtcOffer *self, const SptRtcLocal *local, GPtrArray *candidates);

void spt_rtc_local_clear (SptRtcLocal *self);
char *spt_rtc_candidate_check (const char *candidate);
