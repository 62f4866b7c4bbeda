// SPDX-License-Identifier: GPL-2.0-only
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "err.h"
#include "imagename.h"
#include "oci.h"
#include "text.h"

#define JSON_MAX  (4u << 20) /* no manifest is larger */
#define DEPTH_MAX 4	     /* indexes in indexes */

/*----------------------------------------------------------------
 * Is it one?
 *--------------------------------------------------------------*/

/* What may be at the top of a layout. */
static bool is_layout_name(const char *name)
{
	static const char *const names[] = { "blobs",
					     "index.json",
					     "oci-layout",
					     "manifest.json",
					     "repositories",
					     ".",
					     "" };
	size_t i, len = strcspn(name, "/");

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && !strncmp(name, names[i], len))
			return true;
	return false;
}

/* 1 as soon as index.json was seen, 0 as soon as something else was. */
static int probe_members(struct archive *a, const char *path)
{
	struct archive_entry *entry;
	int ret;

	while ((ret = archive_read_next_header(a, &entry)) == ARCHIVE_OK ||
	       ret == ARCHIVE_WARN) {
		const char *name = archive_entry_pathname(entry);

		if (!name || !is_layout_name(member_name(name)))
			return 0;
		if (!strcmp(member_name(name), "index.json"))
			return 1;
	}
	if (ret != ARCHIVE_EOF)
		return err_say(ST_BAD_INPUT, "cannot read %s: %s", path,
			       archive_error_string(a));
	return 0;
}

static int probe_file(const char *path)
{
	struct archive *a = archive_reader();
	int ret;

	if (!a)
		return -1;
	if (archive_read_open_filename(a, path, 1 << 18))
		ret = err_say(ST_BAD_INPUT, "cannot read %s: %s", path,
			      archive_error_string(a));
	else
		ret = probe_members(a, path);
	(void)archive_read_free(a);
	return ret;
}

int oci_probe(const char *path)
{
	struct stat st;
	char index[4096];

	if (!strcmp(path, "-"))
		return 0;
	if (stat(path, &st))
		return err_sys(errno, "cannot read %s", path);
	if (!S_ISDIR(st.st_mode))
		return S_ISREG(st.st_mode) ? probe_file(path) : 0;
	if (print_to(index, sizeof(index), "%s/index.json", path))
		return -1;
	if (access(index, R_OK))
		return err_say(
			ST_BAD_INPUT,
			"the directory %s is no OCI image layout: it has no index.json",
			path);
	return 1;
}

/*----------------------------------------------------------------
 * Blobs
 *--------------------------------------------------------------*/

static int open_name(const struct oci *oci, const char *name,
		     struct stream **sp)
{
	if (oci->dir >= 0)
		return stream_open_at(oci->dir, name, sp);
	return stream_open_member(oci->path, name, sp);
}

static int open_blob(const struct oci *oci, const char *digest, uint64_t size,
		     struct stream **sp)
{
	char path[DIGEST_TEXT], name[DIGEST_TEXT + 8];
	struct digest d;

	if (digest_begin(&d, digest))
		return -1;
	digest_path(&d, path);
	if (print_to(name, sizeof(name), "blobs/%s", path) ||
	    open_name(oci, name, sp))
		return -1;
	if (stream_expect(*sp, digest, size)) {
		stream_close(*sp);
		return -1;
	}
	return 0;
}

static int read_text(struct stream *s, char **textp, size_t *sizep)
{
	const void *data;
	char *text = NULL;
	size_t size = 0;
	ssize_t n;

	while ((n = stream_read(s, &data)) > 0) {
		char *more = size + (size_t)n > JSON_MAX ?
				     NULL :
				     realloc(text, size + (size_t)n);

		if (!more) {
			free(text);
			return err_say(ST_BAD_INPUT, "%s is too large",
				       s->name);
		}
		text = more;
		memcpy(text + size, data, (size_t)n);
		size += (size_t)n;
	}
	if (n < 0 || stream_finish(s)) {
		free(text);
		return -1;
	}
	*textp = text;
	*sizep = size;
	return 0;
}

/* Reads the stream to its end and closes it. */
static json_t *read_json(struct stream *s)
{
	json_error_t error;
	json_t *json = NULL;
	char *text = NULL;
	size_t size;

	if (!read_text(s, &text, &size)) {
		json = json_loadb(text ? text : "", size,
				  JSON_REJECT_DUPLICATES, &error);
		if (!json)
			(void)err_say(ST_BAD_INPUT, "%s is not JSON: %s",
				      s->name, error.text);
	}
	free(text);
	stream_close(s);
	return json;
}

/*----------------------------------------------------------------
 * From the index to the layers
 *--------------------------------------------------------------*/

const char *oci_host_platform(void)
{
	static const char *const arch[][2] = {
		{ "x86_64", "linux/amd64" },	{ "aarch64", "linux/arm64" },
		{ "armv7l", "linux/arm" },	{ "i686", "linux/386" },
		{ "ppc64le", "linux/ppc64le" }, { "s390x", "linux/s390x" },
		{ "riscv64", "linux/riscv64" },
	};
	struct utsname u;
	size_t i;

	if (!uname(&u))
		for (i = 0; i < sizeof(arch) / sizeof(arch[0]); i++)
			if (!strcmp(u.machine, arch[i][0]))
				return arch[i][1];
	return "linux/unknown";
}

static const char *get_string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static int get_descriptor(const json_t *o, char digest[DIGEST_TEXT],
			  uint64_t *size)
{
	const char *text = get_string(o, "digest");
	json_int_t n = json_integer_value(json_object_get(o, "size"));
	struct digest d;

	if (digest_begin(&d, text))
		return -1;
	if (n < 0 || !json_is_integer(json_object_get(o, "size")))
		return err_say(ST_BAD_INPUT, "%s has no size", text);
	strcpy(digest, text);
	*size = (uint64_t)n;
	return 0;
}

static bool fits_platform(const json_t *o, const char *want)
{
	const json_t *p = json_object_get(o, "platform");
	char have[128];

	if (!p)
		return true;
	(void)snprintf(have, sizeof(have), "%s/%s", get_string(p, "os"),
		       get_string(p, "architecture"));
	return !strcmp(have, want);
}

static bool fits_ref(const json_t *o, const char *want)
{
	return !want || !strcmp(get_string(json_object_get(o, "annotations"),
					   "org.opencontainers.image.ref.name"),
				want);
}

/*
 * The one manifest of an index that fits.  A ref and a platform each choose;
 * if more than one is left, a person has to.
 */
static const json_t *choose(const json_t *index, const struct oci_want *want,
			    bool top)
{
	const char *platform = want->platform ? want->platform :
						oci_host_platform();
	const json_t *list = json_object_get(index, "manifests");
	const json_t *o, *found = NULL;
	unsigned int nr = 0;
	size_t i;

	json_array_foreach(list, i, o) {
		if ((top && !fits_ref(o, want->ref)) ||
		    !fits_platform(o, platform))
			continue;
		found = o;
		nr++;
	}
	if (nr == 1)
		return found;
	if (!nr)
		(void)err_say(ST_NOT_FOUND,
			      "the image layout has no manifest for %s%s%s",
			      platform, top && want->ref ? " called " : "",
			      top && want->ref ? want->ref : "");
	else
		(void)err_say(
			ST_USAGE,
			"the image layout holds %u images for %s: choose one with --ref",
			nr, platform);
	return NULL;
}

/* Layers that are not in the layout, or not tar files, cannot be imported. */
static int check_layer_type(const char *type)
{
	if (strstr(type, "nondistributable") || strstr(type, "foreign"))
		return err_say(ST_BAD_INPUT,
			       "a layer is not part of the image (%s)", type);
	if (*type && !strstr(type, ".tar"))
		return err_say(ST_BAD_INPUT, "a layer is not a tar file (%s)",
			       type);
	return 0;
}

static int take_layers(const json_t *manifest, struct oci *oci)
{
	const json_t *list = json_object_get(manifest, "layers");
	const json_t *o;
	size_t i, nr = json_array_size(list);

	if (!nr || nr > OCI_LAYERS_MAX)
		return err_say(
			ST_BAD_INPUT,
			"the manifest %s has %zu layers (1 to %u can be imported)",
			oci->manifest, nr, OCI_LAYERS_MAX);
	oci->layer = calloc(nr, sizeof(*oci->layer));
	if (!oci->layer)
		return err_nomem();
	json_array_foreach(list, i, o) {
		if (check_layer_type(get_string(o, "mediaType")) ||
		    get_descriptor(o, oci->layer[i].digest,
				   &oci->layer[i].size))
			return -1;
	}
	oci->nr = (unsigned int)nr;
	return 0;
}

/* Goes down through indexes to a manifest; takes over @doc. */
static int follow(struct oci *oci, json_t *doc, const struct oci_want *want)
{
	int depth, ret = -1;

	for (depth = 0; doc && json_object_get(doc, "manifests"); depth++) {
		const json_t *next =
			depth < DEPTH_MAX ? choose(doc, want, !depth) : NULL;
		struct stream *s;
		uint64_t size;

		if (depth == DEPTH_MAX)
			(void)err_say(ST_BAD_INPUT,
				      "the image's indexes go too deep");
		if (!next || get_descriptor(next, oci->manifest, &size) ||
		    open_blob(oci, oci->manifest, size, &s))
			goto out;
		json_decref(doc);
		doc = read_json(s);
	}
	if (doc)
		ret = take_layers(doc, oci);
out:
	json_decref(doc);
	return ret;
}

static int load(struct oci *oci, const struct oci_want *want)
{
	struct stream *s;
	json_t *doc;

	oci->dir = open(oci->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (oci->dir < 0 && errno != ENOTDIR)
		return err_sys(errno, "cannot open %s", oci->path);
	if (open_name(oci, "index.json", &s))
		return -1;
	doc = read_json(s);
	if (!doc)
		return -1;
	if (!json_is_array(json_object_get(doc, "manifests"))) {
		json_decref(doc);
		return err_say(ST_BAD_INPUT, "index.json names no manifests");
	}
	return follow(oci, doc, want);
}

int oci_open(const char *path, const struct oci_want *want, struct oci *oci)
{
	memset(oci, 0, sizeof(*oci));
	oci->dir = -1;
	oci->path = strdup(path);
	if (!oci->path)
		return err_nomem();
	if (!load(oci, want))
		return 0;
	oci_close(oci);
	return -1;
}

int oci_open_layer(const struct oci *oci, unsigned int n, struct stream **sp)
{
	return open_blob(oci, oci->layer[n].digest, oci->layer[n].size, sp);
}

void oci_close(struct oci *oci)
{
	free(oci->path);
	free(oci->layer);
	if (oci->dir >= 0)
		(void)close(oci->dir);
	memset(oci, 0, sizeof(*oci));
	oci->dir = -1;
}
