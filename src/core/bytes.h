/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Big-endian numbers at any address (GStreamer's macros assume that unaligned access is defined).
 */
#pragma once

#include <glib.h>
#include <string.h>

static inline void
spt_put_be16 (guint8 *at, guint16 value)
{
  value = GUINT16_TO_BE (value);
  memcpy (at, &value, sizeof value);
}

static inline guint16
spt_get_be16 (const guint8 *at)
{
  guint16 value;
  memcpy (&value, at, sizeof value);
  return GUINT16_FROM_BE (value);
}

static inline void
spt_put_be32 (guint8 *at, guint32 value)
{
  value = GUINT32_TO_BE (value);
  memcpy (at, &value, sizeof value);
}

static inline void
spt_put_be64 (guint8 *at, guint64 value)
{
  value = GUINT64_TO_BE (value);
  memcpy (at, &value, sizeof value);
}

static inline guint32
spt_get_be32 (const guint8 *at)
{
  guint32 value;
  memcpy (&value, at, sizeof value);
  return GUINT32_FROM_BE (value);
}

static inline guint64
spt_get_be64 (const guint8 *at)
{
  guint64 value;
  memcpy (&value, at, sizeof value);
  return GUINT64_FROM_BE (value);
}
