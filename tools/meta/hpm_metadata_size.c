// SPDX-License-Identifier: GPL-2.0-only
/* hpm_metadata_size: how large should the metadata device be? */
#include <math.h>

#include "main.h"
#include "meta.h"
#include "size.h"

static const char *opt_data, *opt_large, *opt_volumes, *opt_small, *opt_unit;
static bool opt_numeric;

static const struct opt size_opts[] = {
	{ "data-size", 'd', "SIZE", "of the data device", &opt_data, NULL },
	{ "large-block", 'b', "SIZE", "64K to 2M (2M)", &opt_large, NULL },
	{ "max-volumes", 'v', "N", "volumes, snapshots included (1000)",
	  &opt_volumes, NULL },
	{ "small-share", 's', "PERCENT",
	  "of the data that is mapped in 4 KiB blocks (20)", &opt_small, NULL },
	{ "unit", 'u', "UNIT", "b, s, k, m, g: bytes, sectors, KiB, ... (m)",
	  &opt_unit, NULL },
	{ "numeric-only", 'n', NULL, "the number without its unit", NULL,
	  &opt_numeric },
	{ 0 },
};

static const struct usage size_usage = {
	.synopsis = "[options] --data-size SIZE",
	.what = "Prints the size that the metadata device of a pool should have.  With the data's\n"
		"size alone this is the default of \"hpmctl pool create\", one byte in 64, which is\n"
		"plenty for most uses.  With -b, -v or -s, which describe the use, it is\n"
		"what the pool needs at least: for all of the data device mapped, half-full nodes,\n"
		"the old nodes of a metadata snapshot, the journal and the reserve.  A device\n"
		"can be grown later.",
	.opts = size_opts,
	.examples =
		"  hpm_metadata_size -d 1T\n"
		"  hpm_metadata_size -d 4T -b 512K -v 20000 -s 100 -u g\n"
		"  lvcreate -L $(hpm_metadata_size -n -u s -d 1T)s -n pool_meta vg\n",
};

struct wish {
	u64 data, large, volumes, small;
};

static int parse_wish(struct wish *w)
{
	*w = (struct wish){ 0, 2 << 20, 1000, 20 };
	if (!opt_data)
		return complain("--data-size must be given");
	if (parse_bytes(opt_data, &w->data) ||
	    (opt_large && parse_bytes(opt_large, &w->large)) ||
	    (opt_volumes &&
	     parse_number(opt_volumes, HPM_MAX_VOLUME_ID, &w->volumes)) ||
	    (opt_small && parse_number(opt_small, 100, &w->small)))
		return -1;
	if (!is_power_of_2(w->large) || w->large < 64 << 10 ||
	    w->large > 2 << 20)
		return complain(
			"a large block is a power of two from 64K to 2M");
	if (w->data < w->large || w->data >> HPM_BLOCK_SHIFT > HPM_PBN_HOLE)
		return complain(
			"a data device has from one large block to 256T");
	return 0;
}

/*
 * The number of nodes of a tree with @leaves leaves and half-full inner nodes.
 */
static double tree_nodes(double leaves)
{
	return leaves + leaves / (HPM_NODE_MAX / 2.0 - 1);
}

/* The number of blocks of an array of @n elements. */
static double array_nodes(double n, unsigned int size)
{
	unsigned int per_leaf = HPM_PAYLOAD / size;
	double leaves = ceil(n / per_leaf);

	return leaves + ceil(leaves / (HPM_ARR_FANOUT - 1)) + 1;
}

static double blocks_needed(const struct wish *w)
{
	double small = (double)(w->data >> HPM_BLOCK_SHIFT), large, entries;
	double nodes, counts, total;

	large = (double)w->data / (double)w->large;
	entries = small * (double)w->small / 100 +
		  large * (1 - (double)w->small / 100);
	nodes = tree_nodes(ceil(entries / (HPM_LEAF_MAX / 2.0)));
	/* A volume that shares everything still has a path of its own. */
	nodes += 3.0 * (double)w->volumes;
	counts = array_nodes(large, sizeof(struct hpm_disk_large));
	if (w->small)
		counts += array_nodes(small, sizeof(__le16));
	counts += 2 * array_nodes((double)w->volumes,
				  sizeof(struct hpm_disk_volume));
	/*
	 * What a checkpoint has replaced is kept until the next checkpoint but
	 * one.
	 */
	total = nodes * 1.2 + counts * 1.2;
	total += HPM_RESERVED_BLOCKS + 2048;
	total /= 1 - 1.0 / 64 - 3.0 / HPM_REFS_PER_PAGE;
	return total < HPM_MIN_META_BLOCKS ? HPM_MIN_META_BLOCKS : total;
}

static int print_size(double blocks)
{
	static const char letters[] = "bskmg";
	static const double size[] = { 1, 512, 1024, 1 << 20, 1 << 30 };
	static const char *const word[] = { " bytes", " sectors", " KiB",
					    " MiB", " GiB" };
	const char *at = strchr(letters, opt_unit ? *opt_unit : 'm');

	if (opt_unit && (strlen(opt_unit) != 1 || !at)) {
		complain("'%s' is not a unit", opt_unit);
		return ST_USAGE;
	}
	if (blocks > HPM_MAX_META_BLOCKS) {
		note("the pool would need more than the 16 GiB that a metadata device can have");
		blocks = HPM_MAX_META_BLOCKS;
	}
	fprintf(tool.out, "%.0f%s\n",
		ceil(ceil(blocks) * HPM_BLOCK_SIZE / size[at - letters]),
		opt_numeric ? "" : word[at - letters]);
	return ST_OK;
}

int hpm_metadata_size_main(int argc, char **argv)
{
	struct wish w;
	int n;

	opt_data = opt_large = opt_volumes = opt_small = opt_unit = NULL;
	opt_numeric = false;
	tool_begin("hpm_metadata_size");
	n = options(argc, argv, &size_usage);
	if (n == -2)
		return ST_OK;
	if (n > 0)
		complain("%s is not expected here", argv[1]);
	if (n || parse_wish(&w))
		return ST_USAGE;
	if (!opt_large && !opt_volumes && !opt_small)
		return print_size(
			(double)(meta_size_for(w.data) >> HPM_BLOCK_SHIFT));
	return print_size(blocks_needed(&w));
}
