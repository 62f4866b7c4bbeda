// SPDX-License-Identifier: GPL-2.0-only
/*
 * The node cache: metadata blocks in memory.
 *
 * What a node is, and when
 * ------------------------
 *
 *	dirty	made in the open epoch, on nodes.dirty; changed at will by
 *		whoever holds md->lock
 *	sealed	dirty, of an epoch that a checkpoint has closed, on that
 *		checkpoint's list; never changed again, so it is read, copied
 *		and written side by side without a lock
 *	clean	as on the device, on nodes.clean; evicted when nobody looked at
 *		it for a turn of the clock
 *
 * A node becomes clean when its checkpoint is durable and not when its write
 * has returned.  Until the flush the device may still lose the write, and then
 * the copy in memory is the only one: it can be written again, or at least be
 * read from for as long as the pool is up.
 *
 * Who keeps a node alive
 * ----------------------
 * Being hashed or dirty counts as one hold.  Others take theirs without a lock
 * by atomic_inc_not_zero() under RCU, so eviction has to win a cmpxchg from one
 * to zero; a look-up that comes too late sees a node that is not there, and
 * finds it unhashed once it has nodes.lock.  The last hold gives the node to
 * RCU: readers of map trees hold nothing.
 *
 * Why a pointer never leads to the wrong content
 * ----------------------------------------------
 * Block numbers are reused, so a node is named by its number and the epoch it
 * was made in, and both stand in the pointer, in the node and on the disk.
 * A block that a durable state used is not reused before a later epoch, so
 * whoever follows a pointer that is out of date, as readers without md->lock
 * may, finds another epoch.  One case is left: a block made and given back in
 * the open epoch is reused in it.  Its node was never written, so that only
 * another node in memory can be taken for it; type and level are checked, and
 * the reader's seqcount rejects the rest.
 *
 * For the same reason two nodes of one number cannot both be right, and the
 * younger one is: a clean node of an older epoch is a left-over, and a reader
 * that brings one along finds its place taken.
 */
#include "engine.h"
#include "block.h"
#include "node.h"
#include "refs.h"

#define CACHE_DEFAULT_LIMIT	65536u	/* nodes: 256 MiB */
#define CACHE_MIN_CLEAN		64u	/* some paths, whatever the limit */
#define CACHE_MAX_SPARE		256u
#define CACHE_EVICT_NR		4u	/* on an insertion beyond the limit ... */
#define CACHE_EVICT_STEPS	16u	/* ... looking at no more than these */
#define CACHE_LOCK_BATCH	64u	/* nodes handled under one nodes.lock */
#define WRITE_CHUNK		256u

/*----------------------------------------------------------------
 * Memory of nodes
 *
 * A page costs 4.8 us to take from a kernel that clears what it hands out, ten
 * times what it costs to copy a node.  So some nodes are kept when they are
 * given up, page and all.  What they hold then is metadata of this same pool,
 * and nothing depends on it: users clear what they read before they wrote it.
 * A new page is cleared, as its unused parts go to the device.
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

/* A node that nobody sees, with one hold. */
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

/* Nobody sees it any more. */
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

/* Blocks are given out one after the other: their numbers spread by themselves. */
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
		/* Written once a turn of the clock, or readers share a line. */
		if (!READ_ONCE(n->referenced))
			WRITE_ONCE(n->referenced, 1);
		return n;
	}
	return NULL;
}

/* What is hashed under a number, of whatever epoch; nodes.lock held. */
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
 * Takes a node out whose block is free; nodes.lock held.  One that a
 * checkpoint has sealed is part of the state that the checkpoint writes: it
 * leaves the hash only, and its list once it is written.
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
 * Moves the hand of the clock over at most @steps nodes and evicts up to @nr
 * that are neither held nor were looked at since it last came by.
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
 * Dirty nodes may be more than the limit for a while, and there is no getting
 * rid of them here.  If clean ones had to make room for them all the same, a
 * path that is loaded would lose its root before its leaf has come, for ever.
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
 * Puts a node that was read among the clean ones, unless somebody was faster:
 * then his is *np.  Says what is wrong if a younger node stands there.
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

/* Whose content a node of this type has. */
static const struct hpm_node_kind *node_kind(struct hpm_md *md, u8 type)
{
	if (type == HPM_BT_MAP_LEAF || type == HPM_BT_MAP_NODE)
		return md->nodes.map;
	return md->nodes.array;
}

/* What a block from the device has wrong for what points to it, or NULL. */
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

/* Hashes a node of the open epoch in the place of whatever stands there. */
static void cache_insert_dirty(struct hpm_md *md, struct hpm_node *n)
{
	struct hpm_nodes *c = &md->nodes;
	struct hpm_node *other;
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	other = cache_standing(c, n->block);
	if (other) {
		/* Only a left-over may stand on a block that was free. */
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

/* A node of this epoch with a block of its own, not yet seen by anyone. */
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
	/* Of a map node only the first nr entries are ever looked at. */
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

/* The copy takes over what the old node is to the tree, not where it stands. */
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

/* A copy that nothing will point to. */
static int node_undo(struct hpm_md *md, struct hpm_node *n)
{
	int r = hpm_refs_dec(md, n->block, n->epoch);

	if (r < 0)
		return r;
	hpm_node_drop(md, n);
	return 0;
}

/*
 * Two cases.  If the old node is the caller's alone, only sealed, the copy
 * takes its place and its children never notice.  If others keep it, both have
 * the same children from now on.
 *
 * What can fail for want of memory or space fails before a count is touched.
 * Raising children fails half-way only for damage or a read error: then the
 * counts are too high, and the caller's error stops the engine before a
 * checkpoint can make them last.
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
 * The list is the caller's: whoever gives up a sealed node leaves it there.
 * Blocks are given out in ascending order, so it is sorted but for a few.
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

unsigned long hpm_md_cache_count(struct hpm_md *md)
{
	/* Reclaim wants to know about how many. */
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
 * For whoever is short of memory, and that may be us, at any point that
 * allocates: nothing is waited for here.
 */
unsigned long hpm_md_cache_scan(struct hpm_md *md, unsigned long nr)
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

/* Two turns of the clock at most: what is in use stays, whatever the limit. */
void hpm_md_cache_limit(struct hpm_md *md, unsigned long nodes)
{
	struct hpm_nodes *c = &md->nodes;
	unsigned long flags, steps;
	bool over = true;

	if (!nodes)
		nodes = CACHE_DEFAULT_LIMIT;
	spin_lock_irqsave(&c->lock, flags);
	/* hpm_md_apply() looks at it without the lock. */
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

/* All that is left of a list, hashed or not. */
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

/* Nobody is left who could look; what waits for RCU comes to the spare ones. */
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
