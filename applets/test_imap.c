/* What IMAP has to offer to apps. */
#include "applets/test.h"

#include <string.h>
#include <time.h>

#include "base/str.h"
#include "text/json.h"

static enum test_result lost(struct test *t, const struct buf *err)
{
	return test_failed(t, "%s", err->data);
}

/* ---- capabilities -------------------------------------------------------- */

/* Append those of the words that the server does not tell. */
static void add_missing(struct imap_client *c, const char *const *words,
			struct buf *out)
{
	struct imap_response r;

	for (; *words; words++) {
		bool found = false;

		imap_client_rewind(c);
		while (!found && imap_client_find(c, "CAPABILITY", &r)) {
			struct imap_token word;

			do {
				imap_next(&r.rest, &word);
				found = imap_token_is(&word, *words);
			} while (!found && word.type == IMAP_TOKEN_ATOM);
		}
		if (!found)
			buf_addf(out, "%s%s", out->len ? ", " : "", *words);
	}
}

enum test_result test_capabilities(struct test *t)
{
	static const char *const words[] = {
		"IMAP4REV1", "IDLE", "QUOTA", "METADATA", "XCHATMAIL",
		"XDELTAPUSH", NULL,
	};
	struct buf err = BUF_INIT, missing = BUF_INIT;
	enum test_result ret = TEST_FAILED;
	struct imap_client c;

	if (test_imap(t, TEST_ALICE, &c) < 0)
		return TEST_BLOCKED;
	if (imap_client_command(&c, &err, "CAPABILITY") < 0) {
		lost(t, &err);
	} else {
		add_missing(&c, words, &missing);
		ret = missing.len ?
			test_failed(t, "not among them: %s", missing.data) :
			test_ok(t, "XCHATMAIL and XDELTAPUSH are among them");
	}
	imap_client_close(&c);
	buf_free(&err);
	buf_free(&missing);
	return ret;
}

/* ---- metadata (RFC 5464) ------------------------------------------------- */

#define DELTACHAT "/shared/vendor/deltachat/"

/* The value of an entry. Returns 1, 0 when there is none, -1 with said. */
static int get_entry(struct test *t, struct imap_client *c, const char *mailbox,
		     const char *entry, struct buf *value)
{
	struct buf err = BUF_INIT;
	struct imap_response r;
	struct imap_token token;
	int ret, found = 0;

	buf_reset(value);
	ret = imap_client_command(c, &err, "GETMETADATA \"%s\" %s", mailbox,
				  entry);
	if (ret)
		test_failed(t, "%s: %s", entry, ret < 0 ? err.data :
			    c->text.data);
	while (ret == 0 && !found && imap_client_find(c, "METADATA", &r)) {
		imap_next(&r.rest, &token);	/* mailbox */
		imap_next(&r.rest, &token);	/* ( */
		do
			imap_next(&r.rest, &token);
		while (token.type == IMAP_TOKEN_ATOM &&
		       !imap_token_is(&token, entry));
		if (token.type == IMAP_TOKEN_ATOM)
			imap_next(&r.rest, &token);
		found = imap_token_is_string(&token);
		if (found)
			imap_token_add(value, &token);
	}
	buf_free(&err);
	return ret ? -1 : found;
}

/* For tests of one of these: the session, or the check's end. */
static int open_and_get(struct test *t, const char *entry, struct buf *value,
			enum test_result *ret)
{
	struct imap_client c;
	int found;

	*ret = TEST_BLOCKED;
	if (test_imap(t, TEST_ALICE, &c) < 0)
		return -1;
	*ret = TEST_FAILED;
	found = get_entry(t, &c, "", entry, value);
	imap_client_close(&c);
	return found;
}

static bool is_number(const char *s)
{
	uint64_t n;

	return str_to_u64(s, &n) == 0 && n > 0;
}

static bool is_json(const char *s)
{
	struct buf err = BUF_INIT;
	cJSON *json = json_parse(s, strlen(s), &err);
	bool ok = cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(json,
								 "clients"));

	cJSON_Delete(json);
	buf_free(&err);
	return ok;
}

/* An entry that is as chatmail.ini says; want "" is none. */
static bool is_as_set(struct test *t, struct imap_client *c, const char *entry,
		      const char *want)
{
	struct buf value = BUF_INIT;
	int found = get_entry(t, c, "", entry, &value);
	bool ok = found >= 0 && strcmp(value.data, want) == 0;

	if (found >= 0 && !ok)
		test_failed(t, "%s is \"%s\", but \"%s\" by chatmail.ini",
			    entry, value.data, want);
	buf_free(&value);
	return ok;
}

/* An entry that is well-formed, or not there if it need not be. */
static bool is_well_formed(struct test *t, struct imap_client *c,
			   const char *entry, bool is_needed,
			   bool (*is_right)(const char *s))
{
	struct buf value = BUF_INIT;
	int found = get_entry(t, c, "", entry, &value);
	bool ok = found > 0 ? is_right(value.data) : !found && !is_needed;

	if (found >= 0 && !ok)
		test_failed(t, found ? "%s is \"%s\"" : "%s is not there%s",
			    entry, value.data);
	buf_free(&value);
	return ok;
}

static bool is_by_settings(struct test *t, struct imap_client *c)
{
	const struct relay *r = t->relay.relay;
	struct buf admin = BUF_INIT;
	bool ok;

	if (!t->relay.is_known)
		return true;
	if (*r->s.privacy_mail)
		buf_addf(&admin, "mailto:%s", r->s.privacy_mail);
	ok = is_as_set(t, c, DELTACHAT "irohrelay", r->iroh_relay) &&
	     is_as_set(t, c, "/shared/admin", admin.data);
	buf_free(&admin);
	return ok;
}

enum test_result test_metadata(struct test *t)
{
	struct imap_client c;
	bool ok;

	if (test_imap(t, TEST_ALICE, &c) < 0)
		return TEST_BLOCKED;
	ok = is_well_formed(t, &c, DELTACHAT "maxsmtprecipients", true,
			    is_number) &&
	     is_well_formed(t, &c, DELTACHAT "appversions", false, is_json) &&
	     is_by_settings(t, &c);
	imap_client_close(&c);
	return ok ? test_ok(t, "maxsmtprecipients%s", t->relay.is_known ?
			    ", irohrelay and admin as in chatmail.ini" : "") :
		TEST_FAILED;
}

/* Carol never gets mail, so that no notification leaves for this token. */
enum test_result test_push_token(struct test *t)
{
	static const char token[] = "chatmail-test-token";
	struct buf value = BUF_INIT, err = BUF_INIT;
	enum test_result ret = TEST_FAILED;
	struct imap_client c;
	int code;

	if (test_imap(t, TEST_CAROL, &c) < 0)
		return TEST_BLOCKED;
	code = imap_client_command(&c, &err, "SETMETADATA INBOX "
				   "(/private/devicetoken \"%s\")", token);
	if (code)
		test_failed(t, "SETMETADATA: %s", code < 0 ? err.data :
			    c.text.data);
	else
		code = get_entry(t, &c, "INBOX", "/private/devicetoken",
				 &value);
	if (code >= 0 && strstr(value.data, token))
		ret = test_ok(t, "it is set, and told");
	else if (!code)
		test_failed(t, "a token that was set is not told");
	if (ret == TEST_OK)
		imap_client_command(&c, &err, "SETMETADATA INBOX "
				    "(/private/devicetoken NIL)");
	imap_client_close(&c);
	buf_free(&value);
	buf_free(&err);
	return ret;
}

/* "host:port:username:password", the username being when it ends. */
static enum test_result judge_turn(struct test *t, char *value)
{
	uint64_t port, until;
	char *field[4];

	for (size_t i = 0; i < ARRAY_LEN(field); i++) {
		field[i] = value;
		value += strcspn(value, ":");
		if (*value)
			*value++ = '\0';
	}
	if (str_to_u64(field[1], &port) < 0 || !port || port > UINT16_MAX ||
	    str_to_u64(field[2], &until) < 0 || !*field[3])
		return test_failed(t, "it is not host:port:time:password");
	if (until < (uint64_t)time(NULL))
		return test_failed(t, "the credentials have expired, or the "
				   "clocks differ");
	return test_ok(t, "%s:%s, for %llu h", field[0], field[1],
		       (unsigned long long)(until - (uint64_t)time(NULL)) /
		       3600);
}

/* A sandbox has none. */
static bool has_turn(const struct outside *o)
{
	return o->is_known && !o->is_sandbox && *o->relay->s.turn_socket_path;
}

enum test_result test_turn(struct test *t)
{
	struct buf value = BUF_INIT;
	enum test_result ret;
	int found = open_and_get(t, DELTACHAT "turn", &value, &ret);

	if (found > 0)
		ret = judge_turn(t, value.data);
	else if (!found && has_turn(&t->relay))
		ret = test_failed(t, "the relay tells apps of no TURN server");
	else if (!found)
		ret = test_skipped(t, "the relay tells apps of no TURN server");
	buf_free(&value);
	return ret;
}

/* ---- quota (RFC 9208) ---------------------------------------------------- */

/* The limit of STORAGE in KB; 0 when there is none. */
static uint64_t storage_limit(struct imap_client *c)
{
	struct imap_response r;
	struct imap_token token;
	uint64_t used, limit;

	while (imap_client_find(c, "QUOTA", &r)) {
		imap_next(&r.rest, &token);	/* root */
		imap_next(&r.rest, &token);
		imap_next(&r.rest, &token);
		while (token.type == IMAP_TOKEN_ATOM) {
			bool is_storage = imap_token_is(&token, "STORAGE");

			imap_next(&r.rest, &token);
			if (imap_token_u64(&token, &used) < 0)
				return 0;
			imap_next(&r.rest, &token);
			if (imap_token_u64(&token, &limit) < 0)
				return 0;
			if (is_storage)
				return limit;
			imap_next(&r.rest, &token);
		}
	}
	return 0;
}

enum test_result test_quota(struct test *t)
{
	uint64_t want = t->relay.relay->s.max_mailbox_size * 1024, limit = 0;
	struct buf err = BUF_INIT;
	enum test_result ret = TEST_FAILED;
	struct imap_client c;
	int code;

	if (test_imap(t, TEST_ALICE, &c) < 0)
		return TEST_BLOCKED;
	code = imap_client_command(&c, &err, "GETQUOTAROOT INBOX");
	if (code == 0)
		limit = storage_limit(&c);
	if (code)
		test_failed(t, "GETQUOTAROOT: %s", code < 0 ? err.data :
			    c.text.data);
	else if (!limit)
		test_failed(t, "a mailbox has no limit");
	else if (t->relay.is_known && limit != want)
		test_failed(t, "a mailbox may have %llu KB, by chatmail.ini "
			    "%llu KB", (unsigned long long)limit,
			    (unsigned long long)want);
	else
		ret = test_ok(t, "%llu MB", (unsigned long long)limit / 1024);
	imap_client_close(&c);
	buf_free(&err);
	return ret;
}
