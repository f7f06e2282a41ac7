/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Local cameras. */
#pragma once

#include "types.h"

char *spt_devices_resolve (const char *number_or_path, GError **error);
GstCaps *spt_devices_choose_mode (
    GstCaps *offered, const char *format, int width, int height, int num, int den);
