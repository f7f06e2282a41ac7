/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* S is the shorter side of the picture, q how sure landmarks are of themselves (the mean of their
 * heatmaps' maxima), m how much more moves where they are than elsewhere. */
#include "config.h"

#include "poseconstants.h"

#define AT(field) offsetof (PoseSearchParams, field)

const PoseConstant pose_constants[] = {
    {"min-detection", "The least score of a detection", 0, 1, AT (min_detection)},
    {"min-tracking", "The least certainty that there is a person", 0, 1, AT (min_tracking)},
    {"tile-overlap", "How much of a tile the next one covers", 0, 0.9, AT (tile_overlap)},
    {"blob-margin", "Side of the motion tile, in longer sides of what moved", 1, 10,
        AT (blob_margin)},
    {"blob-least", "The least side of the motion tile, in S", 0.05, 1, AT (blob_least)},
    {"blob-most", "The largest side of the motion tile, in S", 0.05, 1, AT (blob_most)},
    {"side-least", "The least region of a person, in S", 0, 10, AT (side_least)},
    {"side-most", "The largest region of a person, in S", 0, 10, AT (side_most)},
    {"accept-q", "q from which a person is accepted", 0, 1, AT (accept_q)},
    {"accept-q-moving", "q from which one who moves is accepted", 0, 1, AT (accept_q_moving)},
    {"accept-m", "m from which somebody moves", 0, 1, AT (accept_m)},
    {"deny-distance", "How near a refused place is the same, in its sides", 0, 10,
        AT (deny_distance)},
    {"deny-ratio", "How different in size a refused place is the same", 1, 10, AT (deny_ratio)},
    {"deny-m", "m from which a place is not refused", -1, 1, AT (deny_m)},
    {"deny-time", "How long a place is refused, in seconds", 0, 60, AT (deny_time)},
    {"deny-early-time", "The same while motion is not known, in seconds", 0, 60,
        AT (deny_early_time)},
    {"early", "How long motion is not known, in seconds", 0, 60, AT (early)},
    {"deny-dropped-time", "How long the place of who was dropped is refused, in seconds", 0, 60,
        AT (deny_dropped_time)},
    {"average", "Weight of the newest in the averages of q and m", 0, 1, AT (average)},
    {"drop-q", "Average q below which one who does not move is dropped", 0, 1, AT (drop_q)},
    {"drop-m", "Average m below which somebody does not move", -1, 1, AT (drop_m)},
    {"drop-q-alone", "Average q below which anybody is dropped", 0, 1, AT (drop_q_alone)},
    {"drop-time", "For how long that must be so, in seconds", 0, 60, AT (drop_time)},
    {"motion-change", "Luma levels by which a cell differs that has changed", 0, 255,
        AT (motion.change)},
    {"motion-flood", "When more of the picture has changed there is no motion tile", 0, 1,
        AT (motion.blob_flood)},
};
const guint pose_n_constants = G_N_ELEMENTS (pose_constants);

float *
pose_constant (PoseSearchParams *params, guint index)
{
  return (float *)((guint8 *)params + pose_constants[index].offset);
}
