/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Serving a read from copies.
 */
#ifndef HPM_SERVE_H
#define HPM_SERVE_H

#include "share.h"

/*
 * Serves blocks from the front of the piece, while they are cached; @iter is at
 * the piece's beginning.  Returns how many sectors.
 */
unsigned int hpm_serve(struct hpm_volume *v, struct bio *bio,
		       struct bvec_iter iter, const struct hpm_piece *p);

#endif /* HPM_SERVE_H */
