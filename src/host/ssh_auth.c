/* Log in with a key: the agent's and those in files, in ssh(1)'s order. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "host/ssh_agent.h"
#include "host/ssh_identity.h"
#include "host/ssh_session.h"

enum { PASSPHRASES = 3, TRIES_MAX = SSHAGENT_KEYS_MAX + SSHCONFIG_WORDS_MAX };

static const char logging_in[] = "logging in";

/* A key of the agent, or one in a file. */
struct try {
	const struct sshagent_key *key;
	struct ssh_identity *identity;
};

struct auth {
	struct ssh *ssh;
	struct arena arena;
	struct ssh_agent agent;
	struct sshagent_keys keys;
	struct ssh_identity identities[SSHCONFIG_WORDS_MAX];
	size_t count;			/* of identities */
	struct try *tries;
	size_t try_count;
	double end;			/* of the wait for the host */
	/* The key that the agent is asked to sign with, and why it did not. */
	const struct sshagent_key *signing;
	struct buf why;
	/* "KEY was refused", separated by "; " */
	struct buf tried;
	unsigned offered;		/* to the host */
};

static void note(struct auth *a, const struct try *t, const char *what)
{
	struct ssh_settings *set = &a->ssh->settings;
	struct buf type = BUF_INIT;

	buf_adds(&a->tried, a->tried.len ? "; " : "");
	if (t->identity) {
		buf_adds(&a->tried, ssh_settings_tilde(set, t->identity->path));
	} else {
		sshkey_type(t->key->blob, t->key->len, &type);
		buf_addf(&a->tried, "the agent's %s key %s",
			 sshkey_short_type(type.data), t->key->comment);
	}
	buf_addf(&a->tried, " %s", what);
	buf_free(&type);
}

/* ---- which keys, in which order --------------------------------------------- */

static bool is_blob(const struct buf *blob, const struct sshagent_key *k)
{
	return blob->len && blob->len == k->len &&
	       memcmp(blob->data, k->blob, k->len) == 0;
}

/* RSA with an old libssh2 comes last: a host counts what it refuses. */
static bool is_late(const struct try *t)
{
	const char *blob = t->key ? t->key->blob : t->identity->blob.data;
	size_t len = t->key ? t->key->len : t->identity->blob.len;
	struct buf type = BUF_INIT;
	bool rsa = sshkey_type(blob, len, &type) == 0 &&
		strcmp(type.data, "ssh-rsa") == 0;

	buf_free(&type);
	return rsa && ssh_rsa_is_old();
}

static void add_try(struct auth *a, const struct sshagent_key *key,
		    struct ssh_identity *id)
{
	for (size_t i = 0; i < a->try_count; i++) {
		const struct try *t = &a->tries[i];

		/* what the agent has needs no file and no passphrase */
		if ((key && t->key == key) || (id && t->identity == id) ||
		    (id && t->key && is_blob(&id->blob, t->key)))
			return;
	}
	a->tries[a->try_count++] = (struct try){ key, id };
}

static void order_tries(struct auth *a)
{
	const struct ssh_settings *set = &a->ssh->settings;

	a->tries = arena_alloc(&a->arena, TRIES_MAX * sizeof(*a->tries));
	for (size_t i = 0; i < a->count; i++)
		for (size_t j = 0; j < a->keys.count; j++)
			if (is_blob(&a->identities[i].blob, &a->keys.keys[j]))
				add_try(a, &a->keys.keys[j], NULL);
	if (set->identity_given)
		add_try(a, NULL, &a->identities[0]);
	for (size_t j = 0; j < a->keys.count && !set->identities_only; j++)
		add_try(a, &a->keys.keys[j], NULL);
	for (size_t i = 0; i < a->count; i++)
		add_try(a, NULL, &a->identities[i]);
}

static int load_identities(struct auth *a, struct buf *err)
{
	struct ssh_settings *set = &a->ssh->settings;

	for (size_t i = 0; i < set->identities.count; i++) {
		struct ssh_identity *id = &a->identities[a->count];

		ssh_identity_load(id, set->identities.words[i]);
		if (i == 0 && set->identity_given && id->missing) {
			buf_setf(err, "%s: the key file %s %s", set->place,
				 id->path, id->problem.data);
			ssh_identity_free(id);
			return -1;
		}
		if (id->missing)
			ssh_identity_free(id);
		else
			a->count++;
	}
	return 0;
}

static void load_agent(struct auth *a)
{
	struct ssh_settings *set = &a->ssh->settings;
	struct buf why = BUF_INIT;

	if (set->agent && (ssh_agent_open(&a->agent, set->agent, &why) < 0 ||
			   ssh_agent_list(&a->agent, &a->arena, &a->keys,
					  &why) < 0))
		ssh_notice(a->ssh, "%s: doing without ssh-agent: %s",
			   set->place, why.data);
	buf_free(&why);
}

/* ---- one key ---------------------------------------------------------------- */

static LIBSSH2_USERAUTH_PUBLICKEY_SIGN_FUNC(sign_by_agent)
{
	struct auth *a = *abstract;
	struct buf signature = BUF_INIT;
	int ret = ssh_agent_sign(&a->agent, a->signing, data, data_len,
				 &signature, &a->why);

	a->end = ssh_deadline(a->ssh);
	if (ret == 0) {
		*sig_len = signature.len;
		*sig = (unsigned char *)buf_detach(&signature);
	}
	buf_free(&signature);
	return ret;
}

static int call_agent(struct auth *a, const struct sshagent_key *key)
{
	void *abstract = a;

	a->signing = key;
	return libssh2_userauth_publickey(a->ssh->session,
					  a->ssh->settings.user,
					  (const unsigned char *)key->blob,
					  key->len, sign_by_agent, &abstract);
}

static int call_file(struct auth *a, const struct ssh_identity *id,
		     const struct buf *public, const char *passphrase)
{
	const char *user = a->ssh->settings.user;

	return libssh2_userauth_publickey_frommemory(
		a->ssh->session, user, strlen(user),
		public->len ? public->data : NULL, public->len, id->text.data,
		id->text.len, passphrase);
}

enum outcome { LOGGED_IN, REFUSED, UNUSABLE, GIVE_UP };

/* What libssh2's last answer means. */
static enum outcome outcome_of(struct auth *a, int code, struct buf *err)
{
	char *text = NULL;

	if (code == 0)
		return LOGGED_IN;
	if (a->ssh->farewell.len || ssh_is_lost(a->ssh)) {
		ssh_fail(a->ssh, logging_in, err);
		return GIVE_UP;
	}
	libssh2_session_last_error(a->ssh->session, &text, NULL, 0);
	/* the same code stands for a signature that could not be made */
	if (code == LIBSSH2_ERROR_AUTHENTICATION_FAILED ||
	    (code == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED && text &&
	     !strstr(text, "Callback")))
		return REFUSED;
	if (!a->why.len)
		buf_setf(&a->why, "%s", text ? text : "it cannot be used");
	return UNUSABLE;
}

/* Try a key; public and passphrase for one in a file. */
static enum outcome attempt(struct auth *a, const struct try *t,
			    const struct buf *public, const char *passphrase,
			    struct buf *err)
{
	int code;

	buf_reset(&a->why);
	a->end = ssh_deadline(a->ssh);
	for (;;) {
		code = t->key ? call_agent(a, t->key) :
			call_file(a, t->identity, public, passphrase);
		if (code != LIBSSH2_ERROR_EAGAIN)
			break;
		if (ssh_wait(a->ssh, a->end, logging_in, err) < 0)
			return GIVE_UP;
	}
	return outcome_of(a, code, err);
}

static const char refused[] = "was refused";

/* Ask until the key opens; the host has said already that it takes it. */
static enum outcome try_passphrases(struct auth *a, const struct try *t,
				    const struct buf *public, struct buf *err)
{
	const struct ssh_options *o = a->ssh->options;
	struct buf prompt = BUF_INIT, secret = BUF_INIT;
	enum outcome got = UNUSABLE;

	buf_setf(&a->why, "is encrypted, and its passphrase was not given: "
		 "ssh-add %s", t->identity->path);
	buf_addf(&prompt, "Passphrase for %s: ",
		 ssh_settings_tilde(&a->ssh->settings, t->identity->path));
	for (int i = 0; i < PASSPHRASES && got == UNUSABLE; i++) {
		if (!o->passphrase || o->passphrase(o, prompt.data,
						    &secret) < 0)
			break;
		got = attempt(a, t, public, secret.data, err);
		if (got == UNUSABLE)
			buf_setf(&a->why, "is encrypted, and the passphrase "
				 "is wrong");
	}
	explicit_bzero(secret.data, secret.cap);
	buf_free(&secret);
	buf_free(&prompt);
	return got;
}

static enum outcome try_file(struct auth *a, const struct try *t,
			     struct buf *err)
{
	struct ssh_identity *id = t->identity;
	struct buf public = BUF_INIT;
	enum outcome got = UNUSABLE;

	if (id->problem.len) {
		buf_setf(&a->why, "%s", id->problem.data);
		return UNUSABLE;
	}
	if (id->blob.len)
		sshkey_add_public(&public, id->blob.data, id->blob.len);
	/* without its passphrase the host can say whether it takes it; libssh2
	 * 1.10 crashes on none at all where a PEM file needs one */
	if (public.len || !id->encrypted)
		got = attempt(a, t, &public, "", err);
	if (got == UNUSABLE && id->encrypted)
		got = try_passphrases(a, t, &public, err);
	buf_free(&public);
	return got;
}

static enum outcome try_one(struct auth *a, const struct try *t,
			    struct buf *err)
{
	enum outcome got;

	buf_reset(&a->why);
	got = t->key ? attempt(a, t, NULL, NULL, err) : try_file(a, t, err);
	a->offered++;
	if (got == REFUSED && is_late(t))
		note(a, t, "was refused, as libssh2 before 1.11 can use RSA "
		     "keys only with SHA-1: make an Ed25519 key (ssh-keygen -t "
		     "ed25519)");
	else if (got == REFUSED)
		note(a, t, refused);
	else if (got == UNUSABLE)
		note(a, t, a->why.data);
	return got;
}

static enum outcome try_all(struct auth *a, struct buf *err)
{
	for (int late = 0; late <= 1; late++) {
		for (size_t i = 0; i < a->try_count; i++) {
			enum outcome got;

			if (is_late(&a->tries[i]) != late)
				continue;
			got = try_one(a, &a->tries[i], err);
			if (got == LOGGED_IN || got == GIVE_UP)
				return got;
		}
	}
	return REFUSED;
}

/* ---- the whole -------------------------------------------------------------- */

/* Which ways to log in the host offers: 1 logged in without any, 0, or -1. */
static int ask_methods(struct ssh *s, struct buf *methods, struct buf *err)
{
	const char *user = s->settings.user;
	double end = ssh_deadline(s);
	char *list;

	while (!(list = libssh2_userauth_list(s->session, user,
					      (unsigned)strlen(user)))) {
		if (libssh2_userauth_authenticated(s->session))
			return 1;
		if (libssh2_session_last_errno(s->session) !=
		    LIBSSH2_ERROR_EAGAIN)
			return ssh_fail(s, logging_in, err);
		if (ssh_wait(s, end, logging_in, err) < 0)
			return -1;
	}
	buf_add_printable(methods, list, strnlen(list, 200));
	return 0;
}

static bool has_method(const struct buf *methods, const char *name)
{
	const char *p = methods->data;
	size_t n = strlen(name);

	while (*p) {
		size_t len = strcspn(p, ",");

		if (len == n && memcmp(p, name, n) == 0)
			return true;
		p += len + (p[len] == ',');
	}
	return false;
}

static void explain(struct auth *a, struct buf *err)
{
	const struct ssh_settings *set = &a->ssh->settings;

	buf_setf(err, "%s: %s cannot log in: ", set->place, set->user);
	if (a->tried.len)
		buf_addf(err, "%s. ", a->tried.data);
	else
		buf_addf(err, "there is no key to try: none in ~/.ssh, %s. ",
			 set->agent ? "none in the agent" : "and no agent");
	buf_addf(err, "Let the host know your public key (ssh-copy-id -p %u "
		 "%s@%s), or name another with -i FILE", set->port, set->user,
		 set->host);
}

/* No key was enough. */
static void explain_refusal(struct auth *a, struct buf *err)
{
	const struct ssh_settings *set = &a->ssh->settings;
	struct buf methods = BUF_INIT, why = BUF_INIT;

	/* after a key that was right but not enough it offers what it lacks */
	if (a->offered && ask_methods(a->ssh, &methods, &why) == 0 &&
	    !has_method(&methods, "publickey"))
		buf_setf(err, "%s: the host takes the key of %s, but demands "
			 "%s as well, which is not supported", set->place,
			 set->user, methods.data);
	else
		explain(a, err);
	buf_free(&methods);
	buf_free(&why);
}

static int log_in_by_keys(struct auth *a, struct buf *err)
{
	enum outcome got;

	if (load_identities(a, err) < 0)
		return -1;
	load_agent(a);
	order_tries(a);
	got = try_all(a, err);
	if (got == LOGGED_IN)
		return 0;
	if (got == REFUSED)
		explain_refusal(a, err);
	else if (a->offered > 1)
		buf_addf(err, ". Tried until then: %s. Name the right key with "
			 "-i FILE", a->tried.data);
	return -1;
}

int ssh_auth(struct ssh *s, struct buf *err)
{
	struct auth a = { .ssh = s, .agent = { -1 }, .why = BUF_INIT,
			  .tried = BUF_INIT };
	struct buf methods = BUF_INIT;
	int ret = ask_methods(s, &methods, err);

	if (ret == 0 && !has_method(&methods, "publickey")) {
		buf_setf(err, "%s: the host lets %s log in by %s alone, not "
			 "with a key (PubkeyAuthentication in its sshd_config)",
			 s->settings.place, s->settings.user, methods.data);
		ret = -1;
	} else if (ret == 0) {
		ret = log_in_by_keys(&a, err);
	}
	for (size_t i = 0; i < a.count; i++)
		ssh_identity_free(&a.identities[i]);
	ssh_agent_close(&a.agent);
	arena_free(&a.arena);
	buf_free(&a.why);
	buf_free(&a.tried);
	buf_free(&methods);
	return ret < 0 ? -1 : 0;
}
