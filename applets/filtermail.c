/* chatmail filtermail: Postfix's before-queue filter. Each message is read
 * once, as it comes in; see relay/filter.h for what passes. */
#include <string.h>
#include <time.h>

#include "applet.h"
#include "base/log.h"
#include "base/str.h"
#include "net/daemon.h"
#include "net/metrics.h"
#include "net/smtp_client.h"
#include "net/smtp_server.h"
#include "relay/filter.h"
#include "relay/rate.h"
#include "relay/reload.h"

enum {
	HOLD_MAX = 256 * 1024,	/* a longer message is handed on meanwhile */
	RECIPIENTS_MAX = 1000,	/* Postfix's smtpd_recipient_limit */
};
/* Postfix gives up on us after 100 s; an answer after that, for a message
 * that went through, would make it come twice. */
static const double ANSWER_SECS = 90.;

struct session;

/* The way back into Postfix; outlives its session by a moment. */
struct reinjection {
	struct smtp_client client;
	struct session *session;	/* NULL when it does not matter any more */
};

struct session {
	struct smtp_session smtp;
	struct msgcheck check;
	bool checking;			/* check is in use */
	struct buf held;		/* on the wire, not yet handed on */
	struct reinjection *reinjection;
	bool streaming;			/* Postfix takes data */
	bool cut;			/* held was given up as hopeless */
	bool good;			/* all came, and may pass */
	ev_timer deadline;		/* of the answer */
};

/* The first ones are verdicts: an enum filter_verdict is the index. */
enum { BYTES = FILTER_TEMPORARY + 1, BAD_SENDER, TOO_MUCH, ACCEPTED, REFUSED,
       NO_ANSWER, ROWS };

#define WAY(way) "direction=\"" way "\""
#define VERDICT(way, verdict) "chatmail_filtered_messages",		\
	WAY(way) ",verdict=\"" verdict "\""
#define POSTFIX(way, answer) "chatmail_reinjected_messages",		\
	WAY(way) ",answer=\"" answer "\""
#define FILTERED(way) "filtered_" way "_mail_count "
#define UNENCRYPTED(way) FILTERED(way) way "_unencrypted_mail_count"

/* What both directions have. */
#define ROWS_OF(way)							\
	[FILTER_ENCRYPTED] = { VERDICT(way, "encrypted"),		\
		"Messages that came whole, by what was found.",		\
		FILTERED(way) way "_encrypted_mail_count" },		\
	[FILTER_CLEARTEXT] = { VERDICT(way, "cleartext"), NULL,		\
		UNENCRYPTED(way) },					\
	[FILTER_NEEDS_ENCRYPTION] = { VERDICT(way, "unencrypted"), NULL, \
		UNENCRYPTED(way) " rejected_unencrypted_mail_count" },	\
	[FILTER_MALFORMED] = { VERDICT(way, "malformed") },		\
	[FILTER_TEMPORARY] = { VERDICT(way, "unknown") },		\
	[BYTES] = { "chatmail_filtered_bytes", WAY(way),		\
		"Bytes of message contents that came." },		\
	[ACCEPTED] = { POSTFIX(way, "accepted"),			\
		"Messages handed to Postfix, by its answer." },		\
	[REFUSED] = { POSTFIX(way, "refused") },			\
	[NO_ANSWER] = { POSTFIX(way, "none") }

static struct metric rows_of[2][ROWS] = {
	{
		ROWS_OF("incoming"),
		[FILTER_MAILER_DAEMON] = { VERDICT("incoming", "mailer-daemon"),
			NULL, FILTERED("incoming")
			"incoming_mailer_daemon_mail_count" },
	}, {
		ROWS_OF("outgoing"),
		[BAD_SENDER] = { "chatmail_senders_refused",
			"reason=\"address\"", "Refusals of the MAIL command." },
		[TOO_MUCH] = { "chatmail_senders_refused", "reason=\"rate\"" },
	},
};

static struct metrics figures = { .count = ROWS };

static struct {
	struct daemon daemon;
	struct relay_file ini;
	struct rate rate;
	bool outgoing;
} filtermail;

static const char *direction(void)
{
	return filtermail.outgoing ? "Outgoing" : "Incoming";
}

static void count(int row)
{
	rows_of[filtermail.outgoing][row].value++;
}

static void message_free(struct session *s)
{
	if (s->checking)
		msgcheck_free(&s->check);
	s->checking = s->streaming = s->good = s->cut = false;
	buf_free(&s->held);
	ev_timer_stop(s->smtp.conn.loop, &s->deadline);
}

/* ---- reinjection ------------------------------------------------------------- */

static struct reinjection *reinjection_of(struct smtp_client *c)
{
	return container_of(c, struct reinjection, client);
}

static void reinjection_drop(struct session *s)
{
	if (!s->reinjection)
		return;
	s->reinjection->session = NULL;
	smtp_client_abort(&s->reinjection->client);
	s->reinjection = NULL;
}

static void on_ready(struct smtp_client *c)
{
	struct session *s = reinjection_of(c)->session;

	s->streaming = true;
	smtp_client_write_buf(c, &s->held);
	if (s->good)
		smtp_client_end(c);
	else if (!conn_is_full(&c->conn))
		smtp_server_resume(&s->smtp);
}

static void on_drained(struct smtp_client *c)
{
	struct session *s = reinjection_of(c)->session;

	if (s && !s->good)
		smtp_server_resume(&s->smtp);
}

static void on_finished(struct smtp_client *c, bool accepted,
			const char *reply)
{
	struct session *s = reinjection_of(c)->session;

	if (!s)
		return;
	reinjection_of(c)->session = NULL;
	s->reinjection = NULL;
	if (accepted)
		log_debug("%s: %s", direction(), reply);
	else
		log_warn("%s: Postfix refused mail from %s: %s", direction(),
			 s->smtp.envelope.sender, reply);
	count(accepted ? ACCEPTED : REFUSED);
	if (s->good) {
		message_free(s);
		smtp_server_reply(&s->smtp, accepted ? "250 OK" : reply);
	} else {
		smtp_server_refuse(&s->smtp, reply);
	}
}

static void on_reinjection_closed(struct smtp_client *c)
{
	free(reinjection_of(c));
}

static const struct smtp_client_ops client_ops = {
	.ready = on_ready,
	.drained = on_drained,
	.finished = on_finished,
	.closed = on_reinjection_closed,
};

static void reinject(struct session *s)
{
	const struct settings *set = &filtermail.ini.relay->s;

	s->reinjection = xcalloc(1, sizeof(*s->reinjection));
	s->reinjection->session = s;
	smtp_client_start(&s->reinjection->client, s->smtp.conn.loop,
			  "127.0.0.1", filtermail.outgoing ?
			  set->postfix_reinject_port :
			  set->postfix_reinject_port_incoming,
			  &s->smtp.envelope, ANSWER_SECS, &client_ops);
}

/* ---- one message --------------------------------------------------------------- */

static struct session *session_of(struct smtp_session *smtp)
{
	return container_of(smtp, struct session, smtp);
}

static int64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static bool on_mail(struct smtp_session *smtp, struct buf *reply)
{
	const struct settings *set = &filtermail.ini.relay->s;
	const char *sender = smtp->envelope.sender;
	char *key;
	int64_t wait;

	if (!filtermail.outgoing)
		return true;
	if (!filter_is_sender(sender)) {
		count(BAD_SENDER);
		buf_setf(reply, "500 Invalid from address <%.300s>", sender);
		return false;
	}
	key = xstrdup(sender);
	str_lower(key);
	wait = rate_take(&filtermail.rate, key, set->max_user_send_per_minute,
			 set->max_user_send_burst_size, monotonic_ns());
	free(key);
	if (!wait)
		return true;
	buf_setf(reply, "450 4.7.1: Too much mail from <%.300s>, try again in "
		 "%lld s", sender, (long long)(wait / 1000000000 + 1));
	log_info("Outgoing: Too much mail from %s", sender);
	count(TOO_MUCH);
	return false;
}

static uint64_t on_size_max(struct smtp_session *smtp)
{
	return filtermail.ini.relay->s.max_message_size;
}

static void on_begin(struct smtp_session *smtp)
{
	struct session *s = session_of(smtp);

	msgcheck_init(&s->check, filtermail.outgoing);
	s->checking = true;
}

static void on_content(struct smtp_session *smtp, const char *p, size_t n)
{
	struct session *s = session_of(smtp);

	rows_of[filtermail.outgoing][BYTES].value += n;
	if (s->checking)
		msgcheck_feed(&s->check, p, n);
}

/* Does it already stand that the message will be refused? Then Postfix need
 * not see it, however long it is. */
static bool is_lost(struct session *s)
{
	return msgcheck_hopeless(&s->check) &&
	       (filtermail.outgoing ||
		filter_cleartext_is_ok(filtermail.ini.relay,
				       &s->smtp.envelope) <= 0);
}

static void on_wire(struct smtp_session *smtp, const char *p, size_t n)
{
	struct session *s = session_of(smtp);

	if (s->streaming) {
		smtp_client_write(&s->reinjection->client, p, n);
		if (conn_is_full(&s->reinjection->client.conn))
			smtp_server_pause(smtp);
		return;
	}
	if (s->held.len + n > HOLD_MAX && !s->reinjection) {
		s->cut = s->cut || is_lost(s);
		if (s->cut) {
			buf_free(&s->held);
			return;
		}
		reinject(s);
		smtp_server_pause(smtp);
	}
	/* in one step, for growing by halves would take more than is needed */
	if (s->held.cap && s->held.cap < HOLD_MAX && s->held.len + n > 65536)
		buf_reserve(&s->held, HOLD_MAX + 1 - s->held.len);
	buf_add(&s->held, p, n);
}

static void log_verdict(struct session *s, enum filter_verdict v,
			const struct msgcheck_result *m, const char *reply)
{
	const char *sender = s->smtp.envelope.sender;

	switch (v) {
	case FILTER_ENCRYPTED:
		log_info("%s: Filtering encrypted mail.", direction());
		break;
	case FILTER_MAILER_DAEMON:
		log_info("%s: Filtering mailer-daemon message from %s.",
			 direction(), m->from);
		break;
	case FILTER_CLEARTEXT:
		log_info("%s: Filtering unencrypted mail.", direction());
		break;
	case FILTER_NEEDS_ENCRYPTION:
		log_info("%s: Filtering unencrypted mail.", direction());
		log_warn("Rejected unencrypted mail from: %s", sender);
		log_debug("not encrypted: %s", m->why ? m->why : "");
		break;
	case FILTER_MALFORMED:
	case FILTER_TEMPORARY:
		log_warn("%s: mail from %s refused: %s", direction(), sender,
			 reply);
		break;
	}
}

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct session *s = container_of(w, struct session, deadline);

	log_warn("%s: Postfix does not answer", direction());
	count(NO_ANSWER);
	reinjection_drop(s);
	message_free(s);
	smtp_server_reply(&s->smtp, "451 4.3.0 Error: mail queue: no answer");
}

static void on_end(struct smtp_session *smtp)
{
	struct session *s = session_of(smtp);
	struct msgcheck_result m;
	struct buf reply = BUF_INIT;
	enum filter_verdict v;

	msgcheck_end(&s->check, &m);
	v = filter_verdict(filtermail.ini.relay, filtermail.outgoing,
			   &smtp->envelope, &m, &reply);
	/* a recipient's mailbox was changed meanwhile: what is gone is gone */
	if (s->cut && !reply.len) {
		v = FILTER_TEMPORARY;
		buf_adds(&reply, "451 4.3.0 Error: please try again");
	}
	log_verdict(s, v, &m, reply.data);
	count(v);
	if (reply.len) {
		/* before the dot: what Postfix has seen is not queued */
		reinjection_drop(s);
		message_free(s);
		smtp_server_reply(smtp, reply.data);
		buf_free(&reply);
		return;
	}
	msgcheck_free(&s->check);
	s->checking = false;
	s->good = true;
	ev_timer_set(&s->deadline, ANSWER_SECS, 0.);
	ev_timer_start(smtp->conn.loop, &s->deadline);
	if (!s->reinjection)
		reinject(s);
	else if (s->streaming)
		smtp_client_end(&s->reinjection->client);
}

static void on_dropped(struct smtp_session *smtp)
{
	struct session *s = session_of(smtp);

	reinjection_drop(s);
	message_free(s);
}

static void on_closed(struct smtp_session *smtp)
{
	free(session_of(smtp));
}

static const struct smtp_server_ops server_ops = {
	.name = "filtermail",
	.recipients_max = RECIPIENTS_MAX,
	.size_max = on_size_max,
	.mail = on_mail,
	.begin = on_begin,
	.wire = on_wire,
	.content = on_content,
	.end = on_end,
	.dropped = on_dropped,
	.closed = on_closed,
};

/* ---- the role --------------------------------------------------------------------- */

static void on_accepted(struct daemon *d, int fd)
{
	struct session *s = xcalloc(1, sizeof(*s));

	buf_init(&s->held);
	ev_timer_init(&s->deadline, on_deadline, 0., 0.);
	smtp_server_start(&s->smtp, d->loop, fd, &server_ops);
}

static int reload(struct daemon *d, struct buf *err)
{
	return relay_file_reload(&filtermail.ini, err);
}

static int filtermail_main(int argc, char **argv)
{
	const char *ini = argc == 3 ? argv[1] : NULL;
	const char *way = argc == 3 ? argv[2] : argc == 2 ? argv[1] : "";
	struct buf err = BUF_INIT;
	const struct settings *set;

	filtermail.outgoing = strcmp(way, "outgoing") == 0;
	if (!filtermail.outgoing && strcmp(way, "incoming") != 0)
		return applet_usage(&applet_filtermail,
				    "incoming or outgoing has to be said");
	relay_file_open(&filtermail.ini, relay_ini_path(ini, false));
	set = &filtermail.ini.relay->s;
	rate_init(&filtermail.rate);
	daemon_init(&filtermail.daemon);
	filtermail.daemon.reload = reload;
	figures.role = filtermail.outgoing ? "filtermail-outgoing" :
					     "filtermail-incoming";
	figures.rows = rows_of[filtermail.outgoing];
	if (daemon_listen_tcp(&filtermail.daemon, "127.0.0.1",
			      filtermail.outgoing ? set->filtermail_smtp_port :
			      set->filtermail_smtp_port_incoming, on_accepted,
			      &err) < 0)
		die("%s", err.data);
	metrics_serve(&filtermail.daemon, &figures, set->metrics_dir, NULL);
	return daemon_run(&filtermail.daemon);
}

DEFINE_APPLET(filtermail) {
	.name = "filtermail",
	.summary = "let only encrypted mail pass, as Postfix's before-queue "
		   "filter",
	.args = "[INI] incoming|outgoing",
	.help =
"Takes mail from Postfix by SMTP on 127.0.0.1, checks it while it comes in and\n"
"hands it back to Postfix on the reinjection port. What is not encrypted is\n"
"refused; a temporary failure of Postfix is handed on as one.\n"
"\n"
"  outgoing   from users: port filtermail_smtp_port to postfix_reinject_port;\n"
"             the sender is checked and limited in rate\n"
"  incoming   from other relays: port filtermail_smtp_port_incoming to\n"
"             postfix_reinject_port_incoming\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini; it is read\n"
"again on SIGHUP, but for the ports.\n"
"\n"
"Example: chatmail filtermail /etc/chatmail/chatmail.ini outgoing\n",
	.main = filtermail_main,
};
