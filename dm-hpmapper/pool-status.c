// SPDX-License-Identifier: GPL-2.0-only
/*
 * Status and table lines
 */
#include "cache.h"
#include "pool-priv.h"

/*
 * Applies and commits what was published, so that the status includes it.  Does
 * nothing with --noflush, or if the pool is suspended or refuses writes.
 */
static void bring_up_to_date(struct dm_target *ti, struct hpm_pool *pool,
			     unsigned int status_flags)
{
	unsigned int noio;

	if (status_flags & HPM_STATUS_NOFLUSH || dm_suspended(ti) ||
	    hpm_pool_refuses_writes(pool))
		return;

	noio = hpm_noio_begin();
	hpm_pool_settle(pool);
	hpm_noio_end(noio);
}

/* The pool's own fields that the status shows, all of one instant. */
struct words {
	struct hpm_features features;
	enum hpm_mode mode;
	bool meta_full;
	bool timed_out;
};

static void get_words(struct hpm_pool *pool, struct words *w)
{
	spin_lock_irq(&pool->lock);
	w->features = pool->features;
	w->mode = pool->mode;
	w->meta_full = pool->meta_full;
	w->timed_out = pool->timed_out;
	spin_unlock_irq(&pool->lock);
}

/* dm-thin calls a pool whose metadata is full read-only, too. */
static const char *mode_word(enum hpm_mode mode, bool meta_full)
{
	if (mode >= HPM_MODE_READ_ONLY || meta_full)
		return "ro";
	return mode == HPM_MODE_OUT_OF_DATA ? "out_of_data_space" : "rw";
}

static const char *discard_word(const struct hpm_features *f)
{
	if (!f->discard)
		return "ignore_discard";
	return f->discard_passdown ? "discard_passdown" : "no_discard_passdown";
}

/*
 * As in dm-thin:
 *
 *	<transaction id> <used>/<total metadata blocks>
 *	<used>/<total data blocks> <held root>|- ro|rw|out_of_data_space
 *	ignore_discard|[no_]discard_passdown
 *	queue_if_no_space|error_if_no_space needs_check|-
 *	<metadata low water mark>
 *
 * All blocks are of 4 KiB.
 */
static unsigned int emit_thin(const struct words *w,
			      const struct hpm_md_stats *st, char *result,
			      unsigned int sz, unsigned int maxlen)
{
	bool error = w->features.error_if_no_space || w->timed_out;

	DMEMIT("%llu %llu/%llu %llu/%llu ", st->transaction_id, st->meta_used,
	       st->meta_total, st->data_used, st->data_total);
	if (st->held_root)
		DMEMIT("%llu ", st->held_root);
	else
		DMEMIT("- ");
	DMEMIT("%s %s %s %s %llu", mode_word(w->mode, w->meta_full),
	       discard_word(&w->features),
	       error ? "error_if_no_space" : "queue_if_no_space",
	       st->needs_check ? "needs_check" : "-",
	       hpm_pool_meta_low_water(st));

	return sz;
}

/* Pairs of a key and a value.  Those of the cache end the line. */
static unsigned int emit_pairs(struct hpm_pool *pool, const struct words *w,
			       const struct hpm_md_stats *st, char *result,
			       unsigned int sz, unsigned int maxlen)
{
	DMEMIT(" time %u volumes %llu dying %llu", st->time, st->nr_volumes,
	       st->nr_dying);
	DMEMIT(" record %llu applied %llu durable %llu", st->record,
	       st->record_applied, st->record_durable);
	DMEMIT(" checkpoints %llu commits %llu journal_writes %llu",
	       st->checkpoints, st->commits, st->journal_writes);
	DMEMIT(" journal %llu/%llu nodes %llu/%llu", st->journal_blocks_used,
	       st->journal_blocks, st->nodes_cached, st->nodes_dirty);
	DMEMIT(" node_reads %llu node_writes %llu", st->node_reads,
	       st->node_writes);
	DMEMIT(" cow_blocks %lld copied_bytes %lld",
	       atomic64_read(&pool->cow_blocks),
	       atomic64_read(&pool->copied_bytes));
	DMEMIT(" inplace %lld hops %lld", percpu_counter_sum(&pool->inplace_bios),
	       atomic64_read(&pool->hop_bios));
	DMEMIT(" defrag %s moved %lld pinned %lld",
	       READ_ONCE(pool->defrag_running) ? "running" : "idle",
	       atomic64_read(&pool->defrag_moved),
	       atomic64_read(&pool->defrag_pinned));
	DMEMIT(" metadata %s", w->meta_full ? "full" : "ok");

	return hpm_cache_status(pool, result, sz, maxlen);
}

static void emit_status(struct dm_target *ti, struct hpm_table *t,
			unsigned int status_flags, char *result,
			unsigned int maxlen)
{
	struct hpm_pool *pool = t->pool;
	struct hpm_md_stats st;
	unsigned int sz = 0;
	struct words w;

	bring_up_to_date(ti, pool, status_flags);
	if (hpm_pool_failed(pool)) {
		DMEMIT("Fail");
		return;
	}

	hpm_md_get_stats(pool->md, &st);
	get_words(pool, &w);
	sz = emit_thin(&w, &st, result, sz, maxlen);
	emit_pairs(pool, &w, &st, result, sz, maxlen);
}

/*
 * The features that are not the default, as the table has them.  adopt_data is
 * left out, as it asks for something that is done only once.
 */
static unsigned int emit_features(const struct hpm_features *f, char *result,
				  unsigned int sz, unsigned int maxlen)
{
	DMEMIT("%u", !f->discard + !f->discard_passdown + f->read_only +
		     !f->error_if_no_space + !f->share);
	if (!f->discard)
		DMEMIT(" ignore_discard");
	if (!f->discard_passdown)
		DMEMIT(" no_discard_passdown");
	if (f->read_only)
		DMEMIT(" read_only");
	if (!f->error_if_no_space)
		DMEMIT(" queue_if_no_space");
	if (!f->share)
		DMEMIT(" no_sharing");

	return sz;
}

static void emit_table(struct hpm_table *t, char *result, unsigned int maxlen)
{
	char meta[16], data[16];
	unsigned int sz = 0;

	DMEMIT("%s %s %u %llu ",
	       format_dev_t(meta, t->meta_dev->bdev->bd_dev),
	       format_dev_t(data, t->data_dev->bdev->bd_dev),
	       HPM_BLOCK_SECTORS << t->large_shift, t->low_water);
	emit_features(&t->features, result, sz, maxlen);
}

void hpm_pool_status(struct dm_target *ti, status_type_t type,
		     unsigned int status_flags, char *result,
		     unsigned int maxlen)
{
	struct hpm_table *t = ti->private;

	switch (type) {
	case STATUSTYPE_INFO:
		emit_status(ti, t, status_flags, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		emit_table(t, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		*result = '\0';
		break;
	}
}
