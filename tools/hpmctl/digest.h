/* SPDX-License-Identifier: GPL-2.0-only */
/* Digests as OCI writes them: "sha256:<64 hex digits>". */
#ifndef HPMCTL_DIGEST_H
#define HPMCTL_DIGEST_H

#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_TEXT 136 /* "sha512:" and 128 digits, NUL */

struct digest {
	enum {
		DIGEST_SHA256,
		DIGEST_SHA512
	} kind;
	union {
		struct sha256_ctx sha256;
		struct sha512_ctx sha512;
	} ctx;
	char expect[DIGEST_TEXT];
};

/* Begins a digest; -1: unknown algorithm, or wrong number of hex digits. */
int digest_begin(struct digest *d, const char *expect);
void digest_add(struct digest *d, const void *data, size_t size);
/* Whether the added data have the expected digest. */
bool digest_matches(struct digest *d);
/* "sha256/abc...", a path below blobs/; the text was checked before. */
void digest_path(const struct digest *d, char out[DIGEST_TEXT]);

#endif /* HPMCTL_DIGEST_H */
