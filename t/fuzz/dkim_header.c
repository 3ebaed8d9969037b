/* A header's fields: each is picked once, the last of its name first. The
 * input is fields with a NUL between. */
#include <assert.h>
#include <string.h>

#include "base/str.h"
#include "text/dkim_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_picks(struct dkim_header *h)
{
	size_t picked = 0;

	/* from the bottom each field is the next of its name */
	for (size_t i = h->count; i-- > 0; ) {
		const struct dkim_field *f = &h->fields[i];

		assert(f->name && f->name < f->n);
		assert(dkim_header_pick(h, f->text, f->name) == f);
		picked++;
	}
	for (size_t i = 0; i < h->count; i++)
		assert(!dkim_header_pick(h, h->fields[i].text,
					 h->fields[i].name));
	assert(picked == h->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end = p + size;
	struct dkim_header h = DKIM_HEADER_INIT;
	struct buf domain = BUF_INIT;
	const char *why;

	while (p < end) {
		const char *nul = memchr(p, '\0', (size_t)(end - p));

		dkim_header_add(&h, p, (size_t)((nul ? nul : end) - p));
		p = nul ? nul + 1 : end;
	}
	dkim_header_end(&h);
	assert(!h.error || !h.count);
	check_picks(&h);
	why = dkim_header_from(&h, &domain);
	assert(!why == !!domain.len);
	dkim_header_rewind(&h);
	check_picks(&h);
	dkim_header_free(&h);
	buf_free(&domain);
	return 0;
}
