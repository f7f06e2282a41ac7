/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Log lines: `HH:MM:SS.mmm INF [api] listen addr=:1984`. */
#pragma once

#include "settings.h"

void spt_log_declare_options (SptSettings *settings);
void spt_log_start (void);
gboolean spt_log_configure (SptSettings *settings, GError **error);
gboolean spt_log_check (SptSettings *settings, GError **error);
gboolean spt_log_set_level (SptSettings *settings, GError **error);
char *spt_log_read (void);
void spt_log_clear (void);
