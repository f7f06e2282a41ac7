/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Registers the elements; nothing else. */
#define PACKAGE "spotter"
#include "config.h"

#include <gst/gst.h>

#include "gstclimbersrc.h"
#include "gstposedetect.h"
#include "gstposeoverlay.h"

static gboolean
plugin_init (GstPlugin *plugin)
{
  return GST_ELEMENT_REGISTER (climbersrc, plugin) && GST_ELEMENT_REGISTER (posedetect, plugin) &&
         GST_ELEMENT_REGISTER (poseoverlay, plugin);
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, spotter, "Elements of Spotter",
    plugin_init, SPT_VERSION, "LGPL", PACKAGE, "Unknown package origin")
