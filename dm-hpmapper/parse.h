/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a table line and a message say, as far as their words tell: the targets
 * look at what that means for a pool.  Like the engine it is one code for the
 * kernel and for user space, where a fuzzer reaches it.
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
	bool adopt_data;	/* take a data device with a wrong mark, once */
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

/* <pool dev> <volume id>, of a table of so many sectors. */
int hpm_parse_volume_line(unsigned int argc, char **argv, u64 sectors, u32 *id,
			  char **why);

/*
 *----------------------------------------------------------------
 * Messages
 *--------------------------------------------------------------
 */

/*
 * All messages.  Of each: its name in the enumeration; its word, with which msg_<word>()
 * in pool-message.c carries it out; whether it writes, so that a pool that is read-only
 * refuses it; how many words must follow the first; and for each word that may follow,
 * the function in parse.c that reads it.  All tables of messages are made of this list,
 * so a message that lacks something does not compile.
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

/* The keys of the message cache, and from where to where their numbers go. */
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

/* What is not said is 0, NULL or false. */
struct hpm_message {
	enum hpm_message_type type;
	const char *word;	/* its first, as the documentation has it */
	const char *about;	/* its second as it was given, or NULL */
	bool writes;		/* not for a pool that is read-only */
	u32 id;
	u32 origin;
	u64 blocks;		/* a size; 0: not set */
	const char *name;	/* points into the message; NULL: none */
	bool on;
	u64 old_tid, new_tid;
	u64 number;		/* of nodes, KiB/s, or what ->key is about */
	enum hpm_cache_key key;
	enum hpm_defrag_action action;
};

#define HPM_WHY_SIZE	160

/* -EINVAL, -ENAMETOOLONG: @why is a sentence. */
int hpm_parse_message(unsigned int argc, char **argv, struct hpm_message *m,
		      char why[HPM_WHY_SIZE]);

#endif /* HPM_PARSE_H */
