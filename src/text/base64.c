#include "text/base64.h"

/* Digit value plus 1, so that 0 is no digit. */
#define D4(c, v) [c] = (v) + 1, [(c) + 1] = (v) + 2, \
	[(c) + 2] = (v) + 3, [(c) + 3] = (v) + 4
static const uint8_t digits[256] = {
	D4('A', 0), D4('E', 4), D4('I', 8), D4('M', 12), D4('Q', 16),
	D4('U', 20), ['Y'] = 25, ['Z'] = 26,
	D4('a', 26), D4('e', 30), D4('i', 34), D4('m', 38), D4('q', 42),
	D4('u', 46), ['y'] = 51, ['z'] = 52,
	D4('0', 52), D4('4', 56), ['8'] = 61, ['9'] = 62,
	['+'] = 63, ['/'] = 64,
};

int base64_digit(char c)
{
	return digits[(unsigned char)c] - 1;
}

/* Whole groups, as long as there are any and out has room. */
static size_t feed_groups(const unsigned char *s, size_t n,
			  unsigned char *out, size_t room, size_t *len)
{
	const unsigned char *p = s;

	for (; n >= 4 && room >= 3; p += 4, n -= 4, room -= 3) {
		uint32_t a = digits[p[0]], b = digits[p[1]];
		uint32_t c = digits[p[2]], d = digits[p[3]];

		if (!a || !b || !c || !d)
			break;
		a = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
		out[0] = (unsigned char)(a >> 16);
		out[1] = (unsigned char)(a >> 8);
		out[2] = (unsigned char)a;
		out += 3;
		*len += 3;
	}
	return (size_t)(p - s);
}

/* Give out the 1, 2 or 3 bytes of a group that is complete. */
static size_t group_end(struct base64 *b, unsigned char *out)
{
	size_t n = b->digits - 1u;
	uint32_t v = b->bits << 6 * (4 - b->digits);

	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)(v >> (16 - 8 * i));
	b->digits = 0;
	b->bits = 0;
	return n;
}

/* One byte; false when it may not stand here. */
static bool take_byte(struct base64 *b, unsigned char c)
{
	if (c == '=') {
		/* bits below the last whole byte: 4 of 12, 2 of 18 */
		uint32_t rest = b->digits == 2 ? 15 : 3;

		if (b->digits < 2 || (b->bits & rest))
			return false;
		b->pads++;
		return true;
	}
	if (b->pads || !digits[c])
		return false;
	b->bits = b->bits << 6 | (digits[c] - 1u);
	b->digits++;
	return true;
}

size_t base64_feed(struct base64 *b, const char *p, size_t n,
		   unsigned char *out, size_t *len)
{
	const unsigned char *s = (const unsigned char *)p;
	size_t room = *len, i = 0;

	*len = 0;
	while (i < n && room - *len >= 3) {
		if (!b->digits && !b->pads)
			i += feed_groups(s + i, n - i, out + *len,
					 room - *len, len);
		if (i == n || room - *len < 3 || !take_byte(b, s[i]))
			break;
		i++;
		if (b->digits + b->pads == 4)
			*len += group_end(b, out + *len);
	}
	return i;
}

bool base64_is_whole(const struct base64 *b)
{
	return b->digits == 0;
}
