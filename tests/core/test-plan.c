/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/gst.h>
#include <string.h>

#include "error.h"
#include "plan.h"

static const SptCandidate *
anything (const SptRecipe *recipe)
{
  return recipe->candidates;
}

static const SptCandidate *
nothing (const SptRecipe *recipe)
{
  return NULL;
}

static const struct {
  const char *have, *accept, *steps; /* NULL: no way */
} rows[] = {
    {"video/x-h264, profile=main", "video/x-h264", ""},
    {"video/x-h264, profile=main", "video/x-h265; video/x-h264", ""},
    {"video/x-h264, profile=high-4:4:4", "video/x-h264, profile=(string){main, high}",
        "decode h264"},
    {"image/jpeg", "video/x-h264", "decode h264"},
    {"image/jpeg", "image/jpeg", ""},
    {"video/x-raw, format=YUY2", "image/jpeg", "jpeg"},
    {"video/x-raw, format=YUY2", "video/x-h264; video/x-h265", "h264"},
    {"video/x-h265", "image/jpeg", "decode jpeg"},
    {"video/x-h265", "video/x-raw", "decode"},
    {"audio/x-mulaw", "audio/mpeg, mpegversion=4", "decode-audio aac"},
    {"audio/x-raw", "audio/mpeg, mpegversion=4; audio/x-opus", "aac"},
    {"audio/mpeg, mpegversion=4, stream-format=raw", "audio/x-opus", "decode-audio opus"},
    {"video/x-h264, overlay=none", "video/x-raw, overlay=meta", "decode pose"},
    {"video/x-h264, overlay=none", "video/x-h264, overlay=pose", "decode pose overlay h264"},
    {"video/x-raw, overlay=none", "image/jpeg, overlay=skeleton", "pose skeleton jpeg"},
    {"video/x-h264, overlay=none", "video/x-h264", ""},
    {"video/x-raw, overlay=none", "video/x-h264", "h264"},
    {"audio/x-raw, overlay=none", "audio/x-opus", "opus"},
    {"image/jpeg", "video/x-vp9", NULL},
    {"video/x-unheard-of", "video/x-h264", NULL},
    {"audio/mpeg, mpegversion=4", "video/x-h264", NULL},
};

static char *
plan_text (const char *have_text, const char *accept_text, SptUsable usable, GError **error)
{
  g_autoptr (GstCaps) have = gst_caps_from_string (have_text);
  g_autoptr (GstCaps) accept = gst_caps_from_string (accept_text);
  g_autoptr (GPtrArray) steps = spt_plan (have, accept, usable, error);
  if (!steps)
    return NULL;
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < steps->len; i++)
    g_string_append_printf (
        text, "%s%s", i ? " " : "", ((const SptRecipe *)g_ptr_array_index (steps, i))->name);
  return g_string_free (text, FALSE);
}

static void
test_table (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *steps = plan_text (rows[i].have, rows[i].accept, anything, &error);
    g_assert_cmpstr (steps, ==, rows[i].steps);
    if (!rows[i].steps)
      g_assert_error (error, SPT_ERROR, SPT_ERROR_UNSUPPORTED);
  }
}

static void
test_error_names_both_sides (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (plan_text ("image/jpeg", "video/x-vp9", anything, &error));
  g_assert_nonnull (strstr (error->message, "image/jpeg"));
  g_assert_nonnull (strstr (error->message, "video/x-vp9"));
}

static void
test_what_cannot_run_is_not_planned (void)
{
  g_autofree char *passthrough = plan_text ("video/x-h264", "video/x-h264", nothing, NULL);
  g_assert_cmpstr (passthrough, ==, "");
  g_assert_null (plan_text ("image/jpeg", "video/x-h264", nothing, NULL));
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/table", test_table);
  g_test_add_func ("/plan/error-names-both-sides", test_error_names_both_sides);
  g_test_add_func ("/plan/what-cannot-run-is-not-planned", test_what_cannot_run_is_not_planned);
  return g_test_run ();
}
