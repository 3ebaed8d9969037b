#include "text/imap.h"

#include <string.h>

#include "base/str.h"

/* ---- where a response ends ----------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits from p up to end, and nothing else. */
static int digits(const char *p, const char *end, uint64_t *out)
{
	char text[24];
	size_t n = (size_t)(end - p);

	if (!n || n >= sizeof(text) || memchr(p, '\0', n))
		return -1;
	memcpy(text, p, n);
	text[n] = '\0';
	return str_to_u64(text, out);
}

/* The length of the literal that a line announces with "{5}" at its end, 0 with
 * *is_literal false when it does not. -1: what stands there is no length. */
static int announced(const char *line, const char *end, bool *is_literal,
		     uint64_t *len)
{
	const char *open;

	*is_literal = false;
	*len = 0;
	if (end > line && end[-1] == '\r')
		end--;
	if (end == line || *--end != '}')
		return 0;
	for (open = end; open > line && is_digit(open[-1]); open--)
		;
	/* text for people may end in a brace */
	if (open == line || open[-1] != '{' || open == end)
		return 0;
	*is_literal = true;
	return digits(open, end, len);
}

int imap_scan(struct imap_scan *s, const char *p, size_t n, size_t max,
	      size_t *len)
{
	while (n > s->line) {
		const char *line = p + s->line;
		const char *nl = memchr(line + s->looked, '\n',
					n - s->line - s->looked);
		bool is_literal;
		uint64_t literal;

		if (!nl) {
			s->looked = n - s->line;
			return n > max ? -1 : 0;
		}
		if (announced(line, nl, &is_literal, &literal) < 0)
			return -1;
		s->line = (size_t)(nl - p) + 1;
		s->looked = 0;
		if (s->line > max || literal > max - s->line)
			return -1;
		if (!is_literal) {
			*len = s->line;
			return 1;
		}
		s->line += literal;
	}
	return 0;
}

/* ---- tokens -------------------------------------------------------------- */

static void wrong(struct imap_cursor *c, struct imap_token *t)
{
	c->p = c->end;
	*t = (struct imap_token){ IMAP_TOKEN_WRONG, "", 0 };
}

static void next_quoted(struct imap_cursor *c, struct imap_token *t)
{
	const char *p = c->p + 1;

	while (p < c->end && *p != '"')
		p += *p == '\\' ? 2 : 1;
	if (p >= c->end) {
		wrong(c, t);
		return;
	}
	*t = (struct imap_token){ IMAP_TOKEN_QUOTED, c->p + 1,
				  (size_t)(p - c->p - 1) };
	c->p = p + 1;
}

static void next_literal(struct imap_cursor *c, struct imap_token *t)
{
	const char *nl = memchr(c->p, '\n', (size_t)(c->end - c->p));
	bool is_literal;
	uint64_t len;

	if (!nl || announced(c->p, nl, &is_literal, &len) < 0 || !is_literal ||
	    len > (size_t)(c->end - nl - 1)) {
		wrong(c, t);
		return;
	}
	*t = (struct imap_token){ IMAP_TOKEN_LITERAL, nl + 1, (size_t)len };
	c->p = nl + 1 + len;
}

/* Up to a space or a parenthesis; one in brackets belongs to it, as in
 * BODY[HEADER.FIELDS (From)]. */
static void next_atom(struct imap_cursor *c, struct imap_token *t)
{
	const char *p = c->p;
	bool in_brackets = false;

	for (; p < c->end; p++) {
		if (*p == '\r' || *p == '\n' || *p == '"')
			break;
		if (*p == '[' || *p == ']')
			in_brackets = *p == '[';
		else if (!in_brackets && strchr(" ()", *p) && *p)
			break;
	}
	*t = (struct imap_token){ IMAP_TOKEN_ATOM, c->p, (size_t)(p - c->p) };
	if (t->len == 3 && mem_eqi(t->text, "NIL", 3))
		t->type = IMAP_TOKEN_NIL;
	if (p == c->p)
		wrong(c, t);
	else
		c->p = p;
}

void imap_next(struct imap_cursor *c, struct imap_token *t)
{
	while (c->p < c->end && *c->p == ' ')
		c->p++;
	*t = (struct imap_token){ IMAP_TOKEN_END, c->p, 0 };
	if (c->p == c->end)
		return;
	switch (*c->p) {
	case '(':
	case ')':
		t->type = *c->p == '(' ? IMAP_TOKEN_OPEN : IMAP_TOKEN_CLOSE;
		t->len = 1;
		c->p++;
		break;
	case '"':
		next_quoted(c, t);
		break;
	case '{':
		next_literal(c, t);
		break;
	case '~':
		/* a literal of binary data (RFC 3516) */
		if (c->end - c->p > 1 && c->p[1] == '{') {
			c->p++;
			next_literal(c, t);
			break;
		}
		/* fall through */
	default:
		next_atom(c, t);
	}
}

void imap_next_value(struct imap_cursor *c, struct imap_token *t)
{
	struct imap_token inner;
	size_t depth = 1;

	imap_next(c, t);
	if (t->type != IMAP_TOKEN_OPEN)
		return;
	while (depth) {
		imap_next(c, &inner);
		if (inner.type == IMAP_TOKEN_END ||
		    inner.type == IMAP_TOKEN_WRONG) {
			wrong(c, t);
			return;
		}
		depth += inner.type == IMAP_TOKEN_OPEN;
		depth -= inner.type == IMAP_TOKEN_CLOSE;
	}
}

bool imap_token_is(const struct imap_token *t, const char *atom)
{
	return t->type == IMAP_TOKEN_ATOM && t->len == strlen(atom) &&
	       mem_eqi(t->text, atom, t->len);
}

bool imap_token_is_string(const struct imap_token *t)
{
	return t->type == IMAP_TOKEN_QUOTED || t->type == IMAP_TOKEN_LITERAL;
}

void imap_token_add(struct buf *out, const struct imap_token *t)
{
	if (t->type != IMAP_TOKEN_QUOTED) {
		buf_add(out, t->text, t->len);
		return;
	}
	for (size_t i = 0; i < t->len; i++) {
		if (t->text[i] == '\\' && i + 1 < t->len)
			i++;
		buf_addc(out, t->text[i]);
	}
}

int imap_token_u64(const struct imap_token *t, uint64_t *out)
{
	if (t->type != IMAP_TOKEN_ATOM)
		return -1;
	return digits(t->text, t->text + t->len, out);
}

/* ---- responses ----------------------------------------------------------- */

static enum imap_status status_of(const char *name)
{
	static const char *const names[] = {
		[IMAP_OK] = "OK", [IMAP_NO] = "NO", [IMAP_BAD] = "BAD",
		[IMAP_PREAUTH] = "PREAUTH", [IMAP_BYE] = "BYE",
	};

	for (size_t i = IMAP_OK; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return (enum imap_status)i;
	return IMAP_NONE;
}

/* A word of the response's beginning, in which brackets mean nothing. */
static size_t word(struct imap_cursor *c, const char **start)
{
	size_t n = 0;

	while (c->p < c->end && *c->p == ' ')
		c->p++;
	*start = c->p;
	while (c->p + n < c->end && !memchr(" \r\n()\"", c->p[n], 6))
		n++;
	c->p += n;
	return n;
}

static int take_name(struct imap_response *r, const char *start, size_t n)
{
	if (!n || n > IMAP_NAME_MAX || memchr(start, '\0', n))
		return -1;
	memcpy(r->name, start, n);
	r->name[n] = '\0';
	for (char *s = r->name; *s; s++)
		if (*s >= 'a' && *s <= 'z')
			*s = (char)(*s - 'a' + 'A');
	r->status = status_of(r->name);
	return 0;
}

int imap_response_parse(struct imap_response *r, const char *p, size_t n)
{
	struct imap_cursor *c = &r->rest;
	const char *start;
	size_t len;

	*r = (struct imap_response){ .rest = { p, p + n } };
	if (n && c->end[-1] == '\n')
		c->end--;
	if (c->end > p && c->end[-1] == '\r')
		c->end--;
	len = word(c, &start);
	if (!len)
		return -1;
	if (len == 1 && *start == '+') {
		r->kind = IMAP_CONTINUE;
		c->p += c->p < c->end;
		return 0;
	}
	if (len != 1 || *start != '*') {
		r->kind = IMAP_TAGGED;
		r->tag = start;
		r->tag_len = len;
	}
	len = word(c, &start);
	if (r->kind == IMAP_UNTAGGED && digits(start, start + len,
					       &r->number) == 0) {
		r->has_number = true;
		len = word(c, &start);
	}
	if (take_name(r, start, len) < 0)
		return -1;
	c->p += c->p < c->end && *c->p == ' ';
	return r->kind == IMAP_TAGGED && (r->status < IMAP_OK ||
					  r->status > IMAP_BAD) ? -1 : 0;
}

bool imap_fetch_find(const struct imap_response *r, const char *item,
		     struct imap_token *value)
{
	struct imap_cursor c = r->rest;
	struct imap_token name;

	imap_next(&c, &name);
	if (name.type != IMAP_TOKEN_OPEN)
		return false;
	for (;;) {
		imap_next(&c, &name);
		if (name.type != IMAP_TOKEN_ATOM)
			return false;
		imap_next_value(&c, value);
		if (imap_token_is(&name, item))
			return value->type != IMAP_TOKEN_WRONG &&
			       value->type != IMAP_TOKEN_END &&
			       value->type != IMAP_TOKEN_CLOSE;
	}
}

void imap_add_quoted(struct buf *out, const char *s)
{
	buf_addc(out, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_addc(out, '\\');
		if (*s != '\r' && *s != '\n')
			buf_addc(out, *s);
	}
	buf_addc(out, '"');
}
