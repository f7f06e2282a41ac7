/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The grammar of sources: `scheme:rest#key=value#key`, and the plain spellings of a camera. */
#pragma once

#include "publisher.h"
#include "types.h"

typedef enum {
  SPT_SPEC_TEST,      /* rest: climber, ball, smpte … */
  SPT_SPEC_CAMERA,    /* rest: an index or a device path */
  SPT_SPEC_RTSP,      /* rest: the URL */
  SPT_SPEC_FILE,      /* rest: an absolute path */
  SPT_SPEC_LAUNCH,    /* rest: gst-launch text */
  SPT_SPEC_PUBLISHED, /* somebody sends it to us */
} SptSpecKind;

struct _SptSpec {
  SptSpecKind kind;
  char *rest;
  SptPublisher *publisher; /* SPT_SPEC_PUBLISHED */
  GHashTable *options;     /* key → value ("" without one), from '?' (own schemes) and '#' */
};

SptSpec *spt_spec_parse (const char *text, gboolean trusted, GError **error);
SptSpec *spt_spec_new_published (SptPublisher *publisher);
SptSpec *spt_spec_ref (SptSpec *self);
void spt_spec_unref (SptSpec *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SptSpec, spt_spec_unref)

const char *spt_spec_option (const SptSpec *self, const char *key);
gboolean spt_spec_option_int (const SptSpec *self, const char *key, int fallback, int min, int max,
    int *value, GError **error);
gboolean spt_spec_size (const SptSpec *self, int *width, int *height, GError **error);
gboolean spt_spec_framerate (const SptSpec *self, int *num, int *den, GError **error);
const char *const *spt_spec_schemes (void);
