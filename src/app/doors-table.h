/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "output.h"

extern const SptOutput *const spt_outputs[];
extern const guint spt_n_outputs;
