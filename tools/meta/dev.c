// SPDX-License-Identifier: GPL-2.0-only
/*
 * The metadata device of a tool.
 *
 * Block devices are read O_DIRECT: the page cache may hold what was there
 * before the pool wrote.  A device that must not be in use is opened O_EXCL,
 * which the kernel refuses while a pool has it open.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "meta.h"

void *blocks_alloc(unsigned int nr)
{
	void *p = NULL;

	if (posix_memalign(&p, HPM_BLOCK_SIZE, (size_t)nr * HPM_BLOCK_SIZE))
		return NULL;
	return p;
}

static int dev_size(struct dev *d, const struct stat *st)
{
	unsigned long long bytes = st->st_size;

	if (d->is_blk && ioctl(d->fd, BLKGETSIZE64, &bytes))
		return -errno;
	d->blocks = bytes >> HPM_BLOCK_SHIFT;
	if (d->blocks > HPM_MAX_META_BLOCKS)
		d->blocks = HPM_MAX_META_BLOCKS;
	return 0;
}

static int dev_flags(const struct dev *d, unsigned int flags)
{
	int mode = flags & DEV_WRITE ? O_RDWR : O_RDONLY;

	if (d->is_blk)
		mode |= O_DIRECT | (flags & DEV_LIVE ? 0 : O_EXCL);
	return mode | O_CLOEXEC;
}

int dev_open(struct dev *d, const char *path, unsigned int flags)
{
	struct stat st;

	*d = (struct dev){ .fd = -1, .path = path };
	if (stat(path, &st))
		return complain("cannot open %s: %s", path, strerror(errno));
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		return complain("%s is neither a block device nor a file",
				path);
	d->is_blk = S_ISBLK(st.st_mode);
	d->fd = open(path, dev_flags(d, flags));
	if (d->fd < 0 && errno == EBUSY)
		return complain(
			"%s is in use%s", path,
			flags & DEV_WRITE ?
				"" :
				"; a held metadata snapshot of it can be read with --metadata-snap");
	if (d->fd < 0)
		return complain("cannot open %s: %s", path, strerror(errno));
	if (fstat(d->fd, &st) || dev_size(d, &st)) {
		complain("cannot look at %s: %s", path, strerror(errno));
		dev_close(d);
		return -1;
	}
	return 0;
}

void dev_close(struct dev *d)
{
	if (d->over)
		overlay_free(d->over);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	d->over = NULL;
}

bool dev_is(const struct dev *d, int fd)
{
	struct stat x, y;

	if (fstat(d->fd, &x) || fstat(fd, &y))
		return true;
	return S_ISBLK(x.st_mode) && S_ISBLK(y.st_mode) ?
		       x.st_rdev == y.st_rdev :
		       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Reads into @to or, if @to is NULL, writes from @from. */
static int transfer(const struct dev *d, u64 block, unsigned int nr, char *to,
		    const char *from)
{
	size_t done = 0, size = (size_t)nr * HPM_BLOCK_SIZE;
	off_t at = (off_t)block << HPM_BLOCK_SHIFT;

	if (block >= d->blocks || nr > d->blocks - block)
		return -ENXIO;
	while (done < size) {
		off_t here = at + (off_t)done;
		ssize_t n = to ? pread(d->fd, to + done, size - done, here) :
				 pwrite(d->fd, from + done, size - done, here);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		done += n;
	}
	return 0;
}

int dev_read(const struct dev *d, u64 block, unsigned int nr, void *buf)
{
	int r = transfer(d, block, nr, buf, NULL);
	unsigned int i;
	const void *p;

	for (i = 0; d->over && i < nr; i++) {
		p = overlay_peek(d->over, block + i);
		if (p)
			memcpy((char *)buf + (size_t)i * HPM_BLOCK_SIZE, p,
			       HPM_BLOCK_SIZE);
	}
	return r;
}

int dev_write(const struct dev *d, u64 block, unsigned int nr, const void *buf)
{
	return transfer(d, block, nr, NULL, buf);
}

int dev_flush(const struct dev *d)
{
	return fdatasync(d->fd) ? -errno : 0;
}

/*----------------------------------------------------------------
 * Scans
 *
 * Requests are made up by the caller's thread, which knows what is wanted,
 * read by a second one, and taken back in order.  Small gaps are read too:
 * that costs less than another request.
 *--------------------------------------------------------------*/

#define SCAN_BLOCKS 256u
#define SCAN_GAP    16u
#define SCAN_DEPTH  4u
#define SCAN_THREAD 4096u /* devices smaller than this need none */

struct request {
	u64 start;
	unsigned int nr; /* 0: there are no more */
	bool done;
	u8 *buf;
	int err[SCAN_BLOCKS];
	bool want[SCAN_BLOCKS];
};

struct scanner {
	struct scan *s;
	u64 at;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	u64 made, read, taken; /* requests; under the lock */
	struct request req[SCAN_DEPTH];
};

static void request_read(const struct scan *s, struct request *q)
{
	unsigned int i;
	int r = dev_read(s->dev, q->start, q->nr, q->buf);

	memset(q->err, 0, sizeof(q->err));
	for (i = 0; r && i < q->nr; i++)
		q->err[i] = dev_read(s->dev, q->start + i, 1,
				     q->buf + (size_t)i * HPM_BLOCK_SIZE);
}

static void *scan_thread(void *arg)
{
	struct scanner *sc = arg;
	struct request *q;
	bool more = true;

	pthread_mutex_lock(&sc->lock);
	while (more) {
		while (sc->read == sc->made)
			pthread_cond_wait(&sc->moved, &sc->lock);
		q = &sc->req[sc->read % SCAN_DEPTH];
		more = q->nr;
		pthread_mutex_unlock(&sc->lock);
		if (more)
			request_read(sc->s, q);
		pthread_mutex_lock(&sc->lock);
		sc->read++;
		pthread_cond_broadcast(&sc->moved);
	}
	pthread_mutex_unlock(&sc->lock);
	return NULL;
}

/* The next run of blocks that are wanted; nr 0: none is left. */
static void request_make(struct scanner *sc, struct request *q)
{
	const struct scan *s = sc->s;
	u64 b;

	while (sc->at < s->end && !s->wanted(s->ctx, sc->at))
		sc->at++;
	q->start = sc->at;
	q->nr = 0;
	memset(q->want, 0, sizeof(q->want));
	for (b = sc->at; b < s->end && b - q->start < SCAN_BLOCKS; b++) {
		if (s->wanted(s->ctx, b)) {
			q->want[b - q->start] = true;
			q->nr = b - q->start + 1;
		} else if (b - q->start >= q->nr + SCAN_GAP) {
			break;
		}
	}
	sc->at += q->nr;
}

static void scan_progress(const struct scan *s, u64 before)
{
	if (!s->what || !s->total || tool.quiet || !isatty(fileno(tool.err)))
		return;
	if (before * 100 / s->total == s->done * 100 / s->total)
		return;
	fprintf(tool.err, "\r%s: %s: %llu%%", tool.name, s->what,
		min_t(u64, s->done * 100 / s->total, 100));
	fflush(tool.err);
}

static void request_take(struct scan *s, const struct request *q)
{
	unsigned int i;
	u64 before = s->done;

	for (i = 0; i < q->nr; i++) {
		if (!q->want[i])
			continue;
		s->done++;
		s->block(s->ctx, q->start + i,
			 q->err[i] ? NULL : q->buf + (size_t)i * HPM_BLOCK_SIZE,
			 q->err[i]);
	}
	scan_progress(s, before);
}

/* Both sides in one thread. */
static void scan_alone(struct scanner *sc)
{
	struct request *q = &sc->req[0];

	for (request_make(sc, q); q->nr; request_make(sc, q)) {
		request_read(sc->s, q);
		request_take(sc->s, q);
	}
}

static void scan_ahead(struct scanner *sc)
{
	struct request *q;
	bool more = true;

	while (more || sc->taken < sc->made) {
		while (more && sc->made - sc->taken < SCAN_DEPTH) {
			q = &sc->req[sc->made % SCAN_DEPTH];
			request_make(sc, q);
			more = q->nr;
			pthread_mutex_lock(&sc->lock);
			sc->made++;
			pthread_cond_broadcast(&sc->moved);
			pthread_mutex_unlock(&sc->lock);
		}
		pthread_mutex_lock(&sc->lock);
		while (sc->read == sc->taken)
			pthread_cond_wait(&sc->moved, &sc->lock);
		pthread_mutex_unlock(&sc->lock);
		request_take(sc->s, &sc->req[sc->taken % SCAN_DEPTH]);
		sc->taken++;
	}
}

static void scanner_free(struct scanner *sc)
{
	unsigned int i;

	for (i = 0; i < SCAN_DEPTH; i++)
		free(sc->req[i].buf);
	free(sc);
}

static struct scanner *scanner_new(struct scan *s)
{
	struct scanner *sc = calloc(1, sizeof(*sc));
	unsigned int i;

	if (!sc)
		return NULL;
	sc->s = s;
	pthread_mutex_init(&sc->lock, NULL);
	pthread_cond_init(&sc->moved, NULL);
	for (i = 0; i < SCAN_DEPTH; i++) {
		sc->req[i].buf = blocks_alloc(SCAN_BLOCKS);
		if (!sc->req[i].buf) {
			scanner_free(sc);
			return NULL;
		}
	}
	return sc;
}

int scan_run(struct scan *s)
{
	struct scanner *sc = scanner_new(s);
	pthread_t thread;

	if (!sc)
		return complain("out of memory");
	if (s->end < SCAN_THREAD ||
	    pthread_create(&thread, NULL, scan_thread, sc)) {
		scan_alone(sc);
	} else {
		scan_ahead(sc);
		pthread_join(thread, NULL);
	}
	scanner_free(sc);
	return 0;
}
