/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Points at which a test can hold a thread, to do meanwhile what would hardly
 * ever happen just then.
 *
 * Like fault.h for a build for tests only (DM_HPMAPPER_PAUSES).  A point's name
 * written to the module parameter "pause" holds the next thread that gets
 * there; the parameter then reads "held", and anything else written to it lets
 * the thread go on, as do ten minutes, or half a minute where it cannot sleep.  One
 * thread is held at a time; so many as the parameter "pause_skip" says get through
 * before.
 *
 * "probe" is the entry of a kernel function, whose name is written to the
 * parameter "pause_at" before.
 */
#ifndef HPM_PAUSE_H
#define HPM_PAUSE_H

#define HPM_POINTS(_)						\
	/* the index has named a page, nothing was done with it */	\
	_(LOOKED_UP, "looked_up")				\
	/* the page looks right and is referred to */		\
	_(GOT, "got")						\
	/* it was copied, nothing is proved yet */		\
	_(COPIED, "copied")					\
	/* what was read is about to be entered */		\
	_(ENTER, "enter")					\
	/* a worker takes up a deferred read */			\
	_(STEP, "step")						\
	/* a read is over below */				\
	_(END, "end")						\
	/* a victim's frame is online, and not looked at yet */	\
	_(VICTIM, "victim")					\
	/* s_umount and a file are held, nothing is evicted yet */	\
	_(EVICT, "evict")					\
	_(PROBE, "probe")

#define HPM_POINT_NUMBER(id, name)	HPM_POINT_##id,
enum hpm_point {
	HPM_POINT_NONE,
	HPM_POINTS(HPM_POINT_NUMBER)
	HPM_POINT_HELD,
	HPM_NR_POINTS
};

#ifdef CONFIG_DM_HPMAPPER_PAUSES
/* Any context. */
void hpm_pause(enum hpm_point point);
void hpm_pause_exit(void);
#else
static inline void hpm_pause(enum hpm_point point)
{
}

static inline void hpm_pause_exit(void)
{
}
#endif

#endif /* HPM_PAUSE_H */
