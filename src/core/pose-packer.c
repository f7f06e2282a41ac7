/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "pose-packer.h"

#include <math.h>

#include "packer.h"
#include "pipeline.h"
#include "posemeta.h"
#include "track.h"

/* Decimals: of a part of the picture (a tenth of a pixel is 0.0001), of a metre, of a visibility.
 */
#define PART 5
#define METRE 4
#define SHARE 3

typedef struct {
  SptTrack *out;
} Packer;

static gpointer
packer_new (SptTrack *const *inputs, guint n, SptTrack *out)
{
  Packer *self = g_new0 (Packer, 1);
  g_autoptr (GstCaps) caps = gst_caps_new_empty_simple ("application/x-pose");
  self->out = g_object_ref (out);
  spt_track_set_caps (out, caps);
  return self;
}

/* With a point in every locale; what is no number is 0. */
static void
append_number (GString *text, double value, guint decimals)
{
  static const double scales[] = {1, 10, 100, 1000, 1e4, 1e5, 1e6};
  char digits[24];
  guint n = 0;
  gint64 whole =
      isfinite (value) ? (gint64)llround (CLAMP (value, -1e9, 1e10) * scales[decimals]) : 0;
  guint64 rest = (guint64)ABS (whole);
  do {
    digits[n++] = (char)('0' + rest % 10);
    if (n == decimals)
      digits[n++] = '.';
    rest /= 10;
  } while (rest || n < decimals + 2);
  if (whole < 0)
    g_string_append_c (text, '-');
  while (n)
    g_string_append_c (text, digits[--n]);
}

static void
append_landmarks (GString *text, const char *name, const PoseLandmark *landmarks, guint decimals)
{
  g_string_append_printf (text, "\"%s\":[", name);
  for (guint i = 0; i < POSE_LANDMARKS; i++) {
    g_string_append (text, i ? ",{\"x\":" : "{\"x\":");
    append_number (text, landmarks[i].x, decimals);
    g_string_append (text, ",\"y\":");
    append_number (text, landmarks[i].y, decimals);
    g_string_append (text, ",\"z\":");
    append_number (text, landmarks[i].z, decimals);
    g_string_append (text, ",\"visibility\":");
    append_number (text, landmarks[i].visibility, SHARE);
    g_string_append_c (text, '}');
  }
  g_string_append_c (text, ']');
}

static void
append_person (GString *text, const GstPosePerson *person)
{
  append_landmarks (text, "landmarks", person->image, PART);
  g_string_append_c (text, ',');
  append_landmarks (text, "world_landmarks", person->world, METRE);
}

/* api.md 3: every list at the top holds objects only; several people stand in "persons", too. */
static void
append_pose (GString *text, const GstPoseMeta *meta)
{
  if (meta->n_people)
    append_person (text, &meta->people[0]);
  else
    g_string_append (text, "\"landmarks\":[],\"world_landmarks\":[]");
  g_string_append_printf (text, ",\"people\":%u", meta->n_people);
  for (guint i = 0; meta->n_people > 1 && i < meta->n_people; i++) {
    g_string_append_printf (text, "%s{\"id\":%u,", i ? "," : ",\"persons\":[", meta->people[i].id);
    append_person (text, &meta->people[i]);
    g_string_append (text, i + 1 == meta->n_people ? "}]" : "}");
  }
}

static void
packer_take (gpointer user_data, GstSample *sample, guint pad)
{
  Packer *self = user_data;
  GstBuffer *frame = gst_sample_get_buffer (sample);
  const GstPoseMeta *meta = gst_buffer_get_pose_meta (frame);
  GstClockTime pts = GST_BUFFER_PTS (frame), now = spt_clock_now ();
  int width = 0, height = 0;
  if (!meta || !meta->analysed || !GST_CLOCK_TIME_IS_VALID (pts))
    return;
  const GstStructure *s = gst_caps_get_structure (gst_sample_get_caps (sample), 0);
  gst_structure_get_int (s, "width", &width);
  gst_structure_get_int (s, "height", &height);
  GString *text = g_string_sized_new (6144);
  g_string_append (text, "\"timestamp\":");
  append_number (text, (double)spt_clock_wall (pts) / 1e9, 6);
  g_string_append_printf (
      text, ",\"pts\":%" G_GUINT64_FORMAT ",\"width\":%d,\"height\":%d,", pts, width, height);
  append_pose (text, meta);
  g_string_append (text, ",\"latency_ms\":");
  append_number (text, now > pts ? (double)(now - pts) / 1e6 : 0, 1);
  gsize size = text->len;
  GstBuffer *unit = gst_buffer_new_wrapped (g_string_free (text, FALSE), size);
  GST_BUFFER_PTS (unit) = pts;
  GST_BUFFER_OFFSET (unit) = meta->number;
  GST_BUFFER_OFFSET_END (unit) = meta->n_people;
  if (!meta->n_people)
    GST_BUFFER_FLAG_SET (unit, GST_BUFFER_FLAG_GAP);
  spt_track_push (self->out, unit);
}

static void
packer_free (gpointer user_data)
{
  Packer *self = user_data;
  g_object_unref (self->out);
  g_free (self);
}

/* How many people there are in it. */
guint
spt_pose_unit_people (GstBuffer *unit)
{
  return (guint)GST_BUFFER_OFFSET_END (unit);
}

const SptPacker spt_pose_packer = {
    .name = "pose", .new = packer_new, .take = packer_take, .free = packer_free};
