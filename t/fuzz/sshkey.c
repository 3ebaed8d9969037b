/* Keys: a blob that was taken, written anew, is the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "text/sshkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_blob(const struct buf *blob)
{
	struct buf line = BUF_INIT, again = BUF_INIT, type = BUF_INIT;

	assert(blob->len <= SSHKEY_BLOB_MAX);
	assert(sshkey_type(blob->data, blob->len, &type) == 0 && type.len);
	sshkey_add_public(&line, blob->data, blob->len);
	assert(sshkey_parse_public(line.data, line.len, &again) == 0);
	assert(again.len == blob->len &&
	       memcmp(again.data, blob->data, blob->len) == 0);
	buf_reset(&line);
	sshkey_add_fingerprint(&line, blob->data, blob->len);
	assert(line.len == 7 + 43 && str_starts(line.data, "SHA256:"));
	buf_free(&line);
	buf_free(&again);
	buf_free(&type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct buf blob = BUF_INIT;
	struct sshkey_file f;

	if (sshkey_parse_public(text, size, &blob) == 0)
		check_blob(&blob);
	else
		assert(!blob.len);
	if (sshkey_inspect(&f, text, size) == 0 && f.blob.len)
		check_blob(&f.blob);
	sshkey_file_free(&f);
	buf_free(&blob);
	return 0;
}
