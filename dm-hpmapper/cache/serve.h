/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Serving a read from copies.
 */
#ifndef HPM_SERVE_H
#define HPM_SERVE_H

#include "cache-priv.h"

/*
 * Serves blocks from the front of the piece up to the first that no copy
 * serves; @iter is at the piece's beginning.  Returns the number of sectors
 * served.  Any context; the caller holds a token.
 */
unsigned int hpm_serve(struct hpm_volume *v, struct bio *bio,
		       struct bvec_iter iter, const struct hpm_piece *p);

#endif /* HPM_SERVE_H */
