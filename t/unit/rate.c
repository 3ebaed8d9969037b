/* The rate limit: a burst, then the average; many senders; nobody is limited
 * by others. */
#include "tap.h"

#include "base/buf.h"
#include "base/str.h"
#include "relay/rate.h"

static const int64_t SECOND = 1000 * 1000 * 1000;

/* How many of n messages at one time pass. */
static int passed(struct rate *r, const char *sender, uint64_t per_minute,
		  uint64_t burst, int n, int64_t now)
{
	int count = 0;

	while (n--)
		count += rate_take(r, sender, per_minute, burst, now) == 0;
	return count;
}

static const struct {
	const char *name;
	uint64_t per_minute, burst;
	int64_t start;
	int at_once;		/* of 100 at the start */
	int after_second;	/* of 100 a second later */
	int after_minute;	/* of 100 a minute after that */
} cases[] = {
	{ "upstream's 60 and 10", 60, 10, 5 * 60000000000, 10, 1, 10 },
	{ "from the clock's beginning", 60, 10, 0, 10, 1, 10 },
	{ "no burst", 60, 1, 0, 1, 1, 1 },
	{ "30 a minute", 30, 5, 0, 5, 0, 5 },
	{ "120 a minute", 120, 5, 0, 5, 2, 5 },
	{ "one a minute", 1, 3, 0, 3, 0, 1 },
	{ "a large burst", 60, 1000000, 0, 100, 100, 100 },
	{ "the largest burst", 1, UINT64_MAX, 0, 100, 100, 100 },
	{ "the largest rate", UINT64_MAX, 1, 0, 1, 1, 1 },
	{ "both", UINT64_MAX, UINT64_MAX, 0, 100, 100, 100 },
};

static void test_cases(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t now = cases[i].start;
		struct rate r;
		int a, b, c;

		rate_init(&r);
		a = passed(&r, "a@b", cases[i].per_minute, cases[i].burst, 100,
			   now);
		now += SECOND;
		b = passed(&r, "a@b", cases[i].per_minute, cases[i].burst, 100,
			   now);
		now += 60 * SECOND;
		c = passed(&r, "a@b", cases[i].per_minute, cases[i].burst, 100,
			   now);
		tap_ok(a == cases[i].at_once && b == cases[i].after_second &&
		       c == cases[i].after_minute, "%s: %d, %d, %d",
		       cases[i].name, a, b, c);
		rate_free(&r);
	}
}

static void test_wait(void)
{
	struct rate r;
	int64_t wait;
	int count = 0;

	rate_init(&r);
	passed(&r, "a@b", 60, 10, 10, 0);
	wait = rate_take(&r, "a@b", 60, 10, 0);
	tap_ok(wait == SECOND, "the eleventh is allowed in a second");
	tap_ok(rate_take(&r, "a@b", 60, 10, wait - 1) == 1, "not earlier");
	tap_ok(rate_take(&r, "a@b", 60, 10, wait) == 0, "but then");
	/* who tries all the time still gets one a second */
	for (int64_t now = wait; now < 101 * SECOND; now += SECOND / 100)
		count += rate_take(&r, "a@b", 60, 10, now) == 0;
	tap_ok(count >= 99 && count <= 100, "refusals are not counted: %d",
	       count);
	tap_ok(rate_take(&r, "c@d", 60, 10, 0) == 0, "another sender is free");
	tap_ok(rate_take(&r, "", 60, 10, 0) == 0, "the empty sender");
	rate_free(&r);
}

static const char *sender(char *out, size_t room, unsigned i)
{
	snprintf(out, room, "user%u@chat.example", i);
	return out;
}

/* A million senders within a second: what they cost is bounded, and no new
 * one pays for the others. */
static void test_many(void)
{
	struct rate r;
	char name[64];
	int refused = 0, limited = 0;

	rate_init(&r);
	for (unsigned i = 0; i < 1000000; i++)
		refused += rate_take(&r, sender(name, sizeof(name), i), 60, 10,
				     i * 1000ll) != 0;
	tap_ok(refused == 0, "a million senders: %d of them refused", refused);
	tap_ok(r.size <= RATE_SLOTS_MAX && r.used <= r.size,
	       "a million senders: %zu slots", r.size);
	/* in between, one who sends too much stays limited for the most part */
	for (unsigned i = 0; i < 1000; i++) {
		rate_take(&r, sender(name, sizeof(name), 2000000 + i), 60, 10,
			  SECOND);
		limited += rate_take(&r, "spam@chat.example", 60, 10,
				     SECOND) != 0;
	}
	tap_ok(limited >= 900, "one who sends too much is limited: %d of 1000",
	       limited);
	/* all are forgotten: the table is as good as new */
	tap_ok(passed(&r, "spam@chat.example", 60, 10, 100, 100 * SECOND) == 10,
	       "later he has his burst again");
	refused = 0;
	for (unsigned i = 0; i < 100000; i++)
		for (int n = 0; n < 10; n++)
			refused += rate_take(&r, sender(name, sizeof(name), i),
					     60, 10, 200 * SECOND) != 0;
	tap_ok(refused == 0, "100,000 senders with full bursts: %d refused",
	       refused);
	rate_free(&r);
}

/* The table shrinks when those who filled it are forgotten. */
static void test_growing(void)
{
	struct rate r;
	char name[64];
	int wrong = 0;

	rate_init(&r);
	for (unsigned i = 0; i < 5000; i++)
		wrong += passed(&r, sender(name, sizeof(name), i), 60, 3, 3,
				0) != 3;
	for (unsigned i = 0; i < 5000; i++)
		wrong += rate_take(&r, sender(name, sizeof(name), i), 60, 3,
				   0) == 0;
	tap_ok(wrong == 0, "5,000 senders are remembered while it grows: %d",
	       wrong);
	tap_ok(r.size >= 5000, "%zu slots", r.size);
	for (unsigned i = 0; i < 20000; i++)
		rate_take(&r, sender(name, sizeof(name), i), 60, 3,
			  (i + 10) * SECOND);
	tap_ok(r.size <= 8192 * 4, "one a second: %zu slots", r.size);
	rate_free(&r);
}

int main(void)
{
	test_cases();
	test_wait();
	test_many();
	test_growing();
	return tap_done();
}
