// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on files that a script cannot do.
 *
 *	racer peek FILE OFFSET		reads a block directly, while another thread
 *					notes all that the buffer shows
 *	racer plant FILE OFFSET		the same, while it writes into the buffer
 *	racer into DEVICE FILE OFFSET	reads from DEVICE directly into a mapped
 *					block of FILE
 *	racer move FILE			gives FILE other blocks
 *	racer nowait FILE OFFSET	reads a block directly, if that needs no wait
 *	racer pair FILE FILE OFFSET	reads a block of both, in one submission
 *	racer encrypt DIR		from now on, what is made in DIR is encrypted
 *	racer key DIR			... and can be read again
 *	racer drop FILE			drops what is cached of it, if it is clean
 *	racer again FILE TIMES		reads it, drops it, reads it, ...
 *	racer hog MIB			takes memory, writes to it, gives it back
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "move-extent.h"

#define BLOCK	4096
#define MARK	0xeeeeeeeeeeeeeeeeull
#define PLANTED 0xaaaaaaaaaaaaaaaaull
#define MOST	16

static _Atomic uint64_t *buffer;
static atomic_bool done;
static uint64_t seen[MOST];
static unsigned int nr_seen;

/*
 * At a low address, so that its page looks as much like a file's page as
 * possible.
 */
static void *block_buffer(void)
{
	static char *at = (char *)0x10000000;
	void *p = mmap(at, BLOCK, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	at += BLOCK;
	return p;
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void stay_on(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void note(uint64_t word)
{
	unsigned int i;

	for (i = 0; i < nr_seen; i++)
		if (seen[i] == word)
			return;
	if (nr_seen < MOST)
		seen[nr_seen++] = word;
}

static void *peeker(void *arg)
{
	(void)arg;
	stay_on(1);
	while (!atomic_load(&done))
		note(buffer[8]);
	return NULL;
}

/* The device has not written before the first bytes have arrived. */
static void *planter(void *arg)
{
	unsigned int i;

	(void)arg;
	stay_on(1);
	while (!atomic_load(&done))
		for (i = 0; i < BLOCK / 8; i++)
			if (buffer[i] != MARK)
				buffer[i] = PLANTED;
	return NULL;
}

/* The buffer must have shown only the old or the final bytes. */
static int peek(const char *path, off_t at, bool plant)
{
	int fd = open_or_die(path, O_RDONLY | O_DIRECT);
	pthread_t thread;
	unsigned int i;
	int bad = 0;

	buffer = block_buffer();
	for (i = 0; i < BLOCK / 8; i++)
		buffer[i] = MARK;
	if (pthread_create(&thread, NULL, plant ? planter : peeker, NULL))
		errx(1, "no thread");
	stay_on(0);
	usleep(10000);
	if (pread(fd, (void *)buffer, BLOCK, at) != BLOCK)
		err(1, "%s", path);
	atomic_store(&done, true);
	pthread_join(thread, NULL);
	if (plant)
		return 0;
	for (i = 0; i < nr_seen; i++)
		if (seen[i] != MARK && seen[i] != buffer[8]) {
			printf("the buffer showed %016lx, which is neither %016llx nor %016lx\n",
			       seen[i], MARK, buffer[8]);
			bad = 3;
		}
	return bad;
}

static int into(const char *device, const char *path, off_t at)
{
	int from = open_or_die(device, O_RDONLY | O_DIRECT);
	int fd = open_or_die(path, O_RDWR);
	void *p = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);

	if (p == MAP_FAILED)
		err(1, "mmap");
	if (pread(from, p, BLOCK, 0) != BLOCK)
		err(1, "%s", device);
	return 0;
}

static int move(const char *path)
{
	struct move_extent move = { 0 };
	int fd = open_or_die(path, O_RDWR);
	char name[4096];
	struct stat st;
	int donor;

	snprintf(name, sizeof(name), "%s.donor", path);
	donor = open_or_die(name, O_RDWR | O_CREAT);
	if (fstat(fd, &st) || fallocate(donor, 0, 0, st.st_size))
		err(1, "%s", name);
	move.donor_fd = donor;
	move.len = (st.st_size + BLOCK - 1) / BLOCK;
	if (ioctl(fd, EXT4_IOC_MOVE_EXT, &move))
		err(1, "EXT4_IOC_MOVE_EXT");
	unlink(name);
	return move.moved_len ? 0 : 1;
}

static int nowait(const char *path, off_t at)
{
	int fd = open_or_die(path, O_RDONLY | O_DIRECT);
	struct iovec iov = { block_buffer(), BLOCK };

	if (preadv2(fd, &iov, 1, at, RWF_NOWAIT) < 0 && errno != EAGAIN)
		err(1, "%s", path);
	return 0;
}

/*
 * Three reads, the number for which io_uring makes one plug: they go to the
 * device together, when all have been submitted.
 */
static int pair(const char *a, const char *b, off_t at)
{
	struct io_uring_params par = { 0 };
	int ring = syscall(__NR_io_uring_setup, 4, &par);
	struct io_uring_sqe *sqe;
	const char *path[3] = { a, b, b };
	unsigned int *array, *tail, i, mask;
	char *sq;

	if (ring < 0)
		err(1, "io_uring");
	sq = mmap(NULL, par.sq_off.array + par.sq_entries * 4,
		  PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, par.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE,
		   MAP_SHARED, ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || sqe == MAP_FAILED)
		err(1, "mmap");
	array = (unsigned int *)(sq + par.sq_off.array);
	tail = (unsigned int *)(sq + par.sq_off.tail);
	mask = *(unsigned int *)(sq + par.sq_off.ring_mask);
	for (i = 0; i < 3; i++) {
		memset(&sqe[i], 0, sizeof(sqe[i]));
		sqe[i].opcode = IORING_OP_READ;
		sqe[i].fd = open_or_die(path[i], O_RDONLY);
		sqe[i].off = i < 2 ? at : at + BLOCK;
		sqe[i].addr = (uintptr_t)block_buffer();
		sqe[i].len = BLOCK;
		array[(*tail + i) & mask] = i;
	}
	__atomic_store_n(tail, *tail + 3, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, ring, 3, 3, IORING_ENTER_GETEVENTS,
		    NULL, 0) != 3)
		err(1, "io_uring_enter");
	return memcmp((void *)sqe[0].addr, (void *)sqe[1].addr, BLOCK) ? 3 : 0;
}

/* The same key for all directories. */
static int key(const char *dir, bool encrypt)
{
	struct fscrypt_policy_v2 policy = {
		.version = FSCRYPT_POLICY_V2,
		.contents_encryption_mode = FSCRYPT_MODE_AES_256_XTS,
		.filenames_encryption_mode = FSCRYPT_MODE_AES_256_CTS,
		.flags = FSCRYPT_POLICY_FLAGS_PAD_32,
	};
	struct fscrypt_add_key_arg *arg = calloc(1, sizeof(*arg) + 64);
	int fd = open_or_die(dir, O_RDONLY);

	arg->key_spec.type = FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER;
	arg->raw_size = 64;
	memset(arg->raw, 7, 64);
	if (ioctl(fd, FS_IOC_ADD_ENCRYPTION_KEY, arg))
		err(1, "key");
	if (!encrypt)
		return 0;
	memcpy(policy.master_key_identifier, arg->key_spec.u.identifier,
	       sizeof(policy.master_key_identifier));
	if (ioctl(fd, FS_IOC_SET_ENCRYPTION_POLICY, &policy))
		err(1, "encryption");
	return 0;
}

static int hog(size_t mib)
{
	char *p = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	memset(p, 0x5a, mib << 20);
	return 0;
}

/* The last step reads the file. */
static int again(const char *file, unsigned int times)
{
	int fd = open_or_die(file, O_RDONLY);
	static char buf[BLOCK];
	ssize_t r;
	off_t at;

	while (times--) {
		if (posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
			errx(1, "%s", file);
		for (at = 0; (r = pread(fd, buf, BLOCK, at)) > 0; at += r)
			;
		if (r)
			err(1, "%s", file);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	off_t at = argc > 3 ? atol(argv[argc - 1]) : 0;

	if (!strcmp(what, "peek"))
		return peek(argv[2], at, false);
	if (!strcmp(what, "plant"))
		return peek(argv[2], at, true);
	if (!strcmp(what, "into") && argc == 5)
		return into(argv[2], argv[3], at);
	if (!strcmp(what, "move"))
		return move(argv[2]);
	if (!strcmp(what, "nowait"))
		return nowait(argv[2], at);
	if (!strcmp(what, "pair") && argc == 5)
		return pair(argv[2], argv[3], at);
	if (!strcmp(what, "encrypt"))
		return key(argv[2], true);
	if (!strcmp(what, "key"))
		return key(argv[2], false);
	if (!strcmp(what, "drop"))
		return -posix_fadvise(open_or_die(argv[2], O_RDONLY), 0, 0,
				      POSIX_FADV_DONTNEED);
	if (!strcmp(what, "again") && argc == 4)
		return again(argv[2], atoi(argv[3]));
	if (!strcmp(what, "hog"))
		return hog(atol(argv[2]));
	errx(2, "see at the top of racer.c");
}
