// SPDX-License-Identifier: GPL-2.0-only
/*
 * The expected content at each point of the log.
 *
 * For each sector of a stamped volume there is a floor: the last operation on
 * it that is known to be durable.  A sector must hold the data of its floor, or
 * of an operation after its writer's last mark that may have been in flight, as
 * the writer's next mark shows.
 *
 * A snapshot begins with the content that the load read when it was new.  This
 * must be the content of its origin: each writer's operations up to the one
 * that had ended when the snapshot was requested, and none after the one that
 * was in flight when the snapshot was there.
 */
#include <fcntl.h>
#include <unistd.h>

#include "replay.h"

#define MAX_VOLUMES 512u
#define MAX_TREES   8u
#define MAX_FILES   64u
#define VOL_BLOCKS  (VOL_SECTORS / BLOCK)
#define NEVER	    (~0ull)
#define NEW_POOL    900u /* ids in the pool that is made last */

struct writer {
	bool used;
	unsigned int volume; /* an index */
	u32 first, nr;
	u64 durable;	/* durable operations, at this point */
	u64 *mark, *op; /* each mark's entry and operation */
	unsigned int nr_marks;
};

struct volume {
	u32 id;
	bool stamped;
	u64 maybe, there, going, gone; /* entries of the states */
	u64 *base;		       /* by sector: content when it was new */
	u64 *floor;		       /* by sector: writer and operation; 0 */
	bool seen;
};

struct tree {
	u32 volume;
	u64 mounted; /* the mark's entry */
	u64 gen[MAX_FILES];
};

struct oracle {
	const struct log *log;
	u64 seed;
	const char *dir;
	struct writer writer[MAX_WRITERS];
	struct volume volume[MAX_VOLUMES];
	unsigned int nr_volumes;
	struct tree tree[MAX_TREES];
	u64 wiped, made;     /* entries; NEVER */
	u64 next;	     /* entry to look at */
	struct volume *at;   /* whose mappings are being compared */
	u64 map[VOL_BLOCKS]; /* its mappings so far */
	u64 checked;	     /* sectors */
};

/*----------------------------------------------------------------
 * Operations
 *--------------------------------------------------------------*/

static struct op writer_op(const struct oracle *o, const struct writer *w,
			   u64 k)
{
	return crash_op(o->seed, w - o->writer, k, w->first, w->nr);
}

static u64 op_value(const struct oracle *o, const struct writer *w, u64 k,
		    const struct op *op)
{
	if (op->kind == OP_DISCARD || op->kind == OP_ZERO)
		return 0;
	return (u64)(w - o->writer) << 40 | k;
}

static void apply_ops(const struct oracle *o, const struct writer *w, u64 *to,
		      u64 from, u64 upto)
{
	u64 k, value;
	struct op op;
	u32 i;

	for (k = from + 1; k <= upto; k++) {
		op = writer_op(o, w, k);
		value = op_value(o, w, k, &op);
		for (i = 0; i < op.nr; i++)
			to[op.first + i] = value;
	}
}

/* Did an operation after the @from-th, up to the @upto-th, write @value? */
static bool op_left(const struct oracle *o, const struct writer *w, u32 sector,
		    u64 value, u64 from, u64 upto)
{
	struct op op;
	u64 k;

	for (k = from + 1; k <= upto; k++) {
		op = writer_op(o, w, k);
		if (sector >= op.first && sector < op.first + op.nr &&
		    op_value(o, w, k, &op) == value)
			return true;
	}
	return false;
}

/* The last operation that the writer may have begun: up to its next mark. */
static u64 horizon(const struct writer *w, u64 now)
{
	unsigned int lo = 0, hi = w->nr_marks;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (w->mark[mid] <= now)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->nr_marks ? w->op[lo] : w->durable;
}

/*----------------------------------------------------------------
 * Marks
 *--------------------------------------------------------------*/

static struct volume *find_volume(struct oracle *o, u32 id)
{
	unsigned int i;

	for (i = 0; i < o->nr_volumes; i++)
		if (o->volume[i].id == id)
			return &o->volume[i];
	return NULL;
}

static struct volume *new_volume(struct oracle *o, u32 id)
{
	struct volume *v = find_volume(o, id);

	if (v)
		return v;
	if (o->nr_volumes == MAX_VOLUMES)
		die("too many volumes");
	v = &o->volume[o->nr_volumes++];
	*v = (struct volume){ .id = id,
			      .there = NEVER,
			      .going = NEVER,
			      .gone = NEVER,
			      .maybe = NEVER };
	/* trees are from 500 to 699 */
	v->stamped = id < 500 || id >= NEW_POOL;
	if (!v->stamped)
		return v;
	v->base = calloc(VOL_SECTORS, sizeof(*v->base));
	v->floor = calloc(VOL_SECTORS, sizeof(*v->floor));
	if (!v->base || !v->floor)
		die("no memory");
	return v;
}

static struct volume *known(struct oracle *o, u32 id)
{
	struct volume *v = find_volume(o, id);

	if (!v)
		die("a mark names volume %u, which there is not", id);
	return v;
}

static void mark_write(struct oracle *o, u64 at, unsigned int nr, u64 k)
{
	struct writer *w = &o->writer[nr];

	w->mark = realloc(w->mark, (w->nr_marks + 1) * sizeof(u64));
	w->op = realloc(w->op, (w->nr_marks + 1) * sizeof(u64));
	if (!w->mark || !w->op)
		die("no memory");
	w->mark[w->nr_marks] = at;
	w->op[w->nr_marks++] = k;
}

static void old_pool_ends(struct oracle *o, u64 at, bool wholly)
{
	unsigned int i;

	for (i = 0; i < o->nr_volumes; i++) {
		struct volume *v = &o->volume[i];

		if (v->id >= NEW_POOL)
			continue;
		if (!wholly && v->going == NEVER)
			v->going = at;
		if (wholly && v->gone == NEVER)
			v->gone = at;
	}
	if (wholly)
		o->made = at;
	else
		o->wiped = at;
}

/* First pass: notes when volumes exist. */
static void scan_mark(struct oracle *o, u64 at, const char *text)
{
	unsigned int a = 0, b = 0, c = 0, d = 0;
	unsigned long long k = 0;
	struct volume *v;

	if (text[0] == 'S' && sscanf(text + 2, "%u,%llu", &a, &k) == 2) {
		mark_write(o, at, a % MAX_WRITERS, k);
		return;
	}
	if (text[1] && text[1] != ',')
		return; /* the mark of dm-log-writes at the end */
	sscanf(text + 1, ",%u,%u,%u,%u", &a, &b, &c, &d);
	switch (text[0]) {
	case 'W':
		v = known(o, b);
		o->writer[a % MAX_WRITERS] =
			(struct writer){ .used = true,
					 .volume = v - o->volume,
					 .first = c,
					 .nr = d };
		break;
	case 'C':
		v = new_volume(o, a);
		v->maybe = a >= NEW_POOL ? o->made : 0;
		v->there = at;
		break;
	case 'Q':
		new_volume(o, a)->maybe = at;
		break;
	case 'N':
		known(o, a)->there = at;
		break;
	case 'D':
		known(o, a)->going = at;
		break;
	case 'd':
		known(o, a)->gone = at;
		break;
	case 'M':
		o->tree[a % MAX_TREES].volume = b;
		o->tree[a % MAX_TREES].mounted = at;
		break;
	case 'X':
		old_pool_ends(o, at, false);
		break;
	case 'Y':
		old_pool_ends(o, at, true);
		break;
	}
}

static void read_content(struct oracle *o, struct volume *v)
{
	u64 size = VOL_SECTORS * sizeof(*v->floor);
	char path[500];
	int fd;

	snprintf(path, sizeof(path), "%s/content-%u", o->dir, v->id);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, v->floor, size) != (ssize_t)size)
		die("%s cannot be read", path);
	close(fd);
	memcpy(v->base, v->floor, size);
}

/* "<writer>:<k>-<l>": compares a snapshot with what its origin was. */
static void check_snapshot(struct oracle *o, struct volume *snap,
			   struct volume *origin, const char *text)
{
	u64 *was = malloc(VOL_SECTORS * sizeof(*was));
	u64 from[MAX_WRITERS] = { 0 }, upto[MAX_WRITERS] = { 0 };
	unsigned long long k, l;
	unsigned int nr, i;
	u32 s;

	if (!was)
		die("no memory");
	/* The origin's floor may be higher by now. */
	memcpy(was, origin->base, VOL_SECTORS * sizeof(*was));
	while ((text = strchr(text, ',')) &&
	       sscanf(++text, "%u:%llu-%llu", &nr, &k, &l) == 3) {
		struct writer *w = &o->writer[nr % MAX_WRITERS];

		from[nr % MAX_WRITERS] = k;
		upto[nr % MAX_WRITERS] = l;
		apply_ops(o, w, was, 0, k);
	}
	for (s = 0; s < VOL_SECTORS; s++) {
		bool ok = snap->floor[s] == was[s];

		for (i = 0; i < MAX_WRITERS && !ok; i++)
			ok = upto[i] && s >= o->writer[i].first &&
			     s < o->writer[i].first + o->writer[i].nr &&
			     op_left(o, &o->writer[i], s, snap->floor[s],
				     from[i], upto[i]);
		if (!ok)
			complain(
				"snapshot %u of %u, sector %u: held %#llx when it was taken, the origin %#llx",
				snap->id, origin->id, s, snap->floor[s],
				was[s]);
	}
	free(was);
}

static void pass_snapshot(struct oracle *o, const char *text)
{
	struct volume *snap, *origin;
	unsigned int a, b;

	if (sscanf(text + 2, "%u,%u", &a, &b) != 2)
		die("a mark is damaged: %s", text);
	snap = known(o, a);
	origin = known(o, b);
	if (!snap->stamped)
		return;
	/* behind "N,snapshot,origin" */
	text = strchr(strchr(text + 2, ',') + 1, ',');
	check_snapshot(o, snap, origin, text ? text : "");
}

/* Second pass, when the point passes the mark. */
static void pass_mark(struct oracle *o, const char *text)
{
	unsigned int a, b;
	unsigned long long k;
	struct writer *w;

	switch (text[0]) {
	case 'S':
		if (sscanf(text + 2, "%u,%llu", &a, &k) != 2)
			die("a mark is damaged: %s", text);
		w = &o->writer[a % MAX_WRITERS];
		apply_ops(o, w, o->volume[w->volume].floor, w->durable, k);
		w->durable = max_t(u64, w->durable, k);
		break;
	case 'N':
		pass_snapshot(o, text);
		break;
	case 'F':
		if (sscanf(text + 2, "%u,%u,%llu", &a, &b, &k) != 3)
			die("a mark is damaged: %s", text);
		o->tree[a % MAX_TREES].gen[b % MAX_FILES] = k;
		break;
	}
}

struct oracle *oracle_create(const struct log *log, u64 seed, const char *dir)
{
	struct oracle *o = calloc(1, sizeof(*o));
	unsigned int i;
	u64 at;

	if (!o)
		die("no memory");
	o->log = log;
	o->seed = seed;
	o->dir = dir;
	o->wiped = NEVER;
	o->made = NEVER;
	for (at = 0; at < log->nr; at++)
		if (log->entry[at].flags & LOG_MARK)
			scan_mark(o, at, (const char *)log->entry[at].data);
	for (i = 0; i < o->nr_volumes; i++)
		if (o->volume[i].stamped && o->volume[i].maybe &&
		    o->volume[i].id < NEW_POOL)
			read_content(o, &o->volume[i]);
	return o;
}

void oracle_advance(struct oracle *o, u64 p)
{
	for (; o->next <= p; o->next++)
		if (o->log->entry[o->next].flags & LOG_MARK)
			pass_mark(o, (const char *)o->log->entry[o->next].data);
}

static u64 now(const struct oracle *o)
{
	return o->next - 1;
}

bool oracle_may_be_blank(const struct oracle *o)
{
	unsigned int i;

	if (now(o) >= o->wiped)
		return now(o) < o->made;
	for (i = 0; i < o->nr_volumes; i++)
		if (o->volume[i].there <= now(o))
			return false;
	return true;
}

/*----------------------------------------------------------------
 * Comparing
 *--------------------------------------------------------------*/

void oracle_begin(struct oracle *o)
{
	unsigned int i;

	for (i = 0; i < o->nr_volumes; i++)
		o->volume[i].seen = false;
	o->at = NULL;
}

/* A sector's content as one word; NEVER: it is not one of our sectors. */
static u64 sector_value(const u8 *data, u32 sector)
{
	const struct stamp *s = (const void *)data;

	if (s->magic == STAMP_MAGIC && s->sector == sector)
		return s->writer << 40 | s->op;
	return !s->magic && !s->op ? 0 : NEVER;
}

static void check_sector(struct oracle *o, u32 sector, u64 value, u64 pbn)
{
	struct volume *v = o->at;
	unsigned int i;

	o->checked++;
	if (likely(value == v->floor[sector]))
		return;
	for (i = 0; i < MAX_WRITERS && value != NEVER; i++) {
		struct writer *w = &o->writer[i];

		if (w->used && &o->volume[w->volume] == v &&
		    sector >= w->first && sector < w->first + w->nr &&
		    op_left(o, w, sector, value, w->durable,
			    horizon(w, now(o))))
			return;
	}
	complain(
		"volume %u sector %u (data block %lld): holds %#llx, %#llx is durable",
		v->id, sector, (long long)pbn, value, v->floor[sector]);
}

static void check_block(struct oracle *o, u64 vbn, u64 pbn)
{
	const u8 *data = image_block(pbn);
	u32 s, sector = vbn * BLOCK;

	for (s = 0; s < BLOCK; s++, sector++)
		if (pbn == HPM_PBN_HOLE)
			check_sector(o, sector, 0, -1);
		else
			check_sector(o, sector,
				     sector_value(data + s * SECTOR, sector),
				     pbn);
}

static void end_volume(struct oracle *o)
{
	u64 vbn;

	for (vbn = 0; vbn < VOL_BLOCKS && o->at && o->at->stamped; vbn++)
		check_block(o, vbn, o->map[vbn]);
	o->at = NULL;
}

void oracle_volume(struct oracle *o, u32 id)
{
	struct volume *v = find_volume(o, id);
	u64 vbn;

	end_volume(o);
	if (!v || now(o) < v->maybe || now(o) >= v->gone) {
		complain("there is a volume %u", id);
		return;
	}
	v->seen = true;
	o->at = v;
	for (vbn = 0; vbn < VOL_BLOCKS; vbn++)
		o->map[vbn] = HPM_PBN_HOLE;
}

/* The mappings of one large block come in any order. */
void oracle_mapping(struct oracle *o, u64 vbn, u64 pbn, u32 nr)
{
	for (; o->at && nr-- && vbn < VOL_BLOCKS; vbn++, pbn++)
		o->map[vbn] = pbn;
}

void oracle_end(struct oracle *o)
{
	unsigned int i;

	end_volume(o);
	for (i = 0; i < o->nr_volumes; i++) {
		struct volume *v = &o->volume[i];

		if (!v->seen && v->there <= now(o) && now(o) < v->going)
			complain("volume %u is not there", v->id);
	}
}

/*----------------------------------------------------------------
 * File systems
 *--------------------------------------------------------------*/

static const struct tree *find_tree(const struct oracle *o, u32 id)
{
	unsigned int i;

	for (i = 0; i < MAX_TREES; i++)
		if (o->tree[i].volume == id && o->tree[i].mounted <= now(o))
			return &o->tree[i];
	return NULL;
}

char oracle_fs(const struct oracle *o, u32 id)
{
	unsigned int i;

	for (i = 0; i < o->nr_volumes; i++)
		if (o->volume[i].id == id && now(o) >= o->volume[i].going)
			return 0;
	if (!find_tree(o, id))
		return 0;
	return id < 600 ? 'e' : 'x';
}

void oracle_expect(const struct oracle *o, u32 id, FILE *f)
{
	const struct tree *t = find_tree(o, id);
	unsigned int i;

	for (i = 0; t && i < MAX_FILES; i++)
		if (t->gen[i])
			fprintf(f, "%u %llu\n", i, t->gen[i]);
}

u64 oracle_checked(const struct oracle *o)
{
	return o->checked;
}
