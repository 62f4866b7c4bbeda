// SPDX-License-Identifier: GPL-2.0-only
/*
 * Defines the tracepoints of cache-trace.h.
 */
#define CREATE_TRACE_POINTS
#include "cache-trace.h"
