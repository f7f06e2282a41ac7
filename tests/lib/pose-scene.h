/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A picture for the search, and models that are made up: actors stand in the picture, and are found
 * and seen as they say. */
#pragma once

#include <math.h>
#include <string.h>

#include "posesearch.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define CELL 8 /* pixels */

typedef struct {
  float cx, cy, side; /* the region round it, pixels */
  float score, flag, q;
  float moves; /* of its side: so much of the picture changes where it stands */
  gboolean gone;
} Actor;

typedef struct {
  PoseSearch *search;
  PoseGrid grid;
  int width, height;
  guint64 time;
  guint frames;
  Actor actors[4];
  guint n_actors;
  GArray *squares, *rois; /* PoseRect: what was asked of the models */
  PosePerson people[POSE_PEOPLE_MAX];
  guint n_people;
} Scene;

static inline guint
detect (gpointer data, const PoseRect *square, float min_score, PoseDetection *out, guint max)
{
  Scene *s = data;
  guint n = 0;
  g_array_append_val (s->squares, *square);
  for (guint i = 0; i < s->n_actors && n < max; i++) {
    const Actor *a = &s->actors[i];
    /* The detector's limit: a person smaller than this part of the square is not seen. */
    if (a->gone || a->side < 0.28f * square->w || fabsf (a->cx - square->cx) > square->w / 2 ||
        fabsf (a->cy - square->cy) > square->h / 2)
      continue;
    out[n++] = (PoseDetection){{a->cx, a->cy, a->side, a->side, 0}, a->score};
  }
  return n;
}

static inline gboolean
landmarks (gpointer data, const PoseRect *roi, PoseResult *out)
{
  Scene *s = data;
  const Actor *nearest = NULL;
  g_array_append_val (s->rois, *roi);
  for (guint i = 0; i < s->n_actors; i++) {
    const Actor *a = &s->actors[i];
    double off = hypot (a->cx - roi->cx, a->cy - roi->cy);
    if (!a->gone && off < roi->w / 2 &&
        (!nearest || off < hypot (nearest->cx - roi->cx, nearest->cy - roi->cy)))
      nearest = a;
  }
  if (!nearest)
    return FALSE;
  out->next = (PoseRect){nearest->cx, nearest->cy, nearest->side, nearest->side, 0};
  out->flag = nearest->flag;
  out->scale = nearest->side / 1.25f;
  for (guint i = 0; i < POSE_LANDMARKS; i++) {
    float angle = (float)i * 0.7f, r = nearest->side * 0.3f;
    out->image[i] =
        (PoseLandmark){nearest->cx + r * cosf (angle), nearest->cy + r * sinf (angle), 0, 1, 1};
    out->maxima[i] = nearest->q;
  }
  return TRUE;
}

static const PoseBackend backend = {detect, landmarks};

static inline Scene *
make_scene_of (int width, int height, const PoseSearchParams *params)
{
  Scene *s = g_new0 (Scene, 1);
  PoseSearchParams usual;
  pose_search_params_init (&usual);
  s->search = pose_search_new (params ? params : &usual);
  s->width = width;
  s->height = height;
  s->grid.width = MIN (width, POSE_GRID_WIDTH);
  s->grid.height = CLAMP (height * s->grid.width / width, 1, POSE_GRID_HEIGHT);
  memset (s->grid.cells, 100, sizeof s->grid.cells);
  s->squares = g_array_new (FALSE, FALSE, sizeof (PoseRect));
  s->rois = g_array_new (FALSE, FALSE, sizeof (PoseRect));
  return s;
}

static inline Scene *
make_scene (void)
{
  return make_scene_of (1280, 720, NULL);
}

static inline void
free_scene (Scene *s)
{
  pose_search_free (s->search);
  g_array_unref (s->squares);
  g_array_unref (s->rois);
  g_free (s);
}

static inline Actor *
add_actor (Scene *s, float cx, float cy, float side, float q)
{
  Actor *a = &s->actors[s->n_actors++];
  *a = (Actor){.cx = cx, .cy = cy, .side = side, .score = 0.9f, .flag = 0.98f, .q = q};
  return a;
}

static inline void
paint (Scene *s, float x, float y, float w, float h, guint8 luma)
{
  for (int v = MAX ((int)y / CELL, 0); v < MIN ((int)(y + h) / CELL, s->grid.height); v++)
    for (int u = MAX ((int)x / CELL, 0); u < MIN ((int)(x + w) / CELL, s->grid.width); u++)
      s->grid.cells[v * s->grid.width + u] = luma;
}

/* Ten pictures a second. What the models were asked is of these pictures. */
static inline void
run (Scene *s, guint frames)
{
  g_array_set_size (s->squares, 0);
  g_array_set_size (s->rois, 0);
  for (guint i = 0; i < frames; i++, s->frames++, s->time += 100 * MS) {
    for (guint n = 0; n < s->n_actors; n++) {
      const Actor *a = &s->actors[n];
      float side = a->moves * a->side;
      paint (
          s, a->cx - side / 2, a->cy - side / 2, side, side, (guint8)(50 + s->frames * 23 % 150));
    }
    s->n_people =
        pose_search_run (s->search, &s->grid, s->width, s->height, s->time, &backend, s, s->people);
  }
}

/* Runs until somebody is found; returns after how many pictures. */
static inline guint
run_until_found (Scene *s, guint most)
{
  for (guint i = 1; i <= most; i++) {
    run (s, 1);
    if (s->n_people)
      return i;
  }
  return G_MAXUINT;
}

static inline const PoseRect *
square (Scene *s, guint i)
{
  g_assert_cmpuint (i, <, s->squares->len);
  return &g_array_index (s->squares, PoseRect, i);
}

static inline void
assert_rect (const PoseRect *r, float cx, float cy, float side)
{
  g_assert_cmpfloat_with_epsilon (r->cx, cx, 0.01);
  g_assert_cmpfloat_with_epsilon (r->cy, cy, 0.01);
  g_assert_cmpfloat_with_epsilon (r->w, side, 0.01);
  g_assert_cmpfloat_with_epsilon (r->h, side, 0.01);
  g_assert_cmpfloat (r->rotation, ==, 0);
}

static inline PoseSearchStats
stats (Scene *s)
{
  PoseSearchStats stats;
  pose_search_get_stats (s->search, &stats);
  return stats;
}
