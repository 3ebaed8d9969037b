/* Pages are the operator's, but no page may crash the build, and a value is
 * never more than text. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "text/md.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *source = (const char *)data;
	struct buf text = BUF_INIT, html = BUF_INIT, out = BUF_INIT,
		   err = BUF_INIT;
	struct md_values v;

	md_values_init(&v, source, size);
	for (size_t i = 0; i < size; i++) {
		if (source[i] == '@')
			md_values_add(&v, &text, "<\x01>", false);
		else
			buf_addc(&text, source[i]);
	}
	if (md_to_html(&html, text.data, text.len, &err) == 0)
		md_values_insert(&v, &out, html.data, html.len);
	else
		assert(err.len > 0 && html.len == 0);
	if (!memchr(source, 1, size))
		assert(!memmem(out.data, out.len, "<\x01", 2));
	assert(!memmem(out.data, out.len, v.prefix, strlen(v.prefix)));
	buf_reset(&text);
	md_add_heading(&text, html.data);
	assert(text.len <= html.len);
	md_values_free(&v);
	buf_free(&text);
	buf_free(&html);
	buf_free(&out);
	buf_free(&err);
	return 0;
}
