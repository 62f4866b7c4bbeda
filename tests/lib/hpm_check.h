/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Is a pool's metadata whole?  Walks everything that a superblock refers to,
 * counts every reference by itself and compares.
 *
 * It knows the format and nothing of the engine: what both get wrong in the
 * same way would go unnoticed otherwise.  It looks at the state of one
 * checkpoint.  To look at a pool as it would be after recovery, open it with
 * the engine over hpm_io_overlay() and check the overlay.
 */
#ifndef HPM_CHECK_H
#define HPM_CHECK_H

#include "hpm_lib.h"

enum hpm_check_super {
	HPM_CHECK_NEWEST,
	HPM_CHECK_OLDER,
	HPM_CHECK_BLOCK_A,
	HPM_CHECK_BLOCK_B,
};

struct hpm_check_params {
	enum hpm_check_super super;
	/* One sentence, without a full stop or an end of line. */
	void (*error)(void *ctx, const char *line);
	void *ctx;
	/* Every visible mapping of every volume; NULL: not wanted. */
	void (*volume)(void *ctx, u32 id, u64 serial);
	void (*mapping)(void *ctx, u64 vbn, u64 pbn, u32 nr);
};

struct hpm_check_result {
	u64 errors;
	u64 epoch;
	u64 generation;
	u64 record;		/* the last one that the state contains */
	u64 volumes, dying;
	u64 nodes;		/* metadata blocks reached, each once */
	u64 meta_used;		/* with the fixed areas */
	u64 data_used;		/* small blocks */
	u64 punched;		/* small blocks given back from under bases */
	u64 journal_batches;	/* that continue the state */
	u64 journal_records;
};

/*
 * 0: looked at all of it, and res->errors says how many faults there are.
 * Negative: nothing could be looked at (no label, no such superblock, memory);
 * the reason was told as an error.
 */
int hpm_check(struct hpm_io *io, const struct hpm_check_params *params,
	      struct hpm_check_result *res);

#endif /* HPM_CHECK_H */
