/* SPDX-License-Identifier: GPL-2.0-only */
/* Text that strangers wrote, for hpmctl and for the metadata tools. */
#ifndef HPM_ESCAPE_H
#define HPM_ESCAPE_H

#include <stddef.h>

/*
 * Escapes @in so that it can be printed on one line of a terminal, and as JSON:
 * bytes that are not UTF-8, that control a terminal or that reorder text become
 * "\xNN".  A result that is longer than @size ends in "...".
 */
const char *text_escape(char *out, size_t size, const char *in);

#endif /* HPM_ESCAPE_H */
