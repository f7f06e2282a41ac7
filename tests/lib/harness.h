/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What unit tests share: waiting with a watchdog, and made-up units. */
#pragma once

#include <gst/gst.h>

/* Generous: it only decides when a test has hung. */
#define HARNESS_TIMEOUT_S 60

static inline gboolean
harness_timeout (gpointer data)
{
  g_error ("the test waited in vain for %s", (const char *)data);
  return G_SOURCE_REMOVE;
}

/* Runs the main context until the condition holds. */
#define WAIT_FOR(condition)                                                                        \
  G_STMT_START                                                                                     \
  {                                                                                                \
    guint watchdog_ =                                                                              \
        g_timeout_add_seconds (HARNESS_TIMEOUT_S, harness_timeout, (gpointer) #condition);         \
    guint tick_ = g_timeout_add (5, harness_tick, NULL);                                           \
    while (!(condition))                                                                           \
      g_main_context_iteration (NULL, TRUE);                                                       \
    g_source_remove (watchdog_);                                                                   \
    g_source_remove (tick_);                                                                       \
  }                                                                                                \
  G_STMT_END

/* Conditions may change on other threads: look again now and then. */
static inline gboolean
harness_tick (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

/* A unit of @size zero bytes at @ms. */
static inline GstBuffer *
harness_unit (guint ms, gsize size, gboolean keyframe)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, size, NULL);
  gst_buffer_memset (buffer, 0, 0, size);
  GST_BUFFER_PTS (buffer) = ms * GST_MSECOND;
  if (!keyframe)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  return buffer;
}
