#include "text/sshagent.h"

#include <string.h>

#include "base/str.h"
#include "text/sshkey.h"

enum {
	AGENT_FAILURE = 5,
	AGENTC_REQUEST_IDENTITIES = 11,
	AGENT_IDENTITIES_ANSWER = 12,
	AGENTC_SIGN_REQUEST = 13,
	AGENT_SIGN_RESPONSE = 14,
};

void sshagent_add_list(struct buf *out)
{
	sshkey_add_u32(out, 1);
	buf_addc(out, AGENTC_REQUEST_IDENTITIES);
}

/* Session id, message number, user, service, "publickey", 1, algorithm. */
static uint32_t sign_flags(const char *data, size_t n)
{
	struct sshkey_reader r = { data, n };
	const char *s;
	size_t len;

	if (sshkey_read_string(&r, &s, &len) < 0 || !r.n)
		return 0;
	r.p++;
	r.n--;
	for (int i = 0; i < 3; i++)
		if (sshkey_read_string(&r, &s, &len) < 0)
			return 0;
	if (!r.n)
		return 0;
	r.p++;
	r.n--;
	if (sshkey_read_string(&r, &s, &len) < 0 || len != 12)
		return 0;
	if (memcmp(s, "rsa-sha2-256", 12) == 0)
		return 2;
	return memcmp(s, "rsa-sha2-512", 12) == 0 ? 4 : 0;
}

void sshagent_add_sign(struct buf *out, const struct sshagent_key *key,
		       const void *data, size_t n)
{
	sshkey_add_u32(out, (uint32_t)(1 + 4 + key->len + 4 + n + 4));
	buf_addc(out, AGENTC_SIGN_REQUEST);
	sshkey_add_string(out, key->blob, key->len);
	sshkey_add_string(out, data, n);
	sshkey_add_u32(out, sign_flags(data, n));
}

/* The kind of answer, stepped over. */
static int parse_kind(struct sshkey_reader *r, int want, struct buf *err)
{
	int kind = r->n ? (unsigned char)*r->p : -1;

	if (kind == want) {
		r->p++;
		r->n--;
		return 0;
	}
	if (kind == AGENT_FAILURE)
		buf_setf(err, "the agent refuses");
	else
		buf_setf(err, "the agent gives an answer of unknown kind");
	return -1;
}

static int parse_key(struct sshkey_reader *r, struct arena *a,
		     struct sshagent_key *key)
{
	struct buf text = BUF_INIT;
	const char *blob, *comment;
	size_t len, comment_len;

	if (sshkey_read_string(r, &blob, &len) < 0 ||
	    sshkey_read_string(r, &comment, &comment_len) < 0)
		return -1;
	key->blob = arena_strndup(a, blob, len);
	key->len = len;
	buf_add_printable(&text, comment, comment_len);
	key->comment = arena_strdup(a, text.data);
	buf_free(&text);
	return 0;
}

int sshagent_parse_list(const char *p, size_t n, struct arena *a,
			struct sshagent_keys *keys, struct buf *err)
{
	struct sshkey_reader r = { p, n };
	uint32_t count;

	*keys = (struct sshagent_keys){ 0 };
	if (parse_kind(&r, AGENT_IDENTITIES_ANSWER, err) < 0)
		return -1;
	/* each has two lengths at least */
	if (sshkey_read_u32(&r, &count) < 0 || count > r.n / 8 ||
	    count > SSHAGENT_KEYS_MAX) {
		buf_setf(err, "the agent gives a broken list of keys");
		return -1;
	}
	keys->keys = arena_alloc(a, count * sizeof(*keys->keys));
	for (; keys->count < count; keys->count++) {
		if (parse_key(&r, a, &keys->keys[keys->count]) < 0) {
			buf_setf(err, "the agent gives a broken list of keys");
			return -1;
		}
	}
	return 0;
}

int sshagent_parse_sign(const char *p, size_t n, struct buf *sig,
			struct buf *err)
{
	struct sshkey_reader r = { p, n }, inner;
	const char *s, *name;
	size_t len, name_len;

	buf_reset(sig);
	if (parse_kind(&r, AGENT_SIGN_RESPONSE, err) < 0)
		return -1;
	if (sshkey_read_string(&r, &inner.p, &inner.n) == 0 &&
	    sshkey_read_string(&inner, &name, &name_len) == 0) {
		/* PROTOCOL.u2f: its length stays, flags and count follow */
		if (name_len > 3 && memcmp(name, "sk-", 3) == 0)
			buf_add(sig, inner.p, inner.n);
		else if (sshkey_read_string(&inner, &s, &len) == 0)
			buf_add(sig, s, len);
	}
	if (sig->len)
		return 0;
	buf_setf(err, "the agent gives a broken signature");
	return -1;
}
