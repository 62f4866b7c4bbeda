// SPDX-License-Identifier: GPL-2.0-only
/* The planted fault; see fault.h.  Empty in a build without faults. */
#include "fault.h"

#ifdef CONFIG_DM_HPMAPPER_FAULTS

#define HPM_FAULT_NAME(id, name)	[HPM_FAULT_##id] = name,
static const char * const names[HPM_NR_FAULTS] = {
	[HPM_FAULT_NONE] = "none",
	HPM_FAULTS(HPM_FAULT_NAME)
};

enum hpm_fault hpm_fault_planted;

int hpm_fault_plant(const char *name)
{
	unsigned int i;

	for (i = 0; i < HPM_NR_FAULTS; i++) {
		if (strcmp(name, names[i]))
			continue;
		WRITE_ONCE(hpm_fault_planted, i);
		return 0;
	}
	return -EINVAL;
}

#ifdef __KERNEL__
#include <linux/moduleparam.h>

static int param_set(const char *value, const struct kernel_param *kp)
{
	char name[32];

	/* What is written to sysfs ends with a newline. */
	if (strscpy(name, value, sizeof(name)) < 0)
		return -EINVAL;
	return hpm_fault_plant(strim(name));
}

static int param_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", names[READ_ONCE(hpm_fault_planted)]);
}

static const struct kernel_param_ops param_ops = {
	.set = param_set,
	.get = param_get,
};

module_param_cb(fault, &param_ops, NULL, 0644);
MODULE_PARM_DESC(fault, "a fault that the tests are to catch, or none");
#endif

#endif /* CONFIG_DM_HPMAPPER_FAULTS */
