/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The library is opened by name, so that our elements load without it; its own headers give the
 * types. Every runner uses the XNNPACK kernels: without them a frame takes seven times as long. */
#include "config.h"

#include "tflite.h"

#include <dlfcn.h>
#include <stdarg.h>

#include <gio/gio.h>
#include <tensorflow/lite/c/c_api.h>

#include "posemodels.h"

/* Not in the headers that are shipped. The options are a struct that grows with the versions; its
 * first member is always the number of threads, and zero is always the default. */
typedef struct {
  gint32 num_threads;
  guint8 rest[252];
} XnnpackOptions;
TfLiteDelegate *TfLiteXNNPackDelegateCreate (const XnnpackOptions *options);
void TfLiteXNNPackDelegateDelete (TfLiteDelegate *delegate);

#define FUNCTIONS(F)                                                                               \
  F (TfLiteModelCreate)                                                                            \
  F (TfLiteModelDelete)                                                                            \
  F (TfLiteInterpreterOptionsCreate)                                                               \
  F (TfLiteInterpreterOptionsSetNumThreads)                                                        \
  F (TfLiteInterpreterOptionsAddDelegate)                                                          \
  F (TfLiteInterpreterOptionsSetErrorReporter)                                                     \
  F (TfLiteInterpreterOptionsDelete)                                                               \
  F (TfLiteInterpreterCreate)                                                                      \
  F (TfLiteInterpreterAllocateTensors)                                                             \
  F (TfLiteInterpreterGetInputTensorCount)                                                         \
  F (TfLiteInterpreterGetInputTensor)                                                              \
  F (TfLiteInterpreterInvoke)                                                                      \
  F (TfLiteInterpreterGetOutputTensorCount)                                                        \
  F (TfLiteInterpreterGetOutputTensor)                                                             \
  F (TfLiteInterpreterDelete)                                                                      \
  F (TfLiteTensorType)                                                                             \
  F (TfLiteTensorNumDims)                                                                          \
  F (TfLiteTensorDim)                                                                              \
  F (TfLiteTensorData)                                                                             \
  F (TfLiteXNNPackDelegateCreate)                                                                  \
  F (TfLiteXNNPackDelegateDelete)

/* Filled once; the library stays loaded. */
static struct {
#define POINTER(name) __typeof__ (name) *name;
  FUNCTIONS (POINTER)
} tf;

struct _TfliteModel {
  char *name;
  GBytes *bytes; /* must outlive @model */
  TfLiteModel *model;
  guint refs; /* under models_lock */
};

struct _TfliteRunner {
  TfliteModel *model;
  TfLiteDelegate *delegate; /* must outlive @interpreter */
  TfLiteInterpreter *interpreter;
  char *complaint; /* the last thing the library said */
};

static GMutex models_lock;
static GHashTable *models; /* name → TfliteModel, not owned; under models_lock */

/* Returns: (nullable): the library; the error of the last place otherwise. */
static void *
open_library (GError **error)
{
  g_autofree char *own = pose_own_folder ();
  g_autofree char *built = g_build_filename (own, SPT_TFLITE_BUILT, NULL);
  void *library = dlopen (built, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    library = dlopen (SPT_TFLITE_INSTALLED, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
        "could not load TensorFlow Lite (%s): ./dev build in Spotter's sources gets it, "
        "meson install installs it",
        dlerror ());
  return library;
}

/* Under models_lock. */
static gboolean
load_library (GError **error)
{
  static gboolean loaded;
  if (loaded)
    return TRUE;
  void *library = open_library (error);
  if (!library)
    return FALSE;
#define LOOK_UP(name)                                                                              \
  if (!(tf.name = dlsym (library, #name))) {                                                       \
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,                                      \
        "the TensorFlow Lite that was found has no %s: ./dev build gets one that has", #name);     \
    dlclose (library);                                                                             \
    return FALSE;                                                                                  \
  }
  FUNCTIONS (LOOK_UP)
  return loaded = TRUE;
}

/**
 * tflite_model_load:
 * @name: of the manifest, see pose_models_map()
 *
 * Any thread.
 *
 * Returns: (transfer full) (nullable): a model, the same for all who ask for it.
 */
TfliteModel *
tflite_model_load (const char *name, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&models_lock);
  if (!load_library (error))
    return NULL;
  if (!models)
    models = g_hash_table_new (g_str_hash, g_str_equal);
  TfliteModel *model = g_hash_table_lookup (models, name);
  if (model) {
    model->refs++;
    return model;
  }
  g_autoptr (GBytes) bytes = pose_models_map (name, error);
  if (!bytes)
    return NULL;
  TfLiteModel *inner =
      tf.TfLiteModelCreate (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  if (!inner) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
        "TensorFlow Lite could not read the model %s", name);
    return NULL;
  }
  model = g_new0 (TfliteModel, 1);
  model->name = g_strdup (name);
  model->bytes = g_steal_pointer (&bytes);
  model->model = inner;
  model->refs = 1;
  g_hash_table_insert (models, model->name, model);
  return model;
}

static TfliteModel *
model_ref (TfliteModel *model)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&models_lock);
  model->refs++;
  return model;
}

void
tflite_model_unref (TfliteModel *model)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&models_lock);
  if (--model->refs > 0)
    return;
  g_hash_table_remove (models, model->name);
  tf.TfLiteModelDelete (model->model);
  g_bytes_unref (model->bytes);
  g_free (model->name);
  g_free (model);
  if (g_hash_table_size (models) == 0)
    g_clear_pointer (&models, g_hash_table_unref);
}

static void
on_complaint (void *user_data, const char *format, va_list args)
{
  TfliteRunner *self = user_data;
  g_free (self->complaint);
  self->complaint = g_strdup_vprintf (format, args);
}

static gboolean
fail (TfliteRunner *self, const char *what, GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED,
      "TensorFlow Lite could not %s the model %s: %s", what, self->model->name,
      self->complaint ? self->complaint : "it does not say why");
  return FALSE;
}

/**
 * tflite_runner_new:
 * @threads: that work on one run; the calling one is among them
 *
 * Prepares the weights for this machine, which takes 0.1 … 0.3 s.
 */
TfliteRunner *
tflite_runner_new (TfliteModel *model, guint threads, GError **error)
{
  g_autoptr (TfliteRunner) self = g_new0 (TfliteRunner, 1);
  self->model = model_ref (model);
  XnnpackOptions xnnpack = {.num_threads = (gint32)MAX (threads, 1)};
  self->delegate = tf.TfLiteXNNPackDelegateCreate (&xnnpack);
  if (!self->delegate) {
    fail (self, "prepare XNNPACK for", error);
    return NULL;
  }
  TfLiteInterpreterOptions *options = tf.TfLiteInterpreterOptionsCreate ();
  tf.TfLiteInterpreterOptionsSetNumThreads (options, (gint32)MAX (threads, 1));
  tf.TfLiteInterpreterOptionsAddDelegate (options, self->delegate);
  tf.TfLiteInterpreterOptionsSetErrorReporter (options, on_complaint, self);
  self->interpreter = tf.TfLiteInterpreterCreate (model->model, options);
  tf.TfLiteInterpreterOptionsDelete (options);
  if (!self->interpreter || tf.TfLiteInterpreterAllocateTensors (self->interpreter) != kTfLiteOk) {
    fail (self, "prepare", error);
    return NULL;
  }
  return g_steal_pointer (&self);
}

static gboolean
has_shape (const TfLiteTensor *tensor, guint n_dims, va_list dims)
{
  if (tf.TfLiteTensorType (tensor) != kTfLiteFloat32 ||
      tf.TfLiteTensorNumDims (tensor) != (gint32)n_dims)
    return FALSE;
  gboolean same = TRUE;
  va_list left;
  va_copy (left, dims);
  for (guint i = 0; i < n_dims; i++)
    same &= tf.TfLiteTensorDim (tensor, (gint32)i) == va_arg (left, int);
  va_end (left);
  return same;
}

/**
 * tflite_runner_input:
 * @...: @n_dims sizes (int)
 *
 * Returns: (nullable): where to write the input of this shape, of floats.
 */
float *
tflite_runner_input (TfliteRunner *self, guint n_dims, ...)
{
  float *data = NULL;
  va_list dims;
  va_start (dims, n_dims);
  for (gint32 i = 0; i < tf.TfLiteInterpreterGetInputTensorCount (self->interpreter) && !data;
       i++) {
    TfLiteTensor *tensor = tf.TfLiteInterpreterGetInputTensor (self->interpreter, i);
    if (has_shape (tensor, n_dims, dims))
      data = tf.TfLiteTensorData (tensor);
  }
  va_end (dims);
  return data;
}

gboolean
tflite_runner_run (TfliteRunner *self, GError **error)
{
  return tf.TfLiteInterpreterInvoke (self->interpreter) == kTfLiteOk || fail (self, "run", error);
}

/**
 * tflite_runner_output:
 * @...: @n_dims sizes (int); the names of outputs mean nothing, their shapes differ
 *
 * Returns: (nullable): the output of this shape, valid until the next run.
 */
const float *
tflite_runner_output (TfliteRunner *self, guint n_dims, ...)
{
  const float *data = NULL;
  va_list dims;
  va_start (dims, n_dims);
  for (gint32 i = 0; i < tf.TfLiteInterpreterGetOutputTensorCount (self->interpreter) && !data;
       i++) {
    const TfLiteTensor *tensor = tf.TfLiteInterpreterGetOutputTensor (self->interpreter, i);
    if (has_shape (tensor, n_dims, dims))
      data = tf.TfLiteTensorData (tensor);
  }
  va_end (dims);
  return data;
}

void
tflite_runner_free (TfliteRunner *self)
{
  if (self->interpreter)
    tf.TfLiteInterpreterDelete (self->interpreter);
  if (self->delegate)
    tf.TfLiteXNNPackDelegateDelete (self->delegate);
  g_clear_pointer (&self->model, tflite_model_unref);
  g_free (self->complaint);
  g_free (self);
}
