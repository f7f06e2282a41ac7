/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many connections a door has, in all and from one address. */
#pragma once

#include <gio/gio.h>

typedef struct {
  guint max, max_per_address;
  guint count;
  GHashTable *per_address; /* address → number */
} SptAdmission;

void spt_admission_init (SptAdmission *self, guint max, guint max_per_address);
void spt_admission_clear (SptAdmission *self);
gboolean spt_admission_enter (SptAdmission *self, const char *address);
void spt_admission_leave (SptAdmission *self, const char *address);
char *spt_admission_address (GSocketAddress *address);
