// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs QEMU for a test guest and behaves like the guest's command.
 *
 *	relay <timeout in s> <log> <qemu> <argument>...
 *	relay tsc
 *
 * QEMU gets file descriptor 5, into which the guest's virtio-serial port
 * writes the frames of frame.h.  They are taken apart into this program's
 * output and error output; with the frame that carries the status, QEMU is
 * killed and the status becomes this program's own.
 *
 * "relay tsc" prints how many kHz this machine's TSC has, if it has one:
 * QEMU's guests see it as their own, and are not good at measuring it.
 *
 * 124: no status came in time.  97: the guest did not even boot, which happens
 * under TCG when the host is busy.  98: QEMU ended without a status (a panic,
 * or the guest was reset), or sent something other than frames.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __x86_64__
#include <x86intrin.h>
#endif

#include "frame.h"

#define GUEST_FD 5
#define BOOT_MS	 (180 * 1000L)

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000L + ts.tv_nsec / 1000000;
}

/* 1: the buffer is full; 0: the stream has ended; -1: out of time */
static int read_all(int fd, void *buf, size_t len, long deadline)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char *to = buf;
	ssize_t n;

	while (len) {
		long left = deadline - now_ms();

		if (left <= 0)
			return -1;
		if (poll(&p, 1, left > 60000 ? 60000 : left) <= 0)
			continue;
		n = read(fd, to, len);
		if (n == 0 || (n < 0 && errno != EINTR))
			return 0;
		if (n > 0) {
			to += n;
			len -= n;
		}
	}
	return 1;
}

static void write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0) {
			buf += n;
			len -= n;
		}
	}
}

static int relay(int fd, long timeout)
{
	long deadline = now_ms() + timeout * 1000;
	long boot = now_ms() + BOOT_MS;
	char data[FRAME_MAX];
	int booted = 0;
	struct frame f;
	int ret, status;

	for (;;) {
		ret = read_all(fd, &f, sizeof(f),
			       booted || deadline < boot ? deadline : boot);
		if (ret < 0 && !booted && boot < deadline)
			return 97;
		booted = 1;
		if (ret > 0 && (f.magic != FRAME_MAGIC || f.len > FRAME_MAX))
			ret = 0;
		if (ret > 0)
			ret = read_all(fd, data, f.len, deadline);
		if (ret < 0) {
			fprintf(stderr, "vm: no end after %ld s, stopped\n",
				timeout);
			return 124;
		}
		if (!ret)
			return 98;
		switch (f.type) {
		case FRAME_OUT:
			write_all(1, data, f.len);
			break;
		case FRAME_ERR:
			write_all(2, data, f.len);
			break;
		case FRAME_STATUS:
			memcpy(&status, data, sizeof(status));
			return status;
		}
	}
}

static void __attribute__((noreturn))
run_qemu(int fd, const char *log, char **argv)
{
	int null = open("/dev/null", O_RDONLY);
	int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0666);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A Ctrl-C goes to the whole group; QEMU is ended by its parent. */
	signal(SIGINT, SIG_IGN);
	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	if (fd == GUEST_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, GUEST_FD);
	execvp(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

#ifdef __x86_64__
/* Reads both clocks; the closest pair of a few was not interrupted. */
static void look(uint64_t *ns, uint64_t *tsc)
{
	uint64_t before, after, best = UINT64_MAX;
	struct timespec ts;
	int i;

	for (i = 0; i < 100; i++) {
		before = __rdtsc();
		clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
		after = __rdtsc();
		if (after - before >= best)
			continue;
		best = after - before;
		*tsc = before + best / 2;
		*ns = ts.tv_sec * 1000000000ULL + ts.tv_nsec;
	}
}

static void print_tsc(void)
{
	uint64_t ns[2], tsc[2];

	look(&ns[0], &tsc[0]);
	usleep(20000);
	look(&ns[1], &tsc[1]);
	printf("%.0f\n", (tsc[1] - tsc[0]) * 1e6 / (ns[1] - ns[0]));
}
#else
static void print_tsc(void)
{
}
#endif

int main(int argc, char **argv)
{
	int fds[2], status;
	pid_t qemu;

	if (argc == 2 && !strcmp(argv[1], "tsc")) {
		print_tsc();
		return 0;
	}
	if (argc < 4) {
		fprintf(stderr, "usage: relay timeout log qemu...\n");
		return 2;
	}
	if (pipe2(fds, O_CLOEXEC)) {
		perror("relay: pipe");
		return 125;
	}
	qemu = fork();
	if (qemu < 0) {
		perror("relay: fork");
		return 125;
	}
	if (!qemu)
		run_qemu(fds[1], argv[2], argv + 3);
	close(fds[1]);
	status = relay(fds[0], atol(argv[1]));
	kill(qemu, SIGKILL);
	waitpid(qemu, NULL, 0);
	return status;
}
