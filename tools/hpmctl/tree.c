// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "err.h"
#include "text.h"
#include "tree.h"

#define DEPTH_MAX 1024 /* of directories to be made or removed */

/* The path that /proc has for a descriptor. */
static int fd_path(int fd, char out[PATH_MAX])
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_MAX - 1);
	if (n < 0)
		return err_sys(errno, "cannot read %s", link);
	out[n] = '\0';
	return 0;
}

int tree_open(struct tree *t, const char *path)
{
	t->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->root < 0)
		return err_sys(errno, "cannot open %s", path);
	if (fd_path(t->root, t->prefix)) {
		tree_close(t);
		return -1;
	}
	t->prefix_len = strlen(t->prefix);
	return 0;
}

void tree_close(struct tree *t)
{
	if (t->root >= 0)
		(void)close(t->root);
	t->root = -1;
}

/*----------------------------------------------------------------
 * From a path in an archive to a path without links
 *--------------------------------------------------------------*/

static int open_in_root(const struct tree *t, const char *dir)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, t->root, *dir ? dir : ".", &how,
			    sizeof(how));
}

static int check_components(const char *path)
{
	const char *p = path;

	while (*p) {
		size_t len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.')
			return err_say(
				ST_BAD_INPUT,
				"the archive has a path that leads outside: %s",
				path);
		if (len > NAME_MAX)
			return err_say(
				ST_BAD_INPUT,
				"the archive has a name that is too long: %.60s...",
				p);
		p += len;
		p += strspn(p, "/");
	}
	return 0;
}

/* Drops slashes and "." components from the ends; they name nothing. */
static void trim(char *path)
{
	size_t len = strlen(path);
	char *p = path;

	for (;;) {
		if (len && path[len - 1] == '/')
			len--;
		else if (len > 1 && path[len - 1] == '.' &&
			 path[len - 2] == '/')
			len -= 2;
		else
			break;
	}
	path[len] = '\0';
	for (;;) {
		if (*p == '/')
			p++;
		else if (p[0] == '.' && (p[1] == '/' || !p[1]))
			p++;
		else
			break;
	}
	memmove(path, p, strlen(p) + 1);
}

/* Cuts the last component off and returns it. */
static char *cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		return NULL;
	*slash = '\0';
	return slash + 1;
}

static int open_or_make(const struct tree *t, const char *dir, int depth);

/* The directory is missing: its parent is found or made, then itself. */
static int make_dir(const struct tree *t, const char *dir, int depth)
{
	char parent[PATH_MAX], *base;
	int fd, ret;

	strcpy(parent, dir);
	trim(parent);
	base = cut_last(parent);
	if (depth == DEPTH_MAX)
		return err_say(ST_BAD_INPUT, "%.60s... is too deep", dir);
	fd = open_or_make(t, base ? parent : "", depth + 1);
	if (fd < 0)
		return -1;
	if (!base)
		base = parent;
	ret = mkdirat(fd, base, 0755);
	(void)close(fd);
	if (ret)
		return err_sys(errno, "cannot make the directory %s%s", dir,
			       errno == EEXIST ?
				       " (a symbolic link leads to nothing)" :
				       "");
	fd = open_in_root(t, dir);
	return fd < 0 ? err_sys(errno, "cannot open %s", dir) : fd;
}

static int open_or_make(const struct tree *t, const char *dir, int depth)
{
	int fd = open_in_root(t, dir);

	if (fd >= 0)
		return fd;
	if (errno != ENOENT || !*dir)
		return err_sys(errno, "the archive has a path through %s",
			       *dir ? dir : "/");
	return make_dir(t, dir, depth);
}

static int resolve_dir(const struct tree *t, const char *dir,
		       char out[PATH_MAX])
{
	char path[PATH_MAX];
	const char *rest;
	int ret, fd = open_or_make(t, dir, 0);

	if (fd < 0)
		return -1;
	ret = fd_path(fd, path);
	(void)close(fd);
	if (ret)
		return -1;
	rest = path + t->prefix_len;
	if (strncmp(path, t->prefix, t->prefix_len) != 0 ||
	    (*rest && *rest != '/'))
		return err_say(ST_BAD_INPUT,
			       "the archive has a path that leads outside: %s",
			       dir);
	strcpy(out, *rest ? rest + 1 : "");
	return 0;
}

int tree_resolve(const struct tree *t, const char *path, char parent[PATH_MAX],
		 char base[NAME_MAX + 1])
{
	char copy[PATH_MAX], *last;

	if (print_to(copy, sizeof(copy), "%s", path) || check_components(copy))
		return -1;
	trim(copy);
	last = cut_last(copy);
	if (!last) {
		strcpy(base, copy);
		parent[0] = '\0';
		return 0;
	}
	strcpy(base, last);
	trim(copy);
	return resolve_dir(t, copy, parent);
}

int tree_join(const char *parent, const char *base, char out[PATH_MAX])
{
	if (!*parent)
		return print_to(out, PATH_MAX, "%s", *base ? base : ".");
	return print_to(out, PATH_MAX, "%s/%s", parent, base);
}

/*----------------------------------------------------------------
 * Removing
 *--------------------------------------------------------------*/

struct purge {
	bool (*keep)(const char *path, void *ctx);
	void *ctx;
};

static int remove_at(int dir, const char *name, const char *path,
		     const struct purge *p, int depth);

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* What is in the directory @fd, which is closed, and at @path for @keep. */
static int remove_inside(int fd, const char *path, const struct purge *p,
			 int depth)
{
	char child[PATH_MAX];
	struct dirent *d;
	DIR *dir = fdopendir(fd);
	int ret = 0;

	if (!dir) {
		(void)close(fd);
		return err_sys(errno, "cannot read %s", path);
	}
	while (!ret && (d = readdir(dir))) {
		if (is_dots(d->d_name))
			continue;
		ret = tree_join(path, d->d_name, child) ||
		      remove_at(fd, d->d_name, child, p, depth + 1);
	}
	(void)closedir(dir);
	return ret ? -1 : 0;
}

static int remove_at(int dir, const char *name, const char *path,
		     const struct purge *p, int depth)
{
	bool kept = p->keep && p->keep(path, p->ctx);
	int fd;

	if (depth > DEPTH_MAX)
		return err_say(ST_BAD_INPUT, "%.60s... is too deep", path);
	if (!kept && (!unlinkat(dir, name, 0) || errno == ENOENT))
		return 0;
	if (!kept && errno != EISDIR && errno != EPERM)
		return err_sys(errno, "cannot remove %s", path);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return kept ? 0 : err_sys(errno, "cannot remove %s", path);
	if (remove_inside(fd, path, p, depth))
		return -1;
	if (!kept && unlinkat(dir, name, AT_REMOVEDIR))
		return err_sys(errno, "cannot remove %s", path);
	return 0;
}

int tree_remove(const struct tree *t, const char *path)
{
	const struct purge all = { NULL, NULL };

	return remove_at(t->root, path, path, &all, 0);
}

int tree_purge(const struct tree *t, const char *path,
	       bool (*keep)(const char *path, void *ctx), void *ctx)
{
	const struct purge p = { keep, ctx };
	int fd = openat(t->root, *path ? path : ".",
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(errno, "cannot open %s", path);
	return remove_inside(fd, path, &p, 0);
}
