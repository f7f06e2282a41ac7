/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /api/devices, and go2rtc's names for it: the cameras of this machine. */
#pragma once

#include "output.h"

void spt_devices_api_start (SptHost *host);
