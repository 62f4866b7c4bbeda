// SPDX-License-Identifier: GPL-2.0-only
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "err.h"
#include "imagename.h"
#include "run.h"
#include "stream.h"
#include "text.h"

#define LINKS_MAX 8 /* that a member's name may lead through */

static struct stream *stream_new(const char *name)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s) {
		(void)err_nomem();
		return NULL;
	}
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	s->fd = -1;
	return s;
}

static int take_fd(int fd, const char *name, struct stream **sp)
{
	struct stream *s;
	struct stat st;

	if (fd < 0)
		return err_sys(errno, "cannot open %s", name);
	if (fstat(fd, &st) || S_ISDIR(st.st_mode)) {
		(void)err_sys(S_ISDIR(st.st_mode) ? EISDIR : errno,
			      "cannot read %s", name);
		(void)close(fd);
		return -1;
	}
	s = stream_new(name);
	if (!s) {
		(void)close(fd);
		return -1;
	}
	s->fd = fd;
	s->total = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	*sp = s;
	return 0;
}

int stream_open_file(const char *path, struct stream **sp)
{
	if (!strcmp(path, "-"))
		return take_fd(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3),
			       "standard input", sp);
	return take_fd(open(path, O_RDONLY | O_CLOEXEC), path, sp);
}

int stream_open_at(int dir, const char *name, bool beneath, struct stream **sp)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		.resolve = beneath ? RESOLVE_BENEATH : 0,
	};
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	struct stat st;

	if (fd < 0)
		return err_say(ST_BAD_INPUT, "cannot open %s of the image: %s",
			       name, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return err_say(ST_BAD_INPUT,
			       "%s of the image is not a regular file", name);
	}
	return take_fd(fd, name, sp);
}

/*----------------------------------------------------------------
 * Members of archives
 *--------------------------------------------------------------*/

struct archive *archive_reader(void)
{
	struct archive *a = archive_read_new();

	if (!a) {
		(void)err_nomem();
		return NULL;
	}
	/* ARCHIVE_WARN: the filter exists, but as an external program. */
	if (archive_read_support_filter_all(a) < ARCHIVE_WARN ||
	    archive_read_support_format_tar(a) < ARCHIVE_WARN ||
	    archive_read_support_format_cpio(a) < ARCHIVE_WARN) {
		(void)err_say(ST_FAILED, "cannot use libarchive: %s",
			      archive_why(a));
		(void)archive_read_free(a);
		return NULL;
	}
	return a;
}

const char *archive_why(struct archive *a)
{
	const char *why = archive_error_string(a);

	return why ? why : "it is damaged";
}

/*
 * Finds the target of a link at @name within the archive; false: it is outside.
 */
static bool link_target(const char *name, struct archive_entry *entry,
			char out[PATH_MAX])
{
	const char *link = archive_entry_symlink(entry);
	char path[PATH_MAX], *p = path, *word, *slash;

	if (!link && archive_entry_hardlink(entry))
		return snprintf(out, PATH_MAX, "%s",
				member_name(archive_entry_hardlink(entry))) <
		       PATH_MAX;
	if (!link || *link == '/')
		return false;
	(void)snprintf(out, PATH_MAX, "%s", name);
	slash = strrchr(out, '/');
	*(slash ? slash : out) = '\0';
	if (snprintf(path, sizeof(path), "%s", link) >= (int)sizeof(path))
		return false;
	while ((word = strsep(&p, "/"))) {
		size_t len = strlen(out);

		if (!*word || !strcmp(word, "."))
			continue;
		if (strcmp(word, "..") != 0) {
			if (snprintf(out + len, PATH_MAX - len, "%s%s",
				     len ? "/" : "",
				     word) >= (int)(PATH_MAX - len))
				return false;
			continue;
		}
		if (!len)
			return false;
		slash = strrchr(out, '/');
		*(slash ? slash : out) = '\0';
	}
	return true;
}

/*
 * Returns 0: the archive is at the member's contents; 1: there is a link of
 * this name, and *@name is its target; -1
 */
static int find_member(struct archive *a, const char *path, char name[PATH_MAX],
		       struct stream *s)
{
	struct archive_entry *entry;
	int ret;

	if (archive_read_open_filename(a, path, 1 << 18))
		return err_say(ST_BAD_INPUT, "cannot read %s: %s", path,
			       archive_why(a));
	while ((ret = archive_read_next_header(a, &entry)) == ARCHIVE_OK ||
	       ret == ARCHIVE_WARN) {
		const char *member = archive_entry_pathname(entry);
		char target[PATH_MAX];

		if (!member || strcmp(member_name(member), name) != 0)
			continue;
		if (link_target(name, entry, target)) {
			strcpy(name, target);
			return 1;
		}
		if (archive_entry_filetype(entry) == AE_IFREG) {
			s->total = (uint64_t)archive_entry_size(entry);
			return 0;
		}
	}
	if (ret != ARCHIVE_EOF)
		return err_say(ST_BAD_INPUT, "cannot read %s: %s", path,
			       archive_why(a));
	return err_say(ST_BAD_INPUT, "there is no %s in %s", name, path);
}

static int open_member(struct stream *s, const char *path, char name[PATH_MAX])
{
	int links, ret = 1;

	for (links = 0; ret == 1; links++) {
		if (links > LINKS_MAX)
			return err_say(ST_BAD_INPUT,
				       "%s has a loop of links: %s", path,
				       name);
		if (s->member)
			(void)archive_read_free(s->member);
		s->member = archive_reader();
		if (!s->member)
			return -1;
		ret = find_member(s->member, path, name, s);
	}
	return ret;
}

int stream_open_member(const char *path, const char *name, struct stream **sp)
{
	struct stream *s = stream_new(name);
	char at[PATH_MAX];

	if (!s)
		return -1;
	if (print_to(at, sizeof(at), "%s", member_name(name)) ||
	    open_member(s, path, at)) {
		stream_close(s);
		return -1;
	}
	*sp = s;
	return 0;
}

/*----------------------------------------------------------------
 * Reading
 *--------------------------------------------------------------*/

int stream_expect(struct stream *s, const char *digest, uint64_t size)
{
	if (digest_begin(&s->digest, digest))
		return -1;
	if (s->total != size)
		return err_say(ST_BAD_INPUT, "%s is %llu bytes long, not %llu",
			       s->name, (unsigned long long)s->total,
			       (unsigned long long)size);
	s->check = true;
	return 0;
}

int stream_expect_plain(struct stream *s, const char *digest)
{
	if (digest_begin(&s->plain, digest))
		return -1;
	s->check_plain = true;
	return 0;
}

static ssize_t read_fd(struct stream *s, size_t at)
{
	ssize_t n;

	do
		n = read(s->fd, s->buf + at, sizeof(s->buf) - at);
	while (n < 0 && errno == EINTR && !interrupted());
	if (n < 0 && errno != EINTR)
		return err_sys(errno, "cannot read %s", s->name);
	return n;
}

static ssize_t read_source(struct stream *s)
{
	ssize_t n, more = 0;

	if (s->member) {
		n = archive_read_data(s->member, s->buf, sizeof(s->buf));
		if (n < 0)
			return err_say(ST_BAD_INPUT, "cannot read %s: %s",
				       s->name, archive_why(s->member));
		return n;
	}
	n = read_fd(s, 0);
	/*
	 * (a pipe may return only one byte at first, which is too few to tell
	 * the format)
	 */
	while (n == 1 && !s->done && (more = read_fd(s, 1)) > 0)
		n += more;
	return more < 0 ? -1 : n;
}

ssize_t stream_read(struct stream *s, const void **data)
{
	ssize_t n = read_source(s);

	if (interrupted())
		return err_interrupted();
	if (n <= 0)
		return n;
	*data = s->buf;
	s->done += (uint64_t)n;
	if (s->check)
		digest_add(&s->digest, s->buf, (size_t)n);
	if (s->progress)
		s->progress(s, s->progress_ctx);
	return n;
}

int stream_finish(struct stream *s)
{
	const void *data;
	ssize_t n;

	do
		n = stream_read(s, &data);
	while (n > 0);
	if (n < 0)
		return -1;
	if (!s->check)
		return 0;
	if (s->done != s->total || !digest_matches(&s->digest))
		return err_say(
			ST_BAD_INPUT,
			"%s is damaged: its digest is not the expected one",
			s->name);
	return 0;
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	if (s->member)
		(void)archive_read_free(s->member);
	if (s->fd >= 0)
		(void)close(s->fd);
	free(s);
}
