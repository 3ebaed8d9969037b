#include "base/hash.h"

#include <string.h>

#include "base/rand.h"

static uint64_t rotl(uint64_t v, int bits)
{
	return v << bits | v >> (64 - bits);
}

static void rounds(uint64_t v[4], int n)
{
	while (n--) {
		v[0] += v[1];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[0] = rotl(v[0], 32);
		v[2] += v[3];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[2] = rotl(v[2], 32);
	}
}

void hash_key_init(struct hash_key *key)
{
	rand_bytes(key, sizeof(*key));
}

uint64_t hash_bytes(const struct hash_key *key, const void *p, size_t n)
{
	uint64_t v[4] = {
		key->k0 ^ 0x736f6d6570736575, key->k1 ^ 0x646f72616e646f6d,
		key->k0 ^ 0x6c7967656e657261, key->k1 ^ 0x7465646279746573,
	};
	const unsigned char *s = p;
	uint64_t last = (uint64_t)n << 56;

	for (; n >= 8; s += 8, n -= 8) {
		uint64_t m = 0;

		for (int i = 0; i < 8; i++)
			m |= (uint64_t)s[i] << 8 * i;
		v[3] ^= m;
		rounds(v, 2);
		v[0] ^= m;
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)s[i] << 8 * i;
	v[3] ^= last;
	rounds(v, 2);
	v[0] ^= last;
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
