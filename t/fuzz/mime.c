/* The walk over a message: the same events for any cut, in order, within the
 * bounds of memory. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
	struct mime mime;
	struct buf log;
	bool open;	/* a header without its part_end */
	size_t in_body;
};

static void on_header(struct mime *m)
{
	struct walk *w = container_of(m, struct walk, mime);

	if (w->open && m->part > 1)
		abort();
	if (strlen(m->type.boundary) > MIME_BOUNDARY_MAX)
		abort();
	w->open = true;
	w->in_body = 0;
	buf_addf(&w->log, "\nH%zu %s %s %s %d", m->part, m->type.type,
		 m->head.error ? m->head.error : "",
		 m->type.error ? m->type.error : "", (int)m->encoding);
	for (size_t i = 0; i < MIME_FIELDS; i++) {
		const struct mime_value *v = &m->head.values[i];

		buf_addf(&w->log, " %zu %d ", v->count, v->cut);
		buf_add(&w->log, v->text.data, v->text.len);
	}
}

static void on_body(struct mime *m, const char *p, size_t n)
{
	struct walk *w = container_of(m, struct walk, mime);

	if (!n || !w->open)
		abort();
	if (w->in_body != m->part + 1)
		buf_addf(&w->log, "\nB%zu ", m->part);
	w->in_body = m->part + 1;
	buf_add(&w->log, p, n);
}

static void on_part_end(struct mime *m)
{
	struct walk *w = container_of(m, struct walk, mime);

	if (!w->open)
		abort();
	w->open = false;
	w->in_body = 0;
	buf_addf(&w->log, "\nE%zu %s", m->part,
		 m->encoding_error ? m->encoding_error : "");
}

static const struct mime_ops ops = {
	.header = on_header, .body = on_body, .part_end = on_part_end,
};

static void walk(struct buf *log, const char *p, size_t n, size_t step)
{
	struct walk w = { .log = BUF_INIT };
	size_t memory = 0;

	mime_init(&w.mime, &ops);
	for (size_t i = 0; i < n; i += step)
		mime_feed(&w.mime, p + i, n - i < step ? n - i : step);
	mime_end(&w.mime);
	for (size_t i = 0; i < MIME_FIELDS; i++)
		memory += w.mime.head.values[i].text.cap;
	if (memory > 65536)
		abort();
	buf_addf(&w.log, "\n%zu %d %d %d %d %d", w.mime.part,
		 w.mime.multipart, w.mime.closed, w.mime.stray,
		 w.mime.bytes.bare, w.mime.bytes.nul);
	mime_free(&w.mime);
	*log = w.log;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 1, 2, 3, 17 };
	struct buf whole, log;

	walk(&whole, (const char *)data, size, size ? size : 1);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		walk(&log, (const char *)data, size, steps[i]);
		if (log.len != whole.len ||
		    memcmp(log.data, whole.data, log.len) != 0)
			abort();
		buf_free(&log);
	}
	buf_free(&whole);
	return 0;
}
