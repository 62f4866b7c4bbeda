// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "digest.h"
#include "err.h"

static const struct {
	const char *prefix;
	size_t digits;
} kinds[] = {
	[DIGEST_SHA256] = { "sha256:", 2UL * SHA256_DIGEST_SIZE },
	[DIGEST_SHA512] = { "sha512:", 2UL * SHA512_DIGEST_SIZE },
};

static bool fits(int kind, const char *text)
{
	size_t len = strlen(kinds[kind].prefix);

	return !strncmp(text, kinds[kind].prefix, len) &&
	       strlen(text) == len + kinds[kind].digits &&
	       strspn(text + len, "0123456789abcdef") == kinds[kind].digits;
}

int digest_begin(struct digest *d, const char *expect)
{
	if (fits(DIGEST_SHA256, expect)) {
		d->kind = DIGEST_SHA256;
		sha256_init(&d->ctx.sha256);
	} else if (fits(DIGEST_SHA512, expect)) {
		d->kind = DIGEST_SHA512;
		sha512_init(&d->ctx.sha512);
	} else {
		return err_say(ST_BAD_INPUT,
			       "\"%.80s\" is not a sha256 or sha512 digest",
			       expect);
	}
	strcpy(d->expect, expect);
	return 0;
}

void digest_add(struct digest *d, const void *data, size_t size)
{
	if (d->kind == DIGEST_SHA256)
		sha256_update(&d->ctx.sha256, size, data);
	else
		sha512_update(&d->ctx.sha512, size, data);
}

bool digest_matches(struct digest *d)
{
	uint8_t sum[SHA512_DIGEST_SIZE];
	char text[DIGEST_TEXT];
	size_t i, at;

	if (d->kind == DIGEST_SHA256)
		sha256_digest(&d->ctx.sha256, SHA256_DIGEST_SIZE, sum);
	else
		sha512_digest(&d->ctx.sha512, SHA512_DIGEST_SIZE, sum);
	strcpy(text, kinds[d->kind].prefix);
	at = strlen(text);
	for (i = 0; i < kinds[d->kind].digits / 2; i++, at += 2)
		(void)snprintf(text + at, 3, "%02x", sum[i]);
	return !strcmp(text, d->expect);
}

void digest_path(const struct digest *d, char out[DIGEST_TEXT])
{
	strcpy(out, d->expect);
	*strchr(out, ':') = '/';
}
