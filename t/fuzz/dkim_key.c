/* Key records, and private keys: what is taken can be used. */
#include <assert.h>

#include "text/dkim_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char hash[DKIM_HASH_SIZE], zeros[1024];
	const char *text = (const char *)data;
	struct buf out = BUF_INIT, err = BUF_INIT;
	struct dkim_key k, again;
	const char *why = dkim_key_parse(&k, text, size);

	assert(!why == !!k.pkey);
	if (!why) {
		assert(!dkim_key_verify(&k, hash, zeros, 64));
		assert(!dkim_key_verify(&k, hash, zeros, 128));
		assert(dkim_key_record(&k, &out, &err) == 0);
		assert(!dkim_key_parse(&again, out.data, out.len));
		assert(again.algorithm == k.algorithm);
		dkim_key_free(&again);
	}
	dkim_key_free(&k);
	if (dkim_key_read(&k, text, size, &err) == 0) {
		buf_reset(&out);
		assert(dkim_key_sign(&k, hash, &out, &err) == 0 || err.len);
		dkim_key_free(&k);
	} else {
		assert(err.len && !k.pkey);
	}
	buf_free(&out);
	buf_free(&err);
	return 0;
}
