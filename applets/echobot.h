/* The parts of applets/echobot*.c, for these alone. */
#ifndef ECHOBOT_H
#define ECHOBOT_H

#include <stdbool.h>
#include <stdint.h>

#include "net/rpc_client.h"
#include "net/supervisor.h"
#include "relay/relay.h"

struct bot;

/* The answer to what was asked: result, or NULL and error. */
typedef void bot_reply_fn(struct bot *b, const cJSON *result,
			  const char *error);

/* Numbers of messages, in the order in which they came. */
struct ids {
	uint32_t *v;
	size_t count, room;
};

struct bot {
	/* from the command line and chatmail.ini */
	const struct relay *relay;
	char *imap_host, *smtp_host;
	unsigned imap_port, smtp_port;
	double relogin_secs;
	struct buf addr;	/* echo@DOMAIN */

	/* the server; one question at a time, and one for its events */
	struct supervisor s;
	struct child server;
	int fd;			/* of its socket, when it has just started */
	struct rpc_client rpc;
	bool is_open;
	struct rpc_call events, work;
	bot_reply_fn *on_reply;	/* NULL: nothing is asked */

	/* the account (echobot_account.c) */
	uint32_t account;	/* 0: not known yet */
	bool is_ready;		/* it has been set up */
	struct buf password, told;	/* told: whose hash doveauth has */
	cJSON *accounts;	/* numbers not yet looked at */
	uint32_t spare;		/* one without an address, or 0 */
	bool is_configured;	/* with this relay's ports */
	unsigned failures;	/* of logging in, in a row */
	ev_timer retry;

	/* messages (echobot_answer.c) */
	bool has_news;		/* since messages were last asked for */
	struct ids queue;	/* to be looked at */
	struct ids waiting;	/* their files are still to come; kept */
	struct ids sent;	/* answers on their way */
	struct ids done;	/* answers that have left */
	uint32_t msg;		/* the one at hand, */
	cJSON *message;		/* and what is known of it */
	uint32_t answered, draft;	/* last one, and its answer; kept */
	bool has_io, wants_relogin, is_disk_low;
	ev_timer tick, relogin;
};

/* Ask the server. params is taken; answers that take long get secs. */
enum { BOT_SECS = 120 };
void bot_ask(struct bot *b, bot_reply_fn *on_reply, const char *method,
	     cJSON *params, double secs);
/* An array to put parameters into, beginning with the account's number. */
cJSON *bot_params(const struct bot *b);
void bot_add_number(cJSON *params, uint32_t number);
/* NULL gives null. */
void bot_add_text(cJSON *params, const char *text);
/* Members of an object; 0, NULL and false when there is none such. */
uint32_t bot_number(const cJSON *object, const char *name);
const char *bot_text(const cJSON *object, const char *name);
bool bot_is_true(const cJSON *object, const char *name);
/* The server makes no sense: it is killed, and started again. */
void bot_give_up(struct bot *b, const char *what, const char *error);

/* The server has started: find or make the account, log in, write the invite
 * link; then answer_start(). */
void account_start(struct bot *b);
void account_stop(struct bot *b);

/* Answer what has come, and what comes. */
void answer_start(struct bot *b);
/* Something happened to the account: an event of the core. */
void answer_event(struct bot *b, const cJSON *event);
/* Go on, if nothing is asked just now. */
void answer_next(struct bot *b);
/* The server has ended; what is not kept in the account is forgotten. */
void answer_stop(struct bot *b);

#endif
