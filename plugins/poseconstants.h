/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The numbers of the search as properties: each has a name, a meaning and a range. */
#pragma once

#include "posesearch.h"

typedef struct {
  const char *name, *blurb;
  double min, max;
  gsize offset; /* of the float in PoseSearchParams */
} PoseConstant;

extern const PoseConstant pose_constants[];
extern const guint pose_n_constants;

float *pose_constant (PoseSearchParams *params, guint index);
