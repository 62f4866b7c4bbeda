// SPDX-License-Identifier: GPL-2.0-only
#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <uthash.h>

#include "dirs.h"
#include "err.h"
#include "stream.h"

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

struct dir {
	UT_hash_handle hh;
	void *acl; /* a lower layer's default ACL, set aside; or NULL */
	size_t acl_size;
	bool listed;		 /* the archive has this directory; then: */
	struct timespec when[2]; /* of access and of change, for futimens() */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	struct archive_entry *more; /* with ACLs and attributes, or NULL */
	char path[];
};

static struct dir *find(const struct dirs *d, const char *path)
{
	struct dir *dir;

	HASH_FIND_STR(d->head, path, dir);
	return dir;
}

static struct dir *add(struct dirs *d, const char *path)
{
	size_t len = strlen(path);
	struct dir *dir = calloc(1, sizeof(*dir) + len + 1);

	if (!dir) {
		(void)err_nomem();
		return NULL;
	}
	memcpy(dir->path, path, len + 1);
	HASH_ADD_STR(d->head, path, dir);
	return dir;
}

static void free_dir(struct dir *dir)
{
	archive_entry_free(dir->more);
	free(dir->acl);
	free(dir);
}

/*----------------------------------------------------------------
 * Attributes from lower layers
 *--------------------------------------------------------------*/

/* Whether the file system has no such attributes. */
static bool is_absent(int errnum)
{
	return errnum == ENODATA || errnum == EOPNOTSUPP;
}

static int drop_attr(const char *path, const char *name)
{
	if (!lremovexattr(path, name) || is_absent(errno))
		return 0;
	return err_sys(errno, "cannot remove the attribute %s of %s", name,
		       path);
}

/*
 * Sets the default ACL aside.  If it stayed, new files in the directory would
 * get it instead of the mode in the archive.
 */
static int put_acl_aside(struct dir *dir)
{
	ssize_t n = lgetxattr(dir->path, ACL_DEFAULT, NULL, 0);

	if (n > 0) {
		dir->acl = malloc((size_t)n);
		if (!dir->acl)
			return err_nomem();
		n = lgetxattr(dir->path, ACL_DEFAULT, dir->acl, (size_t)n);
	}
	if (n < 0 && !is_absent(errno))
		return err_sys(errno, "cannot read the ACL of %s", dir->path);
	if (n <= 0)
		return 0;
	dir->acl_size = (size_t)n;
	return drop_attr(dir->path, ACL_DEFAULT);
}

/* Labels of security modules belong to the machine, not to a layer. */
static bool is_layers(const char *name)
{
	return !strcmp(name, ACL_ACCESS) || !strcmp(name, ACL_DEFAULT) ||
	       (strncmp(name, "security.", 9) != 0 &&
		strncmp(name, "system.", 7) != 0);
}

/*
 * Removes the old attributes, as the archive says which ones the directory has.
 */
static int drop_attrs(struct dir *dir)
{
	char *names, *name;
	ssize_t n;
	int ret = 0;

	free(dir->acl);
	dir->acl = NULL;
	n = llistxattr(dir->path, NULL, 0);
	if (n < 0 && !is_absent(errno))
		return err_sys(errno, "cannot list the attributes of %s",
			       dir->path);
	if (n <= 0)
		return 0;
	names = malloc((size_t)n);
	if (!names)
		return err_nomem();
	n = llistxattr(dir->path, names, (size_t)n);
	if (n < 0)
		ret = err_sys(errno, "cannot list the attributes of %s",
			      dir->path);
	for (name = names; !ret && name < names + n; name += strlen(name) + 1)
		if (is_layers(name))
			ret = drop_attr(dir->path, name);
	free(names);
	return ret;
}

/*----------------------------------------------------------------
 * As entries come
 *--------------------------------------------------------------*/

int dirs_touch(struct dirs *d, const char *path)
{
	struct stat st;
	struct dir *dir;

	if (!*path)
		path = ".";
	if (find(d, path))
		return 0;
	if (fstatat(d->root, path, &st, AT_SYMLINK_NOFOLLOW))
		return err_sys(errno, "cannot look at %s", path);
	dir = add(d, path);
	if (!dir)
		return -1;
	dir->when[0].tv_nsec = UTIME_OMIT;
	dir->when[1] = st.st_mtim;
	return put_acl_aside(dir);
}

/* Keeps a copy of the entry for attributes that only libarchive can set. */
static int keep_more(struct dir *dir, struct archive_entry *entry)
{
	archive_entry_free(dir->more);
	dir->more = NULL;
	if (!archive_entry_xattr_count(entry) &&
	    !archive_entry_acl_count(entry, ARCHIVE_ENTRY_ACL_TYPE_POSIX1E))
		return 0;
	dir->more = archive_entry_clone(entry);
	if (!dir->more)
		return err_nomem();
	archive_entry_copy_pathname(dir->more, ".");
	return 0;
}

int dirs_set(struct dirs *d, const char *path, struct archive_entry *entry)
{
	struct dir *dir = find(d, path);

	if (!dir)
		dir = add(d, path);
	if (!dir)
		return -1;
	dir->listed = true;
	dir->mode = archive_entry_perm(entry);
	dir->uid = (uid_t)archive_entry_uid(entry);
	dir->gid = (gid_t)archive_entry_gid(entry);
	dir->when[1].tv_sec = archive_entry_mtime(entry);
	dir->when[1].tv_nsec = archive_entry_mtime_nsec(entry);
	dir->when[0] = dir->when[1];
	if (archive_entry_atime_is_set(entry)) {
		dir->when[0].tv_sec = archive_entry_atime(entry);
		dir->when[0].tv_nsec = archive_entry_atime_nsec(entry);
	}
	return drop_attrs(dir) || keep_more(dir, entry) ? -1 : 0;
}

/* Removes all of them, then puts back those that stay. */
void dirs_forget(struct dirs *d, const char *path)
{
	struct dir *dir = d->head, *next;
	size_t len = strlen(path);

	HASH_CLEAR(hh, d->head);
	for (; dir; dir = next) {
		next = dir->hh.next;
		if (!strncmp(dir->path, path, len) &&
		    (!dir->path[len] || dir->path[len] == '/'))
			free_dir(dir);
		else
			HASH_ADD_STR(d->head, path, dir);
	}
}

void dirs_free(struct dirs *d)
{
	struct dir *dir = d->head, *next;

	HASH_CLEAR(hh, d->head);
	for (; dir; dir = next) {
		next = dir->hh.next;
		free_dir(dir);
	}
}

/*----------------------------------------------------------------
 * When all entries are there
 *--------------------------------------------------------------*/

static int open_dir(const struct dirs *d, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, d->root, path, &how, sizeof(how));
}

static int write_here(struct archive *a, struct archive_entry *entry)
{
	int header, end, close;

	(void)archive_write_disk_set_options(a, ARCHIVE_EXTRACT_ACL |
							ARCHIVE_EXTRACT_XATTR |
							ARCHIVE_EXTRACT_PERM);
	header = archive_write_header(a, entry);
	if (header < ARCHIVE_WARN)
		return header;
	end = archive_write_finish_entry(a);
	if (end < ARCHIVE_WARN)
		return end;
	/* (libarchive, too, sets a directory's ACL last) */
	close = archive_write_close(a);
	if (close < ARCHIVE_WARN)
		return close;
	return header || end || close ? ARCHIVE_WARN : ARCHIVE_OK;
}

/* libarchive works in the directory itself, whose name is then ".". */
static int write_more(const struct dir *dir, int fd, uint64_t *warnings)
{
	struct archive *a;
	int ret;

	if (fchdir(fd))
		return err_sys(errno, "cannot enter %s", dir->path);
	a = archive_write_disk_new();
	if (!a)
		return err_nomem();
	ret = write_here(a, dir->more);
	if (ret == ARCHIVE_WARN) {
		(*warnings)++;
		warn("%s: %s", dir->path, archive_why(a));
	}
	if (ret < ARCHIVE_WARN)
		(void)err_sys(archive_errno(a) > 0 ? archive_errno(a) : EIO,
			      "cannot write the attributes of %s", dir->path);
	(void)archive_write_free(a);
	return ret < ARCHIVE_WARN ? -1 : 0;
}

static int make_so(const struct dir *dir, int fd, uint64_t *warnings)
{
	if (dir->acl && fsetxattr(fd, ACL_DEFAULT, dir->acl, dir->acl_size, 0))
		return -1;
	if (!dir->listed)
		return futimens(fd, dir->when);
	if (!geteuid() && fchown(fd, dir->uid, dir->gid))
		return -1;
	if (dir->more && write_more(dir, fd, warnings))
		return -1;
	return fchmod(fd, dir->mode) || futimens(fd, dir->when) ? -1 : 0;
}

static int apply_one(const struct dirs *d, const struct dir *dir,
		     uint64_t *warnings)
{
	int ret = 0, fd = open_dir(d, dir->path);

	if (fd < 0) {
		/*
		 * The directory no longer exists, or a link replaced a part of
		 * its path.
		 */
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
			return 0;
		return err_sys(errno, "cannot open %s", dir->path);
	}
	if (make_so(dir, fd, warnings))
		ret = err_sys(errno, "cannot set the mode and time of %s",
			      dir->path);
	(void)close(fd);
	return ret;
}

/* Directories come after what they contain. */
static int deeper_first(const struct dir *a, const struct dir *b)
{
	return strcmp(b->path, a->path);
}

int dirs_apply(struct dirs *d, uint64_t *warnings)
{
	struct dir *dir;

	HASH_SORT(d->head, deeper_first);
	for (dir = d->head; dir; dir = dir->hh.next)
		if (apply_one(d, dir, warnings))
			return -1;
	return 0;
}
