/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "settings.h"

#include <string.h>

#include "error.h"

typedef struct {
  const SptOption *option;
  gint64 number;
  char **strings; /* one for SPT_OPTION_STRING */
} Value;

struct _SptSettings {
  gatomicrefcount refs;
  GHashTable *values; /* key → Value; main context */
  GPtrArray *order;   /* of SptOption, as declared */
};

static void
value_free (gpointer data)
{
  Value *value = data;
  g_strfreev (value->strings);
  g_free (value);
}

SptSettings *
spt_settings_new (void)
{
  SptSettings *self = g_new0 (SptSettings, 1);
  g_atomic_ref_count_init (&self->refs);
  self->values = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, value_free);
  self->order = g_ptr_array_new ();
  return self;
}

SptSettings *
spt_settings_ref (SptSettings *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
spt_settings_unref (SptSettings *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_hash_table_unref (self->values);
  g_ptr_array_unref (self->order);
  g_free (self);
}

static gboolean
parse_seconds (const char *text, gint64 *ms)
{
  static const struct {
    const char *suffix;
    double ms;
  } units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}};
  char *end;
  double number = g_ascii_strtod (text, &end);
  if (end == text || !(number >= 0 && number < 1e9))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (units); i++)
    if (g_str_equal (end, units[i].suffix)) {
      *ms = (gint64)(number * units[i].ms);
      return TRUE;
    }
  return FALSE;
}

static gboolean
parse_bool (const char *text, gint64 *number)
{
  static const char *const yes[] = {"true", "yes", "on", "1", NULL};
  static const char *const no[] = {"false", "no", "off", "0", "", NULL};
  *number = g_strv_contains (yes, text);
  return *number || g_strv_contains (no, text);
}

static gboolean
parse_number (const SptOption *option, const char *text, gint64 *number, GError **error)
{
  gboolean ok;
  const char *expected;
  switch (option->type) {
  case SPT_OPTION_BOOL:
    ok = parse_bool (text, number);
    expected = "true or false";
    break;
  case SPT_OPTION_SECONDS:
    ok = parse_seconds (text, number);
    expected = "a time such as 10s or 500ms";
    break;
  default:
    ok = g_ascii_string_to_signed (text, 10, G_MININT64, G_MAXINT64, number, NULL);
    expected = "a whole number";
    break;
  }
  if (!ok) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID, "'%s' expects %s, not '%s'", option->key,
        expected, text);
    return FALSE;
  }
  if (option->min < option->max && (*number < option->min || *number > option->max)) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_INVALID,
        "'%s' must lie between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT ", it is %s",
        option->key, option->min, option->max, text);
    return FALSE;
  }
  return TRUE;
}

static Value *
value_new (const SptOption *option, const char *const *texts, GError **error)
{
  guint n = g_strv_length ((char **)texts);
  gint64 number = 0;
  if (option->type != SPT_OPTION_STRINGS) {
    if (n != 1) {
      g_set_error (
          error, SPT_ERROR, SPT_ERROR_INVALID, "'%s' expects one value, not a list", option->key);
      return NULL;
    }
    if (option->type != SPT_OPTION_STRING && !parse_number (option, texts[0], &number, error))
      return NULL;
  }
  Value *value = g_new0 (Value, 1);
  value->option = option;
  value->number = number;
  value->strings = g_strdupv ((char **)texts);
  return value;
}

/**
 * spt_settings_declare:
 * @table: static; its fallbacks become the values
 */
void
spt_settings_declare (SptSettings *self, const SptOption *table, guint n)
{
  for (guint i = 0; i < n; i++) {
    const SptOption *option = &table[i];
    const char *fallback = option->fallback ? option->fallback
                           : option->type == SPT_OPTION_INT || option->type == SPT_OPTION_SECONDS
                               ? "0"
                               : "";
    const char *texts[] = {fallback, NULL};
    const char *none[] = {NULL};
    Value *value =
        value_new (option, option->type == SPT_OPTION_STRINGS && !*fallback ? none : texts, NULL);
    g_return_if_fail (value != NULL);
    g_hash_table_replace (self->values, (char *)option->key, value);
    g_ptr_array_add (self->order, (gpointer)option);
  }
}

const SptOption *
spt_settings_find (SptSettings *self, const char *key)
{
  Value *value = g_hash_table_lookup (self->values, key);
  return value ? value->option : NULL;
}

/* TRUE when "key.something" is declared. */
gboolean
spt_settings_is_section (SptSettings *self, const char *key)
{
  gsize length = strlen (key);
  for (guint i = 0; i < self->order->len; i++) {
    const SptOption *option = g_ptr_array_index (self->order, i);
    if (strncmp (option->key, key, length) == 0 && option->key[length] == '.')
      return TRUE;
  }
  return FALSE;
}

/**
 * spt_settings_set:
 * @values: (array zero-terminated=1): one text, or several for a list
 *
 * Returns: FALSE when @key is unknown (NOT_FOUND) or a value is not of its type (INVALID)
 */
gboolean
spt_settings_set (SptSettings *self, const char *key, const char *const *values, GError **error)
{
  const SptOption *option = spt_settings_find (self, key);
  if (!option) {
    g_set_error (error, SPT_ERROR, SPT_ERROR_NOT_FOUND, "'%s' is not an option", key);
    return FALSE;
  }
  Value *value = value_new (option, values, error);
  if (!value)
    return FALSE;
  g_hash_table_replace (self->values, (char *)option->key, value);
  return TRUE;
}

static const Value *
lookup (SptSettings *self, const char *key)
{
  const Value *value = g_hash_table_lookup (self->values, key);
  if (!value)
    g_error ("option '%s' is read but declared nowhere", key);
  return value;
}

/* The text, never NULL. */
const char *
spt_settings_string (SptSettings *self, const char *key)
{
  return lookup (self, key)->strings[0];
}

gboolean
spt_settings_bool (SptSettings *self, const char *key)
{
  return lookup (self, key)->number != 0;
}

/* A whole number; milliseconds for SPT_OPTION_SECONDS. */
gint64
spt_settings_int (SptSettings *self, const char *key)
{
  return lookup (self, key)->number;
}

const char *const *
spt_settings_strings (SptSettings *self, const char *key)
{
  return (const char *const *)lookup (self, key)->strings;
}

/* A line for each option, for --help. */
char *
spt_settings_describe (SptSettings *self)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < self->order->len; i++) {
    const SptOption *option = g_ptr_array_index (self->order, i);
    g_string_append_printf (text, "  %-24s %s", option->key, option->help);
    if (option->fallback && *option->fallback)
      g_string_append_printf (text, " [%s]", option->fallback);
    g_string_append_c (text, '\n');
  }
  return g_string_free (text, FALSE);
}

/* (transfer full): keys whose values differ; both know the same options */
char **
spt_settings_compare (SptSettings *self, SptSettings *other)
{
  g_autoptr (GStrvBuilder) keys = g_strv_builder_new ();
  for (guint i = 0; i < self->order->len; i++) {
    const SptOption *option = g_ptr_array_index (self->order, i);
    if (!g_strv_equal (
            spt_settings_strings (self, option->key), spt_settings_strings (other, option->key)))
      g_strv_builder_add (keys, option->key);
  }
  return g_strv_builder_end (keys);
}
