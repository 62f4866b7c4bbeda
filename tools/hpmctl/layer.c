// SPDX-License-Identifier: GPL-2.0-only
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "err.h"
#include "layer.h"
#include "text.h"
#include "tree.h"

#define WHITEOUT     ".wh."
#define WHITEOUT_OPQ ".wh..wh..opq"
#define WHITEOUT_AUX ".wh..wh." /* what an old aufs kept for itself */
#define WARNINGS_MAX 10

/* A resolved path that this layer has written. */
struct written {
	UT_hash_handle hh;
	char path[];
};

struct layer {
	struct tree tree;
	struct archive *in, *disk;
	struct written *written;
	struct layer_stats *stats;
	const char *source;
	/* the last parent that was resolved, as most entries share theirs */
	char dir[PATH_MAX], resolved[PATH_MAX];
	bool cached;
};

/*----------------------------------------------------------------
 * What was written
 *--------------------------------------------------------------*/

static bool was_written(const char *path, void *ctx)
{
	const struct layer *l = ctx;
	struct written *w;

	HASH_FIND_STR(l->written, path, w);
	return w;
}

static int add_written(struct layer *l, const char *path)
{
	size_t len = strlen(path);
	struct written *w;

	if (was_written(path, l))
		return 0;
	w = malloc(sizeof(*w) + len + 1);
	if (!w)
		return err_nomem();
	memcpy(w->path, path, len + 1);
	HASH_ADD_STR(l->written, path, w);
	return 0;
}

/* So are the directories above it, whether the archive names them or not. */
static int note_written(struct layer *l, const char *path)
{
	char dir[PATH_MAX], *slash;

	strcpy(dir, path);
	if (add_written(l, dir))
		return -1;
	while ((slash = strrchr(dir, '/'))) {
		*slash = '\0';
		if (was_written(dir, l))
			return 0;
		if (add_written(l, dir))
			return -1;
	}
	return 0;
}

static void free_written(struct layer *l)
{
	struct written *w = l->written, *next;

	HASH_CLEAR(hh, l->written);
	for (; w; w = next) {
		next = w->hh.next;
		free(w);
	}
}

/*----------------------------------------------------------------
 * Where an entry goes
 *--------------------------------------------------------------*/

static int resolve(struct layer *l, const char *path, char parent[PATH_MAX],
		   char base[NAME_MAX + 1])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (l->cached && len && slash[1] && strcmp(slash, "/.") != 0 &&
	    len < PATH_MAX && strlen(slash + 1) <= NAME_MAX &&
	    strcmp(slash, "/..") != 0 && !strncmp(l->dir, path, len) &&
	    !l->dir[len]) {
		strcpy(parent, l->resolved);
		strcpy(base, slash + 1);
		return 0;
	}
	l->cached = false;
	if (tree_resolve(&l->tree, path, parent, base))
		return -1;
	if (len && slash[1]) {
		memcpy(l->dir, path, len);
		l->dir[len] = '\0';
		strcpy(l->resolved, parent);
		l->cached = true;
	}
	return 0;
}

/* The target of a hard link is a path in the archive as well. */
static int resolve_link(struct layer *l, struct archive_entry *entry)
{
	const char *link = archive_entry_hardlink(entry);
	char parent[PATH_MAX], base[NAME_MAX + 1], path[PATH_MAX];

	if (!link)
		return 0;
	if (resolve(l, link, parent, base) || tree_join(parent, base, path))
		return -1;
	archive_entry_copy_hardlink(entry, path);
	return 0;
}

/*
 * A directory stays if a directory comes; anything else makes room for the new.
 * (A hard link to itself would lose its file.)
 */
static int make_room(struct layer *l, struct archive_entry *entry,
		     const char *path)
{
	const char *link = archive_entry_hardlink(entry);
	struct stat st;

	if (link && !strcmp(link, path))
		return err_say(ST_BAD_INPUT, "the archive links %s to itself",
			       path);
	if (fstatat(l->tree.root, path, &st, AT_SYMLINK_NOFOLLOW)) {
		if (errno == ENOENT)
			return 0;
		return err_sys(errno, "cannot look at %s", path);
	}
	if (S_ISDIR(st.st_mode) && archive_entry_filetype(entry) == AE_IFDIR &&
	    !link)
		return 0;
	if (!strcmp(path, "."))
		return err_say(ST_BAD_INPUT,
			       "the archive's root is not a directory");
	l->cached = false;
	return tree_remove(&l->tree, path);
}

/*----------------------------------------------------------------
 * Whiteouts
 *--------------------------------------------------------------*/

/* What this layer itself brought is not meant by its whiteouts. */
static int delete_lower(struct layer *l, const char *path)
{
	struct stat st;

	l->cached = false;
	if (!was_written(path, l))
		return tree_remove(&l->tree, path);
	if (fstatat(l->tree.root, path, &st, AT_SYMLINK_NOFOLLOW) ||
	    !S_ISDIR(st.st_mode))
		return 0;
	return tree_purge(&l->tree, path, was_written, l);
}

/* 1: the entry was a whiteout and is done, 0: it was none */
static int whiteout(struct layer *l, const char *parent, const char *base)
{
	const char *name = base + strlen(WHITEOUT);
	char path[PATH_MAX];
	int ret;

	if (strncmp(base, WHITEOUT, strlen(WHITEOUT)) != 0)
		return 0;
	l->stats->whiteouts++;
	if (!strcmp(base, WHITEOUT_OPQ)) {
		l->cached = false;
		ret = tree_purge(&l->tree, parent, was_written, l);
	} else if (!strncmp(base, WHITEOUT_AUX, strlen(WHITEOUT_AUX))) {
		ret = 0;
	} else if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) {
		ret = err_say(ST_BAD_INPUT,
			      "the archive has a whiteout of nothing: %s/%s",
			      parent, base);
	} else {
		ret = tree_join(parent, name, path) || delete_lower(l, path);
	}
	return ret ? -1 : 1;
}

/*----------------------------------------------------------------
 * Entries
 *--------------------------------------------------------------*/

static int bad_archive(struct layer *l)
{
	/* What the stream said is nearer to the reason. */
	return err_say(ST_BAD_INPUT, "cannot unpack %s: %s", l->source,
		       archive_error_string(l->in));
}

static void disk_warning(struct layer *l, const char *path)
{
	if (l->stats->warnings++ < WARNINGS_MAX)
		warn("%s: %s", path, archive_error_string(l->disk));
}

static int disk_result(struct layer *l, int ret, const char *path)
{
	if (ret == ARCHIVE_WARN)
		disk_warning(l, path);
	if (ret >= ARCHIVE_WARN)
		return 0;
	return err_sys(
		archive_errno(l->disk) > 0 ? archive_errno(l->disk) : EIO,
		"cannot write %s (%s)", path, archive_error_string(l->disk));
}

static int copy_data(struct layer *l, const char *path)
{
	const void *data;
	la_int64_t at;
	size_t size;
	int ret;

	while ((ret = archive_read_data_block(l->in, &data, &size, &at)) ==
	       ARCHIVE_OK) {
		la_ssize_t n =
			archive_write_data_block(l->disk, data, size, at);

		if (n < ARCHIVE_OK && disk_result(l, (int)n, path))
			return -1;
		l->stats->bytes += size;
	}
	return ret == ARCHIVE_EOF ? 0 : bad_archive(l);
}

static int write_entry(struct layer *l, struct archive_entry *entry,
		       const char *path)
{
	if (disk_result(l, archive_write_header(l->disk, entry), path))
		return -1;
	if (!archive_entry_hardlink(entry) || archive_entry_size(entry) > 0)
		if (archive_entry_filetype(entry) == AE_IFREG &&
		    copy_data(l, path))
			return -1;
	return disk_result(l, archive_write_finish_entry(l->disk), path);
}

static int unpack_entry(struct layer *l, struct archive_entry *entry)
{
	char parent[PATH_MAX], base[NAME_MAX + 1], path[PATH_MAX];
	const char *name = archive_entry_pathname(entry);
	int ret;

	if (!name)
		return err_say(ST_BAD_INPUT,
			       "%s has a path that cannot be understood",
			       l->source);
	if (resolve(l, name, parent, base))
		return -1;
	ret = whiteout(l, parent, base);
	if (ret)
		return ret < 0 ? -1 : 0;
	if (tree_join(parent, base, path) || resolve_link(l, entry) ||
	    make_room(l, entry, path) || note_written(l, path))
		return -1;
	archive_entry_copy_pathname(entry, path);
	l->stats->entries++;
	return write_entry(l, entry, path);
}

static int unpack_all(struct layer *l)
{
	struct archive_entry *entry;
	int ret;

	while ((ret = archive_read_next_header(l->in, &entry)) == ARCHIVE_OK ||
	       ret == ARCHIVE_WARN) {
		if (ret == ARCHIVE_WARN && l->stats->warnings++ < WARNINGS_MAX)
			warn("%s: %s", l->source, archive_error_string(l->in));
		if (unpack_entry(l, entry))
			return -1;
	}
	if (ret != ARCHIVE_EOF)
		return bad_archive(l);
	/* Directories get their times and modes only now. */
	return disk_result(l, archive_write_close(l->disk), "directories");
}

/*----------------------------------------------------------------
 * A layer
 *--------------------------------------------------------------*/

static struct archive *disk_writer(void)
{
	struct archive *a = archive_write_disk_new();
	int flags = ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
		    ARCHIVE_EXTRACT_ACL | ARCHIVE_EXTRACT_XATTR |
		    ARCHIVE_EXTRACT_SECURE_SYMLINKS |
		    ARCHIVE_EXTRACT_SECURE_NODOTDOT |
		    ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;

	if (!geteuid())
		flags |= ARCHIVE_EXTRACT_OWNER;
	if (!a || archive_write_disk_set_options(a, flags)) {
		(void)err_nomem();
		(void)archive_write_free(a);
		return NULL;
	}
	return a;
}

/* libarchive writes below the working directory, and so does this. */
static int unpack_here(struct layer *l, struct stream *in)
{
	mode_t mask = umask(0);
	int ret = -1;

	l->in = archive_reader();
	l->disk = disk_writer();
	if (l->in && l->disk && !stream_feed(in, l->in))
		ret = unpack_all(l);
	if (l->disk)
		(void)archive_write_free(l->disk);
	if (l->in)
		(void)archive_read_free(l->in);
	free_written(l);
	(void)umask(mask);
	return ret ? -1 : stream_finish(in);
}

int layer_unpack(struct stream *in, const char *root, struct layer_stats *stats)
{
	int ret, home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct layer *l = calloc(1, sizeof(*l));

	memset(stats, 0, sizeof(*stats));
	if (home < 0 || !l) {
		ret = err_sys(errno, "cannot begin to unpack");
		goto out;
	}
	l->stats = stats;
	l->source = in->name;
	ret = tree_open(&l->tree, root);
	if (ret)
		goto out;
	if (fchdir(l->tree.root))
		ret = err_sys(errno, "cannot enter %s", root);
	else
		ret = unpack_here(l, in);
	/* Or the file system could not be unmounted. */
	if (fchdir(home) && !ret)
		ret = err_sys(errno, "cannot leave %s", root);
	tree_close(&l->tree);
out:
	if (home >= 0)
		(void)close(home);
	free(l);
	return ret;
}
