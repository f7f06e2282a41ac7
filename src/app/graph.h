/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A stream's source, tracks, branches and viewers as one picture. */
#pragma once

#include "stream.h"

char *spt_graph_dot (SptStream *stream);
