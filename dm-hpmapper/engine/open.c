// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening, recovering, enlarging and closing a pool.
 *
 * Recovery writes nothing before its own checkpoint, so after a crash in it, it
 * is simply repeated.  (If metadata space does not suffice, there is a second
 * attempt, which makes more checkpoints: more_room().)  The checkpoint has a
 * new nonce, so no batch from before the crash can be mistaken for one that
 * follows it.  Both superblocks get the new state before the pool is used.  The
 * crash rule is in checkpoint.c.
 */
#include "engine.h"
#include "applier.h"
#include "array.h"
#include "block.h"
#include "busy.h"
#include "change.h"
#include "checkpoint.h"
#include "create.h"
#include "credit.h"
#include "journal.h"
#include "label.h"
#include "map.h"
#include "mark.h"
#include "node.h"
#include "refs.h"
#include "replay.h"
#include "space.h"
#include "volumes.h"

/* Are the fields of the superblock in their ranges? */
static bool super_sane(struct hpm_md *md, const struct hpm_super *sb)
{
	u64 meta = le64_to_cpu(sb->meta_blocks);
	u64 data = le64_to_cpu(sb->data_blocks);
	unsigned int i;

	if (memcmp(sb->uuid, md->uuid, HPM_UUID_SIZE) ||
	    meta < HPM_MIN_META_BLOCKS || meta > HPM_MAX_META_BLOCKS ||
	    md->journal_start + md->journal_blocks > meta ||
	    !data || data > HPM_PBN_HOLE || data & (md->large_size - 1) ||
	    le32_to_cpu(sb->time) > HPM_MAX_TIME ||
	    le32_to_cpu(sb->nr_segments) > HPM_MAX_SEGMENTS)
		return false;
	for (i = 0; i < HPM_NR_ARRAYS; i++)
		if (sb->array[i].height > 8)
			return false;
	return sb->held.height <= 8;
}

/* Reads both superblocks; @sb has the *nr valid ones, the newer one first. */
static int read_supers(struct hpm_md *md, struct hpm_super *sb[2],
		       unsigned int *nr, const char **why)
{
	static const u64 place[2] = { HPM_SUPER_A, HPM_SUPER_B };
	unsigned int i;
	int r;

	*nr = 0;
	for (i = 0; i < 2; i++) {
		r = hpm_io_read(md->io, place[i], sb[*nr]);
		if (!r)
			r = hpm_block_check(md->seed, sb[*nr], HPM_BT_SUPER,
					    place[i]);
		if (!r && !super_sane(md, sb[*nr]))
			r = -EUCLEAN;
		if (r)
			hpm_warn(md, "superblock at metadata block %llu is not usable: %d",
				 (unsigned long long)place[i], r);
		else
			(*nr)++;
	}
	if (!*nr) {
		*why = "both superblocks (metadata blocks 8 and 24) are damaged";
		return -EUCLEAN;
	}
	if (*nr == 2 && le64_to_cpu(sb[1]->generation) >
			le64_to_cpu(sb[0]->generation))
		swap(sb[0], sb[1]);
	return 0;
}

static int check_size(struct hpm_md *md, const char *what, u64 is, u64 was)
{
	if (is >= was)
		return 0;
	hpm_err(md, "the %s device has %llu blocks of 4 KiB, the pool was made for %llu",
		what, (unsigned long long)is, (unsigned long long)was);
	return -EINVAL;
}

static int check_sizes(struct hpm_md *md, const struct hpm_super *sb,
		       const char **why)
{
	if (check_size(md, "metadata", hpm_io_meta_blocks(md->io),
		       le64_to_cpu(sb->meta_blocks))) {
		*why = "the metadata device is smaller than the pool was made for";
		return -EINVAL;
	}
	if (check_size(md, "data", hpm_io_data_blocks(md->io),
		       le64_to_cpu(sb->data_blocks))) {
		*why = "the data device is smaller than the pool was made for";
		return -EINVAL;
	}
	return 0;
}

static void take_super(struct hpm_md *md, const struct hpm_super *sb)
{
	unsigned int i;

	/*
	 * A checkpoint that a crash interrupted has left nodes of the epoch
	 * after the superblock's.  The recovery writes other nodes to the same
	 * places.  If the device loses one of these writes, what is there must
	 * not look like the new node; so the recovery takes an epoch that was
	 * never used.
	 */
	md->epoch = le64_to_cpu(sb->head.epoch) + 1 + get_random_u32() % (1 << 20);
	md->time = le32_to_cpu(sb->time);
	md->transaction_id = le64_to_cpu(sb->transaction_id);
	md->next_serial = le64_to_cpu(sb->next_serial);
	md->sb_flags = le32_to_cpu(sb->flags);
	md->generation = le64_to_cpu(sb->generation);
	md->super_block = le64_to_cpu(sb->head.blocknr);
	md->meta_blocks = le64_to_cpu(sb->meta_blocks);
	for (i = 0; i < HPM_NR_ARRAYS; i++) {
		md->array[i].root = hpm_root_from_disk(&sb->array[i]);
		md->array[i].nodes = le64_to_cpu(sb->array_nodes[i]);
	}
	md->held.root = hpm_root_from_disk(&sb->held);
	md->letting_go = le32_to_cpu(sb->held_flags) & HPM_HELD_GOING;
	md->has_held = sb->held_flags && !md->letting_go;
	md->held_time = le32_to_cpu(sb->held_time);
	/* They are not counted, but each had a serial of its own. */
	if (sb->held_flags)
		md->held_volumes = md->next_serial;
	hpm_counts_epoch(md);
	memcpy(md->sb, sb, sizeof(*sb));
}

static int load_state(struct hpm_md *md, struct hpm_super *sb[2],
		      unsigned int nr, const char **why)
{
	int r;

	*why = "the reference counts of metadata blocks are damaged (hpm_repair builds new ones)";
	r = hpm_refs_init(md, md->meta_blocks);
	if (!r)
		r = hpm_refs_load(md, sb[0]);
	if (!r && nr == 2)
		r = hpm_refs_load_other(md, sb[1]);
	if (r)
		return r;
	r = hpm_space_resize(md, le64_to_cpu(sb[0]->data_blocks));
	if (r)
		return r;
	md->space.used = le64_to_cpu(sb[0]->data_used);
	r = hpm_journal_init(md);
	if (r)
		return r;
	*why = "the volume table cannot be read";
	return hpm_vols_load(md);
}

static int grow_locked(struct hpm_md *md, u64 meta, u64 data, const char **why)
{
	int r = 0;

	*why = "no memory";
	if (meta > md->meta_blocks) {
		r = hpm_refs_grow(md, meta);
		if (!r)
			md->meta_blocks = meta;
	}
	if (!r && data > md->space.nr_blocks)
		r = hpm_space_resize(md, data);
	return r;
}

/*
 * When the metadata space is too small for the replay
 * ---------------------------------------------------
 * A record takes no more space than its credit has reserved, in a replay as at
 * run time, so this does not happen to a pool that was written by this version.
 * It can happen to pools of older versions, whose records could take more.
 * Such a pool must still open, without losing what the journal has.  The first
 * attempt writes nothing, as always.  The second one begins anew, from the same
 * superblock:
 *
 *  - A pool that is opened for writing first takes the whole device into use,
 *    if that has become larger; like any growth, this is done in memory.  The
 *    first checkpoint makes it durable, together with everything that was
 *    replayed.  A crash before that finds the old superblock and the journal
 *    behind it untouched, as neither names anything in the new space.
 *
 *    After each batch it makes a checkpoint and settles.  This checkpoint is
 *    like any other: it has the state after the last record of a batch, the
 *    place behind that batch, its checksum, from which the next batch follows,
 *    and the nonce of the activation that wrote it.  After a crash, the
 *    recovery goes on from there.  The ring is only read, so damage further on
 *    is found later as it would have been found before.
 *
 *  - A pool that is opened read-only gets blocks behind the end of its
 *    device.  They exist as nodes in memory that stay dirty, and nothing is
 *    written.
 */
static int more_room(struct hpm_md *md, const char **why)
{
	u64 meta = min_t(u64, hpm_io_meta_blocks(md->io), HPM_MAX_META_BLOCKS);

	lockdep_assert_held(&md->lock);
	if (md->room == HPM_ROOM_POOL)
		return 0;
	if (md->room == HPM_ROOM_MORE) {
		if (meta > md->meta_blocks)
			meta = hpm_refs_usable(md, meta);
		return grow_locked(md, meta, md->space.nr_blocks, why);
	}
	*why = "no memory";
	md->beyond = max_t(u64, md->meta_blocks, 1 << 16);
	return hpm_refs_beyond(md, md->beyond);
}

static int replay(struct hpm_md *md, const struct hpm_super *sb,
		  const char **why)
{
	int r;

	mutex_lock(&md->lock);
	r = more_room(md, why);
	mutex_unlock(&md->lock);
	if (r)
		return r;
	r = hpm_journal_replay(md, sb, why);
	if (r) {
		md->no_room = r == -ENOSPC;
		return r;
	}
	*why = "the data space maps cannot be read";
	mutex_lock(&md->lock);
	r = hpm_space_load(md);
	mutex_unlock(&md->lock);
	return r;
}

/* Replays the journal and makes the checkpoints that complete the recovery. */
static int recover(struct hpm_md *md, const struct hpm_super *sb,
		   const char **why)
{
	int r = replay(md, sb, why);

	if (r || md->params.read_only)
		return r;
	/* The checkpoint must write volumes, too. */
	if (md->room == HPM_ROOM_POOL && hpm_credit_tight(md)) {
		md->no_room = true;
		return -ENOSPC;
	}
	*why = "the recovery could not be written";
	hpm_journal_restart(md);
	r = hpm_md_checkpoint(md);
	if (!r)
		r = hpm_md_checkpoint(md);
	return r;
}

static int open_pool(struct hpm_md *md, struct hpm_super *sb[2],
		     const char **why)
{
	unsigned int nr;
	int r;

	r = read_supers(md, sb, &nr, why);
	if (r)
		return r;
	r = check_sizes(md, sb[0], why);
	if (r)
		return r;
	take_super(md, sb[0]);
	if (md->sb_flags & HPM_SB_NEEDS_CHECK && !md->params.read_only &&
	    !md->params.ignore_needs_check) {
		md->params.read_only = true;
		md->why = "the pool needs a check (hpm_check) before it is written to";
	}
	mutex_lock(&md->lock);
	r = load_state(md, sb, nr, why);
	mutex_unlock(&md->lock);
	if (!r)		/* from here on, sb[1] is only a buffer */
		r = hpm_mark_check(md, sb[1], why);
	if (!r)
		r = recover(md, sb[0], why);
	return r;
}

static int open_device(struct hpm_md *md, const char **why)
{
	struct hpm_super *sb[2] = {
		hpm_block_alloc(GFP_KERNEL), hpm_block_alloc(GFP_KERNEL),
	};
	void *buf = hpm_block_alloc(GFP_KERNEL);
	int r = -ENOMEM;

	if (!sb[0] || !sb[1] || !buf)
		goto out;
	*why = "the metadata device cannot be read";
	r = hpm_io_read(md->io, HPM_LABEL_BLOCK, buf);
	if (r)
		goto out;
	if (hpm_block_is_zero(buf)) {
		r = -ENODATA;
		*why = "there is no pool on the metadata device";
		if (md->params.may_format && !md->params.read_only)
			r = hpm_format(md, buf, why);
		goto out;
	}
	r = hpm_label_take(md, buf, why);
	if (!r)
		r = open_pool(md, sb, why);
out:
	if (sb[0])
		hpm_block_free(sb[0]);
	if (sb[1])
		hpm_block_free(sb[1]);
	if (buf)
		hpm_block_free(buf);
	return r;
}

static atomic_t nr_opened = ATOMIC_INIT(0);

static int md_init(struct hpm_md *md)
{
	unsigned int i;
	int r;

	mutex_init(&md->checkpoint_lock);
	mutex_init(&md->commit_lock);
	mutex_init(&md->lock);
	INIT_LIST_HEAD(&md->dirty_vols);
	INIT_LIST_HEAD(&md->dying);
	for (i = 0; i < HPM_NR_ARRAYS; i++)
		hpm_array_init(&md->array[i], i);
	hpm_array_init(&md->held, HPM_ARR_VOLUME);
	/* If something fails from here on, hpm_md_close() finds initialized lists. */
	r = hpm_space_init(md);
	if (r)
		return r;
	hpm_set_large_shift(md, md->params.large_shift);
	md->sb = hpm_block_alloc(GFP_KERNEL);
	md->next_sb = hpm_block_alloc(GFP_KERNEL);
	md->scratch = kvcalloc(HPM_SCRATCH_ENTRIES, sizeof(*md->scratch),
			       GFP_KERNEL);
	/* The kernel complains about two caches with the same name. */
	snprintf(md->cache_name, sizeof(md->cache_name), "hpm_change_%d",
		 atomic_inc_return(&nr_opened));
	md->change_cache = kmem_cache_create(md->cache_name,
					     sizeof(struct hpm_change), 0, 0,
					     NULL);
	if (!md->sb || !md->next_sb || !md->scratch || !md->change_cache)
		return -ENOMEM;
	return hpm_nodes_init(md, &hpm_map_kind, &hpm_array_kind);
}

/* Allocates the engine; @room says where the replay shall find space. */
static struct hpm_md *md_new(struct hpm_io *io,
			     const struct hpm_md_params *params,
			     const struct hpm_md_ops *ops, void *ctx,
			     enum hpm_room room)
{
	struct hpm_md *md = kvzalloc(sizeof(*md), GFP_KERNEL);

	if (!md)
		return NULL;
	md->name = params->name ?: "pool";
	md->io = io;
	md->ops = ops;
	md->ctx = ctx;
	md->params = *params;
	md->room = room;
	return md;
}

/* If the replay did not find enough space, is there another way? */
static enum hpm_room other_room(struct hpm_md *md)
{
	u64 meta = hpm_io_meta_blocks(md->io);

	if (!md->no_room)
		return HPM_ROOM_POOL;
	if (md->room != HPM_ROOM_POOL) {
		hpm_err(md, "the metadata device is full, and the journal needs more; nothing is lost: make the device larger, or copy it to a larger one, and activate the pool with that; read_only it can be activated as it is");
		return HPM_ROOM_POOL;
	}
	if (md->params.read_only) {
		hpm_warn(md, "the journal does not fit the %llu metadata blocks of the pool: it is replayed in memory, and nothing is written",
			 (unsigned long long)md->meta_blocks);
		return HPM_ROOM_MEMORY;
	}
	hpm_warn(md, "the journal does not fit the %llu metadata blocks of the pool in one go: another try with the %llu that the device has, and a checkpoint after each batch",
		 (unsigned long long)md->meta_blocks, (unsigned long long)meta);
	return HPM_ROOM_MORE;
}

static const char no_room[] =
	"the metadata device is full, and the journal needs more: see hpm_repair(8), A FULL DEVICE";

int hpm_md_open(struct hpm_io *io, const struct hpm_md_params *params,
		const struct hpm_md_ops *ops, void *ctx, struct hpm_md **mdp,
		const char **why)
{
	enum hpm_room room = HPM_ROOM_POOL;
	struct hpm_md *md;
	int r;

	do {
		*why = "no memory";
		md = md_new(io, params, ops, ctx, room);
		if (!md)
			return -ENOMEM;
		r = md_init(md);
		if (!r)
			r = open_device(md, why);
		if (r) {
			if (md->no_room)
				*why = no_room;
			room = other_room(md);
			hpm_md_close(md);
		}
	} while (r && room != HPM_ROOM_POOL);
	if (r)
		return r;
	md->room = HPM_ROOM_POOL;
	if (md->params.read_only)
		md->mode = HPM_MODE_READ_ONLY;
	if ((md->letting_go || !list_empty(&md->dying)) &&
	    !md->params.read_only)
		hpm_kick(md, HPM_KICK_RECLAIM);
	*why = NULL;
	*mdp = md;
	return 0;
}

int hpm_md_shutdown(struct hpm_md *md)
{
	int r;

	if (READ_ONCE(md->mode) >= HPM_MODE_READ_ONLY)
		return 0;
	r = hpm_md_apply(md);
	if (!r)
		r = hpm_md_checkpoint(md);
	return r;
}

static void free_changes(struct hpm_md *md)
{
	struct hpm_change *c, *next;

	if (!md->journal.open)
		return;
	list_for_each_entry_safe(c, next, &md->journal.fifo, fifo)
		hpm_change_free(md, c);
}

void hpm_md_close(struct hpm_md *md)
{
	unsigned int i;

	rcu_barrier();
	free_changes(md);
	for (i = 0; i < HPM_NR_ARRAYS; i++)
		hpm_array_release(&md->array[i]);
	hpm_array_release(&md->held);
	hpm_vols_exit(md);
	hpm_journal_exit(md);
	hpm_space_exit(md);
	hpm_refs_exit(md);
	hpm_nodes_exit(md);
	rcu_barrier();
	kmem_cache_destroy(md->change_cache);
	kvfree(md->scratch);
	if (md->sb)
		hpm_block_free(md->sb);
	if (md->next_sb)
		hpm_block_free(md->next_sb);
	kvfree(md);
}

/*----------------------------------------------------------------
 * Growth, figures
 *--------------------------------------------------------------*/

/*
 * The space that the metadata device has gained may be too small to hold the
 * reference counts of itself.  It then stays unused until the device grows
 * further; the new space of the data device is taken into use all the same.
 */
static u64 usable_meta(struct hpm_md *md)
{
	u64 meta = min_t(u64, hpm_io_meta_blocks(md->io), HPM_MAX_META_BLOCKS);
	u64 usable = meta;

	mutex_lock(&md->lock);
	if (meta > md->meta_blocks)
		usable = hpm_refs_usable(md, meta);
	mutex_unlock(&md->lock);
	if (usable < meta)
		hpm_warn(md, "the last %llu blocks of the metadata device stay unused until it is larger: they have no room for their own reference counts",
			 (unsigned long long)(meta - usable));
	return usable;
}

int hpm_md_grow(struct hpm_md *md, const char **why)
{
	u64 meta = usable_meta(md);
	u64 data = hpm_io_data_blocks(md->io) >> md->large_shift <<
		   md->large_shift;
	int r;

	if (meta < md->meta_blocks) {
		*why = "the metadata device has become smaller";
		return -EINVAL;
	}
	if (data < md->space.nr_blocks) {
		*why = "the data device has become smaller";
		return -EINVAL;
	}
	if (meta == md->meta_blocks && data == md->space.nr_blocks)
		return 0;
	if (READ_ONCE(md->sb_flags) & HPM_SB_NEEDS_CHECK) {
		*why = "the pool needs a check (hpm_check) before it can grow";
		return -EUCLEAN;
	}
	mutex_lock(&md->checkpoint_lock);
	mutex_lock(&md->commit_lock);
	mutex_lock(&md->lock);
	r = grow_locked(md, meta, data, why);
	mutex_unlock(&md->lock);
	if (!r) {
		/*
		 * The new space counts only when a superblock says so.  A
		 * recovery from the older superblock could not apply records
		 * that use new space, so no such record may be durable before
		 * both superblocks have it.
		 */
		*why = "the checkpoint failed";
		r = hpm_checkpoint_alone(md);
		if (!r)
			r = hpm_checkpoint_alone(md);
	}
	mutex_unlock(&md->commit_lock);
	mutex_unlock(&md->checkpoint_lock);
	if (!r)
		hpm_credit_progress(md);
	return r;
}

/*
 * Reads the figures without a lock, so they are not all of one instant.
 * READ_ONCE() marks those that are used for more than display.
 */
void __no_kcsan hpm_md_get_stats(struct hpm_md *md, struct hpm_md_stats *st)
{
	struct hpm_journal *j = &md->journal;
	struct hpm_refs *refs = &md->refs;
	u64 nr_free;

	memset(st, 0, sizeof(*st));
	hpm_snap_stats(md, st);
	st->transaction_id = md->transaction_id;
	st->meta_total = md->meta_blocks;
	st->meta_used = refs->nr_used;
	nr_free = READ_ONCE(refs->nr_free);
	if (nr_free > refs->reserve && !md->beyond)
		st->meta_free_now = nr_free - refs->reserve;
	st->data_total = md->space.nr_blocks;
	st->data_used = md->space.used - md->marked;
	st->data_free_now = hpm_space_free_now(md);
	st->data_freed = READ_ONCE(md->space.nr_freed);
	st->held_root = md->has_held ? md->held.root.ptr.block : 0;
	st->needs_check = READ_ONCE(md->sb_flags) & HPM_SB_NEEDS_CHECK;
	/* A held table that is being given back counts as a dying tree. */
	st->nr_dying = READ_ONCE(md->nr_dying) + READ_ONCE(md->letting_go);
	st->record = READ_ONCE(j->next_record) - 1;
	st->record_applied = READ_ONCE(j->applied);
	st->record_durable = READ_ONCE(j->durable);
	st->journal_blocks = j->blocks;
	st->journal_blocks_used = READ_ONCE(j->pos) - READ_ONCE(j->tail);
	st->checkpoints = md->checkpoints;
	st->commits = j->commits;
	st->journal_writes = j->writes;
	st->nodes_cached = md->nodes.nr_clean + md->nodes.nr_dirty;
	st->nodes_dirty = md->nodes.nr_dirty;
	st->node_reads = md->nodes.reads;
	st->node_writes = md->nodes.writes;
	st->large_shift = md->large_shift;
	memcpy(st->uuid, md->uuid, HPM_UUID_SIZE);
}
