// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first process of a test guest.
 *
 * The initramfs holds this program, linked statically, and the modules that
 * are needed to reach the host, named so that they sort in load order.  It
 *
 *  - loads these modules;
 *  - mounts the host's root over 9p, read-only, puts a tmpfs above it with
 *    overlayfs and moves into it, so that the guest sees every program and
 *    file of the host where it is on the host and may write anywhere
 *    without the host seeing it;
 *  - mounts what a system needs (/proc, /sys, /dev, ...), the modules of the
 *    guest's kernel, and one directory that the host does see ($VM_OUT);
 *  - runs "bash $HPM_RUN/cmd" and passes its output, its error output and
 *    its status to the host through one virtio-serial port, in the frames
 *    of frame.h; relay.c is at the other end.
 *
 * The command writes into pipes, not into the port: a port can be opened
 * once only, and scripts do write to /dev/stderr.
 *
 * Arguments come as environment variables, because that is what the kernel
 * makes of NAME=value on its command line: HPM_RUN (the directory of this
 * run), HPM_OUT (the shared directory) and HPM_MODULES (the modules).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frame.h"

static int port = -1;

static void send_frame(int type, const void *data, unsigned int len)
{
	char buf[sizeof(struct frame) + FRAME_MAX];
	struct frame f = { .magic = FRAME_MAGIC, .type = type, .len = len };
	size_t done = 0, total = sizeof(f) + len;

	memcpy(buf, &f, sizeof(f));
	memcpy(buf + sizeof(f), data, len);
	while (done < total) {
		ssize_t n = write(port, buf + done, total - done);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			break;
		if (n > 0)
			done += n;
	}
}

/* The host ends the machine when it has received the status of the run. */
static void __attribute__((noreturn)) finish(int status)
{
	int i;

	sync();
	if (port >= 0) {
		send_frame(FRAME_STATUS, &status, sizeof(status));
		for (i = 0; i < 100; i++)
			usleep(100 * 1000);
	}
	reboot(RB_AUTOBOOT);
	_exit(1);
}

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *fmt, ...)
{
	char text[512];
	int kmsg, len;
	va_list ap;

	len = snprintf(text, sizeof(text), "guest: ");
	va_start(ap, fmt);
	len += vsnprintf(text + len, sizeof(text) - len - 1, fmt, ap);
	va_end(ap);
	text[len++] = '\n';
	kmsg = open("/dev/kmsg", O_WRONLY);
	/* If the log cannot be opened either, the message is lost. */
	if (kmsg >= 0 && write(kmsg, text, len) < 0)
		close(kmsg);
	if (port >= 0)
		send_frame(FRAME_ERR, text, len);
	finish(125);
}

static void mount_at(const char *src, const char *dir, const char *type,
		     unsigned long flags, const char *data)
{
	if (mkdir(dir, 0755) && errno != EEXIST)
		die("mkdir %s: %s", dir, strerror(errno));
	if (mount(src, dir, type, flags, data))
		die("mount %s: %s", dir, strerror(errno));
}

static int only_modules(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return dot && !strcmp(dot, ".ko");
}

static void load_modules(void)
{
	struct dirent **names;
	int i, n, fd;

	if (chdir("/modules"))
		die("no modules in the initramfs");
	n = scandir(".", &names, only_modules, alphasort);
	for (i = 0; i < n; i++) {
		fd = open(names[i]->d_name, O_RDONLY);
		if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
			die("load %s: %s", names[i]->d_name, strerror(errno));
		close(fd);
	}
}

/* There is no udev here: finds the port by the name that QEMU gave it. */
static void open_port(void)
{
	char path[300], name[64];
	struct dirent *d;
	DIR *dir;
	int tries, fd, n;

	for (tries = 0; tries < 1000; tries++) {
		dir = opendir("/sys/class/virtio-ports");
		while (dir && (d = readdir(dir))) {
			snprintf(path, sizeof(path),
				 "/sys/class/virtio-ports/%s/name", d->d_name);
			fd = open(path, O_RDONLY);
			n = fd < 0 ? 0 : read(fd, name, sizeof(name));
			close(fd);
			if (n < 3 || strncmp(name, "hpm", 3))
				continue;
			snprintf(path, sizeof(path), "/dev/%s", d->d_name);
			port = open(path, O_WRONLY | O_CLOEXEC);
		}
		if (dir)
			closedir(dir);
		if (port >= 0)
			return;
		usleep(5000);
	}
	die("no virtio-serial port");
}

static const char *need_env(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		die("no %s on the kernel's command line", name);
	return value;
}

static void make_root(void)
{
	char dir[512];
	struct utsname uts;

	mount_at("root", "/lower", "9p", MS_RDONLY,
		 "trans=virtio,version=9p2000.L,cache=loose,msize=512000");
	mount_at("tmpfs", "/upper", "tmpfs", 0, "mode=755,size=75%");
	mkdir("/upper/data", 0755);
	mkdir("/upper/work", 0755);
	mount_at("overlay", "/root", "overlay", 0,
		 "lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work");

	if (chdir("/root") || mount("/dev", "dev", NULL, MS_MOVE, NULL))
		die("move /dev: %s", strerror(errno));
	if (mount("/sys", "sys", NULL, MS_MOVE, NULL) ||
	    mount("/proc", "proc", NULL, MS_MOVE, NULL))
		die("move /sys and /proc: %s", strerror(errno));
	if (mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		die("change the root: %s", strerror(errno));

	mount_at("devpts", "/dev/pts", "devpts", 0, "mode=620,ptmxmode=666");
	mount_at("shm", "/dev/shm", "tmpfs", 0, "mode=1777");
	mount_at("run", "/run", "tmpfs", 0, "mode=755");
	mkdir("/run/lock", 01777);
	/*
	 * A smaller kernel may not have these file systems; tests that need
	 * them will fail.
	 */
	mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	mount("securityfs", "/sys/kernel/security", "securityfs", 0, NULL);
	symlink("/proc/self/fd", "/dev/fd");
	symlink("/proc/self/fd/0", "/dev/stdin");
	symlink("/proc/self/fd/1", "/dev/stdout");
	symlink("/proc/self/fd/2", "/dev/stderr");

	uname(&uts);
	mkdir("/lib/modules", 0755);
	snprintf(dir, sizeof(dir), "/lib/modules/%s", uts.release);
	mount_at(need_env("HPM_MODULES"), dir, NULL, MS_BIND, NULL);
	mount_at("out", need_env("HPM_OUT"), "9p", 0,
		 "trans=virtio,version=9p2000.L,msize=512000");
}

static void start_network(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd >= 0)
		ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	sethostname("hpm", 3);
}

static void __attribute__((noreturn)) run_command(int out, int err)
{
	char file[512];
	sigset_t none;

	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(out, 1);
	dup2(err, 2);
	snprintf(file, sizeof(file), "%s/cmd", need_env("HPM_RUN"));
	execl("/bin/bash", "bash", file, NULL);
	fprintf(stderr, "guest: /bin/bash: %s\n", strerror(errno));
	_exit(127);
}

/* Returns whether there was something to read. */
static int pass_on(struct pollfd *p, int type)
{
	static char buf[FRAME_MAX];
	ssize_t n;

	if (!p->revents)
		return 0;
	n = read(p->fd, buf, sizeof(buf));
	if (n > 0)
		send_frame(type, buf, n);
	else
		p->fd = -1;
	return n > 0;
}

/*
 * Processes that the command left behind may hold its pipes open, so the run
 * ends when the command has ended and nothing more is there to be read.
 */
static int relay(pid_t child, struct pollfd *p)
{
	static const struct timespec at_once;
	int status = 0, ended = 0, busy;
	sigset_t none;
	pid_t pid;

	sigemptyset(&none);
	for (;;) {
		if (ppoll(p, 2, ended ? &at_once : NULL, &none) < 0)
			p[0].revents = p[1].revents = 0;
		busy = pass_on(&p[0], FRAME_OUT);
		busy |= pass_on(&p[1], FRAME_ERR);
		if (ended && !busy)
			break;
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid != child)
				continue;
			ended = 1 + status;
		}
	}
	status = ended - 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* SIGCHLD need only wake ppoll(), outside of which it is blocked. */
static void on_child(int sig)
{
	(void)sig;
}

static void watch_children(void)
{
	struct sigaction action = { .sa_handler = on_child };
	sigset_t set;

	sigaction(SIGCHLD, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int main(void)
{
	int out[2], err[2];
	struct pollfd p[2];
	pid_t child;

	mount_at("proc", "/proc", "proc", 0, NULL);
	mount_at("sysfs", "/sys", "sysfs", 0, NULL);
	mount_at("dev", "/dev", "devtmpfs", 0, NULL);
	load_modules();
	open_port();
	send_frame(FRAME_HELLO, "", 0);
	make_root();
	start_network();

	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	watch_children();
	child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (!child)
		run_command(out[1], err[1]);
	close(out[1]);
	close(err[1]);
	p[0] = (struct pollfd){ .fd = out[0], .events = POLLIN };
	p[1] = (struct pollfd){ .fd = err[0], .events = POLLIN };
	finish(relay(child, p));
}
