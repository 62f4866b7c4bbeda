// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opens a recorded pool as a power failure would have left it, at one point of
 * the log after another, and compares all of it.
 *
 *	replay --log FILE --dir DIR [--load-seed N] [--seed N] [--points N]
 *	       [--point P --variant V] [--fsck N] [--exports N] [--stop]
 *	       [--fault NAME] [--plain]
 *
 * A point is a place behind a flush, a FUA write or a mark, and a variant.  In
 * variant 0, all that was not flushed is lost.  In the others, a random part of
 * it is there: all of it, the first part, or a random choice of writes, blocks
 * or sectors; and a part of the next FUA write.  In one of three of these, the
 * power fails again during the recovery; one of eight is used afterwards and
 * crashes a few more times (life.c).
 *
 * At each point the pool must open, and its metadata must be consistent, by a
 * check that uses nothing of the engine.  Exactly the expected volumes must
 * exist, and each sector of the stamped ones must have an allowed content
 * (oracle.c).  At every N-th point (--fsck), e2fsck must find no error in the
 * ext4 volumes.  --exports writes the file systems of this many points to DIR,
 * to be mounted by a kernel.  --stop ends the run at the first point with a
 * violation.
 *
 * With --plain there is no pool: the data slice itself is volume 1.  The
 * durable content by the log is compared with what the writers were told.
 *
 * Status 0: no violation.  1: some violations; each message says how to repeat
 * it.
 */
#include <getopt.h>
#include <sys/stat.h>
#include <time.h>

#include "hpm_check.h"
#include "replay.h"

#define ALL_LOST 0u
#define MAX_TOLD 40u

static struct {
	struct log log;
	struct oracle *oracle;
	const char *log_path, *dir, *fault;
	u64 load_seed, seed, points, fsck, exports;
	bool one, stop, plain;
	u64 point; /* the present one, or the only one */
	u64 variant;
	u64 *cache[NR_SLICES]; /* unflushed entries */
	u64 nr_cache[NR_SLICES], max_cache[NR_SLICES];
	u64 tried, recoveries, lives, fscks, exported;
	u64 violations, told;
	char last_line[512];
} r;

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "replay: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(2);
}

void complain(const char *fmt, ...)
{
	va_list args;

	r.violations++;
	if (r.told++ >= MAX_TOLD)
		return;
	fprintf(stderr,
		"  violation at --point %llu --variant %llu --seed %llu: ",
		r.point, r.variant, r.seed);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
}

static void keep_line(void *ctx, enum hpm_env_level level, const char *line)
{
	(void)ctx;
	if (level <= HPM_ENV_WARN)
		strscpy(r.last_line, line, sizeof(r.last_line));
}

/*----------------------------------------------------------------
 * The device's cache
 *--------------------------------------------------------------*/

static void put_part(const struct entry *e, u64 from, u64 nr)
{
	u64 at = (e->sector + from) * SECTOR;

	if (e->flags & LOG_DISCARD)
		image_fill(at, nr * SECTOR);
	else
		image_put(at, e->data + from * SECTOR, nr * SECTOR);
}

static void put_entry(const struct entry *e)
{
	put_part(e, 0, e->nr);
}

static void cache_add(u64 at)
{
	enum slice s = r.log.entry[at].slice;

	if (r.nr_cache[s] == r.max_cache[s]) {
		r.max_cache[s] = r.max_cache[s] * 2 + 256;
		r.cache[s] = realloc(r.cache[s], r.max_cache[s] * sizeof(u64));
		if (!r.cache[s])
			die("no memory");
	}
	r.cache[s][r.nr_cache[s]++] = at;
}

static void cache_flush(enum slice s)
{
	u64 i;

	for (i = 0; i < r.nr_cache[s]; i++)
		put_entry(&r.log.entry[r.cache[s][i]]);
	r.nr_cache[s] = 0;
}

/* Advances the device by one entry. */
static void pass_entry(u64 at)
{
	const struct entry *e = &r.log.entry[at];

	if (e->flags & LOG_MARK)
		return;
	if (e->flags & LOG_FLUSH)
		cache_flush(e->slice);
	if (e->flags & LOG_FUA)
		put_entry(e);
	else if (e->nr)
		cache_add(at);
}

enum loss {
	LOSE_NONE,
	LOSE_TAIL,
	LOSE_WRITES,
	LOSE_BLOCKS,
	LOSE_SECTORS,
	NR_LOSSES
};

static void put_some(const struct entry *e, enum loss loss, uint64_t *rnd)
{
	u64 unit = loss == LOSE_SECTORS ? 1 :
		   loss == LOSE_BLOCKS	? BLOCK :
					  e->nr,
	    at;

	for (at = 0; at < e->nr; at += unit)
		if (loss == LOSE_NONE || crash_rnd(rnd, 2))
			put_part(e, at, min(unit, e->nr - at));
}

/*
 * The unflushed entries of both slices in log order, and those that come next.
 */
static u64 unflushed(u64 p, u64 **list)
{
	u64 nr = 0, i = 0, j = 0, at, *all;

	for (at = p + 1; at < r.log.nr && entry_is_plain(&r.log.entry[at]);)
		at++;
	all = malloc((r.nr_cache[0] + r.nr_cache[1] + at - p) * sizeof(*all));
	if (!all)
		die("no memory");
	while (i < r.nr_cache[0] || j < r.nr_cache[1]) {
		if (j == r.nr_cache[1] ||
		    (i < r.nr_cache[0] && r.cache[0][i] < r.cache[1][j]))
			all[nr++] = r.cache[0][i++];
		else
			all[nr++] = r.cache[1][j++];
	}
	for (at = p + 1; at < r.log.nr && entry_is_plain(&r.log.entry[at]);
	     at++)
		all[nr++] = at;
	*list = all;
	return nr;
}

static void lose(u64 p, uint64_t *rnd)
{
	enum loss loss = crash_rnd(rnd, NR_LOSSES);
	u64 *list, nr = unflushed(p, &list), i, tail;
	const struct entry *e;

	tail = crash_rnd(rnd, nr + 1);
	for (i = 0; i < nr && (loss != LOSE_TAIL || i < tail); i++)
		put_some(&r.log.entry[list[i]],
			 loss == LOSE_TAIL ? LOSE_NONE : loss, rnd);
	free(list);
	/* Only if nothing, not even a mark, is in between. */
	e = &r.log.entry[p + 1];
	if (p + 1 < r.log.nr && e->flags & LOG_FUA && crash_rnd(rnd, 2))
		put_some(e, crash_rnd(rnd, 2) ? LOSE_SECTORS : LOSE_BLOCKS,
			 rnd);
}

/*----------------------------------------------------------------
 * Looking at a crash
 *--------------------------------------------------------------*/

static int open_pool(struct hpm_md **md, const char **why)
{
	const struct hpm_md_params params = {};
	static const struct hpm_md_ops ops;

	r.last_line[0] = 0;
	return hpm_md_open(image_io(), &params, &ops, NULL, md, why);
}

struct hpm_md *reopen(void)
{
	struct hpm_md *md;
	const char *why;
	int err = open_pool(&md, &why);

	if (!err)
		return md;
	complain("the pool does not open: %s (%d) %s", why, err, r.last_line);
	return NULL;
}

/* Interrupts the recovery, and repeats it. */
static struct hpm_md *open_twice(uint64_t *rnd)
{
	struct hpm_md *md;
	const char *why;
	int err;

	r.recoveries++;
	r.tried++;
	image_cut_at(1 + crash_rnd(rnd, 24));
	err = open_pool(&md, &why);
	if (!err && !image_is_cut()) {
		image_cut_at(0);
		return md;
	}
	if (!err)
		hpm_md_close(md);
	image_tear((u64 *)rnd, crash_rnd(rnd, 2));
	return reopen();
}

static void on_error(void *ctx, const char *line)
{
	(void)ctx;
	complain("check: %s", line);
}

static void on_volume(void *ctx, u32 id, u64 serial)
{
	(void)ctx;
	(void)serial;
	oracle_volume(r.oracle, id);
}

static void on_mapping(void *ctx, u64 vbn, u64 pbn, u32 nr)
{
	(void)ctx;
	oracle_mapping(r.oracle, vbn, pbn, nr);
}

static void compare(void)
{
	struct hpm_check_params p = {
		.super = HPM_CHECK_NEWEST,
		.error = on_error,
		.volume = on_volume,
		.mapping = on_mapping,
	};
	struct hpm_check_result res;

	oracle_begin(r.oracle);
	if (!hpm_check(image_io(), &p, &res) && !res.errors)
		oracle_end(r.oracle);
	/* The older state must be consistent as well. */
	p.super = HPM_CHECK_OLDER;
	p.volume = NULL;
	p.mapping = NULL;
	hpm_check(image_io(), &p, &res);
}

static void compare_plain(void)
{
	oracle_begin(r.oracle);
	oracle_volume(r.oracle, 1);
	oracle_mapping(r.oracle, 0, 0, VOL_SECTORS / BLOCK);
	oracle_end(r.oracle);
}

/*----------------------------------------------------------------
 * File systems
 *--------------------------------------------------------------*/

static u32 wanted;
static bool is_it;

static void pick_volume(void *ctx, u32 id, u64 serial)
{
	(void)ctx;
	(void)serial;
	is_it = id == wanted;
}

static void pick_mapping(void *ctx, u64 vbn, u64 pbn, u32 nr)
{
	(void)ctx;
	if (is_it)
		fsck_mapping(vbn, pbn, nr);
}

static void copy_volume(u32 id, const char *path)
{
	struct hpm_check_params p = {
		.super = HPM_CHECK_NEWEST,
		.error = on_error,
		.volume = pick_volume,
		.mapping = pick_mapping,
	};
	struct hpm_check_result res;

	wanted = id;
	is_it = false;
	fsck_begin(id, path);
	hpm_check(image_io(), &p, &res);
	fsck_end();
}

static void expect_file(u32 id, const char *image)
{
	char path[600];
	FILE *f;

	snprintf(path, sizeof(path), "%s.expect", image);
	f = fopen(path, "w");
	if (!f)
		die("%s: %s", path, strerror(errno));
	oracle_expect(r.oracle, id, f);
	fclose(f);
}

static void file_systems(bool export)
{
	static const u32 ids[] = { 500, 501, 600, 601 };
	char path[500];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		char fs = oracle_fs(r.oracle, ids[i]);

		if (!fs)
			continue;
		if (export) {
			snprintf(path, sizeof(path),
				 "%s/export/%llu-%llu-%u.%s", r.dir, r.point,
				 r.variant, ids[i], fs == 'e' ? "ext4" : "xfs");
			copy_volume(ids[i], path);
			expect_file(ids[i], path);
		} else if (fs == 'e') {
			snprintf(path, sizeof(path), "%s/fsck.img", r.dir);
			copy_volume(ids[i], path);
			fsck_ext4(path);
			r.fscks++;
		}
	}
}

/*----------------------------------------------------------------
 * Points
 *--------------------------------------------------------------*/

static bool is_blank(void)
{
	const u8 *label = image_at(0);
	unsigned int i;

	for (i = 0; i < HPM_BLOCK_SIZE; i++)
		if (label[i])
			return false;
	return true;
}

static void look_at_pool(struct hpm_md *md, uint64_t *rnd)
{
	u64 before = r.violations;

	compare();
	if (r.fsck && r.tried % r.fsck == 0 && r.violations == before)
		file_systems(false);
	if (r.exports && r.tried * r.exports / r.points > r.exported &&
	    oracle_fs(r.oracle, 601)) {
		file_systems(true);
		r.exported++;
	}
	if (r.variant && crash_rnd(rnd, 8) == 0) {
		r.lives++;
		life(md, *rnd);
	} else {
		hpm_md_close(md);
	}
}

static void look(u64 p, u64 variant)
{
	uint64_t rnd = crash_mix(r.seed ^ crash_mix(p << 16 | variant));
	struct hpm_md *md;

	r.point = p;
	r.variant = variant;
	r.tried++;
	hpm_env_seed(rnd);
	image_view_open();
	if (variant != ALL_LOST)
		lose(p, &rnd);
	image_view_settle();
	if (r.plain) {
		compare_plain();
		goto out;
	}
	if (is_blank() && oracle_may_be_blank(r.oracle))
		goto out;
	if (variant != ALL_LOST && !crash_rnd(&rnd, 3))
		md = open_twice(&rnd);
	else
		md = reopen();
	if (md)
		look_at_pool(md, &rnd);
out:
	image_view_close();
}

static bool is_barrier(const struct entry *e)
{
	return e->flags & (LOG_FLUSH | LOG_FUA | LOG_MARK);
}

static u64 count_barriers(void)
{
	u64 i, nr = 0;

	for (i = 0; i < r.log.nr; i++)
		nr += is_barrier(&r.log.entry[i]);
	return nr;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void progress(u64 p, double start, bool end)
{
	static double last;
	double now = seconds();

	if (!end && now - last < 5)
		return;
	last = now;
	printf("  entry %llu of %llu: %llu points (%llu with a crash in the recovery, %llu used again), %llu e2fsck, %llu sectors compared, %llu violations, %.0f s\n",
	       p, r.log.nr, r.tried, r.recoveries, r.lives, r.fscks,
	       oracle_checked(r.oracle), r.violations, now - start);
	fflush(stdout);
}

/*
 * Looks at some variants of a barrier, such that r.points are looked at in
 * total.
 */
static void look_here(u64 p, u64 nr, u64 barriers)
{
	u64 first = nr * r.points / barriers;
	u64 count = (nr + 1) * r.points / barriers - first, v;

	/* With fewer points than barriers, every third one is of variant 0. */
	if (r.points < barriers) {
		if (count)
			look(p, first % 3);
		return;
	}
	for (v = 0; v < count; v++)
		look(p, v);
}

static int replay(void)
{
	u64 barriers = count_barriers(), nr = 0, p;
	double start = seconds();

	printf("replay: %llu entries, %llu flushes, FUA writes and marks; seed %llu\n",
	       r.log.nr, barriers, r.seed);
	if (r.plain)
		r.points = barriers; /* ALL_LOST */
	if (r.points > 64 * barriers)
		r.points = 64 * barriers;
	for (p = 0; p < r.log.nr; p++) {
		pass_entry(p);
		oracle_advance(r.oracle, p);
		if (r.one && p == r.point) {
			look(p, r.variant);
			break;
		}
		if (r.one || !is_barrier(&r.log.entry[p]))
			continue;
		look_here(p, nr++, barriers);
		if (r.stop && r.violations)
			break;
		progress(p, start, false);
	}
	progress(min(p, r.log.nr), start, true);
	return r.violations ? 1 : 0;
}

static u64 number(const char *s)
{
	return strtoull(s, NULL, 0);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "log", required_argument, NULL, 'l' },
		{ "dir", required_argument, NULL, 'd' },
		{ "load-seed", required_argument, NULL, 'L' },
		{ "seed", required_argument, NULL, 's' },
		{ "points", required_argument, NULL, 'n' },
		{ "point", required_argument, NULL, 'p' },
		{ "variant", required_argument, NULL, 'v' },
		{ "fsck", required_argument, NULL, 'f' },
		{ "exports", required_argument, NULL, 'e' },
		{ "stop", no_argument, NULL, 'S' },
		{ "fault", required_argument, NULL, 'F' },
		{ "plain", no_argument, NULL, 'P' },
		{}
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'l':
			r.log_path = optarg;
			break;
		case 'd':
			r.dir = optarg;
			break;
		case 'L':
			r.load_seed = number(optarg);
			break;
		case 's':
			r.seed = number(optarg);
			break;
		case 'n':
			r.points = number(optarg);
			break;
		case 'p':
			r.point = number(optarg);
			r.one = true;
			break;
		case 'v':
			r.variant = number(optarg);
			break;
		case 'f':
			r.fsck = number(optarg);
			break;
		case 'e':
			r.exports = number(optarg);
			break;
		case 'S':
			r.stop = true;
			break;
		case 'F':
			r.fault = optarg;
			break;
		case 'P':
			r.plain = true;
			break;
		default:
			exit(2);
		}
	}
	if (!r.log_path || !r.dir)
		die("--log and --dir must be given");
}

int main(int argc, char **argv)
{
	char path[500];

	r.load_seed = 1;
	r.seed = 1;
	r.points = 1000;
	parse(argc, argv);
#ifdef CONFIG_DM_HPMAPPER_FAULTS
	if (r.fault && hpm_fault_plant(r.fault))
		die("there is no fault %s", r.fault);
#else
	if (r.fault)
		die("this program was built without faults");
#endif
	snprintf(path, sizeof(path), "%s/export", r.dir);
	mkdir(path, 0777);
	hpm_env_set_log(keep_line, NULL);
	log_read(&r.log, r.log_path);
	image_init(r.plain ? 0 : DISCARDED);
	r.oracle = oracle_create(&r.log, r.load_seed, r.dir);
	return replay();
}
