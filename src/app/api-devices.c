/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cameras are asked on a thread, each time anew: they come and go. */
#include "config.h"

#include "api-devices.h"

#include "devices.h"
#include "error.h"
#include "spec.h"

typedef struct {
  SptHost *host;
  SptHttpRequest *request;
} Query;

static void
query_free (gpointer data)
{
  Query *self = data;
  spt_http_request_unref (self->request);
  g_free (self);
}

/* (nullable): the stream that has this camera as a source */
static const char *
find_user (SptStreams *streams, const SptCamera *camera, guint index)
{
  g_autoptr (GList) list = spt_streams_list (streams);
  g_autofree char *number = g_strdup_printf ("%u", index);
  for (GList *l = list; l; l = l->next)
    for (const char *const *source = spt_stream_get_sources (l->data); *source; source++) {
      g_autoptr (SptSpec) spec = **source ? spt_spec_parse (*source, TRUE, NULL) : NULL;
      if (spec && spec->kind == SPT_SPEC_CAMERA &&
          (g_str_equal (spec->rest, camera->path) || g_str_equal (spec->rest, number)))
        return spt_stream_get_name (l->data);
    }
  return NULL;
}

static void
write_modes (JsonBuilder *builder, const SptCamera *camera)
{
  g_autoptr (GArray) modes =
      camera->caps ? spt_devices_modes (camera->caps) : g_array_new (FALSE, FALSE, 1);
  json_builder_set_member_name (builder, "modes");
  json_builder_begin_array (builder);
  for (guint i = 0; i < modes->len; i++) {
    const SptCameraMode *mode = &g_array_index (modes, SptCameraMode, i);
    g_autofree char *source =
        g_strdup_printf ("v4l2:device?video=%s%s%s&video_size=%dx%d", camera->path,
            *mode->format ? "&input_format=" : "", mode->format, mode->width, mode->height);
    json_builder_begin_object (builder);
    json_builder_set_member_name (builder, "format");
    json_builder_add_string_value (builder, mode->format);
    json_builder_set_member_name (builder, "width");
    json_builder_add_int_value (builder, mode->width);
    json_builder_set_member_name (builder, "height");
    json_builder_add_int_value (builder, mode->height);
    json_builder_set_member_name (builder, "fps");
    json_builder_add_double_value (builder, mode->fps);
    json_builder_set_member_name (builder, "source");
    json_builder_add_string_value (builder, source);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
}

static void
write_camera (JsonBuilder *builder, SptHost *host, const SptCamera *camera, guint index)
{
  const char *user = find_user (host->streams, camera, index);
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "name");
  json_builder_add_string_value (builder, camera->name);
  json_builder_set_member_name (builder, "path");
  json_builder_add_string_value (builder, camera->path);
  json_builder_set_member_name (builder, "stream");
  if (user)
    json_builder_add_string_value (builder, user);
  else
    json_builder_add_null_value (builder);
  write_modes (builder, camera);
  json_builder_end_object (builder);
}

static void
list_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  g_task_return_pointer (task, spt_devices_list (), (GDestroyNotify)g_ptr_array_unref);
}

static void
on_listed (GObject *object, GAsyncResult *result, gpointer data)
{
  Query *self = g_task_get_task_data (G_TASK (result));
  g_autoptr (GPtrArray) cameras = g_task_propagate_pointer (G_TASK (result), NULL);
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "cameras");
  json_builder_begin_array (builder);
  for (guint i = 0; i < cameras->len; i++)
    write_camera (builder, self->host, g_ptr_array_index (cameras, i), i);
  json_builder_end_array (builder);
  json_builder_end_object (builder);
  spt_http_reply_json (self->request, SOUP_STATUS_OK, json_builder_get_root (builder));
}

static void
on_listed_for_go2rtc (GObject *object, GAsyncResult *result, gpointer data)
{
  Query *self = g_task_get_task_data (G_TASK (result));
  g_autoptr (GPtrArray) cameras = g_task_propagate_pointer (G_TASK (result), NULL);
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (GError) none = g_error_new (SPT_ERROR, SPT_ERROR_NOT_FOUND, "no sources");
  if (!cameras->len) {
    spt_http_reply_error (self->request, none);
    return;
  }
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "sources");
  json_builder_begin_array (builder);
  for (guint i = 0; i < cameras->len; i++) {
    const SptCamera *camera = g_ptr_array_index (cameras, i);
    g_autofree char *url = g_strconcat ("v4l2:", camera->path, NULL);
    json_builder_begin_object (builder);
    json_builder_set_member_name (builder, "name");
    json_builder_add_string_value (builder, camera->name);
    json_builder_set_member_name (builder, "info");
    json_builder_add_string_value (builder, camera->path);
    json_builder_set_member_name (builder, "url");
    json_builder_add_string_value (builder, url);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
  json_builder_end_object (builder);
  spt_http_reply_json (self->request, SOUP_STATUS_OK, json_builder_get_root (builder));
}

static void
ask (SptHost *host, SptHttpRequest *request, GAsyncReadyCallback callback)
{
  Query *self = g_new (Query, 1);
  *self = (Query){host, spt_http_request_ref (request)};
  spt_http_wait (request);
  g_autoptr (GTask) task = g_task_new (NULL, NULL, callback, NULL);
  g_task_set_task_data (task, self, query_free);
  g_task_run_in_thread (task, list_thread);
}

static void
on_devices (SptHttpRequest *request, gpointer data)
{
  ask (data, request, on_listed);
}

static void
on_go2rtc (SptHttpRequest *request, gpointer data)
{
  ask (data, request, on_listed_for_go2rtc);
}

void
spt_devices_api_start (SptHost *host)
{
  spt_http_route (host->http, "GET,HEAD", "/api/devices", SPT_ACTION_MANAGE, on_devices, host);
  spt_http_route (host->http, "GET", "/api/v4l2", SPT_ACTION_MANAGE, on_go2rtc, host);
  spt_http_route (host->http, "GET", "/api/ffmpeg/devices", SPT_ACTION_MANAGE, on_go2rtc, host);
}
