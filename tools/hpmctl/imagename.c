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

static void found_one(struct image_level *l, bool *found)
{
	l->twice |= *found;
	*found = true;
}

/* The whole of a digest is the name of a layer or of a configuration. */
static bool is_whole_digest(const char *name, size_t len)
{
	if (len > 5 && !strncmp(name + len - 5, ".json", 5))
		len -= 5;
	return is_digest(name, len) && len >= 64;
}

/* @last: nothing follows the component */
static void add_name(struct image_level *l, const char *name, size_t len,
		     bool last)
{
	if (last && is(name, len, "index.json"))
		found_one(l, &l->index);
	else if (last && is(name, len, "manifest.json"))
		found_one(l, &l->manifest);
	else if (last && is(name, len, "repositories"))
		found_one(l, &l->repositories);
	else if (is(name, len, "oci-layout"))
		l->layout = true;
	else if (is_whole_digest(name, len))
		l->part = true;
	else if (!is(name, len, "blobs") && !is_digest(name, len) &&
		 !(last && is_part(name, len)))
		l->other = true;
}

void image_names_add(struct image_names *n, const char *path)
{
	const char *name = member_name(path), *next;
	size_t len = strcspn(name, "/"), part;

	if (!len || is(name, len, "."))
		return;
	add_name(&n->top, name, len, !name[len]);
	if (!n->dir[0] && len < sizeof(n->dir))
		memcpy(n->dir, name, len);
	if (!is(name, len, n->dir)) {
		n->several = true;
		return;
	}
	next = member_name(name + len);
	part = strcspn(next, "/");
	if (part)
		add_name(&n->below, next, part, !next[part]);
}

/* A file system might have one of these names, but not two that belong together. */
static bool has_image(const struct image_level *l)
{
	return (l->index && l->layout) || (l->manifest && l->part);
}

const char *image_names_dir(const struct image_names *n)
{
	return !n->several && !n->below.other && has_image(&n->below) ? n->dir :
									NULL;
}

bool image_names_is_image(const struct image_names *n)
{
	const struct image_level *l = &n->top;

	return !l->other && (l->index || l->manifest || l->repositories);
}

bool image_names_is_mixed(const struct image_names *n)
{
	return n->top.other && has_image(&n->top);
}
