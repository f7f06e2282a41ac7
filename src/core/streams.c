/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "streams.h"

#include "error.h"

static const SptOption options[] = {
    {"stream.linger", SPT_OPTION_SECONDS, "10s", 0, 3600000,
        "how long a source and its branches outlive the last viewer"},
    {"stream.stall", SPT_OPTION_SECONDS, "5s", 100, 600000,
        "a source without data for so long is started again"},
    {"stream.start", SPT_OPTION_SECONDS, "10s", 100, 600000,
        "a source without a first picture for so long has failed"},
    {"pose.model", SPT_OPTION_STRING, "full", 0, 0, "lite, full or heavy"},
    {"pose.fps", SPT_OPTION_STRING, "15", 0, 0, "pictures a second that are analysed; 0: all"},
    {"pose.people", SPT_OPTION_INT, "1", 1, 4, "how many people are followed"},
    {"pose.region", SPT_OPTION_STRINGS, NULL, 0, 0,
        "x, y, width, height as parts of the picture: where people are looked for"},
    {"pose.threads", SPT_OPTION_INT, "1", 1, 16, "threads of one analysis"},
    {"pose.smoothing", SPT_OPTION_BOOL, "true", 0, 0, "landmarks are smoothed over time"},
    {"stream.max", SPT_OPTION_INT, "1000", 1, 100000, "how many streams there may be"},
};

struct _SptStreams {
  GObject parent;

  /* construct-only */
  SptStreamTimes times;
  guint max;
  GstStructure *pose; /* what posedetect is told, of every stream */
  GHashTable *poses;  /* name → GstStructure, of one; whether there is such a stream or not */

  /* main context */
  GHashTable *streams;
};

G_DEFINE_FINAL_TYPE (SptStreams, spt_streams, G_TYPE_OBJECT)

static void
spt_streams_finalize (GObject *object)
{
  SptStreams *self = SPT_STREAMS (object);
  spt_streams_stop (self);
  g_hash_table_unref (self->streams);
  g_clear_pointer (&self->pose, gst_structure_free);
  g_hash_table_unref (self->poses);
  G_OBJECT_CLASS (spt_streams_parent_class)->finalize (object);
}

static void
spt_streams_class_init (SptStreamsClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = spt_streams_finalize;
}

static void
spt_streams_init (SptStreams *self)
{
  self->streams = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_object_unref);
  self->poses =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)gst_structure_free);
}

void
spt_streams_declare_options (SptSettings *settings)
{
  spt_settings_declare (settings, options, G_N_ELEMENTS (options));
}

static GstStructure *
read_pose (SptSettings *settings)
{
  static const char *const keys[] = {"model", "fps", "people", "region", "threads", "smoothing"};
  GstStructure *pose = gst_structure_new_empty ("pose");
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++) {
    g_autofree char *key = g_strconcat ("pose.", keys[i], NULL);
    g_autofree char *value = g_strjoinv (",", (char **)spt_settings_strings (settings, key));
    gst_structure_set (pose, keys[i], G_TYPE_STRING, value, NULL);
  }
  return pose;
}

SptStreams *
spt_streams_new (SptSettings *settings)
{
  SptStreams *self = g_object_new (SPT_TYPE_STREAMS, NULL);
  self->times = (SptStreamTimes){
      .linger_ms = (guint)spt_settings_int (settings, "stream.linger"),
      .stall_ms = (guint)spt_settings_int (settings, "stream.stall"),
      .start_ms = (guint)spt_settings_int (settings, "stream.start"),
  };
  self->max = (guint)spt_settings_int (settings, "stream.max");
  self->pose = read_pose (settings);
  return self;
}

static gboolean
put_field (GQuark field, const GValue *value, gpointer data)
{
  gst_structure_id_set_value (data, field, value);
  return TRUE;
}

static void
apply_pose (SptStreams *self, SptStream *stream)
{
  const GstStructure *own = g_hash_table_lookup (self->poses, spt_stream_get_name (stream));
  g_autoptr (GstStructure) all = gst_structure_copy (self->pose);
  if (own)
    gst_structure_foreach (own, put_field, all);
  spt_stream_set_pose (stream, all);
}

/**
 * spt_streams_put:
 * @trusted: as for spt_spec_parse()
 *
 * Adds the stream, or gives an existing one other sources; equal sources restart nothing.
 *
 * Returns: (transfer none): the stream, or NULL and INVALID; then nothing has changed
 */
SptStream *
spt_streams_put (SptStreams *self, const char *name, const char *const *sources, gboolean trusted,
    GError **error)
{
  SptStream *known = g_hash_table_lookup (self->streams, name);
  if (known)
    return spt_stream_set_sources (known, sources, trusted, error) ? known : NULL;
  if (!spt_stream_name_is_valid (name)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "a stream's name has 1 to 64 letters, digits, '_', '-' or '.', and does not start with a "
        "dot");
    return NULL;
  }
  if (g_hash_table_size (self->streams) >= self->max) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_FORBIDDEN,
        "there are already %u streams; stream.max allows no more", self->max);
    return NULL;
  }
  g_autoptr (SptStream) stream = spt_stream_new (name, &self->times);
  if (!spt_stream_set_sources (stream, sources, trusted, error))
    return NULL;
  apply_pose (self, stream);
  g_hash_table_insert (self->streams, (char *)spt_stream_get_name (stream), g_object_ref (stream));
  return stream;
}

/**
 * spt_streams_set_pose:
 * @pose: (nullable): what posedetect is told of the stream of this name only, as texts, over what
 * it is told of all; also of one that is added later
 */
void
spt_streams_set_pose (SptStreams *self, const char *name, const GstStructure *pose)
{
  SptStream *stream = g_hash_table_lookup (self->streams, name);
  if (pose)
    g_hash_table_replace (self->poses, g_strdup (name), gst_structure_copy (pose));
  else
    g_hash_table_remove (self->poses, name);
  if (stream)
    apply_pose (self, stream);
}

/* Ends the stream and its viewers. FALSE and NOT_FOUND when there is none. */
gboolean
spt_streams_remove (SptStreams *self, const char *name, GError **error)
{
  SptStream *found = spt_streams_get (self, name, error);
  if (!found)
    return FALSE;
  g_autoptr (SptStream) stream = g_object_ref (found);
  g_hash_table_remove (self->streams, name);
  spt_stream_end (stream);
  return TRUE;
}

/* (transfer none): or NULL and NOT_FOUND */
SptStream *
spt_streams_get (SptStreams *self, const char *name, GError **error)
{
  SptStream *stream = g_hash_table_lookup (self->streams, name);
  if (!stream)
    g_set_error (error, SPT_ERROR, SPT_ERROR_NOT_FOUND, "stream not found");
  return stream;
}

static int
by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (spt_stream_get_name (SPT_STREAM ((gpointer)a)),
      spt_stream_get_name (SPT_STREAM ((gpointer)b)));
}

/* (transfer container) (element-type SptStream): sorted by name */
GList *
spt_streams_list (SptStreams *self)
{
  return g_list_sort (g_hash_table_get_values (self->streams), by_name);
}

/* Ends all streams. Idempotent. */
void
spt_streams_stop (SptStreams *self)
{
  g_autoptr (GList) streams = g_hash_table_get_values (self->streams);
  for (GList *l = streams; l; l = l->next) {
    g_autoptr (SptStream) stream = g_object_ref (l->data);
    g_hash_table_remove (self->streams, spt_stream_get_name (stream));
    spt_stream_end (stream);
  }
}
