/* Milter packets: a stream of them as the mail server sends it, and the texts
 * in them as answers of ours, which must be packets again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/milter.h"
#include "text/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One whole packet; returns its data without the command byte. */
static const char *one_packet(const struct buf *b, char command, size_t *n)
{
	size_t len;

	assert(milter_frame(b->data, b->len, &len) == 1);
	assert(b->len == MILTER_HEAD_LEN + len);
	assert(b->data[MILTER_HEAD_LEN] == command);
	*n = len - 1;
	return b->data + MILTER_HEAD_LEN + 1;
}

/* Would the field end early, or the mail server see another? */
static void check_value(const char *value)
{
	assert(!strchr(value, '\r'));
	for (const char *p = value; (p = strchr(p, '\n')); p++)
		assert(p[1] == ' ' || p[1] == '\t');
}

static void check_field(const char *name, const char *value)
{
	const char *p, *again, *again_value;
	struct buf b = BUF_INIT;
	size_t n;

	if (milter_add_header(&b, name, value) == 0) {
		p = one_packet(&b, 'h', &n);
		assert(milter_parse_header(p, n, &again, &again_value) == 0);
		assert(strcmp(again, name) == 0);
		assert(!strpbrk(again, ": \r\n\t"));
		check_value(again_value);
		buf_reset(&b);
		assert(milter_add_insert(&b, 1, name, value) == 0);
		buf_reset(&b);
		assert(milter_add_change(&b, 1, name, value) == 0);
		p = one_packet(&b, 'm', &n);
		assert(memcmp(p, "\0\0\0\1", 4) == 0);
		assert(milter_parse_header(p + 4, n - 4, &again,
					   &again_value) == 0);
	} else {
		assert(!b.len);
	}
	buf_free(&b);
}

static void check_reply(const char *text)
{
	struct buf b = BUF_INIT;

	if (milter_add_reply(&b, text) == 0) {
		size_t n, percents = 0;
		const char *p = one_packet(&b, 'y', &n);

		assert(strlen(p) == n - 1 && n <= 2 * SMTP_REPLY_MAX);
		assert((*p == '4' || *p == '5') && p[4] == *p);
		for (; *p; p++) {
			assert((unsigned char)*p >= ' ' && *p != 0x7f);
			percents = *p == '%' ? percents + 1 : 0;
			assert(*p != '%' || percents % 2 || p[-1] == '%');
			assert(p[1] == '%' || percents % 2 == 0);
		}
	} else {
		assert(!b.len);
	}
	buf_free(&b);
}

static void check_strings(const char *p, size_t n)
{
	const char *s = NULL;
	size_t sum = 0;

	while ((s = milter_next_string(p, n, s))) {
		sum += strlen(s) + 1;
		check_reply(s);
	}
	assert(sum == n);
}

static void check_macros(const char *p, size_t n)
{
	const char *pairs, *name = NULL, *value;
	size_t len;
	char command;

	if (milter_parse_macros(p, n, &command, &pairs, &len) < 0)
		return;
	assert(command == *p);
	while ((name = milter_next_string(pairs, len, name))) {
		value = milter_next_string(pairs, len, name);
		assert(value);
		assert(milter_macro(pairs, len, name));
		name = value;
	}
}

static void check_packet(char command, const char *p, size_t n)
{
	struct milter_options o;
	struct milter_connect c;
	const char *name, *value;

	if (command == MILTER_NEGOTIATE && milter_parse_options(p, n, &o) == 0) {
		struct buf b = BUF_INIT;

		milter_add_options(&b, &o);
		assert(memcmp(one_packet(&b, 'O', &n), p, 12) == 0);
		buf_free(&b);
	}
	if (command == MILTER_CONNECT &&
	    milter_parse_connect(p, n, &c) == 0) {
		assert(strlen(c.host) < n && strlen(c.addr) < n);
		assert(c.port <= UINT16_MAX && c.family &&
		       strchr("46LU", c.family));
	}
	if (command == MILTER_MAIL && milter_check_strings(p, n, 1) == 0)
		check_strings(p, n);
	if (command == MILTER_MACROS)
		check_macros(p, n);
	if (command == MILTER_HEADER &&
	    milter_parse_header(p, n, &name, &value) == 0) {
		assert(strlen(name) + strlen(value) + 2 == n);
		check_field(name, value);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	size_t len;

	while (milter_frame(p, size, &len) == 1) {
		char *copy = xmalloc(len);	/* reading past it is seen */

		memcpy(copy, p + MILTER_HEAD_LEN, len);
		check_packet(*copy, copy + 1, len - 1);
		free(copy);
		p += MILTER_HEAD_LEN + len;
		size -= MILTER_HEAD_LEN + len;
	}
	return 0;
}
