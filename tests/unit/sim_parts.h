/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the simulator call of each other; sim.h is for the tests.
 *
 *	sim.c		a pool from its opening to its end, and the pool's workers
 *	sim_op.c	reads, writes and discards, step by step
 *	sim_msg.c	what is done to volumes: messages, streams, punches, moves
 *	sim_random.c	what happens next, by chance
 */
#ifndef SIM_PARTS_H
#define SIM_PARTS_H

#include "sim.h"

/* Whose engine calls the hooks interrupt; NULL: nobody's. */
extern struct sim *sim_hooked;

bool sim_traced(const struct sim_vol *v, u64 first, u64 nr);
#define sim_trace(v, first, nr, fmt, ...)                                \
	do {                                                             \
		if (sim_traced(v, first, nr))                            \
			fprintf(stderr, "  %lld+%llu: " fmt "\n",        \
				(long long)(first) / HPM_SECTORS,        \
				(u64)(nr) / HPM_SECTORS, ##__VA_ARGS__); \
	} while (0)

/* sim_op.c */
struct sim_op *sim_op_new(struct sim *s, struct sim_vol *v, enum sim_kind kind,
			  u64 first, u64 nr);
void sim_op_map(struct sim_op *op);
void sim_op_end(void *ctx);
void sim_op_step(struct sim_op *op);
struct sim_op *sim_op_pick(struct sim *s);
void sim_op_done(struct sim_op *op);
void sim_op_cancel(struct sim_op *op);
void sim_wake(struct list_head *waiters);

/* sim_msg.c */
int sim_msg_attr(struct sim *s, struct sim_vol *v);

/* sim_random.c */
struct sim_vol *sim_vol_pick(struct sim *s);
void sim_op_start(struct sim *s);
void sim_ops_go_on(struct sim *s);

#endif /* SIM_PARTS_H */
