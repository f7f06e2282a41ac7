/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Proportions, and how realistic a figure must be for BlazePose, are pose.md section 19, level 3:
 * limbs shaded across, face or hair, T-shirt, hands with fingers, shoes. All lengths are in heads
 * (U). */
#include "config.h"

#include "climberfigure.h"

#include <math.h>

/* A standing body is 7.6 heads high. */
#define BODY 7.6
#define CYCLE 4.0 /* seconds for the four moves: one hand or foot each */

typedef struct {
  double r, g, b;
} Colour;

static const Colour skin = {0.91, 0.70, 0.56};
static const Colour shirt = {0.27, 0.51, 0.80};
static const Colour trousers = {0.22, 0.23, 0.29};
static const Colour shoes = {0.82, 0.20, 0.17};
static const Colour hair = {0.23, 0.14, 0.09};

/* ---- where the joints are ----------------------------------------------------------------- */

static ClimberPoint
add (ClimberPoint p, double u, double x, double y)
{
  return (ClimberPoint){p.x + x * u, p.y + y * u};
}

static ClimberPoint
mix (ClimberPoint a, ClimberPoint b, double t)
{
  return (ClimberPoint){a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t};
}

/* Two bones from @root to @target; the joint between them lies on the side @bend. Shortens the
 * reach when the target is too far. */
static ClimberPoint
solve (ClimberPoint root, ClimberPoint *target, double first, double second, double bend)
{
  double dx = target->x - root.x, dy = target->y - root.y;
  double distance = hypot (dx, dy);
  double reach = fmin (fmax (distance, fabs (first - second) * 1.05), (first + second) * 0.995);
  if (distance < 1e-6) {
    dx = 0;
    dy = distance = 1;
  }
  dx /= distance;
  dy /= distance;
  *target = (ClimberPoint){root.x + dx * reach, root.y + dy * reach};
  double along = (first * first - second * second + reach * reach) / (2 * reach);
  double off = sqrt (fmax (first * first - along * along, 0)) * bend;
  return (ClimberPoint){root.x + dx * along - dy * off, root.y + dy * along + dx * off};
}

/* 0 → 1 → 0 over the cycle, moving only in its own quarter and the one after it. */
static double
raised (double seconds, double phase)
{
  double t = fmod (seconds / CYCLE - phase + 2, 1.0);
  double up = t < 0.25 ? t * 4 : t < 0.5 ? 1 : t < 0.75 ? (0.75 - t) * 4 : 0;
  return 0.5 - 0.5 * cos (up * G_PI);
}

typedef struct {
  ClimberPoint hand[2], foot[2]; /* relative to the hips, in heads; 0 is the viewer's left */
} Targets;

static Targets
climbing (double seconds)
{
  static const ClimberPoint hand_low[2] = {{-1.75, -3.1}, {1.85, -3.3}};
  static const ClimberPoint hand_high[2] = {{-1.15, -4.5}, {1.05, -4.65}};
  static const ClimberPoint foot_low[2] = {{-1.1, 3.1}, {1.15, 3.0}};
  static const ClimberPoint foot_high[2] = {{-1.45, 1.95}, {1.5, 1.9}};
  Targets t;
  for (guint side = 0; side < 2; side++) {
    t.hand[side] = mix (hand_low[side], hand_high[side], raised (seconds, side * 0.5));
    t.foot[side] = mix (foot_low[side], foot_high[side], raised (seconds, 0.25 + side * 0.5));
  }
  return t;
}

static Targets
standing (double seconds)
{
  double swing = 0.08 * sin (seconds * 2 * G_PI / CYCLE);
  return (Targets){{{-1.35, 0.15 + swing}, {1.35, 0.15 - swing}}, {{-0.55, 3.6}, {0.55, 3.6}}};
}

/**
 * climber_pose:
 * @seconds: of the animation
 * @x: @y: middle of the body, in pixels
 * @height: of the standing body, in pixels
 */
void
climber_pose (
    ClimberPose *pose, ClimberView view, double seconds, double x, double y, double height)
{
  double u = height / BODY;
  double sway = view == CLIMBER_STAND ? 0.02 : 0.12;
  double lean = sway * sin (seconds * 2 * G_PI / CYCLE);
  double lift = view == CLIMBER_STAND ? 0 : 0.1 * sin (seconds * 4 * G_PI / CYCLE);
  Targets t = view == CLIMBER_STAND ? standing (seconds) : climbing (seconds);
  pose->unit = u;
  pose->hips = (ClimberPoint){x + lean * u, y + (0.55 + lift) * u};
  pose->neck = add (pose->hips, u, -0.3 * lean, -2.55);
  pose->head = add (pose->neck, u, 0, -0.72);
  /* From behind the person's left is the viewer's left; from the front it is the right. */
  guint left = view == CLIMBER_BACK ? 0 : 1;
  for (guint side = 0; side < 2; side++) {
    double sign = side ? 1 : -1;
    guint who = side == left ? 0 : 1; /* 0: the person's left */
    ClimberPoint shoulder = add (pose->hips, u, sign * 0.87 - 0.3 * lean, -2.3);
    ClimberPoint hip = add (pose->hips, u, sign * 0.42, 0);
    ClimberPoint wrist = add (pose->hips, u, t.hand[side].x, t.hand[side].y);
    ClimberPoint ankle = add (pose->hips, u, t.foot[side].x, t.foot[side].y);
    double elbow_bend = view == CLIMBER_STAND ? sign : -sign;
    ClimberPoint elbow = solve (shoulder, &wrist, 1.45 * u, 1.2 * u, -elbow_bend);
    ClimberPoint knee = solve (hip, &ankle, 1.85 * u, 1.8 * u, -sign);
    pose->joints[CLIMBER_LEFT_SHOULDER + who] = shoulder;
    pose->joints[CLIMBER_LEFT_ELBOW + who] = elbow;
    pose->joints[CLIMBER_LEFT_WRIST + who] = wrist;
    pose->joints[CLIMBER_LEFT_HIP + who] = hip;
    pose->joints[CLIMBER_LEFT_KNEE + who] = knee;
    pose->joints[CLIMBER_LEFT_ANKLE + who] = ankle;
    pose->fingers[side] = mix (elbow, wrist, 1.42);
    pose->toes[side] = add (ankle, u, sign * 0.5, 0.22);
  }
  pose->joints[CLIMBER_NOSE] = add (pose->head, u, 0, 0.06);
}

/* ---- painting ----------------------------------------------------------------------------- */

static void
set_shaded (cairo_t *cr, Colour c, double shade)
{
  cairo_set_source_rgb (cr, fmin (c.r * shade, 1), fmin (c.g * shade, 1), fmin (c.b * shade, 1));
}

static void
add_stop (cairo_pattern_t *pattern, double at, Colour c, double shade)
{
  cairo_pattern_add_color_stop_rgb (
      pattern, at, fmin (c.r * shade, 1), fmin (c.g * shade, 1), fmin (c.b * shade, 1));
}

/* Fills the current path with light from the upper left, across a body of radius @r along a → b. */
static void
fill_round (cairo_t *cr, ClimberPoint a, ClimberPoint b, double r, Colour c)
{
  double dx = b.x - a.x, dy = b.y - a.y, length = fmax (hypot (dx, dy), 1e-6);
  double nx = -dy / length, ny = dx / length;
  if (nx + ny > 0) { /* the light side first */
    nx = -nx;
    ny = -ny;
  }
  cairo_pattern_t *pattern =
      cairo_pattern_create_linear (a.x + nx * r, a.y + ny * r, a.x - nx * r, a.y - ny * r);
  add_stop (pattern, 0, c, 0.85);
  add_stop (pattern, 0.3, c, 1.12);
  add_stop (pattern, 0.65, c, 0.9);
  add_stop (pattern, 1, c, 0.55);
  cairo_set_source (cr, pattern);
  cairo_fill (cr);
  cairo_pattern_destroy (pattern);
}

/* A tapered capsule. */
static void
draw_limb (cairo_t *cr, ClimberPoint a, ClimberPoint b, double ra, double rb, Colour c)
{
  double angle = atan2 (b.y - a.y, b.x - a.x);
  cairo_new_path (cr);
  cairo_arc (cr, a.x, a.y, ra, angle + G_PI_2, angle + 3 * G_PI_2);
  cairo_arc (cr, b.x, b.y, rb, angle - G_PI_2, angle + G_PI_2);
  cairo_close_path (cr);
  fill_round (cr, a, b, fmax (ra, rb), c);
}

static void
draw_hand (cairo_t *cr, ClimberPoint wrist, ClimberPoint tip, double u)
{
  double angle = atan2 (tip.y - wrist.y, tip.x - wrist.x);
  ClimberPoint palm = mix (wrist, tip, 0.45);
  draw_limb (cr, wrist, palm, 0.12 * u, 0.15 * u, skin);
  for (int finger = -1; finger <= 2; finger++) {
    double a = angle + finger * 0.22 - 0.1;
    ClimberPoint end = {palm.x + cos (a) * 0.36 * u, palm.y + sin (a) * 0.36 * u};
    draw_limb (cr, palm, end, 0.05 * u, 0.035 * u, skin);
  }
  ClimberPoint thumb = {palm.x + cos (angle - 1.0) * 0.3 * u, palm.y + sin (angle - 1.0) * 0.3 * u};
  draw_limb (cr, mix (wrist, palm, 0.4), thumb, 0.055 * u, 0.04 * u, skin);
}

static void
draw_arm (cairo_t *cr, const ClimberPose *p, guint who, guint side)
{
  double u = p->unit;
  ClimberPoint shoulder = p->joints[CLIMBER_LEFT_SHOULDER + who];
  ClimberPoint elbow = p->joints[CLIMBER_LEFT_ELBOW + who];
  ClimberPoint wrist = p->joints[CLIMBER_LEFT_WRIST + who];
  draw_limb (cr, shoulder, elbow, 0.25 * u, 0.19 * u, skin);
  draw_limb (cr, elbow, wrist, 0.19 * u, 0.12 * u, skin);
  draw_hand (cr, wrist, p->fingers[side], u);
  draw_limb (cr, shoulder, mix (shoulder, elbow, 0.62), 0.3 * u, 0.27 * u, shirt);
}

static void
draw_leg (cairo_t *cr, const ClimberPose *p, guint who, guint side)
{
  double u = p->unit;
  ClimberPoint hip = p->joints[CLIMBER_LEFT_HIP + who];
  ClimberPoint knee = p->joints[CLIMBER_LEFT_KNEE + who];
  ClimberPoint ankle = p->joints[CLIMBER_LEFT_ANKLE + who];
  draw_limb (cr, ankle, p->toes[side], 0.2 * u, 0.16 * u, shoes);
  draw_limb (cr, knee, ankle, 0.29 * u, 0.18 * u, trousers);
  draw_limb (cr, hip, knee, 0.42 * u, 0.29 * u, trousers);
}

static void
draw_torso (cairo_t *cr, const ClimberPose *p)
{
  double u = p->unit;
  ClimberPoint top = add (p->neck, u, 0, 0.2);
  cairo_new_path (cr);
  cairo_move_to (cr, top.x - 0.92 * u, top.y + 0.12 * u);
  cairo_curve_to (cr, top.x - 0.6 * u, top.y - 0.2 * u, top.x + 0.6 * u, top.y - 0.2 * u,
      top.x + 0.92 * u, top.y + 0.12 * u);
  cairo_curve_to (cr, top.x + 0.8 * u, top.y + 1.2 * u, p->hips.x + 0.62 * u, p->hips.y - u,
      p->hips.x + 0.68 * u, p->hips.y + 0.12 * u);
  cairo_line_to (cr, p->hips.x - 0.68 * u, p->hips.y + 0.12 * u);
  cairo_curve_to (cr, p->hips.x - 0.62 * u, p->hips.y - u, top.x - 0.8 * u, top.y + 1.2 * u,
      top.x - 0.92 * u, top.y + 0.12 * u);
  fill_round (cr, top, p->hips, 0.85 * u, shirt);
  set_shaded (cr, shirt, 0.6);
  cairo_set_line_width (cr, 0.045 * u);
  for (int fold = 1; fold <= 4; fold++) { /* folds of the shirt */
    double y = top.y + fold * 0.42 * u, w = (0.38 - 0.04 * fold) * u;
    cairo_move_to (cr, p->hips.x - 0.15 * u - w, y);
    cairo_curve_to (cr, p->hips.x - 0.15 * u - w / 2, y + 0.1 * u, p->hips.x - 0.15 * u + w / 2,
        y + 0.1 * u, p->hips.x - 0.15 * u + w, y - 0.04 * u);
    cairo_stroke (cr);
  }
}

static void
draw_ellipse (cairo_t *cr, double x, double y, double rx, double ry)
{
  cairo_save (cr);
  cairo_translate (cr, x, y);
  cairo_scale (cr, rx, ry);
  cairo_arc (cr, 0, 0, 1, 0, 2 * G_PI);
  cairo_restore (cr);
}

static void
draw_eye (cairo_t *cr, double x, double y, double u)
{
  cairo_set_source_rgb (cr, 0.97, 0.97, 0.97);
  draw_ellipse (cr, x, y, 0.075 * u, 0.045 * u);
  cairo_fill (cr);
  cairo_set_source_rgb (cr, 0.15, 0.1, 0.08);
  draw_ellipse (cr, x, y, 0.035 * u, 0.04 * u);
  cairo_fill (cr);
  set_shaded (cr, hair, 1);
  cairo_set_line_width (cr, 0.04 * u);
  cairo_move_to (cr, x - 0.1 * u, y - 0.1 * u);
  cairo_curve_to (
      cr, x - 0.05 * u, y - 0.14 * u, x + 0.05 * u, y - 0.14 * u, x + 0.1 * u, y - 0.1 * u);
  cairo_stroke (cr);
}

static void
draw_face (cairo_t *cr, ClimberPoint head, double u)
{
  draw_eye (cr, head.x - 0.16 * u, head.y - 0.06 * u, u);
  draw_eye (cr, head.x + 0.16 * u, head.y - 0.06 * u, u);
  set_shaded (cr, skin, 0.62);
  cairo_set_line_width (cr, 0.035 * u);
  cairo_move_to (cr, head.x + 0.01 * u, head.y - 0.04 * u);
  cairo_line_to (cr, head.x - 0.05 * u, head.y + 0.12 * u);
  cairo_line_to (cr, head.x + 0.04 * u, head.y + 0.13 * u);
  cairo_stroke (cr);
  cairo_set_source_rgb (cr, 0.62, 0.28, 0.25);
  cairo_set_line_width (cr, 0.05 * u);
  cairo_move_to (cr, head.x - 0.12 * u, head.y + 0.28 * u);
  cairo_curve_to (cr, head.x - 0.05 * u, head.y + 0.31 * u, head.x + 0.05 * u, head.y + 0.31 * u,
      head.x + 0.12 * u, head.y + 0.28 * u);
  cairo_stroke (cr);
}

static void
draw_head (cairo_t *cr, const ClimberPose *p, ClimberView view)
{
  double u = p->unit;
  ClimberPoint head = p->head;
  draw_limb (cr, add (head, u, 0, 0.35), add (p->neck, u, 0, 0.12), 0.18 * u, 0.2 * u, skin);
  for (int side = -1; side <= 1; side += 2) { /* ears */
    draw_ellipse (cr, head.x + side * 0.38 * u, head.y, 0.07 * u, 0.12 * u);
    set_shaded (cr, skin, 0.85);
    cairo_fill (cr);
  }
  draw_ellipse (cr, head.x, head.y, 0.38 * u, 0.55 * u);
  fill_round (cr, add (head, u, 0, -0.5), add (head, u, 0, 0.5), 0.4 * u, skin);
  if (view == CLIMBER_BACK) {
    draw_ellipse (cr, head.x, head.y - 0.08 * u, 0.39 * u, 0.47 * u);
    set_shaded (cr, hair, 1);
    cairo_fill (cr);
    return;
  }
  cairo_save (cr); /* a cap of hair: the top of the head */
  cairo_rectangle (cr, head.x - u, head.y - u, 2 * u, 0.78 * u);
  cairo_clip (cr);
  draw_ellipse (cr, head.x, head.y, 0.4 * u, 0.57 * u);
  set_shaded (cr, hair, 1);
  cairo_fill (cr);
  cairo_restore (cr);
  draw_face (cr, head, u);
  cairo_arc (cr, p->neck.x, p->neck.y + 0.13 * u, 0.24 * u, 0, G_PI); /* the collar */
  set_shaded (cr, skin, 0.95);
  cairo_fill (cr);
}

/* Draws the person over whatever is there. */
void
climber_draw (cairo_t *cr, const ClimberPose *pose, ClimberView view)
{
  guint left = view == CLIMBER_BACK ? 0 : 1;
  cairo_set_line_cap (cr, CAIRO_LINE_CAP_ROUND);
  for (guint side = 0; side < 2; side++)
    draw_leg (cr, pose, side == left ? 0 : 1, side);
  draw_torso (cr, pose);
  draw_head (cr, pose, view);
  for (guint side = 0; side < 2; side++)
    draw_arm (cr, pose, side == left ? 0 : 1, side);
}

static void
draw_hold (cairo_t *cr, double x, double y, double r, double angle, Colour c)
{
  cairo_set_source_rgba (cr, 0, 0, 0, 0.3);
  cairo_arc (cr, x + r * 0.25, y + r * 0.3, r, 0, 2 * G_PI);
  cairo_fill (cr);
  cairo_save (cr);
  cairo_translate (cr, x, y);
  cairo_rotate (cr, angle);
  cairo_scale (cr, r, r * 0.72);
  cairo_arc (cr, 0, 0, 1, 0, 2 * G_PI);
  cairo_restore (cr);
  set_shaded (cr, c, 1);
  cairo_fill (cr);
}

/* Panels with coloured holds; the same seed draws the same wall. */
void
climber_draw_wall (cairo_t *cr, int width, int height, guint32 seed)
{
  static const Colour colours[] = {
      {0.86, 0.2, 0.2}, {0.15, 0.3, 0.7}, {0.95, 0.75, 0.15}, {0.2, 0.55, 0.3}, {0.5, 0.2, 0.5}};
  cairo_pattern_t *light = cairo_pattern_create_linear (0, 0, width, height);
  cairo_pattern_add_color_stop_rgb (light, 0, 0.81, 0.72, 0.58);
  cairo_pattern_add_color_stop_rgb (light, 0.7, 0.61, 0.52, 0.39);
  cairo_set_source (cr, light);
  cairo_paint (cr);
  cairo_pattern_destroy (light);
  cairo_set_source_rgba (cr, 0.3, 0.22, 0.12, 0.45);
  cairo_set_line_width (cr, fmax (height / 360.0, 1));
  for (int i = 1; i < 5; i++) {
    cairo_move_to (cr, width * i / 5.0, 0);
    cairo_line_to (cr, width * i / 5.0, height);
    cairo_move_to (cr, 0, height * i / 3.0);
    cairo_line_to (cr, width, height * i / 3.0);
    cairo_stroke (cr);
  }
  g_autoptr (GRand) random = g_rand_new_with_seed (seed);
  for (int i = 0; i < 60; i++) {
    double x = g_rand_double_range (random, 0, width), y = g_rand_double_range (random, 0, height);
    double r = g_rand_double_range (random, 0.012, 0.036) * height;
    double angle = g_rand_double_range (random, 0, G_PI);
    draw_hold (cr, x, y, r, angle, colours[g_rand_int_range (random, 0, G_N_ELEMENTS (colours))]);
  }
}
