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

/* mountinfo writes blanks and backslashes as \ooo */
static void unescape(char *text)
{
	char *out = text;

	while (*text) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' &&
		    text[2] >= '0' && text[2] <= '7' && text[3] >= '0' &&
		    text[3] <= '7') {
			*out++ = (char)((text[1] - '0') << 6 |
					(text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = '\0';
}

void mount_point_of(const char *mountinfo, const char *num, char *out,
		    size_t size)
{
	char dev[DM_NUM_TEXT], point[PATH_MAX];
	const char *line = mountinfo;

	out[0] = '\0';
	while (*line && !*out) {
		if (sscanf(line, "%*d %*d %23s %*s %4095s", dev, point) == 2 &&
		    !strcmp(dev, num)) {
			unescape(point);
			(void)snprintf(out, size, "%s", point);
		}
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

/* Mounted where we cannot see it, it cannot be frozen: then say so. */
static int check_unmounted(const char *device)
{
	struct dm_state st;

	if (dm_state_of(device, &st))
		return -1;
	if (st.open_count)
		return err_say(
			ST_BUSY,
			"%s is in use, but where it is mounted cannot be seen from here, so it cannot be frozen",
			device);
	warn("%s is not mounted, so there is nothing to freeze", device);
	return 0;
}

static void hold_signals(struct frozen *fs)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &fs->mask);
}

static int do_freeze(const char *point, struct frozen *fs)
{
	fs->fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs->fd < 0)
		return err_sys(errno, "cannot open %s", point);
	note("freezing %s", point);
	hold_signals(fs);
	if (!ioctl(fs->fd, FIFREEZE, 0))
		return 0;
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
	return *point ? do_freeze(point, fs) : check_unmounted(device);
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
