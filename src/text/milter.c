#include "text/milter.h"

#include <string.h>

#include "base/str.h"
#include "text/smtp.h"

/* ---- what comes ------------------------------------------------------------- */

static uint32_t get_u32(const char *p)
{
	const unsigned char *s = (const unsigned char *)p;

	return (uint32_t)s[0] << 24 | (uint32_t)s[1] << 16 |
	       (uint32_t)s[2] << 8 | s[3];
}

int milter_frame(const char *p, size_t n, size_t *len)
{
	if (n < MILTER_HEAD_LEN)
		return 0;
	*len = get_u32(p);
	if (!*len || *len > MILTER_PACKET_MAX)
		return -1;
	return n - MILTER_HEAD_LEN >= *len;
}

int milter_parse_options(const char *p, size_t n, struct milter_options *o)
{
	/* more may follow: lists of macros that a milter asks for */
	if (n < 12)
		return -1;
	o->version = get_u32(p);
	o->actions = get_u32(p + 4);
	o->protocol = get_u32(p + 8);
	return 0;
}

/* How many strings the bytes are, -1 when the last has no end. */
static int count_strings(const char *p, size_t n)
{
	int count = 0;

	for (size_t i = 0; i < n; i++)
		count += !p[i];
	return n && p[n - 1] ? -1 : count;
}

int milter_check_strings(const char *p, size_t n, int min)
{
	return count_strings(p, n) < min ? -1 : 0;
}

const char *milter_next_string(const char *p, size_t n, const char *s)
{
	s = s ? s + strlen(s) + 1 : p;
	return s < p + n ? s : NULL;
}

int milter_parse_connect(const char *p, size_t n, struct milter_connect *c)
{
	const char *end = p + n, *nul = n ? memchr(p, '\0', n) : NULL;

	if (!nul || end - nul < 2)
		return -1;
	*c = (struct milter_connect){ .host = p, .family = nul[1], .addr = "" };
	p = nul + 2;
	if (c->family == 'U')
		return p == end ? 0 : -1;
	if (!c->family || !strchr("46L", c->family) || end - p < 3)
		return -1;
	c->port = (unsigned)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
	c->addr = p + 2;
	return memchr(c->addr, '\0', (size_t)(end - c->addr)) == end - 1 ?
	       0 : -1;
}

int milter_parse_macros(const char *p, size_t n, char *command,
			const char **pairs, size_t *pairs_len)
{
	int count = n ? count_strings(p + 1, n - 1) : -1;

	if (count < 0 || count % 2)
		return -1;
	*command = *p;
	*pairs = p + 1;
	*pairs_len = n - 1;
	return 0;
}

/* "{name}" and "name" are the same. */
static bool same_macro(const char *a, const char *b)
{
	size_t m, n;

	a += *a == '{';
	b += *b == '{';
	m = strcspn(a, "}");
	n = strcspn(b, "}");
	return m == n && memcmp(a, b, n) == 0;
}

const char *milter_macro(const char *pairs, size_t n, const char *name)
{
	const char *s = NULL;

	while ((s = milter_next_string(pairs, n, s))) {
		const char *value = s + strlen(s) + 1;

		if (same_macro(s, name))
			return value;
		s = value;
	}
	return NULL;
}

int milter_parse_header(const char *p, size_t n, const char **name,
			const char **value)
{
	if (count_strings(p, n) != 2 || !*p)
		return -1;
	*name = p;
	*value = p + strlen(p) + 1;
	return 0;
}

/* ---- what goes -------------------------------------------------------------- */

static void put_u32(struct buf *out, uint32_t v)
{
	char bytes[] = { (char)(v >> 24), (char)(v >> 16), (char)(v >> 8),
			 (char)v };

	buf_add(out, bytes, sizeof(bytes));
}

static void put_packet(struct buf *out, char command, const struct buf *data)
{
	put_u32(out, (uint32_t)data->len + 1);
	buf_addc(out, command);
	buf_add(out, data->data, data->len);
}

void milter_add_options(struct buf *out, const struct milter_options *o)
{
	struct buf data = BUF_INIT;

	put_u32(&data, o->version);
	put_u32(&data, o->actions);
	put_u32(&data, o->protocol);
	put_packet(out, MILTER_NEGOTIATE, &data);
	buf_free(&data);
}

void milter_add_verdict(struct buf *out, enum milter_verdict v)
{
	put_u32(out, 1);
	buf_addc(out, (char)v);
}

/* What milter8.c checks: NXX N. */
static bool is_reply(const char *s)
{
	return (*s == '4' || *s == '5') && s[1] >= '0' && s[1] <= '9' &&
	       s[2] >= '0' && s[2] <= '9' && s[3] == ' ' && s[4] == *s &&
	       s[5] == '.';
}

int milter_add_reply(struct buf *out, const char *text)
{
	struct buf line = BUF_INIT, data = BUF_INIT;

	if (!is_reply(text))
		return -1;
	smtp_reply_add(&line, text);
	buf_truncate(&line, line.len - 2);	/* its CRLF */
	for (const char *p = line.data; *p; p++) {
		if (*p == '%')	/* it is a format to libmilter */
			buf_addc(&data, '%');
		buf_addc(&data, *p);
	}
	buf_addc(&data, '\0');
	put_packet(out, 'y', &data);
	buf_free(&line);
	buf_free(&data);
	return 0;
}

/* RFC 5322 section 3.6.8. */
static bool is_field_name(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~' || *s == ':')
			return false;
	return true;
}

/* Name and value as strings, the value's line breaks as LF. */
static int put_field(struct buf *data, const char *name, const char *value)
{
	if (!is_field_name(name))
		return -1;
	buf_add(data, name, strlen(name) + 1);
	for (const char *p = value; *p; p++) {
		if (*p == '\r' && *++p != '\n')
			return -1;
		if (*p == '\n' && p[1] != ' ' && p[1] != '\t')
			return -1;
		buf_addc(data, *p);
	}
	buf_addc(data, '\0');
	return 0;
}

static int put_header(struct buf *out, char command, const uint32_t *index,
		      const char *name, const char *value)
{
	struct buf data = BUF_INIT;
	int ret;

	if (index)
		put_u32(&data, *index);
	ret = put_field(&data, name, value);
	if (ret == 0)
		put_packet(out, command, &data);
	buf_free(&data);
	return ret;
}

int milter_add_header(struct buf *out, const char *name, const char *value)
{
	return put_header(out, 'h', NULL, name, value);
}

int milter_add_insert(struct buf *out, uint32_t index, const char *name,
		      const char *value)
{
	return put_header(out, 'i', &index, name, value);
}

int milter_add_change(struct buf *out, uint32_t index, const char *name,
		      const char *value)
{
	return put_header(out, 'm', &index, name, value);
}
