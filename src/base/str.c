#include "base/str.h"

#include <string.h>

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

void str_lower(char *s)
{
	for (; *s; s++)
		*s = ascii_lower(*s);
}

bool mem_eqi(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ascii_lower(a[i]) != ascii_lower(b[i]))
			return false;
	return true;
}

bool str_has_word(const char *words, const char *word, size_t n)
{
	while (words && *words) {
		size_t len = strcspn(words, " ");

		if (len == n && memcmp(words, word, n) == 0)
			return true;
		words += len;
		words += strspn(words, " ");
	}
	return false;
}

bool str_eqi(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n == strlen(b) && mem_eqi(a, b, n);
}

char *str_trim(char *s)
{
	static const char space[] = " \t\r\n";
	size_t n;

	s += strspn(s, space);
	n = strlen(s);
	while (n && strchr(space, s[n - 1]))
		s[--n] = '\0';
	return s;
}

bool str_glob(const char *s, const char *pattern)
{
	const char *star = NULL, *tried = NULL;

	/* a mismatch lets the last star take one byte more */
	while (*s) {
		if (*pattern == '*') {
			star = pattern++;
			tried = s;
		} else if (*pattern == '?' || *pattern == *s) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star + 1;
			s = ++tried;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

int str_to_u64(const char *s, uint64_t *out)
{
	uint64_t v = 0;

	if (!*s)
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -1;
	}
	*out = v;
	return 0;
}

/* Length of the well-formed UTF-8 sequence at s (RFC 3629), 0 if there is
 * none; the code point goes to *cp. */
static size_t utf8_sequence(const char *text, size_t n, uint32_t *cp)
{
	const unsigned char *s = (const unsigned char *)text;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len;
	uint32_t c;

	if (s[0] < 0x80) {
		*cp = s[0];
		return 1;
	}
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2, c = s[0] & 0x1f;
	else if ((s[0] & 0xf0) == 0xe0)
		len = 3, c = s[0] & 0x0f;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4, c = s[0] & 0x07;
	else
		return 0;
	if (len > n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*cp = c;
	return len;
}

size_t utf8_length(const char *s, size_t n)
{
	size_t count = 0;
	uint32_t cp;

	while (n) {
		size_t len = utf8_sequence(s, n, &cp);

		if (!len)
			len = 1;
		s += len;
		n -= len;
		count++;
	}
	return count;
}

bool utf8_is_valid(const char *s, size_t n)
{
	uint32_t cp;

	while (n) {
		size_t len = utf8_sequence(s, n, &cp);

		if (!len)
			return false;
		s += len;
		n -= len;
	}
	return true;
}

void buf_add_printable(struct buf *b, const char *s, size_t n)
{
	uint32_t cp;

	while (n) {
		size_t len = utf8_sequence(s, n, &cp);

		/* C0, DEL and C1 controls could drive a terminal */
		if (!len || cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
			if (!len)
				len = 1;
			for (size_t i = 0; i < len; i++)
				buf_addf(b, "\\x%02x", (unsigned char)s[i]);
		} else {
			buf_add(b, s, len);
		}
		s += len;
		n -= len;
	}
}

void buf_add_base64(struct buf *b, const void *p, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = p;

	for (; n >= 3; s += 3, n -= 3) {
		char out[4] = { digits[s[0] >> 2],
				digits[(s[0] & 3) << 4 | s[1] >> 4],
				digits[(s[1] & 15) << 2 | s[2] >> 6],
				digits[s[2] & 63] };

		buf_add(b, out, 4);
	}
	if (n) {
		unsigned second = n > 1 ? s[1] : 0;
		char out[4] = { digits[s[0] >> 2],
				digits[(s[0] & 3) << 4 | second >> 4],
				n > 1 ? digits[(second & 15) << 2] : '=', '=' };

		buf_add(b, out, 4);
	}
}

void buf_add_percent(struct buf *b, const char *s, const char *keep)
{
	for (; *s; s++) {
		bool plain = (*s >= 'a' && *s <= 'z') ||
			     (*s >= 'A' && *s <= 'Z') ||
			     (*s >= '0' && *s <= '9') || strchr("-._~", *s) ||
			     strchr(keep, *s);

		if (plain)
			buf_addc(b, *s);
		else
			buf_addf(b, "%%%02X", (unsigned char)*s);
	}
}

void buf_add_shell(struct buf *b, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,";

	if (*s && strspn(s, plain) == strlen(s)) {
		buf_adds(b, s);
		return;
	}
	buf_addc(b, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			buf_adds(b, "'\\''");
		else
			buf_addc(b, *s);
	}
	buf_addc(b, '\'');
}

void buf_add_json(struct buf *b, const char *s)
{
	size_t n = strlen(s);
	uint32_t cp;

	buf_addc(b, '"');
	while (n) {
		size_t len = utf8_sequence(s, n, &cp);

		if (!len)
			len = 1, cp = 0xfffd;
		if (cp == '"' || cp == '\\')
			buf_addf(b, "\\%c", (int)cp);
		else if (cp == '\n')
			buf_adds(b, "\\n");
		else if (cp >= 0x10000)
			buf_addf(b, "\\u%04x\\u%04x",
				 0xd800 + ((cp - 0x10000) >> 10),
				 0xdc00 + ((cp - 0x10000) & 0x3ff));
		else if (cp < 0x20 || cp >= 0x7f)
			buf_addf(b, "\\u%04x", cp);
		else
			buf_addc(b, (char)cp);
		s += len;
		n -= len;
	}
	buf_addc(b, '"');
}

void buf_add_html(struct buf *b, const char *s)
{
	for (size_t n; *s; s += n) {
		n = strcspn(s, "&<>\"'");
		buf_add(b, s, n);
		if (!s[n])
			return;
		buf_adds(b, s[n] == '&' ? "&amp;" : s[n] == '<' ? "&lt;" :
			    s[n] == '>' ? "&gt;" : s[n] == '"' ? "&quot;" :
			    "&#39;");
		n++;
	}
}

void buf_add_wrapped(struct buf *b, const char *prefix, const char *text,
		     size_t width)
{
	size_t column = 0;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (column && column + 1 + n > width) {
			buf_addc(b, '\n');
			column = 0;
		}
		if (column) {
			buf_addc(b, ' ');
			column++;
		} else {
			buf_adds(b, prefix);
			column = strlen(prefix);
		}
		buf_add(b, text, n);
		column += n;
		text += n;
		text += strspn(text, " ");
	}
	buf_addc(b, '\n');
}
