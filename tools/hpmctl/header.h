/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks the numbers in an archive's headers as they were written.
 *
 * libarchive reads the valid part of a number and takes 0 for the rest: a file
 * with the owner "abc" becomes root's.  So the headers of each entry are
 * checked before the entry is used: a field that is not a number, or has a
 * value that no file can have, makes the archive a bad one.  So does a header
 * that readers take differently.
 */
#ifndef HPMCTL_HEADER_H
#define HPMCTL_HEADER_H

#include <archive_entry.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEADER_BLOCK 512

/* Reads a number in a field of a tar header; false: it is none. */
bool header_number(const unsigned char *f, size_t len, int64_t *value);
/*
 * Checks the tar headers of one entry: its extended headers and long names,
 * then its own.  Returns the length of all of them; what follows them in @raw
 * is ignored.
 */
int64_t header_check_tar(const unsigned char *raw, size_t len);
/* The same for cpio, which has one header for an entry. */
int header_check_cpio(const unsigned char *raw, size_t len);
/* Checks what libarchive read, for errors that are possible in any format. */
int header_check_entry(struct archive_entry *entry);

#endif /* HPMCTL_HEADER_H */
