/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HPM_TASK_H
#define HPM_TASK_H

/* Now and then lets another task run. */
void hpm_task_chance(void);
/* Is there another task that could run? */
bool hpm_task_others(void);

#endif /* HPM_TASK_H */
