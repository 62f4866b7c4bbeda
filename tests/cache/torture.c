// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clones of one image change what the others have cached, and every byte that
 * is read is compared with its expected value.
 *
 *	torture [-t SECONDS] [-v VOLUMES] [-r READERS] [-f FILES] [-x FS]
 *		[-S SIZE IN SECTORS] [-s SEED] POOL
 *
 * Volume 0 of the pool is the image, filled by "sharefiles fill DIR FILES 1".
 * Each of the clones has one thread, which alone works on it and has a model of
 * its files in memory.  READERS of them only read, drop the cache and mount
 * again.  The others also change their files so that cached pages differ from
 * the blocks that they were read from: they write in all possible ways,
 * truncate, punch, shift, move extents and replace files.  The races are
 * between volumes: one reads a block from a page that another volume's thread
 * is changing.  From time to time a clone is replaced by a new one, since
 * blocks that it has changed are its own and no longer shared.
 *
 * Status 3: a wrong byte was read.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "content.h"
#include "move-extent.h"

#define MAX_GROWN (384 << 10)
#define MAX_FILES 256
#define BLOCK	  4096

/* The expected content of a file. */
struct model {
	unsigned char *bytes;
	size_t size;
	unsigned int mode;
};

struct volume {
	pthread_t thread;
	unsigned int id;
	bool reader;
	unsigned int seed;
	char dir[64];
	struct model file[MAX_FILES];
	unsigned char *buf; /* aligned, MAX_GROWN */
};

static const char *pool, *fs = "ext4";
static unsigned int nr_files = 40, seconds = 20, nr_volumes = 6, nr_readers = 3;
static unsigned int base_seed = 1;
static unsigned long volume_sectors = 2097152;
static time_t end;
static atomic_bool stop;
static atomic_ulong checked, changed, remounts, reclones;

static unsigned int rnd(struct volume *v, unsigned int below)
{
	return rand_r(&v->seed) % below;
}

/*
 * Volumes
 */

static void run(const char *what, struct volume *v)
{
	char command[256];

	snprintf(command, sizeof(command), what, v->id);
	if (system(command))
		errx(1, "%s", command);
}

static void mount_volume(struct volume *v)
{
	const char *options = strcmp(fs, "xfs") ? "" : "nouuid";
	char dev[64];

	snprintf(dev, sizeof(dev), "/dev/mapper/t%u", v->id);
	if (mount(dev, v->dir, fs, MS_NOATIME, options))
		err(1, "mount %s", dev);
}

static void umount_volume(struct volume *v)
{
	unsigned int tries;

	/* A child between fork() and exec() has our open files for a moment. */
	for (tries = 0; umount2(v->dir, 0); tries++) {
		if (errno != EBUSY || tries == 500)
			err(1, "umount %s", v->dir);
		usleep(10000);
	}
}

/* Resets the model to the image's content. */
static void forget(struct volume *v)
{
	struct model *m;
	size_t i, word;
	unsigned int f;

	for (f = 0; f < nr_files; f++) {
		m = &v->file[f];
		memset(m->bytes, 0, m->size);
		m->size = size_of(f, 1);
		m->mode = 0644;
		for (i = 0; i < m->size; i += 8) {
			word = word_of(f, 1, i / 8);
			memcpy(m->bytes + i, &word,
			       m->size - i < 8 ? m->size - i : 8);
		}
	}
}

static void activate(struct volume *v)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "dmsetup message %s 0 'create_snap %u 0'", pool, v->id);
	run(command, v);
	snprintf(
		command, sizeof(command),
		"dmsetup create t%u --table '0 %lu hpmapper /dev/mapper/%s %u'",
		v->id, volume_sectors, pool, v->id);
	run(command, v);
	mount_volume(v);
	forget(v);
}

static void deactivate(struct volume *v)
{
	char command[256];

	umount_volume(v);
	run("dmsetup remove --retry t%u", v);
	snprintf(command, sizeof(command), "dmsetup message %s 0 'delete %u'",
		 pool, v->id);
	run(command, v);
}

/*
 * Reading
 */

static int open_file(struct volume *v, unsigned int f, int flags)
{
	char path[4096];
	int fd;

	path_of(path, v->dir, f);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void compare(struct volume *v, unsigned int f, const unsigned char *p,
		    size_t from, size_t nr, const char *how)
{
	const struct model *m = &v->file[f];
	size_t i;

	atomic_fetch_add(&checked, nr);
	if (!memcmp(p, m->bytes + from, nr))
		return;
	for (i = 0; p[i] == m->bytes[from + i]; i++)
		;
	atomic_store(&stop, true);
	errx(3,
	     "volume %u file %u: byte %zu of %zu is %02x and must be %02x (%s)",
	     v->id, f, from + i, m->size, p[i], m->bytes[from + i], how);
}

static void check_size(struct volume *v, unsigned int f, int fd)
{
	const struct model *m = &v->file[f];
	struct stat st;

	if (fstat(fd, &st))
		err(1, "stat");
	if ((size_t)st.st_size != m->size || (st.st_mode & 0777) != m->mode) {
		atomic_store(&stop, true);
		errx(3, "volume %u file %u: size %zu mode %o, must be %zu %o",
		     v->id, f, (size_t)st.st_size, st.st_mode & 0777, m->size,
		     m->mode);
	}
}

static void check_read(struct volume *v, unsigned int f, int flags)
{
	const struct model *m = &v->file[f];
	int fd = open_file(v, f, O_RDONLY | flags);
	size_t done = 0;
	ssize_t r;

	check_size(v, f, fd);
	while (done < m->size) {
		r = read(fd, v->buf + done, MAX_GROWN - done);
		if (r <= 0)
			err(1, "volume %u file %u: read at %zu gives %zd",
			    v->id, f, done, r);
		done += r;
	}
	compare(v, f, v->buf, 0, m->size, flags ? "direct" : "read");
	close(fd);
}

static void check_map(struct volume *v, unsigned int f)
{
	const struct model *m = &v->file[f];
	int fd = open_file(v, f, O_RDONLY);
	void *p;

	check_size(v, f, fd);
	if (m->size) {
		p = mmap(NULL, m->size, PROT_READ, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			err(1, "mmap");
		compare(v, f, p, 0, m->size, "mapped");
		munmap(p, m->size);
	}
	close(fd);
}

static void check_some(struct volume *v, unsigned int f)
{
	const struct model *m = &v->file[f];
	size_t from, nr;
	int fd;

	if (!m->size)
		return;
	from = rnd(v, m->size);
	nr = 1 + rnd(v, m->size - from);
	fd = open_file(v, f, O_RDONLY);
	if (pread(fd, v->buf, nr, from) != (ssize_t)nr)
		err(1, "volume %u file %u: pread", v->id, f);
	compare(v, f, v->buf, from, nr, "part");
	close(fd);
}

static void check(struct volume *v, unsigned int f)
{
	switch (rnd(v, 4)) {
	case 0:
		check_read(v, f, 0);
		break;
	case 1:
		check_read(v, f, O_DIRECT);
		break;
	case 2:
		check_map(v, f);
		break;
	case 3:
		check_some(v, f);
		break;
	}
}

/*
 * Changing
 */

static void set_size(struct model *m, size_t size)
{
	if (size < m->size)
		memset(m->bytes + size, 0, m->size - size);
	m->size = size;
}

static void scribble(struct volume *v, unsigned char *p, size_t nr)
{
	unsigned char c = rnd(v, 256);
	size_t i;

	for (i = 0; i < nr; i++)
		p[i] = c + i / 7;
}

static void do_write(struct volume *v, struct model *m, int fd)
{
	size_t at = rnd(v, m->size + 1), nr = 1 + rnd(v, 20000);

	if (at + nr > MAX_GROWN)
		return;
	if (at + nr > m->size)
		m->size = at + nr;
	scribble(v, m->bytes + at, nr);
	if (pwrite(fd, m->bytes + at, nr, at) != (ssize_t)nr)
		err(1, "write");
}

static void do_write_direct(struct volume *v, struct model *m, unsigned int f)
{
	size_t blocks = m->size / BLOCK, at, nr;
	int fd;

	if (!blocks)
		return;
	at = rnd(v, blocks);
	nr = 1 + rnd(v, blocks - at);
	scribble(v, m->bytes + at * BLOCK, nr * BLOCK);
	memcpy(v->buf, m->bytes + at * BLOCK, nr * BLOCK);
	fd = open_file(v, f, O_WRONLY | O_DIRECT);
	if (pwrite(fd, v->buf, nr * BLOCK, at * BLOCK) != (ssize_t)(nr * BLOCK))
		err(1, "direct write");
	close(fd);
}

static void do_write_mapped(struct volume *v, struct model *m, int fd)
{
	size_t at, nr;
	void *p;

	if (!m->size)
		return;
	at = rnd(v, m->size);
	nr = 1 + rnd(v, m->size - at);
	p = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		err(1, "mmap");
	scribble(v, m->bytes + at, nr);
	memcpy((char *)p + at, m->bytes + at, nr);
	if (rnd(v, 2) && msync(p, m->size, MS_SYNC))
		err(1, "msync");
	munmap(p, m->size);
}

static void do_truncate(struct volume *v, struct model *m, int fd)
{
	size_t size = rnd(v, rnd(v, 4) ? m->size + 1 : MAX_GROWN);

	set_size(m, size);
	if (ftruncate(fd, size))
		err(1, "truncate");
}

static void do_zero(struct volume *v, struct model *m, int fd, int how)
{
	size_t at, nr;

	if (!m->size)
		return;
	at = rnd(v, m->size);
	nr = 1 + rnd(v, m->size - at);
	memset(m->bytes + at, 0, nr);
	if (fallocate(fd, how | FALLOC_FL_KEEP_SIZE, at, nr))
		err(1, "fallocate %d", how);
}

static void do_collapse(struct volume *v, struct model *m, int fd)
{
	size_t blocks = m->size / BLOCK, at, nr;

	if (blocks < 2)
		return;
	at = rnd(v, blocks - 1);
	nr = 1 + rnd(v, blocks - 1 - at);
	if ((at + nr) * BLOCK >= m->size)
		return;
	memmove(m->bytes + at * BLOCK, m->bytes + (at + nr) * BLOCK,
		m->size - (at + nr) * BLOCK);
	set_size(m, m->size - nr * BLOCK);
	if (fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, at * BLOCK, nr * BLOCK))
		err(1, "collapse");
}

static void do_insert(struct volume *v, struct model *m, int fd)
{
	size_t blocks = m->size / BLOCK, at, nr = 1 + rnd(v, 8);

	if (!blocks || m->size + nr * BLOCK > MAX_GROWN)
		return;
	at = rnd(v, blocks);
	memmove(m->bytes + (at + nr) * BLOCK, m->bytes + at * BLOCK,
		m->size - at * BLOCK);
	memset(m->bytes + at * BLOCK, 0, nr * BLOCK);
	m->size += nr * BLOCK;
	if (fallocate(fd, FALLOC_FL_INSERT_RANGE, at * BLOCK, nr * BLOCK))
		err(1, "insert");
}

/* Gives the file other blocks, while its pages do not change. */
static void do_move(struct volume *v, struct model *m, int fd)
{
	struct move_extent move = { 0 };
	char path[128];
	int donor;

	move.len = m->size / BLOCK;
	if (!move.len)
		return;
	snprintf(path, sizeof(path), "%s/donor", v->dir);
	donor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (donor < 0 || fallocate(donor, 0, 0, move.len * BLOCK))
		err(1, "%s", path);
	move.donor_fd = donor;
	/* A file with holes is moved up to the first hole. */
	if (ioctl(fd, EXT4_IOC_MOVE_EXT, &move) && errno != ENODATA &&
	    errno != EINVAL && errno != EBUSY)
		err(1, "EXT4_IOC_MOVE_EXT");
	close(donor);
	unlink(path);
}

/* Makes two files of one volume share their blocks. */
static void do_clone(struct volume *v, struct model *m, int fd)
{
	unsigned int to = rnd(v, nr_files);
	struct model *other = &v->file[to];
	int fd_to;

	if (other == m)
		return;
	fd_to = open_file(v, to, O_WRONLY);
	if (ftruncate(fd_to, 0) || ioctl(fd_to, FICLONE, fd))
		err(1, "FICLONE");
	close(fd_to);
	set_size(other, 0);
	memcpy(other->bytes, m->bytes, m->size);
	other->size = m->size;
}

/* Makes another inode, perhaps in the place of the old one. */
static void do_replace(struct volume *v, struct model *m, unsigned int f)
{
	char path[4096], new[128];
	int fd;

	path_of(path, v->dir, f);
	if (rnd(v, 2)) {
		if (unlink(path))
			err(1, "%s", path);
		strcpy(new, path);
	} else {
		snprintf(new, sizeof(new), "%s/new", v->dir);
	}
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, m->mode))
		err(1, "%s", new);
	scribble(v, m->bytes, m->size);
	if (write(fd, m->bytes, m->size) != (ssize_t)m->size)
		err(1, "%s", new);
	if (rnd(v, 2) && fsync(fd))
		err(1, "%s", new);
	close(fd);
	if (strcmp(new, path) && rename(new, path))
		err(1, "%s", path);
}

static void change(struct volume *v, unsigned int f)
{
	struct model *m = &v->file[f];
	int fd = open_file(v, f, O_RDWR);

	switch (rnd(v, 12)) {
	case 0:
		do_write(v, m, fd);
		break;
	case 1:
		do_write_direct(v, m, f);
		break;
	case 2:
		do_write_mapped(v, m, fd);
		break;
	case 3:
	case 4:
		do_truncate(v, m, fd);
		break;
	case 5:
		do_zero(v, m, fd, FALLOC_FL_PUNCH_HOLE);
		break;
	case 6:
		do_zero(v, m, fd, FALLOC_FL_ZERO_RANGE);
		break;
	case 7:
		do_collapse(v, m, fd);
		break;
	case 8:
		do_insert(v, m, fd);
		break;
	case 9:
		if (strcmp(fs, "xfs"))
			do_move(v, m, fd);
		else
			do_clone(v, m, fd);
		break;
	case 10:
		do_replace(v, m, f);
		break;
	case 11:
		m->mode = 0600 + rnd(v, 0200);
		if (fchmod(fd, m->mode))
			err(1, "chmod");
		break;
	}
	/* A clean page that differs from the block is the hardest case. */
	if (rnd(v, 2))
		fsync(fd);
	close(fd);
	atomic_fetch_add(&changed, 1);
}

/*
 * Threads
 */

static void drop_file(struct volume *v, unsigned int f)
{
	int fd = open_file(v, f, O_RDONLY);

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

static void drop_caches(char how)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0 || write(fd, &how, 1) != 1)
		err(1, "drop_caches");
	close(fd);
}

static void work(struct volume *v)
{
	unsigned int f = rnd(v, nr_files), what = rnd(v, 1000);

	if (what < 4) {
		umount_volume(v);
		mount_volume(v);
		atomic_fetch_add(&remounts, 1);
	} else if (what < 7) {
		deactivate(v);
		activate(v);
		atomic_fetch_add(&reclones, 1);
	} else if (what < 10) {
		drop_caches('1' + rnd(v, 3));
	} else if (what < 250) {
		drop_file(v, f);
		check(v, f);
	} else if (what < 600 && !v->reader) {
		change(v, f);
	} else {
		check(v, f);
	}
}

static void *volume_main(void *arg)
{
	struct volume *v = arg;
	unsigned int f;

	while (!atomic_load(&stop) && time(NULL) < end)
		work(v);
	umount_volume(v);
	mount_volume(v);
	for (f = 0; f < nr_files; f++)
		check(v, f);
	return NULL;
}

static void make_volume(struct volume *v, unsigned int i)
{
	unsigned int f;

	v->id = i + 1;
	v->reader = i < nr_readers;
	v->seed = base_seed * 1000 + i;
	snprintf(v->dir, sizeof(v->dir), "/mnt/t%u", v->id);
	if (mkdir(v->dir, 0755) && errno != EEXIST)
		err(1, "%s", v->dir);
	for (f = 0; f < nr_files; f++)
		v->file[f].bytes = calloc(1, MAX_GROWN);
	if (posix_memalign((void **)&v->buf, BLOCK, MAX_GROWN))
		errx(1, "no memory");
	activate(v);
}

static int parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "t:v:r:f:x:S:s:")) != -1) {
		switch (c) {
		case 't':
			seconds = atoi(optarg);
			break;
		case 'v':
			nr_volumes = atoi(optarg);
			break;
		case 'r':
			nr_readers = atoi(optarg);
			break;
		case 'f':
			nr_files = atoi(optarg);
			break;
		case 'x':
			fs = optarg;
			break;
		case 'S':
			volume_sectors = atol(optarg);
			break;
		case 's':
			base_seed = atoi(optarg);
			break;
		default:
			return -1;
		}
	}
	pool = argv[optind];
	return argc - optind == 1 && nr_files && nr_files <= MAX_FILES ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct volume *v;
	unsigned int i;

	if (parse(argc, argv))
		errx(2,
		     "usage: torture [-t SECONDS] [-v VOLUMES] [-r READERS] [-f FILES] [-x FS] [-S SECTORS] [-s SEED] POOL");
	v = calloc(nr_volumes, sizeof(*v));
	for (i = 0; i < nr_volumes; i++)
		make_volume(&v[i], i);
	end = time(NULL) + seconds;
	for (i = 0; i < nr_volumes; i++)
		if (pthread_create(&v[i].thread, NULL, volume_main, &v[i]))
			errx(1, "no thread");
	for (i = 0; i < nr_volumes; i++)
		pthread_join(v[i].thread, NULL);
	printf("checked %lu changed %lu remounts %lu reclones %lu\n", checked,
	       changed, remounts, reclones);
	return atomic_load(&stop) ? 3 : 0;
}
