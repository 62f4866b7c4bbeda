/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stored images: in OCI's image layout (index.json names a manifest, the
 * manifest names the layers, all by digest), or in the formats that "docker
 * save" wrote before (manifest.json, or "repositories" in the oldest).  An
 * image is a directory or a tar file.
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
	/* of the stored layer; for Docker's: of the uncompressed one, or "" */
	char digest[DIGEST_TEXT];
	uint64_t size; /* of the stored layer; unknown for Docker's */
	char *name;    /* for Docker's: the file name */
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
	char manifest[DIGEST_TEXT]; /* "" if it has no digest */
	struct oci_layer *layer;    /* the lowest first */
	unsigned int nr;
};

/*
 * Tells what the source is (an enum image_kind), or returns -1 if it cannot be
 * read.  A tar file with a member that does not belong to an image is an
 * ordinary archive.
 */
int oci_probe(const char *path);
/* @kind is the result of oci_probe(). */
int oci_open(const char *path, enum image_kind kind,
	     const struct oci_want *want, struct oci *oci);
/* Opens the bytes of a layer, which are checked as they are read. */
int oci_open_layer(const struct oci *oci, unsigned int n, struct stream **sp);
void oci_close(struct oci *oci);

#endif /* HPMCTL_OCI_H */
