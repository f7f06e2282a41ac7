/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that come with Spotter: found in the build tree or where they were installed; models are
 * listed in models.ini and checked before use. */
#pragma once

#include <glib.h>

char *pose_own_folder (void);
GBytes *pose_models_map (const char *name, GError **error);
