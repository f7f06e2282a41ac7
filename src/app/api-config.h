/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /api/config: the configuration file as text, for editors; and its being followed while it
 * changes. */
#pragma once

#include "configuration.h"
#include "output.h"

typedef struct _SptConfigApi SptConfigApi;

SptConfigApi *spt_config_api_new (SptHost *host, SptConfiguration *configuration);
void spt_config_api_reload (SptConfigApi *self);
void spt_config_api_free (SptConfigApi *self);
