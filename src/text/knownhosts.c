#include "text/knownhosts.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/base64.h"
#include "text/sshkey.h"

enum { HASH_BYTES = 20, HASH_DIGITS = 28, PATTERN_MAX = 1024 };

struct word {
	const char *p;
	size_t n;
};

/* The next word of what is left of a line, stepped over. */
static struct word next_word(struct word *line)
{
	struct word w;

	while (line->n && (*line->p == ' ' || *line->p == '\t')) {
		line->p++;
		line->n--;
	}
	w.p = line->p;
	while (line->n && !strchr(" \t\r", *line->p)) {
		line->p++;
		line->n--;
	}
	w.n = (size_t)(line->p - w.p);
	return w;
}

static bool word_is(struct word w, const char *s)
{
	return w.n == strlen(s) && memcmp(w.p, s, w.n) == 0;
}

/* Exactly the 20 bytes of a SHA-1 in base64. */
static int decode_hash(const char *p, size_t n, unsigned char *out)
{
	struct base64 b = BASE64_INIT;
	unsigned char room[HASH_BYTES + 4];
	size_t len = sizeof(room);

	if (n != HASH_DIGITS || base64_feed(&b, p, n, room, &len) != n ||
	    !base64_is_whole(&b) || len != HASH_BYTES)
		return -1;
	memcpy(out, room, HASH_BYTES);
	return 0;
}

/* "|1|salt|hash": HMAC-SHA1 of the name, keyed with the salt. */
static bool is_hash_of(struct word w, const char *name)
{
	unsigned char salt[HASH_BYTES], hash[HASH_BYTES];
	unsigned char ours[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (w.n != 3 + HASH_DIGITS + 1 + HASH_DIGITS ||
	    memcmp(w.p, "|1|", 3) != 0 || w.p[3 + HASH_DIGITS] != '|' ||
	    decode_hash(w.p + 3, HASH_DIGITS, salt) < 0 ||
	    decode_hash(w.p + 4 + HASH_DIGITS, HASH_DIGITS, hash) < 0)
		return false;
	return HMAC(EVP_sha1(), salt, sizeof(salt),
		    (const unsigned char *)name, strlen(name), ours, &len) &&
	       len == HASH_BYTES && memcmp(ours, hash, HASH_BYTES) == 0;
}

/* A list of patterns: one has to match, and none with "!" may. */
static bool is_listed(struct word list, const char *name)
{
	bool found = false;

	while (list.n) {
		const char *comma = memchr(list.p, ',', list.n);
		size_t n = comma ? (size_t)(comma - list.p) : list.n;
		bool negated = n && *list.p == '!';
		char pattern[PATTERN_MAX];

		if (n < sizeof(pattern)) {
			memcpy(pattern, list.p + negated, n - negated);
			pattern[n - negated] = '\0';
			str_lower(pattern);
			if (*pattern && str_glob(name, pattern)) {
				if (negated)
					return false;
				found = true;
			}
		}
		list.p += n + (comma != NULL);
		list.n -= n + (comma != NULL);
	}
	return found;
}

static bool is_about(struct word hosts, const char *name)
{
	if (hosts.n && *hosts.p == '|')
		return is_hash_of(hosts, name);
	return is_listed(hosts, name);
}

static void add_key(struct knownhosts *k, const struct knownhosts_key *key,
		    const struct buf *blob)
{
	struct knownhosts_key *at;

	k->keys = xrealloc(k->keys, (k->count + 1) * sizeof(*k->keys));
	at = &k->keys[k->count++];
	*at = *key;
	at->type = arena_strdup(&k->arena, key->type);
	at->blob = arena_strndup(&k->arena, blob->data, blob->len);
	at->len = blob->len;
}

static void take_line(struct knownhosts *k, const char *file, unsigned number,
		      struct word line, const char *name)
{
	struct knownhosts_key key = { .file = file, .line = number };
	struct buf blob = BUF_INIT, type = BUF_INIT;
	struct word hosts = next_word(&line), kind, data;
	bool authority = word_is(hosts, "@cert-authority");

	key.revoked = word_is(hosts, "@revoked");
	if (authority || key.revoked)
		hosts = next_word(&line);
	if (!hosts.n || *hosts.p == '#' || *hosts.p == '@' ||
	    !is_about(hosts, name))
		return;
	kind = next_word(&line);
	data = next_word(&line);
	if (sshkey_decode(data.p, data.n, &blob) == 0 &&
	    sshkey_type(blob.data, blob.len, &type) == 0 &&
	    word_is(kind, type.data)) {
		key.type = type.data;
		if (authority)
			k->has_authority = true;
		else
			add_key(k, &key, &blob);
	}
	buf_free(&blob);
	buf_free(&type);
}

void knownhosts_take(struct knownhosts *k, const char *file, const char *text,
		     size_t n, const char *name)
{
	for (unsigned number = 1; n; number++) {
		const char *end = memchr(text, '\n', n);
		size_t len = end ? (size_t)(end - text) : n;

		if (!memchr(text, '\0', len))
			take_line(k, file, number, (struct word){ text, len },
				  name);
		text += len + (end != NULL);
		n -= len + (end != NULL);
	}
}

void knownhosts_free(struct knownhosts *k)
{
	free(k->keys);
	arena_free(&k->arena);
	*k = (struct knownhosts){ 0 };
}

enum knownhosts_verdict knownhosts_check(const struct knownhosts *k,
					 const void *blob, size_t len,
					 const struct knownhosts_key **key)
{
	const struct knownhosts_key *same = NULL, *other = NULL;
	struct buf type = BUF_INIT;
	bool of_type = false;

	*key = NULL;
	sshkey_type(blob, len, &type);
	for (size_t i = 0; i < k->count; i++) {
		const struct knownhosts_key *at = &k->keys[i];
		bool equal = at->len == len && memcmp(at->blob, blob, len) == 0;

		if (at->revoked) {
			if (equal && !*key)
				*key = at;
		} else if (equal) {
			same = same ? same : at;
		} else if (!other || !of_type) {
			of_type = strcmp(at->type, type.data) == 0;
			other = other && !of_type ? other : at;
		}
	}
	buf_free(&type);
	if (*key)
		return KNOWNHOSTS_REVOKED;
	*key = same ? same : other;
	if (same)
		return KNOWNHOSTS_SAME;
	return other ? KNOWNHOSTS_CHANGED : KNOWNHOSTS_UNKNOWN;
}

bool knownhosts_has_type(const struct knownhosts *k, const char *type)
{
	for (size_t i = 0; i < k->count; i++)
		if (!k->keys[i].revoked && strcmp(k->keys[i].type, type) == 0)
			return true;
	return false;
}

void knownhosts_add_line(struct buf *out, const char *name, const void *blob,
			 size_t len)
{
	buf_addf(out, "%s ", name);
	sshkey_add_public(out, blob, len);
}
