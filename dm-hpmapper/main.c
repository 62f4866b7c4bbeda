// SPDX-License-Identifier: GPL-2.0-only
/*
 * dm-hpmapper: thin volumes that share and copy on write in blocks of 4 KiB.
 */
#include <linux/module.h>

#include "cache.h"
#include "pause.h"
#include "pool-priv.h"

static int __init hpm_init(void)
{
	int r;

	r = hpm_cache_init();
	if (r)
		return r;

	r = hpm_volume_init();
	if (r)
		goto out_cache;

	r = hpm_pool_target_init();
	if (r)
		goto out_volume;
	return 0;

out_volume:
	hpm_volume_exit();
out_cache:
	hpm_cache_exit();
	return r;
}

/* dm keeps the module while there is a table of either target. */
static void __exit hpm_exit(void)
{
	hpm_pause_exit();
	hpm_pool_target_exit();
	hpm_volume_exit();
	/* Pending RCU callbacks are functions of this module. */
	rcu_barrier();
	hpm_cache_exit();
}

module_init(hpm_init);
module_exit(hpm_exit);

MODULE_DESCRIPTION(DM_NAME " volumes with copy-on-write in blocks of 4 KiB");
MODULE_VERSION("1.0.0");
MODULE_LICENSE("GPL");
/* dm asks for a module by the name of the target. */
MODULE_ALIAS("dm-hpmapper-pool");
