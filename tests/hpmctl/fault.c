// SPDX-License-Identifier: GPL-2.0-only
/*
 * A library to preload: the FAULT_AT-th call that changes something outside the
 * program, or asks device-mapper, fails with EIO and is not made.  What it was is
 * written to the file FAULT_LOG; a program that makes fewer calls leaves no such
 * file.
 *
 * Thawing a file system is left out: there is nothing to be done about it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/loop.h>

static int hit(const char *what, unsigned long number)
{
	const char *at = getenv("FAULT_AT"), *log = getenv("FAULT_LOG");
	static long calls;
	FILE *f;

	if (!at || !log || ++calls != strtol(at, NULL, 10))
		return 0;
	f = fopen(log, "we");
	if (f) {
		fprintf(f, "%s %#lx\n", what, number);
		(void)fclose(f);
	}
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
