/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's reason for a failed ioctl: device-mapper gives user space an
 * errno and puts the sentence into the kernel's log.
 */
#ifndef HPMCTL_KMSG_H
#define HPMCTL_KMSG_H

#include <stddef.h>
#include <stdbool.h>

/*
 * Marks a place in the log, before the ioctl; negative: the log cannot be read.
 */
int kmsg_mark(void);
/* Finds the last sentence about device-mapper after @mark; false: none. */
bool kmsg_reason(int mark, char *out, size_t size);
void kmsg_close(int mark);

/* Returns the sentence in one record of the log, which it modifies, or NULL. */
const char *kmsg_sentence(char *record);

#endif /* HPMCTL_KMSG_H */
