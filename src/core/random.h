/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names that nobody can guess. */
#pragma once

#include <glib.h>

char *spt_random_id (void);
