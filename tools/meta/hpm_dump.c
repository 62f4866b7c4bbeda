// SPDX-License-Identifier: GPL-2.0-only
/* hpm_dump: a pool's metadata as text. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main.h"
#include "sink.h"

static const char *opt_out;
static bool opt_snap;

static const struct opt dump_opts[] = {
	{ "metadata-snap", 'm', NULL, "dump the held snapshot of a pool in use",
	  NULL, &opt_snap },
	{ "output", 'o', "FILE", "write to FILE, not to stdout", &opt_out,
	  NULL },
	{ 0 },
};

static const struct usage dump_usage = {
	.synopsis = "[options] DEV",
	.what = "Writes the metadata of a pool as text that hpm_restore turns back into the\n"
		"same metadata.  What volumes share is written once.",
	.opts = dump_opts,
	.examples =
		"  hpm_dump -o pool.xml /dev/vg/pool_meta\n"
		"  hpm_dump --metadata-snap /dev/vg/pool_meta | zstd >pool.xml.zst\n",
};

/*
 * Truncates the file only when it is certain that it is not the device itself.
 */
static FILE *open_output(const struct dev *dev)
{
	int fd = open(opt_out, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	struct stat st;
	FILE *f;

	if (fd >= 0 && dev_is(dev, fd)) {
		complain("%s is the input", opt_out);
		close(fd);
		return NULL;
	}
	f = fd < 0 || fstat(fd, &st) ||
			    (S_ISREG(st.st_mode) && ftruncate(fd, 0)) ?
		    NULL :
		    fdopen(fd, "w");
	if (f)
		return f;
	complain("cannot open %s: %s", opt_out, strerror(errno));
	if (fd >= 0)
		close(fd);
	return NULL;
}

static int dump(const struct pool *p, const struct walk_params *params)
{
	struct text_out out = { .f = tool.out };
	struct walk_result res;
	int r;

	if (opt_out) {
		out.f = open_output(&p->dev);
		if (!out.f)
			return -1;
	}
	r = walk_pool(p, params, &text_sink, &out, &res);
	if (opt_out && fclose(out.f) && !r)
		r = complain("cannot write %s: %s", opt_out, strerror(errno));
	return r;
}

int hpm_dump_main(int argc, char **argv)
{
	struct hpm_disk_root volumes;
	struct walk_params params = { .volumes = &volumes };
	struct pool p;
	int r;

	opt_out = NULL;
	opt_snap = false;
	tool_begin("hpm_dump");
	r = one_device(argc, argv, &dump_usage);
	if (r >= 0)
		return r;
	if (pool_open_tables(&p, argv[1], opt_snap, &volumes))
		return ST_DAMAGED;
	/*
	 * In a pool that is in use, dying trees and data blocks always change.
	 */
	params.live = opt_snap;
	if (!opt_snap)
		params.dying = &p.sb->array[HPM_ARR_DYING];
	if (!opt_snap && super_holds(p.sb))
		params.held = &p.sb->held;
	r = dump(&p, &params);
	pool_close(&p);
	return r ? ST_DAMAGED : ST_OK;
}
