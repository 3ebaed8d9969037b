/* chatmail.ini: what was parsed, written anew, parses to the same; and every
 * text either makes a relay or is refused with a reason. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "relay/relay.h"
#include "text/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_trimmed(const char *s)
{
	char *copy = xstrdup(s);

	assert(strcmp(str_trim(copy), s) == 0);
	free(copy);
}

static void check_entries(const struct config *c)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct config_entry *e = &c->entries[i];

		assert(*e->name && !strpbrk(e->name, "=:\n"));
		assert(!strchr("#;[", *e->name));
		check_trimmed(e->section);
		check_trimmed(e->name);
		check_trimmed(e->value);
		assert(i == 0 || e->line > e[-1].line);
		for (size_t j = 0; j < i && c->count < 100; j++)
			assert(strcmp(c->entries[j].name, e->name) != 0 ||
			       strcmp(c->entries[j].section, e->section) != 0);
	}
}

static void write_entries(struct buf *out, const struct config *c)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct config_entry *e = &c->entries[i];

		buf_addf(out, "[%s]\n%s = ", e->section, e->name);
		for (const char *s = e->value; *s; s++) {
			buf_addc(out, *s);
			if (*s == '\n')
				buf_addc(out, '\t');
		}
		buf_addc(out, '\n');
	}
}

static void check_rewritten(const struct config *c)
{
	struct buf text = BUF_INIT, err = BUF_INIT;
	struct config again;

	write_entries(&text, c);
	assert(config_parse(&again, "again", text.data, text.len, &err) == 0);
	assert(again.count == c->count);
	for (size_t i = 0; i < c->count; i++) {
		const struct config_entry *a = &again.entries[i];
		const struct config_entry *b = &c->entries[i];

		assert(strcmp(a->section, b->section) == 0 &&
		       strcmp(a->name, b->name) == 0 &&
		       strcmp(a->value, b->value) == 0);
	}
	config_free(&again);
	buf_free(&text);
	buf_free(&err);
}

static void check_relay(const char *text, size_t n, int parsed)
{
	struct buf warnings = BUF_INIT, err = BUF_INIT;
	struct relay *r = relay_parse("fuzz.ini", text, n, &warnings, &err);

	assert(!r == (err.len > 0));
	assert(!r || parsed == 0);
	for (int i = 0; r && i < SETTING_COUNT; i++)
		assert(relay_var(r, setting_docs[i].name));
	for (size_t i = 0; r && relay_derived_name(i); i++)
		assert(relay_var(r, relay_derived_name(i)));
	if (r)
		assert(r->s.username_min_length <= r->s.username_max_length &&
		       r->s.username_min_length > 0 && *r->mail_domain);
	relay_free(r);
	buf_free(&warnings);
	buf_free(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf err = BUF_INIT;
	struct config c;
	int ret = config_parse(&c, "fuzz.ini", (const char *)data, size, &err);

	assert((ret < 0) == (err.len > 0));
	if (ret == 0) {
		check_entries(&c);
		check_rewritten(&c);
	} else {
		assert(str_starts(err.data, "fuzz.ini:"));
	}
	config_free(&c);
	check_relay((const char *)data, size, ret);
	buf_free(&err);
	return 0;
}
