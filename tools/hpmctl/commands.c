// SPDX-License-Identifier: GPL-2.0-only
#include "cli.h"

const struct cmd *const all_cmds[] = {
	&pool_create_cmd,
	&pool_activate_cmd,
	&pool_status_cmd,
	&pool_list_cmd,
	&pool_grow_cmd,
	&pool_checkpoint_cmd,
	&pool_set_cmd,
	&pool_remove_cmd,
	&volume_create_cmd,
	&volume_snapshot_cmd,
	&volume_activate_cmd,
	&volume_deactivate_cmd,
	&volume_list_cmd,
	&volume_stat_cmd,
	&volume_resize_cmd,
	&volume_rename_cmd,
	&volume_set_cmd,
	&volume_remove_cmd,
	&import_cmd,
	&top_cmd,
	NULL,
};
