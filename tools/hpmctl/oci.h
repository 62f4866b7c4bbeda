/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Images as they are stored: in OCI's image layout (index.json names a manifest,
 * the manifest names the layers, all by digest), or as "docker save" wrote them
 * before it wrote layouts (manifest.json, or "repositories" in the oldest).
 * Either is a directory or one tar file.
 */
#ifndef HPMCTL_OCI_H
#define HPMCTL_OCI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "choose.h"
#include "digest.h"
#include "stream.h"

#define OCI_LAYERS_MAX 512

struct oci_layer {
	/* of the layer as it is stored; for Docker's: without compression, or "" */
	char digest[DIGEST_TEXT];
	uint64_t size; /* as it is stored; not known for Docker's */
	char *name;    /* of Docker's: the file's */
};

enum image_kind {
	IMAGE_NONE, /* an ordinary archive, of a file system */
	IMAGE_OCI,
	IMAGE_DOCKER,
	IMAGE_DOCKER_OLD, /* "repositories" alone */
	NR_IMAGE_KINDS
};

struct oci {
	char *path;
	int dir; /* -1: path is a tar file */
	enum image_kind kind;
	char manifest[DIGEST_TEXT]; /* "" if there is none with a digest */
	struct oci_layer *layer;    /* the lowest first */
	unsigned int nr;
};

/*
 * What the source is (an enum image_kind), or -1 if it cannot be read.  In a tar
 * file, what does not belong to an image makes it an ordinary one.
 */
int oci_probe(const char *path);
/* @kind is what oci_probe() said. */
int oci_open(const char *path, enum image_kind kind,
	     const struct oci_want *want, struct oci *oci);
/* The bytes of a layer, checked when they have been read. */
int oci_open_layer(const struct oci *oci, unsigned int n, struct stream **sp);
void oci_close(struct oci *oci);

#endif /* HPMCTL_OCI_H */
