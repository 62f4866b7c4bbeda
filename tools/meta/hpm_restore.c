// SPDX-License-Identifier: GPL-2.0-only
/* hpm_restore: metadata from its text. */
#include "check.h"
#include "main.h"
#include "sink.h"

static const char *opt_in, *opt_out, *opt_size;
static bool opt_quiet;
static u64 meta_blocks;

static const struct opt restore_opts[] = {
	{ "input", 'i', "FILE", "the text; - is stdin", &opt_in, NULL },
	{ "output", 'o', "DEV", "the device (or file) to write to", &opt_out,
	  NULL },
	{ "meta-size", 's', "SIZE",
	  "size of the metadata on DEV (all, or as much as a pool there has)",
	  &opt_size, NULL },
	{ "quiet", 'q', NULL, "no messages, only the exit status", NULL,
	  &opt_quiet },
	{ 0 },
};

static const struct usage restore_usage = {
	.synopsis = "[options] -i FILE -o DEV",
	.what = "Writes the metadata that a text of hpm_dump describes to a device, whatever\n"
		"was there before, and checks it.  A file must exist and be large enough\n"
		"(hpm_metadata_size).  On a device with a pool, only as much is used as the\n"
		"metadata of that pool have, as its data may follow them on the same disk.",
	.opts = restore_opts,
	.examples =
		"  hpm_restore -i pool.xml -o /dev/vg/pool_meta2\n"
		"  hpm_dump -o t /dev/sdb; hpm_restore -i t -o /dev/sdb\n"
		"  truncate -s 64M meta; zstdcat pool.xml.zst | hpm_restore -i - -o meta\n",
};

static int build_from(FILE *f, struct dev *dev)
{
	struct build *b = build_new(dev, meta_blocks);
	int r;

	if (!b)
		return -1;
	r = text_read(f, opt_in, &build_sink, b);
	if (!r)
		note("%llu of %llu metadata blocks are in use",
		     build_blocks_used(b), build_blocks(b));
	build_free(b);
	return r;
}

static void say_fault(void *ctx, const char *line)
{
	fault(ctx, "%s", line);
}

/* Some errors in the text only show when everything is built. */
static int check_built(struct dev *dev)
{
	struct report rep = { 0 };
	struct pool p = { .dev = *dev };
	int r = pool_load(&p, say_fault, &rep);

	if (!r)
		r = check_state(&p, &rep);
	if (rep.faults || rep.leaks || rep.stale_totals)
		r = complain(
			"the text describes metadata that are not consistent");
	free(rep.leak);
	return r;
}

static int restore(void)
{
	FILE *f = strcmp(opt_in, "-") ? fopen(opt_in, "re") : stdin;
	struct dev dev;
	int r;

	if (!f)
		return complain("cannot open %s: %s", opt_in, strerror(errno));
	r = dev_open(&dev, opt_out, DEV_WRITE);
	if (!r) {
		if (dev_is(&dev, fileno(f)))
			r = complain("%s is the input", opt_out);
		if (!r)
			r = build_from(f, &dev);
		if (!r)
			r = check_built(&dev);
		dev_close(&dev);
	}
	if (f != stdin)
		fclose(f);
	return r;
}

int hpm_restore_main(int argc, char **argv)
{
	int n;

	opt_in = opt_out = opt_size = NULL;
	opt_quiet = false;
	meta_blocks = 0;
	tool_begin("hpm_restore");
	n = options(argc, argv, &restore_usage);
	tool.quiet = opt_quiet;
	if (n == -2)
		return ST_OK;
	if (n || !opt_in || !opt_out) {
		if (n >= 0)
			complain(
				"-i FILE and -o DEV must be given, and nothing else");
		return ST_USAGE;
	}
	if (opt_size && parse_meta_size(opt_size, &meta_blocks))
		return ST_USAGE;
	return restore() ? ST_DAMAGED : ST_OK;
}
