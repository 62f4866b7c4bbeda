// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes the tracepoints of trace.h, so that whoever traces depends on nobody above it.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"
