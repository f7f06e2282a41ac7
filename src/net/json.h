/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only place where objects become JSON. Nodes are (transfer full). */
#pragma once

#include <json-glib/json-glib.h>

#include "streams.h"

JsonNode *spt_json_streams (SptStreams *streams);
JsonNode *spt_json_stream (SptStream *stream);
JsonNode *spt_json_stream_stats (SptStream *stream);
JsonNode *spt_json_health (SptStreams *streams, gboolean *healthy);
JsonNode *spt_json_parse (GBytes *text, GError **error);
JsonNode *spt_json_strings (const char *const *strings);
