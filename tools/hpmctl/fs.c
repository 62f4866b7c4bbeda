// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "err.h"
#include "fs.h"
#include "run.h"
#include "text.h"

int fs_check_type(const char *type)
{
	if (!strcmp(type, "ext4") || !strcmp(type, "xfs"))
		return 0;
	return err_say(ST_USAGE, "the file system must be ext4 or xfs, not %s",
		       type);
}

static const struct {
	const char *type;
	unsigned int mib;
} least[] = {
	{ "ext4", 1 }, { "xfs", 300 }, /* the least that mkfs.xfs takes */
};

int fs_check_size(const char *type, uint64_t bytes)
{
	size_t i;

	for (i = 0; i < sizeof(least) / sizeof(least[0]); i++)
		if (!strcmp(type, least[i].type) &&
		    bytes < (uint64_t)least[i].mib << 20)
			return err_say(
				ST_USAGE,
				"an %s file system needs at least %u MiB (--size %uM)",
				type, least[i].mib, least[i].mib);
	return 0;
}

/*
 * A new volume reads as zeroes, and only written blocks take space.  So nothing
 * is discarded, and ext4 neither zeroes its inode tables now nor lets the
 * kernel do it later, when they would be copied into each snapshot.
 */
static int run_mkfs(const char *const *argv)
{
	char text[1024], *p;
	int ret = run_program(argv, text, sizeof(text));

	if (ret < 0)
		return -1;
	chomp(text);
	for (p = text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	if (ret)
		return err_say(ST_FAILED, "%s failed with status %d: %s",
			       argv[0], ret, text);
	return 0;
}

int fs_make(const char *type, const char *device)
{
	const char *const ext4[] = {
		"mkfs.ext4",
		"-q",
		"-F",
		"-b",
		"4096",
		"-I",
		"256",
		"-m",
		"0",
		"-E",
		"nodiscard,assume_storage_prezeroed=1,lazy_itable_init=0,lazy_journal_init=0",
		device,
		NULL
	};
	const char *const xfs[] = { "mkfs.xfs", "-q", "-f", "-K", device, NULL };

	note("making an %s file system on %s", type, device);
	return run_mkfs(strcmp(type, "xfs") ? ext4 : xfs);
}

/* A snapshot of an xfs has the uuid of its origin. */
static int configure(int fs, const char *device, const char *type)
{
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", device, 0))
		return -1;
	if (!strcmp(type, "xfs") &&
	    fsconfig(fs, FSCONFIG_SET_FLAG, "nouuid", NULL, 0))
		return -1;
	return fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

int fs_mount(const char *device, const char *type, struct fs_mount *m)
{
	int fs = fsopen(type, FSOPEN_CLOEXEC);

	m->dir[0] = '\0';
	m->fd = -1;
	if (fs >= 0 && !configure(fs, device, type))
		m->fd = fsmount(fs, FSMOUNT_CLOEXEC,
				MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODEV |
					MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (m->fd < 0)
		(void)err_sys(errno, "cannot mount %s as %s", device, type);
	if (fs >= 0)
		(void)close(fs);
	if (m->fd < 0)
		return -1;
	(void)snprintf(m->dir, sizeof(m->dir), "/proc/%d/fd/%d", (int)getpid(),
		       m->fd);
	return 0;
}

/* Keeps no lost+found: fsck makes it when it is needed. */
int fs_empty(const struct fs_mount *m)
{
	if (!unlinkat(m->fd, "lost+found", AT_REMOVEDIR) || errno == ENOENT)
		return 0;
	return err_sys(errno, "cannot remove lost+found");
}

/* syncfs() reports errors of writeback; umount() does not. */
static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return err_sys(errno, "cannot open %s", dir);
	if (syncfs(fd))
		ret = err_sys(errno, "cannot write all of the file system");
	(void)close(fd);
	return ret;
}

int fs_unmount(struct fs_mount *m)
{
	int ret;

	if (!m->dir[0])
		return 0;
	ret = sync_dir(m->dir);
	/* This closes the last descriptor, which unmounts it. */
	(void)close(m->fd);
	m->dir[0] = '\0';
	return ret;
}
