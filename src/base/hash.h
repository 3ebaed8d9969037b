/* SipHash-2-4 (Aumasson, Bernstein 2012): hash tables whose keys a stranger
 * may choose. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint64_t k0, k1;
};

/* A key of this process, random. */
void hash_key_init(struct hash_key *key);
uint64_t hash_bytes(const struct hash_key *key, const void *p, size_t n);

#endif
