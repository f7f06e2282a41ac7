/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "posedraw.h"

#include <math.h>

/* Less visible than this is not drawn; from the other on fully (pose.md 17 draws from 0.5). */
#define VISIBLE_FROM 0.35
#define VISIBLE_FULLY 0.65
/* Of the frame's smaller side. */
#define LINE 0.006
#define OUTLINE 0.003
#define JOINT 0.007
#define NAME 0.035

/* MediaPipe's connections (pose_landmarks_connections.h). */
static const guint8 bones[][2] = {{0, 4}, {4, 5}, {5, 6}, {6, 8}, {0, 1}, {1, 2}, {2, 3}, {3, 7},
    {10, 9}, {12, 11}, {12, 14}, {14, 16}, {16, 18}, {16, 20}, {16, 22}, {18, 20}, {11, 13},
    {13, 15}, {15, 17}, {15, 19}, {15, 21}, {17, 19}, {12, 24}, {11, 23}, {24, 23}, {24, 26},
    {23, 25}, {26, 28}, {25, 27}, {28, 30}, {27, 29}, {30, 32}, {29, 31}, {28, 32}, {27, 31}};

/* Wrists and ankles. */
static const guint8 trailing[POSE_TRAIL_POINTS] = {15, 16, 27, 28};

/* Told apart by those who see few colours, too (Okabe and Ito). */
static const double colours[][3] = {
    {0.34, 0.71, 0.91}, {0.90, 0.62, 0.00}, {0.00, 0.62, 0.45}, {0.80, 0.47, 0.65}};

static double
opacity (const PoseLandmark *p)
{
  double o = (p->visibility - VISIBLE_FROM) / (VISIBLE_FULLY - VISIBLE_FROM);
  return isfinite (p->x) && isfinite (p->y) && isfinite (o) ? CLAMP (o, 0, 1) : 0;
}

/* Remembers where hands and feet are. */
void
pose_trail_add (PoseTrail *self, const GstPosePerson *person, GstClockTime time)
{
  if (self->id != person->id) {
    self->id = person->id;
    self->n = self->next = 0;
  }
  self->points[self->next].time = time;
  for (guint i = 0; i < POSE_TRAIL_POINTS; i++) {
    const PoseLandmark *p = &person->image[trailing[i]];
    gboolean seen = opacity (p) > 0;
    self->points[self->next].x[i] = seen ? p->x : NAN;
    self->points[self->next].y[i] = seen ? p->y : NAN;
  }
  self->next = (self->next + 1) % POSE_TRAIL_LENGTH;
  self->n = MIN (self->n + 1, POSE_TRAIL_LENGTH);
}

typedef struct {
  double x0, y0, x1, y1;
} Box;

static void
extend (Box *box, double x, double y)
{
  if (!isfinite (x) || !isfinite (y))
    return;
  box->x0 = MIN (box->x0, x);
  box->y0 = MIN (box->y0, y);
  box->x1 = MAX (box->x1, x);
  box->y1 = MAX (box->y1, y);
}

/**
 * pose_draw_extents:
 * @trail: (nullable)
 * @rect: x, y, width, height in pixels, even numbers
 *
 * Returns: FALSE when nothing of it lies in the frame
 */
gboolean
pose_draw_extents (
    const PoseStyle *style, const GstPosePerson *person, const PoseTrail *trail, int rect[4])
{
  Box box = {G_MAXDOUBLE, G_MAXDOUBLE, -G_MAXDOUBLE, -G_MAXDOUBLE};
  for (guint i = 0; i < POSE_LANDMARKS; i++)
    if (opacity (&person->image[i]) > 0)
      extend (&box, person->image[i].x, person->image[i].y);
  for (guint i = 0; trail && style->trail && i < trail->n; i++)
    for (guint k = 0; k < POSE_TRAIL_POINTS; k++)
      extend (&box, trail->points[i].x[k], trail->points[i].y[k]);
  double margin = MIN (style->width, style->height) * (style->names ? NAME * 2 : JOINT * 2) + 2;
  double x0 = CLAMP (box.x0 * style->width - margin, 0, style->width);
  double y0 = CLAMP (box.y0 * style->height - margin, 0, style->height);
  double x1 = CLAMP (box.x1 * style->width + margin, 0, style->width);
  double y1 = CLAMP (box.y1 * style->height + margin, 0, style->height);
  rect[0] = (int)x0 & ~1;
  rect[1] = (int)y0 & ~1;
  rect[2] = MIN (((int)ceil (x1) - rect[0] + 1) & ~1, style->width - rect[0]);
  rect[3] = MIN (((int)ceil (y1) - rect[1] + 1) & ~1, style->height - rect[1]);
  return box.x1 >= box.x0 && rect[2] > 0 && rect[3] > 0;
}

static void
draw_trail (cairo_t *cr, const PoseStyle *style, const PoseTrail *trail, const double colour[3])
{
  for (guint i = 1; i < trail->n; i++) {
    guint at = (trail->next + POSE_TRAIL_LENGTH - trail->n + i) % POSE_TRAIL_LENGTH;
    guint before = (at + POSE_TRAIL_LENGTH - 1) % POSE_TRAIL_LENGTH;
    GstClockTimeDiff age = GST_CLOCK_DIFF (trail->points[before].time, style->now);
    if (age < 0 || age > (GstClockTimeDiff)style->trail)
      continue;
    cairo_set_source_rgba (
        cr, colour[0], colour[1], colour[2], 0.7 * (1 - (double)age / (double)style->trail));
    for (guint k = 0; k < POSE_TRAIL_POINTS; k++) {
      if (!isfinite (trail->points[before].x[k]) || !isfinite (trail->points[at].x[k]))
        continue;
      cairo_move_to (cr, trail->points[before].x[k] * style->width,
          trail->points[before].y[k] * style->height);
      cairo_line_to (
          cr, trail->points[at].x[k] * style->width, trail->points[at].y[k] * style->height);
      cairo_stroke (cr);
    }
  }
}

/* Once dark and wide, once in colour: it can be seen on any wall. */
static void
draw_bones (cairo_t *cr, const PoseStyle *style, const GstPosePerson *person,
    const double colour[3], double width)
{
  cairo_set_line_width (cr, width);
  for (guint i = 0; i < G_N_ELEMENTS (bones); i++) {
    const PoseLandmark *a = &person->image[bones[i][0]], *b = &person->image[bones[i][1]];
    double o = MIN (opacity (a), opacity (b));
    if (o <= 0)
      continue;
    cairo_set_source_rgba (cr, colour[0], colour[1], colour[2], o);
    cairo_move_to (cr, a->x * style->width, a->y * style->height);
    cairo_line_to (cr, b->x * style->width, b->y * style->height);
    cairo_stroke (cr);
  }
}

static void
draw_joints (cairo_t *cr, const PoseStyle *style, const GstPosePerson *person, double radius)
{
  for (guint i = 11; i < POSE_LANDMARKS; i++) {
    const PoseLandmark *p = &person->image[i];
    if (opacity (p) <= 0)
      continue;
    cairo_set_source_rgba (cr, 1, 1, 1, opacity (p));
    cairo_arc (cr, p->x * style->width, p->y * style->height, radius, 0, 2 * G_PI);
    cairo_fill (cr);
  }
}

static void
draw_name (cairo_t *cr, const PoseStyle *style, const GstPosePerson *person, double size)
{
  g_autofree char *text = g_strdup_printf ("%u", person->id);
  const PoseLandmark *nose = &person->image[0];
  if (opacity (nose) <= 0)
    return;
  cairo_select_font_face (cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_BOLD);
  cairo_set_font_size (cr, size);
  cairo_move_to (cr, nose->x * style->width + size / 2, nose->y * style->height - size / 2);
  cairo_text_path (cr, text);
  cairo_set_source_rgba (cr, 0, 0, 0, 0.8);
  cairo_set_line_width (cr, size / 6);
  cairo_stroke_preserve (cr);
  cairo_set_source_rgb (cr, 1, 1, 1);
  cairo_fill (cr);
}

/* @cr: in pixels of the frame. @trail: (nullable) */
void
pose_draw (cairo_t *cr, const PoseStyle *style, const GstPosePerson *person, const PoseTrail *trail)
{
  static const double dark[3] = {0.05, 0.05, 0.05};
  const double *colour =
      colours[(person->id + G_N_ELEMENTS (colours) - 1) % G_N_ELEMENTS (colours)];
  double side = MIN (style->width, style->height);
  cairo_set_line_cap (cr, CAIRO_LINE_CAP_ROUND);
  cairo_set_line_width (cr, MAX (side * LINE, 1));
  if (trail && style->trail)
    draw_trail (cr, style, trail, colour);
  draw_bones (cr, style, person, dark, MAX (side * (LINE + OUTLINE), 1.5));
  draw_bones (cr, style, person, colour, MAX (side * LINE, 1));
  draw_joints (cr, style, person, MAX (side * JOINT / 2, 1));
  if (style->names)
    draw_name (cr, style, person, MAX (side * NAME, 8));
}
