/* What the echo bot answers. Messages are handled one at a time, and each is
 * answered once, whatever ends when: an answer is written as the draft of its
 * chat, the draft's number is noted in the account, and only then is it sent.
 * A draft keeps its number, so that after a crash it can be told whether the
 * note's answer has left. */
#include "applets/echobot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "base/str.h"

#define HELP "Send me any message and I will echo it back."
/* Names of our own in the account's configuration. */
#define NOTE "ui.echobot.answer"
#define WAITING "ui.echobot.waiting"

enum {
	FROM_SELF = 1, FROM_INFO = 2, FROM_DEVICE = 5,
	/* MessageState of deltachat core's message.rs */
	STATE_DRAFT = 19, STATE_PENDING = 20,
	WAITING_MAX = 500,
	MB = 1024 * 1024,
};

static const double TICK_SECS = 5.;

/* ---- lists of numbers ------------------------------------------------------------ */

static void ids_add(struct ids *l, uint32_t id)
{
	if (l->count == l->room) {
		l->room = l->room ? l->room * 2 : 16;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	l->v[l->count++] = id;
}

/* Returns whether it was there. */
static bool ids_remove(struct ids *l, uint32_t id)
{
	for (size_t i = 0; i < l->count; i++) {
		if (l->v[i] != id)
			continue;
		memmove(&l->v[i], &l->v[i + 1],
			(--l->count - i) * sizeof(*l->v));
		return true;
	}
	return false;
}

static bool ids_has(const struct ids *l, uint32_t id)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->v[i] == id)
			return true;
	return false;
}

static uint32_t ids_take(struct ids *l)
{
	uint32_t id = l->count ? l->v[0] : 0;

	ids_remove(l, id);
	return id;
}

static void ids_free(struct ids *l)
{
	free(l->v);
	*l = (struct ids) { 0 };
}

/* ---- short forms -------------------------------------------------------------------- */

static cJSON *message_params(const struct bot *b, uint32_t id)
{
	cJSON *params = bot_params(b);

	bot_add_number(params, id);
	return params;
}

static cJSON *chat_params(const struct bot *b)
{
	return message_params(b, bot_number(b->message, "chatId"));
}

/* Account, and a list with one number. */
static cJSON *list_params(const struct bot *b, uint32_t id)
{
	cJSON *params = bot_params(b), *list = cJSON_CreateArray();

	bot_add_number(list, id);
	cJSON_AddItemToArray(params, list);
	return params;
}

static void note(struct bot *b, const char *name, const char *value,
		 bot_reply_fn *on_reply)
{
	cJSON *params = bot_params(b);

	bot_add_text(params, name);
	bot_add_text(params, value);
	bot_ask(b, on_reply, "set_config", params, BOT_SECS);
}

/* ---- the end of a message ------------------------------------------------------------ */

static void on_seen(struct bot *b, const cJSON *result, const char *error)
{
	if (error)
		bot_give_up(b, "markseen_msgs", error);
}

static void mark_seen(struct bot *b)
{
	bot_ask(b, on_seen, "markseen_msgs", list_params(b, b->msg), BOT_SECS);
}

static void on_waiting_kept(struct bot *b, const cJSON *result,
			    const char *error)
{
	if (error)
		bot_give_up(b, "keeping what has to wait", error);
	else
		mark_seen(b);
}

static void keep_waiting(struct bot *b)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < b->waiting.count; i++)
		buf_addf(&text, "%s%" PRIu32, i ? " " : "", b->waiting.v[i]);
	note(b, WAITING, text.data, on_waiting_kept);
	buf_free(&text);
}

/* What is seen is not given to us again. */
static void pass(struct bot *b)
{
	if (ids_remove(&b->waiting, b->msg))
		keep_waiting(b);
	else
		mark_seen(b);
}

/* It needs no answer. */
static void ignore(struct bot *b, const char *why)
{
	log_debug("message %" PRIu32 ": %s", b->msg, why);
	pass(b);
}

static void on_deleted(struct bot *b, const cJSON *result, const char *error)
{
	/* gone already, or it goes with delete_device_after */
	if (error)
		log_debug("message %" PRIu32 ": %s", b->msg, error);
	pass(b);
}

/* What was answered is not kept. */
static void finish(struct bot *b)
{
	bot_ask(b, on_deleted, "delete_messages", list_params(b, b->msg),
		BOT_SECS);
}

/* Its file is not here yet; others need not wait for that. */
static void wait_for_file(struct bot *b)
{
	if (ids_has(&b->waiting, b->msg))
		return;
	if (b->waiting.count == WAITING_MAX)
		ids_take(&b->waiting);
	ids_add(&b->waiting, b->msg);
	keep_waiting(b);
}

/* ---- sending -------------------------------------------------------------------------- */

static void on_sent(struct bot *b, const cJSON *result, const char *error)
{
	if (!cJSON_IsNumber(result)) {
		ids_remove(&b->sent, b->draft);
		log_warn("an answer cannot be sent: %s",
			 error ? error : "it has no number");
		ignore(b, "not sent");
		return;
	}
	log_info("answered a message");
	finish(b);
}

static void send_draft(struct bot *b)
{
	/* it may have left before we hear that it will */
	ids_add(&b->sent, b->draft);
	bot_ask(b, on_sent, "misc_send_draft", chat_params(b), BOT_SECS);
}

static void on_noted(struct bot *b, const cJSON *result, const char *error)
{
	if (error)
		bot_give_up(b, "noting an answer", error);
	else
		send_draft(b);
}

static void on_draft(struct bot *b, const cJSON *result, const char *error)
{
	struct buf text = BUF_INIT;
	uint32_t draft = bot_number(result, "id");

	if (!draft) {
		log_warn("an answer cannot be written: %s",
			 error ? error : "there is no draft");
		ignore(b, "not written");
		return;
	}
	b->answered = b->msg;
	b->draft = draft;
	buf_addf(&text, "%" PRIu32 " %" PRIu32, b->msg, draft);
	note(b, NOTE, text.data, on_noted);
	buf_free(&text);
}

static void on_drafted(struct bot *b, const cJSON *result, const char *error)
{
	if (error) {
		log_warn("an answer cannot be written: %s", error);
		ignore(b, "not written");
		return;
	}
	bot_ask(b, on_draft, "get_draft", chat_params(b), BOT_SECS);
}

/* "/help", or with something behind it. */
static bool is_help(const char *text)
{
	text += strspn(text, " \t\r\n");
	return str_starts(text, "/help") &&
	       (!text[5] || strchr(" \t\r\n@", text[5]));
}

static void draft_answer(struct bot *b)
{
	const char *text = bot_text(b->message, "text");
	bool help = text && is_help(text);
	const char *file = help ? NULL : bot_text(b->message, "file");
	const char *type = bot_text(b->message, "viewType");
	cJSON *params = chat_params(b);

	bot_add_text(params, help ? HELP : text);
	bot_add_text(params, file);
	bot_add_text(params, file ? bot_text(b->message, "fileName") : NULL);
	bot_add_text(params, NULL);
	bot_add_text(params, file && type && strcmp(type, "Unknown") != 0 ?
			     type : NULL);
	bot_ask(b, on_drafted, "misc_set_draft", params, BOT_SECS);
}

/* ---- after a crash ----------------------------------------------------------------------- */

/* The server has ended between sending and what follows. Queued or not: with
 * the same Message-ID a second one counts for nothing. */
static void on_resent(struct bot *b, const cJSON *result, const char *error)
{
	if (error)
		log_info("an answer that was on its way: %s", error);
	finish(b);
}

static void on_old_draft(struct bot *b, const cJSON *result,
			 const char *error)
{
	uint32_t state = bot_number(result, "state");

	if (state == STATE_DRAFT) {
		send_draft(b);
		return;
	}
	if (state != STATE_PENDING) {
		finish(b);
		return;
	}
	ids_add(&b->sent, b->draft);
	bot_ask(b, on_resent, "resend_messages", list_params(b, b->draft),
		BOT_SECS);
}

static void answer(struct bot *b)
{
	if (b->msg == b->answered)
		bot_ask(b, on_old_draft, "get_message",
			message_params(b, b->draft), BOT_SECS);
	else
		draft_answer(b);
}

/* ---- whether to answer --------------------------------------------------------------------- */

static void on_accepted(struct bot *b, const cJSON *result, const char *error)
{
	if (error)
		ignore(b, error);
	else
		answer(b);
}

static void on_chat(struct bot *b, const cJSON *result, const char *error)
{
	const char *type = bot_text(result, "chatType");

	if (!type)
		ignore(b, error ? error : "its chat is of no kind");
	else if ((strcmp(type, "Single") != 0 && strcmp(type, "Group") != 0) ||
		 bot_is_true(result, "isSelfTalk") ||
		 bot_is_true(result, "isDeviceChat"))
		ignore(b, "nobody talks to us there");
	else if (bot_is_true(result, "isContactRequest"))
		bot_ask(b, on_accepted, "accept_chat", chat_params(b),
			BOT_SECS);
	else
		answer(b);
}

/* Another bot might answer our answer, and so on for ever. */
static const char *why_not(const cJSON *m)
{
	uint32_t from = bot_number(m, "fromId");
	const char *type = bot_text(m, "viewType");
	const char *text = bot_text(m, "text");

	if (from == FROM_SELF || from == FROM_INFO || from == FROM_DEVICE)
		return "nobody wrote it";
	if (bot_is_true(m, "isInfo"))
		return "it is for information";
	if (bot_is_true(m, "isBot"))
		return "a bot wrote it";
	if (type && strcmp(type, "Call") == 0)
		return "it is a call";
	if (bot_text(m, "error"))
		return "it cannot be read";
	if ((!text || !*text) && !bot_text(m, "file"))
		return "it is empty";
	return NULL;
}

/* An answer of before a crash goes as those of now do. */
static void note_own(struct bot *b, const cJSON *m)
{
	if (bot_number(m, "fromId") != FROM_SELF || bot_is_true(m, "isInfo"))
		return;
	ids_add(bot_number(m, "state") == STATE_PENDING ? &b->sent : &b->done,
		b->msg);
}

static void on_message(struct bot *b, const cJSON *result, const char *error)
{
	const char *download = bot_text(result, "downloadState");
	const char *why;

	if (!cJSON_IsObject(result)) {
		ignore(b, error ? error : "it is no message");
		return;
	}
	if (download && (strcmp(download, "Available") == 0 ||
			 strcmp(download, "InProgress") == 0)) {
		wait_for_file(b);
		return;
	}
	why = why_not(result);
	if (why) {
		note_own(b, result);
		ignore(b, why);
		return;
	}
	cJSON_Delete(b->message);
	b->message = cJSON_Duplicate(result, true);
	bot_ask(b, on_chat, "get_basic_chat_info", chat_params(b), BOT_SECS);
}

static void look_at(struct bot *b, uint32_t id)
{
	b->msg = id;
	if (ids_has(&b->sent, id) || ids_has(&b->done, id))
		ignore(b, "it is ours");
	else
		bot_ask(b, on_message, "get_message", message_params(b, id),
			BOT_SECS);
}

/* ---- what there is to do ------------------------------------------------------------------- */

static void on_forgotten(struct bot *b, const cJSON *result, const char *error)
{
	if (error)
		log_debug("answer %" PRIu32 ": %s", b->msg, error);
}

static void on_news(struct bot *b, const cJSON *result, const char *error)
{
	const cJSON *item;

	if (!cJSON_IsArray(result)) {
		bot_give_up(b, "get_next_msgs", error);
		return;
	}
	cJSON_ArrayForEach(item, result) {
		uint32_t id = (uint32_t)cJSON_GetNumberValue(item);

		if (id && !ids_has(&b->queue, id))
			ids_add(&b->queue, id);
	}
}

static void on_io_stopped(struct bot *b, const cJSON *result,
			  const char *error)
{
	b->has_io = b->wants_relogin = false;
	if (error)
		bot_give_up(b, "stop_io", error);
}

static void on_io_started(struct bot *b, const cJSON *result,
			  const char *error)
{
	b->has_io = true;
	if (error)
		bot_give_up(b, "start_io", error);
}

void answer_next(struct bot *b)
{
	if (!b->is_open || !b->is_ready || b->on_reply || b->s.stopping)
		return;
	if (b->has_io && (b->is_disk_low || b->wants_relogin)) {
		bot_ask(b, on_io_stopped, "stop_io", bot_params(b), BOT_SECS);
	} else if (!b->has_io && !b->is_disk_low) {
		bot_ask(b, on_io_started, "start_io", bot_params(b), BOT_SECS);
	} else if (b->done.count) {
		b->msg = ids_take(&b->done);
		bot_ask(b, on_forgotten, "delete_messages",
			list_params(b, b->msg), BOT_SECS);
	} else if (b->queue.count) {
		look_at(b, ids_take(&b->queue));
	} else if (b->has_news) {
		b->has_news = false;
		bot_ask(b, on_news, "get_next_msgs", bot_params(b), BOT_SECS);
	}
}

/* ---- events and time --------------------------------------------------------------------------- */

void answer_event(struct bot *b, const cJSON *event)
{
	const char *kind = bot_text(event, "kind");
	uint32_t msg = bot_number(event, "msgId");

	if (!kind)
		return;
	if (strcmp(kind, "IncomingMsg") == 0 ||
	    strcmp(kind, "MsgsChanged") == 0) {
		b->has_news = true;
		if (ids_has(&b->waiting, msg) && !ids_has(&b->queue, msg))
			ids_add(&b->queue, msg);
	} else if (strcmp(kind, "EventChannelOverflow") == 0) {
		b->has_news = true;
	} else if (strcmp(kind, "MsgDelivered") == 0 ||
		   strcmp(kind, "MsgFailed") == 0) {
		if (strcmp(kind, "MsgFailed") == 0)
			log_warn("an answer did not arrive");
		if (ids_remove(&b->sent, msg))
			ids_add(&b->done, msg);
	}
}

/* Files of others must not fill the disk: nothing more is fetched then, and the
 * relay keeps it. */
static void look_at_disk(struct bot *b)
{
	struct statvfs fs;
	bool low = false;

	if (statvfs(b->relay->s.echobot_dir, &fs) == 0)
		low = (uint64_t)fs.f_bavail * fs.f_frsize / MB <
		      b->relay->s.min_free_disk_space;
	if (low && !b->is_disk_low)
		log_warn("%s has less space than min_free_disk_space: waiting",
			 b->relay->s.echobot_dir);
	b->is_disk_low = low;
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct bot *b = container_of(w, struct bot, tick);

	look_at_disk(b);
	answer_next(b);
}

static void on_relogin(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct bot *b = container_of(w, struct bot, relogin);

	b->wants_relogin = true;
	answer_next(b);
}

/* ---- start and end ------------------------------------------------------------------------------- */

static void on_waiting(struct bot *b, const cJSON *result, const char *error)
{
	const char *p = cJSON_GetStringValue(result);
	char *end;

	while (p && *p) {
		unsigned long id = strtoul(p, &end, 10);

		if (end == p)
			break;
		if (id && id <= UINT32_MAX) {
			ids_add(&b->waiting, (uint32_t)id);
			ids_add(&b->queue, (uint32_t)id);
		}
		p = end;
	}
	b->has_news = true;
}

static void on_note(struct bot *b, const cJSON *result, const char *error)
{
	const char *text = cJSON_GetStringValue(result);
	cJSON *params = bot_params(b);

	if (text && sscanf(text, "%" SCNu32 " %" SCNu32, &b->answered,
			   &b->draft) != 2)
		b->answered = b->draft = 0;
	bot_add_text(params, WAITING);
	bot_ask(b, on_waiting, "get_config", params, BOT_SECS);
}

void answer_start(struct bot *b)
{
	cJSON *params = bot_params(b);

	b->has_io = true;
	look_at_disk(b);
	ev_timer_init(&b->tick, on_tick, TICK_SECS, TICK_SECS);
	ev_timer_start(b->s.loop, &b->tick);
	ev_timer_init(&b->relogin, on_relogin, b->relogin_secs,
		      b->relogin_secs);
	ev_timer_start(b->s.loop, &b->relogin);
	bot_add_text(params, NOTE);
	bot_ask(b, on_note, "get_config", params, BOT_SECS);
}

void answer_stop(struct bot *b)
{
	ev_timer_stop(b->s.loop, &b->tick);
	ev_timer_stop(b->s.loop, &b->relogin);
	ids_free(&b->queue);
	ids_free(&b->waiting);
	ids_free(&b->sent);
	ids_free(&b->done);
	cJSON_Delete(b->message);
	b->message = NULL;
	b->has_io = b->wants_relogin = false;
	b->answered = b->draft = 0;
}
