// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dm.h"
#include "err.h"
#include "freeze.h"
#include "pool.h"
#include "users.h"

void mount_point_of(const char *mountinfo, const char *num, char *out,
		    size_t size)
{
	const char *line = mountinfo;

	out[0] = '\0';
	while (*line && !mount_line(line, num, out, size)) {
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
}

static char *read_all(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;
	ssize_t n = -1;

	if (f) {
		n = getdelim(&text, &size, '\0', f);
		(void)fclose(f);
	}
	if (n < 0) {
		free(text);
		(void)err_sys(errno, "cannot read %s", path);
		return NULL;
	}
	return text;
}

/*
 * A file system that is mounted where we cannot see it cannot be frozen: report
 * it.
 */
static int check_unmounted(const char *device, const char *num)
{
	char users[USERS_TEXT];
	struct dm_state st;

	if (dm_state_of(device, &st))
		return -1;
	if (st.open_count)
		return err_say(
			ST_BUSY,
			"%s is in use, but not mounted where it can be frozen from here: %s",
			device, users_text(num, users));
	warn("%s is not mounted, so there is nothing to freeze", device);
	return 0;
}

/*
 * The kernel does not tell which program froze a file system.  A device that
 * was suspended with a freeze can be recognized; otherwise it was a program
 * like fsfreeze, a backup, or another snapshot that is being taken.
 */
static int say_frozen(const char *point, const char *device, const char *num)
{
	char suspended[8] = "";

	(void)sysfs_read(num, "dm/suspended", suspended, sizeof(suspended));
	if (suspended[0] == '1')
		return err_say(
			ST_BUSY,
			"%s is frozen already, as its device is suspended: \"dmsetup resume %s\" ends that",
			point, device);
	return err_say(
		ST_BUSY,
		"%s is frozen already, by another program: wait until it has finished, or, if nothing is at work there, thaw it with \"fsfreeze -u %s\"",
		point, point);
}

static void hold_signals(struct frozen *fs)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &fs->mask);
}

static int do_freeze(const char *point, const char *device, const char *num,
		     struct frozen *fs)
{
	fs->fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs->fd < 0)
		return err_sys(errno, "cannot open %s", point);
	note("freezing %s", point);
	hold_signals(fs);
	if (!ioctl(fs->fd, FIFREEZE, 0))
		return 0;
	if (errno == EBUSY)
		(void)say_frozen(point, device, num);
	else if (errno == EOPNOTSUPP)
		(void)err_say(ST_FAILED,
			      "the file system at %s cannot be frozen", point);
	else
		(void)err_sys(errno, "cannot freeze %s", point);
	(void)sigprocmask(SIG_SETMASK, &fs->mask, NULL);
	(void)close(fs->fd);
	fs->fd = -1;
	return -1;
}

int freeze_begin(const char *device, const char *num, struct frozen *fs)
{
	char point[PATH_MAX];
	char *text = read_all("/proc/self/mountinfo");

	fs->fd = -1;
	if (!text)
		return -1;
	mount_point_of(text, num, point, sizeof(point));
	free(text);
	return *point ? do_freeze(point, device, num, fs) :
			check_unmounted(device, num);
}

int freeze_end(struct frozen *fs)
{
	int ret = 0;

	if (fs->fd < 0)
		return 0;
	if (ioctl(fs->fd, FITHAW, 0))
		ret = err_sys(errno, "cannot thaw the file system");
	(void)sigprocmask(SIG_SETMASK, &fs->mask, NULL);
	(void)close(fs->fd);
	fs->fd = -1;
	return ret;
}
