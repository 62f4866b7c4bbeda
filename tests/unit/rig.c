// SPDX-License-Identifier: GPL-2.0-only
#include "audit.h"
#include "fault.h"
#include "rig.h"

static u64 number(const char *name, u64 otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

u64 rig_seed(void)
{
	return number("SEED", 1);
}

u64 rig_scale(void)
{
	return number("SCALE", 1);
}

void rig_say(const char *what, u64 seed)
{
	fprintf(stderr, "  %s: SEED=%llu\n", what, seed);
}

#define KEPT 8

static unsigned int nr_logged;
static char kept[KEPT][512];
static unsigned int last;

static void count_line(void *ctx, enum hpm_env_level level, const char *line)
{
	(void)ctx;
	if (level > HPM_ENV_WARN)
		return;
	nr_logged++;
	last = (last + 1) % KEPT;
	strscpy(kept[last], line, sizeof(kept[last]));
}

void rig_quiet(void)
{
	hpm_env_set_log(count_line, NULL);
}

unsigned int rig_logged(void)
{
	unsigned int n = nr_logged;

	nr_logged = 0;
	return n;
}

const char *rig_last_line(void)
{
	return kept[last];
}

void rig_dump(void)
{
	unsigned int i;

	for (i = 1; i <= KEPT; i++)
		if (kept[(last + i) % KEPT][0])
			fprintf(stderr, "  log: %s\n", kept[(last + i) % KEPT]);
}

void rig_print_fault(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "  check: %s\n", line);
}

void rig_drop_fault(void *ctx, const char *line)
{
	(void)ctx;
	(void)line;
}

/*
 * Reports a record that takes more than its credit: it could make a pool fail
 * for ever.
 */
static void too_much(u8 type, u32 blocks, u32 counts)
{
	fprintf(stderr,
		"  a record of type %u took %u metadata blocks and copied %u of the counts: more than its credit\n",
		type, blocks, counts);
	abort();
}

static long live_before;

/* FAULT=name, in the build that has faults (planted.sh). */
static void plant_fault(void)
{
#ifdef CONFIG_DM_HPMAPPER_FAULTS
	const char *name = getenv("FAULT");

	if (name && hpm_fault_plant(name)) {
		fprintf(stderr, "  there is no fault %s\n", name);
		exit(2);
	}
#endif
}

int rig_setup(void **state)
{
	(void)state;
	rig_quiet();
	hpm_audit_set(too_much);
	plant_fault();
	nr_logged = 0;
	memset(kept, 0, sizeof(kept));
	live_before = hpm_env_live_allocs();
	return 0;
}

int rig_teardown(void **state)
{
	(void)state;
	hpm_env_fail_alloc(0, false);
	hpm_env_set_hooks(NULL, NULL, NULL);
	hpm_env_hold_rcu(false);
	if (hpm_env_live_allocs() == live_before)
		return 0;
	fprintf(stderr, "  %ld allocations were not freed\n",
		hpm_env_live_allocs() - live_before);
	return -1;
}
