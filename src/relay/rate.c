#include "relay/rate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { SLOTS_MIN = 64, PROBES = 32 };
static const int64_t MINUTE = 60ll * 1000 * 1000 * 1000;

struct rate_slot {
	uint64_t id;	/* hash of the sender; 0 = never used */
	int64_t tat;	/* theoretical arrival time of the next message */
};

void rate_init(struct rate *r)
{
	*r = (struct rate){ .size = SLOTS_MIN };
	hash_key_init(&r->key);
	r->slots = xcalloc(r->size, sizeof(*r->slots));
}

void rate_free(struct rate *r)
{
	free(r->slots);
}

/* The sender's slot, or the one that he may take: a free one, a forgotten one,
 * or at last the one that is forgotten next; NULL when the table should rather
 * grow. */
static struct rate_slot *find(struct rate *r, uint64_t id, int64_t now)
{
	struct rate_slot *best = NULL;

	for (size_t i = 0; i < PROBES; i++) {
		struct rate_slot *s = &r->slots[(id + i) & (r->size - 1)];

		if (s->id == id)
			return s;
		if (!best || s->tat < best->tat)
			best = s;
		if (s->id == 0)
			break;
	}
	if (best->tat > now && r->size < RATE_SLOTS_MAX)
		return NULL;
	if (best->id == 0)
		r->used++;
	/* a slot whose time has come says the same as none */
	best->id = id;
	if (best->tat > now)
		best->tat = now;
	return best;
}

/* Copy those who are not forgotten; false when there is too little room. */
static bool refill(struct rate *r, const struct rate_slot *old, size_t old_size,
		   int64_t now)
{
	for (size_t i = 0; i < old_size; i++) {
		struct rate_slot *s;

		if (old[i].id == 0 || old[i].tat <= now)
			continue;
		s = find(r, old[i].id, 0);
		if (!s)
			return false;
		s->tat = old[i].tat;
	}
	return true;
}

/* Move to a table of a fitting size, at least size. */
static void rebuild(struct rate *r, size_t size, int64_t now)
{
	struct rate_slot *old = r->slots;
	size_t old_size = r->size, live = 0;

	for (size_t i = 0; i < old_size; i++)
		live += old[i].id != 0 && old[i].tat > now;
	while (size < live * 4 && size < RATE_SLOTS_MAX)
		size *= 2;
	for (;;) {
		r->size = size;
		r->used = 0;
		r->slots = xcalloc(size, sizeof(*r->slots));
		if (refill(r, old, old_size, now))
			break;
		free(r->slots);
		size *= 2;
	}
	free(old);
}

int64_t rate_take(struct rate *r, const char *sender, uint64_t per_minute,
		  uint64_t burst, int64_t now)
{
	uint64_t id = hash_bytes(&r->key, sender, strlen(sender));
	int64_t interval = MINUTE / (int64_t)(per_minute < (uint64_t)MINUTE ?
					      per_minute : (uint64_t)MINUTE);
	int64_t tolerance, wait;
	struct rate_slot *s;

	if (burst > (uint64_t)(INT64_MAX / 4 / interval))
		burst = (uint64_t)(INT64_MAX / 4 / interval);
	tolerance = (int64_t)(burst - 1) * interval;
	if (r->used * 4 > r->size * 3 && r->size < RATE_SLOTS_MAX)
		rebuild(r, SLOTS_MIN, now);
	while (!(s = find(r, id ? id : 1, now)))
		rebuild(r, r->size * 2, now);
	wait = s->tat - now - tolerance;
	if (wait > 0)
		return wait;
	s->tat = (s->tat > now ? s->tat : now) + interval;
	return 0;
}
