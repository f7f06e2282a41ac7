/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sends poses to an application's own WebSocket. Main context. */
#pragma once

#include "stream.h"

typedef struct _SptPosePush SptPosePush;

SptPosePush *spt_pose_push_new (const char *url, GError **error);
void spt_pose_push_tick (SptPosePush *self, SptStream *stream);
void spt_pose_push_free (SptPosePush *self);
