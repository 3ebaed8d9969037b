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
 * or at last the one that is forgotten next. */
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
	if (best->id == 0)
		r->used++;
	/* a slot whose time has come says the same as none */
	best->id = id;
	if (best->tat > now)
		best->tat = now;
	return best;
}

/* Copy those who are not forgotten into a table of a fitting size. */
static void rebuild(struct rate *r, int64_t now)
{
	struct rate_slot *old = r->slots;
	size_t old_size = r->size, live = 0;

	for (size_t i = 0; i < old_size; i++)
		live += old[i].id != 0 && old[i].tat > now;
	r->size = SLOTS_MIN;
	while (r->size < live * 4 && r->size < RATE_SLOTS_MAX)
		r->size *= 2;
	r->slots = xcalloc(r->size, sizeof(*r->slots));
	r->used = 0;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].id != 0 && old[i].tat > now)
			find(r, old[i].id, 0)->tat = old[i].tat;
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
		rebuild(r, now);
	s = find(r, id ? id : 1, now);
	wait = s->tat - now - tolerance;
	if (wait > 0)
		return wait;
	s->tat = (s->tat > now ? s->tat : now) + interval;
	return 0;
}
