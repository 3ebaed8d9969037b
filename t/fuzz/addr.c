/* Addresses: what was accepted is bounded, and read again is the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An address that was taken from somewhere. */
static void check(const struct buf *addr)
{
	struct buf text = BUF_INIT, again = BUF_INIT, err = BUF_INIT;
	const char *params;
	size_t count;

	if (addr->len > ADDR_MAX || strlen(addr->data) != addr->len)
		abort();
	for (size_t i = 0; i < addr->len; i++)
		if ((unsigned char)addr->data[i] < ' ')
			abort();
	buf_addf(&text, "<%s>", addr->data);
	if (addr_parse_path(text.data, &again, &params, &err) < 0 || *params ||
	    strcmp(again.data, addr->data) != 0)
		abort();
	if (strchr(addr->data, '@') &&
	    (addr_parse_list(text.data, &again, &count, &err) < 0 ||
	     count != 1 || strcmp(again.data, addr->data) != 0 ||
	     !*addr_domain(addr->data)))
		abort();
	buf_free(&text);
	buf_free(&again);
	buf_free(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf addr = BUF_INIT, err = BUF_INIT;
	char *text = xstrndup((const char *)data, size);
	const char *params = NULL;
	size_t count;

	if (addr_parse_path(text, &addr, &params, &err) == 0) {
		check(&addr);
		if (params < text || params > text + strlen(text))
			abort();
	}
	if (addr_parse_list(text, &addr, &count, &err) == 0) {
		if (!count != !addr.len)
			abort();
		if (count)
			check(&addr);
	}
	free(text);
	buf_free(&addr);
	buf_free(&err);
	return 0;
}
