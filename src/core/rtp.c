/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GStreamer's payloaders without a pipeline around them: a unit is pushed into the payloader's sink
 * pad on the thread that feeds the branch, and its packets have come out of the other side when the
 * push returns. No thread, no queue, no delay, and it is known which packets make an access unit.
 *
 * Sender reports (RFC 3550, 6.4.1) travel in the units: one goes before each keyframe, for both
 * lanes, so that a joiner knows at once how sound and picture belong together, and one every
 * REPORT_INTERVAL. They map RTP time to the wall clock by way of PTS, which all tracks share. */
#include "config.h"

#include "rtp.h"

#include <gst/rtp/rtp.h>
#include <string.h>

#include "bytes.h"
#include "packer.h"
#include "pipeline.h"
#include "track.h"
#include "viewer.h"

/* What fits an Ethernet frame with IP and UDP headers and some room for a tunnel. */
#define MTU 1400
/* … and SRTP's tag, TURN's header: what WebRTC implementations agree on. */
#define WEBRTC_MTU 1200
#define REPORT_INTERVAL (5 * GST_SECOND)
#define REPORT_MAX 256
#define RTP_HEADER 12
/* Seconds from 1900 (NTP) to 1970 */
#define NTP_EPOCH G_GUINT64_CONSTANT (2208988800)

GST_DEBUG_CATEGORY_STATIC (spotter_rtp);
#define GST_CAT_DEFAULT spotter_rtp

/* Units have their parameter sets in them. With config-interval=-1 rtph264pay and rtph265pay put
 * them before every slice of a keyframe, too, and there receivers begin another picture. */
static const struct {
  const char *caps, *payloader;
  int pt; /* RFC 3551; dynamic ones from 96 on */
} payloaders[] = {
    {"video/x-h264", "rtph264pay config-interval=0 aggregate-mode=zero-latency", 96},
    {"video/x-h265", "rtph265pay config-interval=0 aggregate-mode=zero-latency", 96},
    {"video/x-vp8", "rtpvp8pay picture-id-mode=15-bit", 96},
    {"video/x-vp9", "rtpvp9pay picture-id-mode=15-bit", 96},
    {"image/jpeg", "rtpjpegpay", 26},
    {"audio/mpeg, mpegversion=4", "rtpmp4gpay", 97},
    {"audio/mpeg, mpegversion=1", "rtpmpapay", 14},
    {"audio/x-opus", "rtpopuspay", 97},
    {"audio/x-mulaw", "rtppcmupay", 0},
    {"audio/x-alaw", "rtppcmapay", 8},
};

static GstStaticPadTemplate out_template =
    GST_STATIC_PAD_TEMPLATE ("out", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

typedef struct _Rtp Rtp;

typedef struct {
  Rtp *owner;
  guint index;
  GstElement *payloader;
  GstPad *in, *out; /* ours, at either side of it */
  GstCaps *in_caps, *out_caps;
  GPtrArray *packets; /* of GstBuffer: what the current unit has become */
  guint32 ssrc;
  guint32 sent, octets;
  GstClockTime pts;      /* of the first packet of the last unit, */
  guint32 timestamp;     /* and its RTP time */
  GstClockTime reported; /* PTS at the last report */
} Lane;

struct _Rtp {
  SptTrack *out;
  guint n, mtu;
  char *cname;
  gboolean complained;
  Lane lanes[SPT_RTP_LANES];
};

/* ---- around the payloader ----------------------------------------------------------------- */

static GstFlowReturn
on_packet (GstPad *pad, GstObject *parent, GstBuffer *packet)
{
  Lane *lane = gst_pad_get_element_private (pad);
  g_ptr_array_add (lane->packets, packet);
  return GST_FLOW_OK;
}

static GstFlowReturn
on_packets (GstPad *pad, GstObject *parent, GstBufferList *list)
{
  Lane *lane = gst_pad_get_element_private (pad);
  for (guint i = 0; i < gst_buffer_list_length (list); i++)
    g_ptr_array_add (lane->packets, gst_buffer_ref (gst_buffer_list_get (list, i)));
  gst_buffer_list_unref (list);
  return GST_FLOW_OK;
}

/* "H264,MPEG4-GENERIC": another codec in the same track ends its viewers (net/sender.c). */
static void
publish_caps (Rtp *self)
{
  GString *codecs = g_string_new (NULL);
  g_autoptr (GstCaps) caps = gst_caps_new_empty_simple ("application/x-rtp");
  for (guint i = 0; i < self->n; i++) {
    Lane *lane = &self->lanes[i];
    if (!lane->out_caps)
      continue;
    const GstStructure *s = gst_caps_get_structure (lane->out_caps, 0);
    g_autofree char *name = g_strdup_printf ("lane%u", i);
    gst_caps_set_simple (caps, name, GST_TYPE_CAPS, lane->out_caps, NULL);
    g_string_append_printf (
        codecs, "%s%s", codecs->len ? "," : "", gst_structure_get_string (s, "encoding-name"));
  }
  gst_caps_set_simple (caps, "codecs", G_TYPE_STRING, codecs->str, NULL);
  g_string_free (codecs, TRUE);
  spt_track_set_caps (self->out, caps);
}

static gboolean
on_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  Lane *lane = gst_pad_get_element_private (pad);
  if (GST_EVENT_TYPE (event) == GST_EVENT_CAPS) {
    GstCaps *caps;
    gst_event_parse_caps (event, &caps);
    const GstStructure *s = gst_caps_get_structure (caps, 0);
    gst_structure_get_uint (s, "ssrc", &lane->ssrc);
    gst_caps_replace (&lane->out_caps, caps);
    publish_caps (lane->owner);
  }
  gst_event_unref (event);
  return TRUE;
}

static GstElement *
make_payloader (GstCaps *caps, guint mtu)
{
  for (guint i = 0; i < G_N_ELEMENTS (payloaders); i++) {
    g_autoptr (GstCaps) takes = gst_caps_from_string (payloaders[i].caps);
    if (!gst_caps_can_intersect (caps, takes))
      continue;
    GstElement *element =
        gst_parse_launch_full (payloaders[i].payloader, NULL, GST_PARSE_FLAG_FATAL_ERRORS, NULL);
    if (element)
      g_object_set (element, "pt", payloaders[i].pt, "mtu", mtu, "perfect-rtptime", FALSE, NULL);
    return element;
  }
  return NULL;
}

static void
lane_set_caps (Lane *lane, GstCaps *caps)
{
  if (lane->in_caps == caps || !lane->payloader)
    return;
  gst_caps_replace (&lane->in_caps, caps);
  gst_pad_push_event (lane->in, gst_event_new_caps (caps));
}

static void
lane_init (Rtp *self, guint index, SptTrack *input)
{
  Lane *lane = &self->lanes[index];
  g_autoptr (GstCaps) caps = spt_track_get_caps (input);
  lane->owner = self;
  lane->index = index;
  lane->packets = g_ptr_array_new_with_free_func ((GDestroyNotify)gst_buffer_unref);
  lane->reported = GST_CLOCK_TIME_NONE;
  lane->pts = GST_CLOCK_TIME_NONE;
  lane->payloader = caps ? make_payloader (caps, self->mtu) : NULL;
  if (!lane->payloader)
    return;
  gst_object_ref_sink (lane->payloader);
  lane->in = gst_object_ref_sink (gst_pad_new ("in", GST_PAD_SRC));
  /* Without a template a pad takes no other caps than those it has. */
  lane->out = gst_object_ref_sink (gst_pad_new_from_static_template (&out_template, "out"));
  gst_pad_set_element_private (lane->out, lane);
  gst_pad_set_chain_function (lane->out, on_packet);
  gst_pad_set_chain_list_function (lane->out, on_packets);
  gst_pad_set_event_function (lane->out, on_event);
  g_autoptr (GstPad) sink = gst_element_get_static_pad (lane->payloader, "sink");
  g_autoptr (GstPad) src = gst_element_get_static_pad (lane->payloader, "src");
  gst_pad_link (lane->in, sink);
  gst_pad_link (src, lane->out);
  gst_pad_set_active (lane->out, TRUE);
  gst_pad_set_active (lane->in, TRUE);
  gst_element_set_state (lane->payloader, GST_STATE_PLAYING);
  g_autofree char *id = g_strdup_printf ("lane%u", index);
  GstSegment segment;
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_pad_push_event (lane->in, gst_event_new_stream_start (id));
  lane_set_caps (lane, caps);
  gst_pad_push_event (lane->in, gst_event_new_segment (&segment));
}

static void
lane_clear (Lane *lane)
{
  if (lane->payloader) {
    gst_pad_set_active (lane->in, FALSE);
    gst_pad_set_active (lane->out, FALSE);
    gst_element_set_state (lane->payloader, GST_STATE_NULL);
    gst_object_unref (lane->payloader);
    gst_object_unref (lane->in);
    gst_object_unref (lane->out);
  }
  gst_clear_caps (&lane->in_caps);
  gst_clear_caps (&lane->out_caps);
  g_clear_pointer (&lane->packets, g_ptr_array_unref);
}

/* ---- units -------------------------------------------------------------------------------- */

static guint8 *
put_frame (guint8 *at, guint8 channel, gsize size)
{
  at[0] = '$';
  at[1] = channel;
  spt_put_be16 (at + 2, (guint16)size);
  return at + SPT_RTP_FRAME;
}

/* One sender report with our name, framed; its size. */
static gsize
put_report (Lane *lane, guint8 *at)
{
  GstRTCPBuffer rtcp = GST_RTCP_BUFFER_INIT;
  GstRTCPPacket packet;
  GstMapInfo map;
  gint64 wall = spt_clock_wall (lane->pts);
  guint64 seconds = (guint64)(wall / (gint64)GST_SECOND), rest = (guint64)wall % GST_SECOND;
  guint64 ntp =
      ((seconds + NTP_EPOCH) << 32) | gst_util_uint64_scale (rest, 1ull << 32, GST_SECOND);
  g_autoptr (GstBuffer) report = gst_rtcp_buffer_new (REPORT_MAX - SPT_RTP_FRAME);
  gst_rtcp_buffer_map (report, GST_MAP_READWRITE, &rtcp);
  gst_rtcp_buffer_add_packet (&rtcp, GST_RTCP_TYPE_SR, &packet);
  gst_rtcp_packet_sr_set_sender_info (
      &packet, lane->ssrc, ntp, lane->timestamp, lane->sent, lane->octets);
  gst_rtcp_buffer_add_packet (&rtcp, GST_RTCP_TYPE_SDES, &packet);
  gst_rtcp_packet_sdes_add_item (&packet, lane->ssrc);
  gst_rtcp_packet_sdes_add_entry (&packet, GST_RTCP_SDES_CNAME, (guint8)strlen (lane->owner->cname),
      (const guint8 *)lane->owner->cname);
  gst_rtcp_buffer_unmap (&rtcp);
  gst_buffer_map (report, &map, GST_MAP_READ);
  memcpy (put_frame (at, (guint8)(lane->index * 2 + 1), map.size), map.data, map.size);
  gsize size = map.size + SPT_RTP_FRAME;
  gst_buffer_unmap (report, &map);
  lane->reported = lane->pts;
  return size;
}

/* The packets of the lane behind one another, with a report in front when asked for. */
static GstBuffer *
assemble (Lane *lane, gboolean report)
{
  gsize size = 0, at = 0;
  guint8 head[REPORT_MAX];
  for (guint i = 0; i < lane->packets->len; i++)
    size += SPT_RTP_FRAME + gst_buffer_get_size (g_ptr_array_index (lane->packets, i));
  guint8 header[RTP_HEADER] = {0};
  gst_buffer_extract (g_ptr_array_index (lane->packets, 0), 0, header, sizeof header);
  lane->timestamp = spt_get_be32 (header + 4);
  if (report)
    at = put_report (lane, head);
  guint8 *data = g_malloc (at + size);
  memcpy (data, head, at);
  for (guint i = 0; i < lane->packets->len; i++) {
    GstBuffer *packet = g_ptr_array_index (lane->packets, i);
    gsize length = gst_buffer_get_size (packet);
    guint8 *to = put_frame (data + at, (guint8)(lane->index * 2), length);
    gst_buffer_extract (packet, 0, to, length);
    lane->sent++;
    lane->octets += (guint32)length - RTP_HEADER;
    at += SPT_RTP_FRAME + length;
  }
  g_ptr_array_set_size (lane->packets, 0);
  return gst_buffer_new_wrapped (data, at);
}

static void
push (Rtp *self, Lane *lane, GstBuffer *unit, GstClockTime pts, gboolean delta)
{
  GST_BUFFER_PTS (unit) = pts;
  GST_BUFFER_OFFSET (unit) = lane->index;
  if (delta)
    GST_BUFFER_FLAG_SET (unit, GST_BUFFER_FLAG_DELTA_UNIT);
  spt_track_push (self->out, unit);
}

/* The sound's report, as a unit of its own: not everybody who takes the picture takes the sound. */
static void
push_report (Rtp *self, Lane *lane)
{
  guint8 *data = g_malloc (REPORT_MAX);
  gsize size = put_report (lane, data);
  push (self, lane, gst_buffer_new_wrapped_full (0, data, REPORT_MAX, 0, size, data, g_free),
      lane->pts, TRUE);
}

static void
rtp_take (gpointer data, GstSample *sample, guint pad)
{
  Rtp *self = data;
  Lane *lane = &self->lanes[pad];
  GstBuffer *input = gst_sample_get_buffer (sample);
  GstClockTime pts = GST_BUFFER_PTS (input);
  gboolean keyframe = !GST_BUFFER_FLAG_IS_SET (input, GST_BUFFER_FLAG_DELTA_UNIT);
  if (!lane->payloader)
    return;
  lane_set_caps (lane, gst_sample_get_caps (sample));
  GstFlowReturn flow = gst_pad_push (lane->in, gst_buffer_ref (input));
  if (flow != GST_FLOW_OK && !self->complained) {
    self->complained = TRUE;
    GST_WARNING ("%s: the payloader refuses the stream (%s)", GST_OBJECT_NAME (lane->payloader),
        gst_flow_get_name (flow));
  }
  if (!lane->packets->len)
    return;
  /* A payloader that collects stamps its packets with the time of what is first in them. */
  GstClockTime stamped = GST_BUFFER_PTS (g_ptr_array_index (lane->packets, 0));
  lane->pts = GST_CLOCK_TIME_IS_VALID (stamped) ? stamped : pts;
  gboolean first = !GST_CLOCK_TIME_IS_VALID (lane->reported);
  gboolean due = first || pts < lane->reported || pts - lane->reported > REPORT_INTERVAL;
  gboolean start = keyframe && pad == 0;
  gboolean video = pad == 0 && self->n > 1;
  push (self, lane, assemble (lane, due || (video && start)), pts, !start);
  if (video && start && GST_CLOCK_TIME_IS_VALID (self->lanes[1].pts))
    push_report (self, &self->lanes[1]);
}

static gpointer
packer_new (SptTrack *const *inputs, guint n, SptTrack *out, guint mtu)
{
  static gsize once;
  if (g_once_init_enter (&once)) {
    GST_DEBUG_CATEGORY_INIT (spotter_rtp, "spotter-rtp", 0, "RTP payloading");
    g_once_init_leave (&once, 1);
  }
  Rtp *self = g_new0 (Rtp, 1);
  self->out = g_object_ref (out);
  self->n = MIN (n, SPT_RTP_LANES);
  self->mtu = mtu;
  self->cname = g_strdup_printf ("spotter-%08x", g_random_int ());
  for (guint i = 0; i < self->n; i++)
    lane_init (self, i, inputs[i]);
  return self;
}

static gpointer
rtp_new (SptTrack *const *inputs, guint n, SptTrack *out)
{
  return packer_new (inputs, n, out, MTU);
}

static gpointer
webrtc_new (SptTrack *const *inputs, guint n, SptTrack *out)
{
  return packer_new (inputs, n, out, WEBRTC_MTU);
}

static void
rtp_free (gpointer data)
{
  Rtp *self = data;
  for (guint i = 0; i < self->n; i++)
    lane_clear (&self->lanes[i]);
  g_object_unref (self->out);
  g_free (self->cname);
  g_free (self);
}

const SptPacker spt_rtp_packer = {
    .name = "rtp", .new = rtp_new, .take = rtp_take, .free = rtp_free};
const SptPacker spt_webrtc_packer = {
    .name = "webrtc", .new = webrtc_new, .take = rtp_take, .free = rtp_free};

/* ---- for the door ------------------------------------------------------------------------- */

/**
 * spt_rtp_next:
 * @at: (inout): where the next frame begins; start with 0
 *
 * Returns: FALSE at the end
 */
gboolean
spt_rtp_next (const guint8 *data, gsize size, gsize *at, SptRtpPacket *packet)
{
  if (*at + SPT_RTP_FRAME > size)
    return FALSE;
  packet->channel = data[*at + 1];
  packet->size = spt_get_be16 (data + *at + 2);
  packet->data = data + *at + SPT_RTP_FRAME;
  *at += SPT_RTP_FRAME + packet->size;
  return *at <= size;
}

guint
spt_rtp_lane (GstBuffer *unit)
{
  return (guint)GST_BUFFER_OFFSET (unit);
}

/* (transfer full) (nullable): the RTP caps of a lane, when there is one */
GstCaps *
spt_rtp_lane_caps (GstCaps *caps, guint lane)
{
  g_autofree char *name = g_strdup_printf ("lane%u", lane);
  const GValue *value = gst_structure_get_value (gst_caps_get_structure (caps, 0), name);
  return value ? gst_caps_copy (gst_value_get_caps (value)) : NULL;
}

/* The first RTP packet of the unit: what a PLAY answer tells (RTP-Info). */
gboolean
spt_rtp_first (GstBuffer *unit, guint16 *seqnum, guint32 *timestamp)
{
  GstMapInfo map;
  SptRtpPacket packet;
  gsize at = 0;
  gboolean found = FALSE;
  if (!gst_buffer_map (unit, &map, GST_MAP_READ))
    return FALSE;
  while (!found && spt_rtp_next (map.data, map.size, &at, &packet)) {
    found = !(packet.channel & 1) && packet.size >= RTP_HEADER;
    if (found) {
      *seqnum = spt_get_be16 (packet.data + 2);
      *timestamp = spt_get_be32 (packet.data + 4);
    }
  }
  gst_buffer_unmap (unit, &map);
  return found;
}

/* (transfer full): a copy of the unit whose packets are played at @timestamp */
static GstSample *
restamp (GstSample *sample, guint32 timestamp)
{
  GstBuffer *copy = gst_buffer_copy_deep (gst_sample_get_buffer (sample));
  GstMapInfo map;
  SptRtpPacket packet;
  gsize at = 0;
  gst_buffer_map (copy, &map, GST_MAP_READWRITE);
  while (spt_rtp_next (map.data, map.size, &at, &packet))
    if (!(packet.channel & 1))
      spt_put_be32 (map.data + (packet.data - map.data) + 4, timestamp);
  gst_buffer_unmap (copy, &map);
  GstSample *moved = gst_sample_new (copy, gst_sample_get_caps (sample), NULL, NULL);
  gst_buffer_unref (copy);
  return moved;
}

static int
compare_pts (gconstpointer a, gconstpointer b)
{
  GstClockTime x = GST_BUFFER_PTS (gst_sample_get_buffer (*(GstSample *const *)a));
  GstClockTime y = GST_BUFFER_PTS (gst_sample_get_buffer (*(GstSample *const *)b));
  return x < y ? -1 : x > y;
}

/* The cached pictures, in the order they are shown; (transfer full) */
static GPtrArray *
sort_pictures (GList *units)
{
  GPtrArray *sorted = g_ptr_array_new ();
  for (GList *l = units; l; l = l->next)
    if (spt_rtp_lane (gst_sample_get_buffer (l->data)) == 0)
      g_ptr_array_add (sorted, l->data);
  g_ptr_array_sort (sorted, compare_pts);
  return sorted;
}

static int
clock_rate (GstSample *unit)
{
  int rate = 90000;
  g_autoptr (GstCaps) caps = spt_rtp_lane_caps (gst_sample_get_caps (unit), 0);
  if (caps)
    gst_structure_get_int (gst_caps_get_structure (caps, 0), "clock-rate", &rate);
  return rate;
}

/* The picture of rank r is played at @first + r × @step. */
static GstSample *
prime (SptViewer *viewer, GList *units, GPtrArray *sorted, guint32 first, guint32 step)
{
  GstSample *begin = NULL;
  for (GList *l = units; l; l = l->next) {
    guint rank = 0;
    if (!g_ptr_array_find (sorted, l->data, &rank))
      continue;
    g_autoptr (GstSample) moved = restamp (l->data, first + rank * step);
    spt_viewer_prime (viewer, moved, 0);
    if (!begin)
      begin = gst_sample_ref (moved);
  }
  return begin;
}

/**
 * spt_rtp_prime_now:
 * @units: of GstSample; what spt_track_attach_with() gives
 *
 * Primes the viewer with the cached pictures, played one RTP millisecond apart and ending now. A
 * player that got them with their own times would stay behind by the length of the group for ever.
 * Sound is left out: it begins with the next unit. A track of sound alone begins with the newest.
 *
 * Returns: (transfer full) (nullable): the first of what the viewer gets
 */
GstSample *
spt_rtp_prime_now (SptViewer *viewer, GList *units)
{
  g_autoptr (GPtrArray) sorted = sort_pictures (units);
  guint16 seqnum;
  guint32 newest = 0;
  GstSample *last = sorted->len ? g_ptr_array_index (sorted, sorted->len - 1) : NULL;
  if (!last || !spt_rtp_first (gst_sample_get_buffer (last), &seqnum, &newest))
    return NULL;
  guint32 step = (guint32)clock_rate (last) / 1000;
  return prime (viewer, units, sorted, newest - (sorted->len - 1) * step, step);
}

/**
 * spt_rtp_prime_again:
 *
 * As spt_rtp_prime_now(), for a viewer that has had these pictures and lost some: they are played
 * after the newest, one tick of the RTP clock apart, because its time must not go back.
 */
void
spt_rtp_prime_again (SptViewer *viewer, GList *units)
{
  g_autoptr (GPtrArray) sorted = sort_pictures (units);
  guint16 seqnum;
  guint32 newest = 0;
  GstSample *last = sorted->len ? g_ptr_array_index (sorted, sorted->len - 1) : NULL;
  if (!last || !spt_rtp_first (gst_sample_get_buffer (last), &seqnum, &newest))
    return;
  GstSample *begin = prime (viewer, units, sorted, newest + 1, 1);
  g_clear_pointer (&begin, gst_sample_unref);
}

/* (transfer full): a copy of the unit on other channels than the lane's own */
GstBuffer *
spt_rtp_move (GstBuffer *unit, guint8 rtp_channel, guint8 rtcp_channel)
{
  GstBuffer *copy = gst_buffer_copy_deep (unit);
  GstMapInfo map;
  SptRtpPacket packet;
  gsize at = 0;
  gst_buffer_map (copy, &map, GST_MAP_READWRITE);
  while (spt_rtp_next (map.data, map.size, &at, &packet))
    map.data[packet.data - map.data - SPT_RTP_FRAME + 1] =
        packet.channel & 1 ? rtcp_channel : rtp_channel;
  gst_buffer_unmap (copy, &map);
  return copy;
}
