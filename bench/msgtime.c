// SPDX-License-Identifier: GPL-2.0-only
/*
 * Times device-mapper messages on a volume that is being written to.
 *
 * usage: msgtime DEVICE FORMAT COUNT [VOLUME DEPTH]
 *
 * Sends COUNT messages, each printf(FORMAT, number) with numbers from 1 on,
 * 50 ms apart.  Meanwhile a thread keeps DEPTH random writes of 4 KiB in flight on
 * VOLUME, from half a second before the first one on.
 *
 * Prints, in microseconds: the least, the median and the greatest time of a
 * message; the longest write of the half second without messages; and the most
 * by which a message took longer than the longest of the writes that were in
 * flight when it was sent.  It fails if there were not DEPTH writes in flight
 * each time, except for one that the thread may be about to send.
 *
 * The thread has the lowest priority.  If not, it would take half of the CPU
 * from the message on a machine with one CPU and a disk without latency.
 */
#include <fcntl.h>
#include <libdevmapper.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

#define MAX_COUNT 1000
#define MAX_DEPTH 128
#define BLOCK	  4096
#define QUIET_US  500000
#define APART_US  50000

struct span {
	double start, end;
};

/* The load: its parameters, and its results when it has ended. */
struct load {
	int fd;
	unsigned int depth;
	uint64_t blocks;
	bool stop;
	struct span *done;
	size_t nr_done, room;
	pthread_t thread;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void sleep_us(long us)
{
	const struct timespec t = { .tv_sec = us / 1000000,
				    .tv_nsec = us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

/*
 *----------------------------------------------------------------
 * The load
 *--------------------------------------------------------------
 */

/* splitmix64: the same blocks each time. */
static uint64_t next_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void remember(struct load *l, double start, double end)
{
	if (l->nr_done == l->room) {
		fprintf(stderr, "msgtime: too many writes to remember\n");
		exit(1);
	}
	l->done[l->nr_done++] = (struct span){ start, end };
}

static void submit(aio_context_t aio, struct iocb *cb, double *start)
{
	*start = now_us();
	if (syscall(SYS_io_submit, aio, 1, &cb) != 1)
		fail("io_submit");
}

static void *run_load(void *arg)
{
	struct load *l = arg;
	struct io_event ev[MAX_DEPTH];
	struct iocb cb[MAX_DEPTH] = { 0 };
	double start[MAX_DEPTH];
	aio_context_t aio = 0;
	uint64_t seed = 1;
	unsigned int i, out = l->depth;
	long nr;
	void *data = aligned_alloc(BLOCK, BLOCK);

	if (!data || syscall(SYS_io_setup, l->depth, &aio))
		fail("io_setup");
	if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19))
		fail("setpriority");
	for (i = 0; i < BLOCK; i++)
		((char *)data)[i] = (char)i;
	for (i = 0; i < l->depth; i++) {
		cb[i].aio_data = i;
		cb[i].aio_lio_opcode = IOCB_CMD_PWRITE;
		cb[i].aio_fildes = (uint32_t)l->fd;
		cb[i].aio_buf = (uintptr_t)data;
		cb[i].aio_nbytes = BLOCK;
		cb[i].aio_offset =
			(int64_t)(next_random(&seed) % l->blocks * BLOCK);
		submit(aio, &cb[i], &start[i]);
	}
	while (out) {
		nr = syscall(SYS_io_getevents, aio, 1, MAX_DEPTH, ev, NULL);
		if (nr < 1)
			fail("io_getevents");
		while (nr--) {
			i = (unsigned int)ev[nr].data;
			if (ev[nr].res != BLOCK) {
				fprintf(stderr, "msgtime: a write failed\n");
				exit(1);
			}
			remember(l, start[i], now_us());
			if (__atomic_load_n(&l->stop, __ATOMIC_RELAXED)) {
				out--;
				continue;
			}
			cb[i].aio_offset = (int64_t)(next_random(&seed) %
						     l->blocks * BLOCK);
			submit(aio, &cb[i], &start[i]);
		}
	}
	syscall(SYS_io_destroy, aio);
	free(data);
	return NULL;
}

static void load_start(struct load *l, const char *volume, unsigned int depth)
{
	uint64_t bytes;

	l->fd = open(volume, O_RDWR | O_DIRECT);
	if (l->fd < 0 || ioctl(l->fd, BLKGETSIZE64, &bytes))
		fail(volume);
	l->depth = depth;
	l->blocks = bytes / BLOCK;
	l->room = 1 << 22;
	l->done = malloc(l->room * sizeof(*l->done));
	if (!l->done || pthread_create(&l->thread, NULL, run_load, l))
		fail("load");
}

static void load_stop(struct load *l)
{
	__atomic_store_n(&l->stop, true, __ATOMIC_RELAXED);
	pthread_join(l->thread, NULL);
	close(l->fd);
}

/*
 * The longest write that ended before @t; they are in the order of their ends.
 */
static double longest_before(const struct load *l, double t)
{
	double most = 0;
	size_t i;

	for (i = 0; i < l->nr_done && l->done[i].end <= t; i++)
		if (l->done[i].end - l->done[i].start > most)
			most = l->done[i].end - l->done[i].start;
	return most;
}

/* The longest write in flight at @t, and how many were in flight. */
static double longest_at(const struct load *l, double t, unsigned int *nr)
{
	double most = 0;
	size_t i;

	*nr = 0;
	for (i = 0; i < l->nr_done; i++) {
		if (l->done[i].start > t || l->done[i].end <= t)
			continue;
		(*nr)++;
		if (l->done[i].end - l->done[i].start > most)
			most = l->done[i].end - l->done[i].start;
	}
	return most;
}

/*
 *----------------------------------------------------------------
 * The messages
 *--------------------------------------------------------------
 */

static struct span send_one(const char *device, const char *message)
{
	struct dm_task *task = dm_task_create(DM_DEVICE_TARGET_MSG);
	struct span s;

	if (!task || !dm_task_set_name(task, device) ||
	    !dm_task_set_sector(task, 0) || !dm_task_set_message(task, message))
		exit(2);
	s.start = now_us();
	if (!dm_task_run(task)) {
		fprintf(stderr, "msgtime: '%s' failed\n", message);
		exit(1);
	}
	s.end = now_us();
	dm_task_destroy(task);
	return s;
}

static void send_all(const char *device, const char *format, int count,
		     struct span *sent)
{
	char message[256];
	int i;

	for (i = 0; i < count; i++) {
		/* The user gives the format, as for printf(1). */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(message, sizeof(message), format, i + 1);
#pragma GCC diagnostic pop
		sent[i] = send_one(device, message);
		sleep_us(APART_US);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The most by which a message took longer than the longest write in flight. */
static double worst_excess(const struct load *l, const struct span *sent,
			   int count)
{
	double excess, worst = -1e9;
	unsigned int nr;
	int i;

	for (i = 0; i < count; i++) {
		excess = sent[i].end - sent[i].start -
			 longest_at(l, sent[i].start, &nr);
		if (nr + 1 < l->depth) {
			fprintf(stderr,
				"msgtime: message %d was sent with %u writes in flight\n",
				i + 1, nr);
			exit(1);
		}
		if (excess > worst)
			worst = excess;
	}
	return worst;
}

int main(int argc, char **argv)
{
	static double took[MAX_COUNT];
	static struct span sent[MAX_COUNT];
	struct load load = { 0 };
	int i, count;

	count = argc == 4 || argc == 6 ? atoi(argv[3]) : 0;
	if (argc == 6)
		load.depth = (unsigned int)atoi(argv[5]);
	if (count < 1 || count > MAX_COUNT || load.depth > MAX_DEPTH) {
		fprintf(stderr,
			"usage: msgtime DEVICE FORMAT COUNT [VOLUME DEPTH]\n");
		return 2;
	}
	if (load.depth) {
		load_start(&load, argv[4], load.depth);
		sleep_us(QUIET_US);
	}
	send_all(argv[1], argv[2], count, sent);
	if (load.depth)
		load_stop(&load);

	for (i = 0; i < count; i++)
		took[i] = sent[i].end - sent[i].start;
	qsort(took, count, sizeof(took[0]), compare);
	printf("%.0f %.0f %.0f", took[0], took[count / 2], took[count - 1]);
	if (load.depth)
		printf(" %.0f %.0f", longest_before(&load, sent[0].start),
		       worst_excess(&load, sent, count));
	printf("\n");
	return 0;
}
