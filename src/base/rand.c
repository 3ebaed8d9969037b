#include "base/rand.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"

void rand_bytes(void *p, size_t n)
{
	char *at = p;

	while (n) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			die_errno("getrandom");
		at += got;
		n -= got;
	}
}

uint32_t rand_below(uint32_t below)
{
	uint32_t limit = UINT32_MAX - UINT32_MAX % below;
	uint32_t v;

	do
		rand_bytes(&v, sizeof(v));
	while (v >= limit);
	return v % below;
}

void rand_string(char *out, size_t n, const char *set)
{
	uint32_t size = strlen(set);

	for (size_t i = 0; i < n; i++)
		out[i] = set[rand_below(size)];
	out[n] = '\0';
}
