// SPDX-License-Identifier: GPL-2.0-only
/*
 * The load whose writes are recorded, in the guest.
 *
 *	load --steps N --seed N --out DIR [--tree <volume>:<dir>]...
 *	load --again --seed N
 *	load --plain --seed N
 *	load --verify DIR <expected
 *
 * Writers on stamped volumes and on files of mounted volumes, which sync often;
 * meanwhile snapshots are taken, written to and deleted.  A mark in the write
 * log (load.h) says what the pool has promised to be durable.  The content of a
 * snapshot is read when it was taken, and stored beside the log.
 *
 * With --again: the pool has been made anew.  With --plain: there is none, and
 * volume 1 is any device.  With --verify: does a directory
 * hold the files, each line being <file> <generation>, at least?
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define FILES		24u
#define MAX_FILE_BLOCKS 16u
#define MAX_TREES	8u
#define MAX_CLONES	2u

struct writer {
	unsigned int nr, volume;
	uint32_t first, sectors;
	int fd;
	atomic_bool stop;
	bool running;
	uint8_t *buf;
	_Atomic uint64_t issued, done;
	pthread_t thread;
};

struct tree {
	unsigned int volume;
	const char *dir;
	pthread_t thread;
	uint64_t gen[FILES];
};

static struct writer writers[MAX_WRITERS];
static unsigned int nr_writers;
static struct tree trees[MAX_TREES];
static unsigned int nr_trees;
static uint64_t seed = 1;
static unsigned int steps = 10;
static const char *out_dir;
static bool plain;
static atomic_bool stop_trees;
static int control;

static void __attribute__((format(printf, 1, 2), noreturn))
die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "load: ");
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(errno));
	_exit(2);
}

static void *aligned(size_t size)
{
	void *p;

	if (posix_memalign(&p, 4096, size))
		die("no memory");
	memset(p, 0, size);
	return p;
}

static void pause_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

/*----------------------------------------------------------------
 * Device mapper
 *--------------------------------------------------------------*/

/*
 * Device-mapper is called directly, as starting a program would take a second.
 */
struct request {
	struct dm_ioctl io;
	union {
		struct dm_target_msg msg;
		struct dm_target_spec spec;
	};
	char text[1024];
};

static void request_init(struct request *q, const char *device)
{
	memset(q, 0, sizeof(*q));
	q->io.version[0] = 4;
	q->io.data_size = sizeof(*q);
	q->io.data_start = offsetof(struct request, msg);
	snprintf(q->io.name, sizeof(q->io.name), "%s", device);
}

static int message(const char *device, const char *text)
{
	struct request q;

	request_init(&q, device);
	snprintf(q.msg.message, 1000, "%s", text);
	return ioctl(control, DM_TARGET_MSG, &q);
}

static void __attribute__((format(printf, 1, 2))) mark(const char *fmt, ...)
{
	char text[1000] = "mark ";
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + 5, sizeof(text) - 5, fmt, args);
	va_end(args);
	if (message("rec", text))
		die("%s", text);
}

static void __attribute__((format(printf, 1, 2))) pool(const char *fmt, ...)
{
	char text[200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (message("pool", text))
		die("%s", text);
}

static void __attribute__((format(printf, 1, 2))) run(const char *fmt, ...)
{
	char text[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (system(text))
		die("%s", text);
}

static void activate(unsigned int volume)
{
	struct request q;
	char name[20], path[40];

	snprintf(name, sizeof(name), "v%u", volume);
	request_init(&q, name);
	if (ioctl(control, DM_DEV_CREATE, &q))
		die("DM_DEV_CREATE %s", name);
	snprintf(path, sizeof(path), "/dev/mapper/%s", name);
	if (mknod(path, S_IFBLK | 0600, q.io.dev))
		die("%s", path);
	request_init(&q, name);
	q.io.target_count = 1;
	q.spec.length = VOL_SECTORS;
	strcpy(q.spec.target_type, "hpmapper");
	snprintf(q.text, sizeof(q.text), "/dev/mapper/pool %u", volume);
	if (ioctl(control, DM_TABLE_LOAD, &q))
		die("DM_TABLE_LOAD %s", name);
	request_init(&q, name);
	if (ioctl(control, DM_DEV_SUSPEND, &q))
		die("DM_DEV_SUSPEND %s", name);
}

static void deactivate(unsigned int volume)
{
	struct request q;
	char name[20], path[40];

	snprintf(name, sizeof(name), "v%u", volume);
	request_init(&q, name);
	if (ioctl(control, DM_DEV_REMOVE, &q))
		die("DM_DEV_REMOVE %s", name);
	snprintf(path, sizeof(path), "/dev/mapper/%s", name);
	unlink(path);
}

static int open_volume(unsigned int volume)
{
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/dev/mapper/v%u", volume);
	fd = open(path, O_RDWR | O_DIRECT);
	if (fd < 0)
		die("%s", path);
	return fd;
}

/*----------------------------------------------------------------
 * Writers on stamped volumes
 *--------------------------------------------------------------*/

static void put_stamps(struct writer *w, uint64_t k, const struct op *op)
{
	struct stamp *s;
	uint32_t i;

	for (i = 0; i < op->nr; i++) {
		s = (void *)(w->buf + i * SECTOR);
		s->magic = STAMP_MAGIC;
		s->writer = w->nr;
		s->op = k;
		s->sector = op->first + i;
	}
}

static void do_op(struct writer *w, uint64_t k, const struct op *op)
{
	uint64_t range[2] = { (uint64_t)op->first * SECTOR,
			      (uint64_t)op->nr * SECTOR };
	struct iovec iov = { w->buf, range[1] };
	ssize_t r;

	switch (op->kind) {
	case OP_DISCARD:
		/* A discard leaves zeroes only on a volume. */
		r = ioctl(w->fd, plain ? BLKZEROOUT : BLKDISCARD, range);
		break;
	case OP_ZERO:
		r = ioctl(w->fd, BLKZEROOUT, range);
		break;
	default:
		put_stamps(w, k, op);
		r = pwritev2(w->fd, &iov, 1, range[0],
			     op->kind == OP_DSYNC ? RWF_DSYNC : 0);
		if (r == (ssize_t)range[1])
			r = 0;
	}
	if (r)
		die("operation %u on volume %u", op->kind, w->volume);
}

static void *write_ops(void *arg)
{
	struct writer *w = arg;
	uint64_t k;

	for (k = 1; !atomic_load(&w->stop); k++) {
		struct op op = crash_op(seed, w->nr, k, w->first, w->sectors);

		atomic_store(&w->issued, k);
		do_op(w, k, &op);
		atomic_store(&w->done, k);
		if (op.sync && fdatasync(w->fd))
			die("fdatasync of volume %u", w->volume);
		if (op.sync || op.kind == OP_DSYNC)
			mark("S,%u,%llu", w->nr, (unsigned long long)k);
		/*
		 * Pauses, so that there are many different actions, but not
		 * many writes.
		 */
		if (!plain)
			pause_ms(8);
	}
	return NULL;
}

static void start_writers(unsigned int volume, unsigned int nr)
{
	struct writer *w;
	unsigned int i;

	for (i = 0; i < nr && nr_writers < MAX_WRITERS; i++) {
		w = &writers[nr_writers];
		w->nr = nr_writers++;
		w->volume = volume;
		w->sectors = VOL_SECTORS / nr;
		w->first = i * w->sectors;
		w->fd = open_volume(volume);
		w->buf = aligned(MAX_OP_SECTORS * SECTOR);
		mark("W,%u,%u,%u,%u", w->nr, volume, w->first, w->sectors);
		w->running = true;
		if (pthread_create(&w->thread, NULL, write_ops, w))
			die("pthread_create");
	}
}

static void stop_writers(unsigned int volume)
{
	unsigned int i;

	for (i = 0; i < nr_writers; i++)
		if (writers[i].running && writers[i].volume == volume)
			atomic_store(&writers[i].stop, true);
	for (i = 0; i < nr_writers; i++) {
		struct writer *w = &writers[i];

		if (!w->running || w->volume != volume)
			continue;
		pthread_join(w->thread, NULL);
		w->running = false;
		if (fdatasync(w->fd))
			die("fdatasync");
		mark("S,%u,%llu", w->nr,
		     (unsigned long long)atomic_load(&w->done));
		close(w->fd);
		free(w->buf);
	}
}

/*----------------------------------------------------------------
 * Snapshots
 *--------------------------------------------------------------*/

/*
 * Stores, for each sector of a volume, the operation that wrote it; 0: zeroes.
 */
static void keep_content(unsigned int volume)
{
	uint8_t *buf = aligned(VOL_SECTORS * SECTOR);
	uint64_t *ops = aligned(VOL_SECTORS * sizeof(*ops));
	int fd = open_volume(volume);
	const struct stamp *s;
	char path[300];
	uint32_t i;

	if (pread(fd, buf, VOL_SECTORS * SECTOR, 0) !=
	    (ssize_t)(VOL_SECTORS * SECTOR))
		die("cannot read volume %u", volume);
	close(fd);
	for (i = 0; i < VOL_SECTORS; i++) {
		s = (void *)(buf + i * SECTOR);
		if (s->magic == STAMP_MAGIC && s->sector == i)
			ops[i] = s->writer << 40 | s->op;
		else if (s->magic || s->op)
			ops[i] = ~0ull;
	}
	snprintf(path, sizeof(path), "%s/content-%u", out_dir, volume);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd < 0 || write(fd, ops, VOL_SECTORS * sizeof(*ops)) !=
			      (ssize_t)(VOL_SECTORS * sizeof(*ops)))
		die("%s", path);
	close(fd);
	free(ops);
	free(buf);
}

static void snapshot(unsigned int volume, unsigned int origin)
{
	uint64_t before[MAX_WRITERS] = { 0 };
	char text[900];
	unsigned int i;
	int n;

	mark("Q,%u,%u", volume, origin);
	for (i = 0; i < nr_writers; i++)
		before[i] = atomic_load(&writers[i].done);
	pool("create_snap %u %u", volume, origin);
	n = snprintf(text, sizeof(text), "N,%u,%u", volume, origin);
	for (i = 0; i < nr_writers; i++)
		if (writers[i].volume == origin)
			n += snprintf(text + n, sizeof(text) - n,
				      ",%u:%llu-%llu", i,
				      (unsigned long long)before[i],
				      (unsigned long long)atomic_load(
					      &writers[i].issued));
	mark("%s", text);
	activate(volume);
	keep_content(volume);
}

static void delete (unsigned int volume)
{
	stop_writers(volume);
	deactivate(volume);
	mark("D,%u", volume);
	pool("delete %u", volume);
	mark("d,%u", volume);
}

static void create(unsigned int volume)
{
	pool("create_thin %u", volume);
	mark("C,%u", volume);
	activate(volume);
}

/*----------------------------------------------------------------
 * Files
 *--------------------------------------------------------------*/

static unsigned int file_blocks(uint64_t file, uint64_t gen)
{
	return 1 + crash_mix(file << 32 | gen) % MAX_FILE_BLOCKS;
}

static void write_file(struct tree *t, unsigned int file, uint8_t *buf)
{
	uint64_t gen = ++t->gen[file];
	unsigned int i, nr = file_blocks(file, gen);
	ssize_t size = (ssize_t)nr * FILE_BLOCK;
	struct file_stamp *s;
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/f%u", t->dir, file);
	fd = open(path, O_RDWR | O_CREAT, 0666);
	if (fd < 0)
		die("%s", path);
	for (i = 0; i < nr; i++) {
		s = (void *)(buf + i * FILE_BLOCK);
		*s = (struct file_stamp){ FILE_MAGIC, file, gen, i };
	}
	if (pwrite(fd, buf, size, 0) != size || fsync(fd))
		die("%s", path);
	mark("F,%u,%u,%llu", (unsigned int)(t - trees), file,
	     (unsigned long long)gen);
	close(fd);
}

/* Actions that change the file system's own metadata. */
static void churn(struct tree *t, uint64_t *state)
{
	unsigned int nr = crash_rnd(state, 16);
	char from[300], to[300];
	int fd;

	snprintf(from, sizeof(from), "%s/t%u", t->dir, nr);
	snprintf(to, sizeof(to), "%s/u%u", t->dir, nr);
	fd = open(from, O_RDWR | O_CREAT | O_TRUNC, 0666);
	if (fd < 0 || ftruncate(fd, crash_rnd(state, 100000)) ||
	    pwrite(fd, from, sizeof(from), crash_rnd(state, 50000)) < 0)
		die("%s", from);
	close(fd);
	if (nr & 1 ? rename(from, to) : unlink(from))
		die("%s", from);
}

static void trim(struct tree *t)
{
	struct fstrim_range range = { .len = ~0ull };
	int fd = open(t->dir, O_RDONLY | O_DIRECTORY);

	if (fd < 0 || ioctl(fd, FITRIM, &range))
		die("FITRIM %s", t->dir);
	close(fd);
}

static void *write_files(void *arg)
{
	struct tree *t = arg;
	uint8_t *buf = aligned(MAX_FILE_BLOCKS * FILE_BLOCK);
	uint64_t state = seed + t->volume;

	while (!atomic_load(&stop_trees)) {
		write_file(t, crash_rnd(&state, FILES), buf);
		if (!crash_rnd(&state, 3))
			churn(t, &state);
		if (!crash_rnd(&state, 100))
			trim(t);
		pause_ms(25);
	}
	free(buf);
	return NULL;
}

static void start_tree(unsigned int volume, const char *dir)
{
	struct tree *t = &trees[nr_trees];

	t->volume = volume;
	t->dir = dir;
	mark("M,%u,%u", nr_trees, volume);
	nr_trees++;
	if (pthread_create(&t->thread, NULL, write_files, t))
		die("pthread_create");
}

static void stop_all_trees(void)
{
	unsigned int i;

	atomic_store(&stop_trees, true);
	for (i = 0; i < nr_trees; i++)
		pthread_join(trees[i].thread, NULL);
}

/*
 * Makes a clone of a file system; both share blocks, and both are written to.
 */
static void clone_tree(unsigned int nr, const char *type, unsigned int volume)
{
	char *dir = NULL;

	mark("Q,%u,%u", volume, trees[nr].volume);
	pool("create_snap %u %u", volume, trees[nr].volume);
	mark("N,%u,%u", volume, trees[nr].volume);
	if (asprintf(&dir, "%s-clone", trees[nr].dir) < 0)
		die("no memory");
	run("dmsetup create v%u --table \"0 $(blockdev --getsz /dev/mapper/v%u) hpmapper /dev/mapper/pool %u\"",
	    volume, trees[nr].volume, volume);
	run("mkdir -p %s && mount -t %s%s /dev/mapper/v%u %s", dir, type,
	    strcmp(type, "xfs") ? "" : " -o nouuid", volume, dir);
	start_tree(volume, dir);
}

static int verify_file(const char *dir, unsigned int file, uint64_t gen)
{
	unsigned int i, nr = file_blocks(file, gen);
	struct file_stamp s;
	char path[300];
	int fd, bad = 0;

	snprintf(path, sizeof(path), "%s/f%u", dir, file);
	fd = open(path, O_RDONLY);
	if (fd < 0) {
		printf("%s is not there\n", path);
		return 1;
	}
	for (i = 0; i < nr && !bad; i++) {
		if (pread(fd, &s, sizeof(s), (off_t)i * FILE_BLOCK) !=
			    sizeof(s) ||
		    s.magic != FILE_MAGIC || s.file != file || s.block != i ||
		    s.gen < gen) {
			printf("%s block %u: generation %llu, not %llu\n", path,
			       i, (unsigned long long)s.gen,
			       (unsigned long long)gen);
			bad = 1;
		}
	}
	close(fd);
	return bad;
}

static int verify(const char *dir)
{
	unsigned long long gen;
	unsigned int file, nr = 0;
	int bad = 0;

	while (scanf("%u %llu", &file, &gen) == 2) {
		bad += verify_file(dir, file, gen);
		nr++;
	}
	printf("%u files, %d of them wrong\n", nr, bad);
	return bad ? 1 : 0;
}

/*----------------------------------------------------------------
 * The course of it
 *--------------------------------------------------------------*/

/* Makes, writes and deletes snapshots, and sometimes does something larger. */
static void control_loop(void)
{
	unsigned int next = 10, oldest = 10, step;
	uint64_t state = seed;

	for (step = 1; step <= steps; step++) {
		pause_ms(50 + crash_rnd(&state, 100));
		snapshot(next, crash_rnd(&state, 2) && next > oldest ?
				       next - 1 :
				       1 + crash_rnd(&state, 2));
		if (crash_rnd(&state, 2))
			start_writers(next, 1);
		next++;
		if (next - oldest > MAX_CLONES)
			delete (oldest++);
		if (step % 2 == 0)
			pool("defrag %s", step % 4 ? "start" : "stop");
		if (step == steps / 2) {
			mark("P,grow");
			run("crash-grow");
		}
	}
	while (oldest < next)
		stop_writers(oldest++);
}

static void first_pool(char **tree, unsigned int nr)
{
	unsigned int i;

	mark("P,begin");
	create(1);
	create(2);
	start_writers(1, 4);
	start_writers(2, 2);
	for (i = 0; i < nr; i++) {
		char *type = strtok(tree[i], ":"), *volume = strtok(NULL, ":");

		start_tree(atoi(volume), strtok(NULL, ":"));
		pause_ms(300);
		clone_tree(nr_trees - 1, type, atoi(volume) + 1);
	}
	control_loop();
	stop_all_trees();
	stop_writers(1);
	stop_writers(2);
	mark("P,end");
}

/* Makes a new pool; none of the old pool's volumes may come back. */
static void second_pool(void)
{
	nr_writers = MAX_WRITERS - 4;
	create(900);
	start_writers(900, 4);
	pause_ms(1500);
	stop_writers(900);
	mark("P,end");
}

static void no_pool(void)
{
	mark("P,begin");
	mark("C,1");
	start_writers(1, 8);
	pause_ms(10000);
	stop_writers(1);
	mark("P,end");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "steps", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },
		{ "out", required_argument, NULL, 'o' },
		{ "tree", required_argument, NULL, 't' },
		{ "verify", required_argument, NULL, 'v' },
		{ "mark", required_argument, NULL, 'm' },
		{ "again", no_argument, NULL, 'a' },
		{ "plain", no_argument, NULL, 'p' },
		{}
	};
	unsigned int nr = 0;
	char *tree[MAX_TREES / 2];
	bool again = false;
	int c;

	control = open("/dev/mapper/control", O_RDWR);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			steps = atoi(optarg);
			break;
		case 'r':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			out_dir = optarg;
			break;
		case 't':
			tree[nr++ % (MAX_TREES / 2)] = optarg;
			break;
		case 'v':
			return verify(optarg);
		case 'm':
			mark("%s", optarg);
			return 0;
		case 'a':
			again = true;
			break;
		case 'p':
			plain = true;
			break;
		default:
			return 2;
		}
	}
	if (plain)
		no_pool();
	else if (again)
		second_pool();
	else
		first_pool(tree, nr);
	return 0;
}
