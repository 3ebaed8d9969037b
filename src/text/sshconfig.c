#include "text/sshconfig.h"

#include <stddef.h>
#include <string.h>

#include "base/str.h"

/* ssh_config(5) of OpenSSH 9 knows no longer lines either */
enum { LINE_MAX_BYTES = 4096 };

struct parser {
	struct sshconfig *config;
	const char *file;
	unsigned line;
	bool active;		/* the lines are about our host */
	struct buf *err;
};

enum kind { WORD, NUMBER, WORDS, MORE_WORDS, REST };

static const struct {
	const char *name;	/* in lower case */
	enum kind kind;
	size_t offset;		/* in struct sshconfig */
	unsigned max;		/* of a number */
} settings[] = {
#define FIELD(member) offsetof(struct sshconfig, member)
	{ "hostname", WORD, FIELD(hostname) },
	{ "port", NUMBER, FIELD(port), 65535 },
	{ "user", WORD, FIELD(user) },
	{ "identityfile", MORE_WORDS, FIELD(identity_files) },
	{ "identitiesonly", WORD, FIELD(identities_only) },
	{ "identityagent", WORD, FIELD(identity_agent) },
	{ "userknownhostsfile", WORDS, FIELD(user_known_hosts) },
	{ "globalknownhostsfile", WORDS, FIELD(global_known_hosts) },
	{ "hostkeyalias", WORD, FIELD(host_key_alias) },
	{ "stricthostkeychecking", WORD, FIELD(strict_checking) },
	{ "addressfamily", WORD, FIELD(address_family) },
	{ "connecttimeout", NUMBER, FIELD(connect_secs), 86400 },
	{ "proxyjump", WORD, FIELD(proxy_jump) },
	{ "proxycommand", REST, FIELD(proxy_command) },
#undef FIELD
};

static int fail(const struct parser *p, const char *what, const char *detail)
{
	struct buf shown = BUF_INIT;

	buf_add_printable(&shown, detail, strnlen(detail, 200));
	buf_setf(p->err, "%s:%u: %s%s", p->file, p->line, what, shown.data);
	buf_free(&shown);
	return -1;
}

static void warn(const struct parser *p, const char *what)
{
	buf_addf(&p->config->warnings, "%s:%u: %s\n", p->file, p->line, what);
}

/* ---- words ------------------------------------------------------------------ */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f';
}

/* Does a backslash take the meaning of the next byte? */
static bool is_escape(const char *s, char quote)
{
	return *s == '\\' && (s[1] == '"' || s[1] == '\'' || s[1] == '\\' ||
			      (s[1] == ' ' && !quote));
}

/* One word, as OpenSSH's argv_split() reads it, into word. Returns what
 * follows it, or NULL when a quote does not end. */
static const char *read_word(const char *s, struct buf *word)
{
	char quote = '\0';

	for (; *s && (quote || !is_blank(*s)); s++) {
		if (is_escape(s, quote))
			buf_addc(word, *++s);
		else if (!quote && (*s == '"' || *s == '\''))
			quote = *s;
		else if (quote && *s == quote)
			quote = '\0';
		else
			buf_addc(word, *s);
	}
	return quote ? NULL : s;
}

/* The words up to the end or to a comment. */
static int split(const struct parser *p, const char *s,
		 struct sshconfig_words *w)
{
	*w = (struct sshconfig_words){ 0 };
	for (;;) {
		struct buf word = BUF_INIT;

		while (is_blank(*s))
			s++;
		if (!*s || *s == '#')
			return 0;
		if (w->count == SSHCONFIG_WORDS_MAX)
			return fail(p, "more words than there may be", "");
		s = read_word(s, &word);
		if (s)
			w->words[w->count++] = arena_strdup(
				&p->config->arena, word.data);
		buf_free(&word);
		if (!s)
			return fail(p, "a quote does not end", "");
	}
}

/* ---- settings --------------------------------------------------------------- */

static int set_number(const struct parser *p, const char *word, unsigned max,
		      unsigned *at)
{
	struct buf what = BUF_INIT;
	uint64_t v;
	int ret = 0;

	if (str_to_u64(word, &v) < 0 || !v || v > max) {
		buf_addf(&what, "expected a number from 1 to %u, got ", max);
		ret = fail(p, what.data, word);
	} else if (!*at) {
		*at = (unsigned)v;
	}
	buf_free(&what);
	return ret;
}

static void add_words(struct sshconfig_words *at,
		      const struct sshconfig_words *w)
{
	for (size_t i = 0; i < w->count; i++)
		if (at->count < SSHCONFIG_WORDS_MAX)
			at->words[at->count++] = w->words[i];
}

static int set(const struct parser *p, size_t row, const char *name,
	       const char *rest)
{
	char *at = (char *)p->config + settings[row].offset;
	struct sshconfig_words w, *list = (struct sshconfig_words *)at;
	const char **word = (const char **)at;

	if (settings[row].kind == REST)
		w = (struct sshconfig_words){ { rest }, 1 };
	else if (split(p, rest, &w) < 0)
		return -1;
	if (!w.count || !*w.words[0])
		return fail(p, name, " has no value");
	switch (settings[row].kind) {
	case NUMBER:
		return set_number(p, w.words[0], settings[row].max,
				  (unsigned *)at);
	case WORD:
		if (!*word)
			*word = w.words[0];
		break;
	case WORDS:
		if (!list->count)
			*list = w;
		break;
	case MORE_WORDS:
		add_words(list, &w);
		break;
	case REST:
		if (!*word)
			*word = arena_strdup(&p->config->arena, rest);
		break;
	}
	return 0;
}

/* "Host a !b *.c": one has to match, and none with "!" may. */
static int parse_host(struct parser *p, const char *rest)
{
	struct sshconfig_words w;

	if (split(p, rest, &w) < 0)
		return -1;
	if (!w.count)
		return fail(p, "Host has no value", "");
	p->active = false;
	for (size_t i = 0; i < w.count; i++) {
		bool negated = *w.words[i] == '!';

		if (!str_glob(p->config->host, w.words[i] + negated))
			continue;
		p->active = !negated;
		if (negated)
			break;
	}
	return 0;
}

static int parse_match(struct parser *p, const char *rest)
{
	struct sshconfig_words w;

	if (split(p, rest, &w) < 0)
		return -1;
	p->active = w.count == 1 && str_eqi(w.words[0], "all");
	if (!p->active)
		warn(p, "Match is not supported, but for \"Match all\": "
		     "its settings are left out");
	return 0;
}

static int parse_include(struct parser *p, const char *rest)
{
	struct sshconfig *c = p->config;
	struct sshconfig_words w;
	int ret = 0;

	if (!p->active)
		return 0;
	if (split(p, rest, &w) < 0)
		return -1;
	if (!c->on_include || c->depth >= SSHCONFIG_DEPTH_MAX) {
		warn(p, c->on_include ? "Include goes too deep" :
		     "Include is not supported here");
		return 0;
	}
	for (size_t i = 0; i < w.count && ret == 0; i++)
		ret = c->on_include(c, w.words[i], p->err);
	return ret;
}

static const struct {
	const char *name;
	int (*parse)(struct parser *p, const char *rest);
} blocks[] = {
	{ "host", parse_host },
	{ "match", parse_match },
	{ "include", parse_include },
};

static int parse_keyword(struct parser *p, const char *name, const char *rest)
{
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		if (str_eqi(name, blocks[i].name))
			return blocks[i].parse(p, rest);
	for (size_t i = 0; p->active && i < ARRAY_LEN(settings); i++)
		if (str_eqi(name, settings[i].name))
			return set(p, i, name, rest);
	return 0;
}

/* "Keyword value" or "Keyword = value"; the keyword may be in quotes. */
static int parse_line(struct parser *p, char *line)
{
	char *s = line, *name;

	while (is_blank(*s))
		s++;
	if (!*s || *s == '#')
		return 0;
	if (*s == '"') {
		name = ++s;
		s += strcspn(s, "\"");
		if (!*s)
			return fail(p, "a quote does not end", "");
	} else {
		name = s;
		while (*s && !is_blank(*s) && *s != '=')
			s++;
	}
	if (*s) {
		bool equals = *s == '=';

		*s++ = '\0';
		while (is_blank(*s))
			s++;
		if (*s == '=' && !equals)
			s++;
	}
	return parse_keyword(p, name, s);
}

int sshconfig_parse(struct sshconfig *c, const char *file, const char *text,
		    size_t n, struct buf *err)
{
	struct parser p = { c, file, 0, true, err };
	int ret = 0;

	c->depth++;
	while (n && ret == 0) {
		const char *end = memchr(text, '\n', n);
		size_t len = end ? (size_t)(end - text) : n;

		p.line++;
		if (memchr(text, '\0', len)) {
			ret = fail(&p, "a NUL byte", "");
		} else if (len > LINE_MAX_BYTES) {
			ret = fail(&p, "the line is too long", "");
		} else {
			char *line = xstrndup(text, len);

			ret = parse_line(&p, line);
			free(line);
		}
		text += len + (end != NULL);
		n -= len + (end != NULL);
	}
	c->depth--;
	return ret;
}

void sshconfig_free(struct sshconfig *c)
{
	buf_free(&c->warnings);
	arena_free(&c->arena);
	*c = (struct sshconfig){ .warnings = BUF_INIT };
}

bool sshconfig_is_yes(const char *value)
{
	return value && (str_eqi(value, "yes") || str_eqi(value, "true"));
}

/* ---- tokens ----------------------------------------------------------------- */

static const char *token(const struct sshconfig_tokens *t, char c)
{
	switch (c) {
	case '%': return "%";
	case 'd': return t->home;
	case 'h': return t->host;
	case 'n': return t->asked;
	case 'p': return t->port;
	case 'r': return t->remote_user;
	case 'u': return t->local_user;
	default: return NULL;
	}
}

/* "${NAME}" at s; returns what follows it. */
static const char *expand_env(struct buf *out, const char *s,
			      const struct sshconfig_tokens *t,
			      struct buf *err)
{
	const char *end = strchr(s, '}'), *value = NULL;
	char *name;

	if (!end) {
		buf_setf(err, "a } is missing");
		return NULL;
	}
	name = xstrndup(s + 2, (size_t)(end - s) - 2);
	if (t->env)
		value = t->env(name);
	if (value)
		buf_adds(out, value);
	else
		buf_setf(err, "the environment has no %s", name);
	free(name);
	return value ? end + 1 : NULL;
}

static const char *expand_token(struct buf *out, const char *s,
				const struct sshconfig_tokens *t,
				struct buf *err)
{
	const char *value = token(t, s[1]);

	if (!value) {
		buf_setf(err, "%%%c is not supported", s[1] ? s[1] : '%');
		return NULL;
	}
	buf_adds(out, value);
	return s + 2;
}

int sshconfig_expand(struct buf *out, const char *value,
		     const struct sshconfig_tokens *t, struct buf *err)
{
	size_t before = out->len;
	const char *s = value;

	if (*s == '~') {
		if (!t->home || (s[1] && s[1] != '/')) {
			buf_setf(err, "\"~\" is supported only as \"~/\"");
			return -1;
		}
		buf_adds(out, t->home);
		s++;
	}
	while (s && *s) {
		if (*s == '%')
			s = expand_token(out, s, t, err);
		else if (*s == '$' && s[1] == '{')
			s = expand_env(out, s, t, err);
		else
			buf_addc(out, *s++);
	}
	if (!s)
		buf_truncate(out, before);
	return s ? 0 : -1;
}
