/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

gboolean spt_file_replace (const char *path, const char *text, GError **error);
