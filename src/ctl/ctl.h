/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Client verbs of the command line: one more user of the HTTP API. */
#pragma once

#include <glib.h>

typedef struct {
  const char *name, *arguments, *summary;
  int (*run) (int argc, char **argv); /* argv[0] is the verb; returns a sysexits code */
} SptVerb;

extern const SptVerb spt_verbs[];
extern const guint spt_n_verbs;
