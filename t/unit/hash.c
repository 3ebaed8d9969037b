/* SipHash-2-4 against the vectors of its authors (vectors.h of the reference
 * implementation): key 00..0f, message 00..n-1. */
#include "tap.h"

#include "base/hash.h"
#include "base/str.h"

static const uint64_t want[] = {
	0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a,
	0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d,
	0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462,
	0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
	0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee,
	0xa129ca6149be45e5,
};

int main(void)
{
	const struct hash_key key = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	struct hash_key a, b;
	unsigned char in[64];

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (unsigned char)i;
	for (size_t n = 0; n < ARRAY_LEN(want); n++)
		tap_ok(hash_bytes(&key, in, n) == want[n], "%zu bytes", n);
	tap_ok(hash_bytes(&key, in, 63) == 0x958a324ceb064572, "63 bytes");
	hash_key_init(&a);
	hash_key_init(&b);
	tap_ok(memcmp(&a, &b, sizeof(a)) != 0, "each process has its key");
	return tap_done();
}
