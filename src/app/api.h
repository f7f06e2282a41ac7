/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The management API: streams, health, graph (openapi.yaml describes it). */
#pragma once

#include "configuration.h"
#include "output.h"

typedef struct _SptApi SptApi;

SptApi *spt_api_new (SptHost *host, SptStore *store, SptConfiguration *configuration);
void spt_api_free (SptApi *self);
