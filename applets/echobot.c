/* chatmail echobot: a bot that sends back what it is sent. The mail is Delta
 * Chat's core's business, which runs as our child; what is answered is ours. */
#include "applets/echobot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "applet.h"
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "relay/echobot.h"
#include "relay/reload.h"

/* ---- asking the server --------------------------------------------------------- */

static void on_work_done(struct rpc_call *c, const cJSON *result,
			 const char *error)
{
	struct bot *b = container_of(c, struct bot, work);
	bot_reply_fn *on_reply = b->on_reply;

	b->on_reply = NULL;
	on_reply(b, result, error);
	answer_next(b);
}

void bot_ask(struct bot *b, bot_reply_fn *on_reply, const char *method,
	     cJSON *params, double secs)
{
	b->on_reply = on_reply;
	b->work.done = on_work_done;
	if (b->is_open)
		rpc_client_call(&b->rpc, &b->work, method, params, secs);
	cJSON_Delete(params);
}

cJSON *bot_params(const struct bot *b)
{
	cJSON *params = cJSON_CreateArray();

	bot_add_number(params, b->account);
	return params;
}

void bot_add_number(cJSON *params, uint32_t number)
{
	cJSON_AddItemToArray(params, cJSON_CreateNumber(number));
}

void bot_add_text(cJSON *params, const char *text)
{
	cJSON_AddItemToArray(params, text ? cJSON_CreateString(text) :
					    cJSON_CreateNull());
}

uint32_t bot_number(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) ||
	    item->valuedouble > UINT32_MAX)
		return 0;
	return (uint32_t)item->valuedouble;
}

const char *bot_text(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(
			cJSON_GetObjectItemCaseSensitive(object, name));
}

bool bot_is_true(const cJSON *object, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

void bot_give_up(struct bot *b, const char *what, const char *error)
{
	struct buf why = BUF_INIT;

	buf_addf(&why, "%s: %s", what, error ? error : "no sense in the answer");
	if (b->is_open)
		rpc_client_close(&b->rpc, why.data);
	buf_free(&why);
}

/* ---- events -------------------------------------------------------------------- */

/* Of its own log, what is worth one's own. */
static void log_event(const cJSON *event)
{
	const char *kind = bot_text(event, "kind");
	const char *text = bot_text(event, "msg");

	if (!kind || !text)
		return;
	if (strcmp(kind, "Error") == 0)
		log_warn("core: %s", text);
	else if (strcmp(kind, "Warning") == 0)
		log_info("core: %s", text);
	else if (strcmp(kind, "Info") == 0)
		log_debug("core: %s", text);
}

static void ask_events(struct bot *b);

static void on_events(struct rpc_call *c, const cJSON *result,
		      const char *error)
{
	struct bot *b = container_of(c, struct bot, events);
	const cJSON *item;

	if (!cJSON_IsArray(result)) {
		bot_give_up(b, "waiting for events", error);
		return;
	}
	cJSON_ArrayForEach(item, result) {
		const cJSON *event = cJSON_GetObjectItemCaseSensitive(item,
								      "event");

		log_event(event);
		if (b->account && bot_number(item, "contextId") == b->account)
			answer_event(b, event);
	}
	ask_events(b);
	answer_next(b);
}

static void ask_events(struct bot *b)
{
	b->events.done = on_events;
	rpc_client_call(&b->rpc, &b->events, "get_next_event_batch", NULL, 0.);
}

/* ---- the server's life --------------------------------------------------------- */

static void on_start(struct supervisor *s, struct child *c)
{
	struct bot *b = container_of(s, struct bot, s);

	rpc_client_start(&b->rpc, s->loop, b->fd);
	b->is_open = true;
	ask_events(b);
	account_start(b);
}

static void on_closed(struct rpc_client *r, const char *why)
{
	struct bot *b = container_of(r, struct bot, rpc);

	b->is_open = false;
	b->on_reply = NULL;
	account_stop(b);
	answer_stop(b);
	if (b->s.stopping || b->server.pid <= 0)
		return;
	log_warn("deltachat-rpc-server: %s; it is ended", why);
	kill(b->server.pid, SIGKILL);
}

static void on_line(struct supervisor *s, struct child *c, const char *line)
{
	log_info("deltachat-rpc-server: %s", line);
}

static void on_death(struct supervisor *s, struct child *c, const char *why,
		     double retry_secs)
{
	struct bot *b = container_of(s, struct bot, s);

	log_warn("deltachat-rpc-server ended: %s; starting it again in %g s",
		 why, retry_secs);
	if (b->is_open)
		rpc_client_close(&b->rpc, why);
}

static void on_signal(struct supervisor *s, int sig)
{
	log_info("%s", strsignal(sig));
}

/* ---- the command line ---------------------------------------------------------- */

static const char *find_server(const struct relay *r)
{
	struct buf file = BUF_INIT;

	if (*r->s.echobot_server == '/')
		return r->s.echobot_server;
	if (access(ECHOBOT_SERVER, X_OK) == 0)
		return ECHOBOT_SERVER;
	if (proc_find("deltachat-rpc-server", &file) < 0)
		die("there is no " ECHOBOT_SERVER ", and no "
		    "deltachat-rpc-server in PATH; echobot_server in "
		    "chatmail.ini may name one");
	return buf_detach(&file);
}

/* The core's profile is below its directory; secrets are for nobody else. */
static void open_dir(const struct relay *r)
{
	const char *dir = r->s.echobot_dir;
	struct buf path = BUF_INIT;

	umask(077);
	if (file_mkdirs(dir, 0755) < 0 || chdir(dir) < 0)
		die_errno("%s", dir);
	buf_addf(&path, "%s/accounts", dir);
	setenv("DC_ACCOUNTS_PATH", path.data, 1);
	if (!getenv("RUST_LOG"))
		setenv("RUST_LOG", "error", 1);
	buf_free(&path);
}

static int parse_address(const char *text, char **host, unsigned *port)
{
	const char *colon = strrchr(text, ':');
	uint64_t n;

	if (!colon || colon == text || str_to_u64(colon + 1, &n) < 0 ||
	    n == 0 || n > 65535)
		return -1;
	*host = xstrndup(text, (size_t)(colon - text));
	*port = (unsigned)n;
	return 0;
}

static int parse(struct bot *b, int *argc, char **argv, struct buf *err)
{
	const char *imap = "127.0.0.1:993", *smtp = "127.0.0.1:465";
	const char *relogin = "43200";
	const struct opt opts[] = {
		{ "imap", &imap, NULL }, { "smtp", &smtp, NULL },
		{ "relogin", &relogin, NULL }, { 0 },
	};
	uint64_t secs;

	*argc = opt_parse(opts, *argc, argv, err);
	if (*argc < 0)
		return -1;
	if (*argc > 2)
		buf_setf(err, "at most one INI is needed");
	else if (parse_address(imap, &b->imap_host, &b->imap_port) < 0 ||
		 parse_address(smtp, &b->smtp_host, &b->smtp_port) < 0)
		buf_setf(err, "--imap and --smtp need HOST:PORT");
	else if (str_to_u64(relogin, &secs) < 0 || secs == 0)
		buf_setf(err, "--relogin needs a number of seconds");
	else
		b->relogin_secs = (double)secs;
	return err->len ? -1 : 0;
}

static int run(struct bot *b)
{
	const char *const argv[] = { "deltachat-rpc-server", NULL };

	b->server.name = argv[0];
	b->server.spec = (struct proc_spec) {
		.argv = argv, .file = find_server(b->relay), .session = true,
		.dies_with_us = true, .peer = &b->fd,
	};
	open_dir(b->relay);
	if (supervisor_start(&b->s) < 0)
		die_errno("supervisor");
	log_info("%s, with %s", b->addr.data, b->server.spec.file);
	supervisor_add(&b->s, &b->server);
	supervisor_run(&b->s);
	supervisor_free(&b->s);
	return EXIT_OK;
}

static int echobot_main(int argc, char **argv)
{
	static struct bot bot = {
		.s = { .on_line = on_line, .on_start = on_start,
		       .on_death = on_death, .on_signal = on_signal },
		.rpc = { .closed = on_closed },
		.addr = BUF_INIT, .password = BUF_INIT, .told = BUF_INIT,
	};
	struct buf err = BUF_INIT;
	int ret;

	if (parse(&bot, &argc, argv, &err) < 0) {
		ret = applet_usage(&applet_echobot, "%s", err.data);
		buf_free(&err);
		return ret;
	}
	bot.relay = relay_load_or_die(relay_ini_path(argv[1], false));
	buf_addf(&bot.addr, "echo@%s", bot.relay->mail_domain);
	return run(&bot);
}

DEFINE_APPLET(echobot) {
	.name = "echobot",
	.summary = "run a bot that sends back what it is sent",
	.args = "[--imap HOST:PORT] [--smtp HOST:PORT] [INI]",
	.help =
"Logs in as echo@ the relay's domain, and sends texts and files back to who\n"
"sent them, in groups too; /help is answered by what it does. Other bots, lists\n"
"and channels get no answer. Its invite link is in echobot_dir/invite-link.txt.\n"
"\n"
"It runs deltachat-rpc-server, Delta Chat's core, and starts it again when it\n"
"dies: no message is lost then, nor answered twice. doveauth lets the bot have\n"
"its address by the hash that it leaves in echobot_password_path.\n"
"\n"
"  --imap HOST:PORT  the relay's IMAP server, with TLS; 127.0.0.1:993 if not\n"
"                    given. Its certificate is not checked\n"
"  --smtp HOST:PORT  the same for SMTP; 127.0.0.1:465\n"
"  --relogin SECS    log in anew so often, 43200 if not given, for the address\n"
"                    not to count as unused\n"
"\n"
"INI defaults to $CHATMAIL_INI, else /etc/chatmail/chatmail.ini.\n"
"\n"
"Example: chatmail echobot /etc/chatmail/chatmail.ini\n",
	.main = echobot_main,
};
