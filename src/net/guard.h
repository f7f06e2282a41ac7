/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Against other people's web pages: which Host and Origin a request may carry. */
#pragma once

#include <libsoup/soup.h>

typedef struct _SptGuard SptGuard;

SptGuard *spt_guard_new (const char *const *allowed);
void spt_guard_free (SptGuard *self);
gboolean spt_guard_host (SptGuard *self, SoupMessageHeaders *headers, GError **error);
gboolean spt_guard_origin (SptGuard *self, SoupMessageHeaders *headers);
