/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed options. Each file that uses options declares a table of them; the tables drive parsing,
 * checks, `--help` and the reference in the documentation. */
#pragma once

#include "types.h"

typedef enum {
  SPT_OPTION_STRING,
  SPT_OPTION_BOOL,
  SPT_OPTION_INT,
  SPT_OPTION_SECONDS, /* a number or "10s", "500ms", "2m"; kept in ms */
  SPT_OPTION_STRINGS, /* a list, or one string */
} SptOptionType;

typedef struct {
  const char *key; /* "api.listen" */
  SptOptionType type;
  const char *fallback; /* as it would be written; NULL is "", false, 0, an empty list */
  gint64 min, max;      /* for numbers, when min < max */
  const char *help;     /* one sentence */
} SptOption;

SptSettings *spt_settings_new (void);
SptSettings *spt_settings_ref (SptSettings *self);
void spt_settings_unref (SptSettings *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SptSettings, spt_settings_unref)

void spt_settings_declare (SptSettings *self, const SptOption *table, guint n);
const SptOption *spt_settings_find (SptSettings *self, const char *key);
gboolean spt_settings_is_section (SptSettings *self, const char *key);
char *spt_settings_describe (SptSettings *self);
char **spt_settings_compare (SptSettings *self, SptSettings *other);

gboolean spt_settings_set (
    SptSettings *self, const char *key, const char *const *values, GError **error);

const char *spt_settings_string (SptSettings *self, const char *key);
gboolean spt_settings_bool (SptSettings *self, const char *key);
gint64 spt_settings_int (SptSettings *self, const char *key);
const char *const *spt_settings_strings (SptSettings *self, const char *key);
