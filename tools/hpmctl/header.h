/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The numbers in an archive's headers, as they are written there.
 *
 * libarchive reads what it can of a number and takes 0 for the rest: a file of
 * the owner "abc" becomes root's.  So the headers of each entry are looked at
 * before it is believed: a number that is none, or that no file can have, makes
 * the archive a bad one.
 */
#ifndef HPMCTL_HEADER_H
#define HPMCTL_HEADER_H

#include <archive_entry.h>
#include <stddef.h>
#include <stdint.h>

#define HEADER_BLOCK 512

/*
 * The tar headers of one entry: its extended headers and long names, then its
 * own.  Returns how long they are together; what lies behind them in @raw does
 * not matter.
 */
int64_t header_check_tar(const unsigned char *raw, size_t len);
/* The same for cpio, which has one header for an entry. */
int header_check_cpio(const unsigned char *raw, size_t len);
/* What libarchive made of them, for what any format can get wrong. */
int header_check_entry(struct archive_entry *entry);

#endif /* HPMCTL_HEADER_H */
