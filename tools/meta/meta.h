/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the metadata tools share: messages, options, the device, blocks.
 *
 * A tool is a function of argc and argv that returns its exit status, prints to
 * the streams in struct tool and never ends the process, so that tests and
 * fuzzers can run it unchanged.  Functions that fail report the reason and
 * return -1.
 */
#ifndef HPM_META_H
#define HPM_META_H

#include "hpm_lib.h"
#include "format.h"

/*----------------------------------------------------------------
 * Messages and options (say.c)
 *--------------------------------------------------------------*/

/* The exit statuses, as in the manual pages. */
enum status {
	ST_OK = 0,
	ST_DAMAGED = 1, /* the metadata is damaged, or the input wrong */
	ST_USAGE = 2,	/* usage, or no answer is possible */
	ST_LEAKS = 3,	/* counts too high and nothing else */
};

struct tool {
	const char *name;
	bool quiet;
	FILE *out, *err;
};

extern struct tool tool;

/* Prints a line to stderr, after "<tool>: "; complain() returns -1. */
int complain(const char *fmt, ...) __printf(1, 2);
void note(const char *fmt, ...) __printf(1, 2);
/* Begins a tool; it receives the engine's messages, and drops them if quiet. */
void tool_begin(const char *name);

struct opt {
	const char *name; /* "metadata-snap" */
	char letter;	  /* 0: none */
	const char *arg;  /* name of its argument, NULL: none */
	const char *help;
	const char **value; /* gets the argument */
	bool *flag;	    /* set if the option is given */
};

struct usage {
	const char *synopsis;	/* after the name */
	const char *what;	/* one paragraph */
	const struct opt *opts; /* ended by an empty one */
	const char *examples;
};

/*
 * Parses the options; adds --help and --version.  Returns the number of
 * operands, which are then argv[1]..., -1: usage error (reported), -2: help was
 * asked for.
 */
int options(int argc, char **argv, const struct usage *u);
/*
 * The same for a tool that takes one device and nothing else: returns -1 if it has
 * one, as argv[1], and otherwise the status to end with.
 */
int one_device(int argc, char **argv, const struct usage *u);
/* "64K", "1.5T", "2048s": bytes. */
int parse_bytes(const char *text, u64 *bytes);
int parse_number(const char *text, u64 max, u64 *v);
#define SIZE_TEXT 32
const char *size_text(u64 bytes, char out[SIZE_TEXT]);
void print_json_string(FILE *f, const char *s);

/*----------------------------------------------------------------
 * The device (dev.c)
 *--------------------------------------------------------------*/

struct overlay;

struct dev {
	int fd;
	u64 blocks;
	const char *path;
	bool is_blk;
	/*
	 * What a replay has written in front of the device (replay.c), or NULL.
	 */
	struct overlay *over;
};

#define DEV_WRITE 0x1u /* exclusive */
#define DEV_LIVE  0x2u /* may be in use */

int dev_open(struct dev *d, const char *path, unsigned int flags);
void dev_close(struct dev *d);
/* Whether @fd refers to the same device or file. */
bool dev_is(const struct dev *d, int fd);
/*
 * Return 0 or a negative errno, without a message.  Buffers are aligned to
 * blocks.
 */
int dev_read(const struct dev *d, u64 block, unsigned int nr, void *buf);
int dev_write(const struct dev *d, u64 block, unsigned int nr, const void *buf);
int dev_flush(const struct dev *d);
void *blocks_alloc(unsigned int nr);

/*
 * Reads the wanted blocks in the order of their numbers, in large requests that
 * a second thread makes ahead of the caller.
 */
struct scan {
	const struct dev *dev;
	u64 end; /* the number of blocks on the device to scan */
	void *ctx;
	bool (*wanted)(void *ctx, u64 block);
	/* err: the block could not be read, and data is NULL. */
	void (*block)(void *ctx, u64 block, const void *data, int err);
	const char *what; /* for the progress; NULL: none */
	u64 done, total;  /* blocks read before; in all scans */
};
int scan_run(struct scan *s);

/*----------------------------------------------------------------
 * Blocks (block.c)
 *--------------------------------------------------------------*/

/* Returns what is wrong with a block, for "block N <fault>", or NULL. */
const char *block_fault(u32 seed, const void *block, u64 nr);
void block_seal(u32 seed, void *block);
/* The checksum over the checksums of all pages of counts, for a superblock. */
__le32 pages_csum(u32 seed, const __le32 *csum, u64 nr);
u32 label_seed(void);
u32 mark_seed(void);
u32 uuid_seed(const u8 *uuid);
const char *block_type_name(u8 type);

/* Return what is wrong with the content of a node, or NULL. */
const char *map_leaf_fault(const struct hpm_map_leaf *leaf);
const char *map_node_fault(const struct hpm_map_node *node);

static inline u64 leaf_key(const struct hpm_map_leaf *leaf, unsigned int i)
{
	return le64_to_cpu(leaf->head.aux) << 32 | le32_to_cpu(leaf->key[i]);
}

static inline unsigned int block_nr(const void *block)
{
	const struct hpm_block_head *h = block;

	return le16_to_cpu(h->nr);
}

/* The number of elements in an array's leaf. */
unsigned int array_per_leaf(unsigned int kind);
unsigned int elt_size(unsigned int kind);
/* The number of elements below a node of @level. */
u64 array_span(unsigned int kind, unsigned int level);

#define MAX_HEIGHT 8u

/*----------------------------------------------------------------
 * A device that metadata are built on (room.c)
 *--------------------------------------------------------------*/

/* Finds how many blocks of the device the metadata of that pool may take. */
/* An option's size, in blocks. */
int parse_meta_size(const char *text, u64 *blocks);
int room_for_metadata(const struct dev *dev, const u8 *uuid, u64 *blocks);
/* Is the block the mark of some pool's data? */
bool is_mark(const void *block);
/* Refuses a device that is the data device of a pool. */
int check_no_data(const struct dev *dev);

/*----------------------------------------------------------------
 * The pool on a device (pool.c)
 *--------------------------------------------------------------*/

struct pool {
	struct dev dev;
	struct hpm_label label;
	struct hpm_super super[2];  /* A and B, as read */
	const char *super_fault[2]; /* NULL: usable */
	const struct hpm_super *sb; /* the newest usable one */
	u32 seed;
	unsigned int large_shift;
	u32 large_size;
	u64 meta_blocks, data_blocks;
	u64 epoch;
	u32 time;
	u64 journal_start, journal_blocks;
};

/*
 * Reads label and superblocks; reports what is wrong through @fault (NULL:
 * complain()).  0: there is a state to look at; -1: there is none.
 */
typedef void (*fault_fn)(void *ctx, const char *line);
int pool_open(struct pool *p, const char *path, unsigned int flags,
	      fault_fn fault, void *ctx);
void pool_close(struct pool *p);
/* Rereads everything, through the overlay if there is one. */
int pool_load(struct pool *p, fault_fn fault, void *ctx);
const char *super_check(const struct pool *p, const struct hpm_super *sb,
			u64 block);
/* The home of a page of counts; 0: never written, or no such page. */
u64 refs_home(const struct hpm_super *sb, u64 page);

struct journal_state {
	u64 batches, records; /* after the superblock */
	u64 pos;	      /* the position behind them */
	u64 damaged;	      /* ring block of a missing batch, 0: none */
};
int journal_look(const struct pool *p, const struct hpm_super *sb,
		 struct journal_state *j);

/*
 * Recovers the pool into memory; from now on, reads see the result (replay.c).
 */
int pool_replay(struct pool *p, const char **why);
/* Returns a block of the replay's overlay, or NULL. */
const void *overlay_peek(const struct overlay *o, u64 block);
void overlay_free(struct overlay *o);
/* An I/O layer for the engine on the device; @keep: writes go to the device. */
struct hpm_io *dev_io(struct dev *d, u64 data_blocks, bool keep);
void dev_io_free(struct hpm_io *io);

/* Is a metadata snapshot held?  One that is being given back is not. */
static inline bool super_holds(const struct hpm_super *sb)
{
	return sb->held_flags &&
	       !(le32_to_cpu(sb->held_flags) & HPM_HELD_GOING);
}

/*
 * Opens a state that does not change, for reading: with @snap the held one of a
 * pool that may be in use, else the present one with its journal replayed.
 */
int pool_open_tables(struct pool *p, const char *path, bool snap,
		     struct hpm_disk_root *volumes);

#endif /* HPM_META_H */
