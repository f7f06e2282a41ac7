/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where to look for people in the next picture, who is a person, and when one is given up. Pure
 * policy: the models are two functions. For one thread at a time. pose.md section 21. */
#pragma once

#include <glib.h>

#include "pose.h"
#include "posemotion.h"

/* The models, called from pose_search_run() only. */
typedef struct {
  /* Looks for people in @square, which may reach over the picture's edge. Returns how many of
   * @out (at most @max) were found. */
  guint (*detect) (
      gpointer data, const PoseRect *square, float min_score, PoseDetection *out, guint max);
  /* FALSE: no result. A low flag is a result. */
  gboolean (*landmarks) (gpointer data, const PoseRect *roi, PoseResult *out);
} PoseBackend;

/* S is the shorter side of the picture; q is how sure the landmarks are of themselves, m how much
 * more has changed where they are than elsewhere. */
typedef struct {
  guint people; /* 1 … POSE_PEOPLE_MAX */
  struct {
    float x, y, w, h;                /* 0 … 1 of the picture; w = 0: all of it */
  } region;                          /* only here are new people looked for; tracks may leave it */
  float min_detection, min_tracking; /* 0 … 1: of a detection's score, of a result's flag */
  guint detect_every; /* pictures, while somebody is tracked and there is room for more */
  float overlap;      /* 0 … 1: two regions of a larger IoU are one person */
  float least_roi;    /* pixels; a smaller region is not looked at */
  guint joints;       /* the least number in the picture; with fewer q is 0 */
  PoseMotionParams motion;

  /* where to look */
  float tile_overlap; /* 0 … 0.9 of a tile's side */
  float blob_margin;  /* side of the motion tile, of the longer side of what moved */
  float blob_least;   /* S */
  float blob_most;    /* S, at most 1 */

  /* which detections to look at */
  float side_least, side_most; /* S: of the region */

  /* Who is accepted: q alone, or less of it in what moves. A shadow that passes over something
   * like a person moves too; accept_q_moving = accept_q keeps it out, and hard poses with it. */
  float accept_q, accept_q_moving, accept_m;
  guint probation; /* landmark runs, the first included */

  /* a place that was refused */
  float deny_distance, deny_ratio; /* of the side; of the sides */
  float deny_m;                    /* what moves more is not denied */
  float deny_time;                 /* seconds */
  float deny_early_time, early;    /* seconds; while motion is known for less than `early` */
  float deny_dropped_time;         /* seconds */

  /* who is dropped: when the averages are low for drop_time seconds */
  float average; /* 0 … 1: weight of the newest */
  float drop_q, drop_m, drop_q_alone;
  float drop_time;
} PoseSearchParams;

typedef struct {
  guint id;          /* never given twice */
  gboolean fresh;    /* the first picture of this id: filters begin anew */
  PoseResult result; /* unfiltered, finite */
  float q, m;        /* 0 … 1; -1 … 1 */
  gboolean m_known;  /* not at the start */
} PosePerson;

typedef struct {
  guint64 detector_runs, landmark_runs;
  guint64 found, lost; /* people; those given up are among the lost */
  guint64 dropped;     /* given up by their averages */
  guint64 denied;      /* places */
} PoseSearchStats;

typedef struct _PoseSearch PoseSearch;

void pose_search_params_init (PoseSearchParams *params);
PoseSearch *pose_search_new (const PoseSearchParams *params);
void pose_search_free (PoseSearch *self);
void pose_search_set_params (PoseSearch *self, const PoseSearchParams *params);
void pose_search_reset (PoseSearch *self);

guint pose_search_run (PoseSearch *self, const PoseGrid *grid, int width, int height,
    guint64 time_ns, const PoseBackend *backend, gpointer data, PosePerson *out);
void pose_search_set_next (PoseSearch *self, guint id, const PoseRect *next);

void pose_search_get_stats (const PoseSearch *self, PoseSearchStats *stats);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (PoseSearch, pose_search_free)
