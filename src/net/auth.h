/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may do what: one question, asked by every door. */
#pragma once

#include "settings.h"

typedef enum {
  SPT_ACTION_VIEW,   /* look at streams and their state */
  SPT_ACTION_MANAGE, /* add, change, remove; publish into a stream */
} SptAction;

typedef struct _SptAuth SptAuth;

#define SPT_AUTH_REALM "Spotter"

void spt_auth_declare_options (SptSettings *settings);
SptAuth *spt_auth_new (const char *username, const char *password, gboolean local_auth);
void spt_auth_free (SptAuth *self);

/* What a request says about who sends it. */
typedef struct {
  const char *authorization; /* (nullable): the header of HTTP or RTSP */
  gboolean local;            /* it comes over loopback */
  const char *method;        /* (nullable): for Digest, with the nonce that was asked with */
  const char *nonce;         /* (nullable) */
} SptCredentials;

gboolean spt_auth_authorize (
    SptAuth *self, const SptCredentials *who, SptAction action, const char *stream, GError **error);
gboolean spt_auth_is_open (SptAuth *self);
