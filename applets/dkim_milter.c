/* The milter: one session for each connection of Postfix. */
#include "applets/dkim.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "net/daemon.h"
#include "net/metrics.h"
#include "net/milter_server.h"
#include "relay/dkimcheck.h"
#include "relay/dkimsign.h"
#include "relay/reload.h"

struct session {
	struct milter_session milter;
	/* The message in hand: one of these, or none when it just passes. */
	struct dkim_signer *signer;
	struct dkimcheck *check;
};

/* The first ones are verdicts: an enum dkim_verdict is the index. */
enum { SIGNED = DKIM_TEMPORARY + 1, NOT_OURS, FAILED, SIGNATURES, ROWS };

#define VERDICT(verdict) "chatmail_dkim_verified_messages",		\
	"verdict=\"" verdict "\""
#define RESULT(result) "chatmail_dkim_signed_messages",			\
	"result=\"" result "\""

static struct metric rows[ROWS] = {
	[DKIM_ACCEPTED] = { VERDICT("valid"),
		"Messages from outside, by what their signatures are worth." },
	[DKIM_EXEMPT] = { VERDICT("exempt") },
	[DKIM_UNSIGNED] = { VERDICT("unsigned") },
	[DKIM_MALFORMED] = { VERDICT("malformed") },
	[DKIM_INVALID] = { VERDICT("invalid") },
	[DKIM_TEMPORARY] = { VERDICT("unknown") },
	[SIGNED] = { RESULT("signed"), "Messages of ours." },
	[NOT_OURS] = { RESULT("refused") },
	[FAILED] = { RESULT("failed") },
	[SIGNATURES] = { "chatmail_dkim_signatures", NULL,
		"DKIM-Signature fields added.", "dkim_signed" },
};

static const struct metrics figures = {
	.role = "dkim", .rows = rows, .count = ROWS,
};

static struct {
	struct daemon daemon;
	struct relay_file ini;
	const char *keys_dir;
	struct dkimsign_keys keys;
	struct resolver *resolver;
} dkim;

static struct session *session_of(struct milter_session *m)
{
	return container_of(m, struct session, milter);
}

static const char *queue_id(struct session *s)
{
	const char *id = milter_server_macro(&s->milter, "i");

	return id ? id : "-";
}

static void message_free(struct session *s)
{
	if (s->signer)
		dkim_signer_free(s->signer);
	if (s->check)
		dkimcheck_free(s->check);
	free(s->signer);
	free(s->check);	/* the first member of what was allocated */
	s->signer = NULL;
	s->check = NULL;
}

/* ---- verifying --------------------------------------------------------------- */

/* A dkimcheck is on the heap beside the session, as most sessions sign. */
struct session_check {
	struct dkimcheck check;
	struct session *session;
};

static struct session *session_of_check(struct dkimcheck *c)
{
	return container_of(c, struct session_check, check)->session;
}

static void on_checked(struct dkimcheck *c);

static void begin_check(struct session *s)
{
	struct session_check *c = xcalloc(1, sizeof(*c));

	c->session = s;
	s->check = &c->check;
	dkimcheck_init(s->check, (uint64_t)time(NULL), on_checked);
}

static void on_checked(struct dkimcheck *c)
{
	struct session *s = session_of_check(c);
	struct buf reply = BUF_INIT;
	const char *domain = c->verifier.domain.data, *why;

	rows[dkimcheck_verdict(c, &reply, &why)].value++;
	if (reply.len) {
		log_info("%s: refused mail from domain %s: %s", queue_id(s),
			 *domain ? domain : "-", reply.data);
	} else {
		log_debug("%s: mail from domain %s accepted", queue_id(s),
			  domain);
	}
	/* the answer may begin the next message, or end the session */
	message_free(s);
	if (reply.len)
		milter_server_reply(&s->milter, reply.data);
	else
		milter_server_accept(&s->milter);
	buf_free(&reply);
}

/* ---- signing ------------------------------------------------------------------- */

/* Puts the field on top. Postfix wants the value alone. */
static int insert(struct session *s, const char *field)
{
	const char *value = strchr(field, ':');

	value = value ? value + 1 + (value[1] == ' ') : "";
	return milter_server_insert(&s->milter, 0, DKIM_SIGNATURE_NAME, value);
}

static int insert_signatures(struct session *s, struct buf *err)
{
	const char *domain = dkim.ini.relay->mail_domain_bare;
	uint64_t now = (uint64_t)time(NULL);
	struct buf field = BUF_INIT;
	size_t i = 0;
	int ret;

	while ((ret = dkimsign_next(&dkim.keys, &i, s->signer, domain, now,
				    &field, err)) > 0) {
		ret = insert(s, field.data);
		if (ret < 0) {
			buf_setf(err, "the signature is no header field");
			break;
		}
		rows[SIGNATURES].value++;
		log_info("%s: DKIM-Signature field added (s=%s, d=%s)",
			 queue_id(s), dkimkey_kinds[DKIMKEY_KINDS - i].selector,
			 domain);
		buf_reset(&field);
	}
	buf_free(&field);
	return ret;
}

static void sign(struct session *s)
{
	const char *refusal;
	struct buf err = BUF_INIT;

	dkim_signer_eom(s->signer);
	refusal = dkimsign_refusal(s->signer,
				   dkim.ini.relay->mail_domain_bare);
	if (refusal) {
		log_warn("%s: not signed, as From is not ours: %s", queue_id(s),
			 s->signer->error ? s->signer->error :
			 s->signer->domain.data);
		rows[NOT_OURS].value++;
		milter_server_reply(&s->milter, refusal);
	} else if (insert_signatures(s, &err) < 0) {
		log_warn("%s: signing: %s", queue_id(s), err.data);
		rows[FAILED].value++;
		milter_server_tempfail(&s->milter);
	} else {
		rows[SIGNED].value++;
		milter_server_accept(&s->milter);
	}
	buf_free(&err);
	message_free(s);
}

/* ---- events ---------------------------------------------------------------------- */

/* Anything but the name of our own services is from outside. An IPv4 relay has
 * no domain that could have a key. */
static void on_mail(struct milter_session *m, const char *sender)
{
	struct session *s = session_of(m);
	const char *name = milter_server_macro(m, "{daemon_name}");

	message_free(s);
	if (!name || strcmp(name, "ORIGINATING") != 0) {
		begin_check(s);
	} else if (!dkim.ini.relay->is_ipv4) {
		s->signer = xcalloc(1, sizeof(*s->signer));
		dkim_signer_init(s->signer);
	}
}

static void on_header(struct milter_session *m, const char *name,
		      const char *value)
{
	struct session *s = session_of(m);
	struct buf field = BUF_INIT;

	dkim_field_join(&field, name, value);
	if (s->signer)
		dkim_signer_header(s->signer, field.data, field.len);
	if (s->check)
		dkim_verifier_header(&s->check->verifier, field.data,
				     field.len);
	buf_free(&field);
}

static void on_eoh(struct milter_session *m)
{
	struct session *s = session_of(m);

	if (s->signer)
		dkim_signer_eoh(s->signer);
	if (s->check)
		dkim_verifier_eoh(&s->check->verifier);
}

static void on_body(struct milter_session *m, const char *p, size_t n)
{
	struct session *s = session_of(m);

	if (s->signer)
		dkim_signer_body(s->signer, p, n);
	if (s->check)
		dkim_verifier_body(&s->check->verifier, p, n);
}

static void on_end(struct milter_session *m)
{
	struct session *s = session_of(m);

	if (s->signer) {
		sign(s);
	} else if (s->check) {
		dkim_verifier_eom(&s->check->verifier);
		dkimcheck_start(s->check, dkim.resolver);
	} else {
		milter_server_accept(m);
	}
}

static void on_abort(struct milter_session *m)
{
	message_free(session_of(m));
}

static void on_closed(struct milter_session *m, const char *why)
{
	if (why)
		log_debug("connection of Postfix closed: %s", why);
	message_free(session_of(m));
	free(session_of(m));
}

static const struct milter_server_ops milter_ops = {
	.actions = MILTER_ADD_HEADERS | MILTER_CHANGE_HEADERS,
	.mail = on_mail,
	.header = on_header,
	.eoh = on_eoh,
	.body = on_body,
	.end = on_end,
	.abort = on_abort,
	.closed = on_closed,
};

/* ---- the role ---------------------------------------------------------------------- */

static void on_accepted(struct daemon *d, int fd)
{
	struct session *s = xcalloc(1, sizeof(*s));

	milter_server_start(&s->milter, d->loop, fd, &milter_ops);
}

static int load_keys(const struct relay *r, struct dkimsign_keys *keys,
		     struct buf *err)
{
	if (!r->is_ipv4)
		return dkimsign_load(keys, dkim.keys_dir, err);
	memset(keys, 0, sizeof(*keys));
	return 0;
}

/* All is new, or all stays. */
static int reload(struct daemon *d, struct buf *err)
{
	struct relay_file ini = { .path = dkim.ini.path };
	struct dkimsign_keys keys;

	if (relay_file_reload(&ini, err) < 0)
		return -1;
	if (load_keys(ini.relay, &keys, err) < 0) {
		relay_free(ini.relay);
		return -1;
	}
	if (resolver_set_server(dkim.resolver, ini.relay->s.dkim_dns_server,
				err) < 0) {
		buf_prefixf(err, "dkim_dns_server: ");
		dkimsign_free(&keys);
		relay_free(ini.relay);
		return -1;
	}
	relay_free(dkim.ini.relay);
	dkimsign_free(&dkim.keys);
	dkim.ini = ini;
	dkim.keys = keys;
	return 0;
}

int dkim_serve(const char *socket, const char *keys, const char *ini)
{
	struct buf err = BUF_INIT;

	relay_file_open(&dkim.ini, ini);
	dkim.keys_dir = keys;
	daemon_init(&dkim.daemon);
	dkim.daemon.reload = reload;
	if (load_keys(dkim.ini.relay, &dkim.keys, &err) < 0)
		die("%s", err.data);
	dkim.resolver = resolver_new(dkim.daemon.loop,
				     dkim.ini.relay->s.dkim_dns_server,
				     RESOLVER_SECS, &err);
	if (!dkim.resolver)
		die("dkim_dns_server: %s", err.data);
	if (daemon_listen_unix(&dkim.daemon, socket, 0660, on_accepted,
			       &err) < 0)
		die("%s", err.data);
	metrics_serve(&dkim.daemon, &figures, dkim.ini.relay->s.metrics_dir,
		      socket);
	buf_free(&err);
	return daemon_run(&dkim.daemon);
}
