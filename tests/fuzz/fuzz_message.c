// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzes messages: each line of the input is a message for a pool in memory.
 * The engine executes valid messages, as for the pool target.  In the end, the
 * volumes, their names and sizes and the transaction id must be what the
 * successful messages have made; and the metadata must be consistent, before
 * and after a crash.
 */
#include "fuzz.h"
#include "hpm_check.h"
#include "hpm_mem_io.h"
#include "metadata-pool.h"
#include "parse.h"

#define MAX_VOLS 64

struct vol {
	bool there;
	u32 id;
	u64 blocks;
	char name[HPM_NAME_SIZE];
};

static struct hpm_md *md;
static struct vol vols[MAX_VOLS];
static u64 tid;

static void quiet(void *ctx, enum hpm_env_level level, const char *line)
{
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	hpm_env_set_log(quiet, NULL);
	return 0;
}

/*
 *----------------------------------------------------------------
 * What should be there
 *--------------------------------------------------------------
 */

static struct vol *find(u32 id)
{
	unsigned int i;

	for (i = 0; i < MAX_VOLS; i++)
		if (vols[i].there && vols[i].id == id)
			return &vols[i];
	return NULL;
}

static bool named(const char *name)
{
	unsigned int i;

	for (i = 0; i < MAX_VOLS; i++)
		if (vols[i].there && !strcmp(vols[i].name, name))
			return true;
	return false;
}

static struct vol *room(void)
{
	unsigned int i;

	for (i = 0; i < MAX_VOLS; i++)
		if (!vols[i].there)
			return &vols[i];
	return NULL;
}

static void set_name(struct vol *v, const char *name)
{
	snprintf(v->name, sizeof(v->name), "%s", name ?: "");
}

static void add(const struct hpm_message *m, u64 blocks)
{
	struct vol *v = room();

	must(v && !find(m->id) && !(m->name && named(m->name)));
	*v = (struct vol){ .there = true, .id = m->id, .blocks = blocks };
	set_name(v, m->name);
}

static void compare(void)
{
	struct hpm_vol_info info;
	struct hpm_md_stats st;
	unsigned int n = 0, i;
	u32 id = 0;

	while (!hpm_vol_next(md, id, &info)) {
		struct vol *v = find(info.id);

		must(v && v->blocks == info.size);
		must(!strcmp(v->name, info.name));
		n++;
		id = info.id + 1;
	}
	for (i = 0; i < MAX_VOLS; i++)
		n -= vols[i].there;
	must(!n);
	hpm_md_get_stats(md, &st);
	must(st.transaction_id == tid);
}

/*
 *----------------------------------------------------------------
 * Messages
 *--------------------------------------------------------------
 */

static void create(const struct hpm_message *m, const char **why)
{
	bool snap = m->type == HPM_MSG_CREATE_SNAP;
	struct vol *origin = snap ? find(m->origin) : NULL;
	int r;

	if (!room())
		return;
	if (snap)
		r = hpm_vol_snapshot(md, m->id, m->origin, m->name, why);
	else
		r = hpm_vol_create(md, m->id, m->blocks, m->name, why);
	if (r)
		must(*why && (find(m->id) || (m->name && named(m->name)) ||
			      (snap && !origin)));
	else
		add(m, snap ? origin->blocks : m->blocks);
}

static void change(const struct hpm_message *m, const char **why)
{
	struct vol *v = find(m->id);
	int r;

	if (m->type == HPM_MSG_DELETE)
		r = hpm_vol_delete(md, m->id, why);
	else if (m->type == HPM_MSG_SET_SIZE)
		r = hpm_vol_set_size(md, m->id, m->blocks, why);
	else if (m->type == HPM_MSG_SET_NAME)
		r = hpm_vol_set_name(md, m->id, m->name, why);
	else
		r = hpm_vol_set_flags(md, m->id, m->on ? HPM_VOL_NOSHARE : 0,
				      why);
	if (r) {
		must(*why && (!v || (m->name && named(m->name))));
		return;
	}
	must(v);
	if (m->type == HPM_MSG_DELETE)
		v->there = false;
	else if (m->type == HPM_MSG_SET_SIZE)
		v->blocks = m->blocks;
	else if (m->type == HPM_MSG_SET_NAME)
		set_name(v, m->name);
}

static void set_tid(const struct hpm_message *m, const char **why)
{
	int r = hpm_md_set_transaction_id(md, m->old_tid, m->new_tid, why);

	must(!r == (m->old_tid == tid));
	if (!r)
		tid = m->new_tid;
}

static void carry_out(const struct hpm_message *m)
{
	const char *why = NULL;

	switch (m->type) {
	case HPM_MSG_CREATE_THIN:
	case HPM_MSG_CREATE_SNAP:
		create(m, &why);
		break;
	case HPM_MSG_DELETE:
	case HPM_MSG_SET_SIZE:
	case HPM_MSG_SET_NAME:
	case HPM_MSG_SET_SHARING:
	case HPM_MSG_SET_READONLY:
		change(m, &why);
		break;
	case HPM_MSG_SET_TRANSACTION_ID:
		set_tid(m, &why);
		break;
	case HPM_MSG_HOLD:
		must(!hpm_md_hold(md, &why) || why);
		break;
	case HPM_MSG_RELEASE:
		must(!hpm_md_release(md, &why) || why);
		break;
	case HPM_MSG_CHECKPOINT:
		must(!hpm_md_apply(md) && !hpm_md_checkpoint(md));
		break;
	case HPM_MSG_MAP_CACHE:
		hpm_md_nodes_limit(md, m->number);
		break;
	default:
		compare();
	}
}

static void in_bounds(const struct hpm_message *m)
{
	must(m->type < HPM_NR_MESSAGES && m->word);
	must(m->id <= HPM_MAX_VOLUME_ID && m->origin <= HPM_MAX_VOLUME_ID);
	must(m->blocks <= 1ull << HPM_VBN_BITS);
	must(!m->name || strlen(m->name) < HPM_NAME_SIZE);
}

static void line_of(unsigned int argc, char **argv)
{
	char why[HPM_WHY_SIZE] = "";
	struct hpm_message m;

	if (hpm_parse_message(argc, argv, &m, why)) {
		must(*why && strlen(why) < HPM_WHY_SIZE);
		return;
	}
	in_bounds(&m);
	carry_out(&m);
}

/*
 *----------------------------------------------------------------
 * The pool
 *--------------------------------------------------------------
 */

static void open_pool(struct hpm_io *io)
{
	const struct hpm_md_params p = {
		.large_shift = 4,
		.may_format = true,
	};
	const char *why;

	must(!hpm_md_open(io, &p, NULL, NULL, &md, &why));
}

static void check(struct hpm_io *io)
{
	const struct hpm_check_params p = { 0 };
	struct hpm_check_result res;

	must(!hpm_check(io, &p, &res) && !res.errors);
}

/* Messages are durable when they return, so this needs no flush. */
static void crash(struct hpm_io *io)
{
	struct hpm_io *after = hpm_mem_crash(io, HPM_LOSE_ALL, 1);

	hpm_md_close(md);
	open_pool(after);
	compare();
	check(after);
	hpm_md_close(md);
	hpm_io_close(after);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct hpm_io *io = hpm_mem_create(1024, 1024, 1);
	char *argv[FUZZ_WORDS];
	struct fuzz_line line;

	memset(vols, 0, sizeof(vols));
	tid = 0;
	open_pool(io);
	fuzz_begin(&line, data, size);
	while (fuzz_next(&line))
		line_of(fuzz_words(&line, argv), argv);
	fuzz_end(&line);
	compare();
	crash(io);
	hpm_io_close(io);
	return 0;
}
