/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every format is two grids of samples: that of the first component (luma, or red) and that of the
 * two others (chroma at its own size, or green and blue in the same place). Each is read with
 * bilinear weights, then range and matrix of the colours are applied as one affine map. */
#include "config.h"

#include "posesample.h"

#include <math.h>

/* Samples of one size: where they are in memory and how pixels of the image meet them. */
typedef struct {
  const guint8 *data[3]; /* of its one to three components */
  int pixel_stride, stride;
  float last_x, last_y;     /* the last sample's place */
  float scale_x, scale_y;   /* samples per pixel of the image */
  float offset_x, offset_y; /* sample place of the middle of the image's first pixel */
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

/* The four samples round a place, and their weights. */
typedef struct {
  gsize nw, ne, sw, se; /* offsets in bytes */
  float wx, wy;
} Taps;

/**
 * pose_sample_can:
 *
 * Returns: whether pose_sample() understands the format.
 */
gboolean
pose_sample_can (const GstVideoInfo *info)
{
  const GstVideoFormatInfo *format = info->finfo;
  if (!format || GST_VIDEO_INFO_WIDTH (info) < 1 || GST_VIDEO_INFO_HEIGHT (info) < 1)
    return FALSE;
  guint n = GST_VIDEO_FORMAT_INFO_N_COMPONENTS (format);
  if (GST_VIDEO_FORMAT_INFO_IS_COMPLEX (format) || GST_VIDEO_FORMAT_INFO_IS_TILED (format) ||
      GST_VIDEO_FORMAT_INFO_HAS_PALETTE (format) || GST_VIDEO_FORMAT_INFO_BITS (format) != 8)
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (GST_VIDEO_FORMAT_INFO_DEPTH (format, i) != 8 || GST_VIDEO_FORMAT_INFO_SHIFT (format, i))
      return FALSE;
  if (GST_VIDEO_FORMAT_INFO_IS_GRAY (format))
    return n == 1;
  if (n < 3 || !(GST_VIDEO_FORMAT_INFO_IS_YUV (format) || GST_VIDEO_FORMAT_INFO_IS_RGB (format)))
    return FALSE;
  return GST_VIDEO_FORMAT_INFO_W_SUB (format, 1) == GST_VIDEO_FORMAT_INFO_W_SUB (format, 2) &&
         GST_VIDEO_FORMAT_INFO_H_SUB (format, 1) == GST_VIDEO_FORMAT_INFO_H_SUB (format, 2) &&
         GST_VIDEO_FORMAT_INFO_PSTRIDE (format, 1) == GST_VIDEO_FORMAT_INFO_PSTRIDE (format, 2);
}

/* The grid of components @first … @last. Subsampled ones lie between the pixels, or on the even
 * ones in the directions that the caps call cosited. */
static Grid
make_grid (const GstVideoFrame *frame, guint first, guint last)
{
  const GstVideoFormatInfo *format = frame->info.finfo;
  guint wide = 1u << GST_VIDEO_FORMAT_INFO_W_SUB (format, first);
  guint high = 1u << GST_VIDEO_FORMAT_INFO_H_SUB (format, first);
  GstVideoChromaSite site = frame->info.chroma_site;
  Grid grid = {
      .pixel_stride = GST_VIDEO_FRAME_COMP_PSTRIDE (frame, first),
      .stride = GST_VIDEO_FRAME_COMP_STRIDE (frame, first),
      .last_x = (float)(GST_VIDEO_FRAME_COMP_WIDTH (frame, first) - 1),
      .last_y = (float)(GST_VIDEO_FRAME_COMP_HEIGHT (frame, first) - 1),
      .scale_x = 1.f / wide,
      .scale_y = 1.f / high,
      .offset_x = site & GST_VIDEO_CHROMA_SITE_H_COSITED ? 0 : .5f / wide - .5f,
      .offset_y = site & GST_VIDEO_CHROMA_SITE_V_COSITED ? 0 : .5f / high - .5f,
  };
  for (guint i = first; i <= last; i++)
    grid.data[i - first] = GST_VIDEO_FRAME_COMP_DATA (frame, i);
  return grid;
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
  return value > low ? (value < high ? value : high) : low;
}

static inline Taps
taps_at (const Grid *grid, float x, float y)
{
  float sx = clip (x * grid->scale_x + grid->offset_x, 0, grid->last_x);
  float sy = clip (y * grid->scale_y + grid->offset_y, 0, grid->last_y);
  int column = (int)sx, row = (int)sy;
  gsize right = (float)column < grid->last_x ? (gsize)grid->pixel_stride : 0;
  gssize below = (float)row < grid->last_y ? grid->stride : 0;
  gsize nw = (gsize)((gssize)row * grid->stride + (gssize)column * grid->pixel_stride);
  return (Taps){nw, nw + right, nw + (gsize)below, nw + (gsize)below + right, sx - (float)column,
      sy - (float)row};
}

static inline float
read_taps (const Taps *taps, const guint8 *data)
{
  float nw = data[taps->nw], ne = data[taps->ne], sw = data[taps->sw], se = data[taps->se];
  float north = nw + taps->wx * (ne - nw), south = sw + taps->wx * (se - sw);
  return north + taps->wy * (south - north);
}

static inline void
paint (const Colours *colours, float a, float b, float c, float *out)
{
  for (guint i = 0; i < 3; i++) {
    const float *m = colours->m[i];
    out[i] = clip (m[0] * a + m[1] * b + m[2] * c + m[3], colours->low, colours->high);
  }
}

/* One row of the tensor from (x, y) on; @second is NULL if all is in the first grid. */
static inline void
sample_row (const Grid *first, const Grid *second, guint n, const Colours *colours,
    const Path *path, double x, double y, guint side, float *out)
{
  for (guint i = 0; i < side; i++, out += 3) {
    float at_x = (float)(x + i * path->across_x), at_y = (float)(y + i * path->across_y);
    Taps taps = taps_at (first, at_x, at_y);
    float a = read_taps (&taps, first->data[0]), b = 0, c = 0;
    if (second) {
      taps = taps_at (second, at_x, at_y);
      b = read_taps (&taps, second->data[0]);
      c = read_taps (&taps, second->data[1]);
    } else if (n == 3) {
      b = read_taps (&taps, first->data[1]);
      c = read_taps (&taps, first->data[2]);
    }
    paint (colours, a, b, c, out);
  }
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

  gboolean planes = GST_VIDEO_INFO_IS_YUV (&frame->info);
  guint n = GST_VIDEO_INFO_IS_GRAY (&frame->info) ? 1 : 3;
  Grid luma = make_grid (frame, 0, planes || n == 1 ? 0 : 2);
  Grid chroma = planes ? make_grid (frame, 1, 2) : luma;
  Colours colours = make_colours (&frame->info, low, high);
  for (guint row = 0; row < side; row++, tensor += 3 * side) {
    double x = path.x + row * path.down_x, y = path.y + row * path.down_y;
    if (planes)
      sample_row (&luma, &chroma, 3, &colours, &path, x, y, side, tensor);
    else
      sample_row (&luma, NULL, n, &colours, &path, x, y, side, tensor);
    if (border == POSE_BORDER_ZERO)
      blacken_row (&frame->info, &path, x, y, side, low, tensor);
  }
}
