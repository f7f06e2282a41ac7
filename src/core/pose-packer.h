/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Units of application/x-pose: the JSON of one analysed frame, made once for all who get it.
 *
 * A unit is the inside of an object, without its braces: who sends it puts his own members in
 * front. Its buffer has the frame's PTS; its offset is the number of the analysed frame; GAP means
 * that nobody was found. */
#pragma once

#include "types.h"

guint spt_pose_unit_people (GstBuffer *unit);
