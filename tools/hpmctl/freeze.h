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
 * Freezes the file system that is mounted from the device.  Until
 * freeze_end(), which must follow, signals wait: nothing stays frozen because
 * somebody pressed ^C.
 */
int freeze_begin(const char *device, const char *num, struct frozen *fs);
int freeze_end(struct frozen *fs);

/* Where the device @num is mounted, from lines of mountinfo; "" if nowhere. */
void mount_point_of(const char *mountinfo, const char *num, char *out,
		    size_t size);

#endif /* HPMCTL_FREEZE_H */
