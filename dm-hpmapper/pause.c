// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holds a thread at a point; see pause.h.  Empty in a build without pauses.
 */
#include "pause.h"

#ifdef CONFIG_DM_HPMAPPER_PAUSES
#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#define HPM_POINT_NAME(id, name)	[HPM_POINT_##id] = name,
static const char * const names[HPM_NR_POINTS] = {
	[HPM_POINT_NONE] = "none",
	HPM_POINTS(HPM_POINT_NAME)
	[HPM_POINT_HELD] = "held",
};

/*
 * A thread is held for this time at most, in case the test fails.  One that
 * cannot sleep would soon be reported as a lockup.  While one sleeps, what the
 * test does may take minutes on a kernel with debug options.
 */
#define SPIN_PATIENCE	(30ULL * NSEC_PER_SEC)
#define SLEEP_PATIENCE	(600ULL * NSEC_PER_SEC)

static unsigned int armed;	/* enum hpm_point */
static int skip;

static bool may_sleep(void)
{
	return preemptible() && !rcu_preempt_depth();
}

void hpm_pause(enum hpm_point point)
{
	bool sleeps = may_sleep();
	u64 end;

	if (READ_ONCE(armed) != point)
		return;
	if (READ_ONCE(skip)) {
		WRITE_ONCE(skip, READ_ONCE(skip) - 1);
		return;
	}
	if (cmpxchg(&armed, point, HPM_POINT_HELD) != point)
		return;
	/* In a kprobe, as in an NMI, the clock must not take a lock. */
	end = ktime_get_mono_fast_ns() + (sleeps ? SLEEP_PATIENCE : SPIN_PATIENCE);
	while (READ_ONCE(armed) == HPM_POINT_HELD && ktime_get_mono_fast_ns() < end) {
		if (sleeps)
			usleep_range(100, 200);
		else
			cpu_relax();
	}
	cmpxchg(&armed, HPM_POINT_HELD, HPM_POINT_NONE);
}

static int pause_set(const char *value, const struct kernel_param *kp)
{
	int point = __sysfs_match_string(names, HPM_POINT_HELD, value);

	if (point < 0)
		return point;
	WRITE_ONCE(armed, point);
	return 0;
}

static int pause_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", names[READ_ONCE(armed)]);
}

static const struct kernel_param_ops pause_ops = {
	.set = pause_set,
	.get = pause_get,
};

module_param_cb(pause, &pause_ops, NULL, 0644);
MODULE_PARM_DESC(pause, "the point that holds the next thread, or none");
module_param_named(pause_skip, skip, int, 0644);
MODULE_PARM_DESC(pause_skip, "threads that get through there before");

/*----------------------------------------------------------------
 * The entry of a function
 *--------------------------------------------------------------*/

static char probed[64];
static struct kprobe probe;

static int probe_handler(struct kprobe *kp, struct pt_regs *regs)
{
	hpm_pause(HPM_POINT_PROBE);
	return 0;
}

/* kernel_param_lock() serialises writers. */
static int probe_set(const char *value, const struct kernel_param *kp)
{
	int r;

	hpm_pause_exit();
	/* What is written to sysfs ends with a newline. */
	if (strscpy(probed, value, sizeof(probed)) < 0)
		return -EINVAL;
	strim(probed);
	if (!strcmp(probed, "none"))
		return 0;
	memset(&probe, 0, sizeof(probe));
	probe.symbol_name = probed;
	probe.pre_handler = probe_handler;
	r = register_kprobe(&probe);
	if (r)
		probe.pre_handler = NULL;
	return r;
}

static const struct kernel_param_ops probe_ops = {
	.set = probe_set,
};

module_param_cb(pause_at, &probe_ops, NULL, 0200);
MODULE_PARM_DESC(pause_at, "the function of the point probe, or none");

void hpm_pause_exit(void)
{
	if (probe.pre_handler)
		unregister_kprobe(&probe);
	probe.pre_handler = NULL;
}

#endif /* CONFIG_DM_HPMAPPER_PAUSES */
