// SPDX-License-Identifier: GPL-2.0-only
/*
 * hpmctl import: an image into volumes, one for each layer.
 *
 * The lowest layer's volume gets a file system; each further one is a snapshot
 * of the one below it.  A layer's volume is mounted, filled, unmounted, and
 * then read-only for good.
 *
 * Nothing may be left of an import that fails, whatever ends it.  So:
 *
 * - A worker process does all of it.  When it ends, the mount and all
 *   descriptors in it are closed as well (libarchive keeps one open if the end
 *   of a file cannot be written), and the process that waits for it removes
 *   what is left.  If that process dies, the worker gets SIGTERM, stops, and
 *   cleans up itself.
 * - Until the image is complete, the names of its volumes say so and contain
 *   the number of the import.  The last step gives them their final names, the
 *   image's own name first: if this name exists, the image is complete.
 * - If both processes were killed, or the machine lost power, the next import
 *   into the pool removes volumes with such names.  It can tell that no other
 *   import works on them: each import holds a shared lock (flock(2)) on the
 *   pool's node, and only an import that gets the exclusive lock removes
 *   volumes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

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
	  "size of each volume (default: 10G; only used blocks take space)" },
	{ "from", 0, OPT_STRING, &want.from, "VOLUME",
	  "put the layers on top of this volume" },
	{ "ref", 0, OPT_STRING, &want.ref, "REF",
	  "the image to import, if the source holds several" },
	{ "platform", 0, OPT_STRING, &want.platform, "OS/ARCH[/VARIANT]",
	  "import for another platform than this machine's" },
	{ "quiet", 'q', OPT_FLAG, &want.quiet, NULL, "no line per layer" },
	{ 0 },
};

/* A finished layer. */
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
	struct done *done; /* the number of finished ones: */
	unsigned int nr_done;
	struct volume below; /* the origin of the next layer */
	bool has_below;
	char token[9]; /* part of the names of unfinished volumes */
	int lock;      /* locks the pool's node */
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

/* The name until the image is complete; a long name is cut. */
static int unfinished_name(const struct import *im, unsigned int n,
			   char out[HPM_NAME_SIZE])
{
	return print_to(out, HPM_NAME_SIZE, "%.36s" IMPORTING "%s-%u", im->name,
			im->token, n + 1);
}

static int open_layer(const struct import *im, unsigned int n,
		      struct stream **sp)
{
	if (im->is_oci)
		return oci_open_layer(&im->oci, n, sp);
	return stream_open_file(im->source, sp);
}

static uint64_t wanted_bytes(void)
{
	return (want.size ? want.size : SIZE_DEFAULT) &
	       ~(uint64_t)(HPM_BLOCK_SIZE - 1);
}

static int make_volume(struct import *im, const char *name, struct volume *v)
{
	uint64_t bytes = wanted_bytes();

	if (!im->has_below)
		return volume_create(&im->pool, name, NO_ID, bytes, v);
	return volume_snapshot(&im->pool, &im->below, name, NO_ID,
			       want.size ? bytes : 0, v);
}

/*
 * Finds the file system on the device, or makes one if the volume is the
 * lowest.
 */
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
	if (!ret && !im->is_oci && image_names_dir(&d->stats.names))
		return err_say(
			ST_BAD_INPUT,
			"%s is not a file system but has an image in %s: unpack it, and import that directory",
			im->source, image_names_dir(&d->stats.names));
	if (!ret && !im->is_oci && image_names_is_mixed(&d->stats.names))
		return err_say(
			ST_BAD_INPUT,
			"%s is not a file system but has an image beside other files: unpack it, and import the directory",
			im->source);
	/* (for a file, this was checked before) */
	if (!ret && !im->is_oci && image_names_is_image(&d->stats.names))
		return err_say(
			ST_BAD_INPUT,
			"%s is not a file system but an image, as \"docker save\" writes it: import it from a file",
			im->source);
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
	ret = im->has_below ? 0 : fs_empty(&m);
	if (!ret)
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
	char label[80], size[SIZE_TEXT], name[HPM_NAME_SIZE];

	if (want.quiet || want_json || layer_name(im, n, name))
		return;
	label_layer(im, n, label, sizeof(label));
	printf("%s%s%.19s: %s in %.1f s (%.1f MB/s), %llu entries, volume %s, id %u\n",
	       label, *d->digest ? " " : "", d->digest,
	       size_text(d->read, size), d->seconds,
	       d->seconds > 0 ? (double)d->read / d->seconds / 1e6 : 0.0,
	       (unsigned long long)d->stats.entries, name, d->v.id);
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
	if (unfinished_name(im, n, name) || make_volume(im, name, &d->v))
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

/* Checks that all names are free, so that this cannot fail half way. */
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
	if (!want.from &&
	    fs_check_size(want.fs ? want.fs : FS_DEFAULT, wanted_bytes()))
		return -1;
	return check_volume_name(im->name);
}

/*----------------------------------------------------------------
 * Unfinished volumes
 *--------------------------------------------------------------*/

/* @token: the import; NULL: any import */
static bool is_unfinished(const char *name, const char *token)
{
	const char *p = strstr(name, IMPORTING);
	size_t digits;

	if (!p)
		return false;
	p += strlen(IMPORTING);
	if (strspn(p, "0123456789abcdef") != 8 || p[8] != '-' ||
	    (token && strncmp(p, token, 8) != 0))
		return false;
	digits = strspn(p + 9, "0123456789");
	return digits && !p[9 + digits];
}

/* Keeps the error that is to be reported. */
static void remove_unfinished(const struct pool *pool, const char *token)
{
	struct err_state was;
	struct volumes vols = { 0 };
	size_t i;

	err_save(&was);
	if (!volumes_read(pool, &vols) && !volumes_find_devices(pool, &vols))
		for (i = 0; i < vols.nr; i++) {
			struct volume *v = &vols.v[i];

			if (!is_unfinished(v->name, token))
				continue;
			note("deleting the unfinished volume %s", v->name);
			if (v->device[0] && volume_deactivate(pool, v, false))
				continue;
			(void)volume_delete(pool, v);
		}
	volumes_free(&vols);
	if (err_pending()) {
		warn("an unfinished import cannot be removed: %s", err_text());
		err_clear();
	}
	err_restore(&was);
}

/* Without a node, other imports cannot be seen, so nothing is removed. */
static int lock_pool(struct import *im)
{
	char path[DEV_PATH_MAX];

	if (print_to(path, sizeof(path), "/dev/mapper/%s", im->pool.name))
		return -1;
	im->lock = open(path, O_RDONLY | O_CLOEXEC);
	if (im->lock < 0) {
		note("cannot open %s: %s", path, strerror(errno));
		return 0;
	}
	if (!flock(im->lock, LOCK_EX | LOCK_NB))
		remove_unfinished(&im->pool, NULL);
	if (flock(im->lock, LOCK_SH))
		return err_sys(errno, "cannot lock %s", path);
	return 0;
}

static int make_token(struct import *im)
{
	uint32_t bits;

	if (getrandom(&bits, sizeof(bits), 0) != sizeof(bits))
		return err_sys(errno, "cannot get a random number");
	return print_to(im->token, sizeof(im->token), "%08x", bits);
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
	if (open_source(im) || make_token(im) || lock_pool(im) ||
	    check_names(im))
		return -1;
	im->done = calloc(im->nr, sizeof(*im->done));
	return im->done ? 0 : err_nomem();
}

/*
 * Sets the image's own name first.  If this fails, no volume has its final name
 * yet; if a later one fails, all volumes are deleted.
 */
static int name_layers(struct import *im)
{
	unsigned int n = im->nr;

	while (n--) {
		struct volume *v = &im->done[n].v;
		char name[HPM_NAME_SIZE];

		if (!layer_name(im, n, name) &&
		    !dm_message(im->pool.name, NULL, "set_name %u %s", v->id,
				name)) {
			strcpy(v->name, name);
			continue;
		}
		while (++n < im->nr)
			(void)volume_delete(&im->pool, &im->done[n].v);
		return -1;
	}
	return 0;
}

/*
 * A device, a file system or a program reports "no space" or an I/O error when
 * it is the pool that has no space.
 */
static void explain(const struct import *im)
{
	struct pool_status st;
	uint64_t data, meta;
	bool full;

	if (err_status() != ST_FAILED || pool_get_status(&im->pool, false, &st))
		return;
	data = st.data_total - st.data_used;
	meta = st.meta_total - st.meta_used;
	full = !strcmp(st.mode, "out_of_data_space") || data < 1 << 20;
	if (full || (err_errno() == ENOSPC && meta <= st.meta_low_water)) {
		err_clear();
		(void)err_sys(
			ENOSPC,
			full ? "the pool %s is full; \"hpmctl pool grow %s\" gives it more space" :
			       "the metadata of the pool %s are full; \"hpmctl pool grow %s --meta SIZE\" gives them more space",
			im->pool.name, im->pool.name);
	}
	pool_status_free(&st);
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

/*----------------------------------------------------------------
 * Two processes
 *--------------------------------------------------------------*/

/* The worker; it reports its own errors. */
static int work(struct import *im, pid_t parent)
{
	unsigned int n;
	int ret = 0;

	if (prctl(PR_SET_PDEATHSIG, SIGTERM))
		return err_sys(errno, "cannot watch the parent process");
	for (n = 0; !ret && n < im->nr; n++)
		ret = getppid() == parent ?
			      import_layer(im, n) :
			      err_say(ST_INTERRUPTED, "interrupted");
	if (!ret)
		ret = name_layers(im);
	if (!ret)
		return show_import(im);
	explain(im);
	if (getppid() != parent)
		remove_unfinished(&im->pool, im->token);
	return -1;
}

/* Waits for the worker, and stops it if only this process got a signal. */
static int wait_for_worker(pid_t worker)
{
	int status;

	while (waitpid(worker, &status, 0) < 0) {
		if (errno != EINTR)
			return err_sys(errno, "cannot wait for the worker");
		if (interrupted())
			(void)kill(worker, SIGTERM);
	}
	return status;
}

/* Does not return if the worker reported its own error. */
static int supervise(const struct import *im, pid_t worker)
{
	int status = wait_for_worker(worker);

	if (status)
		remove_unfinished(&im->pool, im->token);
	if (status >= 0 && WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	if (status < 0)
		return -1;
	return err_say(
		ST_FAILED,
		"the import was ended by signal %d (%s); nothing of it stays",
		WTERMSIG(status), strsignal(WTERMSIG(status)));
}

static int run_import(struct import *im)
{
	pid_t parent = getpid(), worker;

	(void)fflush(stdout);
	(void)fflush(stderr);
	worker = fork();
	if (worker < 0)
		return err_sys(errno, "cannot make a process");
	return worker ? supervise(im, worker) : work(im, parent);
}

static int import(char **args, int nr)
{
	struct import im = {
		.name = args[1], .source = args[2], .oci.dir = -1, .lock = -1
	};
	int ret;

	(void)nr;
	catch_signals();
	ret = prepare(&im, args[0]) || run_import(&im) ? -1 : 0;
	oci_close(&im.oci);
	free(im.done);
	if (im.lock >= 0)
		(void)close(im.lock);
	return ret;
}

const struct cmd import_cmd = {
	.verb = "import",
	.args = "POOL NAME SOURCE",
	.min_args = 3,
	.max_args = 3,
	.summary = "make volumes of an image: a tar file or an OCI layout",
	.more = "SOURCE is a tar file in any compression, \"-\" for one on standard input, an\n"
		"OCI image layout (a directory, or a tar file of one), or what \"docker save\"\n"
		"wrote.  --ref takes a name, a tag or a digest.  Every layer becomes\n"
		"a read-only volume and a snapshot of the one below it: NAME.layer1, ..., and\n"
		"the last one NAME.  Digests are checked, whiteouts are applied.\n",
	.examples =
		"  mmdebstrap bookworm - | hpmctl import fast debian -\n"
		"  hpmctl import fast app app-layer.tar.zst --from debian\n"
		"  hpmctl import fast redis redis-oci/ --fs xfs --size 20G\n",
	.opts = import_opts,
	.run = import,
};
