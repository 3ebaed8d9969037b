/* A second opinion on "is this message encrypted?": the whole message in
 * memory, slow, simple, nothing shared with src/text. Used by the unit test and
 * the fuzz target. It may say yes where msgcheck is stricter, never the other
 * way round.
 */
#ifndef MSGCHECK_ORACLE_H
#define MSGCHECK_ORACLE_H

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

struct span {
	const char *p;
	size_t n;
};

static struct span oracle_trim(struct span s)
{
	while (s.n && strchr(" \t\r\n", s.p[0]))
		s.p++, s.n--;
	while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
		s.n--;
	return s;
}

static bool oracle_is(struct span s, const char *want, bool fold)
{
	if (s.n != strlen(want))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (fold ? tolower((unsigned char)s.p[i]) != want[i] :
			   s.p[i] != want[i])
			return false;
	return true;
}

static bool oracle_starts(struct span s, const char *want)
{
	size_t n = strlen(want);

	return s.n >= n && memcmp(s.p, want, n) == 0;
}

/* The next line of *rest, its CRLF included. */
static struct span oracle_line(struct span *rest)
{
	struct span line = *rest;
	size_t i;

	for (i = 0; i < rest->n; i++)
		if (rest->p[i] == '\n') {
			i++;
			break;
		}
	line.n = i;
	rest->p += i;
	rest->n -= i;
	return line;
}

/* Header and body of an entity. */
static void oracle_split(struct span entity, struct span *head,
			 struct span *body)
{
	struct span rest = entity;

	while (rest.n) {
		struct span line = oracle_line(&rest);

		if (line.n == 2) {
			head->p = entity.p;
			head->n = (size_t)(line.p - entity.p);
			*body = rest;
			return;
		}
	}
	*head = entity;
	*body = rest;
}

/* The field's value with its folds into out; how often it is there. */
static int oracle_field(struct span head, const char *name, struct buf *out)
{
	int count = 0;
	bool mine = false;

	while (head.n) {
		struct span line = oracle_line(&head), left = line, right;
		char *colon;

		if (strchr(" \t", line.p[0])) {
			if (mine)
				buf_add(out, line.p, line.n);
			continue;
		}
		mine = false;
		colon = memchr(line.p, ':', line.n);
		if (!colon)
			continue;
		left.n = (size_t)(colon - line.p);
		right.p = colon + 1;
		right.n = line.n - left.n - 1;
		if (!oracle_is(oracle_trim(left), name, true))
			continue;
		mine = ++count == 1;
		if (mine)
			buf_add(out, right.p, right.n);
	}
	return count;
}

/* Comments out, line ends out. */
static void oracle_strip(const struct buf *in, struct buf *out)
{
	int depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < in->len; i++) {
		char c = in->data[i];

		if (c == '\\' && (quoted || depth) && i + 1 < in->len) {
			if (quoted) {
				buf_addc(out, c);
				buf_addc(out, in->data[i + 1]);
			}
			i++;
			continue;
		}
		if (!depth && c == '"')
			quoted = !quoted;
		if (!quoted && c == '(')
			depth++;
		if (!depth && c != '\r' && c != '\n')
			buf_addc(out, c);
		if (!quoted && depth && c == ')')
			depth--;
	}
}

/* The next piece of *rest up to a ";" that is not quoted. */
static struct span oracle_param(struct span *rest)
{
	struct span s = *rest;
	bool quoted = false;
	size_t i;

	for (i = 0; i < rest->n; i++) {
		if (rest->p[i] == '\\' && quoted)
			i++;
		else if (rest->p[i] == '"')
			quoted = !quoted;
		else if (rest->p[i] == ';' && !quoted)
			break;
	}
	s.n = i < rest->n ? i : rest->n;
	i = s.n < rest->n ? s.n + 1 : rest->n;
	rest->p += i;
	rest->n -= i;
	return oracle_trim(s);
}

/* Type, and boundary if there is one; false if there are two values. */
static bool oracle_type(struct span head, struct buf *type,
			struct buf *boundary)
{
	struct buf raw = BUF_INIT, value = BUF_INIT;
	int fields = oracle_field(head, "content-type", &raw);
	struct span rest, s;
	int found = 0;

	oracle_strip(&raw, &value);
	rest = (struct span){ value.data, value.len };
	s = oracle_param(&rest);
	for (size_t i = 0; i < s.n; i++)
		buf_addc(type, (char)tolower((unsigned char)s.p[i]));
	while (rest.n) {
		struct span name, val;
		const char *eq;

		s = oracle_param(&rest);
		eq = memchr(s.p, '=', s.n);
		if (!eq)
			continue;
		name = oracle_trim((struct span){ s.p, (size_t)(eq - s.p) });
		val.p = eq + 1;
		val.n = s.n - (size_t)(eq + 1 - s.p);
		val = oracle_trim(val);
		if (name.n < 8 || !oracle_is((struct span){ name.p, 8 },
					     "boundary", true))
			continue;
		if (name.n == 8)
			found++;
		for (size_t i = 0; i < val.n; i++) {
			if (val.p[i] == '\\' && val.p[0] == '"' &&
			    i + 1 < val.n)
				i++;
			else if (val.p[i] == '"')
				continue;
			buf_addc(boundary, val.p[i]);
		}
	}
	buf_free(&raw);
	buf_free(&value);
	return fields == 1 && found <= 1;
}

static int oracle_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* Base64 without white space in it. */
static bool oracle_base64(const struct buf *in, struct buf *out)
{
	if (in->len % 4)
		return false;
	for (size_t i = 0; i < in->len; i += 4) {
		const char *q = in->data + i;
		int pads = (q[3] == '=') + (q[2] == '=' && q[3] == '=');
		uint32_t v = 0;

		if (pads && i + 4 != in->len)
			return false;
		for (int k = 0; k < 4; k++) {
			int d = k >= 4 - pads ? 0 : oracle_digit(q[k]);

			if (d < 0)
				return false;
			v = v << 6 | (uint32_t)d;
		}
		if ((pads == 1 && (v & 0xff)) || (pads == 2 && (v & 0xffff)))
			return false;
		buf_addc(out, (char)(v >> 16));
		if (pads < 2)
			buf_addc(out, (char)(v >> 8));
		if (pads < 1)
			buf_addc(out, (char)v);
	}
	return true;
}

static bool oracle_decode(struct span head, struct span body, struct buf *out)
{
	struct buf raw = BUF_INIT, value = BUF_INIT, text = BUF_INIT;
	struct span name;
	int count = oracle_field(head, "content-transfer-encoding", &raw);
	bool ok = count <= 1;

	oracle_strip(&raw, &value);
	name = oracle_trim((struct span){ value.data, value.len });
	if (!count || oracle_is(name, "7bit", true) ||
	    oracle_is(name, "8bit", true) || oracle_is(name, "binary", true)) {
		buf_add(out, body.p, body.n);
	} else if (oracle_is(name, "base64", true)) {
		for (size_t i = 0; i < body.n; i++)
			if (!strchr(" \t\r\n", body.p[i]))
				buf_addc(&text, body.p[i]);
		ok = ok && oracle_base64(&text, out);
	} else if (oracle_is(name, "quoted-printable", true)) {
		for (size_t i = 0; ok && i < body.n; i++) {
			unsigned v;

			if (body.p[i] != '=') {
				buf_addc(out, body.p[i]);
			} else if (body.n - i < 3) {
				ok = false;
			} else if (body.p[i + 1] == '\r') {
				i += 2;
			} else if (isxdigit((unsigned char)body.p[i + 1]) &&
				   isxdigit((unsigned char)body.p[i + 2]) &&
				   sscanf(body.p + i + 1, "%2x", &v) == 1) {
				buf_addc(out, (char)v);
				i += 2;
			} else {
				ok = false;
			}
		}
	} else {
		ok = false;
	}
	buf_free(&raw);
	buf_free(&value);
	buf_free(&text);
	return ok;
}

static bool oracle_packets(const unsigned char *p, size_t n)
{
	size_t i = 0;
	int tag = 0;

	while (i < n) {
		bool more = true;

		if (tag == 18 || !(p[i] & 0x80))
			return false;
		tag = p[i] & 0x40 ? p[i] & 63 : (p[i] >> 2) & 15;
		if (tag != 1 && tag != 3 && tag != 18)
			return false;
		if (!(p[i] & 0x40)) {
			size_t octets = (size_t)1 << (p[i] & 3);
			size_t len = 0;

			if (octets == 8 || n - i < 1 + octets)
				return false;
			for (size_t k = 1; k <= octets; k++)
				len = len << 8 | p[i + k];
			i += 1 + octets;
			if (n - i < len)
				return false;
			i += len;
			continue;
		}
		for (i++; more; ) {
			size_t len;

			if (i >= n)
				return false;
			more = p[i] >= 224 && p[i] < 255;
			if (p[i] < 192) {
				len = p[i++];
			} else if (p[i] < 224) {
				if (n - i < 2)
					return false;
				len = (p[i] - 192u) * 256 + p[i + 1] + 192;
				i += 2;
			} else if (more) {
				len = (size_t)1 << (p[i++] & 31);
			} else {
				if (n - i < 5)
					return false;
				len = (size_t)p[i + 1] << 24 |
				      (size_t)p[i + 2] << 16 |
				      (size_t)p[i + 3] << 8 | p[i + 4];
				i += 5;
			}
			if (n - i < len)
				return false;
			i += len;
		}
	}
	return tag == 18;
}

static bool oracle_armor(struct span s, bool outgoing)
{
	static const char begin[] = "-----BEGIN PGP MESSAGE-----\r\n";
	static const char end[] = "-----END PGP MESSAGE-----";
	struct buf text = BUF_INIT, data = BUF_INIT;
	bool ok;

	while (s.n >= 2 && memcmp(s.p + s.n - 2, "\r\n", 2) == 0)
		s.n -= 2;
	if (!oracle_starts(s, begin) || s.n < sizeof(begin) + sizeof(end) ||
	    memcmp(s.p + s.n - (sizeof(end) - 1), end, sizeof(end) - 1) != 0)
		return false;
	s.p += sizeof(begin) - 1;
	s.n -= sizeof(begin) - 1 + sizeof(end) - 1;
	if (!outgoing && oracle_starts(s, "Version: "))
		oracle_line(&s);
	while (s.n) {
		struct span line = oracle_trim(oracle_line(&s));

		/* a CRC, if nothing comes after it */
		if (line.n == 5 && line.p[0] == '=' &&
		    oracle_trim(s).n == 0 && oracle_digit(line.p[1]) >= 0 &&
		    oracle_digit(line.p[2]) >= 0 &&
		    oracle_digit(line.p[3]) >= 0 &&
		    oracle_digit(line.p[4]) >= 0)
			break;
		buf_add(&text, line.p, line.n);
	}
	ok = oracle_base64(&text, &data) &&
	     oracle_packets((unsigned char *)data.data, data.len);
	buf_free(&text);
	buf_free(&data);
	return ok;
}

/* One part of the two. */
static bool oracle_part(struct span part, int number, bool outgoing)
{
	struct span head, body, text;
	struct buf type = BUF_INIT, boundary = BUF_INIT, data = BUF_INIT;
	bool ok;

	oracle_split(part, &head, &body);
	ok = oracle_type(head, &type, &boundary) &&
	     strcmp(type.data, number == 1 ? "application/pgp-encrypted" :
		    "application/octet-stream") == 0 &&
	     oracle_decode(head, body, &data);
	text = (struct span){ data.data, data.len };
	if (number == 1)
		ok = ok && oracle_is(oracle_trim(text), "Version: 1", false);
	else
		ok = ok && oracle_armor(text, outgoing);
	buf_free(&type);
	buf_free(&boundary);
	buf_free(&data);
	return ok;
}

/* The parts of body; false where a line could be taken for a delimiter. */
static bool oracle_parts(struct span body, const char *boundary, bool outgoing)
{
	struct span rest = body, part = { body.p, 0 };
	struct buf delim = BUF_INIT, close = BUF_INIT;
	int number = 0;
	bool ok = true, closed = false;

	buf_addf(&delim, "--%s", boundary);
	buf_addf(&close, "--%s--", boundary);
	while (ok) {
		struct span line = rest.n ? oracle_line(&rest) : rest, t;
		bool end = line.n == 0, sep, is_close;

		t = line;
		while (t.n && strchr(" \t\r\n", t.p[t.n - 1]))
			t.n--;
		is_close = oracle_is(t, close.data, false);
		sep = is_close || oracle_is(t, delim.data, false);
		if (!sep && oracle_starts(line, delim.data))
			ok = false;
		if (!sep && (number == 0 || closed) &&
		    oracle_starts(line, "--"))
			ok = false;
		if (sep && closed)
			ok = false;
		if ((sep || end) && number && !closed) {
			part.n = (size_t)(line.p - part.p);
			/* the line end before a delimiter is not the part's */
			if (sep && part.n >= 2)
				part.n -= 2;
			ok = ok && number <= 2 &&
			     oracle_part(part, number, outgoing);
		}
		if (end)
			break;
		if (is_close)
			closed = true;
		else if (sep)
			number++, part.p = rest.p;
	}
	buf_free(&delim);
	buf_free(&close);
	return ok && number == 2;
}

static bool oracle_encrypted(const char *p, size_t n, bool outgoing)
{
	struct span head, body;
	struct buf type = BUF_INIT, boundary = BUF_INIT, cte = BUF_INIT;
	bool ok;

	for (size_t i = 0; i < n; i++)
		if (!p[i] || (p[i] == '\n' && (!i || p[i - 1] != '\r')) ||
		    (p[i] == '\r' && (i + 1 == n || p[i + 1] != '\n')))
			return false;
	oracle_split((struct span){ p, n }, &head, &body);
	ok = oracle_type(head, &type, &boundary) && boundary.len &&
	     strcmp(type.data, "multipart/encrypted") == 0;
	if (ok && oracle_field(head, "content-transfer-encoding", &cte)) {
		struct span s = oracle_trim((struct span){ cte.data, cte.len });

		ok = s.n >= 4 && s.p[0] != 'b' && s.p[0] != 'B' &&
		     s.p[0] != 'q' && s.p[0] != 'Q' ? true :
		     oracle_is(s, "binary", true);
	}
	ok = ok && oracle_parts(body, boundary.data, outgoing);
	buf_free(&type);
	buf_free(&boundary);
	buf_free(&cte);
	return ok;
}

#endif
