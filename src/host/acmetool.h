/* What acmetool, which other relays use, leaves in /var/lib/acme. */
#ifndef HOST_ACMETOOL_H
#define HOST_ACMETOOL_H

#include "base/buf.h"

/* Give uacme in state_dir the key of acmetool's account with that directory,
 * if there is one and uacme has none: a CAA record may allow only that
 * account. Returns 1 when it was taken, 0, or -1 with *err. */
int acmetool_take_account(const char *acmetool_dir, const char *directory,
			  const char *state_dir, struct buf *err);

#endif
