/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `pose.enabled: always`: holds what finds people in every stream, whether somebody wants to know
 * or not. Main context. */
#pragma once

#include "streams.h"

typedef struct _SptPoseKeeper SptPoseKeeper;

SptPoseKeeper *spt_pose_keeper_new (SptStreams *streams);
void spt_pose_keeper_tick (SptPoseKeeper *self);
void spt_pose_keeper_free (SptPoseKeeper *self);
