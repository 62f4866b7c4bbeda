// SPDX-License-Identifier: GPL-2.0-only
/*
 * A library to preload: the FAULT_AT-th call that changes something outside the
 * program, or calls device-mapper, fails with EIO and is not made.  Its name is
 * written to the file FAULT_LOG; a program that makes fewer calls leaves no
 * such file.  If there are several processes, only the first that gets there
 * fails.  FAULT_AT may be several numbers, in order, separated by commas.
 *
 * Thawing a file system does not fail: a program could do nothing about it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/loop.h>

static bool is_in(long number, const char *list)
{
	char *end;

	for (; *list; list = end + (*end == ',')) {
		if (strtol(list, &end, 10) == number)
			return true;
		if (end == list)
			break;
	}
	return false;
}

static int hit(const char *what, unsigned long number)
{
	const char *at = getenv("FAULT_AT"), *log = getenv("FAULT_LOG");
	static bool was_hit;
	static long calls;
	int fd;

	if (!at || !log || !is_in(++calls, at))
		return 0;
	fd = open(log,
		  O_WRONLY | O_APPEND | O_CLOEXEC |
			  (was_hit ? 0 : O_CREAT | O_EXCL),
		  0600);
	if (fd < 0)
		return 0;
	was_hit = true;
	dprintf(fd, "%s %#lx\n", what, number);
	(void)close(fd);
	errno = EIO;
	return 1;
}

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static int is_ours(unsigned long request)
{
	unsigned int type = _IOC_TYPE(request), nr = _IOC_NR(request);

	if (type == DM_IOCTL)
		return nr != DM_VERSION_CMD && nr != DM_LIST_VERSIONS_CMD;
	return request == FIFREEZE || request == LOOP_CONFIGURE ||
	       request == LOOP_SET_CAPACITY || request == LOOP_CTL_GET_FREE;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (is_ours(request) && hit("ioctl", request))
		return -1;
	return NEXT(ioctl)(fd, request, arg);
}

int ftruncate(int fd, off_t bytes)
{
	return hit("ftruncate", 0) ? -1 : NEXT(ftruncate)(fd, bytes);
}

int posix_fallocate(int fd, off_t at, off_t bytes)
{
	return hit("posix_fallocate", 0) ? EIO :
					   NEXT(posix_fallocate)(fd, at, bytes);
}

int rename(const char *from, const char *to)
{
	return hit("rename", 0) ? -1 : NEXT(rename)(from, to);
}

int unlink(const char *path)
{
	return hit("unlink", 0) ? -1 : NEXT(unlink)(path);
}

int fsync(int fd)
{
	return hit("fsync", 0) ? -1 : NEXT(fsync)(fd);
}

ssize_t pwrite(int fd, const void *buf, size_t bytes, off_t at)
{
	return hit("pwrite", 0) ? -1 : NEXT(pwrite)(fd, buf, bytes, at);
}

/* Other calls that an import makes. */
pid_t fork(void)
{
	return hit("fork", 0) ? -1 : NEXT(fork)();
}

int fsopen(const char *type, unsigned int flags)
{
	return hit("fsopen", 0) ? -1 : NEXT(fsopen)(type, flags);
}

int fsconfig(int fd, unsigned int cmd, const char *key, const void *value,
	     int aux)
{
	return hit("fsconfig", cmd) ? -1 :
				      NEXT(fsconfig)(fd, cmd, key, value, aux);
}

int fsmount(int fd, unsigned int flags, unsigned int attributes)
{
	return hit("fsmount", 0) ? -1 : NEXT(fsmount)(fd, flags, attributes);
}

int syncfs(int fd)
{
	return hit("syncfs", 0) ? -1 : NEXT(syncfs)(fd);
}

int unlinkat(int dir, const char *path, int flags)
{
	return hit("unlinkat", 0) ? -1 : NEXT(unlinkat)(dir, path, flags);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	return hit("mkdirat", 0) ? -1 : NEXT(mkdirat)(dir, path, mode);
}

int symlinkat(const char *target, int dir, const char *path)
{
	return hit("symlinkat", 0) ? -1 : NEXT(symlinkat)(target, dir, path);
}

int linkat(int from, const char *path, int to, const char *name, int flags)
{
	return hit("linkat", 0) ? -1 :
				  NEXT(linkat)(from, path, to, name, flags);
}

ssize_t write(int fd, const void *buf, size_t bytes)
{
	return fd > 2 && hit("write", 0) ? -1 : NEXT(write)(fd, buf, bytes);
}
