/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parser of table lines and messages.  It checks the words; the targets
 * check what these mean for a pool.  Like the engine, it is also compiled for
 * user space, where a fuzzer tests it.
 */
#ifndef HPM_PARSE_H
#define HPM_PARSE_H

#include "env.h"
#include "format.h"

/*
 *----------------------------------------------------------------
 * Table lines
 *--------------------------------------------------------------
 */

struct hpm_features {
	bool discard;		/* volumes take discards */
	bool discard_passdown;
	bool error_if_no_space;
	bool read_only;
	bool adopt_data;	/* accept a device with a wrong mark, once */
	bool share;		/* the interceptor may serve shared blocks */
};

struct hpm_pool_line {
	unsigned int large_shift;	/* in small blocks */
	u64 low_water;			/* small blocks */
	struct hpm_features features;
};

/*
 * <metadata dev> <data dev> <large block sectors> <low water mark>
 * [<#feature args> [<arg>]*]
 *
 * -EINVAL: *why is a sentence.
 */
int hpm_parse_pool_line(unsigned int argc, char **argv,
			struct hpm_pool_line *line, char **why);

/* <pool dev> <volume id>; @sectors: the length of the table. */
int hpm_parse_volume_line(unsigned int argc, char **argv, u64 sectors, u32 *id,
			  char **why);

/*
 *----------------------------------------------------------------
 * Messages
 *--------------------------------------------------------------
 */

/*
 * All messages.  Each has: its name in the enumeration; its word, for which
 * msg_<word>() in pool-message.c carries it out; whether it writes, so that a
 * read-only pool refuses it; how many words must follow the first; and for each
 * word that may follow, the function in parse.c that reads it.  All tables of
 * messages are made from this list, so a message without one of these functions
 * does not compile.
 */
#define HPM_MESSAGES(_)							\
	_(CREATE_THIN, create_thin, true, 1, read_id, read_size, read_name) \
	_(CREATE_SNAP, create_snap, true, 2, read_id, read_origin, read_name) \
	_(DELETE, delete, true, 1, read_id)				\
	_(SET_TRANSACTION_ID, set_transaction_id, true, 2, read_old_tid, \
	  read_new_tid)							\
	_(HOLD, reserve_metadata_snap, true, 0)				\
	_(RELEASE, release_metadata_snap, true, 0)			\
	_(SET_SIZE, set_size, true, 2, read_id, read_size)		\
	_(SET_NAME, set_name, true, 2, read_id, read_name_or_none)	\
	_(SET_SHARING, set_sharing, true, 2, read_id, read_switch)	\
	_(SET_READONLY, set_readonly, true, 2, read_id, read_switch)	\
	_(LIST, list, false, 0, read_id)				\
	_(INFO, info, false, 1, read_id)				\
	_(CHECKPOINT, checkpoint, true, 0)				\
	_(MAP_CACHE, map_cache, false, 1, read_nodes)			\
	_(CACHE, cache, false, 1, read_cache_key, read_cache_value)	\
	_(DEFRAG, defrag, false, 1, read_action, read_limit)

#define HPM_MESSAGE_NUMBER(id, word, ...)	HPM_MSG_##id,
enum hpm_message_type {
	HPM_MESSAGES(HPM_MESSAGE_NUMBER)
	HPM_NR_MESSAGES
};

/* The keys of the message "cache", with the range of their numbers. */
#define HPM_CACHE_KEYS(_)						\
	_(SHARE, share, 0, 0)						\
	_(COPIES_LIMIT, copies_limit, 1, 1024)				\
	_(ENTRIES, entries, 1, ULONG_MAX / 2)				\
	_(SCAN_MS, scan_ms, 10, UINT_MAX)				\
	_(EVICT, evict, 0, 0)

#define HPM_CACHE_KEY_NUMBER(id, word, min, max)	HPM_CACHE_##id,
enum hpm_cache_key {
	HPM_CACHE_KEYS(HPM_CACHE_KEY_NUMBER)
};

enum hpm_defrag_action {
	HPM_DEFRAG_START,
	HPM_DEFRAG_STOP,
	HPM_DEFRAG_STATUS,
};

/* A parsed message.  Fields that it does not set are 0, NULL or false. */
struct hpm_message {
	enum hpm_message_type type;
	const char *word;	/* the first word, as in HPM_MESSAGES */
	const char *about;	/* the second word as it was given, or NULL */
	bool writes;		/* a read-only pool refuses it */
	u32 id;
	u32 origin;
	u64 blocks;		/* a size; 0: not set */
	const char *name;	/* points into the message; NULL: none */
	bool on;
	u64 old_tid, new_tid;
	u64 number;		/* of nodes, KiB/s, or the value of ->key */
	enum hpm_cache_key key;
	enum hpm_defrag_action action;
};

#define HPM_WHY_SIZE	160

/* -EINVAL, -ENAMETOOLONG: @why is a sentence. */
int hpm_parse_message(unsigned int argc, char **argv, struct hpm_message *m,
		      char why[HPM_WHY_SIZE]);

#endif /* HPM_PARSE_H */
