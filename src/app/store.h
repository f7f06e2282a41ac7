/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the API has added and removed, on disk. */
#pragma once

#include <gio/gio.h>

typedef struct _SptStore SptStore;

/* @sources: (nullable): NULL is the tombstone of a configured stream */
typedef void (*SptStoreEach) (const char *name, const char *const *sources, gpointer data);

SptStore *spt_store_new (const char *path);
void spt_store_free (SptStore *self);
gboolean spt_store_load (SptStore *self, GError **error);
void spt_store_foreach (SptStore *self, SptStoreEach each, gpointer data);
gboolean spt_store_lookup (SptStore *self, const char *name, char ***sources);
void spt_store_put (SptStore *self, const char *name, const char *const *sources);
void spt_store_bury (SptStore *self, const char *name);
void spt_store_forget (SptStore *self, const char *name);
void spt_store_save_async (SptStore *self, GAsyncReadyCallback callback, gpointer data);
gboolean spt_store_save_finish (GAsyncResult *result, GError **error);
char *spt_store_default_path (void);
