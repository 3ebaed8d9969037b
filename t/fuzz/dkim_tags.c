/* Tag lists: what is found lies in the input, and reads the same again. */
#include <assert.h>

#include "text/dkim_tags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct dkim_span s, const char *text, size_t size)
{
	assert(s.p >= text && s.p + s.n <= text + size);
}

static void check_lists(struct dkim_span value)
{
	struct dkim_span rest = value, item;
	struct buf out = BUF_INIT;
	uint64_t number;
	size_t items = 0;

	while (dkim_span_next(&rest, &item)) {
		check_inside(item, value.p, value.n);
		assert(!memchr(item.p, ':', item.n));
		items++;
	}
	assert(items >= 1 && items <= value.n + 1);
	if (dkim_span_number(value, &number) == 0)
		assert(value.n && value.n <= 76);
	if (dkim_span_base64(value, 64, &out) == 0)
		assert(out.len <= 64 && out.len * 4 <= value.n * 3);
	else
		assert(out.len == 0);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct dkim_tags t, again;
	struct buf copy = BUF_INIT;

	check_lists((struct dkim_span){ text, size });
	if (dkim_tags_parse(&t, text, size))
		return 0;
	assert(t.count >= 1 && t.count <= DKIM_TAGS_MAX);
	for (size_t i = 0; i < t.count; i++) {
		const struct dkim_tag *tag = &t.tags[i];

		check_inside(tag->name, text, size);
		check_inside(tag->raw, text, size);
		check_inside(tag->value, tag->raw.p, tag->raw.n);
		assert(!memchr(tag->raw.p, ';', tag->raw.n));
		check_lists(tag->value);
		if (copy.len)
			buf_addc(&copy, ';');
		buf_add(&copy, tag->name.p, tag->name.n);
		buf_addc(&copy, '=');
		buf_add(&copy, tag->value.p, tag->value.n);
	}
	assert(!dkim_tags_parse(&again, copy.data, copy.len));
	assert(again.count == t.count);
	for (size_t i = 0; i < t.count; i++)
		assert(again.tags[i].value.n == t.tags[i].value.n);
	buf_free(&copy);
	return 0;
}
