// SPDX-License-Identifier: GPL-2.0-only
/*
 * mkpool FILE [seed=N] [steps=N] [large=SHIFT] [data=BLOCKS] [vol=BLOCKS]
 *	[vols=N] [hold=1] [dying=1] [journal=1] [check=1] [mark=FILE]
 *
 * Makes a pool on an existing file.  Other options change an existing pool:
 * leak=1 makes counts too high; flag=1 sets the flag that asks for a check;
 * incompat=N sets these incompatible features in its label; use=1 opens it,
 * with the mark of its data in FILE, and writes to it; lost=1 puts an older
 * version of a page of reference counts in its place, as if the device had lost
 * the last write of it.
 */
#include <unistd.h>

#include "pool_maker.h"

static u64 argument(int argc, char **argv, const char *key, u64 otherwise)
{
	size_t n = strlen(key);
	int i;

	for (i = 2; i < argc; i++)
		if (!strncmp(argv[i], key, n) && argv[i][n] == '=')
			return strtoull(argv[i] + n + 1, NULL, 0);
	return otherwise;
}

static const char *word(int argc, char **argv, const char *key)
{
	size_t n = strlen(key);
	int i;

	for (i = 2; i < argc; i++)
		if (!strncmp(argv[i], key, n) && argv[i][n] == '=')
			return argv[i] + n + 1;
	return NULL;
}

static int set_incompat(const struct dev *dev, u64 flags)
{
	struct hpm_label l;
	int r = dev_read(dev, HPM_LABEL_BLOCK, 1, &l);

	if (r)
		return r;
	l.incompat = cpu_to_le64(flags);
	block_seal(label_seed(), &l);
	return dev_write(dev, HPM_LABEL_BLOCK, 1, &l);
}

/* Page 0, valid, but without the count of the highest block in use. */
static int lose_page(const struct dev *dev)
{
	struct pool p = { .dev = *dev };
	struct hpm_refs_page rp;
	u64 block;
	unsigned int i = HPM_REFS_PER_PAGE;
	int r;

	if (pool_load(&p, NULL, NULL))
		return -EINVAL;
	block = refs_home(p.sb, 0);
	r = dev_read(dev, block, 1, &rp);
	if (r)
		return r;
	while (i && !rp.refs[i - 1])
		i--;
	if (!i)
		return -EINVAL;
	rp.refs[i - 1] = 0;
	block_seal(p.seed, &rp);
	return dev_write(dev, block, 1, &rp);
}

int main(int argc, char **argv)
{
	struct make_params p = {
		.seed = argument(argc, argv, "seed", 1),
		.steps = argument(argc, argv, "steps", 4000),
		.large_shift = argument(argc, argv, "large", 5),
		.data_blocks = argument(argc, argv, "data", 1 << 18),
		.vol_blocks = argument(argc, argv, "vol", 1 << 14),
		.max_vols = argument(argc, argv, "vols", 12),
		.hold = argument(argc, argv, "hold", 0),
		.dying = argument(argc, argv, "dying", 0),
		.journal = argument(argc, argv, "journal", 0),
		.check = argument(argc, argv, "check", 0),
		.mark = word(argc, argv, "mark"),
	};
	struct dev dev;
	int r;

	tool_begin("mkpool");
	if (argc < 2 || dev_open(&dev, argv[1], DEV_WRITE))
		return 2;
	if (argument(argc, argv, "incompat", 0))
		r = set_incompat(&dev, argument(argc, argv, "incompat", 0));
	else if (argument(argc, argv, "use", 0))
		r = use_pool(&dev, p.data_blocks, p.mark);
	else if (argument(argc, argv, "lost", 0))
		r = lose_page(&dev);
	else if (argument(argc, argv, "leak", 0) ||
		 argument(argc, argv, "flag", 0))
		r = spoil_pool(&dev, p.data_blocks,
			       argument(argc, argv, "flag", 0));
	else
		r = make_pool(&dev, &p);
	dev_close(&dev);
	if (r)
		complain("%s", strerror(-r));
	return r ? 1 : 0;
}
