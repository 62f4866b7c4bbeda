// SPDX-License-Identifier: GPL-2.0-only
/* Files and block devices as devices of a pool, for the tools. */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hpm_lib.h"
#include "format.h"

struct file_io {
	struct hpm_io io;
	int meta_fd, data_fd; /* data: -1 if there is none */
	u64 meta_blocks, data_blocks;
	bool read_only;
};

static struct file_io *to_file(struct hpm_io *io)
{
	return container_of(io, struct file_io, io);
}

/*
 * Transfers everything: continues after a short transfer; the end of the file
 * is an error.
 */
static int transfer(int fd, bool write, struct iovec *iov, int nr, off_t at)
{
	while (nr) {
		ssize_t n = write ? pwritev(fd, iov, nr, at) :
				    preadv(fd, iov, nr, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		at += n;
		while (nr && (size_t)n >= iov->iov_len) {
			n -= iov->iov_len;
			iov++;
			nr--;
		}
		if (nr) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= n;
		}
	}
	return 0;
}

static int file_read(struct hpm_io *io, u64 block, void *data)
{
	struct iovec iov = { .iov_base = data, .iov_len = HPM_BLOCK_SIZE };
	struct file_io *f = to_file(io);

	if (block >= f->meta_blocks)
		return -EIO;
	return transfer(f->meta_fd, false, &iov, 1,
			(off_t)block << HPM_BLOCK_SHIFT);
}

static int file_write_blocks(struct file_io *f, u64 block, struct iovec *iov,
			     unsigned int nr)
{
	if (f->read_only)
		return -EROFS;
	if (block + nr > f->meta_blocks)
		return -EIO;
	return transfer(f->meta_fd, true, iov, nr,
			(off_t)block << HPM_BLOCK_SHIFT);
}

static int file_write(struct hpm_io *io, const struct hpm_io_vec *vec,
		      unsigned int nr)
{
	unsigned int i;
	int r;

	for (i = 0; i < nr; i++) {
		struct iovec iov = {
			.iov_base = vec[i].data,
			.iov_len = HPM_BLOCK_SIZE,
		};

		r = file_write_blocks(to_file(io), vec[i].block, &iov, 1);
		if (r)
			return r;
	}
	return 0;
}

static int sync_fd(struct file_io *f, int fd)
{
	if (f->read_only)
		return -EROFS;
	return fdatasync(fd) ? -errno : 0;
}

static int file_write_run(struct hpm_io *io, u64 block, void **data,
			  unsigned int nr, unsigned int flags)
{
	struct iovec iov[HPM_MAX_BATCH_BLOCKS];
	struct file_io *f = to_file(io);
	unsigned int i;
	int r;

	if (WARN_ON_ONCE(nr > HPM_MAX_BATCH_BLOCKS))
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		iov[i].iov_base = data[i];
		iov[i].iov_len = HPM_BLOCK_SIZE;
	}
	if (flags & HPM_IO_PREFLUSH) {
		r = sync_fd(f, f->meta_fd);
		if (r)
			return r;
	}
	r = file_write_blocks(f, block, iov, nr);
	if (!r && flags & HPM_IO_FUA)
		r = sync_fd(f, f->meta_fd);
	return r;
}

static int file_flush_meta(struct hpm_io *io)
{
	return sync_fd(to_file(io), to_file(io)->meta_fd);
}

static int file_flush_data(struct hpm_io *io)
{
	struct file_io *f = to_file(io);

	return f->data_fd < 0 ? -ENODEV : sync_fd(f, f->data_fd);
}

static u64 file_meta_blocks(struct hpm_io *io)
{
	return to_file(io)->meta_blocks;
}

static u64 file_data_blocks(struct hpm_io *io)
{
	return to_file(io)->data_blocks;
}

static void file_close(struct hpm_io *io)
{
	struct file_io *f = to_file(io);

	if (f->meta_fd >= 0)
		close(f->meta_fd);
	if (f->data_fd >= 0)
		close(f->data_fd);
	free(f);
}

static const struct hpm_io_ops file_ops = {
	.read = file_read,
	.write = file_write,
	.write_run = file_write_run,
	.flush_meta = file_flush_meta,
	.flush_data = file_flush_data,
	.meta_blocks = file_meta_blocks,
	.data_blocks = file_data_blocks,
	.close = file_close,
};

static int device_size(int fd, const struct stat *st, u64 *blocks)
{
	unsigned long long bytes = st->st_size;

	if (S_ISBLK(st->st_mode) && ioctl(fd, BLKGETSIZE64, &bytes))
		return -errno;
	*blocks = bytes >> HPM_BLOCK_SHIFT;
	return 0;
}

static int open_device(const char *path, unsigned int flags, int *fdp,
		       u64 *blocks)
{
	int mode = flags & HPM_FILE_READ_ONLY ? O_RDONLY : O_RDWR;
	struct stat st;
	int r;

	if (stat(path, &st))
		return -errno;
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		return -ENOTBLK;
	if (S_ISBLK(st.st_mode))
		mode |= O_DIRECT | (mode == O_RDWR ? O_EXCL : 0);
	*fdp = open(path, mode | O_CLOEXEC);
	if (*fdp < 0)
		return -errno;
	/*
	 * Checks the file that was opened; it may not be the one that was
	 * looked at before.
	 */
	if (fstat(*fdp, &st))
		return -errno;
	r = device_size(*fdp, &st, blocks);
	return r;
}

int hpm_io_file_open(const char *meta, const char *data, u64 data_blocks,
		     unsigned int flags, struct hpm_io **iop, const char **why)
{
	static char sentence[512];
	struct file_io *f = calloc(1, sizeof(*f));
	const char *path = meta;
	int r;

	if (!f) {
		*why = "out of memory";
		return -ENOMEM;
	}
	f->io.ops = &file_ops;
	f->meta_fd = -1;
	f->data_fd = -1;
	f->data_blocks = data_blocks;
	f->read_only = flags & HPM_FILE_READ_ONLY;

	r = open_device(meta, flags, &f->meta_fd, &f->meta_blocks);
	if (!r && data) {
		path = data;
		r = open_device(data, flags, &f->data_fd, &f->data_blocks);
	}
	if (r) {
		snprintf(sentence, sizeof(sentence), "cannot open %s: %s", path,
			 strerror(-r));
		*why = sentence;
		file_close(&f->io);
		return r;
	}
	*iop = &f->io;
	return 0;
}
