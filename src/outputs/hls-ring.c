/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "hls-ring.h"

#include <math.h>
#include <string.h>

/* A segment is at least so long (two seconds, rounded by a camera), and as much longer as its
 * camera's keyframes are apart. */
#define SEGMENT_MIN (1950 * GST_MSECOND)
/* In a playlist, and those kept besides for who read it a moment ago. */
#define LISTED 6
#define KEPT (LISTED + 3)
#define BYTES_MAX (96u << 20)
/* Parts are named for so many segments from the end: three target durations. */
#define WITH_PARTS 3
/* Slower pictures than this make no parts of even length. A stream is slow when more than one in
 * SLOW_RATIO of its RECENT pictures are; fewer than SLOW_MIN say nothing yet. RECENT is some
 * seconds: a camera that becomes slow is soon found out. */
#define FRAME_MAX (SPT_HLS_PART / 3)
#define SLOW_RATIO 10
#define SLOW_MIN 3
#define RECENT 128
#define GAP (1 * GST_SECOND)
/* A segment whose keyframe does not come is not filled any further. */
#define SEGMENT_BYTES_MAX (32u << 20)
#define PART_HOLD_BACK 3 /* parts */
#define INITS_MAX 50000

/* What a closed part holds lies in its fragments until somebody asks; then in one block, shared by
 * all who ask. Once the whole segment was asked for, there is one block for it and its parts are
 * slices of that: the ring keeps no byte twice, at the price of a second copy where viewers ask for
 * both. */
typedef struct {
  GPtrArray *fragments; /* of GstBuffer; empty when there is a block */
  GBytes *block;        /* (nullable) */
  gsize size;
  GstClockTime duration;
  gboolean independent; /* begins with a keyframe */
} Part;

typedef struct {
  guint64 number;
  GPtrArray *parts; /* of Part; the last one may be under way */
  GstClockTime duration;
  gint64 wall; /* ns since 1970 */
  guint init;  /* its version */
  gboolean discontinuity;
  GBytes *block; /* (nullable): of all parts */
  gsize size;
} Segment;

struct _SptHlsRing {
  GQueue segments;  /* of Segment; the last one is under way */
  GPtrArray *inits; /* of GBytes; the version is the index and first_init */
  guint first_init;
  char *codecs;
  guint64 next, discontinuities;  /* number of the next segment; of those that have left */
  GstClockTime start, part_start; /* PTS of the segment and the part under way */
  GstClockTime last, frame;       /* PTS of the newest picture, and the one before it */
  GstClockTime longest;           /* segment */
  double bandwidth;               /* bits per second, of the widest segment */
  guint pictures, slow;           /* of late, and those of them slower than FRAME_MAX */
  gboolean dropping;              /* until the next keyframe */
  gboolean fresh_init;
};

static void
part_free (gpointer data)
{
  Part *part = data;
  g_ptr_array_unref (part->fragments);
  g_clear_pointer (&part->block, g_bytes_unref);
  g_free (part);
}

static void
segment_free (gpointer data)
{
  Segment *segment = data;
  g_ptr_array_unref (segment->parts);
  g_clear_pointer (&segment->block, g_bytes_unref);
  g_free (segment);
}

SptHlsRing *
spt_hls_ring_new (void)
{
  SptHlsRing *self = g_new0 (SptHlsRing, 1);
  g_queue_init (&self->segments);
  self->inits = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  self->last = GST_CLOCK_TIME_NONE;
  /* Numbers go on where an earlier ring of the stream stopped, or after. */
  self->next = (guint64)(g_get_real_time () / G_USEC_PER_SEC);
  self->first_init = (guint)(self->next % INITS_MAX);
  return self;
}

void
spt_hls_ring_free (SptHlsRing *self)
{
  g_queue_clear_full (&self->segments, segment_free);
  g_ptr_array_unref (self->inits);
  g_free (self->codecs);
  g_free (self);
}

/* ---- filling ------------------------------------------------------------------------------ */

/* What follows needs another init segment. @codecs: as in a media type */
void
spt_hls_ring_set_init (SptHlsRing *self, GstBuffer *init, const char *codecs)
{
  gpointer data;
  gsize size;
  gst_buffer_extract_dup (init, 0, (gsize)-1, &data, &size);
  g_ptr_array_add (self->inits, g_bytes_new_take (data, size));
  g_free (self->codecs);
  self->codecs = g_strdup (codecs);
  self->fresh_init = TRUE;
}

static Segment *
current (SptHlsRing *self)
{
  return g_queue_peek_tail (&self->segments);
}

static Part *
last_part (Segment *segment)
{
  return segment->parts->len ? g_ptr_array_index (segment->parts, segment->parts->len - 1) : NULL;
}

static void
close_part (SptHlsRing *self, GstClockTime now)
{
  Part *part = last_part (current (self));
  part->duration = now - self->part_start;
}

static void
open_part (SptHlsRing *self, gboolean independent, GstClockTime now)
{
  Part *part = g_new0 (Part, 1);
  part->fragments = g_ptr_array_new_with_free_func ((GDestroyNotify)gst_buffer_unref);
  part->independent = independent;
  g_ptr_array_add (current (self)->parts, part);
  self->part_start = now;
}

static void
drop_old (SptHlsRing *self)
{
  gsize size = 0;
  for (GList *l = self->segments.head; l; l = l->next)
    size += ((Segment *)l->data)->size;
  while (self->segments.length > KEPT + 1 || (size > BYTES_MAX && self->segments.length > 4)) {
    Segment *oldest = g_queue_pop_head (&self->segments);
    size -= oldest->size;
    self->discontinuities += oldest->discontinuity;
    segment_free (oldest);
  }
}

static void
close_segment (SptHlsRing *self, GstClockTime now)
{
  Segment *segment = current (self);
  close_part (self, now);
  segment->duration = now - self->start;
  self->longest = MAX (self->longest, segment->duration);
  GstClockTime duration = MAX (segment->duration, GST_SECOND / 10);
  self->bandwidth = MAX (self->bandwidth, (double)segment->size * 8e9 / (double)duration);
}

static void
open_segment (SptHlsRing *self, GstClockTime now, gint64 wall, gboolean discontinuity)
{
  Segment *segment = g_new0 (Segment, 1);
  segment->number = self->next++;
  segment->parts = g_ptr_array_new_with_free_func (part_free);
  segment->wall = wall;
  segment->init = self->first_init + self->inits->len - 1;
  segment->discontinuity = discontinuity;
  g_queue_push_tail (&self->segments, segment);
  self->start = now;
  self->fresh_init = FALSE;
  open_part (self, TRUE, now);
  drop_old (self);
}

/* The older they are, the less they count. */
static void
count_picture (SptHlsRing *self, gboolean slow)
{
  self->pictures++;
  self->slow += slow;
  if (self->pictures == RECENT) {
    self->pictures /= 2;
    self->slow /= 2;
  }
}

/* A picture: it may begin a segment, or a part. */
static void
place (SptHlsRing *self, gboolean keyframe, GstClockTime pts, gint64 wall)
{
  gboolean first = self->last == GST_CLOCK_TIME_NONE;
  gboolean lost = self->dropping && keyframe;
  if (self->dropping && !keyframe)
    return;
  self->dropping = FALSE;
  gboolean back = !first && pts < self->last;
  GstClockTime step = first || back ? 0 : pts - self->last;
  gboolean gap = back || (self->frame && step > MAX (GAP, 3 * self->frame));
  GstClockTime end = gap ? self->last + self->frame : pts;
  if (step && !gap) {
    self->frame = step;
    count_picture (self, step > FRAME_MAX);
  }
  if (keyframe && (first || gap || lost || self->fresh_init || pts - self->start >= SEGMENT_MIN)) {
    if (!first)
      close_segment (self, end);
    open_segment (self, pts, wall, gap || lost || (self->fresh_init && !first));
  } else if (pts > self->part_start && pts - self->part_start + self->frame > SPT_HLS_PART) {
    close_part (self, pts);
    open_part (self, keyframe, pts);
  }
  self->last = pts;
}

/**
 * spt_hls_ring_push:
 * @fragment: of the track that the init segment describes, in order, beginning with a keyframe;
 *   shared, not copied
 * @first_track: it is of the track whose keyframes count: the picture, if there is one
 * @wall: ns since 1970 that its PTS stands for
 */
void
spt_hls_ring_push (SptHlsRing *self, GstBuffer *fragment, gboolean first_track, gint64 wall)
{
  gboolean keyframe = !GST_BUFFER_FLAG_IS_SET (fragment, GST_BUFFER_FLAG_DELTA_UNIT);
  if (!self->inits->len || (!self->segments.length && !(first_track && keyframe)))
    return;
  if (first_track)
    place (self, keyframe, GST_BUFFER_PTS (fragment), wall);
  Segment *segment = current (self);
  self->dropping |= segment && segment->size > SEGMENT_BYTES_MAX;
  if (!segment || self->dropping)
    return;
  Part *part = last_part (segment);
  gsize size = gst_buffer_get_size (fragment);
  g_ptr_array_add (part->fragments, gst_buffer_ref (fragment));
  part->size += size;
  segment->size += size;
}

/* ---- asking ------------------------------------------------------------------------------- */

/* A segment is whole: there is something to list. */
gboolean
spt_hls_ring_is_ready (SptHlsRing *self)
{
  return self->segments.length > 1;
}

static Segment *
find (SptHlsRing *self, guint64 number)
{
  for (GList *l = self->segments.tail; l; l = l->prev)
    if (((Segment *)l->data)->number == number)
      return l->data;
  return NULL;
}

static gboolean
is_whole (SptHlsRing *self, const Segment *segment)
{
  return segment != current (self);
}

/* @part: -1: the whole segment; one past a segment's last is the first of the next. TRUE also for
 * what is long past. */
gboolean
spt_hls_ring_has (SptHlsRing *self, guint64 number, int part)
{
  Segment *segment = find (self, number);
  if (!segment)
    return number < self->next;
  if (is_whole (self, segment))
    return part < (int)segment->parts->len || spt_hls_ring_has (self, number + 1, 0);
  return part >= 0 && part + 1 < (int)segment->parts->len;
}

/* Farther ahead than a client may ask for. */
gboolean
spt_hls_ring_is_too_far (SptHlsRing *self, guint64 segment)
{
  return segment > self->next + 1;
}

/* Playlists name parts: pictures come quickly enough. */
gboolean
spt_hls_ring_has_parts (SptHlsRing *self)
{
  return self->slow < SLOW_MIN || self->slow * SLOW_RATIO <= self->pictures;
}

/* Seconds; EXT-X-TARGETDURATION */
guint
spt_hls_ring_target (SptHlsRing *self)
{
  GstClockTime longest = MAX (self->longest, SEGMENT_MIN);
  return (guint)((longest + GST_SECOND / 2) / GST_SECOND);
}

/* (transfer full) (nullable): an init segment */
GBytes *
spt_hls_ring_get_init (SptHlsRing *self, guint version)
{
  guint index = version - self->first_init;
  return index < self->inits->len ? g_bytes_ref (g_ptr_array_index (self->inits, index)) : NULL;
}

/* @to: part->size bytes */
static void
copy_part (const Part *part, guint8 *to)
{
  if (part->block && part->size)
    memcpy (to, g_bytes_get_data (part->block, NULL), part->size);
  for (guint i = 0; i < part->fragments->len; i++)
    to += gst_buffer_extract (g_ptr_array_index (part->fragments, i), 0, to, (gsize)-1);
}

/* @block: (transfer full) */
static void
set_block (Part *part, GBytes *block)
{
  g_clear_pointer (&part->block, g_bytes_unref);
  part->block = block;
  g_ptr_array_set_size (part->fragments, 0);
}

/* (transfer none); the part is closed */
static GBytes *
part_block (Part *part)
{
  if (!part->block) {
    guint8 *data = g_malloc (part->size);
    copy_part (part, data);
    set_block (part, g_bytes_new_take (data, part->size));
  }
  return part->block;
}

/* (transfer none); the segment is whole */
static GBytes *
segment_block (Segment *segment)
{
  if (segment->block)
    return segment->block;
  guint8 *data = g_malloc (segment->size);
  gsize offset = 0;
  for (guint i = 0; i < segment->parts->len; i++) {
    const Part *part = g_ptr_array_index (segment->parts, i);
    copy_part (part, data + offset);
    offset += part->size;
  }
  segment->block = g_bytes_new_take (data, segment->size);
  offset = 0;
  for (guint i = 0; i < segment->parts->len; i++) {
    Part *part = g_ptr_array_index (segment->parts, i);
    set_block (part, g_bytes_new_from_bytes (segment->block, offset, part->size));
    offset += part->size;
  }
  return segment->block;
}

/* (transfer full) (nullable): a segment (@part -1) or one of its parts, if it is there and whole;
 * the same one for all who ask */
GBytes *
spt_hls_ring_get (SptHlsRing *self, guint64 number, int part)
{
  Segment *segment = find (self, number);
  if (!segment || !spt_hls_ring_has (self, number, part) || part >= (int)segment->parts->len)
    return NULL;
  return g_bytes_ref (part < 0 ? segment_block (segment)
                               : part_block (g_ptr_array_index (segment->parts, (guint)part)));
}

/* ---- writing ------------------------------------------------------------------------------ */

static double
seconds (GstClockTime time)
{
  return (double)time / GST_SECOND;
}

/**
 * spt_hls_ring_master:
 * @query: what follows the `?` of every address, such as "src=camera"
 *
 * Returns: (transfer full): the multivariant playlist
 */
char *
spt_hls_ring_master (SptHlsRing *self, const char *query)
{
  return g_strdup_printf ("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"
                          "#EXT-X-STREAM-INF:BANDWIDTH=%.0f,CODECS=\"%s\"\n"
                          "hls/playlist.m3u8?%s\n",
      ceil (self->bandwidth * 1.1), self->codecs, query);
}

static void
put_head (SptHlsRing *self, GString *text, GList *listed, gboolean parts)
{
  const Segment *first = listed->data;
  guint64 discontinuities = self->discontinuities;
  for (GList *l = listed; l; l = l->prev)
    discontinuities += ((Segment *)l->data)->discontinuity;
  g_string_append_printf (text, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-TARGETDURATION:%u\n",
      parts ? 9 : 7, spt_hls_ring_target (self));
  if (parts)
    g_string_append_printf (text,
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=%.3f\n"
        "#EXT-X-PART-INF:PART-TARGET=%.3f\n",
        PART_HOLD_BACK * seconds (SPT_HLS_PART), seconds (SPT_HLS_PART));
  g_string_append_printf (text, "#EXT-X-MEDIA-SEQUENCE:%" G_GUINT64_FORMAT "\n", first->number);
  if (discontinuities)
    g_string_append_printf (
        text, "#EXT-X-DISCONTINUITY-SEQUENCE:%" G_GUINT64_FORMAT "\n", discontinuities);
}

static void
put_date (GString *text, gint64 wall)
{
  g_autoptr (GDateTime) whole = g_date_time_new_from_unix_utc (wall / (gint64)GST_SECOND);
  g_autofree char *date = g_date_time_format (whole, "%Y-%m-%dT%H:%M:%S");
  g_string_append_printf (text, "#EXT-X-PROGRAM-DATE-TIME:%s.%03dZ\n", date,
      (int)(wall % (gint64)GST_SECOND / (gint64)GST_MSECOND));
}

static void
put_parts (SptHlsRing *self, GString *text, const Segment *segment, const char *query)
{
  guint n = segment->parts->len - (is_whole (self, segment) ? 0 : 1);
  for (guint i = 0; i < n; i++) {
    const Part *part = g_ptr_array_index (segment->parts, i);
    g_string_append_printf (text,
        "#EXT-X-PART:DURATION=%.5f,URI=\"part.m4s?%s&n=%" G_GUINT64_FORMAT "&part=%u\"%s\n",
        seconds (part->duration), query, segment->number, i,
        part->independent ? ",INDEPENDENT=YES" : "");
  }
  if (!is_whole (self, segment))
    g_string_append_printf (text,
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part.m4s?%s&n=%" G_GUINT64_FORMAT "&part=%u\"\n",
        query, segment->number, n);
}

/**
 * spt_hls_ring_playlist:
 * @low_latency: with parts; without them where pictures come too slowly
 *
 * Returns: (transfer full): the media playlist; the ring is ready
 */
char *
spt_hls_ring_playlist (SptHlsRing *self, const char *query, gboolean low_latency)
{
  GString *text = g_string_new (NULL);
  gboolean parts = low_latency && spt_hls_ring_has_parts (self);
  guint whole = self->segments.length - 1;
  guint skip = whole > LISTED ? whole - LISTED : 0;
  int init = -1;
  GList *first = g_queue_peek_nth_link (&self->segments, skip);
  put_head (self, text, first, parts);
  for (GList *l = first; l; l = l->next) {
    const Segment *segment = l->data;
    gboolean under_way = !is_whole (self, segment);
    if (under_way && !parts)
      break;
    if (segment->discontinuity && l != first)
      g_string_append (text, "#EXT-X-DISCONTINUITY\n");
    if (init != (int)segment->init)
      g_string_append_printf (text, "#EXT-X-MAP:URI=\"init.mp4?%s&v=%u\"\n", query, segment->init);
    init = (int)segment->init;
    put_date (text, segment->wall);
    if (parts && (guint)g_queue_link_index (&self->segments, l) + WITH_PARTS + 1 > whole)
      put_parts (self, text, segment, query);
    if (!under_way)
      g_string_append_printf (text, "#EXTINF:%.5f,\nsegment.m4s?%s&n=%" G_GUINT64_FORMAT "\n",
          seconds (segment->duration), query, segment->number);
  }
  return g_string_free (text, FALSE);
}
