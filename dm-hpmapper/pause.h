/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Points at which a test can hold a thread, to do something meanwhile that
 * would hardly ever happen at that moment.
 *
 * Like fault.h, only for builds for tests (DM_HPMAPPER_PAUSES).  When a point's
 * name is written to the module parameter "pause", the next thread that gets
 * there is held, and the parameter reads "held".  The thread goes on when
 * another name is written, or after ten minutes, or after half a minute if it
 * cannot sleep.  Only one thread is held at a time.  The parameter "pause_skip"
 * is the number of threads that pass the point before one is held.
 *
 * The point "probe" is the entry of a kernel function, whose name must be
 * written to the parameter "pause_at" first.
 */
#ifndef HPM_PAUSE_H
#define HPM_PAUSE_H

#define HPM_POINTS(_)						\
	/* a page was found in the index, and not used yet */	\
	_(LOOKED_UP, "looked_up")				\
	/* there is a reference to the page, which looks right */	\
	_(GOT, "got")						\
	/* the page was copied, and the copy is not proved yet */	\
	_(COPIED, "copied")					\
	/* a block that was read is about to be entered */	\
	_(ENTER, "enter")					\
	/* a worker begins a step of a deferred read */		\
	_(STEP, "step")						\
	/* the device has ended a read */			\
	_(END, "end")						\
	/* a victim's frame is online, its page not checked yet */	\
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
