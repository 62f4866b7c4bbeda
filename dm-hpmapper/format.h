/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The on-disk format of an hpmapper pool's metadata device.
 *
 * Everything here is little-endian, __packed and of asserted size.  All
 * metadata is addressed in blocks of HPM_BLOCK_SIZE bytes; data is addressed
 * in small blocks of the same size.
 *
 * Layout of the metadata device (block numbers):
 *
 *	0		the label: static, written at format time only
 *	1		its copy, written before anything else at format time
 *	8, 24		the two superblocks, written in turn
 *	32 ..		the journal ring (label.journal_start, journal_blocks)
 *	.. behind it	the homes of the refcount pages, three for each page
 *	the rest	nodes: map trees, sparse arrays
 *
 * The data device begins with the pool's mark; the rest holds the volumes'
 * data.
 *
 * Every block starts with struct hpm_block_head.  Its checksum is the crc32c of
 * all bytes after the csum field, seeded with the crc32c of the pool's uuid: so
 * a block of another pool, or of a former pool on the device, has a wrong
 * checksum.  The seed of the label is fixed, as the label contains the uuid.
 */
#ifndef HPM_FORMAT_H
#define HPM_FORMAT_H

#define HPM_BLOCK_SHIFT		12
#define HPM_BLOCK_SIZE		4096u
#define HPM_BLOCK_SECTORS	(HPM_BLOCK_SIZE >> 9)

#define HPM_FORMAT_VERSION	1

#define HPM_LABEL_BLOCK		0
#define HPM_LABEL_COPY		1
#define HPM_SUPER_A		8
#define HPM_SUPER_B		24
#define HPM_RESERVED_BLOCKS	32	/* the first 128 KiB */

#define HPM_MIN_META_BLOCKS	1024u		/* 4 MiB */
#define HPM_MAX_META_BLOCKS	(4u << 20)	/* 16 GiB */

#define HPM_MIN_LARGE_SHIFT	4	/* 64 KiB, in small blocks */
#define HPM_MAX_LARGE_SHIFT	9	/* 2 MiB */

#define HPM_UUID_SIZE		16
#define HPM_NAME_SIZE		64	/* with the terminating NUL */
#define HPM_MAX_VOLUME_ID	((1u << 24) - 1)

/* Block types; the magic is the same for all of them. */
#define HPM_MAGIC		0x504d5048u	/* "HPMP" */
enum hpm_block_type {
	HPM_BT_LABEL	= 1,
	HPM_BT_SUPER	= 2,
	HPM_BT_JOURNAL	= 3,
	HPM_BT_REFS	= 4,	/* a page of metadata reference counts */
	HPM_BT_MAP_LEAF	= 5,
	HPM_BT_MAP_NODE	= 6,
	HPM_BT_ARR_LEAF	= 7,
	HPM_BT_ARR_NODE	= 8,
	HPM_BT_MARK	= 9,	/* on the data device */
};

struct hpm_block_head {
	__le32 csum;
	__le32 magic;
	__u8 type;		/* enum hpm_block_type */
	__u8 level;		/* 0 for leaves */
	__le16 nr;		/* entries in use */
	__u8 kind;		/* enum hpm_array_kind, for array nodes */
	__u8 pad[3];
	__le64 blocknr;
	__le64 epoch;		/* of the checkpoint that this block belongs to */
	__le64 aux;		/* map leaf: key region; array leaf: first index */
	__le64 reserved[3];
} __packed;			/* 64 bytes */

#define HPM_PAYLOAD		(HPM_BLOCK_SIZE - sizeof(struct hpm_block_head))

/* A pointer to a node: the epoch catches a lost write of the child. */
struct hpm_disk_ptr {
	__le64 block;		/* 0: none */
	__le64 epoch;
} __packed;

/* The root of a tree or an array. */
struct hpm_disk_root {
	struct hpm_disk_ptr ptr;
	__u8 height;		/* 0: empty; 1: the root is a leaf */
	__u8 pad[7];
} __packed;			/* 24 bytes */

/*
 * Map trees
 *
 * A key is (vbn << 1 | 1) for a small block and (vbn << 1) for the base of the
 * large block that starts at vbn, so the base sorts right before the small
 * blocks that override it.  A value is time << 36 | pbn.  All keys of one leaf
 * have the same upper 32 bits (head.aux), so a leaf stores 12 bytes an entry.
 */
#define HPM_PBN_BITS		36
#define HPM_PBN_MASK		((1ULL << HPM_PBN_BITS) - 1)
#define HPM_PBN_HOLE		HPM_PBN_MASK	/* an override to a hole */
#define HPM_TIME_BITS		28
#define HPM_MAX_TIME		((1u << HPM_TIME_BITS) - 1)
#define HPM_VBN_BITS		36

#define HPM_LEAF_MAX		336u	/* HPM_PAYLOAD / 12 */
#define HPM_NODE_MAX		168u	/* HPM_PAYLOAD / 24 */

struct hpm_map_leaf {
	struct hpm_block_head head;
	__le32 key[HPM_LEAF_MAX];	/* the lower 32 bits, ascending */
	__le64 value[HPM_LEAF_MAX];
} __packed;

struct hpm_map_node {
	struct hpm_block_head head;
	__le64 key[HPM_NODE_MAX];	/* key[0] is not used */
	struct hpm_disk_ptr child[HPM_NODE_MAX];
} __packed;

/*
 * Sparse arrays: radix trees of fixed-size elements; an element that is not
 * stored reads as zeroes.
 */
enum hpm_array_kind {
	HPM_ARR_LARGE	= 0,	/* struct hpm_disk_large by large block index */
	HPM_ARR_SMALL	= 1,	/* __le16 count and punched bit by PBN */
	HPM_ARR_SMALL_HI = 2,	/* __le16 upper half of the count by PBN */
	HPM_ARR_VOLUME	= 3,	/* struct hpm_disk_volume by volume id */
	HPM_ARR_DYING	= 4,	/* struct hpm_disk_dying by slot */
	HPM_NR_ARRAYS
};

#define HPM_ARR_FANOUT		252u	/* HPM_PAYLOAD / 16 */

struct hpm_arr_node {
	struct hpm_block_head head;
	struct hpm_disk_ptr child[HPM_ARR_FANOUT];
} __packed;

struct hpm_disk_large {
	__le32 refs;		/* leaves whose entry has this block as a base */
	__le16 used;		/* small blocks in it with a count of their own */
	__le16 punched;		/* small blocks given back from under the base */
} __packed;

#define HPM_SMALL_COUNT		0x7fffu
#define HPM_SMALL_PUNCHED	0x8000u

#define HPM_VOL_LIVE		0x1u	/* flags: the element is in use */
#define HPM_VOL_READONLY	0x2u
#define HPM_VOL_NOSHARE		0x4u	/* not used by the interceptor */

struct hpm_disk_volume {
	__le32 flags;
	__le32 snap_time;	/* mappings older than this count as shared */
	__le64 serial;		/* incarnation, never reused; 0: no volume */
	__le64 parent;		/* serial of the origin, 0: none */
	__le64 size;		/* small blocks; 0: as in the table */
	__le64 mapped;		/* small blocks that map to something */
	__le64 created;		/* pool time at its creation */
	struct hpm_disk_root root;
	__u8 name[HPM_NAME_SIZE];
	__le64 reserved[15];
} __packed;			/* 256 bytes */

/* A deleted volume whose tree is being given back, so far up to cursor. */
struct hpm_disk_dying {
	__le64 serial;		/* 0: slot free */
	__le64 cursor;
	struct hpm_disk_root root;
	__le64 reserved[3];
} __packed;			/* 64 bytes */

/* Metadata reference counts, one page for 1008 blocks. */
#define HPM_REFS_PER_PAGE	1008u
struct hpm_refs_page {
	struct hpm_block_head head;	/* aux: the page's index */
	__le32 refs[HPM_REFS_PER_PAGE];
} __packed;

#define HPM_REFS_HOMES		3
#define HPM_MAX_REFS_PAGES	4168u	/* for HPM_MAX_META_BLOCKS */
#define HPM_MAX_SEGMENTS	32

/*
 * Where the homes of some refcount pages are: page p of the segment has its
 * homes at start + 3 * (p - first) + {0, 1, 2}.
 */
struct hpm_disk_segment {
	__le32 first;		/* first refcount page */
	__le32 nr;		/* refcount pages */
	__le64 start;		/* metadata block */
} __packed;

#define HPM_LABEL_FIELDS \
	__le32 version; \
	__le32 large_shift;	/* small blocks in a large block, log2 */ \
	__u8 uuid[HPM_UUID_SIZE]; \
	__le64 compat; \
	__le64 compat_ro; \
	__le64 incompat; \
	__le64 journal_start; \
	__le64 journal_blocks; \
	__le64 created_with_blocks

struct hpm_label {
	struct hpm_block_head head;

	HPM_LABEL_FIELDS;
	__u8 pad[HPM_PAYLOAD - 72];
} __packed;

/*
 * Feature flags.
 *
 * HPM_INCOMPAT_DATA_CSUM is reserved for checksums of the data, one for each
 * small block.  They would be an array of __le32 by PBN, of a new kind after
 * those of enum hpm_array_kind, with its root and its number of nodes in the
 * reserved words of the superblock.  A record that maps blocks would have their
 * checksums in the slots after it, like a name.  A version that does not know
 * the checksums would leave old ones unchanged, so the flag is incompat.
 */
#define HPM_COMPAT_MARK		0x1ULL	/* the data device begins with a mark */
#define HPM_COMPAT_SUPPORTED	HPM_COMPAT_MARK
#define HPM_COMPAT_RO_SUPPORTED	0ULL
#define HPM_INCOMPAT_SUPPORTED	0ULL
#define HPM_INCOMPAT_DATA_CSUM	0x1ULL	/* reserved, not supported */

/*
 * The mark of a pool on its data device: small block HPM_MARK_BLOCK, which has
 * a count of HPM_MARK_COUNT and which no volume maps.  A pool has a mark if the
 * label has the flag and the block has that count.  The checksum's seed is
 * fixed.
 */
#define HPM_MARK_BLOCK		0
#define HPM_MARK_COUNT		4096u
#define HPM_MARK_TEXT		"Data of a dm-hpmapper pool; its metadata are elsewhere.\n"

struct hpm_mark {
	struct hpm_block_head head;
	__u8 uuid[HPM_UUID_SIZE];	/* the pool's */
	__u8 text[64];			/* for people who look at the device */
	__u8 pad[HPM_PAYLOAD - 80];
} __packed;

/*
 * Values of held_flags.  A held table may share nodes with the volume table.
 * HPM_HELD_GOING: it is being given back, so parts of it are gone; a version
 * that does not know this value takes it for HPM_HELD.
 */
#define HPM_HELD		1u
#define HPM_HELD_GOING		2u

#define HPM_SB_NEEDS_CHECK	0x1u
#define HPM_SB_CLEAN		0x2u	/* the journal was empty at deactivation */

struct hpm_super {
	struct hpm_block_head head;	/* epoch: the checkpoint's */
	__u8 uuid[HPM_UUID_SIZE];
	__le64 generation;	/* the higher valid one is the newer */
	__le32 flags;
	__le32 time;		/* of the last snapshot */
	__le64 transaction_id;
	__le64 next_serial;
	__le64 data_blocks;	/* size of the data space, small blocks */
	__le64 meta_blocks;
	__le64 data_used;	/* small blocks */
	__le64 nr_volumes;
	/* where recovery starts */
	__le64 nonce;		/* of the activation */
	__le64 record;		/* the last record that this state contains */
	__le64 journal_pos;	/* ring index of the next batch */
	__le64 journal_seq;	/* its sequence number */
	__le32 journal_prev;	/* its predecessor's checksum */
	__le32 nr_segments;
	struct hpm_disk_root array[HPM_NR_ARRAYS];
	/* the held metadata snapshot: a volume table of its own */
	struct hpm_disk_root held;
	__le32 held_time;
	__le32 held_flags;	/* HPM_HELD, HPM_HELD_GOING; 0: there is none */
	__le64 array_nodes[HPM_NR_ARRAYS];	/* blocks in each */
	/*
	 * crc32c, seeded as a block's, over the checksums of all refcount pages
	 * in their order, 0 for one that was never written.  Valid only if
	 * refs_epoch is this superblock's epoch, as a version that does not
	 * know it leaves zeroes here.
	 */
	__le64 refs_epoch;
	__le32 refs_csum;
	__le32 reserved0;
	__le64 reserved[9];
	struct hpm_disk_segment segment[HPM_MAX_SEGMENTS];
	/* which home of each refcount page is current, two bits each */
	__u8 home[HPM_MAX_REFS_PAGES / 4];
	__u8 pad[HPM_PAYLOAD - 16 - 8 - 4 - 4 - 8 * 6 - 8 * 4 - 8 - 24 * 6 -
		 8 - 128 - 16 * HPM_MAX_SEGMENTS - HPM_MAX_REFS_PAGES / 4];
} __packed;

/*
 * Journal
 *
 * A batch is one or more consecutive ring blocks (it may wrap), each with this
 * header and up to HPM_SLOTS_PER_BLOCK slots of 32 bytes.  A record takes one
 * slot, or more for those that carry a name, and never crosses a block.
 */
#define HPM_SLOT_SIZE		32u
#define HPM_SLOTS_PER_BLOCK	124u
#define HPM_MAX_BATCH_BLOCKS	64u

struct hpm_journal_block {
	struct hpm_block_head head;	/* nr: slots; aux: ring index */
	__le64 nonce;
	__le64 seq;		/* of the batch */
	__le64 first_record;	/* number of the first record in this block */
	__le32 prev;		/* chain checksum of the batch before */
	__le16 index;		/* of this block in its batch */
	__le16 blocks;		/* in its batch */
	__u8 pad[HPM_PAYLOAD - 32 - HPM_SLOTS_PER_BLOCK * HPM_SLOT_SIZE];
	__u8 slot[HPM_SLOTS_PER_BLOCK][HPM_SLOT_SIZE];
} __packed;

/* What a record does; it names volumes by serial, never by id. */
enum hpm_record_type {
	HPM_REC_MAP	= 1,	/* vbn..+nr now at pbn.. ; inside one large block */
	HPM_REC_LARGE	= 2,	/* the large block at vbn now at pbn, whole */
	HPM_REC_COLLAPSE = 3,	/* as LARGE, if all is at pbn.. and unshared */
	HPM_REC_UNMAP	= 4,	/* vbn..+nr hold nothing; inside one large block */
	HPM_REC_MOVE	= 5,	/* vbn..+nr: if still at arg.., now at pbn.. */
	HPM_REC_PUNCH	= 6,	/* give back what vbn's base at pbn hides */
	HPM_REC_CREATE	= 7,	/* volume id arg with serial, size pbn; name */
	HPM_REC_SNAP	= 8,	/* id arg with serial, of the one with serial pbn; name */
	HPM_REC_DELETE	= 9,	/* volume becomes a dying tree */
	HPM_REC_RECLAIM	= 10,	/* dying serial: keys below pbn given back;
				 * serial 0: ids below pbn of what was held
				 */
	HPM_REC_SIZE	= 11,	/* volume's size is pbn */
	HPM_REC_NAME	= 12,	/* volume's name */
	HPM_REC_FLAGS	= 13,	/* volume's settable flags are nr */
	HPM_REC_TID	= 14,	/* transaction id pbn */
	HPM_REC_HOLD	= 15,	/* hold the volume table of this instant */
	HPM_REC_RELEASE	= 16,	/* let it go; nr 1: RECLAIM gives it back */
};

struct hpm_disk_record {
	__u8 type;
	__u8 slots;		/* this one included */
	__le16 nr;		/* small blocks, or flags */
	__le32 arg_lo;
	__le64 serial;
	__le64 vbn;		/* bits 0..47; bits 48..63: upper half of arg */
	__le64 pbn;
} __packed;			/* 32 bytes; a name follows in two more slots */

#define HPM_REC_ARG_SHIFT	48

#endif /* HPM_FORMAT_H */
