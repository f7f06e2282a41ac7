/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one place that removes credentials from text that leaves the process. */
#pragma once

char *spt_redact (const char *text);
