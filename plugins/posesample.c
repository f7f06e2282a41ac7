/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every format is one to three grids of samples, one for each component: all in the same places, or
 * chroma at its own size. Each is read with bilinear weights; then range and matrix of the colours
 * and the range that the model wants are applied as one affine map. */
#include "config.h"

#include "posesample.h"

#include <math.h>

/* The samples of a component: where they are in memory and how pixels of the image meet them. */
typedef struct {
  const guint8 *data;
  int pixel_stride, stride;
  int last_column, last_row;
  float scale_x, scale_y;   /* samples per pixel of the image */
  float offset_x, offset_y; /* which sample is in the middle of the image's first pixel */
  gboolean as_before;       /* the component before this one has its samples in the same places */
} Grid;

/* out[i] = m[i][0] a + m[i][1] b + m[i][2] c + m[i][3], clipped to low … high */
typedef struct {
  float m[3][4];
  float low, high;
} Colours;

/* The way from a cell of the tensor to the image, in units of pixels' middles. */
typedef struct {
  double x, y;               /* of the first cell */
  double across_x, across_y; /* one cell to the right */
  double down_x, down_y;     /* one row on */
} Path;

/* Of a frame: a float still tells its pixels apart. */
#define MAX_SIDE 65536

/* So many cells of a row are worked on at once, in loops that a compiler turns into vectors. */
#define CELLS 32

/* Where in a grid they are: the sample to the north-west, and how far on. */
typedef struct {
  gint32 column[CELLS], row[CELLS];
  float wx[CELLS], wy[CELLS];
} Places;

/**
 * pose_sample_can:
 *
 * Returns: whether pose_sample() understands the format.
 */
gboolean
pose_sample_can (const GstVideoInfo *info)
{
  const GstVideoFormatInfo *format = info->finfo;
  if (!format || GST_VIDEO_INFO_WIDTH (info) < 1 || GST_VIDEO_INFO_WIDTH (info) > MAX_SIDE ||
      GST_VIDEO_INFO_HEIGHT (info) < 1 || GST_VIDEO_INFO_HEIGHT (info) > MAX_SIDE)
    return FALSE;
  guint n = GST_VIDEO_FORMAT_INFO_N_COMPONENTS (format);
  if (GST_VIDEO_FORMAT_INFO_FORMAT (format) == GST_VIDEO_FORMAT_VYUY)
    return FALSE; /* GStreamer describes it as UYVY */
  if (GST_VIDEO_FORMAT_INFO_IS_COMPLEX (format) || GST_VIDEO_FORMAT_INFO_IS_TILED (format) ||
      GST_VIDEO_FORMAT_INFO_HAS_PALETTE (format) || GST_VIDEO_FORMAT_INFO_BITS (format) != 8)
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (GST_VIDEO_FORMAT_INFO_DEPTH (format, i) != 8 || GST_VIDEO_FORMAT_INFO_SHIFT (format, i))
      return FALSE;
  if (GST_VIDEO_FORMAT_INFO_IS_GRAY (format))
    return n == 1;
  return n >= 3 && (GST_VIDEO_FORMAT_INFO_IS_YUV (format) || GST_VIDEO_FORMAT_INFO_IS_RGB (format));
}

/* Subsampled components lie between the pixels, or on the even ones in the directions that the caps
 * call cosited. */
static Grid
make_grid (const GstVideoFrame *frame, guint n)
{
  const GstVideoFormatInfo *format = frame->info.finfo;
  int wide = 1 << GST_VIDEO_FORMAT_INFO_W_SUB (format, n);
  int high = 1 << GST_VIDEO_FORMAT_INFO_H_SUB (format, n);
  GstVideoChromaSite site = frame->info.chroma_site;
  return (Grid){
      .data = GST_VIDEO_FRAME_COMP_DATA (frame, n),
      .pixel_stride = GST_VIDEO_FRAME_COMP_PSTRIDE (frame, n),
      .stride = GST_VIDEO_FRAME_COMP_STRIDE (frame, n),
      .last_column = GST_VIDEO_FRAME_COMP_WIDTH (frame, n) - 1,
      .last_row = GST_VIDEO_FRAME_COMP_HEIGHT (frame, n) - 1,
      .scale_x = 1.f / (float)wide,
      .scale_y = 1.f / (float)high,
      .offset_x = site & GST_VIDEO_CHROMA_SITE_H_COSITED ? 0 : .5f / (float)wide - .5f,
      .offset_y = site & GST_VIDEO_CHROMA_SITE_V_COSITED ? 0 : .5f / (float)high - .5f,
      .as_before =
          n > 0 &&
          GST_VIDEO_FORMAT_INFO_W_SUB (format, n) == GST_VIDEO_FORMAT_INFO_W_SUB (format, n - 1) &&
          GST_VIDEO_FORMAT_INFO_H_SUB (format, n) == GST_VIDEO_FORMAT_INFO_H_SUB (format, n - 1),
  };
}

/* Range and matrix of the caps and the model's range in one. */
static Colours
make_colours (const GstVideoInfo *info, float low, float high)
{
  int offset[4], scale[4];
  gst_video_color_range_offsets (info->colorimetry.range, info->finfo, offset, scale);
  double rows[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}; /* of normalised components */
  if (GST_VIDEO_INFO_IS_GRAY (info)) {
    rows[1][0] = rows[2][0] = 1;
    rows[1][1] = rows[2][2] = 0;
  } else if (GST_VIDEO_INFO_IS_YUV (info)) {
    double kr, kb;
    if (!gst_video_color_matrix_get_Kr_Kb (info->colorimetry.matrix, &kr, &kb))
      gst_video_color_matrix_get_Kr_Kb (GST_VIDEO_COLOR_MATRIX_BT601, &kr, &kb);
    double kg = 1 - kr - kb;
    rows[0][0] = rows[1][0] = rows[2][0] = 1;
    rows[0][1] = rows[2][2] = 0;
    rows[0][2] = 2 * (1 - kr);
    rows[1][1] = -2 * (1 - kb) * kb / kg;
    rows[1][2] = -2 * (1 - kr) * kr / kg;
    rows[2][1] = 2 * (1 - kb);
  }
  Colours colours = {.low = MIN (low, high), .high = MAX (low, high)};
  for (guint i = 0; i < 3; i++) {
    double rest = low;
    for (guint k = 0; k < GST_VIDEO_INFO_N_COMPONENTS (info) && k < 3; k++) {
      double factor = rows[i][k] * (high - low) / MAX (scale[k], 1);
      colours.m[i][k] = (float)factor;
      rest -= factor * offset[k];
    }
    colours.m[i][3] = (float)rest;
  }
  return colours;
}

/* Not a number becomes @low. */
static inline float
clip (float value, float low, float high)
{
  value = value > low ? value : low; /* in this form each is one instruction */
  return value < high ? value : high;
}

static void
find_places (const Grid *grid, const float *x, const float *y, Places *out)
{
  for (guint i = 0; i < CELLS; i++) {
    float sx = clip (x[i] * grid->scale_x + grid->offset_x, 0, (float)grid->last_column);
    float sy = clip (y[i] * grid->scale_y + grid->offset_y, 0, (float)grid->last_row);
    out->column[i] = (gint32)sx;
    out->row[i] = (gint32)sy;
    out->wx[i] = sx - (float)out->column[i];
    out->wy[i] = sy - (float)out->row[i];
  }
}

static void
read_places (const Grid *grid, const Places *places, float *out)
{
  guint8 nw[CELLS], ne[CELLS], sw[CELLS], se[CELLS];
  for (guint i = 0; i < CELLS; i++) {
    gint32 column = places->column[i], row = places->row[i];
    const guint8 *north =
        grid->data + (gssize)row * grid->stride + (gssize)column * grid->pixel_stride;
    const guint8 *south = row < grid->last_row ? north + grid->stride : north;
    gssize right = column < grid->last_column ? grid->pixel_stride : 0;
    nw[i] = north[0];
    ne[i] = north[right];
    sw[i] = south[0];
    se[i] = south[right];
  }
  for (guint i = 0; i < CELLS; i++) {
    float north = nw[i] + places->wx[i] * (float)(ne[i] - nw[i]);
    float south = sw[i] + places->wx[i] * (float)(se[i] - sw[i]);
    out[i] = north + places->wy[i] * (south - north);
  }
}

/* @n_cells of a row, of @n components, from (x, y) on. */
static void
sample_cells (const Grid *grids, guint n, const Colours *colours, const Path *path, double x,
    double y, guint n_cells, float *out)
{
  float at_x[CELLS], at_y[CELLS], component[3][CELLS] = {{0}}, painted[3][CELLS];
  Places places;
  for (guint i = 0; i < CELLS; i++) {
    at_x[i] = (float)(x + i * path->across_x);
    at_y[i] = (float)(y + i * path->across_y);
  }
  for (guint c = 0; c < n; c++) {
    if (!grids[c].as_before)
      find_places (&grids[c], at_x, at_y, &places);
    read_places (&grids[c], &places, component[c]);
  }
  for (guint c = 0; c < 3; c++)
    for (guint i = 0; i < CELLS; i++)
      painted[c][i] =
          clip (colours->m[c][0] * component[0][i] + colours->m[c][1] * component[1][i] +
                    colours->m[c][2] * component[2][i] + colours->m[c][3],
              colours->low, colours->high);
  for (guint i = 0; i < n_cells; i++)
    for (guint c = 0; c < 3; c++)
      out[i * 3 + c] = painted[c][i];
}

/* Black wherever the row from (x, y) on is outside the image. */
static void
blacken_row (const GstVideoInfo *info, const Path *path, double x, double y, guint side, float low,
    float *out)
{
  double right = GST_VIDEO_INFO_WIDTH (info) - .5, bottom = GST_VIDEO_INFO_HEIGHT (info) - .5;
  for (guint i = 0; i < side; i++, out += 3) {
    double at_x = x + i * path->across_x, at_y = y + i * path->across_y;
    if (!(at_x >= -.5 && at_x <= right && at_y >= -.5 && at_y <= bottom))
      out[0] = out[1] = out[2] = low;
  }
}

/**
 * pose_sample:
 * @frame: mapped for reading, of a format that pose_sample_can() accepts
 * @rect: may lie anywhere; what is not a number samples somewhere in the frame
 * @low: what black becomes
 * @high: what white becomes
 * @tensor: (out): @side rows of @side cells of red, green, blue
 *
 * Samples at the middles of the cells, bilinearly, whatever the scale: models were trained so.
 */
void
pose_sample (const GstVideoFrame *frame, const PoseRect *rect, guint side, float low, float high,
    PoseBorder border, float *tensor)
{
  g_return_if_fail (side > 0 && pose_sample_can (&frame->info));
  double cosine = cos (rect->rotation), sine = sin (rect->rotation);
  Path path = {
      .across_x = cosine * rect->w / side,
      .across_y = sine * rect->w / side,
      .down_x = -sine * rect->h / side,
      .down_y = cosine * rect->h / side,
  };
  double first = .5 - side / 2.; /* cells from the middle */
  path.x = rect->cx + first * (path.across_x + path.down_x) - .5;
  path.y = rect->cy + first * (path.across_y + path.down_y) - .5;

  Grid grids[3];
  guint n = GST_VIDEO_INFO_IS_GRAY (&frame->info) ? 1 : 3;
  for (guint c = 0; c < n; c++)
    grids[c] = make_grid (frame, c);
  Colours colours = make_colours (&frame->info, low, high);
  for (guint row = 0; row < side; row++, tensor += 3 * side) {
    double x = path.x + row * path.down_x, y = path.y + row * path.down_y;
    for (guint i = 0; i < side; i += CELLS)
      sample_cells (grids, n, &colours, &path, x + i * path.across_x, y + i * path.across_y,
          MIN (side - i, CELLS), tensor + 3 * i);
    if (border == POSE_BORDER_ZERO)
      blacken_row (&frame->info, &path, x, y, side, low, tensor);
  }
}
