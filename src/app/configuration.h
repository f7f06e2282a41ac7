/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration of a running server: read at the start, again when it has changed, and checked
 * before it replaces the file. Main context. */
#pragma once

#include "config-file.h"
#include "store.h"
#include "streams.h"

typedef struct {
  char **configs;     /* of -c, in order; (nullable) */
  const char *listen; /* (nullable): overrides api.listen */
  gboolean no_file;   /* without -c no file is looked for */
} SptConfigurationHow;

typedef struct _SptConfiguration SptConfiguration;

SptConfiguration *spt_configuration_new (
    const SptConfigurationHow *how, SptSettings *(*declare) (void), GError **error);
void spt_configuration_free (SptConfiguration *self);

SptSettings *spt_configuration_get_settings (SptConfiguration *self);
const char *spt_configuration_get_path (SptConfiguration *self);
gboolean spt_configuration_has_stream (SptConfiguration *self, const char *name);

gboolean spt_configuration_apply (
    SptConfiguration *self, SptStreams *streams, SptStore *store, GError **error);
char **spt_configuration_reload (SptConfiguration *self, GError **error);
SptConfig *spt_configuration_check (
    SptConfiguration *self, const char *text, gboolean trusted, GError **error);
