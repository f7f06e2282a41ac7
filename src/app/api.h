/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The management API: streams, health, graph (openapi.yaml describes it). */
#pragma once

#include "output.h"
#include "store.h"

typedef struct _SptApi SptApi;

typedef struct {
  const char *config_path; /* (nullable) */
  GHashTable *configured;  /* names that the configuration file has */
} SptApiContext;

SptApi *spt_api_new (SptHost *host, SptStore *store, const SptApiContext *context);
void spt_api_free (SptApi *self);
