#include "text/smtp.h"

#include <string.h>

#include "base/str.h"

const char *smtp_command_args(const char *line, const char *words)
{
	size_t n = strlen(words);

	if (strlen(line) < n || !mem_eqi(line, words, n))
		return NULL;
	/* "DATAX" is not "DATA" */
	if (line[n] && line[n] != ' ' && line[n] != '\t' &&
	    words[n - 1] != ':')
		return NULL;
	return line + n + strspn(line + n, " \t");
}

int smtp_reply_parse(const char *line, size_t len, int *code, bool *more,
		     const char **text)
{
	if (len < 3 || memchr(line, '\0', len))
		return -1;
	for (int i = 0; i < 3; i++)
		if (line[i] < '0' || line[i] > '9')
			return -1;
	if (line[0] < '2' || line[0] > '5')
		return -1;
	if (len > 3 && line[3] != ' ' && line[3] != '-')
		return -1;
	*code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
	*more = len > 3 && line[3] == '-';
	*text = line + (len > 3 ? 4 : 3);
	return 0;
}

void smtp_reply_add(struct buf *out, const char *text)
{
	size_t n = strlen(text);

	if (n > SMTP_REPLY_MAX - 2)
		n = SMTP_REPLY_MAX - 2;
	/* not in the middle of a UTF-8 sequence */
	while (n && text[n] && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	for (size_t i = 0; i < n; i++) {
		bool control = (unsigned char)text[i] < 0x20 || text[i] == 0x7f;

		buf_addc(out, control ? '?' : text[i]);
	}
	buf_adds(out, "\r\n");
}

uint64_t smtp_size_param(const char *params)
{
	while (*params) {
		size_t n;

		params += strspn(params, " \t");
		n = strcspn(params, " \t");
		if (n > 5 && mem_eqi(params, "SIZE=", 5)) {
			char digits[24];
			uint64_t v;

			if (n - 5 >= sizeof(digits))
				return UINT64_MAX;
			memcpy(digits, params + 5, n - 5);
			digits[n - 5] = '\0';
			return str_to_u64(digits, &v) < 0 ? UINT64_MAX : v;
		}
		params += n;
	}
	return 0;
}

/* Where the next byte stands. A dot that begins a line is held back in DOT and
 * DOT_CR until it is known whether it ends the data. */
enum { LINE_START, IN_LINE, AFTER_CR, DOT, DOT_CR };

void smtp_data_init(struct smtp_data *d,
		    void (*wire)(struct smtp_data *d, const char *p, size_t n),
		    void (*content)(struct smtp_data *d, const char *p,
				    size_t n))
{
	*d = (struct smtp_data){
		.wire = wire, .content = content, .state = LINE_START,
	};
}

/* What was held back goes to the wire; the dot is not content. */
static void release_dot(struct smtp_data *d)
{
	if (!d->bare)
		d->wire(d, ".", 1);
}

static void give(struct smtp_data *d, const char *p, size_t n)
{
	if (!n || d->bare)
		return;
	d->wire(d, p, n);
	d->content(d, p, n);
}

/* The bytes up to a line's end, or of a part of it; returns how many. What is
 * found bare is not given, only what came before it. */
static size_t scan_line(struct smtp_data *d, const char *p, size_t n)
{
	const char *nl = memchr(p, '\n', n);
	size_t len = nl ? (size_t)(nl - p) + 1 : n;
	const char *cr = memchr(p, '\r', len);
	size_t at = cr ? (size_t)(cr - p) : len;

	if (d->state == AFTER_CR && len && *p != '\n') {
		d->bare = true;
		d->state = IN_LINE;
		return 0;
	}
	if (d->state == AFTER_CR) {
		d->state = LINE_START;
		return 1;
	}
	if (nl && at + 2 == len) {
		d->state = LINE_START;
		return len;
	}
	if (!nl && at + 1 == len) {
		d->state = AFTER_CR;
		return len;
	}
	if (nl || cr)
		d->bare = true;
	/* in a refused message every LF after a CR still begins a line */
	d->state = nl && len > 1 && p[len - 2] == '\r' ? LINE_START :
		   !nl && p[len - 1] == '\r' ? AFTER_CR : IN_LINE;
	return len;
}

/* One byte after a dot that began a line. Returns true when it was used up. */
static bool after_dot(struct smtp_data *d, char c)
{
	if (d->state == DOT && c == '\r') {
		d->state = DOT_CR;
		return true;
	}
	if (d->state == DOT_CR && c == '\n') {
		d->done = true;
		return true;
	}
	release_dot(d);
	if (d->state == DOT_CR)
		give(d, "\r", 1);
	/* the byte itself is read again as one of the line */
	d->state = d->state == DOT_CR ? AFTER_CR : IN_LINE;
	return false;
}

size_t smtp_data_feed(struct smtp_data *d, const char *p, size_t n)
{
	size_t i = 0, given = 0;

	/* lines are given together, up to a dot that begins one */
	while (i < n && !d->done) {
		if (d->state == DOT || d->state == DOT_CR) {
			i += after_dot(d, p[i]);
			given = i;
		} else if (d->state == LINE_START && p[i] == '.') {
			give(d, p + given, i - given);
			d->state = DOT;
			given = ++i;
		} else {
			bool was_bare = d->bare;
			size_t len = scan_line(d, p + i, n - i);

			if (d->bare && !was_bare) {
				d->bare = false;
				give(d, p + given, i - given);
				d->bare = true;
			}
			i += len;
			if (d->bare)
				given = i;
		}
	}
	if (!d->done)
		give(d, p + given, i - given);
	return i;
}
