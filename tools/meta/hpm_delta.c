// SPDX-License-Identifier: GPL-2.0-only
/*
 * hpm_delta: what differs between two volumes.
 *
 * Both trees are followed in parallel.  If the paths to a key meet in the same
 * node, everything below it is the same and is not read.  What remains are
 * intervals of keys.  As a large block's entries may lie in two leaves, the
 * intervals are widened to whole large blocks, which are compared block by
 * block.
 */
#include "main.h"
#include "tree.h"

static const char *opt_vol1, *opt_vol2;
static bool opt_snap, opt_json, opt_same;

static const struct opt delta_opts[] = {
	{ "vol1", '1', "ID", "the left volume", &opt_vol1, NULL },
	{ "vol2", '2', "ID", "the right volume", &opt_vol2, NULL },
	{ "metadata-snap", 'm', NULL, "read the held snapshot of a pool in use",
	  NULL, &opt_snap },
	{ "json", 'j', NULL, "print a JSON document", NULL, &opt_json },
	{ "same", 's', NULL, "also print what is the same", NULL, &opt_same },
	{ 0 },
};

static const struct usage delta_usage = {
	.synopsis = "[options] --vol1 ID --vol2 ID DEV",
	.what = "Prints the ranges of two volumes that differ, in blocks of 4 KiB: 'differ' maps\n"
		"both to other blocks, 'left_only' and 'right_only' are mapped in one of them.",
	.opts = delta_opts,
	.examples =
		"  hpm_delta --vol1 1 --vol2 2 /dev/vg/pool_meta\n"
		"  hpm_delta --metadata-snap --json --vol1 4 --vol2 9 /dev/vg/pool_meta\n",
};

enum kind {
	K_NOTHING,
	K_SAME,
	K_DIFFER,
	K_LEFT,
	K_RIGHT
};

static const char *const kind_name[] = {
	[K_SAME] = "same",
	[K_DIFFER] = "differ",
	[K_LEFT] = "left_only",
	[K_RIGHT] = "right_only",
};

struct side {
	u64 id;
	bool found;
	struct hpm_disk_volume d;
	u64 pbn[1 << HPM_MAX_LARGE_SHIFT]; /* of the present large block */
};

#define NONE U64_MAX

struct delta {
	struct reader r;
	const struct pool *p;
	struct side side[2];
	/* the range to be printed */
	enum kind kind;
	u64 vbn, nr;
	u64 total[5];
	bool any;
};

/*----------------------------------------------------------------
 * Printing
 *--------------------------------------------------------------*/

static void flush_range(struct delta *d)
{
	if (d->nr && opt_json)
		fprintf(tool.out,
			"%s{\"kind\":\"%s\",\"begin\":%llu,\"length\":%llu}",
			d->any ? "," : "", kind_name[d->kind], d->vbn, d->nr);
	else if (d->nr)
		fprintf(tool.out, "%-10s %12llu %12llu\n", kind_name[d->kind],
			d->vbn, d->nr);
	d->any |= d->nr;
	d->nr = 0;
}

static void tell(struct delta *d, enum kind kind, u64 vbn, u64 nr)
{
	if (kind == K_NOTHING || (kind == K_SAME && !opt_same))
		return;
	d->total[kind] += nr;
	if (d->nr && d->kind == kind && d->vbn + d->nr == vbn) {
		d->nr += nr;
		return;
	}
	flush_range(d);
	d->kind = kind;
	d->vbn = vbn;
	d->nr = nr;
}

/*----------------------------------------------------------------
 * Comparing
 *--------------------------------------------------------------*/

/* Loads what the side maps in the large block at @lvbn. */
static int load_large(struct delta *d, struct side *s, u64 lvbn)
{
	struct entry e[(1 << HPM_MAX_LARGE_SHIFT) + 1];
	unsigned int i, nr;
	u64 size = d->p->large_size, pbn;

	if (map_collect(&d->r, &s->d.root, lvbn << 1, (lvbn + size) << 1, e,
			ARRAY_SIZE(e), &nr))
		return complain("volume %llu: %s", s->id, d->r.why);
	for (i = 0; i < size; i++)
		s->pbn[i] = nr && e[0].key == lvbn << 1 ? entry_pbn(&e[0]) + i :
							  NONE;
	for (i = 0; i < nr; i++) {
		pbn = entry_pbn(&e[i]);
		if (e[i].key & 1)
			s->pbn[(e[i].key >> 1) - lvbn] =
				pbn == HPM_PBN_HOLE ? NONE : pbn;
	}
	return 0;
}

static enum kind kind_of(u64 left, u64 right)
{
	if (left == right)
		return left == NONE ? K_NOTHING : K_SAME;
	if (left == NONE)
		return K_RIGHT;
	return right == NONE ? K_LEFT : K_DIFFER;
}

static int compare_large(struct delta *d, u64 lvbn)
{
	unsigned int i;

	if (load_large(d, &d->side[0], lvbn) ||
	    load_large(d, &d->side[1], lvbn))
		return -1;
	for (i = 0; i < d->p->large_size; i++)
		tell(d, kind_of(d->side[0].pbn[i], d->side[1].pbn[i]), lvbn + i,
		     1);
	return 0;
}

/* The first key of either side in [from, to), or @to. */
static int next_key(struct delta *d, u64 from, u64 to, u64 *key)
{
	struct entry e;
	unsigned int i, nr;

	*key = to;
	for (i = 0; i < 2; i++) {
		if (map_collect(&d->r, &d->side[i].d.root, from, to, &e, 1,
				&nr))
			return complain("volume %llu: %s", d->side[i].id,
					d->r.why);
		if (nr && e.key < *key)
			*key = e.key;
	}
	return 0;
}

#define KEY_END (1ull << (HPM_VBN_BITS + 1))

/*
 * Compares the large blocks that [from, to) touches; *done is where those end.
 */
static int compare_keys(struct delta *d, u64 from, u64 to, u64 *done)
{
	u64 size = 2ull * d->p->large_size,
	    key = max(from & ~(size - 1), *done);

	to = min(to, KEY_END);
	while (key < to) {
		if (next_key(d, key, to, &key))
			return -1;
		if (key >= to)
			break;
		key &= ~(size - 1);
		if (key >= *done && compare_large(d, key >> 1))
			return -1;
		key += size;
		*done = key;
	}
	return 0;
}

/* If both paths meet in a node, returns the end of its keys, else 0. */
static u64 meeting(const struct path *a, const struct path *b)
{
	unsigned int level = min(a->height, b->height);

	while (level--)
		if (a->block[level] == b->block[level])
			return min(a->upper[level], b->upper[level]);
	return 0;
}

static int paths(struct delta *d, u64 key, struct path path[2])
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		path[i].height = 0;
		path[i].upper[0] = U64_MAX;
		if (d->side[i].d.root.height &&
		    map_path(&d->r, &d->side[i].d.root, key, &path[i]))
			return complain("volume %llu: %s", d->side[i].id,
					d->r.why);
	}
	return 0;
}

static int compare(struct delta *d)
{
	struct path path[2];
	u64 key = 0, upper, done = 0;

	if (opt_same)
		return compare_keys(d, 0, KEY_END, &done);
	while (key < KEY_END) {
		if (paths(d, key, path))
			return -1;
		upper = meeting(&path[0], &path[1]);
		if (!upper) {
			upper = min(path[0].upper[0], path[1].upper[0]);
			if (compare_keys(d, key, upper, &done))
				return -1;
		}
		key = upper;
	}
	return 0;
}

/*----------------------------------------------------------------
 * The tool
 *--------------------------------------------------------------*/

static int find_volumes(void *ctx, u64 first, const void *elts, unsigned int nr)
{
	const struct hpm_disk_volume *v = elts;
	struct delta *d = ctx;
	unsigned int i;
	struct side *s;

	for (s = d->side; s < d->side + 2; s++) {
		if (s->id < first || s->id - first >= nr)
			continue;
		i = s->id - first;
		s->found = le32_to_cpu(v[i].flags) & HPM_VOL_LIVE;
		s->d = v[i];
	}
	return 0;
}

static int find(struct delta *d, const struct hpm_disk_root *volumes)
{
	struct side *s;

	if (array_walk(&d->r, volumes, HPM_ARR_VOLUME, find_volumes, d))
		return complain("%s", d->r.why);
	for (s = d->side; s < d->side + 2; s++) {
		if (!s->found)
			return complain("there is no volume %llu", s->id);
		if (s->d.root.height > MAX_HEIGHT)
			return complain(
				"volume %llu: a tree of impossible height",
				s->id);
	}
	return 0;
}

static void print_totals(struct delta *d)
{
	flush_range(d);
	if (opt_json)
		fprintf(tool.out,
			"],\"differ\":%llu,\"left_only\":%llu,\"right_only\":%llu}\n",
			d->total[K_DIFFER], d->total[K_LEFT],
			d->total[K_RIGHT]);
}

static int delta(const struct pool *p, const struct hpm_disk_root *volumes,
		 const u64 id[2])
{
	struct delta *d = calloc(1, sizeof(*d));
	int r = -1;

	if (!d)
		return complain("out of memory");
	d->p = p;
	d->side[0].id = id[0];
	d->side[1].id = id[1];
	if (!reader_begin(&d->r, p)) {
		r = find(d, volumes);
		if (!r && opt_json)
			fprintf(tool.out,
				"{\"vol1\":%llu,\"vol2\":%llu,\"block_size\":%u,\"ranges\":[",
				d->side[0].id, d->side[1].id, HPM_BLOCK_SIZE);
		if (!r)
			r = compare(d);
		if (!r)
			print_totals(d);
		reader_end(&d->r);
	}
	free(d);
	return r;
}

int hpm_delta_main(int argc, char **argv)
{
	struct hpm_disk_root volumes;
	struct pool p;
	u64 id[2];
	int n, r;

	opt_vol1 = opt_vol2 = NULL;
	opt_snap = opt_json = opt_same = false;
	tool_begin("hpm_delta");
	n = options(argc, argv, &delta_usage);
	if (n == -2)
		return ST_OK;
	if (n != 1 || !opt_vol1 || !opt_vol2) {
		if (n >= 0)
			complain("--vol1, --vol2 and one device must be given");
		return ST_USAGE;
	}
	if (parse_number(opt_vol1, HPM_MAX_VOLUME_ID, &id[0]) ||
	    parse_number(opt_vol2, HPM_MAX_VOLUME_ID, &id[1]))
		return ST_USAGE;
	if (pool_open_tables(&p, argv[1], opt_snap, &volumes))
		return ST_DAMAGED;
	r = delta(&p, &volumes, id);
	pool_close(&p);
	return r ? ST_DAMAGED : ST_OK;
}
