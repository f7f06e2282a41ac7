/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "admission.h"

void
spt_admission_init (SptAdmission *self, guint max, guint max_per_address)
{
  self->max = max;
  self->max_per_address = max_per_address;
  self->count = 0;
  self->per_address = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
}

void
spt_admission_clear (SptAdmission *self)
{
  g_clear_pointer (&self->per_address, g_hash_table_unref);
}

/* FALSE when there are too many already; else one more, until spt_admission_leave(). */
gboolean
spt_admission_enter (SptAdmission *self, const char *address)
{
  guint n = GPOINTER_TO_UINT (g_hash_table_lookup (self->per_address, address));
  if (self->count >= self->max || n >= self->max_per_address)
    return FALSE;
  self->count++;
  g_hash_table_replace (self->per_address, g_strdup (address), GUINT_TO_POINTER (n + 1));
  return TRUE;
}

void
spt_admission_leave (SptAdmission *self, const char *address)
{
  guint n = GPOINTER_TO_UINT (g_hash_table_lookup (self->per_address, address));
  self->count--;
  if (n > 1)
    g_hash_table_replace (self->per_address, g_strdup (address), GUINT_TO_POINTER (n - 1));
  else
    g_hash_table_remove (self->per_address, address);
}

/* (transfer full): the address without its port; IPv4 as such, also on an IPv6 socket */
char *
spt_admission_address (GSocketAddress *address)
{
  if (!G_IS_INET_SOCKET_ADDRESS (address))
    return g_strdup ("local");
  char *text = g_inet_address_to_string (
      g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (address)));
  if (!g_str_has_prefix (text, "::ffff:"))
    return text;
  char *four = g_strdup (text + strlen ("::ffff:"));
  g_free (text);
  return four;
}
