/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the shaking out of one person's landmarks, as MediaPipe does: 1 € filters (Casiez, Roussel,
 * Vogel: "1 € Filter", CHI 2012), which are slow for what rests and quick for what moves. */
#pragma once

#include "pose.h"

typedef struct _PoseFilter PoseFilter;

PoseFilter *pose_filter_new (void);
void pose_filter_apply (PoseFilter *self, guint64 time, const PoseResult *in, PoseResult *out);
void pose_filter_reset (PoseFilter *self);
void pose_filter_free (PoseFilter *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (PoseFilter, pose_filter_free)
