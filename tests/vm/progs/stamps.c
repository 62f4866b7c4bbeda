// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes stamps to a volume from several threads while it takes snapshots of
 * it, and checks that each snapshot has the content of one instant.
 *
 *	stamps --device D --size BYTES [--pool NAME --origin ID --first ID
 *	       --snapshots N] [...]
 *
 * There is one clock, which every submission and every completion advances.  A
 * sector holds the time when its write was submitted, so the content of a
 * snapshot tells which writes are in it.  It is right if
 *
 *  - every write that was acknowledged before the message was sent is in it,
 *  - no write that was submitted after the message had returned is in it,
 *  - and if a write is in it, so is every write that was acknowledged before
 *    that one was submitted.
 *
 * A write is "in" a snapshot if the sector has it or a later one.  Discards and
 * zeroings count as writes of nothing (discards only if units are whole blocks,
 * as partial blocks at their ends may stay).  A sector belongs to one thread,
 * so that its writes have an order; with --unit 1 the sectors of a block belong
 * to different threads.
 *
 * At the end, after --seconds or on SIGTERM, the volume must hold the last
 * write of every sector, and every snapshot its first content.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define DM_SIZE 4096
#include "dm.h"

#define SECTOR	     512
#define WORDS	     (SECTOR / 8)
#define BLOCK	     8 /* sectors */
#define MAX_EVENTS   (1u << 20)
#define MAX_THREADS  32
#define READ_SECTORS 2048

static const char *device, *pool;
static uint64_t sectors, skip; /* of the device, from sector skip on */
static unsigned int nr_threads = 4, seconds = 5, unit = 64, max_write = 64;
static unsigned int nr_snaps, origin, first_id = 1000, seed = 1, pause_ms = 100;
static unsigned int discards, zeroes, reads = 10, syncs = 1; /* per cent */
static unsigned int whole_only;
static bool keep;

static _Atomic uint64_t clock_now = 1;
static atomic_bool stop;
static sigset_t enough;
static atomic_uint errors;
static uint64_t run_id;

struct event {
	uint64_t start;
	_Atomic uint64_t end; /* 0: not acknowledged yet */
	uint32_t sector, nr;
	bool erase;
};

struct thread {
	pthread_t id;
	unsigned int nr;
	int fd;
	uint64_t rnd;
	struct event *log;
	atomic_uint events;
	uint64_t *buf;
} threads[MAX_THREADS];

/* The content of each sector, as the thread that owns it knows it. */
static uint64_t *current;

static void __attribute__((format(printf, 1, 2))) complain(const char *fmt, ...)
{
	va_list args;

	if (atomic_fetch_add(&errors, 1) > 20)
		return;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf(": %s\n", strerror(errno));
	exit(2);
}

static uint64_t tick(void)
{
	return atomic_fetch_add(&clock_now, 1) + 1;
}

static uint64_t rnd(struct thread *t)
{
	t->rnd ^= t->rnd << 13;
	t->rnd ^= t->rnd >> 7;
	t->rnd ^= t->rnd << 17;
	return t->rnd;
}

static bool chance(struct thread *t, unsigned int percent)
{
	return rnd(t) % 100 < percent;
}

/*----------------------------------------------------------------
 * Sectors
 *--------------------------------------------------------------*/

static uint64_t word(uint64_t start, uint64_t sector, unsigned int i)
{
	return (start + i) * 0x9e3779b97f4a7c15u ^ (sector << 20) ^ run_id;
}

static void put_sector(uint64_t *p, uint64_t start, uint64_t sector)
{
	p[0] = start;
	for (unsigned int i = 1; i < WORDS; i++)
		p[i] = word(start, sector, i);
}

/* False: the sector has neither a stamp of ours for this place, nor zeroes. */
static bool get_sector(const uint64_t *p, uint64_t sector, uint64_t *start)
{
	*start = p[0];
	for (unsigned int i = 1; i < WORDS; i++)
		if (p[i] != (p[0] ? word(p[0], sector, i) : 0))
			return false;
	return true;
}

static void *sector_buf(unsigned int nr)
{
	void *buf;

	if (posix_memalign(&buf, 4096, nr * SECTOR))
		die("no memory");
	return buf;
}

static void read_all(const char *path, uint64_t *seen)
{
	uint64_t *buf = sector_buf(READ_SECTORS), s;
	int fd = open(path, O_RDONLY | O_DIRECT);

	if (fd < 0)
		die("%s", path);
	for (s = 0; s < sectors; s += READ_SECTORS) {
		unsigned int nr = READ_SECTORS, i;

		if (nr > sectors - s)
			nr = sectors - s;
		if (pread(fd, buf, nr * SECTOR, (skip + s) * SECTOR) !=
		    nr * SECTOR)
			die("%s: reading sector %lu", path, skip + s);
		for (i = 0; i < nr; i++)
			if (!get_sector(buf + i * WORDS, s + i, &seen[s + i]))
				complain(
					"%s: sector %lu holds something foreign or torn: %016lx %016lx",
					path, s + i, buf[i * WORDS],
					buf[i * WORDS + 1]);
	}
	close(fd);
	free(buf);
}

/*----------------------------------------------------------------
 * The writers
 *--------------------------------------------------------------*/

static struct event *begin(struct thread *t, uint64_t sector, unsigned int nr,
			   bool erase)
{
	unsigned int n = atomic_load(&t->events);
	struct event *e = &t->log[n];

	e->start = tick();
	e->sector = sector;
	e->nr = nr;
	e->erase = erase;
	atomic_store(&t->events, n + 1);
	return e;
}

static void end(struct event *e)
{
	for (unsigned int i = 0; i < e->nr; i++)
		current[e->sector + i] = e->erase ? 0 : e->start;
	atomic_store(&e->end, tick());
}

static void do_write(struct thread *t, uint64_t sector, unsigned int nr)
{
	struct event *e = begin(t, sector, nr, false);

	for (unsigned int i = 0; i < nr; i++)
		put_sector(t->buf + i * WORDS, e->start, sector + i);
	if (pwrite(t->fd, t->buf, nr * SECTOR, (skip + sector) * SECTOR) !=
	    nr * SECTOR)
		die("%s: writing %u sectors at %lu", device, nr, sector);
	end(e);
}

/* Zeroes a range, by a hole if possible. */
static int zero(struct thread *t, uint64_t *range)
{
	if (chance(t, 50) &&
	    !fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		       range[0], range[1]))
		return 0;
	return ioctl(t->fd, BLKZEROOUT, range);
}

static void do_erase(struct thread *t, uint64_t sector, unsigned int nr,
		     bool discard)
{
	uint64_t range[2] = { (skip + sector) * SECTOR, nr * SECTOR };
	struct event *e = begin(t, sector, nr, true);
	int r;

	if (discard)
		r = ioctl(t->fd, BLKDISCARD, range);
	else
		r = zero(t, range);
	if (r)
		die("%s: %s %u sectors at %lu", device,
		    discard ? "discarding" : "zeroing", nr, sector);
	end(e);
}

static void do_read(struct thread *t, uint64_t sector, unsigned int nr)
{
	uint64_t start;

	if (pread(t->fd, t->buf, nr * SECTOR, (skip + sector) * SECTOR) !=
	    nr * SECTOR)
		die("%s: reading %u sectors at %lu", device, nr, sector);
	for (unsigned int i = 0; i < nr; i++)
		if (!get_sector(t->buf + i * WORDS, sector + i, &start) ||
		    start != current[sector + i])
			complain("%s: sector %lu: read %lu (%s), written %lu",
				 device, sector + i, start,
				 start == t->buf[i * WORDS] ? "stamp" : "other",
				 current[sector + i]);
}

/* Chooses a range inside one unit of the thread; *from and *nr in sectors. */
static void pick(struct thread *t, uint64_t *from, unsigned int *nr, bool whole)
{
	uint64_t units = sectors / unit / nr_threads;
	uint64_t first = (rnd(t) % units * nr_threads + t->nr) * unit;
	unsigned int max = max_write < unit ? max_write : unit, off;

	whole |= whole_only;
	*nr = 1 + rnd(t) % max;
	/* mostly whole blocks, as most writers have them */
	if (whole || chance(t, 70))
		*nr = (*nr + BLOCK - 1) / BLOCK * BLOCK;
	if (*nr > unit)
		*nr = unit;
	off = rnd(t) % (unit - *nr + 1);
	if (whole || chance(t, 70))
		off = off / BLOCK * BLOCK;
	*from = first + off;
}

static void *write_on(void *arg)
{
	struct thread *t = arg;
	uint64_t from;
	unsigned int nr;

	while (!atomic_load(&stop) && atomic_load(&t->events) < MAX_EVENTS) {
		if (unit % BLOCK == 0 && chance(t, discards)) {
			pick(t, &from, &nr, true);
			do_erase(t, from, nr, true);
		} else if (chance(t, zeroes)) {
			pick(t, &from, &nr, false);
			do_erase(t, from, nr, false);
		} else if (chance(t, reads)) {
			pick(t, &from, &nr, false);
			do_read(t, from, nr);
		} else {
			pick(t, &from, &nr, false);
			do_write(t, from, nr);
		}
		if (chance(t, syncs) && fdatasync(t->fd))
			die("%s: fdatasync", device);
	}
	return NULL;
}

static void start_threads(void)
{
	for (unsigned int i = 0; i < nr_threads; i++) {
		struct thread *t = &threads[i];

		t->nr = i;
		t->rnd = (seed * 1000003ull + i + 1) * 0x9e3779b97f4a7c15u;
		t->fd = open(device, O_RDWR | O_DIRECT);
		if (t->fd < 0)
			die("%s", device);
		t->log = calloc(MAX_EVENTS, sizeof(*t->log));
		if (!t->log)
			die("no memory");
		t->buf = sector_buf(unit);
		if (pthread_create(&t->id, NULL, write_on, t))
			die("no thread");
	}
}

/* The volume is empty at first: holes or zeroes, by the seed. */
static void clear(void)
{
	uint64_t range[2] = { skip * SECTOR, sectors * SECTOR };
	int fd = open(device, O_RDWR | O_DIRECT);

	if (fd < 0)
		die("%s", device);
	if ((seed & 1 && sectors % BLOCK == 0 &&
	     !ioctl(fd, BLKDISCARD, range)) ||
	    !ioctl(fd, BLKZEROOUT, range))
		close(fd);
	else
		die("%s: clearing", device);
}

/*----------------------------------------------------------------
 * Is it an instant?
 *--------------------------------------------------------------*/

/*
 * Finds the latest write and the latest erasure of each sector that ended
 * before @until.
 */
static void demand(uint64_t until, uint64_t after, uint64_t *wanted,
		   uint64_t *erased)
{
	memset(wanted, 0, sectors * sizeof(*wanted));
	memset(erased, 0, sectors * sizeof(*erased));
	for (unsigned int i = 0; i < nr_threads; i++) {
		unsigned int n = atomic_load(&threads[i].events);

		for (unsigned int j = 0; j < n; j++) {
			struct event *e = &threads[i].log[j];
			uint64_t over = atomic_load(&e->end);
			bool in = over && over <= until;

			if (e->start > after)
				break;
			for (unsigned int k = 0; k < e->nr; k++) {
				if (in)
					wanted[e->sector + k] = e->start;
				if (e->erase)
					erased[e->sector + k] = e->start;
			}
		}
	}
}

static void verify(const char *what, const uint64_t *seen, uint64_t before,
		   uint64_t after)
{
	uint64_t *wanted = calloc(sectors, sizeof(*wanted));
	uint64_t *erased = calloc(sectors, sizeof(*erased));
	uint64_t until = before, s;

	if (!wanted || !erased)
		die("no memory");
	for (s = 0; s < sectors; s++)
		if (seen[s] > until)
			until = seen[s];
	demand(until, after, wanted, erased);
	for (s = 0; s < sectors; s++) {
		if (seen[s] > after)
			complain(
				"%s: sector %lu has write %lu, submitted after it was taken (%lu to %lu)",
				what, s, seen[s], before, after);
		else if (seen[s] && seen[s] < wanted[s])
			complain(
				"%s: sector %lu has write %lu, %lu was over (taken %lu to %lu, latest in it %lu)",
				what, s, seen[s], wanted[s], before, after,
				until);
		else if (!seen[s] && erased[s] < wanted[s])
			complain(
				"%s: sector %lu has nothing, write %lu was over (taken %lu to %lu, latest in it %lu)",
				what, s, wanted[s], before, after, until);
	}
	free(wanted);
	free(erased);
}

/*----------------------------------------------------------------
 * Snapshots
 *--------------------------------------------------------------*/

/* A suspended pool refuses the message, so this tries for two minutes. */
static void message(const char *text)
{
	unsigned int try = 0;

	while (dm_message(pool, text)) {
		if (errno != EBUSY || ++try == 600)
			die("message %s", text);
		usleep(200000);
	}
}

static void __attribute__((format(printf, 1, 2))) command(const char *fmt, ...)
{
	char line[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (system(line))
		die("%s", line);
}

/*
 * A suspended pool also refuses a volume; only the last attempt prints the
 * error.
 */
static void activate(unsigned int id)
{
	const char *quiet = "2>/dev/null";
	char line[256];

	for (unsigned int try = 1; try <= 600; try++) {
		if (try == 600)
			quiet = "";
		snprintf(
			line, sizeof(line),
			"dmsetup create --readonly stamps-%u --table '0 %lu hpmapper /dev/mapper/%s %u' %s",
			id, skip + sectors, pool, id, quiet);
		if (!system(line))
			return;
		usleep(200000);
	}
	die("%s", line);
}

static void read_snap(unsigned int id, uint64_t *seen)
{
	char path[64];

	activate(id);
	snprintf(path, sizeof(path), "/dev/mapper/stamps-%u", id);
	read_all(path, seen);
	command("dmsetup remove --retry stamps-%u", id);
}

static uint64_t ms_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

static uint64_t *take_snap(unsigned int id)
{
	uint64_t *seen = calloc(sectors, sizeof(*seen));
	uint64_t before, after;
	char text[64];

	if (!seen)
		die("no memory");
	snprintf(text, sizeof(text), "create_snap %u %u", id, origin);
	before = tick();
	message(text);
	after = tick();
	read_snap(id, seen);
	snprintf(text, sizeof(text), "snapshot %u", id);
	verify(text, seen, before, after);
	return seen;
}

static void check_again(unsigned int id, const uint64_t *seen)
{
	uint64_t *now = malloc(sectors * sizeof(*now));
	char text[64];

	read_snap(id, now);
	for (uint64_t s = 0; s < sectors; s++)
		if (now[s] != seen[s])
			complain("snapshot %u: sector %lu was %lu and is %lu",
				 id, s, seen[s], now[s]);
	free(now);
	if (keep)
		return;
	snprintf(text, sizeof(text), "delete %u", id);
	message(text);
}

/*----------------------------------------------------------------
 * From here to there
 *--------------------------------------------------------------*/

static uint64_t bytes(const char *arg)
{
	char *unit_char;
	uint64_t n = strtoull(arg, &unit_char, 10);

	switch (*unit_char) {
	case 'G':
		n <<= 10; /* fall through */
	case 'M':
		n <<= 10; /* fall through */
	case 'K':
		n <<= 10;
	}
	return n;
}

static void options(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "device", 1, NULL, 'd' },    { "pool", 1, NULL, 'p' },
		{ "size", 1, NULL, 's' },      { "skip", 1, NULL, 'k' },
		{ "threads", 1, NULL, 't' },   { "seconds", 1, NULL, 'S' },
		{ "unit", 1, NULL, 'u' },      { "max", 1, NULL, 'm' },
		{ "snapshots", 1, NULL, 'n' }, { "origin", 1, NULL, 'o' },
		{ "first", 1, NULL, 'f' },     { "seed", 1, NULL, 'r' },
		{ "pause", 1, NULL, 'P' },     { "discards", 1, NULL, 'D' },
		{ "zeroes", 1, NULL, 'Z' },    { "reads", 1, NULL, 'R' },
		{ "syncs", 1, NULL, 'Y' },     { "whole", 1, NULL, 'W' },
		{ "keep", 0, NULL, 'K' },      {}
	};
	unsigned int *numbers[128] = {
		['t'] = &nr_threads, ['S'] = &seconds,	  ['u'] = &unit,
		['m'] = &max_write,  ['n'] = &nr_snaps,	  ['o'] = &origin,
		['f'] = &first_id,   ['r'] = &seed,	  ['P'] = &pause_ms,
		['D'] = &discards,   ['Z'] = &zeroes,	  ['R'] = &reads,
		['Y'] = &syncs,	     ['W'] = &whole_only,
	};
	int c;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		if (c == 'd')
			device = optarg;
		else if (c == 'p')
			pool = optarg;
		else if (c == 's')
			sectors = bytes(optarg) / SECTOR;
		else if (c == 'k')
			skip = bytes(optarg) / SECTOR;
		else if (c == 'K')
			keep = true;
		else if (c < 128 && numbers[c])
			*numbers[c] = atoi(optarg);
		else
			exit(2);
	}
	if (!device || sectors < unit * nr_threads || (nr_snaps && !pool) ||
	    nr_threads > MAX_THREADS) {
		fprintf(stderr, "usage: stamps --device D --size BYTES ...\n");
		exit(2);
	}
}

/* True: SIGTERM ended the run.  (SIGTERM is blocked in all threads.) */
static bool pause_for(uint64_t ms)
{
	struct timespec time = { .tv_sec = ms / 1000,
				 .tv_nsec = ms % 1000 * 1000000 };

	return sigtimedwait(&enough, NULL, &time) == SIGTERM;
}

int main(int argc, char **argv)
{
	uint64_t *seen[1024] = {}, *last, until, now;
	unsigned long ops = 0;
	unsigned int i, n;
	bool told = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&enough);
	sigaddset(&enough, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &enough, NULL);
	options(argc, argv);
	if (pool && !dm_open())
		die("/dev/mapper/control");
	run_id = (uint64_t)seed << 48 ^ (uint64_t)getpid() << 32;
	current = calloc(sectors, sizeof(*current));
	last = calloc(sectors, sizeof(*last));
	if (!current || !last || nr_snaps > 1024)
		die("no memory");
	clear();
	until = ms_now() + seconds * 1000ull;
	start_threads();
	for (n = 0; n < nr_snaps && ms_now() < until && !told; n++) {
		told = pause_for(pause_ms);
		seen[n] = take_snap(first_id + n);
	}
	now = ms_now();
	if (now < until && !told)
		pause_for(until - now);
	atomic_store(&stop, true);
	for (i = 0; i < nr_threads; i++) {
		pthread_join(threads[i].id, NULL);
		ops += atomic_load(&threads[i].events);
	}
	now = atomic_load(&clock_now);
	read_all(device, last);
	verify("the volume", last, now, now);
	for (i = 0; i < n; i++)
		check_again(first_id + i, seen[i]);
	printf("# stamps: %lu writes, %u snapshots, %u errors, seed %u\n", ops,
	       n, atomic_load(&errors), seed);
	return atomic_load(&errors) != 0;
}
