// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "imagename.h"

const char *member_name(const char *name)
{
	for (;;) {
		if (*name == '/')
			name++;
		else if (name[0] == '.' && name[1] == '/')
			name += 2;
		else
			return name;
	}
}

static bool is(const char *name, size_t len, const char *what)
{
	return strlen(what) == len && !strncmp(name, what, len);
}

/* A digest, with or without its kind, or the beginning of one. */
static bool is_digest(const char *name, size_t len)
{
	const char *kind = "sha256:";

	if (len > strlen(kind) && !strncmp(name, kind, strlen(kind))) {
		name += strlen(kind);
		len -= strlen(kind);
	}
	return len >= 12 && strspn(name, "0123456789abcdef") >= len;
}

/* "ID.json", "DIGEST.tar.gz": a configuration, or a layer */
static bool is_part(const char *name, size_t len)
{
	static const char *const ends[] = { ".json", ".tar", ".tar.gz", ".tgz",
					    ".tar.zst" };
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t n = strlen(ends[i]);

		if (len > n && !strncmp(name + len - n, ends[i], n))
			return true;
	}
	return false;
}

static void found_one(struct image_names *n, bool *found)
{
	n->twice |= *found;
	*found = true;
}

/* Notes a member @name of a top-level directory, whose name has @len bytes. */
static void add_below(struct image_names *n, const char *top, size_t len,
		      const char *name)
{
	size_t part = strcspn(name, "/");

	if (!n->dir[0] && len < sizeof(n->dir))
		memcpy(n->dir, top, len);
	if (!is(top, len, n->dir))
		n->dir_other = true;
	else if (is(name, part, "index.json"))
		n->dir_index = true;
	else if (is(name, part, "oci-layout"))
		n->dir_layout = true;
	else if (part && !is(name, part, "blobs"))
		n->dir_other = true;
}

void image_names_add(struct image_names *n, const char *path)
{
	const char *name = member_name(path);
	size_t len = strcspn(name, "/");
	bool top = !name[len];

	if (!len || is(name, len, "."))
		return;
	if (top && is(name, len, "index.json"))
		found_one(n, &n->index);
	else if (top && is(name, len, "manifest.json"))
		found_one(n, &n->manifest);
	else if (top && is(name, len, "repositories"))
		found_one(n, &n->repositories);
	else if (!is(name, len, "blobs") && !is(name, len, "oci-layout") &&
		 !is_digest(name, len) && !(top && is_part(name, len)))
		n->other = true;
	add_below(n, name, len, member_name(name + len));
}

const char *image_names_dir(const struct image_names *n)
{
	return n->dir_index && n->dir_layout && !n->dir_other ? n->dir : NULL;
}

bool image_names_is_image(const struct image_names *n)
{
	return !n->other && (n->index || n->manifest || n->repositories);
}
