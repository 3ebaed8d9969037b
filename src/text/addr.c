#include "text/addr.h"

#include <string.h>

#include "base/str.h"

enum { LITERAL_MAX = 64 };

static int fail(struct buf *err, const char *why)
{
	buf_setf(err, "%s", why);
	return -1;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/* Dots are let through anywhere in a local-part, "a..b" exists. */
static bool is_local(char c)
{
	return is_alnum(c) || (unsigned char)c >= 0x80 ||
	       (c && strchr(".!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_domain(char c)
{
	return is_alnum(c) || (unsigned char)c >= 0x80 ||
	       (c && strchr(".-_", c));
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

const char *addr_domain(const char *addr)
{
	const char *at = strrchr(addr, '@');

	return at ? at + 1 : "";
}

const char *addr_skip_cfws(const char *p)
{
	size_t depth = 0;

	for (; *p; p++) {
		if (*p == '(')
			depth++;
		else if (depth && *p == ')')
			depth--;
		else if (depth && *p == '\\' && p[1])
			p++;
		else if (!depth && !strchr(" \t\r\n", *p))
			break;
	}
	return depth ? NULL : p;
}

/* A quoted-string at p: its content to out; returns what follows, or NULL. */
static const char *quoted(const char *p, struct buf *out)
{
	for (p++; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		if (*p == '\r' || *p == '\n') /* folded */
			continue;
		buf_addc(out, *p);
	}
	return *p ? p + 1 : NULL;
}

/* Append a local-part that was quoted, as it must be written. */
static void add_unquoted(struct buf *addr, const struct buf *text)
{
	bool plain = text->len > 0 && text->data[0] != '.' &&
		     text->data[text->len - 1] != '.';

	for (size_t i = 0; i < text->len; i++)
		plain = plain && is_local(text->data[i]);
	if (plain) {
		buf_add(addr, text->data, text->len);
		return;
	}
	buf_addc(addr, '"');
	for (size_t i = 0; i < text->len; i++) {
		if (strchr("\"\\", text->data[i]))
			buf_addc(addr, '\\');
		buf_addc(addr, text->data[i]);
	}
	buf_addc(addr, '"');
}

/* A local-part at p goes to addr; returns what follows, or NULL. */
static const char *local_part(const char *p, struct buf *addr)
{
	const char *start = p;

	if (*p == '"') {
		struct buf text = BUF_INIT;

		p = quoted(p, &text);
		if (p)
			add_unquoted(addr, &text);
		buf_free(&text);
		return p;
	}
	while (is_local(*p))
		p++;
	buf_add(addr, start, (size_t)(p - start));
	return p > start ? p : NULL;
}

static const char *literal(const char *p)
{
	const char *start = p++;

	while (is_alnum(*p) || (*p && strchr(".:-", *p)))
		p++;
	return *p == ']' && p - start > 1 && p - start < LITERAL_MAX ?
	       p + 1 : NULL;
}

/* A domain or domain literal at p, no empty label in it. */
static const char *domain(const char *p, struct buf *addr)
{
	const char *start = p;

	if (*p == '[') {
		p = literal(p);
	} else {
		for (; is_domain(*p); p++)
			if (*p == '.' && (p == start || p[-1] == '.'))
				return NULL;
		if (p == start || p[-1] == '.')
			return NULL;
	}
	if (p)
		buf_add(addr, start, (size_t)(p - start));
	return p;
}

static int check_addr(const struct buf *addr, struct buf *err)
{
	if (addr->len > ADDR_MAX)
		return fail(err, "address too long");
	for (size_t i = 0; i < addr->len; i++)
		if (is_control(addr->data[i]))
			return fail(err, "control character in an address");
	if (!utf8_is_valid(addr->data, addr->len))
		return fail(err, "address is not UTF-8");
	return 0;
}

/* SMTP */

/* "@a,@b:" before the address (RFC 5321 appendix C), ignored as asked. */
static const char *skip_route(const char *p)
{
	struct buf ignored = BUF_INIT;

	while (p && *p == '@') {
		p = domain(p + 1, &ignored);
		if (p && *p == ',')
			p++;
		else
			break;
	}
	buf_free(&ignored);
	return p && *p == ':' ? p + 1 : NULL;
}

/* local-part@domain without white space; "postmaster" may stand alone. */
static const char *mailbox(const char *p, struct buf *addr)
{
	p = local_part(p, addr);
	if (p && *p == '@') {
		buf_addc(addr, '@');
		return domain(p + 1, addr);
	}
	return p && str_eqi(addr->data, "postmaster") ? p : NULL;
}

static const char *path(const char *p, struct buf *addr)
{
	if (*p != '<')
		return mailbox(p, addr);
	p++;
	if (*p == '>')
		return p + 1;
	if (*p == '@')
		p = skip_route(p);
	if (p)
		p = mailbox(p, addr);
	return p && *p == '>' ? p + 1 : NULL;
}

int addr_parse_path(const char *arg, struct buf *addr, const char **params,
		    struct buf *err)
{
	const char *p = arg + strspn(arg, " \t");

	buf_reset(addr);
	*params = "";
	p = path(p, addr);
	if (!p || (*p && *p != ' ' && *p != '\t')) {
		fail(err, "malformed address");
	} else if (check_addr(addr, err) == 0) {
		*params = p + strspn(p, " \t");
		return 0;
	}
	buf_reset(addr);
	return -1;
}

/* Header fields */

struct list {
	const char *p;
	struct buf *first;
	struct buf addr;	/* the one being read */
	size_t count;
	bool in_group;
	const char *why;
};

static int list_fail(struct list *l, const char *why)
{
	l->why = why;
	return -1;
}

static int skip(struct list *l)
{
	const char *p = addr_skip_cfws(l->p);

	if (!p)
		return list_fail(l, "comment does not end");
	l->p = p;
	return 0;
}

/* After the local-part: "@" and the domain. */
static int list_domain(struct list *l)
{
	const char *p;

	if (skip(l) < 0)
		return -1;
	if (*l->p != '@')
		return list_fail(l, "address without @");
	l->p++;
	if (skip(l) < 0)
		return -1;
	buf_addc(&l->addr, '@');
	p = domain(l->p, &l->addr);
	if (!p)
		return list_fail(l, "malformed domain");
	l->p = p;
	if (!l->count++) {
		buf_reset(l->first);
		buf_add(l->first, l->addr.data, l->addr.len);
	}
	return skip(l);
}

static int angle_addr(struct list *l)
{
	const char *p;

	l->p++;
	buf_reset(&l->addr);
	if (skip(l) < 0)
		return -1;
	p = local_part(l->p, &l->addr);
	if (!p)
		return list_fail(l, "malformed address in <>");
	l->p = p;
	if (list_domain(l) < 0)
		return -1;
	if (*l->p != '>')
		return list_fail(l, "malformed address in <>");
	l->p++;
	return skip(l);
}

/* One word of a display name; the first may turn out a local-part. */
static int word(struct list *l, bool first)
{
	const char *p;

	if (first) {
		buf_reset(&l->addr);
		p = local_part(l->p, &l->addr);
	} else {
		struct buf ignored = BUF_INIT;

		p = local_part(l->p, &ignored);
		buf_free(&ignored);
	}
	if (!p)
		return list_fail(l, *l->p == '"' ? "malformed quoted string" :
						   "malformed address");
	l->p = p;
	return skip(l);
}

static int group_begin(struct list *l, size_t words)
{
	if (!words || l->in_group)
		return list_fail(l, "malformed group");
	l->in_group = true;
	l->p++;
	return 0;
}

/* A mailbox, or a group up to its colon. */
static int list_item(struct list *l)
{
	size_t words = 0;

	for (;;) {
		switch (*l->p) {
		case '<':
			return angle_addr(l);
		case '@':
			if (words != 1)
				return list_fail(l, "@ in a display name");
			return list_domain(l);
		case ':':
			return group_begin(l, words);
		case '\0': case ',': case ';':
			return list_fail(l, "address without @");
		default:
			if (word(l, !words++) < 0)
				return -1;
		}
	}
}

/* What separates two items. */
static int list_next(struct list *l)
{
	if (l->in_group && *l->p == ';') {
		l->in_group = false;
		l->p++;
		if (skip(l) < 0)
			return -1;
	}
	if (*l->p && *l->p != ',')
		return list_fail(l, "text after an address");
	return 0;
}

static int list_parse(struct list *l)
{
	bool colon;

	if (skip(l) < 0)
		return -1;
	while (*l->p) {
		bool was_in_group = l->in_group;

		if (*l->p != ',' && *l->p != ';' && list_item(l) < 0)
			return -1;
		colon = l->in_group && !was_in_group;
		if (skip(l) < 0 || (!colon && list_next(l) < 0))
			return -1;
		if (*l->p == ',')
			l->p++;
		if (skip(l) < 0)
			return -1;
	}
	return l->in_group ? list_fail(l, "group does not end") : 0;
}

int addr_parse_list(const char *value, struct buf *first, size_t *count,
		    struct buf *err)
{
	struct list l = { .p = value, .first = first, .addr = BUF_INIT };
	int ret;

	buf_reset(first);
	ret = list_parse(&l);
	buf_free(&l.addr);
	*count = l.count;
	if (ret < 0)
		return fail(err, l.why);
	return check_addr(first, err);
}
