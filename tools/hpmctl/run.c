// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"
#include "run.h"
#include "text.h"

static volatile sig_atomic_t got_signal;

static void on_signal(int sig)
{
	got_signal = sig;
}

void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	(void)sigemptyset(&sa.sa_mask);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
}

bool interrupted(void)
{
	return got_signal;
}

int err_interrupted(void)
{
	return err_say(ST_INTERRUPTED, "interrupted by signal %d",
		       (int)got_signal);
}

/*
 * The PATH of a user's shell may not have the directories of mkfs and modprobe.
 */
static int widen_path(void)
{
	const char *path = getenv("PATH");
	char wide[4096];

	if (path && strstr(path, "/usr/sbin"))
		return 0;
	if (print_to(wide, sizeof(wide), "%s%s/usr/local/sbin:/usr/sbin:/sbin",
		     path ? path : "/usr/bin:/bin", ":"))
		return -1;
	return setenv("PATH", wide, 1) ? err_nomem() : 0;
}

static int spawn(pid_t *pid, const char *const *argv, int out)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t set;
	int ret;

	ret = posix_spawn_file_actions_init(&fa);
	if (ret)
		return err_sys(ret, "cannot run %s", argv[0]);
	ret = posix_spawnattr_init(&attr);
	if (ret) {
		(void)posix_spawn_file_actions_destroy(&fa);
		return err_sys(ret, "cannot run %s", argv[0]);
	}
	/* We ignore SIGPIPE, but other programs expect the default. */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGPIPE);
	(void)posix_spawnattr_setsigdefault(&attr, &set);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	ret = posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY,
					       0);
	if (!ret)
		ret = posix_spawn_file_actions_addopen(&fa, 1, "/dev/null",
						       O_WRONLY, 0);
	if (!ret)
		ret = posix_spawn_file_actions_adddup2(&fa, out, 2);
	if (!ret)
		ret = posix_spawnp(pid, argv[0], &fa, &attr,
				   (char *const *)argv, environ);
	(void)posix_spawn_file_actions_destroy(&fa);
	(void)posix_spawnattr_destroy(&attr);
	return ret ? err_sys(ret, "cannot run %s", argv[0]) : 0;
}

/* Reads to the end, so that the program never blocks; keeps what fits. */
static void drain(int fd, char *text, size_t size)
{
	char buf[4096];
	size_t used = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		size_t take = (size_t)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		if (size && used + take > size - 1)
			take = size - 1 - used;
		if (size)
			memcpy(text + used, buf, take);
		used += size ? take : 0;
	}
	if (size)
		text[used] = '\0';
}

static int wait_for(pid_t pid, const char *name)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(errno, "cannot wait for %s", name);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_program(const char *const *argv, char *text, size_t size)
{
	int fds[2], ret;
	pid_t pid;

	if (widen_path())
		return -1;
	if (pipe2(fds, O_CLOEXEC))
		return err_sys(errno, "cannot make a pipe");
	ret = spawn(&pid, argv, fds[1]);
	(void)close(fds[1]);
	if (!ret) {
		drain(fds[0], text, text ? size : 0);
		ret = wait_for(pid, argv[0]);
	}
	(void)close(fds[0]);
	return ret;
}
