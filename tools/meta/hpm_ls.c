// SPDX-License-Identifier: GPL-2.0-only
/*
 * hpm_ls: the volumes of a pool.
 *
 * "Exclusive" is the space that would become free with a volume: small blocks
 * that its own nodes map (nodes that nothing else points to) and no other leaf
 * maps.  There are two rounds.  The first one reads each node of all volumes
 * once and marks what its leaves map as seen once or more often, in two bits a
 * small block.  The second one adds up, for each volume, what its own leaves
 * map and was seen once.
 */
#include "main.h"
#include "tree.h"

static bool opt_snap, opt_json, opt_fast;

static const struct opt ls_opts[] = {
	{ "metadata-snap", 'm', NULL, "read the held snapshot of a pool in use",
	  NULL, &opt_snap },
	{ "json", 'j', NULL, "print a JSON document", NULL, &opt_json },
	{ "no-exclusive", 'n', NULL,
	  "leave out figures that must be counted: no map is read", NULL,
	  &opt_fast },
	{ 0 },
};

static const struct usage ls_usage = {
	.synopsis = "[options] DEV",
	.what = "Lists the volumes of a pool: id, name, size, how much of it is mapped, how much\n"
		"of that no other volume maps, origin, and the pool time of its creation.",
	.opts = ls_opts,
	.examples =
		"  hpm_ls /dev/vg/pool_meta\n"
		"  hpm_ls --metadata-snap --json /dev/vg/pool_meta | jq '.volumes[].name'\n",
};

struct vol {
	u64 id, exclusive;
	struct hpm_disk_volume d;
};

struct ls {
	struct reader r;
	const struct pool *p;
	u32 *count;
	u8 *seen; /* two bits a small block */
	struct vol *vol;
	u64 nr, max;
	/* of the present volume */
	const struct hpm_disk_root *root;
	u64 exclusive;
};

/*----------------------------------------------------------------
 * Volumes
 *--------------------------------------------------------------*/

static int add_volume(struct ls *ls, u64 id, const struct hpm_disk_volume *d)
{
	u64 max = ls->max ? 2 * ls->max : 64;
	struct vol *more;

	if (ls->nr == ls->max) {
		more = realloc(ls->vol, max * sizeof(*more));
		if (!more)
			return complain("out of memory");
		ls->vol = more;
		ls->max = max;
	}
	ls->vol[ls->nr++] = (struct vol){ .id = id, .d = *d };
	return 0;
}

static int take_volumes(void *ctx, u64 first, const void *elts, unsigned int nr)
{
	const struct hpm_disk_volume *d = elts;
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (le32_to_cpu(d[i].flags) & HPM_VOL_LIVE &&
		    add_volume(ctx, first + i, &d[i]))
			return -1;
	return 0;
}

/*----------------------------------------------------------------
 * What a leaf maps
 *--------------------------------------------------------------*/

typedef void (*block_fn)(struct ls *ls, u64 pbn);

/*
 * Collects the overrides of the base in entry @i; returns the index behind them
 * in the leaf.
 */
static unsigned int overrides(const struct ls *ls,
			      const struct hpm_map_leaf *leaf, unsigned int i,
			      struct small_mask *over)
{
	u64 lvbn = leaf_key(leaf, i) >> 1;

	memset(over, 0, sizeof(*over));
	for (i++; i < block_nr(leaf); i++) {
		u64 at = (leaf_key(leaf, i) >> 1) - lvbn;

		if (at >= ls->p->large_size)
			return i;
		over->bits[at / 64] |= 1ull << at % 64;
	}
	return i;
}

/* The overrides of the last base in a leaf may continue in the next leaf. */
static void all_overrides(struct ls *ls, u64 lvbn, struct small_mask *over)
{
	struct entry e[1 << HPM_MAX_LARGE_SHIFT];
	u64 end = (lvbn + ls->p->large_size) << 1;
	unsigned int i, nr;

	if (map_collect(&ls->r, ls->root, (lvbn << 1) + 1, end, e,
			ARRAY_SIZE(e), &nr))
		return; /* reported when that leaf is read */
	for (i = 0; i < nr; i++) {
		u64 at = (e[i].key >> 1) - lvbn;

		over->bits[at / 64] |= 1ull << at % 64;
	}
}

static void base_blocks(struct ls *ls, const struct hpm_map_leaf *leaf,
			unsigned int i, u64 pbn, block_fn fn)
{
	struct small_mask over;
	unsigned int s;

	if (overrides(ls, leaf, i, &over) == block_nr(leaf))
		all_overrides(ls, leaf_key(leaf, i) >> 1, &over);
	for (s = 0; s < ls->p->large_size; s++)
		if (!(over.bits[s / 64] >> s % 64 & 1))
			fn(ls, pbn + s);
}

static void leaf_blocks(struct ls *ls, const struct hpm_map_leaf *leaf,
			block_fn fn)
{
	unsigned int i;
	u64 pbn;

	for (i = 0; i < block_nr(leaf); i++) {
		pbn = le64_to_cpu(leaf->value[i]) & HPM_PBN_MASK;
		if (!(leaf_key(leaf, i) & 1))
			base_blocks(ls, leaf, i, pbn, fn);
		else if (pbn != HPM_PBN_HOLE)
			fn(ls, pbn);
	}
}

static void mark(struct ls *ls, u64 pbn)
{
	unsigned int shift = pbn % 4 * 2;

	if (pbn >= ls->p->data_blocks)
		return;
	/* 0, 1, 3: not seen, once, more often */
	ls->seen[pbn / 4] |= (ls->seen[pbn / 4] >> shift & 1 ? 3 : 1) << shift;
}

static void add_own(struct ls *ls, u64 pbn)
{
	if (pbn < ls->p->data_blocks)
		ls->exclusive += (ls->seen[pbn / 4] >> pbn % 4 * 2 & 3) == 1;
}

/*----------------------------------------------------------------
 * The two rounds
 *--------------------------------------------------------------*/

static int visit(struct ls *ls, const struct hpm_disk_ptr *ptr,
		 unsigned int level, bool own)
{
	u64 block = le64_to_cpu(ptr->block);
	struct hpm_map_node node;
	unsigned int i;

	if (block >= ls->p->meta_blocks)
		return complain(
			"a map points to block %llu, which is not on the device",
			block);
	if (own ? ls->count[block] > 1 : ls->count[block]++ > 0)
		return 0;
	if (read_map(&ls->r, ptr, level, &node))
		return complain("%s", ls->r.why);
	if (!level) {
		leaf_blocks(ls, (void *)&node, own ? add_own : mark);
		return 0;
	}
	for (i = 0; i < block_nr(&node); i++)
		if (visit(ls, &node.child[i], level - 1, own))
			return -1;
	return 0;
}

static int visit_volumes(struct ls *ls, bool own)
{
	struct vol *v;

	for (v = ls->vol; v < ls->vol + ls->nr; v++) {
		ls->exclusive = 0;
		ls->root = &v->d.root;
		if (v->d.root.height > MAX_HEIGHT)
			return complain(
				"volume %llu: a tree of impossible height",
				v->id);
		if (v->d.root.height &&
		    visit(ls, &v->d.root.ptr, v->d.root.height - 1, own))
			return -1;
		v->exclusive = ls->exclusive;
	}
	return 0;
}

/* 1 GiB of memory is enough for 16 TiB of data. */
#define MAX_SEEN (1ull << 30)

static int count_exclusive(struct ls *ls)
{
	u64 bytes = ls->p->data_blocks / 4 + 1;

	if (bytes > MAX_SEEN) {
		note("the data device is too large for exclusive blocks to be counted");
		opt_fast = true;
	}
	if (opt_fast)
		return 0;
	ls->count = calloc(ls->p->meta_blocks, sizeof(*ls->count));
	ls->seen = calloc(bytes, 1);
	if (!ls->count || !ls->seen)
		return complain("out of memory");
	return visit_volumes(ls, false) || visit_volumes(ls, true) ? -1 : 0;
}

/*----------------------------------------------------------------
 * Printing
 *--------------------------------------------------------------*/

static const struct vol *by_serial(const struct ls *ls, u64 serial)
{
	const struct vol *v;

	for (v = ls->vol; v < ls->vol + ls->nr; v++)
		if (le64_to_cpu(v->d.serial) == serial)
			return v;
	return NULL;
}

static const char *blocks_text(u64 blocks, char out[SIZE_TEXT])
{
	return size_text(blocks << HPM_BLOCK_SHIFT, out);
}

static void volume_name(const struct vol *v, char name[HPM_NAME_SIZE])
{
	memcpy(name, v->d.name, HPM_NAME_SIZE);
	name[HPM_NAME_SIZE - 1] = 0;
}

static void print_parent(const struct ls *ls, const struct vol *v, char *out,
			 size_t size)
{
	u64 serial = le64_to_cpu(v->d.parent);
	const struct vol *parent = serial ? by_serial(ls, serial) : NULL;

	if (parent)
		snprintf(out, size, "%llu", parent->id);
	else
		snprintf(out, size, "%s", serial ? "(gone)" : "-");
}

static void print_name(const char *name)
{
	for (; *name; name++)
		fputc(*name > 0x20 && *name < 0x7f ? *name : '?', tool.out);
}

static void print_row(const struct ls *ls, const struct vol *v)
{
	char size[SIZE_TEXT], mapped[SIZE_TEXT], own[SIZE_TEXT] = "-";
	char shared[SIZE_TEXT] = "-", parent[24], name[HPM_NAME_SIZE];
	u64 m = le64_to_cpu(v->d.mapped);

	volume_name(v, name);
	print_parent(ls, v, parent, sizeof(parent));
	if (!opt_fast) {
		blocks_text(v->exclusive, own);
		blocks_text(m > v->exclusive ? m - v->exclusive : 0, shared);
	}
	fprintf(tool.out, "%8llu %10s %10s %10s %10s %8s %8llu  ", v->id,
		v->d.size ? blocks_text(le64_to_cpu(v->d.size), size) : "-",
		blocks_text(m, mapped), own, shared, parent,
		le64_to_cpu(v->d.created));
	print_name(*name ? name : "-");
	fputc('\n', tool.out);
}

static void print_table(const struct ls *ls)
{
	u64 i;

	fprintf(tool.out, "%8s %10s %10s %10s %10s %8s %8s  %s\n", "ID", "SIZE",
		"MAPPED", "EXCLUSIVE", "SHARED", "PARENT", "CREATED", "NAME");
	for (i = 0; i < ls->nr; i++)
		print_row(ls, &ls->vol[i]);
}

static void print_json_volume(const struct ls *ls, const struct vol *v)
{
	u64 serial = le64_to_cpu(v->d.parent), m = le64_to_cpu(v->d.mapped);
	const struct vol *parent = serial ? by_serial(ls, serial) : NULL;
	char name[HPM_NAME_SIZE];
	FILE *f = tool.out;

	volume_name(v, name);
	fprintf(f, "{\"id\":%llu,\"serial\":%llu,\"name\":", v->id,
		le64_to_cpu(v->d.serial));
	print_json_string(f, name);
	fprintf(f, ",\"size_blocks\":%llu,\"mapped_blocks\":%llu",
		le64_to_cpu(v->d.size), m);
	if (!opt_fast)
		fprintf(f, ",\"exclusive_blocks\":%llu,\"shared_blocks\":%llu",
			v->exclusive, m > v->exclusive ? m - v->exclusive : 0);
	fprintf(f, ",\"parent_serial\":%llu,\"parent\":", serial);
	if (parent)
		fprintf(f, "%llu", parent->id);
	else
		fputs("null", f);
	fprintf(f, ",\"created\":%llu,\"snap_time\":%u,\"flags\":%u}",
		le64_to_cpu(v->d.created), le32_to_cpu(v->d.snap_time),
		le32_to_cpu(v->d.flags) & ~HPM_VOL_LIVE);
}

static void print_json(const struct ls *ls)
{
	u64 i;

	fprintf(tool.out, "{\"block_size\":%u,\"time\":%u,\"volumes\":[",
		HPM_BLOCK_SIZE, ls->p->time);
	for (i = 0; i < ls->nr; i++) {
		if (i)
			fputc(',', tool.out);
		print_json_volume(ls, &ls->vol[i]);
	}
	fputs("]}\n", tool.out);
}

static int list(const struct pool *p, const struct hpm_disk_root *volumes)
{
	struct ls ls = { .p = p };
	int r = reader_begin(&ls.r, p);

	if (!r && array_walk(&ls.r, volumes, HPM_ARR_VOLUME, take_volumes, &ls))
		r = complain("%s", ls.r.why);
	if (!r)
		r = count_exclusive(&ls);
	if (!r && opt_json)
		print_json(&ls);
	else if (!r)
		print_table(&ls);
	reader_end(&ls.r);
	free(ls.count);
	free(ls.seen);
	free(ls.vol);
	return r;
}

int hpm_ls_main(int argc, char **argv)
{
	struct hpm_disk_root volumes;
	struct pool p;
	int r;

	opt_snap = opt_json = opt_fast = false;
	tool_begin("hpm_ls");
	r = one_device(argc, argv, &ls_usage);
	if (r >= 0)
		return r;
	if (pool_open_tables(&p, argv[1], opt_snap, &volumes))
		return ST_DAMAGED;
	r = list(&p, &volumes);
	pool_close(&p);
	return r ? ST_DAMAGED : ST_OK;
}
