/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks that a pool's metadata is consistent: walks everything that a
 * superblock refers to, counts every reference by itself and compares the
 * counts.
 *
 * It knows the format but uses nothing of the engine, so that an error in the
 * engine is not repeated here and missed.  It looks at the state of one
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
	/* Called for every visible mapping of every volume; may be NULL. */
	void (*volume)(void *ctx, u32 id, u64 serial);
	void (*mapping)(void *ctx, u64 vbn, u64 pbn, u32 nr);
};

struct hpm_check_result {
	u64 errors;
	u64 epoch;
	u64 generation;
	u64 record; /* the last record in the state */
	u64 volumes, dying;
	u64 nodes;	     /* metadata blocks reached, each once */
	u64 meta_used;	     /* including the fixed areas */
	u64 data_used;	     /* small blocks */
	u64 punched;	     /* punched small blocks */
	u64 journal_batches; /* batches that follow the state */
	u64 journal_records;
};

/*
 * Returns 0: everything was checked, and res->errors is the number of faults.
 * Negative: nothing could be checked (no label, no such superblock, no memory);
 * the reason was reported as an error.
 */
int hpm_check(struct hpm_io *io, const struct hpm_check_params *params,
	      struct hpm_check_result *res);

#endif /* HPM_CHECK_H */
