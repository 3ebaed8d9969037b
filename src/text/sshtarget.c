#include "text/sshtarget.h"

#include <string.h>

#include "base/str.h"

enum { NAME_MAX_BYTES = 255, PORT_SSH = 22 };

bool sshtarget_is_plain(const char *s)
{
	size_t n = strlen(s);

	if (!n || n > NAME_MAX_BYTES || *s == '-')
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~' ||
		    strchr("'`\"$\\;&<>|(){}[]/,", *s))
			return false;
	return true;
}

/* With a colon it can only be an IPv6 address, perhaps with a "%zone". */
static bool is_host(const char *s)
{
	const char *colon = strchr(s, ':');

	if (!sshtarget_is_plain(s))
		return false;
	return !colon || (strchr(colon + 1, ':') &&
			  strspn(s, "0123456789abcdefABCDEF:.") ==
			  strcspn(s, "%"));
}

static int fail(struct buf *err, const char *text, const char *why)
{
	struct buf shown = BUF_INIT;

	buf_add_printable(&shown, text, strnlen(text, NAME_MAX_BYTES));
	buf_setf(err, "\"%s\": expected [user@]host[:port]: %s", shown.data,
		 why);
	buf_free(&shown);
	return -1;
}

/* host, host:port, [host], [host]:port, or an IPv6 address; in place. */
static const char *split_port(char *s, char **host, const char **port)
{
	char *colon;

	*host = s;
	*port = NULL;
	if (*s == '[') {
		char *end = strchr(s, ']');

		if (!end)
			return "a ] is missing";
		if (end[1] && end[1] != ':')
			return "only :port may follow ]";
		*host = s + 1;
		if (end[1])
			*port = end + 2;
		*end = '\0';
		return NULL;
	}
	colon = strchr(s, ':');
	if (colon && !strchr(colon + 1, ':')) {
		*colon = '\0';
		*port = colon + 1;
	}
	return NULL;
}

int sshtarget_parse(struct sshtarget *t, struct arena *a, const char *text,
		    struct buf *err)
{
	char *s = arena_strdup(a, text), *at, *host;
	const char *port, *why;
	uint64_t number = 0;
	size_t n;

	*t = (struct sshtarget){ 0 };
	if (str_starts(s, "ssh://")) {
		s += 6;
		n = strlen(s);
		if (n && s[n - 1] == '/')
			s[n - 1] = '\0';
	}
	at = strrchr(s, '@');
	if (at) {
		*at = '\0';
		t->user = s;
		s = at + 1;
	}
	why = split_port(s, &host, &port);
	if (why)
		return fail(err, text, why);
	if (port && (str_to_u64(port, &number) < 0 || !number ||
		     number > 65535))
		return fail(err, text, "the port is no number from 1 to 65535");
	if (!is_host(host))
		return fail(err, text, "this is no host");
	if (t->user && !sshtarget_is_plain(t->user))
		return fail(err, text, "this is no user");
	t->host = host;
	t->port = (unsigned)number;
	return 0;
}

void sshtarget_add_place(struct buf *out, const char *host, unsigned port)
{
	if (!port || port == PORT_SSH)
		buf_adds(out, host);
	else
		buf_addf(out, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
			 port);
}
