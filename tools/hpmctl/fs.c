// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
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
	return err_say(ST_USAGE, "the file system is ext4 or xfs, not %s",
		       type);
}

/*
 * A new volume reads as zeroes, and what nobody wrote takes no space.  So
 * nothing is discarded, and ext4 neither zeroes its inode tables now nor has
 * the kernel do it later, when they would be copied into each snapshot.
 */
static int run_mkfs(const char *const *argv)
{
	char text[1024];
	int ret = run_program(argv, text, sizeof(text));

	if (ret < 0)
		return -1;
	chomp(text);
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

/*
 * Mounts that others take away still go away here ("slave"), so that we do not
 * keep them alive; ours are not seen by others.
 */
static int enter_namespace(void)
{
	static bool entered;

	if (entered)
		return 0;
	if (unshare(CLONE_NEWNS))
		return err_sys(errno, "cannot make a mount namespace");
	if (mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL))
		return err_sys(errno, "cannot make the mounts private");
	entered = true;
	return 0;
}

static int make_dir(char dir[PATH_MAX])
{
	strcpy(dir, "/run/hpmctl-XXXXXX");
	if (mkdtemp(dir))
		return 0;
	strcpy(dir, "/tmp/hpmctl-XXXXXX");
	if (mkdtemp(dir))
		return 0;
	dir[0] = '\0';
	return err_sys(errno, "cannot make a directory to mount at");
}

int fs_mount(const char *device, const char *type, struct fs_mount *m)
{
	/* A snapshot of an xfs has the uuid of its origin. */
	const char *options = strcmp(type, "xfs") ? "" : "nouuid";
	unsigned long flags = MS_NOATIME | MS_NODEV | MS_NOSUID | MS_NOEXEC;

	m->dir[0] = '\0';
	if (enter_namespace() || make_dir(m->dir))
		return -1;
	if (!mount(device, m->dir, type, flags, options))
		return 0;
	(void)err_sys(errno, "cannot mount %s as %s", device, type);
	(void)rmdir(m->dir);
	m->dir[0] = '\0';
	return -1;
}

/* An error of writing back is told by syncfs(), not by umount(). */
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
	if (umount2(m->dir, UMOUNT_NOFOLLOW))
		ret = err_sys(errno, "cannot unmount %s", m->dir);
	else
		(void)rmdir(m->dir);
	m->dir[0] = '\0';
	return ret;
}
