/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A configuration as people may see it, and back. */
#pragma once

#include <gio/gio.h>

#define SPT_CONFIG_MASK "***"

char *spt_config_mask (const char *text, GError **error);
char *spt_config_unmask (const char *text, const char *original, GError **error);
