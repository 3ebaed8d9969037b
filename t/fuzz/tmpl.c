/* Templates are ours, but a mistake in one must end in a message. */
#include <assert.h>
#include <stdint.h>

#include "text/tmpl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *lookup(const struct tmpl_vars *v, const char *name)
{
	switch (name[0]) {
	case 't':
		return "text";
	case 'f':
		return "";
	}
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tmpl_vars vars = { .lookup = lookup };
	struct buf out = BUF_INIT, err = BUF_INIT;

	if (tmpl_render(&out, "fuzz", (const char *)data, size, &vars,
			&err) == 0)
		assert(err.len == 0);
	else
		assert(err.len > 0 && out.len == 0);
	buf_free(&out);
	buf_free(&err);
	return 0;
}
