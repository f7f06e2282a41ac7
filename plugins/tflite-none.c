/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands in for tflite.c in a build without TensorFlow Lite: says what to do. */
#include "config.h"

#include "tflite.h"

#include <gio/gio.h>

TfliteModel *
tflite_model_load (const char *name, GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
      "Spotter was built without TensorFlow Lite, which runs the model %s: ./dev build gets it by "
      "npm "
      "(or configure with -Dtflite=system)",
      name);
  return NULL;
}

void
tflite_model_unref (TfliteModel *model)
{
}

TfliteRunner *
tflite_runner_new (TfliteModel *model, guint threads, GError **error)
{
  g_return_val_if_reached (NULL);
}

float *
tflite_runner_input (TfliteRunner *runner, guint n_dims, ...)
{
  g_return_val_if_reached (NULL);
}

gboolean
tflite_runner_run (TfliteRunner *runner, GError **error)
{
  g_return_val_if_reached (FALSE);
}

const float *
tflite_runner_output (TfliteRunner *runner, guint n_dims, ...)
{
  g_return_val_if_reached (NULL);
}

void
tflite_runner_free (TfliteRunner *runner)
{
}
