// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "blkdev.h"
#include "err.h"
#include "text.h"
#include "users.h"

/* If there are more of one kind, they are only counted. */
#define SHOWN_MAX 6
/* The most mount namespaces that are looked at. */
#define SPACES_MAX 1024

struct users {
	const char *num;
	char *out;
	unsigned int nr; /* of one kind */
	unsigned int nr_all;
	ino_t space[SPACES_MAX]; /* the ones that were read */
	unsigned int nr_spaces;
};

__attribute__((format(printf, 2, 3))) static void add(struct users *u,
						      const char *fmt, ...)
{
	size_t at = strlen(u->out);
	va_list ap;

	u->nr_all++;
	if (++u->nr > SHOWN_MAX)
		return;
	if (at)
		at += (size_t)snprintf(u->out + at, USERS_TEXT - at, "; ");
	if (at >= USERS_TEXT)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(u->out + at, USERS_TEXT - at, fmt, ap);
	va_end(ap);
}

/* The end of one kind of users. */
static void kind_done(struct users *u, const char *what)
{
	unsigned int more = u->nr > SHOWN_MAX ? u->nr - SHOWN_MAX : 0;

	u->nr = 0;
	if (more) {
		add(u, "%u more %s", more, what);
		u->nr = 0;
	}
}

static bool is_device(const char *path, const char *num)
{
	char dev[DM_NUM_TEXT];
	struct stat st;

	if (stat(path, &st) || !S_ISBLK(st.st_mode))
		return false;
	(void)snprintf(dev, sizeof(dev), "%u:%u", major(st.st_rdev),
		       minor(st.st_rdev));
	return !strcmp(dev, num);
}

/*----------------------------------------------------------------
 * Mounts
 *--------------------------------------------------------------*/

/* mountinfo and swaps have blanks and backslashes as \ooo */
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

/* A btrfs has a device number of its own; only its source names the device. */
static bool is_source(const char *line, const char *num)
{
	char type[32], source[PATH_MAX];
	const char *sep = strstr(line, " - ");

	if (!sep || sep > line + strcspn(line, "\n") ||
	    sscanf(sep, " - %31s %4095s", type, source) != 2 ||
	    source[0] != '/')
		return false;
	unescape(source);
	return is_device(source, num);
}

bool mount_line(const char *mountinfo, const char *num, char *point,
		size_t size)
{
	char dev[DM_NUM_TEXT], at[PATH_MAX];

	if (sscanf(mountinfo, "%*d %*d %23s %*s %4095s", dev, at) != 2 ||
	    (strcmp(dev, num) != 0 &&
	     (strncmp(dev, "0:", 2) != 0 || !is_source(mountinfo, num))))
		return false;
	unescape(at);
	(void)snprintf(point, size, "%s", at);
	return true;
}

static const char *comm_of(const char *pid, char out[32])
{
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(out, 32, f))
		strcpy(out, "?");
	out[strcspn(out, "\n")] = '\0';
	if (f)
		(void)fclose(f);
	return out;
}

static void read_mounts(struct users *u, const char *pid, bool own)
{
	char path[64], point[PATH_MAX], comm[32], *line = NULL;
	size_t room = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/mountinfo", pid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (getline(&line, &room, f) > 0) {
		if (!mount_line(line, u->num, point, sizeof(point)))
			continue;
		if (own)
			add(u, "mounted at %s", point);
		else
			add(u,
			    "mounted at %s in the mount namespace of process %.16s (%s)",
			    point, pid, comm_of(pid, comm));
	}
	free(line);
	(void)fclose(f);
}

/* Whether the mount namespace of a process has not been read yet. */
static bool new_space(struct users *u, const char *pid)
{
	char path[64];
	struct stat st;
	unsigned int i;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/ns/mnt", pid);
	if (stat(path, &st))
		return false;
	for (i = 0; i < u->nr_spaces; i++)
		if (u->space[i] == st.st_ino)
			return false;
	if (u->nr_spaces == SPACES_MAX)
		return false;
	u->space[u->nr_spaces++] = st.st_ino;
	return true;
}

static void each_process(struct users *u,
			 void (*fn)(struct users *u, const char *pid))
{
	DIR *dir = opendir("/proc");
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (isdigit((unsigned char)d->d_name[0]))
			fn(u, d->d_name);
	if (dir)
		(void)closedir(dir);
}

static void mounts_of(struct users *u, const char *pid)
{
	if (new_space(u, pid))
		read_mounts(u, pid, false);
}

/*----------------------------------------------------------------
 * All else
 *--------------------------------------------------------------*/

static void find_swap(struct users *u)
{
	FILE *f = fopen("/proc/swaps", "re");
	char *line = NULL;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		line[strcspn(line, " \t\n")] = '\0';
		unescape(line);
		if (is_device(line, u->num))
			add(u, "used as swap");
	}
	free(line);
	if (f)
		(void)fclose(f);
}

/* Devices on top of it: device-mapper, md, bcache. */
static void find_holders(struct users *u)
{
	char path[64], name[DM_NAME_MAX], file[300];
	struct dirent *d;
	DIR *dir;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%s/holders", u->num);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "/sys/block/%s/dm/name",
			       d->d_name);
		f = fopen(file, "re");
		if (f && fgets(name, sizeof(name), f)) {
			chomp(name);
			add(u, "below the device /dev/mapper/%s", name);
		} else {
			add(u, "below the device /dev/%s", d->d_name);
		}
		if (f)
			(void)fclose(f);
	}
	if (dir)
		(void)closedir(dir);
}

static void find_loops(struct users *u)
{
	char path[300], file[PATH_MAX];
	struct dirent *d;
	DIR *dir = opendir("/sys/block");
	FILE *f;

	while (dir && (d = readdir(dir))) {
		if (strncmp(d->d_name, "loop", 4) != 0)
			continue;
		(void)snprintf(path, sizeof(path),
			       "/sys/block/%s/loop/backing_file", d->d_name);
		f = fopen(path, "re");
		if (f && fgets(file, sizeof(file), f)) {
			chomp(file);
			if (is_device(file, u->num))
				add(u, "behind the loop device /dev/%s",
				    d->d_name);
		}
		if (f)
			(void)fclose(f);
	}
	if (dir)
		(void)closedir(dir);
}

static void opened_by(struct users *u, const char *pid)
{
	char path[64], file[400], comm[32];
	struct dirent *d;
	DIR *dir;

	if (strtol(pid, NULL, 10) == getpid())
		return;
	(void)snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		(void)snprintf(file, sizeof(file), "%s/%s", path, d->d_name);
		if (d->d_name[0] == '.' || !is_device(file, u->num))
			continue;
		add(u, "open in process %.16s (%s)", pid, comm_of(pid, comm));
		break;
	}
	if (dir)
		(void)closedir(dir);
}

/* Uses that do not end by themselves. */
static bool find_lasting(struct users *u)
{
	(void)new_space(u, "self");
	read_mounts(u, "self", true);
	each_process(u, mounts_of);
	kind_done(u, "mounts");
	find_swap(u);
	find_holders(u);
	find_loops(u);
	kind_done(u, "devices");
	return u->nr_all;
}

const char *users_text(const char *num, char out[USERS_TEXT])
{
	struct users u = { .num = num, .out = out };

	out[0] = '\0';
	(void)find_lasting(&u);
	each_process(&u, opened_by);
	kind_done(&u, "processes");
	if (!u.nr_all)
		strcpy(out, "in use, but the user cannot be seen from here");
	return out;
}

#define WAIT_TRIES 25
#define WAIT_NSEC  200000000L

int users_wait(const char *device, const char *num)
{
	const struct timespec ts = { 0, WAIT_NSEC };
	char text[USERS_TEXT] = "";
	struct users u = { .num = num, .out = text };
	struct dm_state st;
	int i;

	for (i = 0; i < WAIT_TRIES; i++) {
		if (dm_state_of(device, &st))
			return -1;
		if (!st.exists || !st.open_count)
			return 0;
		if (!i && find_lasting(&u))
			break;
		(void)nanosleep(&ts, NULL);
	}
	return err_say(ST_BUSY, "cannot remove the device %s: it is %s", device,
		       users_text(num, text));
}
