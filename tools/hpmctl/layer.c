// SPDX-License-Identifier: GPL-2.0-only
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <uthash.h>

#include "dirs.h"
#include "err.h"
#include "layer.h"
#include "rawtar.h"
#include "tree.h"

#define WHITEOUT     ".wh."
#define WHITEOUT_OPQ ".wh..wh..opq"
#define WHITEOUT_AUX ".wh..wh." /* aufs's own files */
#define AUX_LINKS    ".wh..wh.plnk"
#define WARNINGS_MAX 10

/* The range of times that all file systems of ours can store, in seconds. */
#define TIME_MIN INT32_MIN
#define TIME_MAX 15032385535LL

/* A resolved path that this layer has written. */
struct written {
	UT_hash_handle hh;
	char path[];
};

struct layer {
	struct tree tree;
	struct rawtar in;
	struct archive *disk;
	struct dirs dirs;
	struct written *written;
	bool aux_links; /* AUX_LINKS is not empty */
	struct layer_stats *stats;
	/* the last parent that was resolved, as most entries share theirs */
	char dir[PATH_MAX], resolved[PATH_MAX];
	bool cached;
};

/*----------------------------------------------------------------
 * Written paths
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

/*
 * Notes the directories above it as well, even if the archive does not list
 * them.
 */
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

/*
 * The target of a hard link is a path in the archive as well.  It must exist
 * already, as it cannot be an entry that comes later.
 */
static int resolve_link(struct layer *l, struct archive_entry *entry,
			const char *path)
{
	const char *link = archive_entry_hardlink(entry);
	char parent[PATH_MAX], base[NAME_MAX + 1], target[PATH_MAX];
	struct stat st;

	if (!link)
		return 0;
	if (resolve(l, link, parent, base) || tree_join(parent, base, target))
		return -1;
	if (!strcmp(target, path))
		return err_say(ST_BAD_INPUT, "the archive links %s to itself",
			       path);
	if (fstatat(l->tree.root, target, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ?
			       err_say(ST_BAD_INPUT,
				       "the archive links %s to %s, which is not there",
				       path, link) :
			       err_sys(errno, "cannot look at %s", target);
	if (S_ISDIR(st.st_mode))
		return err_say(ST_BAD_INPUT,
			       "the archive links %s to the directory %s", path,
			       link);
	archive_entry_copy_hardlink(entry, target);
	return 0;
}

static bool is_directory(struct archive_entry *entry)
{
	return archive_entry_filetype(entry) == AE_IFDIR &&
	       !archive_entry_hardlink(entry);
}

/*
 * A directory stays if the new entry is a directory; anything else is removed
 * for the new entry.
 */
static int make_room(struct layer *l, struct archive_entry *entry,
		     const char *path)
{
	struct stat st;

	if (fstatat(l->tree.root, path, &st, AT_SYMLINK_NOFOLLOW)) {
		if (errno == ENOENT)
			return 0;
		return err_sys(errno, "cannot look at %s", path);
	}
	if (S_ISDIR(st.st_mode) && is_directory(entry))
		return 0;
	if (!strcmp(path, "."))
		return err_say(ST_BAD_INPUT,
			       "the archive's root is not a directory");
	l->cached = false;
	if (S_ISDIR(st.st_mode))
		dirs_forget(&l->dirs, path);
	return tree_remove(&l->tree, path);
}

/*----------------------------------------------------------------
 * Whiteouts
 *--------------------------------------------------------------*/

/* A layer's whiteouts do not delete what the same layer has written. */
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
	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return err_say(
			ST_BAD_INPUT,
			"the archive has a whiteout without a name: %s/%s",
			parent, base);
	if (dirs_touch(&l->dirs, parent))
		return -1;
	if (!strcmp(base, WHITEOUT_OPQ)) {
		l->cached = false;
		ret = tree_purge(&l->tree, parent, was_written, l);
	} else {
		ret = tree_join(parent, name, path) || delete_lower(l, path);
	}
	return ret ? -1 : 1;
}

/* The kinds of components of a path. */
enum name_kind {
	NAME_PLAIN,
	NAME_WHITEOUT,
	NAME_AUX
};

static enum name_kind kind_of(const char *name, size_t len, bool last)
{
	const size_t aux = strlen(WHITEOUT_AUX), wh = strlen(WHITEOUT);

	if (last && len == strlen(WHITEOUT_OPQ) &&
	    !strncmp(name, WHITEOUT_OPQ, len))
		return NAME_WHITEOUT;
	if (len > aux && !strncmp(name, WHITEOUT_AUX, aux))
		return NAME_AUX;
	if (len >= wh && !strncmp(name, WHITEOUT, wh))
		return NAME_WHITEOUT;
	return NAME_PLAIN;
}

/*
 * An aufs kept its own files in its layers, and old images contain them; they
 * do not belong to the image.  But other entries can be hard links to files
 * below .wh..wh.plnk of the root, so that directory is unpacked, and removed at
 * the end.
 *
 * Returns 1: the entry is not for the image; 0: it is; -1: it is below a
 * whiteout.
 */
static int skip_name(struct layer *l, const char *path)
{
	const char *p = path;
	bool top;

	for (top = true;; top = false) {
		size_t len;
		bool last;

		while (*p == '/' || (p[0] == '.' && (p[1] == '/' || !p[1])))
			p++;
		if (!*p)
			return 0;
		len = strcspn(p, "/");
		last = !p[len + strspn(p + len, "/")];
		switch (kind_of(p, len, last)) {
		case NAME_AUX:
			l->stats->whiteouts += last;
			if (last || !top || len != strlen(AUX_LINKS) ||
			    strncmp(p, AUX_LINKS, len) != 0)
				return 1;
			l->aux_links = true;
			return 0;
		case NAME_WHITEOUT:
			if (last)
				return 0;
			return err_say(
				ST_BAD_INPUT,
				"the archive has something below a whiteout: %s",
				path);
		case NAME_PLAIN:
			break;
		}
		p += len;
	}
}

static int drop_aux_links(struct layer *l)
{
	if (!l->aux_links)
		return 0;
	dirs_forget(&l->dirs, AUX_LINKS);
	return dirs_touch(&l->dirs, ".") || tree_remove(&l->tree, AUX_LINKS);
}

/*----------------------------------------------------------------
 * Entries
 *--------------------------------------------------------------*/

static void say_warning(struct layer *l, const char *of, const char *text)
{
	if (l->stats->warnings++ < WARNINGS_MAX)
		warn("%s: %s", of, text);
}

/* Whether the machine is at fault; for all other errors, the archive is. */
static bool is_machines(int errnum)
{
	static const int list[] = { EIO,    ENOSPC, EDQUOT, EROFS,  ENOMEM,
				    EMFILE, ENFILE, ENODEV, ENXIO,  EUCLEAN,
				    EBUSY,  EAGAIN, EINTR,  EBADMSG };
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (list[i] == errnum)
			return true;
	return false;
}

/*
 * "No space left" can mean two things, one of which is easily overlooked: a
 * file system that existed before has not grown with its volume.
 */
static int no_space(const struct layer *l, const char *path)
{
	struct statvfs st;

	if (!fstatvfs(l->tree.root, &st) && st.f_files && !st.f_ffree &&
	    st.f_bavail > 256)
		return err_sys(
			ENOSPC,
			"the file system has no inodes left for %s (a larger --size has more, or with --from that volume's file system, made larger)",
			path);
	return err_sys(
		ENOSPC,
		"the volume is too small for %s (give a larger --size, or with --from make that volume's file system larger)",
		path);
}

static int disk_failed(struct layer *l, const char *path)
{
	int e = archive_errno(l->disk);

	if (e == ENOSPC)
		return no_space(l, path);
	if (is_machines(e))
		return err_sys(e, "cannot write %s (%s)", path,
			       archive_why(l->disk));
	return err_say(ST_BAD_INPUT,
		       "the archive has an impossible file: %s (%s)", path,
		       archive_why(l->disk));
}

/*
 * libarchive reports only a warning if the owner or the mode could not be set.
 * But a file with the wrong owner is worse than no file.
 */
static int check_written(struct layer *l, struct archive_entry *entry,
			 const char *path)
{
	struct stat st;

	say_warning(l, path, archive_why(l->disk));
	if (archive_entry_hardlink(entry) || geteuid())
		return 0;
	if (fstatat(l->tree.root, path, &st, AT_SYMLINK_NOFOLLOW))
		return err_sys(errno, "cannot look at %s", path);
	if (st.st_uid != archive_entry_uid(entry) ||
	    st.st_gid != archive_entry_gid(entry))
		return err_say(ST_FAILED, "cannot set the owner of %s: %s",
			       path, archive_why(l->disk));
	if (!S_ISLNK(st.st_mode) &&
	    (st.st_mode & 07777) != archive_entry_perm(entry))
		return err_say(ST_FAILED, "cannot set the mode of %s: %s", path,
			       archive_why(l->disk));
	return 0;
}

static int copy_data(struct layer *l, const char *path)
{
	const void *data;
	la_int64_t at;
	size_t size;
	int ret;

	while ((ret = archive_read_data_block(l->in.a, &data, &size, &at)) ==
	       ARCHIVE_OK) {
		if (archive_write_data_block(l->disk, data, size, at) <
		    ARCHIVE_OK)
			return disk_failed(l, path);
		l->stats->bytes += size;
	}
	return ret == ARCHIVE_EOF ? 0 : rawtar_failed(&l->in);
}

static int write_entry(struct layer *l, struct archive_entry *entry,
		       const char *path)
{
	int header = archive_write_header(l->disk, entry), end;

	if (header < ARCHIVE_WARN)
		return disk_failed(l, path);
	if (!archive_entry_hardlink(entry) || archive_entry_size(entry) > 0)
		if (archive_entry_filetype(entry) == AE_IFREG &&
		    copy_data(l, path))
			return -1;
	end = archive_write_finish_entry(l->disk);
	if (end < ARCHIVE_WARN)
		return disk_failed(l, path);
	if (header == ARCHIVE_WARN || end == ARCHIVE_WARN)
		return check_written(l, entry, path);
	return 0;
}

static int write_dir(struct layer *l, struct archive_entry *entry,
		     const char *path)
{
	if (mkdirat(l->tree.root, path, 0700) && errno != EEXIST)
		return errno == ENOSPC ?
			       no_space(l, path) :
			       err_sys(errno, "cannot make the directory %s",
				       path);
	return dirs_set(&l->dirs, path, entry);
}

/*
 * Programs that know no time write year 1; the nearest time that can be stored
 * is used.
 */
static void keep_time(struct layer *l, struct archive_entry *entry,
		      const char *path)
{
	la_int64_t t = archive_entry_mtime(entry);

	if (t >= TIME_MIN && t <= TIME_MAX)
		return;
	say_warning(l, path, "its time is out of the file system's range");
	archive_entry_set_mtime(entry, t < 0 ? TIME_MIN : TIME_MAX, 0);
}

static int place_entry(struct layer *l, struct archive_entry *entry,
		       const char *parent, const char *base)
{
	char path[PATH_MAX];

	if (tree_join(parent, base, path) ||
	    (*base && dirs_touch(&l->dirs, parent)) ||
	    resolve_link(l, entry, path) || make_room(l, entry, path) ||
	    note_written(l, path))
		return -1;
	keep_time(l, entry, path);
	archive_entry_copy_pathname(entry, path);
	l->stats->entries++;
	return is_directory(entry) ? write_dir(l, entry, path) :
				     write_entry(l, entry, path);
}

static int unpack_entry(struct layer *l, struct archive_entry *entry)
{
	char parent[PATH_MAX], base[NAME_MAX + 1];
	const char *name = archive_entry_pathname(entry);
	int ret;

	if (!name || !*name)
		return err_say(ST_BAD_INPUT,
			       "%s has a path that cannot be understood",
			       l->in.in->name);
	image_names_add(&l->stats->names, name);
	ret = skip_name(l, name);
	if (ret)
		return ret < 0 ? -1 : 0;
	if (resolve(l, name, parent, base))
		return -1;
	ret = whiteout(l, parent, base);
	if (ret)
		return ret < 0 ? -1 : 0;
	return place_entry(l, entry, parent, base);
}

static int unpack_all(struct layer *l)
{
	struct archive_entry *entry;
	const char *warning;
	int ret;

	while ((ret = rawtar_next(&l->in, &entry, &warning)) > 0) {
		if (warning)
			say_warning(l, l->in.in->name, warning);
		if (unpack_entry(l, entry))
			return -1;
	}
	if (ret)
		return -1;
	return drop_aux_links(l) || dirs_apply(&l->dirs, &l->stats->warnings);
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

static int touch(const char *dir, void *ctx)
{
	struct layer *l = ctx;

	return dirs_touch(&l->dirs, dir);
}

/* Works below the working directory, like libarchive. */
static int unpack_here(struct layer *l, struct stream *in)
{
	mode_t mask = umask(0);
	int ret = -1;

	l->disk = disk_writer();
	if (l->disk && !rawtar_open(&l->in, in))
		ret = unpack_all(l);
	if (l->disk)
		(void)archive_write_free(l->disk);
	rawtar_close(&l->in);
	free_written(l);
	dirs_free(&l->dirs);
	(void)umask(mask);
	if (!ret && in->check_plain && !digest_matches(&in->plain))
		return err_say(
			ST_BAD_INPUT,
			"%s is damaged: its digest is not the one that the image names",
			in->name);
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
	l->tree.before_change = touch;
	l->tree.ctx = l;
	ret = tree_open(&l->tree, root);
	if (ret)
		goto out;
	l->dirs.root = l->tree.root;
	if (fchdir(l->tree.root))
		ret = err_sys(errno, "cannot enter %s", root);
	else
		ret = unpack_here(l, in);
	/* If this stayed here, the file system could not be unmounted. */
	if (fchdir(home) && !ret)
		ret = err_sys(errno, "cannot leave %s", root);
	tree_close(&l->tree);
out:
	if (home >= 0)
		(void)close(home);
	free(l);
	return ret;
}
