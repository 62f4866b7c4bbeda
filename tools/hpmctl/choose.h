/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Chooses one image of several.
 *
 * A choice is a JSON object: "digest" and "size" of its manifest, "platform"
 * ("linux/arm/v7", "" if unknown), "version" of the system that it needs
 * (usually ""), and "names", a list with the most specific names first.  If the
 * image cannot be imported, "bad" is a sentence with the reason.
 */
#ifndef HPMCTL_CHOOSE_H
#define HPMCTL_CHOOSE_H

#include <jansson.h>

/* What was asked for. */
struct oci_want {
	const char *ref;      /* a name, a tag or a digest; NULL: any */
	const char *platform; /* "linux/arm64", NULL: this machine's */
};

#define PLATFORM_TEXT 128
/* "linux/arm64/v8" is "linux/arm64", "x86_64" is "linux/amd64", and so on. */
void platform_normalize(const char *text, char out[PLATFORM_TEXT]);

json_t *choice_new(const char *digest, json_int_t size, const char *platform,
		   const char *version, json_t *names);
/*
 * Returns a new list with the choices that have the wanted name (all choices if
 * no name is wanted).  If there are none: NULL, and a sentence that lists the
 * names.
 */
json_t *choose_by_ref(const json_t *list, const struct oci_want *want);
/*
 * Returns the choice for the platform; NULL and a sentence that lists the
 * choices.
 */
json_t *choose_by_platform(const json_t *list, const struct oci_want *want);

#endif /* HPMCTL_CHOOSE_H */
