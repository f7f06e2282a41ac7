/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs models with TensorFlow Lite, which is loaded when the first model is. A model is shared by
 * all who load it under the same name; a runner belongs to one thread at a time. */
#pragma once

#include <glib.h>

typedef struct _TfliteModel TfliteModel;
typedef struct _TfliteRunner TfliteRunner;

TfliteModel *tflite_model_load (const char *name, GError **error);
void tflite_model_unref (TfliteModel *model);

TfliteRunner *tflite_runner_new (TfliteModel *model, guint threads, GError **error);
float *tflite_runner_input (TfliteRunner *runner, guint n_dims, ...);
gboolean tflite_runner_run (TfliteRunner *runner, GError **error);
const float *tflite_runner_output (TfliteRunner *runner, guint n_dims, ...);
void tflite_runner_free (TfliteRunner *runner);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TfliteModel, tflite_model_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TfliteRunner, tflite_runner_free)
