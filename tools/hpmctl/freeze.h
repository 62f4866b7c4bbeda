/* SPDX-License-Identifier: GPL-2.0-only */
/* A mounted file system, frozen for a moment. */
#ifndef HPMCTL_FREEZE_H
#define HPMCTL_FREEZE_H

#include <signal.h>
#include <stddef.h>

struct frozen {
	int fd; /* -1: nothing was mounted */
	sigset_t mask;
};

/*
 * Freezes the file system that is mounted from the device.  Signals are blocked
 * until freeze_end(), which must follow, so that ^C leaves nothing frozen.
 */
int freeze_begin(const char *device, const char *num, struct frozen *fs);
int freeze_end(struct frozen *fs);

/*
 * Finds where the device @num is mounted, in lines of mountinfo; "" if nowhere.
 */
void mount_point_of(const char *mountinfo, const char *num, char *out,
		    size_t size);

#endif /* HPMCTL_FREEZE_H */
