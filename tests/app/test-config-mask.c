/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "config-mask.h"
#include "error.h"

/* Everything a credential may stand in; the word "geheim" is in each of them. */
static const char original[] =
    "# was: rtsp://bob:geheim1@10.0.0.9/x\n"
    "api: {username: me, password: geheim2} # keep\n"
    "env:\n  CAM_PASSWORD: 'geheim3'\n"
    "webrtc:\n"
    "  ice_servers: [{urls: 'turn:ä.example', credential: \"geheim4\"}]\n"
    "rtsp:\n  password: ${CAM_PASSWORD}\n"
    "tokens:\n  - geheim5\n  - geheim6\n"
    "anchors: {password: &pw geheimC, token: !!str geheimD}\n"
    "alias: {password: *pw}\n"
    "block:\n  password: |\n    geheimE\n    geheimF\n  other: 1\n"
    "'quoted password' : \"gehe\\\"imG\"\r\n"
    "streams:\n"
    "  one: rtsp://user:gehe@im7@192.0.2.1:554/stream#transport=tcp\n"
    "  two: [ 'rtsp://a:geheim8@h/x?token=geheim9', rtsp://b:geheimA@h/x ]\n"
    "  same: rtsp://c:geheimB@h/x\n"
    "  password: test:smpte\n";

static char *
mask (void)
{
  g_autoptr (GError) error = NULL;
  char *masked = spt_config_mask (original, &error);
  g_assert_no_error (error);
  return masked;
}

/* (transfer full): @from replaced in the masked text, and unmasked again */
static char *
edit (const char *from, const char *to, GError **error)
{
  g_autofree char *masked = mask ();
  g_assert_nonnull (strstr (masked, from));
  g_auto (GStrv) parts = g_strsplit (masked, from, 2);
  g_autofree char *edited = g_strjoinv (to, parts);
  return spt_config_unmask (edited, original, error);
}

static void
test_no_credential_is_seen (void)
{
  g_autofree char *masked = mask ();
  g_assert_null (strstr (masked, "geheim"));
  g_assert_null (strstr (masked, "gehe@im"));
  g_assert_nonnull (strstr (masked, "password: \"***\"} # keep\n"));
  g_assert_nonnull (strstr (masked, "password: ${CAM_PASSWORD}\n")); /* names one */
  g_assert_nonnull (strstr (masked, "one: rtsp://***@192.0.2.1:554/stream#transport=tcp\n"));
  g_assert_nonnull (strstr (masked, "password: test:smpte\n")); /* a stream of that name */
  g_assert_nonnull (strstr (masked, "turn:ä.example"));
}

static void
test_unchanged_is_unchanged (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *masked = mask ();
  g_autofree char *back = spt_config_unmask (masked, original, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (back, ==, original);
}

static void
test_edited_lines_keep_their_credentials (void)
{
  g_autofree char *moved = edit ("rtsp:\n", "moved: {a: 1}\nrtsp:\n", NULL);
  g_assert_nonnull (strstr (moved, "password: geheim2"));
  g_assert_nonnull (strstr (moved, "user:gehe@im7@192.0.2.1"));
  g_autofree char *path = edit ("192.0.2.1:554/stream", "192.0.2.1:554/other", NULL);
  g_assert_nonnull (strstr (path, "rtsp://user:gehe@im7@192.0.2.1:554/other#transport=tcp\n"));
  g_autofree char *fresh = edit ("\"***\"} # keep", "new}", NULL);
  g_assert_nonnull (strstr (fresh, "password: new}\n"));
  g_autofree char *gone = edit ("  - \"***\"\n", "", NULL); /* the first of two tokens */
  g_assert_nonnull (strstr (gone, "tokens:\n  - geheim5\nanchors"));
}

static void
test_a_mask_without_a_credential_is_refused (void)
{
  static const struct {
    const char *text;
    const char *line;
  } cases[] = {
      {"a: 1\nx: {password: \"***\"}", "line 2:"},
      {"streams:\n  new: rtsp://***@elsewhere/x", "line 2:"},
      {"streams: {new: 'http://h/x?token=***'}", "line 1:"},
      {"a: [", "line 2:"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (spt_config_unmask (cases[i].text, original, &error));
    g_assert_error (error, SPT_ERROR, SPT_ERROR_INVALID);
    g_assert_true (g_str_has_prefix (error->message, cases[i].line));
  }
}

static void
test_aliases_of_aliases_end (void)
{
  g_autoptr (GString) text = g_string_new ("a0: &a0 [x]\n");
  g_autoptr (GError) error = NULL;
  for (guint i = 1; i < 14; i++)
    g_string_append_printf (
        text, "a%u: &a%u [*a%u,*a%u,*a%u,*a%u,*a%u]\n", i, i, i - 1, i - 1, i - 1, i - 1, i - 1);
  g_assert_null (spt_config_mask (text->str, &error));
  g_assert_error (error, SPT_ERROR, SPT_ERROR_INVALID);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/config-mask/no-credential-is-seen", test_no_credential_is_seen);
  g_test_add_func ("/config-mask/unchanged-is-unchanged", test_unchanged_is_unchanged);
  g_test_add_func (
      "/config-mask/edited-lines-keep-their-credentials", test_edited_lines_keep_their_credentials);
  g_test_add_func ("/config-mask/a-mask-without-a-credential-is-refused",
      test_a_mask_without_a_credential_is_refused);
  g_test_add_func ("/config-mask/aliases-of-aliases-end", test_aliases_of_aliases_end);
  return g_test_run ();
}
