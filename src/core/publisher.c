/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* appsrc → rtpbin: it orders the packets, and by the sender's reports knows how sound and picture
 * belong together. The source takes it from rtpbin's pads as it would from rtspsrc's. */
#include "config.h"

#include "publisher.h"

#include <gst/app/gstappsrc.h>

#include "error.h"

/* A source that does not keep up loses the oldest packets. */
#define QUEUED_BYTES (4u << 20)

struct _SptPublisher {
  gatomicrefcount refs;
  GstCaps *caps[SPT_PUBLISHER_LANES];
  guint n, latency_ms;

  /* under lock: a door pushes while a source is built anew */
  GMutex lock;
  GstAppSrc *appsrcs[SPT_PUBLISHER_LANES][2]; /* RTP, RTCP; of the source that runs */
};

/**
 * spt_publisher_new:
 * @caps: (array length=n): application/x-rtp, one a medium, as the session description says
 * @latency_ms: how long a packet may be waited for; 0 over TCP
 */
SptPublisher *
spt_publisher_new (GstCaps *const *caps, guint n, guint latency_ms)
{
  SptPublisher *self = g_new0 (SptPublisher, 1);
  g_atomic_ref_count_init (&self->refs);
  g_mutex_init (&self->lock);
  self->n = MIN (n, SPT_PUBLISHER_LANES);
  self->latency_ms = latency_ms;
  for (guint i = 0; i < self->n; i++)
    self->caps[i] = gst_caps_ref (caps[i]);
  return self;
}

SptPublisher *
spt_publisher_ref (SptPublisher *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

static void
forget_locked (SptPublisher *self)
{
  for (guint i = 0; i < self->n; i++)
    for (guint k = 0; k < 2; k++)
      g_clear_object (&self->appsrcs[i][k]);
}

void
spt_publisher_unref (SptPublisher *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  forget_locked (self);
  for (guint i = 0; i < self->n; i++)
    gst_caps_unref (self->caps[i]);
  g_mutex_clear (&self->lock);
  g_free (self);
}

/* How many media it announced */
guint
spt_publisher_count (SptPublisher *self)
{
  return self->n;
}

/**
 * spt_publisher_push:
 * @packet: copied
 *
 * Never blocks. Dropped when no source runs. Any thread.
 */
void
spt_publisher_push (SptPublisher *self, guint lane, gboolean rtcp, const guint8 *packet, gsize size)
{
  if (lane >= self->n || !size)
    return;
  g_mutex_lock (&self->lock);
  GstAppSrc *appsrc = self->appsrcs[lane][rtcp];
  if (appsrc)
    gst_app_src_push_buffer (appsrc, gst_buffer_new_memdup (packet, size));
  g_mutex_unlock (&self->lock);
}

static GstAppSrc *
add_appsrc (GstBin *bin, GstElement *rtpbin, const char *pad, guint lane, GstCaps *caps)
{
  GstElement *appsrc = gst_element_factory_make ("appsrc", NULL);
  g_autofree char *name = g_strdup_printf ("%s_%u", pad, lane);
  g_object_set (appsrc, "caps", caps, "is-live", TRUE, "do-timestamp", TRUE, "format",
      GST_FORMAT_TIME, "max-bytes", (guint64)QUEUED_BYTES, "leaky-type",
      GST_APP_LEAKY_TYPE_UPSTREAM, NULL);
  gst_bin_add (bin, appsrc);
  gst_element_link_pads (appsrc, "src", rtpbin, name);
  return gst_object_ref (GST_APP_SRC (appsrc));
}

/**
 * spt_publisher_build:
 * @bin: where the elements go
 *
 * Returns: (transfer none): an rtpbin whose recv_rtp_src pads appear with the data; what is pushed
 *   goes there from now on
 */
GstElement *
spt_publisher_build (SptPublisher *self, GstBin *bin, GError **error)
{
  GstElement *rtpbin = gst_element_factory_make ("rtpbin", NULL);
  if (!rtpbin) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_UNSUPPORTED,
        "the GStreamer element 'rtpbin' is missing; `./dev setup` installs it");
    return NULL;
  }
  /* One sender a medium: each SSRC costs a thread. */
  g_object_set (rtpbin, "latency", self->latency_ms, "max-streams", 1, NULL);
  gst_bin_add (bin, rtpbin);
  g_autoptr (GstCaps) rtcp = gst_caps_new_empty_simple ("application/x-rtcp");
  g_mutex_lock (&self->lock);
  forget_locked (self);
  for (guint i = 0; i < self->n; i++) {
    self->appsrcs[i][0] = add_appsrc (bin, rtpbin, "recv_rtp_sink", i, self->caps[i]);
    self->appsrcs[i][1] = add_appsrc (bin, rtpbin, "recv_rtcp_sink", i, rtcp);
  }
  g_mutex_unlock (&self->lock);
  return rtpbin;
}
