/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listening sockets of our own making, with a backlog that takes a crowd. */
#pragma once

#include "types.h"

GPtrArray *spt_listen (const char *address, GError **error);
char *spt_listen_describe (GSocket *socket);
gboolean spt_listen_is_loopback (const char *address);
