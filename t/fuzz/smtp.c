/* SMTP data: a plain reading of the whole says what every way of cutting it
 * has to give. Commands and replies: their bounds. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	struct smtp_data d;
	struct buf wire, content;
	size_t consumed;
};

static void on_wire(struct smtp_data *d, const char *p, size_t n)
{
	struct result *r = container_of(d, struct result, d);

	assert(n > 0 && !d->bare);
	buf_add(&r->wire, p, n);
}

static void on_content(struct smtp_data *d, const char *p, size_t n)
{
	struct result *r = container_of(d, struct result, d);

	assert(n > 0 && !d->bare);
	buf_add(&r->content, p, n);
}

static void result_free(struct result *r)
{
	buf_free(&r->wire);
	buf_free(&r->content);
}

static bool line_begins(const char *p, size_t i)
{
	return i == 0 || (i >= 2 && p[i - 2] == '\r' && p[i - 1] == '\n');
}

/* RFC 5321 section 4.1.1.4 and 4.5.2, byte by byte with the whole at hand. */
static void read_plainly(struct result *r, const char *p, size_t n)
{
	size_t end = n, held;

	for (size_t i = 0; i + 3 <= n && !r->d.done; i++) {
		if (line_begins(p, i) && memcmp(p + i, ".\r\n", 3) == 0) {
			r->d.done = true;
			end = i;
		}
	}
	r->consumed = r->d.done ? end + 3 : n;
	for (size_t i = 0; i < r->consumed; i++) {
		if (p[i] == '\n' && (i == 0 || p[i - 1] != '\r'))
			r->d.bare = true;
		if (p[i] == '\r' && i + 1 < n && p[i + 1] != '\n')
			r->d.bare = true;
	}
	/* a dot that might yet end the data is held back */
	held = end;
	if (!r->d.done && n >= 1 && p[n - 1] == '.' && line_begins(p, n - 1))
		held = n - 1;
	if (!r->d.done && n >= 2 && memcmp(p + n - 2, ".\r", 2) == 0 &&
	    line_begins(p, n - 2))
		held = n - 2;
	for (size_t i = 0; i < held; i++) {
		buf_addc(&r->wire, p[i]);
		if (!(p[i] == '.' && line_begins(p, i)))
			buf_addc(&r->content, p[i]);
	}
}

static size_t next_chunk(uint32_t *seed, unsigned mode, size_t left)
{
	size_t n;

	*seed = *seed * 1103515245 + 12345;
	n = mode == 0 ? left : mode == 1 ? 1 : 1 + (*seed >> 16) % 7;
	return n < left ? n : left;
}

static void read_in_chunks(struct result *r, const char *p, size_t n,
			   unsigned mode, uint32_t seed)
{
	smtp_data_init(&r->d, on_wire, on_content);
	while (r->consumed < n && !r->d.done) {
		size_t len = next_chunk(&seed, mode, n - r->consumed);
		char *chunk = xmalloc(len); /* so that reading past it is seen */
		size_t took;

		memcpy(chunk, p + r->consumed, len);
		took = smtp_data_feed(&r->d, chunk, len);
		assert(took == len || (r->d.done && took < len));
		r->consumed += took;
		free(chunk);
	}
}

static bool same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static bool begins(const struct buf *whole, const char *p, size_t n)
{
	return whole->len <= n && memcmp(whole->data, p, whole->len) == 0;
}

static void check_data(const char *p, size_t n, uint32_t seed)
{
	struct result want = { .wire = BUF_INIT, .content = BUF_INIT };

	read_plainly(&want, p, n);
	for (unsigned mode = 0; mode < 4; mode++) {
		struct result got = { .wire = BUF_INIT, .content = BUF_INIT };

		read_in_chunks(&got, p, n, mode, seed + mode);
		assert(got.d.done == want.d.done);
		assert(got.d.bare == want.d.bare);
		assert(got.consumed == want.consumed);
		if (want.d.bare)
			assert(begins(&got.wire, p, n));
		else
			assert(same(&got.wire, &want.wire) &&
			       same(&got.content, &want.content));
		result_free(&got);
	}
	result_free(&want);
}

static void check_lines(const char *data, size_t n)
{
	static const char *const words[] = { "DATA", "MAIL FROM:", "EHLO" };
	char *line = xstrndup(data, n);
	struct buf reply = BUF_INIT;
	const char *text;
	bool more;
	int code;

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		const char *args = smtp_command_args(line, words[i]);

		assert(!args || (args >= line + strlen(words[i]) &&
				 args <= line + strlen(line)));
		assert(!args || (*args != ' ' && *args != '\t'));
	}
	if (smtp_reply_parse(line, n, &code, &more, &text) == 0)
		assert(code >= 200 && code <= 599 && text >= line + 3 &&
		       text <= line + n);
	smtp_reply_add(&reply, line);
	assert(reply.len >= 2 && reply.len <= SMTP_REPLY_MAX);
	assert(strcspn(reply.data, "\r\n") == reply.len - 2);
	if (utf8_is_valid(line, strlen(line)))
		assert(utf8_is_valid(reply.data, reply.len));
	smtp_size_param(line);
	buf_free(&reply);
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	check_data((const char *)data + 1, size - 1, data[0]);
	check_lines((const char *)data, size);
	return 0;
}
