/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration: YAML files, inline YAML and key=value, read into settings and a list of
 * streams. */
#pragma once

#include <gst/gst.h>

#include "settings.h"

typedef struct {
  char *name;
  char **sources;
  GstStructure *pose; /* (nullable): options of its pose, as texts */
} SptConfigStream;

typedef struct {
  SptSettings *settings;
  GPtrArray *streams;  /* of SptConfigStream, in order; a later one of the same name wins */
  GPtrArray *warnings; /* of char: "FILE:LINE: …" */
  char *path;          /* (nullable): the first file */
} SptConfig;

SptConfig *spt_config_new (SptSettings *settings);
void spt_config_free (SptConfig *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SptConfig, spt_config_free)

gboolean spt_config_add (SptConfig *self, const char *argument, GError **error);
gboolean spt_config_add_text (
    SptConfig *self, const char *name, const char *text, gsize size, GError **error);
char *spt_config_find (void);
