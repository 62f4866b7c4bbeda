/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lists, with the kernel's names and semantics.  Adding an entry beside one
 * whose neighbours do not point back, or removing an entry twice, ends the
 * program: a list that is corrupt here would be corrupt in the kernel.
 */
#ifndef HPM_LIST_H
#define HPM_LIST_H

#define LIST_POISON1	((void *)0x100)
#define LIST_POISON2	((void *)0x122)

/*
 *----------------------------------------------------------------
 * Doubly linked, with a head
 *--------------------------------------------------------------
 */

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name)	{ &(name), &(name) }
#define LIST_HEAD(name)		struct list_head name = LIST_HEAD_INIT(name)

static inline void INIT_LIST_HEAD(struct list_head *l)
{
	l->next = l;
	l->prev = l;
}

static inline void __list_link(struct list_head *a, struct list_head *b)
{
	b->prev = a;
	WRITE_ONCE(a->next, b);
}

static inline void __list_insert(struct list_head *e, struct list_head *prev,
				 struct list_head *next)
{
	BUG_ON(prev->next != next || next->prev != prev);
	BUG_ON(e == prev || e == next);
	e->next = next;
	e->prev = prev;
	next->prev = e;
	smp_store_release(&prev->next, e);
}

static inline void list_add(struct list_head *e, struct list_head *head)
{
	__list_insert(e, head, head->next);
}

static inline void list_add_tail(struct list_head *e, struct list_head *head)
{
	__list_insert(e, head->prev, head);
}

static inline void __list_del_entry(struct list_head *e)
{
	BUG_ON(e->next == LIST_POISON1 || e->prev == LIST_POISON2);
	BUG_ON(e->prev->next != e || e->next->prev != e);
	__list_link(e->prev, e->next);
}

static inline void list_del(struct list_head *e)
{
	__list_del_entry(e);
	e->next = LIST_POISON1;
	e->prev = LIST_POISON2;
}

static inline void list_del_init(struct list_head *e)
{
	__list_del_entry(e);
	INIT_LIST_HEAD(e);
}

/* A reader that is at @e can still continue from it. */
static inline void list_del_rcu(struct list_head *e)
{
	__list_del_entry(e);
	e->prev = LIST_POISON2;
}

#define list_add_rcu		list_add
#define list_add_tail_rcu	list_add_tail

static inline void list_replace(struct list_head *old, struct list_head *e)
{
	e->next = old->next;
	e->next->prev = e;
	e->prev = old->prev;
	smp_store_release(&e->prev->next, e);
}

static inline void list_replace_init(struct list_head *old,
				     struct list_head *e)
{
	list_replace(old, e);
	INIT_LIST_HEAD(old);
}

static inline void list_move(struct list_head *e, struct list_head *head)
{
	__list_del_entry(e);
	list_add(e, head);
}

static inline void list_move_tail(struct list_head *e, struct list_head *head)
{
	__list_del_entry(e);
	list_add_tail(e, head);
}

/* Moves @first..@last, which are in one list, to the end of @head. */
static inline void list_bulk_move_tail(struct list_head *head,
				       struct list_head *first,
				       struct list_head *last)
{
	__list_link(first->prev, last->next);
	__list_link(head->prev, first);
	__list_link(last, head);
}

static inline bool list_empty(const struct list_head *head)
{
	return READ_ONCE(head->next) == head;
}

#define list_empty_careful	list_empty

static inline bool list_is_singular(const struct list_head *head)
{
	return !list_empty(head) && head->next == head->prev;
}

static inline bool list_is_first(const struct list_head *e,
				 const struct list_head *head)
{
	return e->prev == head;
}

static inline bool list_is_last(const struct list_head *e,
				const struct list_head *head)
{
	return e->next == head;
}

static inline bool list_is_head(const struct list_head *e,
				const struct list_head *head)
{
	return e == head;
}

static inline void list_rotate_left(struct list_head *head)
{
	if (!list_empty(head))
		list_move_tail(head->next, head);
}

static inline void __list_splice(struct list_head *from, struct list_head *prev,
				 struct list_head *next)
{
	struct list_head *first = from->next, *last = from->prev;

	first->prev = prev;
	last->next = next;
	next->prev = last;
	smp_store_release(&prev->next, first);
}

static inline void list_splice(struct list_head *from, struct list_head *head)
{
	if (!list_empty(from))
		__list_splice(from, head, head->next);
}

static inline void list_splice_tail(struct list_head *from,
				    struct list_head *head)
{
	if (!list_empty(from))
		__list_splice(from, head->prev, head);
}

static inline void list_splice_init(struct list_head *from,
				    struct list_head *head)
{
	list_splice(from, head);
	INIT_LIST_HEAD(from);
}

static inline void list_splice_tail_init(struct list_head *from,
					 struct list_head *head)
{
	list_splice_tail(from, head);
	INIT_LIST_HEAD(from);
}

/* Moves everything in @head up to and including @e to @out. */
static inline void list_cut_position(struct list_head *out,
				     struct list_head *head,
				     struct list_head *e)
{
	struct list_head *rest = e->next;

	INIT_LIST_HEAD(out);
	if (list_empty(head) || e == head)
		return;
	__list_link(out, head->next);
	__list_link(e, out);
	__list_link(head, rest);
}

static inline size_t list_count_nodes(struct list_head *head)
{
	struct list_head *p;
	size_t n = 0;

	for (p = head->next; p != head; p = p->next)
		n++;
	return n;
}

#define list_entry(p, type, member)	container_of(p, type, member)
#define list_first_entry(head, type, member) \
	list_entry((head)->next, type, member)
#define list_last_entry(head, type, member) \
	list_entry((head)->prev, type, member)
#define list_first_entry_or_null(head, type, member) \
	(list_empty(head) ? NULL : list_first_entry(head, type, member))
#define list_next_entry(pos, member) \
	list_entry((pos)->member.next, __typeof__(*(pos)), member)
#define list_prev_entry(pos, member) \
	list_entry((pos)->member.prev, __typeof__(*(pos)), member)
#define list_entry_is_head(pos, head, member)	(&(pos)->member == (head))
#define list_entry_rcu(p, type, member) \
	container_of(rcu_dereference(p), type, member)

#define list_for_each(p, head) \
	for ((p) = (head)->next; (p) != (head); (p) = (p)->next)
#define list_for_each_safe(p, n, head)					\
	for ((p) = (head)->next, (n) = (p)->next; (p) != (head);	\
	     (p) = (n), (n) = (p)->next)
#define list_for_each_prev(p, head) \
	for ((p) = (head)->prev; (p) != (head); (p) = (p)->prev)
#define list_for_each_entry(pos, head, member)				\
	for ((pos) = list_first_entry(head, __typeof__(*(pos)), member); \
	     !list_entry_is_head(pos, head, member);			\
	     (pos) = list_next_entry(pos, member))
#define list_for_each_entry_reverse(pos, head, member)			\
	for ((pos) = list_last_entry(head, __typeof__(*(pos)), member);	\
	     !list_entry_is_head(pos, head, member);			\
	     (pos) = list_prev_entry(pos, member))
#define list_for_each_entry_continue(pos, head, member)			\
	for ((pos) = list_next_entry(pos, member);			\
	     !list_entry_is_head(pos, head, member);			\
	     (pos) = list_next_entry(pos, member))
#define list_for_each_entry_from(pos, head, member)			\
	for (; !list_entry_is_head(pos, head, member);			\
	     (pos) = list_next_entry(pos, member))
#define list_for_each_entry_safe(pos, n, head, member)			\
	for ((pos) = list_first_entry(head, __typeof__(*(pos)), member), \
	     (n) = list_next_entry(pos, member);			\
	     !list_entry_is_head(pos, head, member);			\
	     (pos) = (n), (n) = list_next_entry(n, member))
#define list_for_each_entry_safe_reverse(pos, n, head, member)		\
	for ((pos) = list_last_entry(head, __typeof__(*(pos)), member),	\
	     (n) = list_prev_entry(pos, member);			\
	     !list_entry_is_head(pos, head, member);			\
	     (pos) = (n), (n) = list_prev_entry(n, member))
#define list_for_each_entry_rcu(pos, head, member, ...)			\
	for ((pos) = list_entry_rcu((head)->next, __typeof__(*(pos)), member); \
	     !list_entry_is_head(pos, head, member);			\
	     (pos) = list_entry_rcu((pos)->member.next, __typeof__(*(pos)), \
				    member))

/*
 *----------------------------------------------------------------
 * Hash chains: one pointer for the head
 *--------------------------------------------------------------
 */

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

#define HLIST_HEAD_INIT		{ .first = NULL }
#define HLIST_HEAD(name)	struct hlist_head name = HLIST_HEAD_INIT
#define INIT_HLIST_HEAD(h)	((h)->first = NULL)

static inline void INIT_HLIST_NODE(struct hlist_node *n)
{
	n->next = NULL;
	n->pprev = NULL;
}

static inline bool hlist_unhashed(const struct hlist_node *n)
{
	return !n->pprev;
}

static inline bool hlist_unhashed_lockless(const struct hlist_node *n)
{
	return !READ_ONCE(n->pprev);
}

static inline bool hlist_empty(const struct hlist_head *h)
{
	return !READ_ONCE(h->first);
}

static inline void hlist_add_head(struct hlist_node *n, struct hlist_head *h)
{
	struct hlist_node *first = h->first;

	BUG_ON(first == n);
	n->next = first;
	n->pprev = &h->first;
	smp_store_release(&h->first, n);
	if (first)
		first->pprev = &n->next;
}

static inline void hlist_add_before(struct hlist_node *n,
				    struct hlist_node *next)
{
	n->pprev = next->pprev;
	n->next = next;
	smp_store_release(n->pprev, n);
	next->pprev = &n->next;
}

static inline void hlist_add_behind(struct hlist_node *n,
				    struct hlist_node *prev)
{
	n->next = prev->next;
	n->pprev = &prev->next;
	smp_store_release(&prev->next, n);
	if (n->next)
		n->next->pprev = &n->next;
}

static inline void hlist_add_tail_rcu(struct hlist_node *n,
				      struct hlist_head *h)
{
	struct hlist_node **p = &h->first;

	while (*p)
		p = &(*p)->next;
	n->next = NULL;
	n->pprev = p;
	smp_store_release(p, n);
}

#define hlist_add_head_rcu	hlist_add_head
#define hlist_add_before_rcu	hlist_add_before
#define hlist_add_behind_rcu	hlist_add_behind

static inline void __hlist_del(struct hlist_node *n)
{
	BUG_ON(!n->pprev || n->pprev == LIST_POISON2);
	BUG_ON(*n->pprev != n);
	WRITE_ONCE(*n->pprev, n->next);
	if (n->next)
		n->next->pprev = n->pprev;
}

static inline void hlist_del(struct hlist_node *n)
{
	__hlist_del(n);
	n->next = LIST_POISON1;
	n->pprev = LIST_POISON2;
}

static inline void hlist_del_init(struct hlist_node *n)
{
	if (hlist_unhashed(n))
		return;
	__hlist_del(n);
	INIT_HLIST_NODE(n);
}

static inline void hlist_del_rcu(struct hlist_node *n)
{
	__hlist_del(n);
	n->pprev = LIST_POISON2;
}

static inline void hlist_del_init_rcu(struct hlist_node *n)
{
	if (hlist_unhashed(n))
		return;
	__hlist_del(n);
	n->pprev = NULL;
}

static inline void hlist_replace_rcu(struct hlist_node *old,
				     struct hlist_node *n)
{
	n->next = old->next;
	n->pprev = old->pprev;
	smp_store_release(n->pprev, n);
	if (n->next)
		n->next->pprev = &n->next;
	old->pprev = LIST_POISON2;
}

static inline void hlist_move_list(struct hlist_head *from,
				   struct hlist_head *to)
{
	to->first = from->first;
	if (to->first)
		to->first->pprev = &to->first;
	from->first = NULL;
}

#define hlist_entry(p, type, member)	container_of(p, type, member)
#define hlist_entry_safe(p, type, member) ({				\
	__typeof__(p) __p = (p);					\
	__p ? hlist_entry(__p, type, member) : NULL; })
#define hlist_first_rcu(h)	((h)->first)
#define hlist_next_rcu(n)	((n)->next)

#define hlist_for_each(p, head) \
	for ((p) = (head)->first; (p); (p) = (p)->next)
#define hlist_for_each_safe(p, n, head)					\
	for ((p) = (head)->first; (p) && ({ (n) = (p)->next; 1; });	\
	     (p) = (n))
#define hlist_for_each_entry(pos, head, member)				\
	for ((pos) = hlist_entry_safe((head)->first, __typeof__(*(pos)), \
				      member); (pos);			\
	     (pos) = hlist_entry_safe((pos)->member.next,		\
				      __typeof__(*(pos)), member))
#define hlist_for_each_entry_safe(pos, n, head, member)			\
	for ((pos) = hlist_entry_safe((head)->first, __typeof__(*(pos)), \
				      member);				\
	     (pos) && ({ (n) = (pos)->member.next; 1; });		\
	     (pos) = hlist_entry_safe(n, __typeof__(*(pos)), member))
#define hlist_for_each_entry_rcu(pos, head, member, ...)		\
	for ((pos) = hlist_entry_safe(rcu_dereference((head)->first),	\
				      __typeof__(*(pos)), member); (pos); \
	     (pos) = hlist_entry_safe(rcu_dereference((pos)->member.next), \
				      __typeof__(*(pos)), member))

#endif /* HPM_LIST_H */
