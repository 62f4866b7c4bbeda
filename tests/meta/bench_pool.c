// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench_pool FILE GIB: makes metadata of a pool in which a volume and a
 * snapshot of it map GIB GiB (a power of two) in scattered blocks of 4 KiB.
 */
#include "sink.h"

static u64 place(u64 i, u64 nr)
{
	/* An odd factor permutes the blocks of a power of two. */
	return i * 0x9e3779b97f4a7c15ull & (nr - 1);
}

static int map_all(struct build *b, u64 nr)
{
	struct run run = { .kind = RUN_SMALL, .nr = 1 };

	for (run.vbn = 0; run.vbn < nr; run.vbn++) {
		run.pbn = place(run.vbn, nr);
		if (build_sink.run(b, &run))
			return -1;
	}
	return 0;
}

static int volume(struct build *b, u32 id, u64 nr)
{
	struct sink_volume v = { .id = id,
				 .serial = id,
				 .size = nr,
				 .snap_time = 1,
				 .mapped = U64_MAX };

	return build_sink.volume_begin(b, &v) || build_sink.ref(b, 1) ||
	       build_sink.tree_end(b);
}

static int pool(struct build *b, u64 nr)
{
	struct sink_super s = { .large_shift = 9,
				.data_blocks = nr,
				.time = 1,
				.next_serial = 3,
				.data_used = U64_MAX };
	unsigned int level = 1;
	u64 leaves = DIV_ROUND_UP(nr, HPM_LEAF_MAX);

	while (leaves > HPM_NODE_MAX) {
		leaves = DIV_ROUND_UP(leaves, HPM_NODE_MAX);
		level++;
	}
	return build_sink.super(b, &s) || build_sink.def_begin(b, 1, level) ||
	       map_all(b, nr) || build_sink.tree_end(b) || volume(b, 1, nr) ||
	       volume(b, 2, nr) || build_sink.end(b);
}

int main(int argc, char **argv)
{
	struct build *b;
	struct dev dev;
	int r = 1;
	u64 gib;

	tool_begin("bench_pool");
	if (argc != 3 || parse_number(argv[2], 16384, &gib) ||
	    dev_open(&dev, argv[1], DEV_WRITE))
		return 2;
	b = build_new(&dev, 0);
	if (b) {
		r = pool(b, gib << 18) ? 1 : 0;
		fprintf(stderr, "%llu metadata blocks in use\n",
			build_blocks_used(b));
	}
	build_free(b);
	dev_close(&dev);
	return r;
}
