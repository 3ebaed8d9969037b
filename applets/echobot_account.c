/* The echo bot's account: found, or made, and logged in. An account that the
 * Python relay's bot has left in the same directory is this one. */
#include "applets/echobot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/str.h"
#include "relay/echobot.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

enum { PASSWORD_LENGTH = 32, LOGIN_SECS = 300, RETRY_MAX = 60, DAY = 86400 };

static void look_at_next(struct bot *b);
static void ask_link(struct bot *b);

/* ---- the invite link ----------------------------------------------------------- */

static void on_io(struct bot *b, const cJSON *result, const char *error)
{
	if (error) {
		bot_give_up(b, "start_io", error);
		return;
	}
	b->is_ready = true;
	answer_start(b);
}

/* A link of its own is given out at every question, and all stay valid; people
 * have the first. */
#define LINK "ui.echobot.invite_link"

static int write_link(const struct bot *b, const char *link, struct buf *err)
{
	struct buf path = BUF_INIT, now = BUF_INIT;
	int ret = 0;

	buf_addf(&path, "%s/invite-link.txt", b->relay->s.echobot_dir);
	if (file_read(path.data, 65536, &now) < 0 ||
	    strcmp(now.data, link) != 0)
		ret = file_replace(path.data, link, strlen(link), 0600, 1);
	/* whoever comes to it may have it */
	if (ret < 0 || chmod(path.data, 0644) < 0) {
		buf_setf(err, "%s: %s", path.data, strerror(errno));
		ret = -1;
	}
	buf_free(&path);
	buf_free(&now);
	return ret;
}

static void use_link(struct bot *b, const char *link)
{
	struct buf err = BUF_INIT;

	if (write_link(b, link, &err) < 0)
		log_warn("%s", err.data);
	else
		log_info("%s/invite-link.txt leads to %s",
			 b->relay->s.echobot_dir, b->addr.data);
	buf_free(&err);
	bot_ask(b, on_io, "start_io", bot_params(b), BOT_SECS);
}

static void on_link_kept(struct bot *b, const cJSON *result, const char *error)
{
	if (error)
		bot_give_up(b, "keeping the invite link", error);
	else
		ask_link(b);
}

static void on_new_link(struct bot *b, const cJSON *result, const char *error)
{
	cJSON *params = bot_params(b);

	bot_add_text(params, LINK);
	bot_add_text(params, cJSON_GetStringValue(result));
	if (cJSON_IsString(result)) {
		bot_ask(b, on_link_kept, "set_config", params, BOT_SECS);
		return;
	}
	bot_give_up(b, "the invite link", error);
	cJSON_Delete(params);
}

static void on_link(struct bot *b, const cJSON *result, const char *error)
{
	cJSON *params;

	if (!result) {
		bot_give_up(b, "the invite link", error);
	} else if (cJSON_IsString(result)) {
		use_link(b, result->valuestring);
	} else {
		params = bot_params(b);
		bot_add_text(params, NULL);
		bot_ask(b, on_new_link, "get_chat_securejoin_qr_code", params,
			BOT_SECS);
	}
}

static void ask_link(struct bot *b)
{
	cJSON *params = bot_params(b);

	bot_add_text(params, LINK);
	bot_ask(b, on_link, "get_config", params, BOT_SECS);
}

/* ---- logging in ----------------------------------------------------------------- */

static void login(struct bot *b);

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	login(container_of(w, struct bot, retry));
}

static void on_login(struct bot *b, const cJSON *result, const char *error)
{
	double secs = 1 << (b->failures < 6 ? b->failures : 6);

	if (!error) {
		b->failures = 0;
		b->is_configured = true;
		ask_link(b);
		return;
	}
	if (secs > RETRY_MAX)
		secs = RETRY_MAX;
	b->failures++;
	log_warn("logging in as %s: %s; trying again in %g s", b->addr.data,
		 error, secs);
	ev_timer_init(&b->retry, on_retry, secs, 0.);
	ev_timer_start(b->s.loop, &b->retry);
}

static void add_server(cJSON *login, const char *host, const char *host_name,
		       unsigned port, const char *port_name,
		       const char *security_name)
{
	cJSON_AddStringToObject(login, host_name, host);
	cJSON_AddNumberToObject(login, port_name, port);
	cJSON_AddStringToObject(login, security_name, "ssl");
}

/* Host and ports are known, so that nothing is looked up. On this machine there
 * is nobody between us and the relay, and its certificate need not be valid. */
static cJSON *login_param(const struct bot *b)
{
	cJSON *l = cJSON_CreateObject();

	cJSON_AddStringToObject(l, "addr", b->addr.data);
	cJSON_AddStringToObject(l, "password", b->password.data);
	add_server(l, b->imap_host, "imapServer", b->imap_port, "imapPort",
		   "imapSecurity");
	add_server(l, b->smtp_host, "smtpServer", b->smtp_port, "smtpPort",
		   "smtpSecurity");
	cJSON_AddStringToObject(l, "certificateChecks",
				"acceptInvalidCertificates");
	return l;
}

static void login(struct bot *b)
{
	cJSON *params = bot_params(b);

	cJSON_AddItemToArray(params, login_param(b));
	bot_ask(b, on_login, "add_or_update_transport", params, LOGIN_SECS);
}

/* ---- what the account is like ----------------------------------------------------- */

static void set_config(struct bot *b, cJSON *values, bot_reply_fn *on_reply)
{
	cJSON *params = bot_params(b);

	cJSON_AddItemToArray(params, values);
	bot_ask(b, on_reply, "batch_set_config", params, BOT_SECS);
}

static void on_named(struct bot *b, const cJSON *result, const char *error)
{
	if (error)
		log_info("the bot's name: %s", error);
	if (b->is_configured)
		ask_link(b);
	else
		login(b);
}

/* A name that somebody gave it stays. */
static void on_name(struct bot *b, const cJSON *result, const char *error)
{
	cJSON *values;

	if (cJSON_IsString(result) && *result->valuestring) {
		on_named(b, NULL, NULL);
		return;
	}
	values = cJSON_CreateObject();
	cJSON_AddStringToObject(values, "displayname", "Echo Bot");
	cJSON_AddStringToObject(values, "selfstatus",
				"Sends back what you send. Write /help.");
	set_config(b, values, on_named);
}

/* Not every version knows it, nor needs it. */
static void on_optional_set(struct bot *b, const cJSON *result,
			    const char *error)
{
	cJSON *params = bot_params(b);

	bot_add_text(params, "displayname");
	bot_ask(b, on_name, "get_config", params, BOT_SECS);
}

static void on_set(struct bot *b, const cJSON *result, const char *error)
{
	cJSON *values;

	if (error) {
		bot_give_up(b, "batch_set_config", error);
		return;
	}
	values = cJSON_CreateObject();
	cJSON_AddStringToObject(values, "delete_server_after", "1");
	set_config(b, values, on_optional_set);
}

/* A bot says so in its mail, sends no receipts, and keeps nothing longer than
 * the relay does. */
static void set_values(struct bot *b)
{
	cJSON *values = cJSON_CreateObject();
	uint64_t days = b->relay->s.delete_mails_after;
	char secs[32];

	if (days < 1 || days > INT32_MAX / DAY)
		days = 20;
	snprintf(secs, sizeof(secs), "%" PRIu64, days * DAY);
	cJSON_AddStringToObject(values, "bot", "1");
	cJSON_AddStringToObject(values, "mdns_enabled", "0");
	cJSON_AddStringToObject(values, "bcc_self", "0");
	cJSON_AddStringToObject(values, "delete_device_after", secs);
	set_config(b, values, on_set);
}

/* ---- its password ----------------------------------------------------------------- */

/* doveauth has to know the password before it is used for the first time, or
 * again after it was forgotten there. */
static int tell_password(struct bot *b, struct buf *err)
{
	if (b->password.len == 0) {
		buf_reserve(&b->password, PASSWORD_LENGTH);
		rand_string(b->password.data, PASSWORD_LENGTH, LETTERS);
		b->password.len = PASSWORD_LENGTH;
	}
	if (strcmp(b->password.data, b->told.data) == 0)
		return 0;
	if (echobot_put_hash(b->relay, b->password.data, err) < 0)
		return -1;
	buf_reset(&b->told);
	buf_adds(&b->told, b->password.data);
	return 0;
}

/* Is that how we would log in? */
static bool is_same_login(const cJSON *wanted, const cJSON *found)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, wanted) {
		if (!cJSON_Compare(item, cJSON_GetObjectItemCaseSensitive(
						 found, item->string), true))
			return false;
	}
	return true;
}

static void on_transports(struct bot *b, const cJSON *result,
			  const char *error)
{
	struct buf err = BUF_INIT;
	const cJSON *item;
	cJSON *wanted;

	if (!cJSON_IsArray(result)) {
		bot_give_up(b, "list_transports", error);
		return;
	}
	b->is_configured = false;
	cJSON_ArrayForEach(item, result) {
		const char *addr = bot_text(item, "addr");
		const char *password = bot_text(item, "password");

		if (!addr || !password || !str_eqi(addr, b->addr.data))
			continue;
		buf_reset(&b->password);
		buf_adds(&b->password, password);
		wanted = login_param(b);
		b->is_configured = is_same_login(wanted, item);
		cJSON_Delete(wanted);
	}
	if (tell_password(b, &err) < 0)
		log_warn("%s", err.data);
	buf_free(&err);
	set_values(b);
}

/* ---- which account ----------------------------------------------------------------- */

static void take(struct bot *b, uint32_t account)
{
	b->account = account;
	bot_ask(b, on_transports, "list_transports", bot_params(b), BOT_SECS);
}

static void on_added(struct bot *b, const cJSON *result, const char *error)
{
	if (cJSON_IsNumber(result))
		take(b, (uint32_t)result->valuedouble);
	else
		bot_give_up(b, "add_account", error);
}

/* Its address; none when nobody has logged in with it yet. */
static void on_account(struct bot *b, const cJSON *result, const char *error)
{
	const char *addr = cJSON_GetStringValue(result);
	uint32_t id = b->account;

	b->account = 0;
	if (!result) {
		bot_give_up(b, "the account's address", error);
		return;
	}
	if (addr && str_eqi(addr, b->addr.data)) {
		take(b, id);
		return;
	}
	if (!addr && !b->spare)
		b->spare = id;
	look_at_next(b);
}

static void look_at_next(struct bot *b)
{
	cJSON *id = cJSON_DetachItemFromArray(b->accounts, 0), *params;

	if (id) {
		b->account = (uint32_t)cJSON_GetNumberValue(id);
		params = bot_params(b);
		bot_add_text(params, "configured_addr");
		bot_ask(b, on_account, "get_config", params, BOT_SECS);
		cJSON_Delete(id);
	} else if (b->spare) {
		take(b, b->spare);
	} else {
		bot_ask(b, on_added, "add_account", cJSON_CreateArray(),
			BOT_SECS);
	}
}

static void on_accounts(struct bot *b, const cJSON *result, const char *error)
{
	if (!cJSON_IsArray(result)) {
		bot_give_up(b, "get_all_account_ids", error);
		return;
	}
	b->accounts = cJSON_Duplicate(result, true);
	look_at_next(b);
}

static void on_system(struct bot *b, const cJSON *result, const char *error)
{
	const char *version = bot_text(result, "deltachat_core_version");

	if (!cJSON_IsObject(result)) {
		bot_give_up(b, "get_system_info", error);
		return;
	}
	log_info("deltachat core %s", version ? version : "of some version");
	bot_ask(b, on_accounts, "get_all_account_ids", cJSON_CreateArray(),
		BOT_SECS);
}

void account_start(struct bot *b)
{
	b->account = b->spare = 0;
	bot_ask(b, on_system, "get_system_info", cJSON_CreateArray(),
		BOT_SECS);
}

void account_stop(struct bot *b)
{
	b->is_ready = false;
	b->failures = 0;
	ev_timer_stop(b->s.loop, &b->retry);
	cJSON_Delete(b->accounts);
	b->accounts = NULL;
}
