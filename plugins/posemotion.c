/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The grid of the newest picture is compared with those of about half a second, one and two
 * seconds ago. Past grids lie in a ring of SLOTS; at a high picture rate some are passed over, so
 * that the ring always reaches back as far as the longest lag. */
#include "config.h"

#include "posemotion.h"

#include <math.h>
#include <string.h>

#define SLOTS 64
#define CELL_SAMPLES 8 /* of a cell's row and column at most; of larger cells every n-th */
#define LAG_SLACK 0.25 /* of the lag: so far from it may a picture be that stands for it */

typedef struct {
  int x0, y0, x1, y1; /* cells, the ends not included */
} Cells;

typedef struct {
  gint16 x, y;
} Cell;

struct _PoseMotion {
  PoseMotionParams params;
  int width, height; /* of the frame */
  PoseGrid now;
  guint64 now_time;
  guint64 times[SLOTS];
  guint8 *past; /* SLOTS grids of the size of `now` */
  guint first, n_past;
  guint8 changed[POSE_GRID_WIDTH * POSE_GRID_HEIGHT];
  Cell queue[POSE_GRID_WIDTH * POSE_GRID_HEIGHT];
};

/* ---- the grid ------------------------------------------------------------------------------ */

static guint8
cell_mean (const guint8 *luma, gsize stride, Cells cell)
{
  int dx = (cell.x1 - cell.x0 + CELL_SAMPLES - 1) / CELL_SAMPLES;
  int dy = (cell.y1 - cell.y0 + CELL_SAMPLES - 1) / CELL_SAMPLES;
  guint sum = 0, n = 0;
  for (int y = cell.y0; y < cell.y1; y += dy)
    for (int x = cell.x0; x < cell.x1; x += dx, n++)
      sum += luma[(gsize)y * stride + (gsize)x];
  return n ? (guint8)((sum + n / 2) / n) : 0;
}

/* Of @width × @height samples in rows of @stride bytes; also of a picture that was scaled down.
 * Cells are square unless the picture is more than twice as high as wide. Every sample's column
 * and row belongs to a cell, whatever the size. */
void
pose_grid_from_luma (PoseGrid *grid, const guint8 *luma, gsize stride, int width, int height)
{
  grid->width = grid->height = 0;
  if (!luma || width < 1 || height < 1 || stride < (gsize)width)
    return;
  gint64 columns = MIN (width, POSE_GRID_WIDTH);
  gint64 rows = ((gint64)height * columns + width / 2) / width;
  rows = CLAMP (rows, 1, MIN (height, POSE_GRID_HEIGHT));
  grid->width = (int)columns;
  grid->height = (int)rows;
  for (int y = 0; y < rows; y++)
    for (int x = 0; x < columns; x++) {
      Cells cell = {(int)(x * (gint64)width / columns), (int)(y * (gint64)height / rows),
          (int)((x + 1) * (gint64)width / columns), (int)((y + 1) * (gint64)height / rows)};
      grid->cells[y * columns + x] = cell_mean (luma, stride, cell);
    }
}

/* ---- the past ------------------------------------------------------------------------------ */

void
pose_motion_params_init (PoseMotionParams *params)
{
  *params = (PoseMotionParams){
      .lags = {0.5f, 1.0f, 2.0f},
      .change = 12,
      .blob_lag = 0.5f,
      .blob_gap = 3,
      .blob_cells = 6,
      .blob_flood = 0.3f,
  };
}

PoseMotion *
pose_motion_new (const PoseMotionParams *params)
{
  PoseMotion *self = g_new0 (PoseMotion, 1);
  self->params = *params;
  return self;
}

void
pose_motion_free (PoseMotion *self)
{
  g_free (self->past);
  g_free (self);
}

/* Takes effect at once; the pictures that were kept stay. */
void
pose_motion_set_params (PoseMotion *self, const PoseMotionParams *params)
{
  self->params = *params;
}

/* Forgets all pictures: motion is unknown. */
void
pose_motion_reset (PoseMotion *self)
{
  self->now.width = self->now.height = 0;
  self->n_past = 0;
}

static guint
slot (const PoseMotion *self, guint i)
{
  return (self->first + i) % SLOTS;
}

static gsize
n_cells (const PoseMotion *self)
{
  return (gsize)self->now.width * (gsize)self->now.height;
}

static double
age (const PoseMotion *self, guint i)
{
  return (double)(self->now_time - self->times[slot (self, i)]) / 1e9;
}

static double
reach (const PoseMotion *self)
{
  double longest = self->params.blob_lag;
  for (guint i = 0; i < POSE_MOTION_LAGS; i++)
    longest = fmax (longest, self->params.lags[i]);
  return fmin (fmax (longest, 0), 60) * (1 + LAG_SLACK);
}

static void
keep (PoseMotion *self)
{
  if (self->n_past) {
    guint64 last = self->times[slot (self, self->n_past - 1)];
    if ((double)(self->now_time - last) / 1e9 < reach (self) / (SLOTS - 1))
      return;
  }
  if (self->n_past == SLOTS) {
    self->first = slot (self, 1);
    self->n_past--;
  }
  guint to = slot (self, self->n_past++);
  self->times[to] = self->now_time;
  memcpy (self->past + to * n_cells (self), self->now.cells, n_cells (self));
}

static gboolean
grid_is_usable (const PoseGrid *grid)
{
  return grid->width >= 1 && grid->height >= 1 && grid->width <= POSE_GRID_WIDTH &&
         grid->height <= POSE_GRID_HEIGHT;
}

/* @grid shows the frame of @width × @height pixels at @time_ns. Other sizes, and a time before the
 * last, begin anew. */
void
pose_motion_push (PoseMotion *self, const PoseGrid *grid, int width, int height, guint64 time_ns)
{
  if (!grid_is_usable (grid) || width < 1 || height < 1) {
    pose_motion_reset (self);
    return;
  }
  gboolean same = self->now.width == grid->width && self->now.height == grid->height &&
                  self->width == width && self->height == height;
  if (!same || time_ns < self->now_time) {
    pose_motion_reset (self);
    self->past =
        g_realloc (self->past, SLOTS * (gsize)grid->width * (gsize)grid->height * sizeof (guint8));
  } else if (time_ns > self->now_time)
    keep (self);
  self->width = width;
  self->height = height;
  self->now.width = grid->width;
  self->now.height = grid->height;
  memcpy (self->now.cells, grid->cells, n_cells (self));
  self->now_time = time_ns;
  while (self->n_past && age (self, 0) > reach (self)) {
    self->first = slot (self, 1);
    self->n_past--;
  }
}

/* How far back the pictures go without a hole longer than the longest lag. */
double
pose_motion_seconds (const PoseMotion *self)
{
  return self->n_past ? age (self, 0) : 0;
}

static const guint8 *
past_at (const PoseMotion *self, double lag)
{
  double best = lag * LAG_SLACK;
  const guint8 *found = NULL;
  if (!(lag > 0))
    return NULL;
  for (guint i = 0; i < self->n_past; i++) {
    double off = fabs (age (self, i) - lag);
    if (off <= best) {
      best = off;
      found = self->past + slot (self, i) * n_cells (self);
    }
  }
  return found;
}

/* ---- what has changed ---------------------------------------------------------------------- */

static guint
mark_changes (PoseMotion *self, const guint8 *old)
{
  gsize n = n_cells (self);
  int least = (int)fmin (fmax (self->params.change, 0), 255);
  guint count = 0;
  for (gsize i = 0; i < n; i++) {
    self->changed[i] = ABS (self->now.cells[i] - old[i]) > least;
    count += self->changed[i];
  }
  return count;
}

static int
to_cell (double pixel, int pixels, int cells, gboolean up)
{
  double cell = pixel * cells / pixels;
  return (int)fmin (fmax (up ? ceil (cell) : floor (cell), 0), cells);
}

/* What of @box lies in the picture, at least a cell. */
static Cells
to_cells (const PoseMotion *self, const PoseBox *box)
{
  Cells c = {
      to_cell (box->x0, self->width, self->now.width, FALSE),
      to_cell (box->y0, self->height, self->now.height, FALSE),
      to_cell (box->x1, self->width, self->now.width, TRUE),
      to_cell (box->y1, self->height, self->now.height, TRUE),
  };
  c.x0 = MIN (c.x0, self->now.width - 1);
  c.y0 = MIN (c.y0, self->now.height - 1);
  c.x1 = MAX (c.x1, c.x0 + 1);
  c.y1 = MAX (c.y1, c.y0 + 1);
  return c;
}

static float
share_inside (const PoseMotion *self, Cells box)
{
  guint inside = 0, all = 0;
  for (int y = 0; y < self->now.height; y++) {
    const guint8 *row = self->changed + y * self->now.width;
    for (int x = 0; x < self->now.width; x++) {
      all += row[x];
      if (y >= box.y0 && y < box.y1 && x >= box.x0 && x < box.x1)
        inside += row[x];
    }
  }
  float area = (float)((box.x1 - box.x0) * (box.y1 - box.y0));
  float rest = (float)n_cells (self) - area;
  return (float)inside / area - (rest > 0 ? (float)(all - inside) / rest : 0);
}

/* @share: of the cells in @box, that have changed, less the same share of those outside it, which
 * is what flicker and a shaken camera do. -1 … 1, the largest of the lags.
 * FALSE: there is nothing yet to compare with; that is not the same as stillness. */
gboolean
pose_motion_share (PoseMotion *self, const PoseBox *box, float *share)
{
  gboolean known = FALSE;
  *share = 0;
  for (guint i = 0; i < POSE_MOTION_LAGS; i++) {
    const guint8 *old = past_at (self, self->params.lags[i]);
    if (!old)
      continue;
    mark_changes (self, old);
    float here = share_inside (self, to_cells (self, box));
    *share = known ? fmaxf (*share, here) : here;
    known = TRUE;
  }
  return known;
}

/* ---- the largest blob ---------------------------------------------------------------------- */

static void
clear (PoseMotion *self, Cells box)
{
  for (int y = box.y0; y < box.y1; y++)
    memset (self->changed + y * self->now.width + box.x0, 0, (gsize)(box.x1 - box.x0));
}

static void
clear_all_but (PoseMotion *self, Cells box)
{
  int w = self->now.width, h = self->now.height;
  clear (self, (Cells){0, 0, w, box.y0});
  clear (self, (Cells){0, box.y1, w, h});
  clear (self, (Cells){0, box.y0, box.x0, box.y1});
  clear (self, (Cells){box.x1, box.y0, w, box.y1});
}

/* Puts a changed cell into the queue, and takes it out of the picture. */
static guint
take_cell (PoseMotion *self, int x, int y, guint n)
{
  self->changed[y * self->now.width + x] = 0;
  self->queue[n] = (Cell){(gint16)x, (gint16)y};
  return n + 1;
}

/* All that hang together with this one; returns how many they are. */
static guint
take_blob (PoseMotion *self, int x, int y, Cells *box)
{
  int w = self->now.width, h = self->now.height;
  int step = (int)MIN (self->params.blob_gap, POSE_GRID_HEIGHT) + 1;
  guint n = take_cell (self, x, y, 0);
  *box = (Cells){x, y, x + 1, y + 1};
  for (guint i = 0; i < n; i++) {
    x = self->queue[i].x;
    y = self->queue[i].y;
    *box = (Cells){MIN (box->x0, x), MIN (box->y0, y), MAX (box->x1, x + 1), MAX (box->y1, y + 1)};
    for (int v = MAX (y - step, 0); v <= MIN (y + step, h - 1); v++)
      for (int u = MAX (x - step, 0); u <= MIN (x + step, w - 1); u++)
        if (self->changed[v * w + u])
          n = take_cell (self, u, v, n);
  }
  return n;
}

/* @blob: round the most cells that changed together, @within this part of the picture (nullable:
 * all of it) and not in those of @without. FALSE if there is none, if there is nothing to compare
 * with, or if so much has changed that it was the light or the camera. */
gboolean
pose_motion_blob (
    PoseMotion *self, const PoseBox *within, const PoseBox *without, guint n_without, PoseBox *blob)
{
  const guint8 *old = past_at (self, self->params.blob_lag);
  if (!old)
    return FALSE;
  if ((float)mark_changes (self, old) > self->params.blob_flood * (float)n_cells (self))
    return FALSE;
  if (within)
    clear_all_but (self, to_cells (self, within));
  for (guint i = 0; i < n_without; i++)
    clear (self, to_cells (self, &without[i]));
  guint largest = 0;
  Cells best = {0}, box;
  for (int y = 0; y < self->now.height; y++)
    for (int x = 0; x < self->now.width; x++) {
      guint size = self->changed[y * self->now.width + x] ? take_blob (self, x, y, &box) : 0;
      if (size > largest) {
        largest = size;
        best = box;
      }
    }
  if (!largest || largest < self->params.blob_cells)
    return FALSE;
  float sx = (float)self->width / (float)self->now.width;
  float sy = (float)self->height / (float)self->now.height;
  *blob =
      (PoseBox){(float)best.x0 * sx, (float)best.y0 * sy, (float)best.x1 * sx, (float)best.y1 * sy};
  return TRUE;
}
