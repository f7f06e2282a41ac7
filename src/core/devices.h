/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Local cameras. */
#pragma once

#include "types.h"

/* A local camera. */
typedef struct {
  char *name, *path;
  GstCaps *caps; /* (nullable): what it offers; NULL when that is not known */
} SptCamera;

/* Something that a camera can be asked for. */
typedef struct {
  const char *format; /* as in `input_format=`; "" for one without a name there */
  int width, height;
  double fps; /* the highest at this size; 0: not known */
} SptCameraMode;

GPtrArray *spt_devices_list (void);
GArray *spt_devices_modes (GstCaps *caps);
char *spt_devices_resolve (const char *number_or_path, GError **error);
GstCaps *spt_devices_choose_mode (
    GstCaps *offered, const char *format, int width, int height, int num, int den);
