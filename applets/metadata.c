/* chatmail metadata: IMAP METADATA of Dovecot, with push tokens and the
 * notifications of new messages. */
#include "applets/metadata.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "applet.h"
#include "base/log.h"
#include "base/str.h"
#include "net/metrics.h"
#include "relay/mailbox_jobs.h"
#include "relay/notify.h"
#include "relay/tokens.h"
#include "relay/user.h"

static struct {
	struct daemon daemon;
	struct relay_file ini;
	struct mailbox_jobs *jobs;
	struct notify *notify;
} metadata;

enum { SENT, RETRIED, DROPPED, TOKENS_GONE, WAITING, WAITING_BYTES, ON_WIRE,
       CHANGED, REFUSED, FAILED, ROWS };

static struct metric rows[ROWS] = {
	[SENT] = { "chatmail_notifications_sent", NULL,
		"Notifications that the server took." },
	[RETRIED] = { "chatmail_notifications_retried", NULL,
		"Tries that failed and are made again." },
	[DROPPED] = { "chatmail_notifications_dropped", NULL,
		"Notifications given up as too late." },
	[TOKENS_GONE] = { "chatmail_tokens_removed", NULL,
		"Device tokens of which the server said that they are gone." },
	[WAITING] = { "chatmail_notifications_waiting", NULL,
		"Notifications that wait or are on their way.",
		.is_gauge = true },
	[WAITING_BYTES] = { "chatmail_notifications_waiting_bytes", NULL,
		"Memory that they take.", .is_gauge = true },
	[ON_WIRE] = { "chatmail_notifications_on_wire", NULL,
		"Notifications that the server has not yet answered.",
		.is_gauge = true },
	[CHANGED] = { "chatmail_metadata_changes", "result=\"done\"",
		"Tokens set and new messages told, by Dovecot." },
	[REFUSED] = { "chatmail_metadata_changes", "result=\"refused\"" },
	[FAILED] = { "chatmail_metadata_changes", "result=\"failed\"" },
};

static void refresh(void)
{
	struct notify_figures f = notify_figures(metadata.notify);

	rows[SENT].value = f.sent;
	rows[RETRIED].value = f.retried;
	rows[DROPPED].value = f.dropped;
	rows[TOKENS_GONE].value = f.tokens_gone;
	rows[WAITING].value = f.waiting;
	rows[WAITING_BYTES].value = f.bytes;
	rows[ON_WIRE].value = f.on_wire;
}

static const struct metrics figures = {
	.role = "metadata", .rows = rows, .count = ROWS, .refresh = refresh,
};

static const char TOKENS_KEY[] = "devicetoken", NEW_KEY[] = "messagenew";

/* What stands behind "SPACE/GUID/" in a key, or NULL when it is another. */
static const char *key_rest(const char *key, const char *space)
{
	const char *slash;

	if (!str_starts(key, space) || key[strlen(space)] != '/')
		return NULL;
	slash = strchr(key + strlen(space) + 1, '/');
	return slash ? slash + 1 : NULL;
}

static bool is_key(const char *key, const char *space, const char *name)
{
	const char *rest = key_rest(key, space);

	return rest && strcmp(rest, name) == 0;
}

/* The mailbox of that user, to be freed; NULL when it cannot be ours. */
static char *mailbox_dir(const char *user)
{
	struct buf dir = BUF_INIT;

	if (*user == '.' || !user_is_ours(metadata.ini.relay, user))
		return NULL;
	user_path(&dir, metadata.ini.relay, user, NULL);
	return buf_detach(&dir);
}

/* ---- lookup and iteration ---------------------------------------------------- */

struct token_query {
	struct mailbox_job job;
	struct dict_request *request;
	struct tokens tokens;
	char *row;		/* key of the row for an iteration, or NULL */
};

static int step_query(struct mailbox_job *j)
{
	struct token_query *q = container_of(j, struct token_query, job);

	return tokens_read(&q->tokens, j->dir, &j->err);
}

static void reply_tokens(struct dict_request *r, const struct tokens *t)
{
	struct buf value = BUF_INIT;

	for (size_t i = 0; i < t->count; i++)
		buf_addf(&value, "%s%s", i ? " " : "", t->list[i].text);
	dict_reply_found(r, value.data);
	buf_free(&value);
}

static void done_query(struct mailbox_job *j, int ret, const char *err)
{
	struct token_query *q = container_of(j, struct token_query, job);

	if (*err)
		log_warn("%s", err);
	if (ret < 0) {
		dict_reply_error(q->request, "temporary failure");
	} else if (q->row) {
		if (q->tokens.count)
			dict_reply_row(q->request, q->row);
		dict_reply_end(q->request);
	} else {
		reply_tokens(q->request, &q->tokens);
	}
	tokens_free(&q->tokens);
	free(q->row);
	free(q);
}

/* Answers with the tokens, or with the row if there are any. */
static void query_tokens(struct dict_request *r, char *dir, char *row)
{
	struct token_query *q = xcalloc(1, sizeof(*q));

	q->request = r;
	q->row = row;
	q->job.step = step_query;
	q->job.done = done_query;
	mailbox_jobs_submit(metadata.jobs, &q->job, dir);
}

static void on_lookup(struct dict_request *r, char *key, const char *user)
{
	const char *shared = key_rest(key, "shared");
	char *dir;

	if (shared && str_starts(shared, VALUES_PREFIX)) {
		values_reply(r, shared + strlen(VALUES_PREFIX));
		return;
	}
	if (!is_key(key, "priv", TOKENS_KEY)) {
		log_debug("lookup of %s: there is no such value", key);
		dict_reply_not_found(r);
		return;
	}
	dir = mailbox_dir(user);
	if (dir) {
		query_tokens(r, dir, NULL);
		return;
	}
	log_warn("lookup for %s: not an address of this relay", user);
	dict_reply_not_found(r);
}

/* path is "shared/GUID/" or the beginning of a longer key. */
static void list_values(struct dict_request *r, const char *path)
{
	struct buf key = BUF_INIT;
	const char *name, *rest = key_rest(path, "shared");
	bool is_set;

	for (size_t i = 0; (name = values_name(i, &is_set)); i++) {
		buf_setf(&key, "%.*s%s%s", (int)(rest - path), path,
			 VALUES_PREFIX, name);
		if (is_set && str_starts(key.data, path))
			dict_reply_row(r, key.data);
	}
	dict_reply_end(r);
	buf_free(&key);
}

/* path is "priv/GUID/" or the beginning of a longer key. */
static void list_tokens(struct dict_request *r, const char *path,
			const char *user)
{
	const char *rest = key_rest(path, "priv");
	char *dir = str_starts(TOKENS_KEY, rest) ? mailbox_dir(user) : NULL;
	struct buf row = BUF_INIT;

	if (!dir) {
		dict_reply_end(r);
		return;
	}
	buf_addf(&row, "%.*s%s", (int)(rest - path), path, TOKENS_KEY);
	query_tokens(r, dir, buf_detach(&row));
}

static void on_iterate(struct dict_request *r, const char *path,
		       const char *user)
{
	if (key_rest(path, "shared"))
		list_values(r, path);
	else if (key_rest(path, "priv"))
		list_tokens(r, path, user);
	else
		dict_reply_end(r);
}

/* ---- commit ---------------------------------------------------------------------- */

struct commit {
	struct mailbox_job job;
	struct dict_request *request;
	const char *user;
	struct dict_change *next;	/* those before it are done */
	struct notify_item *items;	/* made by it */
};

/* Why this change cannot be, or NULL. */
static const char *refusal(const struct dict_change *c)
{
	if (is_key(c->key, "priv", TOKENS_KEY))
		return c->value && !token_is_valid(c->value) ?
			"not a device token" : NULL;
	if (!is_key(c->key, "priv", NEW_KEY) || !c->value)
		return "unknown key";
	return notify_is_full(metadata.notify) ?
		"too many notifications are waiting" : NULL;
}

/* One notification for each token; those made before a failure are kept. */
static int step_new_message(struct commit *c)
{
	struct buf *err = &c->job.err;
	const char *dir = notify_dir(metadata.notify);
	struct tokens t = { 0 };
	int ret = tokens_read(&t, c->job.dir, err);

	for (size_t i = 0; ret == 0 && i < t.count; i++) {
		struct notify_item *item =
			notify_item_create(dir, c->user, t.list[i].text,
					   time(NULL), err);

		if (!item) {
			ret = -1;
			continue;
		}
		item->next = c->items;
		c->items = item;
	}
	tokens_free(&t);
	return ret;
}

static int step_change(struct commit *c, const struct dict_change *change)
{
	const char *dir = c->job.dir;

	if (is_key(change->key, "priv", NEW_KEY))
		return step_new_message(c);
	if (!change->value)
		return tokens_remove_all(dir, &c->job.err);
	return tokens_add(dir, change->value, &c->job.err);
}

static int step_commit(struct mailbox_job *j)
{
	struct commit *c = container_of(j, struct commit, job);
	int ret = 0;

	while (ret == 0 && c->next) {
		ret = step_change(c, c->next);
		if (ret == 0)
			c->next = c->next->next;
	}
	return ret;
}

static void done_commit(struct mailbox_job *j, int ret, const char *err)
{
	struct commit *c = container_of(j, struct commit, job);

	if (*err)
		log_warn("metadata of %s: %s", c->user, err);
	rows[ret < 0 ? FAILED : CHANGED].value++;
	if (ret < 0)
		dict_reply_error(c->request, "temporary failure");
	else
		dict_reply_committed(c->request);
	notify_add(metadata.notify, c->items);
	free(c);
}

static void refuse(struct dict_request *r, const char *user, const char *key,
		   const char *why)
{
	log_warn("set of %s for %s refused: %s", key, user, why);
	rows[REFUSED].value++;
	dict_reply_error(r, why);
}

static void on_commit(struct dict_request *r, const char *user,
		      struct dict_change *changes)
{
	struct commit *c;
	char *dir;

	for (const struct dict_change *i = changes; i; i = i->next) {
		const char *why = refusal(i);

		if (why) {
			refuse(r, user, i->key, why);
			return;
		}
	}
	if (!changes) {
		dict_reply_committed(r);
		return;
	}
	dir = mailbox_dir(user);
	if (!dir) {
		refuse(r, user, changes->key, "not an address of this relay");
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->request = r;
	c->user = user;
	c->next = changes;
	c->job.step = step_commit;
	c->job.done = done_commit;
	mailbox_jobs_submit(metadata.jobs, &c->job, dir);
}

/* ---- the role ---------------------------------------------------------------------- */

static const struct dict_ops metadata_ops = {
	.lookup = on_lookup,
	.iterate = on_iterate,
	.commit = on_commit,
};

static void on_accepted(struct daemon *d, int fd)
{
	dict_serve(d, fd, &metadata_ops);
}

static int reload(struct daemon *d, struct buf *err)
{
	if (relay_file_reload(&metadata.ini, err) < 0)
		return -1;
	values_init(d->loop, &metadata.ini);
	return 0;
}

static void stop(struct daemon *d)
{
	notify_stop(metadata.notify);
}

static bool is_busy(struct daemon *d)
{
	return notify_is_busy(metadata.notify);
}

static void serve_or_die(struct daemon *d, const char *socket)
{
	struct buf err = BUF_INIT;
	struct stat st;
	const char *mailboxes = metadata.ini.relay->s.mailboxes_dir;

	if (stat(mailboxes, &st) < 0)
		die_errno("mailboxes_dir %s", mailboxes);
	values_init(d->loop, &metadata.ini);
	metadata.jobs = mailbox_jobs_new(d->loop);
	metadata.notify = notify_new(d->loop, &metadata.ini, metadata.jobs,
				     &err);
	if (!metadata.notify)
		die("%s", err.data);
	d->reload = reload;
	d->stop = stop;
	d->busy = is_busy;
	dict_listen_or_die(d, socket, on_accepted);
	metrics_serve(d, &figures, metadata.ini.relay->s.metrics_dir, socket);
	buf_free(&err);
}

static int metadata_main(int argc, char **argv)
{
	if (argc < 2 || argc > 3 || *argv[1] == '-')
		return applet_usage(&applet_metadata,
				    "a socket and at most one INI are needed");
	relay_file_open(&metadata.ini, relay_ini_path(argv[2], false));
	daemon_init(&metadata.daemon);
	serve_or_die(&metadata.daemon, argv[1]);
	return daemon_run(&metadata.daemon);
}

DEFINE_APPLET(metadata) {
	.name = "metadata", .aliases = "chatmail-metadata",
	.summary = "serve IMAP METADATA and send push notifications",
	.args = "SOCKET [INI]",
	.help =
"Serves Dovecot's mail_attribute_dict on the unix socket SOCKET: the device\n"
"tokens of each user, kept in metadata.json of the mailbox, and what the relay\n"
"tells all clients (iroh relay, TURN credentials, limits, versions of apps).\n"
"A new message, told by Dovecot's LMTP, becomes one notification for each\n"
"token, kept in MAILBOXES_DIR/pending_notifications and sent to the\n"
"notification_url: at once, then after 8, 64, 512 and 4096 seconds until it is\n"
"taken (200), or the token is said to be gone (410). Five hours after the\n"
"message it is dropped.\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini; it is read\n"
"again on SIGHUP. A file appversions.json beside it replaces the versions that\n"
"are built in.\n"
"\n"
"Environment:\n"
"  SSL_CERT_FILE           certificate authorities instead of the system's\n"
"  CHATMAIL_NOTIFY_SCALE   for tests: multiplies the waits between tries and\n"
"                          the 60 seconds that a request may take\n"
"\n"
"Example: chatmail metadata /run/chatmail-metadata/metadata.socket\n",
	.main = metadata_main,
};
