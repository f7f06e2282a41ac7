/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `?video=h264&audio=aac&overlay=pose`: what a viewer takes, said the same way at every door. */
#pragma once

#include "stream.h"

gboolean spt_filters_read (const char *video, const char *audio, SptWant *want, GError **error);
gboolean spt_filters_read_overlay (const char *overlay, SptWant *want, GError **error);
void spt_filters_clear (SptWant *want);
