/* How often each sender may send: the generic cell rate algorithm (ITU-T
 * I.371), as upstream's filter does it. A sender costs 16 bytes for as long as
 * he is not forgotten, which is burst / rate after his last message. */
#ifndef RELAY_RATE_H
#define RELAY_RATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct rate_slot;

struct rate {
	struct hash_key key;
	struct rate_slot *slots;
	size_t size, used;	/* size is a power of two */
};

/* At most this many slots are kept, 4 MB; beyond, the sender who is closest to
 * being forgotten makes room. */
enum { RATE_SLOTS_MAX = 256 * 1024 };

void rate_init(struct rate *r);
void rate_free(struct rate *r);

/* One more message of sender at the monotonic time now, in nanoseconds. Allowed
 * when burst messages at once and per_minute on average are not exceeded (both
 * >= 1): returns 0 and counts it. Otherwise returns the nanoseconds until the
 * next one is allowed, and does not count it. */
int64_t rate_take(struct rate *r, const char *sender, uint64_t per_minute,
		  uint64_t burst, int64_t now);

#endif
