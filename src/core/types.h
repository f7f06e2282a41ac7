/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every forward typedef of the core, so that headers need not include one another. */
#pragma once

#include <gio/gio.h>
#include <gst/gst.h>

typedef struct _SptBranch SptBranch;
typedef struct _SptLease SptLease;
typedef struct _SptSettings SptSettings;
typedef struct _SptSource SptSource;
typedef struct _SptStream SptStream;
typedef struct _SptStreams SptStreams;
typedef struct _SptTrack SptTrack;
typedef struct _SptViewer SptViewer;

typedef struct _SptRecipe SptRecipe;
typedef struct _SptSpec SptSpec;
