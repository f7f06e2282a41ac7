/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One pose as it goes to one who gets it (api.md 3). */
#pragma once

#include "media-clock.h"

GstBuffer *spt_pose_message (
    GstBuffer *unit, const char *source, guint64 number, SptMediaClock *clock);
