/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface between the load in the guest and the replayer on the host.
 *
 * Stamped volumes
 * ---------------
 * A writer owns a range of one volume's sectors and does one operation after
 * another.  Its k-th operation depends only on the seed, the writer's number
 * and k, so the replayer knows it, too.  Each sector that it writes names the
 * writer, the operation and the sector's place.
 *
 * Marks
 * -----
 * The load notes what has happened by marks in the write log.  A mark is behind
 * everything that was durable when it was made:
 *
 *	W <writer> <volume> <first> <nr>	begins, on these sectors
 *	S <writer> <k>		operations up to the k-th are durable
 *	C <volume>		was created
 *	Q <volume> <origin>	a snapshot is about to be taken ...
 *	N <volume> <origin> [<writer>:<k>-<l>]...
 *				... and has been: with the writer's operations up
 *				to the k-th, and with none behind the l-th
 *	D <volume>		is about to be deleted ...
 *	d <volume>		... and has been
 *	F <tree> <file> <gen>	the file has been synced
 *	M <tree> <volume> <type>  the tree is that volume, a file system
 *	X			the pool is about to be wiped and made anew ...
 *	Y			... and has been
 *	P <text>		a phase of the load begins
 */
#ifndef CRASH_LOAD_H
#define CRASH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#define SECTOR	       512u
#define BLOCK	       8u /* sectors */
#define STAMP_MAGIC    0x5453485245504d48ull
#define VOL_SECTORS    16384u /* of a stamped volume */
#define MAX_WRITERS    64u
#define MAX_OP_SECTORS 160u

/*
 * On the recorded device: the space for the metadata device, then for the data
 * device.
 */
#define META_ROOM  (16u << 11) /* sectors */
#define DATA_ROOM  (256u << 11)

#define FILE_BLOCK 4096u
#define FILE_MAGIC 0x454c494652455048ull

struct stamp {
	uint64_t magic;
	uint64_t writer;
	uint64_t op; /* counted from 1 */
	uint64_t sector;
};

/* The header of each block of a file. */
struct file_stamp {
	uint64_t magic;
	uint64_t file;
	uint64_t gen;
	uint64_t block;
};

enum op_kind {
	OP_WRITE,
	OP_DSYNC,
	OP_DISCARD,
	OP_ZERO
};

struct op {
	enum op_kind kind;
	uint32_t first, nr; /* sectors of the volume */
	bool sync;	    /* a flush follows */
};

static inline uint64_t crash_mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline uint64_t crash_rnd(uint64_t *state, uint64_t n)
{
	return crash_mix((*state)++) % n;
}

/*
 * The @k-th operation of a writer.  A DSYNC write may be sent with FUA, and is
 * then in the log before older, unflushed writes to the same place; so it only
 * follows an operation that was flushed.
 */
static inline struct op crash_op_raw(uint64_t seed, unsigned int writer,
				     uint64_t k, uint32_t first, uint32_t nr)
{
	uint64_t state =
		crash_mix(seed ^ crash_mix((uint64_t)writer << 40 | k));
	uint64_t what = crash_rnd(&state, 100);
	struct op op = { .kind = OP_WRITE };
	uint32_t at, len;

	len = 1 + crash_rnd(&state, what < 10 ? MAX_OP_SECTORS : 32);
	at = crash_rnd(&state, nr - MAX_OP_SECTORS);
	if (crash_rnd(&state, 4)) { /* whole blocks */
		at -= at % BLOCK;
		len += BLOCK - 1;
		len -= len % BLOCK;
	}
	if (what >= 88)
		op.kind = what < 94 ? OP_DISCARD : OP_ZERO;
	if (op.kind == OP_DISCARD) {
		at -= at % BLOCK;
		len += BLOCK - 1;
		len -= len % BLOCK;
	}
	op.first = first + at;
	op.nr = len > MAX_OP_SECTORS ? MAX_OP_SECTORS : len;
	op.sync = !crash_rnd(&state, 3);
	return op;
}

static inline struct op crash_op(uint64_t seed, unsigned int writer, uint64_t k,
				 uint32_t first, uint32_t nr)
{
	struct op op = crash_op_raw(seed, writer, k, first, nr);

	if (op.kind == OP_WRITE && k > 1 && crash_mix(k ^ seed) % 4 == 0 &&
	    crash_op_raw(seed, writer, k - 1, first, nr).sync)
		op.kind = OP_DSYNC;
	return op;
}

#endif /* CRASH_LOAD_H */
