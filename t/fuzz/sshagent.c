/* ssh-agent's answers: keys within what was sent, or an error. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "text/sshagent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct buf sig = BUF_INIT, err = BUF_INIT, out = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct sshagent_keys keys;
	size_t total = 0;

	if (sshagent_parse_list(p, size, &a, &keys, &err) == 0) {
		assert(keys.count <= SSHAGENT_KEYS_MAX);
		for (size_t i = 0; i < keys.count; i++) {
			total += keys.keys[i].len + 8;
			assert(utf8_is_valid(keys.keys[i].comment,
					     strlen(keys.keys[i].comment)));
			buf_reset(&out);
			sshagent_add_sign(&out, &keys.keys[i], p, size);
			assert(out.len == 17 + keys.keys[i].len + size);
		}
		assert(total <= size);
	} else {
		assert(err.len);
	}
	buf_reset(&err);
	if (sshagent_parse_sign(p, size, &sig, &err) == 0)
		assert(sig.len && sig.len < size);
	else
		assert(err.len && !sig.len);
	/* the data that is signed names the algorithm */
	buf_reset(&out);
	sshagent_add_sign(&out, &(struct sshagent_key){ "k", 1, "" }, p, size);
	assert(out.len == 18 + size && out.data[out.len - 1] <= 4);
	arena_free(&a);
	buf_free(&sig);
	buf_free(&err);
	buf_free(&out);
	return 0;
}
