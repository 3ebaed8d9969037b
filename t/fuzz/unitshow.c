/* systemctl show may be of another version, or print a warning between. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/unitshow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t length_of(const struct unitshow *u)
{
	return strlen(u->id) + strlen(u->load) + strlen(u->active) +
	       strlen(u->sub) + strlen(u->file) + strlen(u->result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = xstrndup((const char *)data, size), *text = copy;
	size_t units = 0, n = strlen(copy);
	struct buf err = BUF_INIT;
	struct unitshow u;
	int ret;

	while ((ret = unitshow_next(&text, &u, &err)) > 0) {
		assert(*u.id && length_of(&u) <= n);
		assert(text <= copy + n);
		units++;
	}
	assert(units * strlen("Id=x") <= n);
	assert((ret < 0) == (err.len > 0));
	buf_free(&err);
	free(copy);
	return 0;
}
