/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of the replayer:
 *
 *	log.c		what dm-log-writes has recorded
 *	image.c		the recorded device in memory, as a crash leaves it
 *	oracle.c	what must be there at a point of the log
 *	life.c		a pool that is used after a recovery, and crashes again
 *	fsck.c		what file systems say
 *	replay.c	the points, one after another
 */
#ifndef CRASH_REPLAY_H
#define CRASH_REPLAY_H

#include "hpm_lib.h"
#include "format.h"
#include "load.h"
#include "metadata-pool.h"
#include "metadata-volume.h"

#include <stdarg.h>

/*----------------------------------------------------------------
 * The log
 *--------------------------------------------------------------*/

#define LOG_FLUSH   0x1u
#define LOG_FUA	    0x2u
#define LOG_DISCARD 0x4u
#define LOG_MARK    0x8u

enum slice {
	SLICE_META,
	SLICE_DATA,
	NR_SLICES
};

struct entry {
	u64 sector, nr;
	u32 flags;
	enum slice slice; /* of a flush, too */
	const u8 *data;	  /* or the mark's text */
};

struct log {
	struct entry *entry;
	u64 nr;
};

void log_read(struct log *log, const char *path);
static inline bool entry_is_plain(const struct entry *e)
{
	return !(e->flags & (LOG_FLUSH | LOG_FUA | LOG_MARK));
}

/*----------------------------------------------------------------
 * The image
 *--------------------------------------------------------------*/

#define DISCARDED 0xdb /* what is read where nothing is */

/*
 * Everything that is put while a view is open is undone when it is closed.  So
 * to look at a crash costs what it changes, not what the device holds.
 */
void image_init(u8 data);
void image_put(u64 offset, const void *data, u64 len);
void image_fill(u64 offset, u64 len);
const u8 *image_at(u64 offset);
void image_view_open(void);
/* What has been put so far is on the medium for good. */
void image_view_settle(void);
void image_view_close(void);

static inline const u8 *image_block(u64 pbn)
{
	return image_at((u64)META_ROOM * SECTOR + pbn * HPM_BLOCK_SIZE);
}

/* The pool's devices on it. */
struct hpm_io *image_io(void);
/* The power fails at the @nth write or flush from now on; 0: never. */
void image_cut_at(u64 nth);
bool image_is_cut(void);
u64 image_events(void);
/*
 * What was written through image_io() since the last flush is there or not,
 * sector by sector (or block by block), and the power is on again.
 */
void image_tear(u64 *rnd, bool by_block);

/*----------------------------------------------------------------
 * What must be there
 *--------------------------------------------------------------*/

struct oracle;

struct oracle *oracle_create(const struct log *log, u64 seed, const char *dir);
/* The point behind entry @p; only ever forwards. */
void oracle_advance(struct oracle *o, u64 p);
/* May there be no pool at all? */
bool oracle_may_be_blank(const struct oracle *o);
/*
 * Compares what a check of the pool has seen: a call for each volume and each
 * mapping, then the end of it.  Faults go to complain().
 */
void oracle_begin(struct oracle *o);
void oracle_volume(struct oracle *o, u32 id);
void oracle_mapping(struct oracle *o, u64 vbn, u64 pbn, u32 nr);
void oracle_end(struct oracle *o);
/* The file system in a volume: its type, 'e', 'x' or 0. */
char oracle_fs(const struct oracle *o, u32 id);
/* <file> <generation> for what was synced in it. */
void oracle_expect(const struct oracle *o, u32 id, FILE *f);
u64 oracle_checked(const struct oracle *o);

/*----------------------------------------------------------------
 * The rest
 *--------------------------------------------------------------*/

/* A fault at the point that is looked at. */
void complain(const char *fmt, ...) __printf(1, 2);
/* The program cannot go on. */
void die(const char *fmt, ...) __printf(1, 2) __attribute__((noreturn));

/* Uses the pool in the view, crashes it in the middle and looks, some times. */
void life(struct hpm_md *md, u64 seed);
/* The pool in the view, opened as after a power cut, or NULL and a complaint. */
struct hpm_md *reopen(void);

/* Begins and ends the export of volume @id; mappings come in between. */
void fsck_begin(u32 id, const char *path);
void fsck_mapping(u64 vbn, u64 pbn, u32 nr);
void fsck_end(void);
void fsck_ext4(const char *path);

#endif /* CRASH_REPLAY_H */
