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
	enum slice slice; /* also of a flush */
	const u8 *data;	  /* data, or the mark's text */
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

#define DISCARDED 0xdb /* what discarded sectors read as */

/*
 * Everything that is written while a view is open is undone when it is closed.
 * So looking at a crash costs as much as it changes, whatever the size of the
 * device.
 */
void image_init(u8 data);
void image_put(u64 offset, const void *data, u64 len);
void image_fill(u64 offset, u64 len);
const u8 *image_at(u64 offset);
void image_view_open(void);
/* What was written so far is on the medium for good. */
void image_view_settle(void);
void image_view_close(void);

static inline const u8 *image_block(u64 pbn)
{
	return image_at((u64)META_ROOM * SECTOR + pbn * HPM_BLOCK_SIZE);
}

/* The pool's devices on the image. */
struct hpm_io *image_io(void);
/* Lets the power fail at the @nth write or flush from now on; 0: never. */
void image_cut_at(u64 nth);
bool image_is_cut(void);
u64 image_events(void);
/*
 * Keeps or drops each sector (or block) that was written through image_io()
 * since the last flush, and turns the power on again.
 */
void image_tear(u64 *rnd, bool by_block);

/*----------------------------------------------------------------
 * What must be there
 *--------------------------------------------------------------*/

struct oracle;

struct oracle *oracle_create(const struct log *log, u64 seed, const char *dir);
/* Advances to the point behind entry @p; never goes back. */
void oracle_advance(struct oracle *o, u64 p);
/* Is it allowed that there is no pool at all? */
bool oracle_may_be_blank(const struct oracle *o);
/*
 * Compares the pool with what is expected: a call for each volume and each
 * mapping, then oracle_end().  Faults go to complain().
 */
void oracle_begin(struct oracle *o);
void oracle_volume(struct oracle *o, u32 id);
void oracle_mapping(struct oracle *o, u64 vbn, u64 pbn, u32 nr);
void oracle_end(struct oracle *o);
/* The file system in a volume: its type, 'e', 'x' or 0. */
char oracle_fs(const struct oracle *o, u32 id);
/* Writes <file> <generation> for each file that was synced. */
void oracle_expect(const struct oracle *o, u32 id, FILE *f);
u64 oracle_checked(const struct oracle *o);

/*----------------------------------------------------------------
 * The rest
 *--------------------------------------------------------------*/

/* Reports a fault at the present point. */
void complain(const char *fmt, ...) __printf(1, 2);
/* Ends the program with an error. */
void die(const char *fmt, ...) __printf(1, 2) __attribute__((noreturn));

/*
 * Uses the pool in the view, crashes it in the middle and compares it, some
 * times.
 */
void life(struct hpm_md *md, u64 seed);
/* Opens the pool in the view as after a power cut; NULL after a complaint. */
struct hpm_md *reopen(void);

/* Begin and end the export of volume @id; the mappings come in between. */
void fsck_begin(u32 id, const char *path);
void fsck_mapping(u64 vbn, u64 pbn, u32 nr);
void fsck_end(void);
void fsck_ext4(const char *path);

#endif /* CRASH_REPLAY_H */
