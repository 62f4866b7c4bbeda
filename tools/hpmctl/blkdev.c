// SPDX-License-Identifier: GPL-2.0-only
#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "blkdev.h"
#include "err.h"
#include "label.h"
#include "ondisk.h"
#include "text.h"
#include "users.h"

/*----------------------------------------------------------------
 * Which device
 *--------------------------------------------------------------*/

int blkdev_get(const char *path, struct blkdev *dev)
{
	struct stat st;
	int fd, ret = 0;

	if (stat(path, &st))
		return err_sys(errno, "cannot use %s", path);
	if (!S_ISBLK(st.st_mode))
		return err_say(ST_USAGE, "%s is not a block device", path);
	if (print_to(dev->path, sizeof(dev->path), "%s", path) ||
	    print_to(dev->num, sizeof(dev->num), "%u:%u", major(st.st_rdev),
		     minor(st.st_rdev)))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(errno, "cannot open %s", path);
	if (ioctl(fd, BLKGETSIZE64, &dev->bytes))
		ret = err_sys(errno, "cannot tell the size of %s", path);
	(void)close(fd);
	return ret;
}

int sysfs_read(const char *num, const char *file, char *out, size_t size)
{
	char path[128];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%s/%s", num, file);
	f = fopen(path, "re");
	if (!f)
		return -1;
	/*
	 * The path of a file may contain newlines: only the last one ends it.
	 */
	n = fread(out, 1, size - 1, f);
	(void)fclose(f);
	if (n && out[n - 1] == '\n')
		out[n - 1] = '\0';
	out[n] = '\0';
	return n ? 0 : -1;
}

/* The kernel's name is the last part of a link's target: .../block/loop3 */
static int kernel_path(const char *num, char out[DEV_PATH_MAX])
{
	char link[64], target[512];
	const char *base;
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/sys/dev/block/%s", num);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return -1;
	target[n] = '\0';
	base = strrchr(target, '/');
	n = snprintf(out, DEV_PATH_MAX, "/dev/%s", base ? base + 1 : target);
	return n < DEV_PATH_MAX ? 0 : -1;
}

int blkdev_get_num(const char *num, struct blkdev *dev)
{
	char path[DEV_PATH_MAX];

	if (kernel_path(num, path))
		return err_sys(ENODEV, "there is no block device %s", num);
	return blkdev_get(path, dev);
}

void blkdev_describe(const char *num, struct blkdev *dev)
{
	char name[DM_NAME_MAX], text[32];

	memset(dev, 0, sizeof(*dev));
	(void)snprintf(dev->num, sizeof(dev->num), "%s", num);
	if (!sysfs_read(num, "dm/name", name, sizeof(name)) && *name)
		(void)snprintf(dev->path, sizeof(dev->path), "/dev/mapper/%s",
			       name);
	else if (kernel_path(num, dev->path))
		(void)snprintf(dev->path, sizeof(dev->path), "%s", num);
	if (!sysfs_read(num, "size", text, sizeof(text)))
		dev->bytes = strtoull(text, NULL, 10) * SECTOR_SIZE;
}

int blkdev_check_free(const struct blkdev *dev)
{
	int fd = open(dev->path, O_RDWR | O_EXCL | O_CLOEXEC);
	char users[USERS_TEXT];

	if (fd < 0 && errno == EBUSY)
		return err_say(ST_BUSY, "%s is in use: it is %s", dev->path,
			       users_text(dev->num, users));
	if (fd < 0)
		return err_sys(errno, "cannot open %s for writing", dev->path);
	(void)close(fd);
	return 0;
}

/*----------------------------------------------------------------
 * What is on it
 *--------------------------------------------------------------*/

static blkid_probe probe_new(int fd)
{
	blkid_probe pr = blkid_new_probe();

	if (!pr)
		return NULL;
	if (blkid_probe_set_device(pr, fd, 0, 0) ||
	    blkid_probe_enable_superblocks(pr, 1) ||
	    blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE |
							  BLKID_SUBLKS_MAGIC) ||
	    blkid_probe_enable_partitions(pr, 1) ||
	    blkid_probe_set_partitions_flags(pr, BLKID_PARTS_MAGIC)) {
		blkid_free_probe(pr);
		return NULL;
	}
	return pr;
}

static const char *probe_type(blkid_probe pr)
{
	const char *type;

	if (!blkid_probe_lookup_value(pr, "TYPE", &type, NULL) ||
	    !blkid_probe_lookup_value(pr, "PTTYPE", &type, NULL))
		return type;
	return "unknown";
}

/* Each step finds the next signature, which is refused or wiped. */
static int probe_all(blkid_probe pr, const struct blkdev *dev, bool force)
{
	int ret;

	while ((ret = blkid_do_probe(pr)) == 0) {
		if (!force)
			return err_say(
				ST_BUSY,
				"%s holds something (a signature of type %s); --force overwrites it",
				dev->path, probe_type(pr));
		note("wiping the signature of %s on %s", probe_type(pr),
		     dev->path);
		if (blkid_do_wipe(pr, 0))
			return err_sys(errno, "cannot wipe %s", dev->path);
	}
	return ret < 0 ? err_say(ST_FAILED, "cannot tell what is on %s",
				 dev->path) :
			 0;
}

static int check_pool(const struct blkdev *dev, bool force)
{
	static const char *const what[] = {
		[DATA_MARKED] =
			"%s holds the data of a pool (uuid %s); --force overwrites them",
		[DATA_LABEL] =
			"%s holds a pool (uuid %s; \"pool activate\" brings it back, --force overwrites it)",
		[DATA_ADDED] =
			"%s is a further disk of a pool (uuid %s); --force overwrites it",
	};
	uint8_t uuid[HPM_UUID_SIZE];
	char text[UUID_TEXT];
	enum data_kind kind;

	if (data_kind(dev->path, &kind, uuid))
		return -1;
	if (kind == DATA_UNKNOWN || force)
		return 0;
	return err_say(ST_BUSY, what[kind], dev->path, uuid_text(uuid, text));
}

int blkdev_check_empty(const struct blkdev *dev, bool force)
{
	int fd, ret = -1;
	blkid_probe pr;

	if (check_pool(dev, force))
		return -1;
	fd = open(dev->path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (fd < 0)
		return err_sys(errno, "cannot open %s for writing", dev->path);
	pr = probe_new(fd);
	if (pr)
		ret = probe_all(pr, dev, force);
	else
		(void)err_say(ST_FAILED, "cannot probe %s", dev->path);
	blkid_free_probe(pr);
	(void)close(fd);
	return ret;
}

int blkdev_zero(const struct blkdev *dev, uint64_t bytes)
{
	static const char zeroes[128 << 10];
	int fd = open(dev->path, O_WRONLY | O_CLOEXEC);
	uint64_t at;
	int ret = 0;

	if (fd < 0)
		return err_sys(errno, "cannot open %s for writing", dev->path);
	for (at = 0; at < bytes && !ret; at += sizeof(zeroes)) {
		size_t n = bytes - at < sizeof(zeroes) ? bytes - at :
							 sizeof(zeroes);

		if (pwrite(fd, zeroes, n, (off_t)at) != (ssize_t)n)
			ret = -1;
	}
	if (ret || fsync(fd))
		ret = err_sys(errno, "cannot write to %s", dev->path);
	(void)close(fd);
	return ret;
}

int blkdev_fs_type(const char *path, char *type, size_t size)
{
	blkid_probe pr = blkid_new_probe_from_filename(path);
	const char *value;
	int ret = 0;

	type[0] = '\0';
	if (!pr)
		return err_sys(errno, "cannot probe %s", path);
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE |
						      BLKID_SUBLKS_USAGE);
	if (!blkid_do_safeprobe(pr) &&
	    !blkid_probe_lookup_value(pr, "USAGE", &value, NULL) &&
	    !strcmp(value, "filesystem") &&
	    !blkid_probe_lookup_value(pr, "TYPE", &value, NULL))
		ret = print_to(type, size, "%s", value);
	blkid_free_probe(pr);
	return ret;
}
