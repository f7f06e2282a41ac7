/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "devices.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/videodev2.h>
#include <sys/ioctl.h>
#endif

#include "error.h"

/* Device nodes looked at; a machine has one to four nodes a camera. */
#define NODES_MAX 64

/* TRUE for a node that gives pictures (a camera also has nodes for metadata). */
static gboolean
is_capture (const char *path)
{
#ifdef __linux__
  int fd = open (path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0)
    return FALSE;
  struct v4l2_capability capability = {0};
  gboolean ok = ioctl (fd, VIDIOC_QUERYCAP, &capability) == 0;
  close (fd);
  guint32 caps = capability.capabilities & V4L2_CAP_DEVICE_CAPS ? capability.device_caps
                                                                : capability.capabilities;
  return ok && caps & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE);
#else
  return FALSE;
#endif
}

static GPtrArray *
capture_nodes (void)
{
  GPtrArray *nodes = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < NODES_MAX; i++) {
    g_autofree char *path = g_strdup_printf ("/dev/video%u", i);
    if (is_capture (path))
      g_ptr_array_add (nodes, g_steal_pointer (&path));
  }
  return nodes;
}

static char *
describe_nodes (GPtrArray *nodes)
{
  if (!nodes->len)
    return g_strdup ("no camera");
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < nodes->len; i++)
    g_string_append_printf (
        text, "%s%u (%s)", i ? ", " : "", i, (char *)g_ptr_array_index (nodes, i));
  return g_string_free (text, FALSE);
}

/**
 * spt_devices_resolve:
 * @number_or_path: "0" is the first node that gives pictures, or a path
 *
 * Opens each node for a moment: not on the main context.
 *
 * Returns: (transfer full): a device path; or UNAVAILABLE with a sentence that lists what there is
 */
char *
spt_devices_resolve (const char *number_or_path, GError **error)
{
  if (*number_or_path == '/' && g_file_test (number_or_path, G_FILE_TEST_EXISTS))
    return g_strdup (number_or_path);
  g_autoptr (GPtrArray) nodes = capture_nodes ();
  guint64 number = g_ascii_strtoull (number_or_path, NULL, 10);
  if (*number_or_path != '/' && number < nodes->len)
    return g_strdup (g_ptr_array_index (nodes, number));
  g_autofree char *have = describe_nodes (nodes);
  g_set_error (error, SPT_ERROR, SPT_ERROR_UNAVAILABLE,
      "camera %s does not exist; this machine has: %s", number_or_path, have);
  return NULL;
}

static const struct {
  const char *format, *caps;
} formats[] = {
    {"mjpeg", "image/jpeg"},
    {"h264", "video/x-h264"},
    {"hevc", "video/x-h265"},
    {"h265", "video/x-h265"},
    {"yuyv422", "video/x-raw, format=YUY2"},
    {"yuyv", "video/x-raw, format=YUY2"},
    {"uyvy422", "video/x-raw, format=UYVY"},
    {"nv12", "video/x-raw, format=NV12"},
    {"yuv420p", "video/x-raw, format=I420"},
};

static double
distance (double have, double want)
{
  return want > 0 && have > 0 ? ABS (have - want) / want : 0;
}

/* Fixes the structure near the wish and says how far away it is. */
static double
fix_near (GstStructure *mode, int width, int height, int num, int den)
{
  gst_structure_fixate_field_nearest_int (mode, "width", width ? width : 1280);
  gst_structure_fixate_field_nearest_int (mode, "height", height ? height : 720);
  if (gst_structure_has_field (mode, "framerate"))
    gst_structure_fixate_field_nearest_fraction (mode, "framerate", num ? num : 30, den);
  gst_structure_fixate (mode);
  int w = 0, h = 0, n = 0, d = 1;
  gst_structure_get_int (mode, "width", &w);
  gst_structure_get_int (mode, "height", &h);
  gst_structure_get_fraction (mode, "framerate", &n, &d);
  double fps = d ? (double)n / d : 0;
  double want = num ? (double)num / den : 30;
  return distance (w, width ? width : 1280) + distance (h, height ? height : 720) +
         distance (fps, want);
}

/**
 * spt_devices_choose_mode:
 * @offered: what the device can do
 * @format: (nullable): ffmpeg's name of a pixel format or codec; unknown names ask for nothing
 * @width: 0 when not asked; likewise the others
 *
 * Pure. Format first, then the smallest relative distance in size and rate; without a wish for a
 * format compressed modes win where they are nearer (they reach rates that raw modes do not).
 *
 * Returns: (transfer full) (nullable): fixed caps of the nearest mode, NULL when nothing is offered
 */
GstCaps *
spt_devices_choose_mode (
    GstCaps *offered, const char *format, int width, int height, int num, int den)
{
  g_autoptr (GstCaps) wanted = NULL;
  for (guint i = 0; format && i < G_N_ELEMENTS (formats); i++)
    if (g_ascii_strcasecmp (format, formats[i].format) == 0)
      wanted = gst_caps_from_string (formats[i].caps);
  g_autoptr (GstCaps) candidates = wanted ? gst_caps_intersect (offered, wanted) : NULL;
  if (!candidates || gst_caps_is_empty (candidates))
    gst_caps_replace (&candidates, offered);
  g_autoptr (GstStructure) best = NULL;
  double best_distance = G_MAXDOUBLE;
  for (guint i = 0; i < gst_caps_get_size (candidates); i++) {
    g_autoptr (GstStructure) mode = gst_structure_copy (gst_caps_get_structure (candidates, i));
    double d = fix_near (mode, width, height, num, den);
    if (d < best_distance) {
      best_distance = d;
      g_clear_pointer (&best, gst_structure_free);
      best = g_steal_pointer (&mode);
    }
  }
  return best ? gst_caps_new_full (g_steal_pointer (&best), NULL) : NULL;
}

/* ---- listing ------------------------------------------------------------------------------ */

static void
camera_free (gpointer data)
{
  SptCamera *self = data;
  g_free (self->name);
  g_free (self->path);
  gst_clear_caps (&self->caps);
  g_free (self);
}

/* (transfer full) */
static SptCamera *
camera_new (const char *name, const char *path, GstCaps *caps)
{
  SptCamera *self = g_new (SptCamera, 1);
  *self = (SptCamera){g_strdup (name), g_strdup (path), caps};
  return self;
}

static int
by_path (gconstpointer a, gconstpointer b)
{
  const SptCamera *one = *(SptCamera *const *)a, *other = *(SptCamera *const *)b;
  gsize n = strlen (one->path), m = strlen (other->path);
  return n != m ? (n < m ? -1 : 1) : strcmp (one->path, other->path); /* video2 before video10 */
}

static void
add_monitored (GPtrArray *cameras, GstDevice *device)
{
  static const char *const keys[] = {"api.v4l2.path", "device.path"};
  g_autoptr (GstStructure) properties = gst_device_get_properties (device);
  g_autofree char *name = gst_device_get_display_name (device);
  const char *path = NULL;
  for (guint i = 0; properties && !path && i < G_N_ELEMENTS (keys); i++)
    path = gst_structure_get_string (properties, keys[i]);
  for (guint i = 0; path && i < cameras->len; i++) /* by more than one provider */
    if (g_str_equal (((SptCamera *)g_ptr_array_index (cameras, i))->path, path))
      return;
  if (path)
    g_ptr_array_add (cameras, camera_new (name, path, gst_device_get_caps (device)));
}

/**
 * spt_devices_list:
 *
 * Asks each device what it can do: takes its time, not on the main context.
 *
 * Returns: (transfer full) (element-type SptCamera): by path. Where there is no udev, without modes
 */
GPtrArray *
spt_devices_list (void)
{
  GPtrArray *cameras = g_ptr_array_new_with_free_func (camera_free);
  g_autoptr (GstDeviceMonitor) monitor = gst_device_monitor_new ();
  gst_device_monitor_add_filter (monitor, "Video/Source", NULL);
  GList *devices = gst_device_monitor_get_devices (monitor);
  for (GList *l = devices; l; l = l->next)
    add_monitored (cameras, l->data);
  g_list_free_full (devices, gst_object_unref);
  g_autoptr (GPtrArray) nodes = capture_nodes ();
  for (guint i = 0; !cameras->len && i < nodes->len; i++) {
    const char *path = g_ptr_array_index (nodes, i);
    g_ptr_array_add (cameras, camera_new (path, path, NULL));
  }
  g_ptr_array_sort (cameras, by_path);
  return cameras;
}

static const char *
format_name (const GstStructure *s)
{
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autoptr (GstCaps) caps = gst_caps_from_string (formats[i].caps);
    const GstStructure *wanted = gst_caps_get_structure (caps, 0);
    if (gst_structure_has_name (s, gst_structure_get_name (wanted)) &&
        g_strcmp0 (gst_structure_get_string (s, "format"),
            gst_structure_get_string (wanted, "format")) == 0)
      return formats[i].format;
  }
  return "";
}

static void
add_mode (GArray *modes, const SptCameraMode *mode)
{
  for (guint i = 0; i < modes->len; i++) {
    SptCameraMode *known = &g_array_index (modes, SptCameraMode, i);
    if (known->format == mode->format && known->width == mode->width &&
        known->height == mode->height) {
      known->fps = MAX (known->fps, mode->fps);
      return;
    }
  }
  g_array_append_val (modes, *mode);
}

/**
 * spt_devices_modes:
 * @caps: of a camera
 *
 * Pure. A range of sizes counts as its largest.
 *
 * Returns: (transfer full) (element-type SptCameraMode): in the order of the caps, each once
 */
GArray *
spt_devices_modes (GstCaps *caps)
{
  GArray *modes = g_array_new (FALSE, FALSE, sizeof (SptCameraMode));
  for (guint i = 0; i < gst_caps_get_size (caps); i++) {
    g_autoptr (GstStructure) s = gst_structure_copy (gst_caps_get_structure (caps, i));
    SptCameraMode mode = {.format = format_name (s)};
    int num = 0, den = 1;
    if (!gst_structure_has_field (s, "width") || !gst_structure_has_field (s, "height"))
      continue;
    gst_structure_fixate_field_nearest_int (s, "width", G_MAXINT);
    gst_structure_fixate_field_nearest_int (s, "height", G_MAXINT);
    if (gst_structure_has_field (s, "framerate"))
      gst_structure_fixate_field_nearest_fraction (s, "framerate", 1000, 1);
    if (!gst_structure_get_int (s, "width", &mode.width) ||
        !gst_structure_get_int (s, "height", &mode.height))
      continue;
    if (gst_structure_get_fraction (s, "framerate", &num, &den) && den)
      mode.fps = (double)num / den;
    add_mode (modes, &mode);
  }
  return modes;
}
