/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes while the disk is busy is collected and written in one piece; more than WAITING_MAX of
 * it is an error, not a gap. */
#include "config.h"

#include "pose-recording.h"

#include <string.h>

#include "ask.h"
#include "error.h"
#include "pose-message.h"
#include "pose-packer.h"
#include "random.h"
#include "track.h"
#include "viewer.h"

/* Half an hour of one person at 30 a second. */
#define WAITING_MAX (256u << 20)
#define NAME_MAX_CHARS 64
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

GST_DEBUG_CATEGORY_EXTERN (spotter_pose);
#define GST_CAT_DEFAULT spotter_pose

/* Lives as long as something is being written. */
typedef struct {
  gatomicrefcount refs;
  GOutputStream *file;
  GString *waiting, *writing;
  gboolean busy, closing;
  SptPoseRecording *recording; /* NULL: freed */
} Writer;

struct _SptPoseRecording {
  SptStream *stream;
  char *session, *name;
  SptPoseRecordingFailed failed;
  gpointer data;
  Writer *writer;
  SptAsk *ask;
  SptLease *lease;
  SptViewer *viewer;
  int woken; /* atomic */
  guint64 frames;
  gint64 since; /* monotonic µs */
};

static guint writers; /* main context */

/* ---- the file ----------------------------------------------------------------------------- */

static void
writer_unref (Writer *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  writers--;
  g_object_unref (self->file);
  g_string_free (self->waiting, TRUE);
  g_string_free (self->writing, TRUE);
  g_free (self);
}

static void write_on (Writer *self);

static void
on_written (GObject *object, GAsyncResult *result, gpointer data)
{
  Writer *self = data;
  g_autoptr (GError) error = NULL;
  self->busy = FALSE;
  g_string_truncate (self->writing, 0);
  if (g_output_stream_write_all_finish (G_OUTPUT_STREAM (object), result, NULL, &error))
    write_on (self);
  else if (self->recording)
    self->recording->failed (self->recording, error, self->recording->data);
  writer_unref (self);
}

static void
on_closed (GObject *object, GAsyncResult *result, gpointer data)
{
  g_output_stream_close_finish (G_OUTPUT_STREAM (object), result, NULL);
  writer_unref (data);
}

static void
write_on (Writer *self)
{
  if (self->busy || (!self->waiting->len && !self->closing))
    return;
  GString *next = self->waiting;
  self->busy = TRUE;
  g_atomic_ref_count_inc (&self->refs);
  if (!next->len) {
    g_output_stream_close_async (self->file, G_PRIORITY_DEFAULT, NULL, on_closed, self);
    return;
  }
  self->waiting = self->writing;
  self->writing = next;
  g_output_stream_write_all_async (
      self->file, next->str, next->len, G_PRIORITY_DEFAULT, NULL, on_written, self);
}

static Writer *
writer_new (const char *path, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GError) local = NULL;
  GFileOutputStream *stream = g_file_create (file, G_FILE_CREATE_PRIVATE, NULL, &local);
  if (!stream) {
    g_set_error (
        error, SPT_ERROR, SPT_ERROR_FAILED, "the recording cannot be written: %s", local->message);
    return NULL;
  }
  Writer *self = g_new0 (Writer, 1);
  writers++;
  g_atomic_ref_count_init (&self->refs);
  self->file = G_OUTPUT_STREAM (stream);
  self->waiting = g_string_new (NULL);
  self->writing = g_string_new (NULL);
  return self;
}

/* ---- poses -------------------------------------------------------------------------------- */

static void
take (SptPoseRecording *self, GstBuffer *unit)
{
  if (!spt_pose_unit_people (unit))
    return;
  GstBuffer *message =
      spt_pose_message (unit, spt_stream_get_name (self->stream), self->frames++, NULL);
  gsize before = self->writer->waiting->len, size = gst_buffer_get_size (message);
  g_string_set_size (self->writer->waiting, before + size + 1);
  gst_buffer_extract (message, 0, self->writer->waiting->str + before, size);
  self->writer->waiting->str[before + size] = '\n';
  gst_buffer_unref (message);
}

static gboolean
on_poses (gpointer data)
{
  SptPoseRecording *self = data;
  GstSample *sample;
  g_autoptr (GError) error = NULL;
  g_atomic_int_set (&self->woken, 0);
  while ((sample = spt_viewer_pop (self->viewer, NULL))) {
    take (self, gst_sample_get_buffer (sample));
    gst_sample_unref (sample);
  }
  write_on (self->writer);
  if (self->writer->waiting->len > WAITING_MAX)
    error = g_error_new (SPT_ERROR, SPT_ERROR_FAILED, "the disk is too slow for the recording");
  else if (!spt_viewer_ended (self->viewer, &error))
    return G_SOURCE_REMOVE;
  if (!error)
    error = g_error_new (SPT_ERROR, SPT_ERROR_UNAVAILABLE, "the stream ended");
  self->failed (self, error, self->data);
  return G_SOURCE_REMOVE;
}

/* Streaming thread */
static void
on_viewer (SptViewer *viewer, gpointer data)
{
  SptPoseRecording *self = data;
  if (g_atomic_int_compare_and_exchange (&self->woken, 0, 1))
    g_idle_add_full (G_PRIORITY_DEFAULT, on_poses, self, NULL);
}

static void
on_lease (SptLease *lease, const GError *error, gpointer data)
{
  static const SptViewerLimits limits = {SPT_DROP_TO_KEYFRAME, WAITING_MAX, 600 * GST_SECOND};
  SptPoseRecording *self = data;
  self->ask = NULL;
  if (!lease) {
    self->failed (self, error, self->data);
    return;
  }
  self->lease = lease;
  self->viewer = spt_viewer_new (&limits, on_viewer, self);
  spt_lease_set_viewer (lease, self->viewer);
  spt_track_attach (spt_lease_get_track (lease), self->viewer, 0);
}

/* (transfer full): what of a stranger's name a file may be called */
static char *
file_name (const char *name, const char *session)
{
  g_autofree char *start = g_strndup (name ? name : "", NAME_MAX_CHARS);
  g_strcanon (start, LETTERS, '_');
  return g_strdup_printf ("%s%s%s.jsonl", start, *start ? "-" : "", session);
}

/**
 * spt_pose_recording_new:
 * @directory: made when it is not there
 * @name: (nullable): any text
 * @failed: not before this returns
 *
 * Records from now on, as soon as the stream gives poses.
 *
 * Returns: or NULL and FAILED when the file cannot be made
 */
SptPoseRecording *
spt_pose_recording_new (SptStream *stream, const char *directory, const char *name,
    SptPoseRecordingFailed failed, gpointer data, GError **error)
{
  static const SptWant want = {.container = "pose", .overlay = "meta", .no_audio = TRUE};
  g_autofree char *session = spt_random_id ();
  g_autofree char *file = file_name (name, session);
  g_autofree char *path = g_build_filename (directory, file, NULL);
  g_mkdir_with_parents (directory, 0700);
  Writer *writer = writer_new (path, error);
  if (!writer)
    return NULL;
  SptPoseRecording *self = g_new0 (SptPoseRecording, 1);
  self->stream = g_object_ref (stream);
  self->session = g_steal_pointer (&session);
  self->name = g_strdup (name ? name : "");
  self->failed = failed;
  self->data = data;
  self->writer = writer;
  self->since = g_get_monotonic_time ();
  writer->recording = self;
  GST_INFO ("%s: poses are recorded in %s", spt_stream_get_name (stream), path);
  SptConsumer consumer = {"pose/file", "file", NULL, NULL};
  self->ask = spt_ask (stream, &want, &consumer, on_lease, self);
  return self;
}

SptStream *
spt_pose_recording_get_stream (SptPoseRecording *self)
{
  return self->stream;
}

const char *
spt_pose_recording_get_session (SptPoseRecording *self)
{
  return self->session;
}

const char *
spt_pose_recording_get_name (SptPoseRecording *self)
{
  return self->name;
}

/* How many poses it has. */
guint64
spt_pose_recording_count (SptPoseRecording *self)
{
  return self->frames;
}

/* Monotonic µs. */
gint64
spt_pose_recording_since (SptPoseRecording *self)
{
  return self->since;
}

/* Until all that were freed are on disk. */
void
spt_pose_recordings_wait (void)
{
  while (writers)
    g_main_context_iteration (NULL, TRUE);
}

/* What has come is written, and the file closed, afterwards. */
void
spt_pose_recording_free (SptPoseRecording *self)
{
  g_clear_pointer (&self->ask, spt_ask_take_back);
  if (self->viewer) {
    spt_track_detach (spt_lease_get_track (self->lease), self->viewer);
    spt_viewer_silence (self->viewer);
  }
  while (g_idle_remove_by_data (self))
    ;
  GST_INFO ("%s: %" G_GUINT64_FORMAT " poses are recorded", spt_stream_get_name (self->stream),
      self->frames);
  self->writer->recording = NULL;
  self->writer->closing = TRUE;
  write_on (self->writer);
  writer_unref (self->writer);
  g_clear_object (&self->viewer);
  g_clear_pointer (&self->lease, spt_lease_free);
  g_object_unref (self->stream);
  g_free (self->session);
  g_free (self->name);
  g_free (self);
}
