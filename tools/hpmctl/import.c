// SPDX-License-Identifier: GPL-2.0-only
/*
 * hpmctl import: an image into volumes, one for each layer.
 *
 * The lowest layer's volume gets a file system; each further one is a snapshot
 * of the one below it.  A layer's volume is mounted, filled, unmounted, and
 * then read-only for good.  If anything fails, all volumes of this import are
 * deleted again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "err.h"
#include "fs.h"
#include "layer.h"
#include "oci.h"
#include "out.h"
#include "progress.h"
#include "run.h"
#include "text.h"
#include "volume.h"

#define SIZE_DEFAULT (10ULL << 30)
#define FS_DEFAULT   "ext4"

static struct {
	const char *fs, *from, *ref, *platform;
	uint64_t size;
	bool quiet;
} want;

static const struct opt import_opts[] = {
	{ "fs", 't', OPT_STRING, &want.fs, "TYPE",
	  "ext4 (default) or xfs, for the lowest layer" },
	{ "size", 's', OPT_SIZE, &want.size, "SIZE",
	  "of the volumes (default: 10G; they take what they hold)" },
	{ "from", 0, OPT_STRING, &want.from, "VOLUME",
	  "put the layers on top of this volume" },
	{ "ref", 0, OPT_STRING, &want.ref, "REF",
	  "which image of an OCI layout that holds several" },
	{ "platform", 0, OPT_STRING, &want.platform, "OS/ARCH",
	  "for another platform than this machine's" },
	{ "quiet", 'q', OPT_FLAG, &want.quiet, NULL, "no line per layer" },
	{ 0 },
};

/* A layer that is done. */
struct done {
	struct volume v;
	char digest[DIGEST_TEXT];
	struct layer_stats stats;
	uint64_t read; /* bytes of the source */
	double seconds;
};

struct import {
	struct pool pool;
	const char *name, *source;
	bool is_oci;
	struct oci oci;
	unsigned int nr;   /* layers */
	struct done *done; /* of them, this many: */
	unsigned int nr_done;
	struct volume below; /* what the next layer is a snapshot of */
	bool has_below;
};

/*----------------------------------------------------------------
 * One layer
 *--------------------------------------------------------------*/

static int layer_name(const struct import *im, unsigned int n,
		      char out[HPM_NAME_SIZE])
{
	if (n + 1 == im->nr)
		return print_to(out, HPM_NAME_SIZE, "%s", im->name);
	return print_to(out, HPM_NAME_SIZE, "%s.layer%u", im->name, n + 1);
}

static int open_layer(const struct import *im, unsigned int n,
		      struct stream **sp)
{
	if (im->is_oci)
		return oci_open_layer(&im->oci, n, sp);
	return stream_open_file(im->source, sp);
}

static int make_volume(struct import *im, const char *name, struct volume *v)
{
	uint64_t bytes = (want.size ? want.size : SIZE_DEFAULT) &
			 ~(uint64_t)(HPM_BLOCK_SIZE - 1);

	if (!im->has_below)
		return volume_create(&im->pool, name, NO_ID, bytes, v);
	return volume_snapshot(&im->pool, &im->below, name, NO_ID,
			       want.size ? bytes : 0, v);
}

/* The file system that the device holds, made if the volume is the lowest. */
static int prepare_fs(const struct import *im, const char *device, char *type,
		      size_t size)
{
	const char *fs = want.fs ? want.fs : FS_DEFAULT;

	if (!im->has_below)
		return fs_make(fs, device) || print_to(type, size, "%s", fs);
	if (blkdev_fs_type(device, type, size))
		return -1;
	if (!*type)
		return err_say(ST_BAD_INPUT, "%s holds no file system",
			       want.from);
	return 0;
}

static void label_layer(const struct import *im, unsigned int n, char *out,
			size_t size)
{
	if (im->is_oci)
		(void)snprintf(out, size, "layer %u/%u", n + 1, im->nr);
	else
		(void)snprintf(out, size, "%s", im->name);
}

static int unpack(struct import *im, unsigned int n, const char *dir,
		  struct done *d)
{
	struct progress p;
	struct stream *s;
	char label[80];
	int ret;

	if (open_layer(im, n, &s))
		return -1;
	label_layer(im, n, label, sizeof(label));
	progress_begin(&p, label);
	s->progress = progress_stream;
	s->progress_ctx = &p;
	ret = layer_unpack(s, dir, &d->stats);
	d->read = s->done;
	progress_end(&p);
	stream_close(s);
	return ret;
}

static int fill_device(struct import *im, unsigned int n, const char *device,
		       struct done *d)
{
	struct fs_mount m;
	char type[32];
	int ret;

	if (prepare_fs(im, device, type, sizeof(type)) ||
	    fs_mount(device, type, &m))
		return -1;
	ret = unpack(im, n, m.dir, d);
	return fs_unmount(&m) ? -1 : ret;
}

static int fill_volume(struct import *im, unsigned int n, struct done *d)
{
	char device[DEV_PATH_MAX];
	int ret;

	if (volume_activate(&im->pool, &d->v, 0, false, true))
		return -1;
	ret = print_to(device, sizeof(device), "/dev/mapper/%s", d->v.device) ||
	      fill_device(im, n, device, d);
	if (volume_deactivate(&im->pool, &d->v, false))
		ret = -1;
	return ret ? -1 : volume_set_read_only(&im->pool, &d->v, true);
}

static void tell_layer(const struct import *im, unsigned int n,
		       const struct done *d)
{
	char label[80], size[SIZE_TEXT];

	if (want.quiet || want_json)
		return;
	label_layer(im, n, label, sizeof(label));
	printf("%s%s%.19s: %s in %.1f s (%.1f MB/s), %llu entries, volume %s, id %u\n",
	       label, *d->digest ? " " : "", d->digest,
	       size_text(d->read, size), d->seconds,
	       d->seconds > 0 ? (double)d->read / d->seconds / 1e6 : 0.0,
	       (unsigned long long)d->stats.entries, d->v.name, d->v.id);
	(void)fflush(stdout);
}

static int import_layer(struct import *im, unsigned int n)
{
	struct done *d = &im->done[n];
	char name[HPM_NAME_SIZE];
	struct progress clock;

	progress_begin(&clock, "");
	if (interrupted())
		return err_interrupted();
	if (layer_name(im, n, name) || make_volume(im, name, &d->v))
		return -1;
	im->nr_done++;
	if (im->is_oci)
		strcpy(d->digest, im->oci.layer[n].digest);
	if (fill_volume(im, n, d))
		return -1;
	im->below = d->v;
	im->has_below = true;
	d->seconds = progress_seconds(&clock);
	tell_layer(im, n, d);
	return 0;
}

/*----------------------------------------------------------------
 * All layers
 *--------------------------------------------------------------*/

/* All names that will be needed are free; nothing is half done because not. */
static int check_names(const struct import *im)
{
	char name[HPM_NAME_SIZE];
	struct volumes vols;
	unsigned int n;
	int ret = 0;

	if (volumes_read(&im->pool, &vols))
		return -1;
	for (n = 0; n < im->nr && !ret; n++) {
		ret = layer_name(im, n, name);
		if (!ret && volume_find(&vols, name))
			ret = err_say(ST_BUSY,
				      "the pool %s has a volume %s already",
				      im->pool.name, name);
	}
	volumes_free(&vols);
	return ret;
}

static int open_source(struct import *im)
{
	const struct oci_want choice = { want.ref, want.platform };
	int kind = oci_probe(im->source);

	if (kind < 0)
		return -1;
	im->is_oci = kind != IMAGE_NONE;
	im->nr = 1;
	if (!im->is_oci && (want.ref || want.platform))
		return err_say(
			ST_USAGE,
			"--ref and --platform are for OCI layouts and what \"docker save\" writes");
	if (!im->is_oci)
		return 0;
	if (oci_open(im->source, (enum image_kind)kind, &choice, &im->oci))
		return -1;
	im->nr = im->oci.nr;
	return 0;
}

static int check_want(const struct import *im)
{
	if (want.fs && want.from)
		return err_say(
			ST_USAGE,
			"--fs does not go with --from: the file system is there");
	if (want.fs && fs_check_type(want.fs))
		return -1;
	return check_volume_name(im->name);
}

static int prepare(struct import *im, const char *pool)
{
	if (check_want(im) || pool_get(pool, &im->pool))
		return -1;
	if (want.from) {
		if (volume_get(&im->pool, want.from, &im->below))
			return -1;
		im->has_below = true;
	}
	if (open_source(im) || check_names(im))
		return -1;
	im->done = calloc(im->nr, sizeof(*im->done));
	return im->done ? 0 : err_nomem();
}

/* The first sentence, the reason for all this, stays. */
static void undo(struct import *im)
{
	while (im->nr_done) {
		struct volume *v = &im->done[--im->nr_done].v;

		note("deleting the volume %s again", v->name);
		(void)volume_delete(&im->pool, v);
	}
}

static json_t *layer_json(const struct done *d)
{
	return json_pack("{s:s, s:I, s:s?, s:I, s:I, s:I, s:I, s:I, s:f}",
			 "name", d->v.name, "id", (json_int_t)d->v.id, "digest",
			 *d->digest ? d->digest : NULL, "read",
			 (json_int_t)d->read, "bytes",
			 (json_int_t)d->stats.bytes, "entries",
			 (json_int_t)d->stats.entries, "whiteouts",
			 (json_int_t)d->stats.whiteouts, "warnings",
			 (json_int_t)d->stats.warnings, "seconds", d->seconds);
}

static int show_import(const struct import *im)
{
	json_t *layers = json_array();
	unsigned int n;

	if (!want_json) {
		json_decref(layers);
		return 0;
	}
	for (n = 0; layers && n < im->nr; n++)
		(void)json_array_append_new(layers, layer_json(&im->done[n]));
	return out_json(json_pack(
		"{s:s, s:s, s:I, s:s?, s:o}", "pool", im->pool.name, "name",
		im->name, "id", (json_int_t)im->done[im->nr - 1].v.id,
		"manifest", *im->oci.manifest ? im->oci.manifest : NULL,
		"layers", layers));
}

static int import(char **args, int nr)
{
	struct import im = { .name = args[1],
			     .source = args[2],
			     .oci.dir = -1 };
	unsigned int n;
	int ret;

	(void)nr;
	catch_signals();
	ret = prepare(&im, args[0]);
	for (n = 0; !ret && n < im.nr; n++)
		ret = import_layer(&im, n);
	if (!ret)
		ret = show_import(&im);
	else
		undo(&im);
	oci_close(&im.oci);
	free(im.done);
	return ret;
}

const struct cmd import_cmd = {
	.verb = "import",
	.args = "POOL NAME SOURCE",
	.min_args = 3,
	.max_args = 3,
	.summary = "make volumes of an image: a tar file or an OCI layout",
	.more = "SOURCE is a tar file in any compression, \"-\" for one on standard input, or\n"
		"an OCI image layout (a directory, or a tar file of one).  Every layer becomes\n"
		"a read-only volume and a snapshot of the one below it: NAME.layer1, ..., and\n"
		"the last one NAME.  Digests are checked, whiteouts obeyed.\n",
	.examples =
		"  mmdebstrap bookworm - | hpmctl import fast debian -\n"
		"  hpmctl import fast app app-layer.tar.zst --from debian\n"
		"  hpmctl import fast redis redis-oci/ --fs xfs --size 20G\n",
	.opts = import_opts,
	.run = import,
};
