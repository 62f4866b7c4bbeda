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

enum hpm_message_type {
	HPM_MSG_CREATE_THIN,
	HPM_MSG_CREATE_SNAP,
	HPM_MSG_DELETE,
	HPM_MSG_SET_TRANSACTION_ID,
	HPM_MSG_HOLD,
	HPM_MSG_RELEASE,
	HPM_MSG_SET_SIZE,
	HPM_MSG_SET_NAME,
	HPM_MSG_SET_SHARING,
	HPM_MSG_SET_READONLY,
	HPM_MSG_LIST,
	HPM_MSG_INFO,
	HPM_MSG_CHECKPOINT,
	HPM_MSG_MAP_CACHE,
	HPM_MSG_CACHE,
	HPM_MSG_DEFRAG,
	HPM_NR_MESSAGES,
};

enum hpm_cache_key {
	HPM_CACHE_SHARE,
	HPM_CACHE_COPIES_LIMIT,
	HPM_CACHE_ENTRIES,
	HPM_CACHE_SCAN_MS,
	HPM_CACHE_EVICT,
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
