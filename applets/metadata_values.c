#include "applets/metadata.h"

#include <errno.h>
#include <string.h>

#include "base/assets.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "net/conn.h"
#include "relay/turn.h"
#include "text/json.h"

enum { VERSIONS_MAX = 64 * 1024, CREDENTIALS_MAX = 512 };
static const double TURN_SECS = 5.;

static struct {
	struct ev_loop *loop;
	const struct relay_file *ini;
	struct buf versions;	/* one line of JSON, or empty */
} values = { .versions = BUF_INIT };

/* ---- TURN credentials --------------------------------------------------------- */

/* Another process makes them: it writes a line to whoever connects. */
struct turn_query {
	struct conn conn;
	ev_timer limit;
	struct dict_request *request;
	struct buf answer;
};

static int turn_data(struct conn *c, const char *p, size_t n)
{
	struct turn_query *q = container_of(c, struct turn_query, conn);
	const char *nl = memchr(p, '\n', n);

	buf_add(&q->answer, p, nl ? (size_t)(nl - p) : n);
	if (nl || q->answer.len > CREDENTIALS_MAX)
		conn_close(c, NULL);
	return CONN_GO_ON;
}

static bool turn_busy(struct conn *c)
{
	return true;
}

static bool is_credentials(const char *s)
{
	const char *colon = strchr(s, ':');

	if (!colon || colon == s || !colon[1] || strlen(s) > CREDENTIALS_MAX)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

static void turn_closed(struct conn *c, const char *why)
{
	struct turn_query *q = container_of(c, struct turn_query, conn);
	const struct relay *relay = values.ini->relay;
	const char *answer = str_trim(q->answer.data);
	struct buf value = BUF_INIT;

	if (!why && is_credentials(answer)) {
		/* the bare domain: a literal's brackets are for mail only */
		buf_addf(&value, "%s:%d:%s", relay->mail_domain_bare,
			 TURN_PORT, answer);
		dict_reply_found(q->request, value.data);
	} else {
		log_warn("TURN credentials from %s: %s",
			 relay->s.turn_socket_path,
			 why ? why : "no credentials in the answer");
		dict_reply_not_found(q->request);
	}
	ev_timer_stop(values.loop, &q->limit);
	buf_free(&value);
	buf_free(&q->answer);
	free(q);
}

static const struct conn_ops turn_ops = {
	.data = turn_data,
	.busy = turn_busy,
	.closed = turn_closed,
};

static void on_turn_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct turn_query *q = container_of(w, struct turn_query, limit);

	conn_close(&q->conn, "no answer within 5 seconds");
}

static void reply_turn(struct dict_request *r)
{
	const char *path = values.ini->relay->s.turn_socket_path;
	struct turn_query *q;

	if (!*path) {
		dict_reply_not_found(r);
		return;
	}
	q = xcalloc(1, sizeof(*q));
	q->request = r;
	buf_init(&q->answer);
	ev_now_update(values.loop);
	ev_timer_init(&q->limit, on_turn_limit, TURN_SECS, 0.);
	ev_timer_start(values.loop, &q->limit);
	conn_connect_unix(&q->conn, values.loop, path, &turn_ops);
	conn_body(&q->conn, true);
}

static bool has_turn(void)
{
	return *values.ini->relay->s.turn_socket_path;
}

/* ---- what is known at once ------------------------------------------------------ */

static void reply_or_none(struct dict_request *r, const char *value)
{
	if (*value)
		dict_reply_found(r, value);
	else
		dict_reply_not_found(r);
}

static void reply_irohrelay(struct dict_request *r)
{
	reply_or_none(r, values.ini->relay->iroh_relay);
}

static bool has_irohrelay(void)
{
	return *values.ini->relay->iroh_relay;
}

static void reply_maxsmtprecipients(struct dict_request *r)
{
	/* Postfix's smtpd_recipient_limit, left at its default */
	dict_reply_found(r, "1000");
}

static void reply_maxmessagesize(struct dict_request *r)
{
	dict_reply_found(r, relay_var(values.ini->relay, "max_message_size"));
}

static bool has_always(void)
{
	return true;
}

static void reply_appversions(struct dict_request *r)
{
	reply_or_none(r, values.versions.data);
}

static bool has_appversions(void)
{
	return values.versions.len > 0;
}

static const struct {
	const char *name;
	void (*reply)(struct dict_request *r);
	bool (*has)(void);
} table[] = {
	{ "irohrelay", reply_irohrelay, has_irohrelay },
	{ "turn", reply_turn, has_turn },
	{ "maxsmtprecipients", reply_maxsmtprecipients, has_always },
	{ "maxmessagesize", reply_maxmessagesize, has_always },
	{ "appversions", reply_appversions, has_appversions },
};

void values_reply(struct dict_request *r, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (strcmp(table[i].name, name) == 0) {
			table[i].reply(r);
			return;
		}
	}
	dict_reply_not_found(r);
}

const char *values_name(size_t i, bool *is_set)
{
	if (i >= ARRAY_LEN(table))
		return NULL;
	*is_set = table[i].has();
	return table[i].name;
}

/* ---- appversions.json ----------------------------------------------------------- */

static void take_versions(const char *name, const char *text, size_t n)
{
	struct buf err = BUF_INIT;
	cJSON *json = json_parse(text, n, &err);

	if (!json)
		log_warn("%s: %s", name, err.data);
	else if (!cJSON_IsObject(json))
		log_warn("%s: not a JSON object", name);
	else
		json_print(&values.versions, json);
	cJSON_Delete(json);
	buf_free(&err);
}

/* The file beside chatmail.ini, else ours; a broken file is not replaced by
 * ours, for somebody wanted other versions. */
static void load_versions(void)
{
	static const char name[] = "appversions.json";
	const struct asset *a = asset_find("conf-templates/appversions.json");
	const char *ini = values.ini->path, *slash = strrchr(ini, '/');
	struct buf path = BUF_INIT, text = BUF_INIT;

	buf_reset(&values.versions);
	buf_addf(&path, "%.*s%s", slash ? (int)(slash + 1 - ini) : 0, ini,
		 name);
	if (file_read(path.data, VERSIONS_MAX, &text) == 0)
		take_versions(path.data, text.data, text.len);
	else if (errno == ENOENT)
		take_versions(name, a->data, a->size);
	else
		log_warn("%s: %s", path.data, strerror(errno));
	buf_free(&path);
	buf_free(&text);
}

void values_init(struct ev_loop *loop, const struct relay_file *ini)
{
	values.loop = loop;
	values.ini = ini;
	load_versions();
}
