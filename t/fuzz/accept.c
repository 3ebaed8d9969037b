/* Accept lists: items lie in the list one behind the other, and what is said
 * of a name is said by one of them. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "text/accept.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_list(const char *list)
{
	const char *p = list, *last = list;
	struct accept_item item;
	unsigned best = 0;

	while (accept_next(&p, &item)) {
		assert(item.name >= last && item.name + item.len <= p);
		assert(p > item.name && (*p == ',' || *p == '\0'));
		assert(item.weight <= ACCEPT_WEIGHT_MAX);
		assert(!memchr(item.name, ';', item.len) ||
		       memchr(item.name, '"', item.len));
		if (item.weight > best)
			best = item.weight;
		last = p;
	}
	assert(*p == '\0');
	assert(accept_type(list, "text/html") <= best);
	assert(accept_language(list, "de") <= best);
	if (accept_names(list, "text/html"))
		assert(accept_type(list, "text/html") > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *list = xstrndup((const char *)data, size);

	check_list(list);
	free(list);
	return 0;
}
