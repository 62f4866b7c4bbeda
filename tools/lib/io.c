// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's I/O functions in user space, which call the implementation that
 * was opened.  Every call may sleep, and declares it.
 */
#include "hpm_lib.h"

int hpm_io_read(struct hpm_io *io, u64 block, void *data)
{
	might_sleep();
	return io->ops->read(io, block, data);
}

int hpm_io_write(struct hpm_io *io, const struct hpm_io_vec *vec,
		 unsigned int nr)
{
	might_sleep();
	return io->ops->write(io, vec, nr);
}

int hpm_io_write_run(struct hpm_io *io, u64 block, void **data, unsigned int nr,
		     unsigned int flags)
{
	might_sleep();
	return io->ops->write_run(io, block, data, nr, flags);
}

int hpm_io_flush_meta(struct hpm_io *io)
{
	might_sleep();
	return io->ops->flush_meta(io);
}

int hpm_io_flush_data(struct hpm_io *io)
{
	might_sleep();
	return io->ops->flush_data(io);
}

u64 hpm_io_meta_blocks(struct hpm_io *io)
{
	return io->ops->meta_blocks(io);
}

u64 hpm_io_data_blocks(struct hpm_io *io)
{
	return io->ops->data_blocks(io);
}

int hpm_io_read_mark(struct hpm_io *io, void *data)
{
	might_sleep();
	return io->ops->read_mark ? io->ops->read_mark(io, data) : -EOPNOTSUPP;
}

int hpm_io_write_mark(struct hpm_io *io, void *data)
{
	might_sleep();
	return io->ops->write_mark ? io->ops->write_mark(io, data) :
				     -EOPNOTSUPP;
}

void hpm_io_close(struct hpm_io *io)
{
	if (io)
		io->ops->close(io);
}
