// SPDX-License-Identifier: GPL-2.0-only
/*
 * The node cache: metadata blocks in memory.
 *
 * What a node is, and when
 * ------------------------
 *
 *	dirty	made in the open epoch, on nodes.dirty; the holder of md->lock
 *		may change it
 *	sealed	dirty, of an epoch that a checkpoint has closed, on that
 *		checkpoint's list; never changed again, so it can be read,
 *		copied and written at the same time without a lock
 *	clean	same as on the device, on nodes.clean; evicted if it was not
 *		used during a turn of the clock
 *
 * A node becomes clean when its checkpoint is durable, not when its write has
 * returned.  Until the flush, the device may still lose the write, and then the
 * copy in memory is the only one: it can be written again, or at least be read
 * while the pool is active.
 *
 * Who keeps a node alive
 * ----------------------
 * A node that is hashed or dirty has one hold for that.  Users take holds
 * without a lock, by atomic_inc_not_zero() under RCU, so eviction must win a
 * cmpxchg from one to zero.  A look-up that comes too late treats the node as
 * missing; once it has nodes.lock, the node is unhashed.  When the last hold is
 * put, the node is freed by RCU, as readers of map trees take no hold.
 *
 * Why a pointer never leads to the wrong content
 * ----------------------------------------------
 * Block numbers are reused, so a node is named by its number and by the epoch
 * in which it was made; both are in the pointer, in the node and on the disk.
 * A block that a durable state used is not reused before a later epoch.  So a
 * reader that follows a pointer that is out of date, which can happen without
 * md->lock, finds another epoch.  One case is left: a block that is made and
 * given back in the open epoch can be reused in the same epoch.  Its node was
 * never written, so it can only be confused with another node in memory; type
 * and level are checked, and the reader's seqcount rejects the rest.
 *
 * For the same reason, of two nodes with the same number only the younger one
 * is valid: a clean node of an older epoch is stale, and a reader that inserts
 * such a node finds its place taken.
 */
#include "engine.h"
#include "block.h"
#include "node.h"
#include "refs.h"

#define CACHE_DEFAULT_LIMIT	65536u	/* nodes, which take 256 MiB */
#define CACHE_MIN_CLEAN		64u	/* enough for a few paths */
#define CACHE_MAX_SPARE		256u
#define CACHE_EVICT_NR		4u	/* on insertions over the limit ... */
#define CACHE_EVICT_STEPS	16u	/* ... after a look at this many */
#define CACHE_LOCK_BATCH	64u	/* nodes handled under one nodes.lock */
#define WRITE_CHUNK		256u

/*----------------------------------------------------------------
 * Memory of nodes
 *
 * A kernel that clears the pages it allocates takes 4.8 us for a page, ten
 * times as long as it takes to copy a node.  So some nodes are kept, with their
 * pages, when they are freed.  Their content is metadata of the same pool, and
 * nothing depends on it: users initialize all that they read.  A new page is
 * cleared, as its unused parts are written to the device.
 *--------------------------------------------------------------*/

static struct hpm_node *node_create(struct hpm_nodes *c)
{
	struct hpm_node *n = kmalloc(sizeof(*n), HPM_GFP_MUST);

	n->data = hpm_block_alloc(HPM_GFP_MUST | __GFP_ZERO);
	n->nodes = c;
	return n;
}

static void node_destroy(struct hpm_node *n)
{
	hpm_block_free(n->data);
	kfree(n);
}

/* Allocates a node that is not hashed, with one hold. */
static struct hpm_node *node_alloc(struct hpm_nodes *c)
{
	struct hpm_node *n;
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	n = list_first_entry_or_null(&c->spare, struct hpm_node, list);
	if (n) {
		list_del(&n->list);
		c->nr_spare--;
	}
	spin_unlock_irqrestore(&c->lock, flags);

	if (!n)
		n = node_create(c);
	INIT_HLIST_NODE(&n->hash);
	INIT_LIST_HEAD(&n->list);
	atomic_set(&n->holds, 1);
	n->dirty = 0;
	n->cached = 0;
	n->referenced = 0;
	return n;
}

/* Frees a node that no reader can find any more, or keeps it as a spare one. */
static void node_free(struct hpm_node *n)
{
	struct hpm_nodes *c = n->nodes;
	unsigned long flags;
	bool keep;

	spin_lock_irqsave(&c->lock, flags);
	keep = c->nr_spare < CACHE_MAX_SPARE;
	if (keep) {
		list_add(&n->list, &c->spare);
		c->nr_spare++;
	}
	spin_unlock_irqrestore(&c->lock, flags);
	if (!keep)
		node_destroy(n);
}

static void node_free_rcu(struct rcu_head *head)
{
	node_free(container_of(head, struct hpm_node, rcu));
}

void hpm_node_hold(struct hpm_node *n)
{
	atomic_inc(&n->holds);
}

void hpm_node_put(struct hpm_node *n)
{
	if (atomic_dec_and_test(&n->holds))
		call_rcu(&n->rcu, node_free_rcu);
}

/*----------------------------------------------------------------
 * The hash and the clock
 *--------------------------------------------------------------*/

/*
 * Blocks are allocated in ascending order, so the low bits of their numbers are
 * spread well.
 */
static struct hlist_head *bucket(const struct hpm_nodes *c, u64 block)
{
	return &c->hash[block & ((1u << HPM_NODES_HASH_BITS) - 1)];
}

struct hpm_node *hpm_node_find(struct hpm_md *md, u64 block, u64 epoch)
{
	struct hpm_node *n;

	hlist_for_each_entry_rcu(n, bucket(&md->nodes, block), hash) {
		if (n->block != block || n->epoch != epoch)
			continue;
		/*
		 * Written only once a turn of the clock, so that readers do not
		 * bounce the line.
		 */
		if (!READ_ONCE(n->referenced))
			WRITE_ONCE(n->referenced, 1);
		return n;
	}
	return NULL;
}

/* Returns the node that is hashed under a number, of any epoch.  nodes.lock held. */
static struct hpm_node *cache_standing(struct hpm_nodes *c, u64 block)
{
	struct hpm_node *n;

	lockdep_assert_held(&c->lock);
	hlist_for_each_entry(n, bucket(c, block), hash)
		if (n->block == block)
			return n;
	return NULL;
}

static void cache_hash(struct hpm_nodes *c, struct hpm_node *n)
{
	n->cached = 1;
	hlist_add_head_rcu(&n->hash, bucket(c, n->block));
}

static void cache_unhash(struct hpm_node *n)
{
	if (n->cached)
		hlist_del_rcu(&n->hash);
	n->cached = 0;
}

/*
 * Removes a node whose block is free; nodes.lock held.  A node that a
 * checkpoint has sealed belongs to the state that the checkpoint writes: it
 * only leaves the hash, and it leaves the list when it was written.
 */
static void cache_forget(struct hpm_md *md, struct hpm_node *n)
{
	struct hpm_nodes *c = &md->nodes;

	lockdep_assert_held(&c->lock);
	if (!n->cached && !n->dirty)
		return;
	cache_unhash(n);
	if (n->dirty && n->epoch != md->epoch)
		return;
	list_del_init(&n->list);
	if (n->dirty)
		c->nr_dirty--;
	else
		c->nr_clean--;
	n->dirty = 0;
	hpm_node_put(n);
}

/*
 * Moves the hand of the clock over at most @steps nodes and evicts up to @nr of
 * them that are neither held nor were used since the last turn.
 */
static unsigned long cache_evict(struct hpm_nodes *c, unsigned long nr,
				 unsigned long steps)
{
	unsigned long done = 0;
	struct hpm_node *n;

	lockdep_assert_held(&c->lock);
	for (; done < nr && steps && !list_empty(&c->clean); steps--) {
		n = list_first_entry(&c->clean, struct hpm_node, list);
		if (READ_ONCE(n->referenced) ||
		    atomic_cmpxchg(&n->holds, 1, 0) != 1) {
			WRITE_ONCE(n->referenced, 0);
			list_move_tail(&n->list, &c->clean);
			continue;
		}
		list_del_init(&n->list);
		c->nr_clean--;
		cache_unhash(n);
		call_rcu(&n->rcu, node_free_rcu);
		done++;
	}
	return done;
}

/*
 * There may be more dirty nodes than the limit for a while, and they cannot be
 * evicted here.  If clean nodes had to make room for them all the same, a path
 * that is being loaded could lose its root before its leaf is there, again and
 * again.
 */
static bool cache_over(const struct hpm_nodes *c)
{
	return c->nr_clean > CACHE_MIN_CLEAN &&
	       c->nr_clean + c->nr_dirty > c->limit;
}

static void cache_bound(struct hpm_nodes *c)
{
	if (cache_over(c))
		cache_evict(c, CACHE_EVICT_NR, CACHE_EVICT_STEPS);
}

/*----------------------------------------------------------------
 * Getting a node
 *--------------------------------------------------------------*/

static struct hpm_node *node_lookup_hold(struct hpm_md *md, struct hpm_ptr ptr)
{
	struct hpm_node *n;

	rcu_read_lock();
	n = hpm_node_find(md, ptr.block, ptr.epoch);
	if (n && !atomic_inc_not_zero(&n->holds))
		n = NULL;
	rcu_read_unlock();
	return n;
}

/*
 * Inserts a node that was read as a clean one, unless another reader has done
 * so: then *np becomes the other reader's node.  Returns what is wrong if there
 * is a younger node.
 */
static const char *cache_insert_clean(struct hpm_nodes *c, struct hpm_node **np)
{
	struct hpm_node *n = *np, *other;

	lockdep_assert_held(&c->lock);
	c->reads++;
	other = cache_standing(c, n->block);
	if (other && other->epoch == n->epoch) {
		hpm_node_hold(other);
		*np = other;
		return NULL;
	}
	if (other && (other->dirty || other->epoch > n->epoch))
		return "given back and used again";
	if (other) {
		cache_unhash(other);
		list_del_init(&other->list);
		c->nr_clean--;
		hpm_node_put(other);
	}
	cache_hash(c, n);
	hpm_node_hold(n);
	list_add_tail(&n->list, &c->clean);
	c->nr_clean++;
	cache_bound(c);
	return NULL;
}

/* Returns the kind of node that has this type. */
static const struct hpm_node_kind *node_kind(struct hpm_md *md, u8 type)
{
	if (type == HPM_BT_MAP_LEAF || type == HPM_BT_MAP_NODE)
		return md->nodes.map;
	return md->nodes.array;
}

/* Returns what is wrong with a block that was read for a pointer to it, or NULL. */
static const char *node_fault(struct hpm_md *md, const struct hpm_node *n,
			      u8 type)
{
	const struct hpm_block_head *h = n->head;
	const char *why = hpm_block_fault(md->seed, h, type, n->block);
	const struct hpm_node_kind *kind = node_kind(md, type);

	if (why)
		return why;
	if (le64_to_cpu(h->epoch) != n->epoch)
		return "of another epoch (a write was lost)";
	if (kind->validate && kind->validate(h))
		return "entries out of order or out of bounds";
	return NULL;
}

static int node_read(struct hpm_md *md, struct hpm_ptr ptr, u8 type,
		     struct hpm_node **out, const char **why)
{
	struct hpm_nodes *c = &md->nodes;
	struct hpm_node *n = node_alloc(c);
	unsigned long flags;
	int r;

	n->block = ptr.block;
	n->epoch = ptr.epoch;
	*why = "cannot be read";
	r = hpm_io_read(md->io, ptr.block, n->data);
	if (r)
		goto bad;
	r = -EUCLEAN;
	*why = node_fault(md, n, type);
	if (*why)
		goto bad;

	*out = n;
	spin_lock_irqsave(&c->lock, flags);
	*why = cache_insert_clean(c, out);
	spin_unlock_irqrestore(&c->lock, flags);
	if (*why)
		goto bad;
	if (*out != n)
		node_free(n);
	return 0;
bad:
	node_free(n);
	return r;
}

static int node_get(struct hpm_md *md, struct hpm_ptr ptr, u8 type, u8 level,
		    struct hpm_node **out, const char **why)
{
	struct hpm_node *n;
	int r;

	n = node_lookup_hold(md, ptr);
	if (!n) {
		*why = "outside the device";
		if (!ptr.block ||
		    ptr.block >= hpm_io_meta_blocks(md->io) + md->beyond)
			return -EUCLEAN;
		r = node_read(md, ptr, type, &n, why);
		if (r)
			return r;
	}
	if (n->head->type != type || n->head->level != level) {
		*why = "wrong type or level";
		hpm_node_put(n);
		return -EUCLEAN;
	}
	*out = n;
	return 0;
}

int hpm_node_get(struct hpm_md *md, struct hpm_ptr ptr, u8 type, u8 level,
		 struct hpm_node **out)
{
	const char *why;
	int r = node_get(md, ptr, type, level, out, &why);

	if (r)
		hpm_err_ratelimited(md, "metadata block %llu (type %u, level %u, epoch %llu): %s (%d)",
				    (unsigned long long)ptr.block, type, level,
				    (unsigned long long)ptr.epoch, why, r);
	return r;
}

int hpm_node_try_get(struct hpm_md *md, struct hpm_ptr ptr, u8 type, u8 level,
		     struct hpm_node **out)
{
	const char *why;

	return node_get(md, ptr, type, level, out, &why);
}

/*----------------------------------------------------------------
 * Changing nodes; md->lock held
 *--------------------------------------------------------------*/

/* Hashes a node of the open epoch in the place of any other node with its number. */
static void cache_insert_dirty(struct hpm_md *md, struct hpm_node *n)
{
	struct hpm_nodes *c = &md->nodes;
	struct hpm_node *other;
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	other = cache_standing(c, n->block);
	if (other) {
		/* Only a stale node can be there, as the block was free. */
		WARN_ON_ONCE(other->dirty);
		cache_forget(md, other);
	}
	n->dirty = 1;
	hpm_node_hold(n);
	list_add_tail(&n->list, &c->dirty);
	c->nr_dirty++;
	cache_hash(c, n);
	cache_bound(c);
	spin_unlock_irqrestore(&c->lock, flags);
}

/* Makes a node of this epoch, with a block of its own; it is not hashed yet. */
static int node_start(struct hpm_md *md, struct hpm_node **out)
{
	struct hpm_node *n = node_alloc(&md->nodes);
	int r;

	r = hpm_refs_alloc(md, &n->block);
	if (r) {
		node_free(n);
		return r;
	}
	n->epoch = md->epoch;
	*out = n;
	return 0;
}

int hpm_node_new(struct hpm_md *md, u8 type, u8 level, struct hpm_node **out)
{
	struct hpm_node *n;
	int r;

	lockdep_assert_held(&md->lock);
	r = node_start(md, &n);
	if (r)
		return r;
	hpm_block_init(md, n->data, type, n->block, n->epoch);
	n->head->level = level;
	/* Only the first nr entries of a map node are ever looked at. */
	if (type != HPM_BT_MAP_LEAF && type != HPM_BT_MAP_NODE)
		memset(n->head + 1, 0, HPM_PAYLOAD);
	cache_insert_dirty(md, n);
	*out = n;
	return 0;
}

/*
 * The caller's hpm_refs_dec() has brought the block's count to 0, and no block
 * was allocated since.
 */
void hpm_node_drop(struct hpm_md *md, struct hpm_node *n)
{
	struct hpm_nodes *c = &md->nodes;
	unsigned long flags;

	lockdep_assert_held(&md->lock);
	spin_lock_irqsave(&c->lock, flags);
	cache_forget(md, n);
	spin_unlock_irqrestore(&c->lock, flags);
	hpm_node_put(n);
}

/* The copy takes over the content of the old node, but not its place. */
static int node_copy(struct hpm_md *md, const struct hpm_node *old,
		     struct hpm_node **out)
{
	struct hpm_node *n;
	int r = node_start(md, &n);

	if (r)
		return r;
	copy_page(n->data, old->data);
	n->head->blocknr = cpu_to_le64(n->block);
	n->head->epoch = cpu_to_le64(n->epoch);
	cache_insert_dirty(md, n);
	*out = n;
	return 0;
}

/* Drops a copy that nothing will point to. */
static int node_undo(struct hpm_md *md, struct hpm_node *n)
{
	int r = hpm_refs_dec(md, n->block, n->epoch);

	if (r < 0)
		return r;
	hpm_node_drop(md, n);
	return 0;
}

/*
 * There are two cases.  If the old node belongs to the caller alone and is only
 * sealed, the copy takes its place, and nothing changes for its children.  If
 * others keep it, both nodes refer to the same children from now on.
 *
 * Steps that can fail for want of memory or space come before any count is
 * changed.  Raising the children's counts fails half-way only for damage or a
 * read error: then the counts are too high, and the caller's error stops the
 * engine before a checkpoint can make them durable.
 */
int hpm_node_shadow(struct hpm_md *md, struct hpm_node **np)
{
	struct hpm_node *old = *np, *n;
	int r;

	lockdep_assert_held(&md->lock);
	if (hpm_node_owned(md, old))
		return 0;
	r = node_copy(md, old, &n);
	if (r)
		return r;
	if (hpm_refs_count(md, old->block) > 1)
		r = node_kind(md, old->head->type)->raise_children(md, old);
	if (!r)
		r = hpm_refs_dec(md, old->block, old->epoch);
	if (r < 0) {
		node_undo(md, n);
		return r;
	}
	if (r)
		hpm_node_put(old);
	else
		hpm_node_drop(md, old);
	*np = n;
	return 0;
}

/*----------------------------------------------------------------
 * Checkpoints
 *--------------------------------------------------------------*/

void hpm_nodes_seal(struct hpm_md *md, struct list_head *sealed)
{
	struct hpm_nodes *c = &md->nodes;
	unsigned long flags;

	lockdep_assert_held(&md->lock);
	spin_lock_irqsave(&c->lock, flags);
	list_splice_tail_init(&c->dirty, sealed);
	spin_unlock_irqrestore(&c->lock, flags);
}

static int cmp_vec(const void *a, const void *b)
{
	const struct hpm_io_vec *x = a, *y = b;

	return x->block < y->block ? -1 : x->block > y->block;
}

static int write_chunk(struct hpm_md *md, struct hpm_io_vec *vec,
		       unsigned int nr)
{
	sort(vec, nr, sizeof(*vec), cmp_vec, NULL);
	md->nodes.writes += nr;
	return hpm_io_write(md->io, vec, nr);
}

/*
 * The list belongs to the caller, and a sealed node that is dropped stays on
 * it.  Blocks are allocated in ascending order, so the list is nearly sorted.
 */
int hpm_nodes_write(struct hpm_md *md, struct list_head *sealed)
{
	struct hpm_io_vec *vec;
	struct hpm_node *n;
	unsigned int nr = 0;
	int r = 0;

	vec = kmalloc_array(WRITE_CHUNK, sizeof(*vec), HPM_GFP_MUST);
	list_for_each_entry(n, sealed, list) {
		hpm_block_seal(md->seed, n->data);
		vec[nr++] = (struct hpm_io_vec){
			.block = n->block,
			.data = n->data,
		};
		if (nr < WRITE_CHUNK)
			continue;
		r = write_chunk(md, vec, nr);
		nr = 0;
		if (r)
			break;
		cond_resched();
	}
	if (!r && nr)
		r = write_chunk(md, vec, nr);
	kfree(vec);
	return r;
}

/* nodes.lock held. */
static void node_clean(struct hpm_nodes *c, struct hpm_node *n)
{
	n->dirty = 0;
	c->nr_dirty--;
	if (n->cached) {
		list_move_tail(&n->list, &c->clean);
		c->nr_clean++;
	} else {
		list_del_init(&n->list);
		hpm_node_put(n);
	}
}

void hpm_nodes_written(struct hpm_md *md, struct list_head *sealed)
{
	struct hpm_nodes *c = &md->nodes;
	struct hpm_node *n, *next;
	unsigned long flags;
	unsigned int i;

	while (!list_empty(sealed)) {
		i = 0;
		spin_lock_irqsave(&c->lock, flags);
		list_for_each_entry_safe(n, next, sealed, list) {
			if (i++ == CACHE_LOCK_BATCH)
				break;
			node_clean(c, n);
		}
		if (cache_over(c))
			cache_evict(c, CACHE_LOCK_BATCH, CACHE_LOCK_BATCH);
		spin_unlock_irqrestore(&c->lock, flags);
		cond_resched();
	}
}

void hpm_nodes_unseal(struct hpm_md *md, struct list_head *sealed)
{
	struct hpm_nodes *c = &md->nodes;
	unsigned long flags;

	lockdep_assert_held(&md->lock);
	spin_lock_irqsave(&c->lock, flags);
	list_splice_init(sealed, &c->dirty);
	spin_unlock_irqrestore(&c->lock, flags);
}

/*----------------------------------------------------------------
 * Its size
 *--------------------------------------------------------------*/

unsigned long hpm_md_nodes_count(struct hpm_md *md)
{
	/* An estimate is enough for the shrinker. */
	return data_race(md->nodes.nr_clean) + data_race(md->nodes.nr_spare);
}

static unsigned long cache_free_spare(struct hpm_nodes *c, unsigned long nr)
{
	unsigned long done = 0;
	struct hpm_node *n;

	for (; done < nr && !list_empty(&c->spare); done++) {
		n = list_first_entry(&c->spare, struct hpm_node, list);
		list_del(&n->list);
		c->nr_spare--;
		node_destroy(n);
	}
	return done;
}

/*
 * Called for any task that is short of memory, possibly one inside the engine
 * at a point where it allocates.  So this never waits.
 */
unsigned long hpm_md_nodes_scan(struct hpm_md *md, unsigned long nr)
{
	struct hpm_nodes *c = &md->nodes;
	unsigned long flags, done;

	if (!spin_trylock_irqsave(&c->lock, flags))
		return 0;
	done = cache_free_spare(c, nr);
	done += cache_evict(c, nr - done, nr - done);
	spin_unlock_irqrestore(&c->lock, flags);
	return done;
}

/* Moves the hand two turns at most: nodes in use stay, whatever the limit is. */
void hpm_md_nodes_limit(struct hpm_md *md, unsigned long nodes)
{
	struct hpm_nodes *c = &md->nodes;
	unsigned long flags, steps;
	bool over = true;

	if (!nodes)
		nodes = CACHE_DEFAULT_LIMIT;
	spin_lock_irqsave(&c->lock, flags);
	/* hpm_md_apply() reads it without the lock. */
	WRITE_ONCE(c->limit, nodes);
	steps = 2 * c->nr_clean + CACHE_LOCK_BATCH;
	spin_unlock_irqrestore(&c->lock, flags);
	while (over && steps > CACHE_LOCK_BATCH) {
		spin_lock_irqsave(&c->lock, flags);
		over = cache_over(c);
		if (over)
			cache_evict(c, min_t(unsigned long, CACHE_LOCK_BATCH,
					     c->nr_clean + c->nr_dirty -
					     c->limit), CACHE_LOCK_BATCH);
		spin_unlock_irqrestore(&c->lock, flags);
		steps -= CACHE_LOCK_BATCH;
		cond_resched();
	}
}

int hpm_nodes_init(struct hpm_md *md, const struct hpm_node_kind *map,
		   const struct hpm_node_kind *array)
{
	struct hpm_nodes *c = &md->nodes;

	c->map = map;
	c->array = array;
	spin_lock_init(&c->lock);
	INIT_LIST_HEAD(&c->clean);
	INIT_LIST_HEAD(&c->dirty);
	INIT_LIST_HEAD(&c->spare);
	c->limit = md->params.cache_nodes ?: CACHE_DEFAULT_LIMIT;
	c->hash = kvcalloc(1u << HPM_NODES_HASH_BITS, sizeof(*c->hash),
			   GFP_KERNEL);
	return c->hash ? 0 : -ENOMEM;
}

/* Empties a list; its nodes may be hashed or not. */
static void cache_empty(struct hpm_nodes *c, struct list_head *list)
{
	struct hpm_node *n;

	while (!list_empty(list)) {
		n = list_first_entry(list, struct hpm_node, list);
		WARN_ON_ONCE(atomic_read(&n->holds) != 1);
		cache_unhash(n);
		list_del_init(&n->list);
		hpm_node_put(n);
	}
}

/*
 * No reader is left.  Nodes that wait for RCU become spare ones, which are
 * freed last.
 */
void hpm_nodes_exit(struct hpm_md *md)
{
	struct hpm_nodes *c = &md->nodes;

	if (!c->hash)
		return;
	cache_empty(c, &c->clean);
	cache_empty(c, &c->dirty);
	rcu_barrier();
	cache_free_spare(c, ULONG_MAX);
	kvfree(c->hash);
	c->hash = NULL;
}
