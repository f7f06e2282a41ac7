/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pages, from GResource. */
#pragma once

#include "output.h"

void spt_web_start (SptHost *host);
