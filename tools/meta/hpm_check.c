// SPDX-License-Identifier: GPL-2.0-only
/* hpm_check: is a pool's metadata whole? */
#include "check.h"
#include "main.h"
#include "mend.h"

static bool opt_repair, opt_quiet, opt_clear, opt_snap, opt_no_replay;

static const struct opt check_opts[] = {
	{ "auto-repair", 0, NULL, "lower counts that are too high", NULL,
	  &opt_repair },
	{ "clear-needs-check-flag", 0, NULL,
	  "if nothing is wrong, let the pool be used again", NULL, &opt_clear },
	{ "metadata-snap", 'm', NULL,
	  "check the held snapshot of a pool in use", NULL, &opt_snap },
	{ "no-replay", 0, NULL, "do not look at the state behind the journal",
	  NULL, &opt_no_replay },
	{ "quiet", 'q', NULL, "no messages, only the exit status", NULL,
	  &opt_quiet },
	{ 0 },
};

static const struct usage check_usage = {
	.synopsis = "[options] DEV",
	.what = "Checks the metadata of a pool that is not in use: every block, every count, the\n"
		"journal.  Nothing is written unless --auto-repair or --clear-needs-check-flag\n"
		"is given.\n\n"
		"exit status: 0 clean, 1 damaged, 2 usage or no result, 3 only leaks",
	.opts = check_opts,
	.examples = "  hpm_check /dev/vg/pool_meta\n"
		    "  hpm_check --auto-repair /dev/vg/pool_meta\n"
		    "  hpm_check --metadata-snap /dev/vg/pool_meta\n",
};

static void pool_fault(void *ctx, const char *line)
{
	fault(ctx, "%s", line);
}

static void reset(struct report *rep)
{
	free(rep->leak);
	*rep = (struct report){ 0 };
}

static int after_replay(struct pool *p, struct report *rep)
{
	const char *why;
	int r;

	/*
	 * Excess counts of the base state are also in the state with the
	 * journal.
	 */
	reset(rep);
	r = pool_replay(p, &why);
	if (r == -ENOMEM)
		return complain("%s", why);
	if (r) {
		fault(rep, "the journal cannot be replayed: %s", why);
		return 0;
	}
	return check_state(p, rep);
}

static int check_journal(struct pool *p, struct report *rep)
{
	struct journal_state j;

	if (journal_look(p, p->sb, &j))
		return -1;
	if (check_state(p, rep))
		return -1;
	if (j.damaged)
		fault(rep,
		      "block %llu (journal) is damaged: later records are there",
		      j.damaged);
	if (!j.batches || rep->faults || opt_no_replay)
		return 0;
	return after_replay(p, rep);
}

static int check_pool(struct pool *p, struct report *rep)
{
	u64 supers = rep->faults;
	int r;

	rep->faults = 0;
	if (opt_snap && !super_holds(p->sb))
		return complain("no metadata snapshot is held");
	r = opt_snap ? check_held(p, rep) : check_journal(p, rep);
	/* One superblock is enough to continue, but there should be two. */
	rep->faults += supers;
	return r;
}

/*
 * The replay has made nodes and superblocks in memory, in front of the device.
 * Repairs begin with what is on the device.
 */
static void forget_replay(struct pool *p)
{
	struct dev *d = &p->dev;

	if (d->over)
		overlay_free(d->over);
	d->over = NULL;
}

static int mend(struct pool *p, struct report *rep)
{
	u64 leaks = rep->leaks;

	if (leaks != rep->nr_leak)
		return complain("out of memory");
	forget_replay(p);
	if (mend_leaks(p, rep))
		return -1;
	reset(rep);
	if (pool_load(p, pool_fault, rep) || check_pool(p, rep))
		return -1;
	if (!rep->faults && !rep->leaks && !rep->stale_totals)
		note("repaired: %llu counts were lowered", leaks);
	return 0;
}

static int verdict(const struct report *rep)
{
	if (rep->faults) {
		note("damaged: %llu faults, %llu leaks (hpm_repair rebuilds into another device)",
		     rep->faults, rep->leaks);
		return ST_DAMAGED;
	}
	if (rep->leaks || rep->stale_totals) {
		note("%llu counts are too high, %llu totals are wrong; nothing is lost (--auto-repair repairs this)",
		     rep->leaks, rep->stale_totals);
		return ST_LEAKS;
	}
	return ST_OK;
}

static int flag(struct pool *p, int status)
{
	if (!(le32_to_cpu(p->sb->flags) & HPM_SB_NEEDS_CHECK))
		return status;
	if (!opt_clear) {
		note("the pool asked for a check; --clear-needs-check-flag lets it be used again");
		return status;
	}
	if (status != ST_OK) {
		note("the flag is not cleared");
		return status;
	}
	forget_replay(p);
	if (pool_load(p, NULL, NULL))
		return ST_USAGE;
	return clear_needs_check(p) ? ST_USAGE : ST_OK;
}

static int check_device(const char *path)
{
	unsigned int flags = opt_repair || opt_clear ? DEV_WRITE : 0;
	struct report rep = { 0 };
	struct pool p;
	int status = ST_USAGE;

	if (opt_snap)
		flags = DEV_LIVE;
	if (pool_open(&p, path, flags, pool_fault, &rep)) {
		status = rep.faults ? ST_DAMAGED : ST_USAGE;
		reset(&rep);
		return status;
	}
	if (!check_pool(&p, &rep) &&
	    (!opt_repair || rep.faults || !(rep.leaks || rep.stale_totals) ||
	     !mend(&p, &rep)))
		status = flag(&p, verdict(&rep));
	reset(&rep);
	pool_close(&p);
	return status;
}

int hpm_check_main(int argc, char **argv)
{
	int n;

	opt_repair = opt_quiet = opt_clear = opt_snap = opt_no_replay = false;
	tool_begin("hpm_check");
	n = options(argc, argv, &check_usage);
	tool.quiet = opt_quiet;
	if (n == -2)
		return ST_OK;
	if (n != 1 || (opt_snap && (opt_repair || opt_clear))) {
		if (n >= 0)
			complain(n == 1 ? "a held snapshot is only looked at" :
					  "one device must be given");
		return ST_USAGE;
	}
	return check_device(argv[1]);
}
