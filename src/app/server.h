/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The composition: builds everything in order, stops in reverse. */
#pragma once

#include <glib.h>

typedef struct {
  char **configs;     /* -c, in order */
  const char *listen; /* (nullable): overrides api.listen */
  const char *launch; /* (nullable): gst-launch text to serve … */
  const char *name;   /* … under this name */
} SptServerOptions;

typedef struct _SptServer SptServer;

SptServer *spt_server_new (const SptServerOptions *options, GError **error);
void spt_server_run (SptServer *self);
void spt_server_quit (SptServer *self);
void spt_server_free (SptServer *self);
char *spt_server_describe_options (void);
