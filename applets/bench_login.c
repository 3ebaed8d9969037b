/* Connections and logins. */
#include "applets/bench.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "net/web.h"
#include "text/json.h"

static const char helo[] = "chatmail-bench.invalid";

/* ---- sessions ----------------------------------------------------------------- */

enum bench_outcome bench_open_imap(struct bench_site *s, struct imap_client *c,
				   struct buf *err)
{
	int ret;

	buf_reset(err);
	ret = imap_client_open(c, &s->peers[OUTSIDE_IMAPS], err);
	bench_port_opened(s, OUTSIDE_IMAPS, ret < 0 ? err : NULL);
	return ret < 0 ? BENCH_FAILED : BENCH_DONE;
}

enum bench_outcome bench_open_smtp(struct bench_site *s, struct smtp_dialog *d,
				   struct buf *err)
{
	int ret;

	buf_reset(err);
	ret = smtp_dialog_open(d, &s->peers[OUTSIDE_SMTPS], helo, err);
	/* "421 too many connections" is a reply, and of the moment */
	if (ret < 0 && d->code / 100 == 4)
		return BENCH_LIMITED;
	bench_port_opened(s, OUTSIDE_SMTPS, ret < 0 ? err : NULL);
	return ret < 0 ? BENCH_FAILED : BENCH_DONE;
}

/* RFC 5530 section 3. */
static bool is_temporary(const char *text)
{
	return str_starts(text, "[UNAVAILABLE]") ||
	       str_starts(text, "[INUSE]") || str_starts(text, "[LIMIT]");
}

enum bench_outcome bench_login_imap_as(struct imap_client *c,
				       const struct bench_account *a,
				       struct buf *err)
{
	int ret;

	buf_reset(err);
	ret = imap_client_login(c, a->address.data, a->password.data, err);
	if (ret < 0)
		return BENCH_FAILED;
	if (ret == 0)
		return BENCH_DONE;
	buf_setf(err, "%s", c->text.data);
	return is_temporary(err->data) ? BENCH_LIMITED : BENCH_FAILED;
}

enum bench_outcome bench_login_smtp_as(struct smtp_dialog *d,
				       const struct bench_account *a,
				       struct buf *err)
{
	int code;

	buf_reset(err);
	code = smtp_dialog_login(d, a->address.data, a->password.data, err);
	if (code < 0)
		return BENCH_FAILED;
	buf_setf(err, "%s", d->reply.data);
	return bench_smtp_outcome(code, code == 235);
}

enum bench_outcome bench_try_imap(struct bench_site *s,
				  const struct bench_account *a, int64_t *us,
				  struct buf *err)
{
	double began = clock_secs();
	struct imap_client c;
	enum bench_outcome outcome = bench_open_imap(s, &c, err);

	if (outcome != BENCH_DONE)
		return outcome;
	outcome = bench_login_imap_as(&c, a, err);
	*us = bench_us(began, clock_secs());
	imap_client_close(&c);
	return outcome;
}

enum bench_outcome bench_try_smtp(struct bench_site *s,
				  const struct bench_account *a, int64_t *us,
				  struct buf *err)
{
	double began = clock_secs();
	struct smtp_dialog d;
	enum bench_outcome outcome = bench_open_smtp(s, &d, err);

	if (outcome != BENCH_DONE)
		return outcome;
	outcome = bench_login_smtp_as(&d, a, err);
	*us = bench_us(began, clock_secs());
	smtp_dialog_close(&d);
	return outcome;
}

/* ---- TLS ------------------------------------------------------------------------ */

static enum bench_outcome try_tls(struct bench_site *s, void *arg, int64_t *us,
				  struct buf *err)
{
	enum outside_port port = *(const enum outside_port *)arg;
	double began = clock_secs();
	struct stream stream;
	int ret;

	buf_reset(err);
	ret = stream_open(&stream, &s->peers[port], err);
	*us = bench_us(began, clock_secs());
	bench_port_opened(s, port, ret < 0 ? err : NULL);
	if (ret < 0)
		return BENCH_FAILED;
	stream_close(&stream);
	return BENCH_DONE;
}

static void measure_tls(struct bench_site *s, struct benchreport_cell *c,
			enum outside_port port)
{
	bench_each(s, c, try_tls, &port);
}

void bench_tls_imap(struct bench_site *s, struct benchreport_cell **cells)
{
	measure_tls(s, cells[0], OUTSIDE_IMAPS);
}

void bench_tls_smtp(struct bench_site *s, struct benchreport_cell **cells)
{
	measure_tls(s, cells[0], OUTSIDE_SMTPS);
}

void bench_tls_https(struct bench_site *s, struct benchreport_cell **cells)
{
	measure_tls(s, cells[0], OUTSIDE_HTTPS);
}

/* ---- an address of the relay's choice --------------------------------------------- */

static bool has_credentials(const struct buf *body)
{
	struct buf err = BUF_INIT;
	cJSON *json = json_parse(body->data, body->len, &err);
	bool has = cJSON_IsString(cJSON_GetObjectItemCaseSensitive(
			   json, "email")) &&
		   cJSON_IsString(cJSON_GetObjectItemCaseSensitive(
			   json, "password"));

	cJSON_Delete(json);
	buf_free(&err);
	return has;
}

static enum bench_outcome judge(const struct web_answer *a, struct buf *err)
{
	if (a->status == 200 && has_credentials(&a->body))
		return BENCH_DONE;
	if (a->status == 200)
		buf_setf(err, "POST /new: the answer has no address");
	else
		buf_setf(err, "POST /new: HTTP %ld", a->status);
	/* RFC 6585 section 4, RFC 9110 section 15.6.4 */
	return a->status == 429 || a->status == 503 ? BENCH_LIMITED :
	       BENCH_FAILED;
}

static enum bench_outcome try_address(struct bench_site *s, void *arg,
				      int64_t *us, struct buf *err)
{
	enum bench_outcome outcome = BENCH_FAILED;
	double began = clock_secs();
	struct web_answer a;
	int ret;

	buf_reset(err);
	ret = outside_post(&s->outside, "/new", s->bench->secs, &a, err);
	*us = bench_us(began, clock_secs());
	bench_port_opened(s, OUTSIDE_HTTPS, ret < 0 ? err : NULL);
	if (ret == 0)
		outcome = judge(&a, err);
	web_answer_free(&a);
	return outcome;
}

void bench_address(struct bench_site *s, struct benchreport_cell **cells)
{
	bench_each(s, cells[0], try_address, NULL);
}

/* ---- first logins, and others -------------------------------------------------------- */

typedef enum bench_outcome login_function(struct bench_site *s,
					  const struct bench_account *a,
					  int64_t *us, struct buf *err);

struct login {
	login_function *log_in;
	struct benchreport_cell *cell;
};

/* Another attempt is another account, else it might not be new any more. */
static enum bench_outcome try_new(struct bench_site *s, void *arg, int64_t *us,
				  struct buf *err)
{
	const struct login *login = arg;
	struct bench_account *a = bench_account_new(s);
	enum bench_outcome outcome = login->log_in(s, a, us, err);

	if (outcome != BENCH_DONE) {
		bench_account_free(a);
		return outcome;
	}
	bench_account_made(s);
	bench_account_give(s, a);
	return outcome;
}

static enum bench_outcome try_old(struct bench_site *s, void *arg, int64_t *us,
				  struct buf *err)
{
	const struct login *login = arg;
	struct bench_account *a = bench_account_take(s, login->cell, err);
	enum bench_outcome outcome;

	if (!a)
		return BENCH_FAILED;
	outcome = login->log_in(s, a, us, err);
	bench_account_give(s, a);
	return outcome;
}

static void measure_login(struct bench_site *s, struct benchreport_cell *c,
			  bench_attempt *attempt, login_function *log_in)
{
	struct login login = { log_in, c };

	bench_each(s, c, attempt, &login);
}

void bench_new_imap(struct bench_site *s, struct benchreport_cell **cells)
{
	measure_login(s, cells[0], try_new, bench_try_imap);
}

void bench_new_smtp(struct bench_site *s, struct benchreport_cell **cells)
{
	measure_login(s, cells[0], try_new, bench_try_smtp);
}

void bench_login_imap(struct bench_site *s, struct benchreport_cell **cells)
{
	measure_login(s, cells[0], try_old, bench_try_imap);
}

void bench_login_smtp(struct bench_site *s, struct benchreport_cell **cells)
{
	measure_login(s, cells[0], try_old, bench_try_smtp);
}

/* ---- an app with a new account ---------------------------------------------------------- */

static enum bench_outcome imap_answer(const struct imap_client *c, int ret,
				      struct buf *err)
{
	if (ret > 0)
		buf_setf(err, "%s", c->text.data);
	return ret ? BENCH_FAILED : BENCH_DONE;
}

/* From nothing to IDLE. */
static enum bench_outcome go_idle(struct bench_site *s, struct imap_client *c,
				  const struct bench_account *a,
				  struct buf *err)
{
	enum bench_outcome outcome = bench_login_imap_as(c, a, err);

	if (outcome == BENCH_DONE)
		outcome = imap_answer(c, imap_client_command(
			c, err, "SELECT INBOX"), err);
	if (outcome == BENCH_DONE)
		outcome = imap_answer(c, imap_client_idle(c, err), err);
	return outcome;
}

/* What an app does until mail can go and come: both logins and IDLE. */
static enum bench_outcome come_online(struct bench_site *s,
				      const struct bench_account *a,
				      int64_t *us, struct buf *err)
{
	double began = clock_secs();
	struct imap_client c;
	enum bench_outcome outcome = bench_open_imap(s, &c, err);
	int64_t smtp = 0;

	if (outcome != BENCH_DONE)
		return outcome;
	outcome = go_idle(s, &c, a, err);
	*us = bench_us(began, clock_secs());
	if (outcome == BENCH_DONE)
		outcome = bench_try_smtp(s, a, &smtp, err);
	*us += smtp;
	imap_client_close(&c);
	return outcome;
}

void bench_online(struct bench_site *s, struct benchreport_cell **cells)
{
	measure_login(s, cells[0], try_new, come_online);
}
