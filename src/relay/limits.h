/* The resources that a new address needs, as upstream's syslimits.py. */
#ifndef RELAY_LIMITS_H
#define RELAY_LIMITS_H

#include <stdbool.h>

#include "base/buf.h"
#include "relay/relay.h"

/* false when a limit is exceeded, with what and by how much in *why. What
 * cannot be read does not count; it is told in *ignored, one line each. */
bool limits_allow_creation(const struct relay *r, struct buf *why,
			   struct buf *ignored);

#endif
