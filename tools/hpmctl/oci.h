/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Images in OCI's image layout, as a directory or as one tar file: index.json
 * names a manifest, the manifest names the layers, all by digest.
 */
#ifndef HPMCTL_OCI_H
#define HPMCTL_OCI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "digest.h"
#include "stream.h"

#define OCI_LAYERS_MAX 512

struct oci_layer {
	char digest[DIGEST_TEXT];
	uint64_t size; /* as it is stored */
};

struct oci {
	char *path;
	int dir; /* -1: path is a tar file */
	char manifest[DIGEST_TEXT];
	struct oci_layer *layer; /* the lowest first */
	unsigned int nr;
};

/* What was asked for, where an index offers more than one. */
struct oci_want {
	const char *ref;      /* org.opencontainers.image.ref.name, or NULL */
	const char *platform; /* "linux/arm64", NULL: this machine's */
};

/*
 * Whether the source is an image layout: 1, 0, or -1 if it cannot be read.  In
 * a tar file, what does not belong to a layout makes it an ordinary one.
 */
int oci_probe(const char *path);
int oci_open(const char *path, const struct oci_want *want, struct oci *oci);
/* The bytes of a layer, checked when they have been read. */
int oci_open_layer(const struct oci *oci, unsigned int n, struct stream **sp);
void oci_close(struct oci *oci);

/* The platform that this machine runs, "linux/amd64". */
const char *oci_host_platform(void);

#endif /* HPMCTL_OCI_H */
