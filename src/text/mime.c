#include "text/mime.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "text/addr.h"

/* Bytes */

static void bytes_feed(struct mime_bytes *b, const char *p, size_t n)
{
	const char *end = p + n, *q;

	if (!n)
		return;
	if (b->cr && *p != '\n')
		b->bare = true;
	for (q = p; !b->bare && (q = memchr(q, '\n', end - q)); q++)
		if (q == p ? !b->cr : q[-1] != '\r')
			b->bare = true;
	for (q = p; !b->bare && (q = memchr(q, '\r', end - q)); q++)
		if (q + 1 < end && q[1] != '\n')
			b->bare = true;
	b->cr = end[-1] == '\r';
	if (!b->nul && memchr(p, '\0', n))
		b->nul = true;
}

/* Header */

enum { HEAD_START, HEAD_CR, HEAD_NAME, HEAD_FOLD, HEAD_VALUE, HEAD_SKIP };

static const struct {
	const char *name;
	size_t max;	/* bytes of the value */
} fields[MIME_FIELDS] = {
	[MIME_FROM] = { "From", 16384 },
	[MIME_SUBJECT] = { "Subject", 256 },
	[MIME_CONTENT_TYPE] = { "Content-Type", 4096 },
	[MIME_ENCODING] = { "Content-Transfer-Encoding", 256 },
	[MIME_SECURE_JOIN] = { "Secure-Join", 256 },
	[MIME_AUTO_SUBMITTED] = { "Auto-Submitted", 256 },
};

static void head_error(struct mime_header *h, const char *why)
{
	if (!h->error)
		h->error = why;
}

static void head_reset(struct mime_header *h)
{
	for (size_t i = 0; i < MIME_FIELDS; i++) {
		buf_reset(&h->values[i].text);
		h->values[i].count = 0;
		h->values[i].cut = false;
	}
	h->into = NULL;
	h->error = NULL;
	h->bytes = (struct mime_bytes){ 0 };
	h->name_len = 0;
	h->state = HEAD_START;
	h->done = false;
}

/* The name is complete: where does the value go? */
static void head_colon(struct mime_header *h)
{
	h->name[h->name_len] = '\0';
	h->into = NULL;
	h->state = HEAD_VALUE;
	if (!h->name_len || str_starts(h->name, "--"))
		head_error(h, "malformed field name");
	for (size_t i = 0; i < MIME_FIELDS; i++)
		if (str_eqi(h->name, fields[i].name) &&
		    !h->values[i].count++)
			h->into = &h->values[i];
}

static void head_name(struct mime_header *h, char c)
{
	if (c == ':') {
		head_colon(h);
	} else if (c <= ' ' || c >= 0x7f) {
		head_error(h, "line that is no header field");
		h->into = NULL;
		h->state = c == '\n' ? HEAD_START : HEAD_SKIP;
	} else if (h->name_len < MIME_NAME_MAX) {
		h->name[h->name_len++] = c;
	} else {
		/* longer than any name looked for, and stays so */
		h->name[0] = '?';
	}
}

static void head_add(struct mime_header *h, const char *p, size_t n)
{
	struct mime_value *v = h->into;
	size_t max, room;

	if (!v || v->cut)
		return;
	max = fields[v - h->values].max;
	room = max > v->text.len ? max - v->text.len : 0;
	v->cut = n > room;
	buf_add(&v->text, p, v->cut ? room : n);
}

static void head_line_end(struct mime_header *h)
{
	struct buf *text = h->into ? &h->into->text : NULL;

	if (text && !h->into->cut && text->len &&
	    text->data[text->len - 1] == '\r')
		buf_truncate(text, text->len - 1);
	h->state = HEAD_START;
}

static void head_start(struct mime_header *h, char c)
{
	if (c == '\r') {
		h->state = HEAD_CR;
	} else if (c == '\n') {
		h->done = true;
	} else if (c == ' ' || c == '\t') {
		if (!h->name_len)
			head_error(h, "header begins with a folded line");
		head_add(h, &c, 1);
		h->state = HEAD_FOLD;
	} else {
		h->name_len = 0;
		h->state = HEAD_NAME;
		head_name(h, c);
	}
}

static void head_cr(struct mime_header *h, char c)
{
	h->state = HEAD_START;
	if (c == '\n')
		h->done = true;
	else
		head_start(h, c);
}

/* In the white space that a folded line begins with. */
static void head_fold(struct mime_header *h, char c)
{
	if (c == '\n') {
		head_error(h, "folded line of white space only");
		head_line_end(h);
		return;
	}
	head_add(h, &c, 1);
	if (c != ' ' && c != '\t' && c != '\r')
		h->state = HEAD_VALUE;
}

/* Value, or the rest of a line that is no field; returns the bytes taken. */
static size_t head_value(struct mime_header *h, const char *p, size_t n)
{
	const char *nl = memchr(p, '\n', n);
	size_t k = nl ? (size_t)(nl - p) : n;

	head_add(h, p, k);
	if (!nl)
		return n;
	head_line_end(h);
	return k + 1;
}

/* Up to the end of the header; returns the bytes taken. */
static size_t head_feed(struct mime_header *h, const char *p, size_t n)
{
	static void (*const take[])(struct mime_header *h, char c) = {
		[HEAD_START] = head_start, [HEAD_CR] = head_cr,
		[HEAD_NAME] = head_name, [HEAD_FOLD] = head_fold,
	};
	size_t i = 0;

	while (i < n && !h->done) {
		if (h->state >= HEAD_VALUE)
			i += head_value(h, p + i, n - i);
		else
			take[h->state](h, p[i++]);
	}
	bytes_feed(&h->bytes, p, i);
	return i;
}

static void trim(struct buf *b)
{
	static const char space[] = " \t\r\n";

	while (b->len && strchr(space, b->data[b->len - 1]))
		buf_truncate(b, b->len - 1);
	buf_consume(b, strspn(b->data, space));
}

/* The header is over, by an empty line or by the end of its part. */
static void head_end(struct mime_header *h)
{
	if (h->state == HEAD_NAME)
		head_error(h, "line that is no header field");
	if (h->state == HEAD_FOLD)
		head_error(h, "folded line of white space only");
	if (h->bytes.bare || h->bytes.cr)
		head_error(h, "bare CR or LF in the header");
	if (h->bytes.nul)
		head_error(h, "NUL byte in the header");
	for (size_t i = 0; i < MIME_FIELDS; i++)
		trim(&h->values[i].text);
}

/* Content-Type */

static bool is_token(char c)
{
	return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\\"/[]?=", c);
}

static void type_error(struct mime_type *t, const char *why)
{
	if (!t->error)
		t->error = why;
}

/* Two tokens and a slash, in lower case; returns what follows, or NULL. */
static const char *type_name(struct mime_type *t, const char *p)
{
	const char *start = p, *slash;

	while (is_token(*p))
		p++;
	slash = p;
	if (*p == '/')
		p++;
	while (is_token(*p))
		p++;
	if (slash == start || p <= slash + 1 || p - start > MIME_TYPE_MAX)
		return NULL;
	memcpy(t->type, start, (size_t)(p - start));
	t->type[p - start] = '\0';
	str_lower(t->type);
	return p;
}

/* Quoted string or bare text up to white space, ";" or "(". A bare value may
 * hold "=", "/" and such: programs write boundaries that way. */
static const char *param_value(const char *p, struct buf *value)
{
	if (*p != '"') {
		size_t n = strcspn(p, "; \t\r\n(\"");

		buf_add(value, p, n);
		return n ? p + n : NULL;
	}
	for (p++; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		buf_addc(value, *p);
	}
	return *p ? p + 1 : NULL;
}

static bool is_boundary(const struct buf *b)
{
	if (!b->len || b->len > MIME_BOUNDARY_MAX ||
	    b->data[b->len - 1] == ' ')
		return false;
	for (size_t i = 0; i < b->len; i++)
		if (b->data[i] < ' ' || b->data[i] > '~' ||
		    strchr("\"\\", b->data[i]))
			return false;
	return true;
}

/* The parameters seen so far that make the boundary. */
struct boundary {
	struct buf text;
	size_t whole;	/* "boundary" */
	size_t pieces;	/* "boundary*0", "boundary*1" … (RFC 2231 section 3) */
};

static void add_boundary(struct mime_type *t, struct boundary *b,
			 const char *suffix, const struct buf *value)
{
	char want[24];

	snprintf(want, sizeof(want), "*%zu", b->pieces);
	if (!*suffix)
		b->whole++;
	else if (strcmp(suffix, want) == 0)
		b->pieces++;
	else
		type_error(t, "encoded or misnumbered boundary parameter");
	if (b->whole + (b->pieces > 0) > 1)
		type_error(t, "two boundary parameters");
	buf_add(&b->text, value->data, value->len);
}

/* One "name=value" at p; returns what follows, or NULL. */
static const char *type_param(struct mime_type *t, const char *p,
			      struct boundary *b)
{
	const char *name = p;
	struct buf attr = BUF_INIT, value = BUF_INIT;

	while (is_token(*p))
		p++;
	buf_add(&attr, name, (size_t)(p - name));
	str_lower(attr.data);
	p = attr.len ? addr_skip_cfws(p) : NULL;
	p = p && *p == '=' ? addr_skip_cfws(p + 1) : NULL;
	p = p ? param_value(p, &value) : NULL;
	if (p && (strcmp(attr.data, "boundary") == 0 ||
		  str_starts(attr.data, "boundary*")))
		add_boundary(t, b, attr.data + strlen("boundary"), &value);
	buf_free(&attr);
	buf_free(&value);
	return p;
}

static void type_params(struct mime_type *t, const char *p,
			struct boundary *b)
{
	while (*p == ';') {
		p = addr_skip_cfws(p + 1);
		if (p && *p && *p != ';')
			p = type_param(t, p, b);
		if (p)
			p = addr_skip_cfws(p);
		if (!p)
			break;
	}
	if (!p || *p)
		type_error(t, "malformed Content-Type parameters");
}

void mime_type_parse(struct mime_type *t, const char *value)
{
	struct boundary b = { .text = BUF_INIT };
	const char *p = addr_skip_cfws(value);

	memset(t, 0, sizeof(*t));
	p = p ? type_name(t, p) : NULL;
	p = p ? addr_skip_cfws(p) : NULL;
	if (!p || (*p && *p != ';')) {
		t->type[0] = '\0';
		type_error(t, "malformed Content-Type");
		return;
	}
	type_params(t, p, &b);
	if (mime_type_is_multipart(t)) {
		if (!is_boundary(&b.text))
			type_error(t, "no usable boundary");
		else
			memcpy(t->boundary, b.text.data, b.text.len + 1);
	}
	buf_free(&b.text);
}

bool mime_type_is_multipart(const struct mime_type *t)
{
	return str_starts(t->type, "multipart/");
}

static void type_of_header(struct mime_type *t, const struct mime_header *h)
{
	const struct mime_value *v = &h->values[MIME_CONTENT_TYPE];

	/* RFC 2045 section 5.2 */
	mime_type_parse(t, v->count ? v->text.data : "text/plain");
	if (v->count > 1)
		type_error(t, "two Content-Type fields");
	if (v->cut)
		type_error(t, "Content-Type too long");
	if (v->count > 1 || v->cut)
		t->type[0] = t->boundary[0] = '\0';
}

/* Content-Transfer-Encoding */

enum mime_encoding mime_encoding_parse(const char *value)
{
	static const struct {
		const char *name;
		enum mime_encoding encoding;
	} names[] = {
		{ "7bit", MIME_IDENTITY }, { "8bit", MIME_IDENTITY },
		{ "binary", MIME_IDENTITY }, { "base64", MIME_BASE64 },
		{ "quoted-printable", MIME_QUOTED },
	};
	const char *p = addr_skip_cfws(value), *rest;
	size_t n = 0;

	while (p && is_token(p[n]))
		n++;
	rest = p ? addr_skip_cfws(p + n) : NULL;
	if (!rest || *rest)
		return MIME_UNKNOWN;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (n == strlen(names[i].name) && mem_eqi(p, names[i].name, n))
			return names[i].encoding;
	return MIME_UNKNOWN;
}

static enum mime_encoding encoding_of_header(const struct mime_header *h)
{
	const struct mime_value *v = &h->values[MIME_ENCODING];

	if (!v->count)
		return MIME_IDENTITY;
	if (v->count > 1 || v->cut)
		return MIME_UNKNOWN;
	return mime_encoding_parse(v->text.data);
}

static void encoding_begin(struct mime *m)
{
	m->encoding = encoding_of_header(&m->head);
	m->encoding_error = m->encoding == MIME_UNKNOWN ?
		"unknown Content-Transfer-Encoding" : NULL;
	m->base64 = (struct base64)BASE64_INIT;
	m->quoted = 0;
}

static void decode_base64(struct mime *m, const char *p, size_t n)
{
	while (n && !m->encoding_error) {
		unsigned char out[3072];
		size_t len = sizeof(out), k;

		k = base64_feed(&m->base64, p, n, out, &len);
		if (len)
			m->ops->body(m, (char *)out, len);
		/* line ends and the blanks that some programs indent with */
		if (k < n && strchr(" \t\r\n", p[k]) && p[k])
			k++;
		if (!k)
			m->encoding_error = "malformed base64";
		p += k;
		n -= k;
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* After "=": two digits, or a line end that is to vanish. White space
 * before a line end is not removed as RFC 2045 section 6.7 would have it, so
 * that the check fails where another decoder sees something else. */
static void quoted_byte(struct mime *m, char c)
{
	int high, low;

	if (m->quoted++ == 1) {
		m->quoted_first = c;
		if (c == '\n')
			m->quoted = 0;
		return;
	}
	m->quoted = 0;
	if (m->quoted_first == '\r' && c == '\n')
		return;
	high = hex_digit(m->quoted_first);
	low = hex_digit(c);
	if (high < 0 || low < 0) {
		m->encoding_error = "malformed quoted-printable";
		return;
	}
	c = (char)(high << 4 | low);
	m->ops->body(m, &c, 1);
}

static void decode_quoted(struct mime *m, const char *p, size_t n)
{
	while (n && !m->encoding_error) {
		const char *eq;
		size_t k = 1;

		if (m->quoted) {
			quoted_byte(m, *p);
		} else if (*p == '=') {
			m->quoted = 1;
		} else {
			eq = memchr(p, '=', n);
			k = eq ? (size_t)(eq - p) : n;
			m->ops->body(m, p, k);
		}
		p += k;
		n -= k;
	}
}

static void emit(struct mime *m, const char *p, size_t n)
{
	if (!n || m->encoding_error)
		return;
	if (m->encoding == MIME_BASE64)
		decode_base64(m, p, n);
	else if (m->encoding == MIME_QUOTED)
		decode_quoted(m, p, n);
	else
		m->ops->body(m, p, n);
}

static void encoding_end(struct mime *m)
{
	if (!m->encoding_error && !base64_is_whole(&m->base64))
		m->encoding_error = "base64 cut short";
	if (!m->encoding_error && m->quoted)
		m->encoding_error = "quoted-printable cut short";
}

/* The walk */

enum { WALK_HEAD, WALK_SINGLE, WALK_OPAQUE, WALK_PREAMBLE, WALK_PART_HEAD,
       WALK_PART, WALK_EPILOGUE };

void mime_init(struct mime *m, const struct mime_ops *ops)
{
	memset(m, 0, sizeof(*m));
	m->ops = ops;
	for (size_t i = 0; i < MIME_FIELDS; i++)
		buf_init(&m->head.values[i].text);
}

void mime_free(struct mime *m)
{
	for (size_t i = 0; i < MIME_FIELDS; i++)
		buf_free(&m->head.values[i].text);
}

const char *mime_get(const struct mime *m, enum mime_field field)
{
	const struct mime_value *v = &m->head.values[field];

	return v->count ? v->text.data : NULL;
}

static void header_complete(struct mime *m)
{
	head_end(&m->head);
	type_of_header(&m->type, &m->head);
	encoding_begin(m);
	m->ops->header(m);
}

static void message_header_end(struct mime *m)
{
	header_complete(m);
	if (!m->type.type[0]) {
		m->state = WALK_OPAQUE;
	} else if (!mime_type_is_multipart(&m->type)) {
		m->state = WALK_SINGLE;
	} else if (m->type.error) {
		m->state = WALK_OPAQUE;
	} else {
		m->multipart = true;
		m->boundary_len = (uint8_t)strlen(m->type.boundary);
		memcpy(m->boundary, m->type.boundary, m->boundary_len + 1u);
		m->state = WALK_PREAMBLE;
	}
}

static void part_end(struct mime *m)
{
	/* its header may have had no end */
	if (m->state == WALK_PART_HEAD)
		header_complete(m);
	encoding_end(m);
	m->ops->part_end(m);
}

/* A delimiter line ends what was before it. */
static void delimiter(struct mime *m, bool close)
{
	m->newline_len = 0;
	if (m->state == WALK_EPILOGUE) {
		m->stray = true;
		return;
	}
	if (m->state != WALK_PREAMBLE)
		part_end(m);
	m->closed = close;
	if (close) {
		m->state = WALK_EPILOGUE;
		return;
	}
	m->part++;
	head_reset(&m->head);
	m->state = WALK_PART_HEAD;
}

enum { LINE_TEXT, LINE_DELIMITER, LINE_CLOSE, LINE_STRAY };

/* What the held line is (RFC 2046 section 5.1.1); it may be unfinished. */
static int held_line(const struct mime *m)
{
	const char *p = m->hold, *end = m->hold + m->held;
	int kind = LINE_DELIMITER;

	if (m->held < 2 || memcmp(p, "--", 2) != 0)
		return LINE_TEXT;
	p += 2;
	if (end - p < m->boundary_len ||
	    memcmp(p, m->boundary, m->boundary_len) != 0)
		return m->state == WALK_PREAMBLE || m->state == WALK_EPILOGUE ?
		       LINE_STRAY : LINE_TEXT;
	p += m->boundary_len;
	if (end - p >= 2 && memcmp(p, "--", 2) == 0) {
		kind = LINE_CLOSE;
		p += 2;
	}
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (p < end && *p == '\r')
		p++;
	if (p < end && *p == '\n')
		p++;
	return p == end && m->held < MIME_HOLD ? kind : LINE_STRAY;
}

static void flush_newline(struct mime *m)
{
	size_t n = m->newline_len;

	m->newline_len = 0;
	emit(m, m->newline, n);
}

static size_t text_outside(struct mime *m, const char *p, size_t n)
{
	const char *nl = memchr(p, '\n', n);

	m->in_line = !nl;
	return nl ? (size_t)(nl - p) + 1 : n;
}

static size_t text_header(struct mime *m, const char *p, size_t n)
{
	size_t k = head_feed(&m->head, p, text_outside(m, p, n));

	if (m->head.done) {
		m->state = WALK_PART;
		header_complete(m);
	}
	return k;
}

/* As many lines as surely are body; the last line end is kept back as it may
 * belong to a delimiter. */
static size_t text_body(struct mime *m, const char *p, size_t n)
{
	const char *end = p + n, *q = p, *nl;

	if (m->newline_len && *p == '\n') {
		m->newline[m->newline_len++] = '\n';
		m->in_line = false;
		return 1;
	}
	flush_newline(m);
	while ((nl = memchr(q, '\n', (size_t)(end - q))) && nl + 1 < end &&
	       nl[1] != '-')
		q = nl + 1;
	q = nl ? nl : end;
	if (q > p && q[-1] == '\r')
		q--;
	emit(m, p, (size_t)(q - p));
	p = q;
	q = nl ? nl + 1 : end;
	m->newline_len = (uint8_t)(q - p);
	memcpy(m->newline, p, m->newline_len);
	m->in_line = !nl;
	return (size_t)(q - (end - n));
}

/* More of a line that is no delimiter. */
static size_t text(struct mime *m, const char *p, size_t n)
{
	if (m->state == WALK_PART)
		return text_body(m, p, n);
	if (m->state == WALK_PART_HEAD)
		return text_header(m, p, n);
	return text_outside(m, p, n);
}

static void begin_text(struct mime *m)
{
	m->in_line = true;
	flush_newline(m);
}

/* The held line is complete or long enough to decide. */
static void release(struct mime *m)
{
	int kind = held_line(m);
	size_t i = 0;

	if (kind == LINE_DELIMITER || kind == LINE_CLOSE) {
		m->held = 0;
		delimiter(m, kind == LINE_CLOSE);
		return;
	}
	if (kind == LINE_STRAY)
		m->stray = true;
	begin_text(m);
	while (i < m->held)
		i += text(m, m->hold + i, m->held - i);
	m->held = 0;
}

/* At a line's start: hold it as long as it may be a delimiter. */
static size_t line_start(struct mime *m, const char *p)
{
	if (!m->held && *p != '-') {
		begin_text(m);
		return 0;
	}
	m->hold[m->held++] = *p;
	if (*p == '\n' || m->held == MIME_HOLD ||
	    (m->held == 2 && m->hold[1] != '-'))
		release(m);
	return 1;
}

static size_t walk(struct mime *m, const char *p, size_t n)
{
	size_t k;

	switch (m->state) {
	case WALK_HEAD:
		k = head_feed(&m->head, p, n);
		if (m->head.done)
			message_header_end(m);
		return k;
	case WALK_SINGLE:
		emit(m, p, n);
		return n;
	case WALK_OPAQUE:
		return n;
	default:
		return m->in_line ? text(m, p, n) : line_start(m, p);
	}
}

void mime_skip(struct mime *m, const char *p, size_t n)
{
	bytes_feed(&m->bytes, p, n);
}

void mime_feed(struct mime *m, const char *p, size_t n)
{
	mime_skip(m, p, n);
	while (n) {
		size_t k = walk(m, p, n);

		p += k;
		n -= k;
	}
}

void mime_end(struct mime *m)
{
	if (m->bytes.cr)
		m->bytes.bare = true;
	if (m->held)
		release(m);
	if (m->state == WALK_HEAD)
		message_header_end(m);
	if (m->state == WALK_PART)
		flush_newline(m);
	if (m->state == WALK_SINGLE || m->state == WALK_PART ||
	    m->state == WALK_PART_HEAD)
		part_end(m);
}
