/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may do what: one question, asked by every door. */
#pragma once

#include "settings.h"

typedef enum {
  SPT_ACTION_VIEW,   /* look at streams and their state */
  SPT_ACTION_MANAGE, /* add, change, remove */
} SptAction;

typedef struct _SptAuth SptAuth;

void spt_auth_declare_options (SptSettings *settings);
SptAuth *spt_auth_new (SptSettings *settings);
void spt_auth_free (SptAuth *self);

/* What a request says about who sends it. */
typedef struct {
  const char *authorization; /* (nullable): the HTTP header */
  gboolean local;            /* it comes over loopback */
} SptCredentials;

gboolean spt_auth_authorize (
    SptAuth *self, const SptCredentials *who, SptAction action, const char *stream, GError **error);
gboolean spt_auth_is_open (SptAuth *self);
