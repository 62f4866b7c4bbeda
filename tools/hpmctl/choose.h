/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which image of several is meant.
 *
 * A choice is a JSON object: "digest" and "size" of its manifest, "platform"
 * ("linux/arm/v7", "" if it is not told), "version" of the system that it needs
 * ("" mostly), and "names", a list in which those come first that tell most.
 * "bad" is a sentence that tells why it cannot be had, if it cannot.
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
 * Those of @list that have the name that is wanted (all if none is), as a new
 * list; NULL and a sentence that lists the names if there are none.
 */
json_t *choose_by_ref(const json_t *list, const struct oci_want *want);
/* The one of them for the platform; NULL and a sentence with the choices. */
json_t *choose_by_platform(const json_t *list, const struct oci_want *want);

#endif /* HPMCTL_CHOOSE_H */
