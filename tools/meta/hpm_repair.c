// SPDX-License-Identifier: GPL-2.0-only
/*
 * hpm_repair: rebuilds metadata from what is left of them.
 *
 * Nothing that can be counted is trusted: trees are walked, and new metadata
 * are built from what they hold (build.c).  Trees can be walked from either
 * superblock: as long as the older one exists, all that it needs is kept, and
 * the journal since then, so it leads to the same state; the superblock from
 * which less is lost is taken.  The journal's records are copied, and the
 * engine replays them on the new device, where all counts are right.
 *
 * Without a superblock, the volume table is put together from the newest valid
 * version of each of its leaves.
 *
 * In the end, every mapping counts as shared.  A mapping from an older state
 * may name a block that something else maps, too, so it must not be written in
 * place.
 */
#include "check.h"
#include "find.h"
#include "main.h"
#include "mend.h"

static const char *opt_in, *opt_out, *opt_large, *opt_data, *opt_size;
static u64 meta_blocks;
static struct find_params sizes;

static const struct opt repair_opts[] = {
	{ "input", 'i', "DEV", "the damaged device; it is only read", &opt_in,
	  NULL },
	{ "output", 'o', "DEV2", "the device (or file) to build on", &opt_out,
	  NULL },
	{ "meta-size", 's', "SIZE",
	  "size of the metadata on DEV2 (all, or as much as a pool there has)",
	  &opt_size, NULL },
	{ "large-block", 'b', "SIZE", "if the label is gone", &opt_large,
	  NULL },
	{ "data-size", 'd', "SIZE", "if both superblocks are gone", &opt_data,
	  NULL },
	{ 0 },
};

static const struct usage repair_usage = {
	.synopsis = "[options] -i DEV -o DEV2",
	.what = "Builds metadata on DEV2 from what can be read of those on DEV, and reports\n"
		"what is lost.  DEV is never written to.\n\n"
		"exit status: 0 nothing is lost, 1 nothing could be built, 2 usage, 3 built,\n"
		"with losses that were reported",
	.opts = repair_opts,
	.examples = "  hpm_repair -i /dev/vg/pool_meta -o /dev/vg/pool_meta2\n"
		    "  hpm_repair -b 2M -i meta.img -o new.img\n",
};

struct repair {
	struct pool in;
	struct walk_params params;
	struct walk_result res;
	struct found found;
	struct journal_state journal;
	struct dev out;
	bool lost_records;
};

/*----------------------------------------------------------------
 * Choosing the state
 *--------------------------------------------------------------*/

static void take_state(struct repair *r, const struct hpm_super *sb)
{
	struct pool *p = &r->in;

	p->sb = sb;
	p->meta_blocks =
		min_t(u64, le64_to_cpu(sb->meta_blocks), p->dev.blocks);
	p->data_blocks = le64_to_cpu(sb->data_blocks);
	p->epoch = le64_to_cpu(sb->head.epoch);
	p->time = le32_to_cpu(sb->time);
	r->params = (struct walk_params){
		.tolerant = true,
		.recount = true,
		.volumes = &sb->array[HPM_ARR_VOLUME],
		.dying = &sb->array[HPM_ARR_DYING],
	};
}

static u64 losses(struct repair *r)
{
	bool quiet = tool.quiet;
	u64 n = U64_MAX;

	tool.quiet = true;
	if (!walk_losses(&r->in, &r->params, &r->res))
		n = r->res.lost_nodes + r->res.lost_volumes;
	tool.quiet = quiet;
	return n;
}

static u64 generation(const struct pool *p, unsigned int i)
{
	return p->super_fault[i] ? 0 : le64_to_cpu(p->super[i].generation);
}

/* Chooses the newer superblock, unless the older one loses less. */
static int choose_state(struct repair *r)
{
	struct pool *p = &r->in;
	unsigned int newer = generation(p, 1) > generation(p, 0);
	u64 lost;

	take_state(r, &p->super[newer]);
	lost = losses(r);
	if (lost && !p->super_fault[!newer]) {
		take_state(r, &p->super[!newer]);
		if (losses(r) < lost) {
			note("the older superblock (block %llu) leads to more than the newer one",
			     le64_to_cpu(p->sb->head.blocknr));
			return 0;
		}
		take_state(r, &p->super[newer]);
	}
	return 0;
}

/*----------------------------------------------------------------
 * Building
 *--------------------------------------------------------------*/

/* Copies the ring blocks of the batches that continue the state. */
static int copy_journal(struct repair *r)
{
	const struct pool *p = &r->in;
	u64 pos = le64_to_cpu(p->sb->journal_pos), block;
	void *buf = blocks_alloc(1);
	int err = buf ? 0 : -ENOMEM;

	for (; pos != r->journal.pos && !err; pos++) {
		block = p->journal_start + pos % p->journal_blocks;
		err = dev_read(&p->dev, block, 1, buf);
		if (!err)
			err = dev_write(&r->out, block, 1, buf);
	}
	if (!err)
		err = dev_flush(&r->out);
	free(buf);
	return err ? complain("the journal cannot be copied: %s",
			      strerror(-err)) :
		     0;
}

static int build_once(struct repair *r, bool journal)
{
	struct build *b = build_new(&r->out, meta_blocks);
	int ret;

	if (!b)
		return -1;
	build_journal(b, journal ? r->in.sb : NULL, r->in.journal_start,
		      r->in.journal_blocks);
	ret = walk_pool(&r->in, &r->params, &build_sink, b, &r->res);
	build_free(b);
	return !ret && journal ? copy_journal(r) : ret;
}

static int settle(struct repair *r, const char **why)
{
	struct pool p = { .dev = r->out };
	int ret;

	*why = "it could not be read back";
	ret = pool_load(&p, NULL, NULL);
	return ret ? ret : settle_rebuilt(&p, why);
}

static int build(struct repair *r)
{
	bool journal = r->journal.batches;
	const char *why;
	int ret;

	if (build_once(r, journal))
		return -1;
	ret = settle(r, &why);
	if (!ret)
		return 0;
	/*
	 * Records may be dropped if they are damaged, but not because the
	 * device is too small.
	 */
	if (ret == -ENOSPC)
		return complain(
			"%s is too small for what was found and the journal's records: repair into a larger device",
			r->out.path);
	if (!journal)
		return complain("what was built cannot be used: %s", why);
	note("%llu records of the journal cannot be applied and are lost: %s",
	     r->journal.records, why);
	r->lost_records = true;
	if (build_once(r, false))
		return -1;
	return settle(r, &why) ?
		       complain("what was built cannot be used: %s", why) :
		       0;
}

static void say_fault(void *ctx, const char *line)
{
	fault(ctx, "%s", line);
}

static int check_built(struct repair *r)
{
	struct report rep = { 0 };
	struct pool p = { .dev = r->out };
	int ret = pool_load(&p, say_fault, &rep);

	if (!ret)
		ret = check_state(&p, &rep);
	if (rep.faults || rep.leaks || rep.stale_totals)
		ret = complain("what was built is not consistent");
	free(rep.leak);
	return ret;
}

/*----------------------------------------------------------------
 * The input
 *--------------------------------------------------------------*/

static int parse_sizes(struct find_params *fp)
{
	u64 bytes;

	if (opt_large) {
		if (parse_bytes(opt_large, &bytes))
			return -1;
		if (!is_power_of_2(bytes) || bytes < 64 << 10 ||
		    bytes > 2 << 20)
			return complain(
				"a large block is a power of two from 64K to 2M");
		fp->large_shift = ilog2(bytes >> HPM_BLOCK_SHIFT);
	}
	if (opt_data) {
		if (parse_bytes(opt_data, &bytes))
			return -1;
		fp->data_blocks = bytes >> HPM_BLOCK_SHIFT;
	}
	return 0;
}

static int read_input(struct repair *r)
{
	struct pool *p = &r->in;

	if (find_label(p, &sizes))
		return -1;
	if (!p->super_fault[0] || !p->super_fault[1])
		return choose_state(r);
	note("both superblocks are gone; the volume table is put together from its leaves");
	if (find_volumes(p, &sizes, &r->found))
		return -1;
	take_state(r, &p->super[0]);
	r->params.volumes = NULL;
	r->params.dying = NULL;
	r->params.found = r->found.vol;
	r->params.nr_found = r->found.nr;
	return 0;
}

static int look_at_journal(struct repair *r)
{
	/* Without a superblock, it is not known where the journal begins. */
	if (r->found.nr || !r->in.journal_blocks || !r->in.sb->nonce)
		return 0;
	if (journal_look(&r->in, r->in.sb, &r->journal))
		return -1;
	if (r->journal.damaged) {
		note("block %llu (journal) is damaged: the records behind it are lost",
		     r->journal.damaged);
		r->lost_records = true;
	}
	return 0;
}

static int repair(struct repair *r)
{
	int ret = -1;

	if (read_input(r) || look_at_journal(r))
		return -1;
	if (dev_open(&r->out, opt_out, DEV_WRITE))
		return -1;
	if (dev_is(&r->in.dev, r->out.fd))
		complain("%s is the input", opt_out);
	else if (!build(r) && !check_built(r))
		ret = 0;
	dev_close(&r->out);
	return ret;
}

static int repair_device(void)
{
	struct repair *r = calloc(1, sizeof(*r));
	int status = ST_DAMAGED;

	if (!r || dev_open(&r->in.dev, opt_in, 0)) {
		free(r);
		return ST_DAMAGED;
	}
	if (!repair(r)) {
		note("rebuilt: %llu volumes", r->res.volumes);
		status = ST_OK;
		if (r->res.lost_nodes || r->res.lost_volumes ||
		    r->lost_records || r->found.nr)
			status = ST_LEAKS;
	}
	pool_close(&r->in);
	free(r->found.vol);
	free(r);
	return status;
}

int hpm_repair_main(int argc, char **argv)
{
	int n;

	opt_in = opt_out = opt_large = opt_data = opt_size = NULL;
	meta_blocks = 0;
	sizes = (struct find_params){ 0 };
	tool_begin("hpm_repair");
	n = options(argc, argv, &repair_usage);
	if (n == -2)
		return ST_OK;
	if (n || !opt_in || !opt_out) {
		if (n >= 0)
			complain(
				"-i DEV and -o DEV2 must be given, and nothing else");
		return ST_USAGE;
	}
	if (parse_sizes(&sizes) ||
	    (opt_size && parse_meta_size(opt_size, &meta_blocks)))
		return ST_USAGE;
	return repair_device();
}
