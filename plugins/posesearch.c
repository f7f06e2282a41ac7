/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a track: the detector finds a region → the landmarks are looked at in the same
 * picture → on probation, and told to nobody, until they are good enough → a person with an id →
 * lost with the first low flag, or dropped when it has been doubtful for a while. What is refused
 * or dropped leaves a denial behind, so that the search looks elsewhere.
 *
 * All constants were measured on two walls (pose.md section 21); the detector takes a rack of
 * coloured holds for a person, with a flag of 0.98, and only the landmarks' heatmaps and motion
 * tell. */
#include "config.h"

#include "posesearch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DETECTIONS 8 /* of one run that are looked at */
#define DENIALS 32   /* the one that ends first makes room */

typedef struct {
  float now;
  gboolean known;
} Average;

typedef struct {
  guint id;      /* 0: on probation */
  PoseRect next; /* where to look */
  PoseResult result;
  PoseRect found; /* what the detector said */
  guint runs;     /* on probation */
  float q, m;     /* of this picture */
  gboolean m_known;
  Average q_average, m_average; /* since it was accepted */
  gboolean doubtful;
  guint64 doubtful_since;
  gboolean fresh;
} Track;

typedef struct {
  PoseRect place;
  guint64 from, time; /* ns */
} Denial;

typedef enum {
  KEEP,
  END,
} Verdict;

struct _PoseSearch {
  PoseSearchParams params;
  PoseSearchStats stats;
  PoseMotion *motion;
  int width, height; /* 0: nothing seen yet */
  guint64 now;       /* ns */
  Track tracks[POSE_PEOPLE_MAX];
  guint n_tracks;
  Denial denials[DENIALS];
  guint n_denials;
  gboolean motion_next;  /* else one of the squares */
  guint sweep;           /* which square */
  guint without_looking; /* pictures since the detector ran */
  guint last_id;
  const PoseBackend *backend; /* while running */
  gpointer data;
};

/* ---- geometry ------------------------------------------------------------------------------ */

/* The rotation is ignored, as MediaPipe does when it compares regions. */
static PoseBox
rect_box (const PoseRect *r)
{
  return (PoseBox){r->cx - r->w / 2, r->cy - r->h / 2, r->cx + r->w / 2, r->cy + r->h / 2};
}

static double
rect_iou (const PoseRect *first, const PoseRect *second)
{
  PoseBox a = rect_box (first), b = rect_box (second);
  double w = fmin (a.x1, b.x1) - fmax (a.x0, b.x0);
  double h = fmin (a.y1, b.y1) - fmax (a.y0, b.y0);
  if (!(w > 0 && h > 0))
    return 0;
  double both = (double)first->w * first->h + (double)second->w * second->h - w * h;
  return both > 0 ? w * h / both : 0;
}

static float
rect_side (const PoseRect *r)
{
  return fmaxf (r->w, r->h);
}

/* Finite, and not so far away that arithmetic with it is not. */
static gboolean
is_number (float value)
{
  return fabsf (value) < 1e9f;
}

static gboolean
rect_is_usable (const PoseRect *r, float least)
{
  return is_number (r->cx) && is_number (r->cy) && is_number (r->w) && is_number (r->h) &&
         is_number (r->rotation) && r->w > 0 && r->h > 0 && r->w >= least && r->h >= least;
}

static int
short_side (const PoseSearch *self)
{
  return MIN (self->width, self->height);
}

/* Where new people are looked for, in pixels. TRUE: the caller's region; FALSE: the picture. */
static gboolean
search_area (const PoseSearch *self, PoseBox *area)
{
  float w = (float)self->width, h = (float)self->height;
  float x0 = fminf (fmaxf (self->params.region.x, 0), 1) * w;
  float y0 = fminf (fmaxf (self->params.region.y, 0), 1) * h;
  float x1 = fminf (fmaxf (self->params.region.x + self->params.region.w, 0), 1) * w;
  float y1 = fminf (fmaxf (self->params.region.y + self->params.region.h, 0), 1) * h;
  float least = fmaxf (self->params.least_roi, 1);
  gboolean region = x1 - x0 >= least && y1 - y0 >= least;
  *area = region ? (PoseBox){x0, y0, x1, y1} : (PoseBox){0, 0, w, h};
  return region;
}

/* ---- what a result is worth ---------------------------------------------------------------- */

static gboolean
landmark_is_usable (const PoseLandmark *l)
{
  return is_number (l->x) && is_number (l->y) && is_number (l->z) && is_number (l->visibility) &&
         is_number (l->presence);
}

static gboolean
result_is_usable (const PoseSearch *self, const PoseResult *r)
{
  for (guint i = 0; i < POSE_LANDMARKS; i++)
    if (!landmark_is_usable (&r->image[i]) || !landmark_is_usable (&r->world[i]) ||
        !is_number (r->maxima[i]))
      return FALSE;
  return landmark_is_usable (&r->aux[0]) && landmark_is_usable (&r->aux[1]) &&
         is_number (r->scale) && rect_is_usable (&r->next, self->params.least_roi) &&
         is_number (r->flag) && r->flag > self->params.min_tracking;
}

/* Sets q and m from the twelve joints of arms and legs that lie in the picture. */
static void
weigh (PoseSearch *self, Track *track)
{
  static const guint joints[] = {11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28};
  PoseBox box = {G_MAXFLOAT, G_MAXFLOAT, -G_MAXFLOAT, -G_MAXFLOAT};
  double sum = 0;
  guint n = 0;
  for (guint i = 0; i < G_N_ELEMENTS (joints); i++) {
    const PoseLandmark *l = &track->result.image[joints[i]];
    if (!(l->x >= 0 && l->y >= 0 && l->x < (float)self->width && l->y < (float)self->height))
      continue;
    box = (PoseBox){
        fminf (box.x0, l->x), fminf (box.y0, l->y), fmaxf (box.x1, l->x), fmaxf (box.y1, l->y)};
    sum += CLAMP (track->result.maxima[joints[i]], 0, 1);
    n++;
  }
  track->q = n && n >= self->params.joints ? (float)(sum / n) : 0;
  if (!n)
    box = rect_box (&track->result.roi);
  track->m_known = pose_motion_share (self->motion, &box, &track->m);
}

static void
average (Average *a, float value, float weight)
{
  a->now = a->known ? weight * value + (1 - weight) * a->now : value;
  a->known = TRUE;
}

/* ---- denials ------------------------------------------------------------------------------- */

/* To the microsecond, for 0.4f is a little more than 0.4. */
static guint64
nanoseconds (float seconds)
{
  return seconds > 0 ? (guint64)(fminf (seconds, 1e6f) * 1e6 + 0.5) * 1000 : 0;
}

static guint64
remaining (const PoseSearch *self, const Denial *d)
{
  guint64 passed = self->now - d->from;
  return passed < d->time ? d->time - passed : 0;
}

static void
deny (PoseSearch *self, const PoseRect *place, float seconds)
{
  guint at = self->n_denials;
  if (at == DENIALS) {
    at = 0;
    for (guint i = 1; i < DENIALS; i++)
      if (remaining (self, &self->denials[i]) < remaining (self, &self->denials[at]))
        at = i;
  } else
    self->n_denials++;
  self->denials[at] = (Denial){*place, self->now, nanoseconds (seconds)};
  self->stats.denied++;
}

static void
forget_old_denials (PoseSearch *self)
{
  guint kept = 0;
  for (guint i = 0; i < self->n_denials; i++)
    if (remaining (self, &self->denials[i]))
      self->denials[kept++] = self->denials[i];
  self->n_denials = kept;
}

static gboolean
is_denied (const PoseSearch *self, const PoseRect *roi)
{
  for (guint i = 0; i < self->n_denials; i++) {
    const PoseRect *place = &self->denials[i].place;
    double a = rect_side (roi), b = rect_side (place);
    if (hypot ((double)roi->cx - place->cx, (double)roi->cy - place->cy) <=
            self->params.deny_distance * b &&
        fmax (a, b) < self->params.deny_ratio * fmin (a, b))
      return TRUE;
  }
  return FALSE;
}

/* A place where nobody was: the longer the surer it is that nothing moves there. */
static void
refuse (PoseSearch *self, const Track *track)
{
  if (track->m_known && track->m >= self->params.deny_m)
    return;
  gboolean early = !track->m_known || pose_motion_seconds (self->motion) < self->params.early;
  deny (self, &track->found, early ? self->params.deny_early_time : self->params.deny_time);
}

/* ---- tracks -------------------------------------------------------------------------------- */

static void
end_track (PoseSearch *self, guint i)
{
  if (self->tracks[i].id)
    self->stats.lost++;
  self->n_tracks--;
  memmove (&self->tracks[i], &self->tracks[i + 1], (self->n_tracks - i) * sizeof (Track));
}

/* Rule 5 and 6. */
static Verdict
judge_candidate (PoseSearch *self, Track *track, gboolean seen)
{
  const PoseSearchParams *p = &self->params;
  track->runs++;
  gboolean moves = track->m_known && track->m >= p->accept_m;
  if (seen && (track->q >= p->accept_q || (track->q >= p->accept_q_moving && moves))) {
    if (!++self->last_id)
      self->last_id = 1;
    track->id = self->last_id;
    track->fresh = TRUE;
    average (&track->q_average, track->q, p->average);
    if (track->m_known)
      average (&track->m_average, track->m, p->average);
    self->stats.found++;
    return KEEP;
  }
  if (seen && track->runs < p->probation)
    return KEEP;
  refuse (self, track);
  return END;
}

/* Rule 7 and 8: unknown motion speaks for the person. */
static Verdict
judge_person (PoseSearch *self, Track *track, gboolean seen)
{
  const PoseSearchParams *p = &self->params;
  if (!seen)
    return END;
  average (&track->q_average, track->q, p->average);
  if (track->m_known)
    average (&track->m_average, track->m, p->average);
  float q = track->q_average.now;
  gboolean still = track->m_average.known && track->m_average.now < p->drop_m;
  gboolean doubtful = (q < p->drop_q && still) || q < p->drop_q_alone;
  if (doubtful && !track->doubtful)
    track->doubtful_since = self->now;
  track->doubtful = doubtful;
  if (!doubtful || self->now - track->doubtful_since < nanoseconds (p->drop_time))
    return KEEP;
  self->stats.dropped++;
  deny (self, &track->result.roi, p->deny_dropped_time);
  return END;
}

static Verdict
follow (PoseSearch *self, Track *track)
{
  memset (&track->result, 0, sizeof track->result);
  self->stats.landmark_runs++;
  gboolean seen = self->backend->landmarks (self->data, &track->next, &track->result) &&
                  result_is_usable (self, &track->result);
  track->result.roi = track->next;
  if (seen) {
    weigh (self, track);
    track->next = track->result.next;
  } else {
    PoseBox box = rect_box (&track->next);
    track->q = 0;
    track->m_known = pose_motion_share (self->motion, &box, &track->m);
  }
  return track->id ? judge_person (self, track, seen) : judge_candidate (self, track, seen);
}

static void
follow_all (PoseSearch *self)
{
  for (guint i = 0; i < self->n_tracks;) {
    if (follow (self, &self->tracks[i]) == END)
      end_track (self, i);
    else
      i++;
  }
}

/* Two tracks may come to follow one person: who was known first stays. */
static void
end_doubles (PoseSearch *self)
{
  for (guint i = 0; i < self->n_tracks; i++)
    for (guint j = i + 1; j < self->n_tracks;) {
      const Track *a = &self->tracks[i], *b = &self->tracks[j];
      if (rect_iou (&a->next, &b->next) <= self->params.overlap)
        j++;
      else if (b->id && (!a->id || b->id < a->id)) {
        end_track (self, i);
        j = i + 1;
      } else
        end_track (self, j);
    }
}

/* ---- where to look ------------------------------------------------------------------------- */

/* Rule 3b: all of the area, then tiles along its longer side. */
static PoseRect
next_square (PoseSearch *self)
{
  PoseBox area;
  search_area (self, &area);
  float w = area.x1 - area.x0, h = area.y1 - area.y0;
  float shorter = fminf (w, h), longer = fmaxf (w, h);
  PoseRect square = {(area.x0 + area.x1) / 2, (area.y0 + area.y1) / 2, longer, longer, 0};
  guint tiles = 0;
  if (longer > shorter)
    tiles =
        1 +
        (guint)fminf (
            ceilf ((longer - shorter) / (shorter * (1 - self->params.tile_overlap)) - 1e-3f), 1e6f);
  guint at = self->sweep++ % (tiles + 1);
  if (!at)
    return square;
  float step = tiles > 1 ? (longer - shorter) / (float)(tiles - 1) : 0;
  float centre = shorter / 2 + step * (float)(at - 1);
  square.w = square.h = shorter;
  if (w > h)
    square.cx = area.x0 + centre;
  else
    square.cy = area.y0 + centre;
  return square;
}

/* Rule 3a: what moves, and is not tracked yet. */
static gboolean
motion_square (PoseSearch *self, PoseRect *square)
{
  PoseBox area, known[POSE_PEOPLE_MAX], blob;
  search_area (self, &area);
  for (guint i = 0; i < self->n_tracks; i++)
    known[i] = rect_box (&self->tracks[i].next);
  if (!pose_motion_blob (self->motion, &area, known, self->n_tracks, &blob))
    return FALSE;
  float s = (float)short_side (self);
  float side = self->params.blob_margin * fmaxf (blob.x1 - blob.x0, blob.y1 - blob.y0);
  side = CLAMP (side, self->params.blob_least * s, self->params.blob_most * s);
  float cx = (blob.x0 + blob.x1) / 2, cy = (blob.y0 + blob.y1) / 2;
  *square = (PoseRect){
      CLAMP (cx, side / 2, (float)self->width - side / 2),
      CLAMP (cy, side / 2, (float)self->height - side / 2),
      side,
      side,
      0,
  };
  return TRUE;
}

static gboolean
is_worth_a_look (PoseSearch *self, const PoseDetection *d)
{
  const PoseSearchParams *p = &self->params;
  PoseBox area;
  gboolean region = search_area (self, &area);
  float s = (float)short_side (self), side = rect_side (&d->roi);
  if (!(d->score >= p->min_detection) || !rect_is_usable (&d->roi, p->least_roi))
    return FALSE;
  if (side < p->side_least * s || side > p->side_most * s)
    return FALSE;
  if (region &&
      (d->roi.cx < area.x0 || d->roi.cy < area.y0 || d->roi.cx > area.x1 || d->roi.cy > area.y1))
    return FALSE;
  for (guint i = 0; i < self->n_tracks; i++)
    if (rect_iou (&self->tracks[i].next, &d->roi) > p->overlap)
      return FALSE;
  return !is_denied (self, &d->roi);
}

static int
by_score (gconstpointer a, gconstpointer b)
{
  float first = ((const PoseDetection *)a)->score, second = ((const PoseDetection *)b)->score;
  return (first < second) - (first > second);
}

/* One run of the detector, and the landmarks of what it found, best first, while there is room.
 * A score that is not a number is made the worst. */
static void
search (PoseSearch *self)
{
  PoseDetection found[DETECTIONS];
  PoseRect square;
  gboolean motion = self->motion_next;
  self->motion_next = !motion;
  if (!motion || !motion_square (self, &square))
    square = next_square (self);
  self->without_looking = 0;
  self->stats.detector_runs++;
  memset (found, 0, sizeof found);
  guint n =
      self->backend->detect (self->data, &square, self->params.min_detection, found, DETECTIONS);
  n = MIN (n, DETECTIONS);
  for (guint i = 0; i < n; i++)
    if (!is_number (found[i].score))
      found[i].score = -1;
  qsort (found, n, sizeof found[0], by_score);
  guint room = self->params.people - self->n_tracks;
  for (guint i = 0; i < n && room; i++) {
    if (!is_worth_a_look (self, &found[i]))
      continue;
    Track *track = &self->tracks[self->n_tracks];
    *track = (Track){.next = found[i].roi, .found = found[i].roi};
    room--;
    if (follow (self, track) == KEEP)
      self->n_tracks++;
  }
}

/* ---- for the caller ------------------------------------------------------------------------ */

void
pose_search_params_init (PoseSearchParams *params)
{
  *params = (PoseSearchParams){
      .people = 1,
      .min_detection = 0.5f,
      .min_tracking = 0.5f,
      .detect_every = 5,
      .overlap = 0.5f,
      .least_roi = 8,
      .joints = 4,
      .tile_overlap = 0.5f,
      .blob_margin = 2,
      .blob_least = 0.4f,
      .blob_most = 1,
      .side_least = 0.12f,
      .side_most = 3,
      .accept_q = 0.45f,
      .accept_q_moving = 0.25f,
      .accept_m = 0.15f,
      .probation = 4,
      .deny_distance = 0.35f,
      .deny_ratio = 2,
      .deny_m = 0.03f,
      .deny_time = 3,
      .deny_early_time = 0.4f,
      .early = 1,
      .deny_dropped_time = 5,
      .average = 0.2f,
      .drop_q = 0.45f,
      .drop_m = 0.10f,
      .drop_q_alone = 0.20f,
      .drop_time = 0.5f,
  };
  pose_motion_params_init (&params->motion);
}

PoseSearch *
pose_search_new (const PoseSearchParams *params)
{
  PoseSearch *self = g_new0 (PoseSearch, 1);
  self->motion = pose_motion_new (&params->motion);
  pose_search_set_params (self, params);
  pose_search_reset (self);
  return self;
}

void
pose_search_free (PoseSearch *self)
{
  pose_motion_free (self->motion);
  g_free (self);
}

/* Between two runs. Who is tracked stays, but for those that are now too many: the youngest go. */
void
pose_search_set_params (PoseSearch *self, const PoseSearchParams *params)
{
  g_return_if_fail (params->people >= 1 && params->people <= POSE_PEOPLE_MAX);
  g_return_if_fail (params->tile_overlap >= 0 && params->tile_overlap <= 0.9f);
  g_return_if_fail (params->blob_least > 0 && params->blob_least <= params->blob_most);
  g_return_if_fail (params->blob_most <= 1);
  self->params = *params;
  pose_motion_set_params (self->motion, &params->motion);
  while (self->n_tracks > params->people)
    end_track (self, self->n_tracks - 1);
}

/* After a seek, a gap in the stream or new caps: nobody is tracked, nothing denied, motion is
 * unknown, and the sweep begins again. Ids go on. */
void
pose_search_reset (PoseSearch *self)
{
  while (self->n_tracks)
    end_track (self, self->n_tracks - 1);
  pose_motion_reset (self->motion);
  self->n_denials = 0;
  self->sweep = 0;
  self->motion_next = TRUE;
  self->without_looking = 0;
  self->width = self->height = 0;
}

static guint
tell (PoseSearch *self, PosePerson *out)
{
  guint n = 0;
  for (guint i = 0; i < self->n_tracks; i++) {
    Track *t = &self->tracks[i];
    if (!t->id)
      continue;
    out[n++] = (PosePerson){
        .id = t->id,
        .fresh = t->fresh,
        .result = t->result,
        .q = t->q,
        .m = t->m,
        .m_known = t->m_known,
    };
    t->fresh = FALSE;
  }
  return n;
}

/* @grid, of the frame of @width × @height pixels that @backend looks at. @time_ns: of the frame;
 * a time before the last, and another size, begin anew as pose_search_reset() does.
 * @out: POSE_PEOPLE_MAX, in the order of their detection. Returns how many people there are. */
guint
pose_search_run (PoseSearch *self, const PoseGrid *grid, int width, int height, guint64 time_ns,
    const PoseBackend *backend, gpointer data, PosePerson *out)
{
  if (width != self->width || height != self->height || time_ns < self->now)
    pose_search_reset (self);
  self->now = time_ns;
  if (width < 1 || height < 1)
    return 0;
  self->width = width;
  self->height = height;
  self->backend = backend;
  self->data = data;
  pose_motion_push (self->motion, grid, width, height, time_ns);
  forget_old_denials (self);

  guint before = self->n_tracks;
  follow_all (self);
  end_doubles (self);
  /* Where a track has just ended the next picture is searched, not this one: one detector run
   * and one landmark run per person are the most that a picture costs. */
  self->without_looking++;
  gboolean due = !before || self->without_looking >= self->params.detect_every;
  if (before < self->params.people && due && (float)short_side (self) >= self->params.least_roi) {
    search (self);
    end_doubles (self);
  }
  return tell (self, out);
}

/* The caller filters: @next is made of the filtered auxiliary points of the person @id and holds
 * for the next frame. Without it, or when it cannot be looked at, the unfiltered one holds. */
void
pose_search_set_next (PoseSearch *self, guint id, const PoseRect *next)
{
  for (guint i = 0; i < self->n_tracks; i++)
    if (id && self->tracks[i].id == id && rect_is_usable (next, self->params.least_roi))
      self->tracks[i].next = *next;
}

void
pose_search_get_stats (const PoseSearch *self, PoseSearchStats *stats)
{
  *stats = self->stats;
}
