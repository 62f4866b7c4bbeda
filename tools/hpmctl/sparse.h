/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps of sparse files in a tar archive: which parts of a file are stored.
 *
 * libarchive takes as much of a map as it understands, and stops at the end of
 * the data; what a damaged map does not lead to would read as zeroes.  So each
 * map is read here as well, and must describe exactly the data that are stored.
 */
#ifndef HPMCTL_SPARSE_H
#define HPMCTL_SPARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sparse {
	bool old;      /* the header itself has a map (GNU's type S) */
	bool list;     /* extended headers have a map, of: */
	uint64_t nr;   /* numbers, each two of which are one part */
	uint64_t last; /* the number before, an offset */
	bool has_nr;   /* the number of parts is given as well: */
	uint64_t nr_parts;
	bool major, minor; /* the version is given */
	bool has_real;	   /* the size of the file is given: */
	uint64_t real;
	uint64_t sum, end; /* of the parts */
};

/*
 * Notes a record of an extended header, whose value is valid for its key; -1
 * and a sentence if it is of an unknown version, or does not fit the others.
 */
int sparse_record(struct sparse *s, const char *key, const char *value,
		  size_t len);
/*
 * Checks the map of an entry.  @h: its header, @len: of all that follows from
 * there on, @size: of what is stored.
 */
int sparse_check(struct sparse *s, const unsigned char *h, size_t len,
		 uint64_t size);

#endif /* HPMCTL_SPARSE_H */
