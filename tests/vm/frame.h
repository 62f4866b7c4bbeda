/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The frames that the guest's init sends to the host through its virtio-serial
 * port.
 *
 * Output, error output and status share one stream, so that they arrive in
 * the order in which they were sent and the status, which ends the run, is
 * never ahead of the last line of output.
 */
#ifndef HPM_VM_FRAME_H
#define HPM_VM_FRAME_H

#include <stdint.h>

#define FRAME_MAGIC 0x48504d31
#define FRAME_MAX   16384

enum frame_type {
	FRAME_HELLO, /* the kernel has booted; the first one, and empty */
	FRAME_OUT,
	FRAME_ERR,
	FRAME_STATUS, /* an int, as exit() takes it */
};

struct frame {
	uint32_t magic;
	uint32_t type;
	uint32_t len;
};

#endif
