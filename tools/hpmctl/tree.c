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

#define DEPTH_MAX 1024 /* depth of directories made or removed */
#define LINKS_MAX 40   /* the kernel's limit for one path */

/* The path of a descriptor, from /proc. */
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
	/* (the path of a mount that is not in the directory tree is "/") */
	while (t->prefix_len && t->prefix[t->prefix_len - 1] == '/')
		t->prefix_len--;
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

/* Removes slashes and "." components from the end; they name nothing. */
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

/*----------------------------------------------------------------
 * Missing parts of a path
 *--------------------------------------------------------------*/

/*
 * A path that is looked up step by step, as the kernel does it below the root.
 */
struct walk {
	char done[PATH_MAX]; /* without links; exists */
	char rest[2 * PATH_MAX];
	unsigned int links;
	unsigned int made;
};

static int before_change(const struct tree *t, const char *dir)
{
	return t->before_change ? t->before_change(dir, t->ctx) : 0;
}

/*
 * Removes the first component of the rest and returns it; NULL: none is left.
 */
static char *next_component(struct walk *w, char out[NAME_MAX + 1])
{
	const char *p = w->rest + strspn(w->rest, "/");
	size_t len = strcspn(p, "/");

	if (!len || len > NAME_MAX)
		return NULL;
	memcpy(out, p, len);
	out[len] = '\0';
	memmove(w->rest, p + len, strlen(p + len) + 1);
	return out;
}

/* There is a link at @next; its target takes its place. */
static int take_link(const struct tree *t, struct walk *w, const char *next)
{
	size_t rest = strlen(w->rest) + 1;
	char target[PATH_MAX];
	ssize_t n = readlinkat(t->root, next, target, sizeof(target) - 1);

	if (n < 0)
		return err_sys(errno, "cannot read the link %s", next);
	target[n] = '\0';
	if (++w->links > LINKS_MAX)
		return err_say(ST_BAD_INPUT,
			       "the archive has a loop of links: %s", next);
	if (target[0] == '/')
		w->done[0] = '\0';
	if ((size_t)n + rest + 1 > sizeof(w->rest))
		return err_say(ST_BAD_INPUT,
			       "the archive has a path that is too long: %s",
			       next);
	memmove(w->rest + n + 1, w->rest, rest);
	memcpy(w->rest, target, (size_t)n);
	w->rest[n] = '/';
	return 0;
}

/*
 * In a container, other file systems are mounted at /proc and /sys.  A link to
 * a missing file there refers to one of these, so no target is made for it.
 */
static bool is_kernels(const char *path)
{
	static const char *const dirs[] = { "proc", "sys" };
	size_t i, len = strcspn(path, "/");

	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (strlen(dirs[i]) == len && !strncmp(path, dirs[i], len))
			return true;
	return false;
}

static int make_one(const struct tree *t, struct walk *w, const char *next)
{
	if (w->links && is_kernels(next))
		return err_say(
			ST_BAD_INPUT,
			"the archive has a path through a symbolic link that leads to /%s",
			next);
	if (++w->made > DEPTH_MAX)
		return err_say(ST_BAD_INPUT, "%.60s... is nested too deeply",
			       next);
	if (before_change(t, w->done))
		return -1;
	if (mkdirat(t->root, next, 0755))
		return err_sys(errno, "cannot make the directory %s", next);
	strcpy(w->done, next);
	return 0;
}

static int step(const struct tree *t, struct walk *w, const char *name)
{
	char next[PATH_MAX], *slash;
	struct stat st;

	if (!strcmp(name, "."))
		return 0;
	if (!strcmp(name, "..")) {
		slash = strrchr(w->done, '/');
		*(slash ? slash : w->done) = '\0';
		return 0;
	}
	if (tree_join(w->done, name, next))
		return -1;
	if (fstatat(t->root, next, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ?
			       make_one(t, w, next) :
			       err_sys(errno, "cannot look at %s", next);
	if (S_ISLNK(st.st_mode))
		return take_link(t, w, next);
	if (!S_ISDIR(st.st_mode))
		return err_say(
			ST_BAD_INPUT,
			"the archive has a path through %s, which is not a directory",
			next);
	strcpy(w->done, next);
	return 0;
}

static int walk(const struct tree *t, const char *dir, char out[PATH_MAX])
{
	struct walk *w = calloc(1, sizeof(*w));
	char name[NAME_MAX + 1];
	int ret = 0;

	if (!w)
		return err_nomem();
	strcpy(w->rest, dir);
	while (!ret && next_component(w, name))
		ret = step(t, w, name);
	if (!ret && w->rest[strspn(w->rest, "/")])
		ret = err_say(
			ST_BAD_INPUT,
			"the archive has a link to a name that is too long: %.60s...",
			w->rest);
	strcpy(out, w->done);
	free(w);
	return ret;
}

static int resolve_dir(const struct tree *t, const char *dir,
		       char out[PATH_MAX])
{
	char path[PATH_MAX];
	const char *rest;
	int ret, fd = open_in_root(t, dir);

	/* If something is wrong with the path, the walk finds out where. */
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP ||
		       errno == ENAMETOOLONG))
		return walk(t, dir, out);
	if (fd < 0)
		return err_sys(errno, "cannot open %s", *dir ? dir : "/");
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

	if (strlen(path) >= sizeof(copy))
		return err_say(
			ST_BAD_INPUT,
			"the archive has a path that is too long: %.60s...",
			path);
	strcpy(copy, path);
	if (check_components(copy))
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
	int n;

	if (!*parent)
		n = snprintf(out, PATH_MAX, "%s", *base ? base : ".");
	else
		n = snprintf(out, PATH_MAX, "%s/%s", parent, base);
	if (n < PATH_MAX)
		return 0;
	return err_say(ST_BAD_INPUT,
		       "the archive has a path that is too long: %.60s...",
		       out);
}

/*----------------------------------------------------------------
 * Removing
 *--------------------------------------------------------------*/

struct purge {
	const struct tree *tree;
	bool (*keep)(const char *path, void *ctx);
	void *ctx;
};

static int remove_at(int dir, const char *name, const char *path,
		     const struct purge *p, int depth);

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/*
 * Removes what is in the directory @fd, which is closed; @path is its path for
 * @keep.  @stays: the directory itself is kept.
 */
static int remove_inside(int fd, const char *path, const struct purge *p,
			 int depth, bool stays)
{
	char child[PATH_MAX];
	struct dirent *d;
	DIR *dir = fdopendir(fd);
	int ret;

	if (!dir) {
		(void)close(fd);
		return err_sys(errno, "cannot read %s", path);
	}
	ret = stays ? before_change(p->tree, path) : 0;
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
		return err_say(ST_BAD_INPUT, "%.60s... is nested too deeply",
			       path);
	if (!kept && (!unlinkat(dir, name, 0) || errno == ENOENT))
		return 0;
	if (!kept && errno != EISDIR && errno != EPERM)
		return err_sys(errno, "cannot remove %s", path);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return kept ? 0 : err_sys(errno, "cannot remove %s", path);
	if (remove_inside(fd, path, p, depth, kept))
		return -1;
	if (!kept && unlinkat(dir, name, AT_REMOVEDIR))
		return err_sys(errno, "cannot remove %s", path);
	return 0;
}

int tree_remove(const struct tree *t, const char *path)
{
	const struct purge all = { t, NULL, NULL };

	return remove_at(t->root, path, path, &all, 0);
}

int tree_purge(const struct tree *t, const char *path,
	       bool (*keep)(const char *path, void *ctx), void *ctx)
{
	const struct purge p = { t, keep, ctx };
	int fd = openat(t->root, *path ? path : ".",
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(errno, "cannot open %s", path);
	return remove_inside(fd, path, &p, 0, true);
}
