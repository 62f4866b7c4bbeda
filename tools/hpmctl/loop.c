// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "loop.h"
#include "run.h"
#include "text.h"

/*
 * With O_DIRECT the kernel chooses a block size for the device that direct I/O
 * can use on that file.  A file system that cannot do direct I/O (tmpfs, 9p)
 * uses its page cache; then the kernel must not be asked for direct I/O, as
 * over an overlayfs it would assume that it can do it, and fail every read.
 */
static int open_as(const char *file, int mode, __u32 *flags)
{
	int fd = open(file, mode | O_CLOEXEC | O_DIRECT);

	*flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
	if (fd < 0 && errno == EINVAL) {
		note("%s cannot do direct I/O", file);
		*flags &= ~(__u32)LO_FLAGS_DIRECT_IO;
		fd = open(file, mode | O_CLOEXEC);
	}
	return fd;
}

/* A file system that has failed is itself read-only. */
static int open_backing(const char *file, bool read_only, __u32 *flags)
{
	int fd = open_as(file, O_RDWR, flags);

	if (fd < 0 && read_only && (errno == EROFS || errno == EPERM)) {
		fd = open_as(file, O_RDONLY, flags);
		*flags |= LO_FLAGS_READ_ONLY;
	}
	if (fd < 0)
		return err_sys(errno, "cannot open %s", file);
	return fd;
}

/* Another program may take the next free device before us. */
static int attach_free(int control, int backing, __u32 flags, const char *file,
		       struct blkdev *dev)
{
	struct loop_config config = {
		.fd = (__u32)backing,
		.info.lo_flags = flags,
	};
	int tries, fd, n;

	(void)snprintf((char *)config.info.lo_file_name,
		       sizeof(config.info.lo_file_name), "%s", file);
	for (tries = 0; tries < 64; tries++) {
		n = ioctl(control, LOOP_CTL_GET_FREE);
		if (n < 0)
			return err_sys(errno, "no loop device is free");
		(void)snprintf(dev->path, sizeof(dev->path), "/dev/loop%d", n);
		fd = open(dev->path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return err_sys(errno, "cannot open %s", dev->path);
		if (!ioctl(fd, LOOP_CONFIGURE, &config))
			return fd;
		if (errno != EBUSY) {
			(void)err_sys(errno,
				      "cannot make a loop device of %s as %s",
				      file, dev->path);
			(void)close(fd);
			return -1;
		}
		(void)close(fd);
	}
	return err_say(ST_BUSY, "no loop device stays free long enough");
}

/* Whether the loop device has the file that @st describes. */
static bool has_file(const char *name, const struct stat *st)
{
	struct loop_info64 info;
	char path[300];
	bool same;
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	same = !ioctl(fd, LOOP_GET_STATUS64, &info) &&
	       info.lo_inode == st->st_ino && info.lo_device == st->st_dev;
	(void)close(fd);
	return same;
}

/* Two loop devices for one file would be two pools on the same blocks. */
static int check_unused(int backing, const char *file)
{
	struct dirent *d;
	struct stat st;
	int ret = 0;
	DIR *dir;

	if (fstat(backing, &st))
		return err_sys(errno, "cannot use %s", file);
	dir = opendir("/sys/block");
	if (!dir)
		return err_sys(errno, "cannot look for loop devices");
	while (!ret && (d = readdir(dir)))
		if (!strncmp(d->d_name, "loop", 4) && has_file(d->d_name, &st))
			ret = err_say(ST_BUSY,
				      "%s is in use by the loop device /dev/%s",
				      file, d->d_name);
	(void)closedir(dir);
	return ret;
}

/* Without udev, the node may not exist before the module is loaded. */
static int open_control(void)
{
	const char *const argv[] = { "modprobe", "-q", "loop", NULL };
	int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		if (run_program(argv, NULL, 0) < 0)
			return -1;
		fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	}
	if (fd < 0)
		return err_sys(errno, "cannot open /dev/loop-control");
	return fd;
}

static int attach(const char *file, bool read_only, struct blkdev *dev)
{
	int control, backing, fd;
	__u32 flags;

	backing = open_backing(file, read_only, &flags);
	if (backing < 0)
		return -1;
	if (check_unused(backing, file)) {
		(void)close(backing);
		return -1;
	}
	control = open_control();
	fd = control < 0 ? -1 : attach_free(control, backing, flags, file, dev);
	if (control >= 0)
		(void)close(control);
	(void)close(backing);
	return fd;
}

int loop_attach(const char *file, bool read_only, struct blkdev *dev)
{
	char path[DEV_PATH_MAX];
	int fd = attach(file, read_only, dev);

	if (fd < 0)
		return -1;
	note("%s is behind %s", file, dev->path);
	memcpy(path, dev->path, sizeof(path));
	if (blkdev_get(path, dev)) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

void loop_file(const char *num, char *path, size_t size)
{
	if (sysfs_read(num, "loop/backing_file", path, size))
		path[0] = '\0';
}

void loop_own_file(const char *num, char *path, size_t size)
{
	char word[8];

	loop_file(num, path, size);
	if (*path && (sysfs_read(num, "loop/autoclear", word, sizeof(word)) ||
		      strcmp(word, "1") != 0))
		path[0] = '\0';
}

int loop_check_file(const char *num, const char *path)
{
	struct blkdev dev;
	struct stat st;

	if (!*path)
		return 0;
	if (blkdev_get_num(num, &dev))
		return -1;
	if (!stat(path, &st) && has_file(dev.path + strlen("/dev/"), &st))
		return 0;
	return err_say(
		ST_FAILED,
		"%s is not the file behind %s any more: that was deleted or moved, or something is mounted over it",
		path, dev.path);
}

int loop_set_capacity(const struct blkdev *dev)
{
	int fd = open(dev->path, O_RDWR | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return err_sys(errno, "cannot open %s", dev->path);
	if (ioctl(fd, LOOP_SET_CAPACITY, 0))
		ret = err_sys(errno, "cannot set the new size of %s",
			      dev->path);
	(void)close(fd);
	return ret;
}

/* The usual failure is a lack of space: then report what uses it. */
static int set_size(int fd, const char *path, uint64_t bytes, bool preallocate)
{
	char text[SIZE_TEXT];
	int err = 0;

	if (preallocate)
		err = posix_fallocate(fd, 0, (off_t)bytes);
	else if (ftruncate(fd, (off_t)bytes))
		err = errno;
	if (!err)
		return 0;
	if (err == ENOSPC)
		return err_say(
			ST_FAILED,
			"the file system has no space for %s, which takes all of its %s at once",
			path, size_text(bytes, text));
	return err_sys(err, "cannot set the size of %s", path);
}

int file_make(const char *path, uint64_t bytes, bool preallocate)
{
	int fd, ret;

	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(errno, "cannot make the file %s", path);
	ret = set_size(fd, path, bytes, preallocate);
	if (close(fd) && !ret)
		ret = err_sys(errno, "cannot write %s", path);
	if (ret)
		(void)unlink(path);
	return ret;
}

int file_grow(const char *path, uint64_t bytes, bool preallocate)
{
	struct stat st;
	int fd, ret, statted;

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_sys(errno, "cannot open %s", path);
	statted = fstat(fd, &st);
	if (statted)
		ret = err_sys(errno, "cannot use %s", path);
	else if ((uint64_t)st.st_size > bytes)
		ret = err_say(ST_USAGE,
			      "%s is larger already: a pool cannot shrink",
			      path);
	else
		ret = set_size(fd, path, bytes, preallocate);
	/* An allocation that failed may have succeeded in part. */
	if (ret && !statted && ftruncate(fd, st.st_size))
		warn("%s is larger than it was", path);
	(void)close(fd);
	return ret;
}

void file_shrink(const char *path, uint64_t bytes)
{
	note("restoring the old size of %s", path);
	if (truncate(path, (off_t)bytes))
		warn("cannot restore the old size of %s", path);
}

int file_fill(const char *path)
{
	struct stat st;
	int ret = 0, fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return err_sys(errno, "cannot open %s", path);
	if (fstat(fd, &st))
		ret = err_sys(errno, "cannot use %s", path);
	else if (st.st_blocks * 512 < st.st_size &&
		 fallocate(fd, 0, 0, st.st_size))
		ret = 1;
	(void)close(fd);
	return ret;
}

/*
 * Only a regular file may be put aside: a device node or a directory would be
 * renamed, and the node deleted.
 */
static int check_file(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_sys(errno, "cannot replace %s", path);
	if (S_ISREG(st.st_mode))
		return 0;
	return err_say(
		ST_USAGE, "%s is not a file, and is not replaced%s", path,
		S_ISBLK(st.st_mode) ? ": --disk makes a pool on a device" : "");
}

int file_put_aside(const char *path, char *aside, size_t size)
{
	int fd, ret;

	*aside = '\0';
	/* (O_NONBLOCK, as opening a pipe would wait) */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ?
			       0 :
			       err_sys(errno, "cannot replace %s", path);
	ret = check_file(fd, path) || check_unused(fd, path) ||
	      print_to(aside, size, "%s.old-%d", path, (int)getpid());
	(void)close(fd);
	if (ret) {
		*aside = '\0';
		return -1;
	}
	if (!rename(path, aside))
		return 0;
	*aside = '\0';
	return err_sys(errno, "cannot replace %s", path);
}

void file_put_back(const char *aside, const char *path)
{
	if (*aside && rename(aside, path))
		warn("the old content of %s is in %s now", path, aside);
}
