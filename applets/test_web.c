/* The web server: pages, new addresses, and what apps and servers look up. */
#include "applets/test.h"

#include <string.h>

#include "base/str.h"
#include "text/json.h"

/* Returns 0 with the answer, or -1 with the result; web_answer_free() after
 * 0. */
static int ask(struct test *t, bool post, const char *prefix, const char *path,
	       struct web_answer *a, enum test_result *ret)
{
	struct buf url = BUF_INIT;
	struct web_request r = { .post = post };
	int code;

	*ret = TEST_BLOCKED;
	if (test_port(t, OUTSIDE_HTTPS) < 0)
		return -1;
	*ret = TEST_FAILED;
	buf_addf(&url, "https://%s%s%s", prefix, t->relay.name, path);
	r.url = url.data;
	code = test_web(t, &r, a);
	buf_free(&url);
	return code;
}

static int get(struct test *t, const char *prefix, const char *path,
	       struct web_answer *a, enum test_result *ret)
{
	return ask(t, false, prefix, path, a, ret);
}

static enum test_result wrong_status(struct test *t, const struct web_answer *a,
				     const char *path, const char *want)
{
	return test_failed(t, "%s gives status %ld, not %s", path, a->status,
			   want);
}

/* ---- pages --------------------------------------------------------------- */

enum test_result test_home_page(struct test *t)
{
	struct web_answer a;
	enum test_result ret;

	if (get(t, "", "/", &a, &ret) < 0)
		return ret;
	if (a.status != 200)
		ret = wrong_status(t, &a, "the page", "200");
	else if (!str_starts(a.type.data, "text/html"))
		ret = test_failed(t, "the page is of type \"%s\"", a.type.data);
	else
		ret = test_ok(t, "%zu bytes", a.body.len);
	web_answer_free(&a);
	return ret;
}

static bool is_redirect(const struct web_answer *a)
{
	return a->status == 301 || a->status == 302 || a->status == 307 ||
	       a->status == 308;
}

/* It leads to a page of the relay's domain by HTTPS. */
static enum test_result judge_redirect(struct test *t,
				       const struct web_answer *a,
				       const char *path)
{
	struct buf want = BUF_INIT;
	enum test_result ret;
	size_t n;

	buf_addf(&want, "https://%s", t->relay.name);
	n = want.len;
	if (!is_redirect(a))
		ret = wrong_status(t, a, path, "a redirect");
	else if (!str_starts(a->location.data, want.data) ||
		 !strchr("/:", a->location.data[n]))
		ret = test_failed(t, "%s leads to %s", path, a->location.data);
	else
		ret = test_ok(t, "to %s", a->location.data);
	buf_free(&want);
	return ret;
}

enum test_result test_www(struct test *t)
{
	struct web_answer a;
	enum test_result ret;

	if (t->relay.relay->is_ipv4)
		return test_skipped(t, "the domain is an address");
	if (get(t, "www.", "/", &a, &ret) < 0)
		return ret;
	ret = judge_redirect(t, &a, "it");
	web_answer_free(&a);
	return ret;
}

enum test_result test_http_redirect(struct test *t)
{
	enum test_result ret = TEST_FAILED;
	struct buf url = BUF_INIT;
	struct web_request r = { .post = false };
	struct web_answer a;

	buf_addf(&url, "http://%s/", t->relay.name);
	r.url = url.data;
	if (test_web(t, &r, &a) == 0) {
		ret = judge_redirect(t, &a, url.data);
		web_answer_free(&a);
	}
	buf_free(&url);
	return ret;
}

/* ---- new addresses ------------------------------------------------------- */

/* Why an address is none that the relay would take, or NULL. */
static const char *wrong_address(const struct test *t, const char *address)
{
	const struct settings *s = &t->relay.relay->s;
	const char *at = strrchr(address, '@');
	size_t n = at ? (size_t)(at - address) : 0;

	if (!at || strcmp(at + 1, t->relay.relay->mail_domain) != 0)
		return "it is of another domain";
	if (strspn(address, "abcdefghijklmnopqrstuvwxyz0123456789._-") < n)
		return "its name has other characters than it may have";
	if (t->relay.is_known && n < s->username_min_length)
		return "its name is too short";
	if (t->relay.is_known && n > s->username_max_length)
		return "its name is too long";
	return NULL;
}

static enum test_result judge_account(struct test *t,
				      const struct web_answer *a,
				      const char *path)
{
	struct buf err = BUF_INIT;
	cJSON *json = a->status == 200 ?
		json_parse(a->body.data, a->body.len, &err) : NULL;
	const char *email = cJSON_GetStringValue(
		cJSON_GetObjectItemCaseSensitive(json, "email"));
	const char *password = cJSON_GetStringValue(
		cJSON_GetObjectItemCaseSensitive(json, "password"));
	enum test_result ret;

	if (a->status != 200)
		ret = wrong_status(t, a, path, "200");
	else if (!email || !password)
		ret = test_failed(t, "%s gives no JSON with email and password",
				  path);
	else if (wrong_address(t, email))
		ret = test_failed(t, "%s gives %s: %s", path, email,
				  wrong_address(t, email));
	else if (t->relay.is_known && utf8_length(password, strlen(password)) <
		 t->relay.relay->s.password_min_length)
		ret = test_failed(t, "%s gives a password that is too short",
				  path);
	else
		ret = test_ok(t, "%s", email);
	cJSON_Delete(json);
	buf_free(&err);
	return ret;
}

/* Nobody logs in with what comes: the address does not come into being. */
enum test_result test_new_account(struct test *t)
{
	struct web_answer a;
	enum test_result ret;

	if (ask(t, true, "", "/new", &a, &ret) < 0)
		return ret;
	ret = judge_account(t, &a, "POST /new");
	web_answer_free(&a);
	return ret;
}

/* What a browser gets there: the app is opened, or, as it takes no certificate
 * of that kind, the same as by POST. */
enum test_result test_new_link(struct test *t)
{
	struct web_answer a;
	enum test_result ret;

	if (get(t, "", "/new", &a, &ret) < 0)
		return ret;
	if (!trust_verifies(t->relay.trust) && a.status == 200)
		ret = judge_account(t, &a, "GET /new");
	else if (!is_redirect(&a))
		ret = wrong_status(t, &a, "GET /new", "a redirect");
	else if (!str_starts(a.location.data, "dcaccount:https://") ||
		 !strstr(a.location.data, t->relay.name))
		ret = test_failed(t, "GET /new leads to %s", a.location.data);
	else
		ret = test_ok(t, "%s", a.location.data);
	web_answer_free(&a);
	return ret;
}

/* ---- what apps and servers look up --------------------------------------- */

static bool has_port(const char *xml, unsigned port)
{
	struct buf text = BUF_INIT;
	bool found;

	buf_addf(&text, "<port>%u</port>", port);
	found = strstr(xml, text.data);
	buf_free(&text);
	return found;
}

enum test_result test_autoconfig(struct test *t)
{
	static const char path[] =
		"/.well-known/autoconfig/mail/config-v1.1.xml";
	struct buf host = BUF_INIT;
	struct web_answer a;
	enum test_result ret;

	if (get(t, "", path, &a, &ret) < 0)
		return ret;
	buf_addf(&host, "<hostname>%s</hostname>", t->relay.name);
	if (a.status != 200)
		ret = wrong_status(t, &a, path, "200");
	else if (!strstr(a.body.data, host.data))
		ret = test_failed(t, "%s is not among its hosts",
				  t->relay.name);
	else if (!has_port(a.body.data, t->relay.ports[OUTSIDE_IMAPS]) ||
		 !has_port(a.body.data, t->relay.ports[OUTSIDE_SMTPS]))
		ret = test_failed(t, "not both of ports %u and %u are in it",
				  t->relay.ports[OUTSIDE_IMAPS],
				  t->relay.ports[OUTSIDE_SMTPS]);
	else
		ret = test_ok(t, "IMAP and SMTP of %s", t->relay.name);
	web_answer_free(&a);
	buf_free(&host);
	return ret;
}

/* The value of a field of the policy (RFC 8461 section 3.2), or "". */
static void policy_field(const char *policy, const char *name, struct buf *out)
{
	size_t n = strlen(name);

	buf_reset(out);
	for (const char *p = policy; *p; p += *p == '\n') {
		size_t len = strcspn(p, "\r\n");

		if (len > n && strncmp(p, name, n) == 0 && p[n] == ':') {
			char *value = xstrndup(p + n + 1, len - n - 1);

			buf_setf(out, "%s", str_trim(value));
			free(value);
			return;
		}
		p += strcspn(p, "\n");
	}
}

static enum test_result judge_policy(struct test *t, const char *policy)
{
	struct buf version = BUF_INIT, mode = BUF_INIT, mx = BUF_INIT;
	enum test_result ret;

	policy_field(policy, "version", &version);
	policy_field(policy, "mode", &mode);
	policy_field(policy, "mx", &mx);
	if (strcmp(version.data, "STSv1") != 0)
		ret = test_failed(t, "it is no policy: version is \"%s\"",
				  version.data);
	else if (strcmp(mx.data, t->relay.name) != 0)
		ret = test_failed(t, "the policy's mx is \"%s\", not %s",
				  mx.data, t->relay.name);
	else if (strcmp(mode.data, "enforce") != 0)
		ret = test_failed(t, "the policy's mode is \"%s\"", mode.data);
	else
		ret = test_ok(t, "enforce, for mail to %s", mx.data);
	buf_free(&version);
	buf_free(&mode);
	buf_free(&mx);
	return ret;
}

enum test_result test_mta_sts(struct test *t)
{
	static const char path[] = "/.well-known/mta-sts.txt";
	struct web_answer a;
	enum test_result ret;

	if (t->relay.relay->is_ipv4)
		return test_skipped(t, "the domain is an address");
	if (get(t, "mta-sts.", path, &a, &ret) < 0)
		return ret;
	if (a.status != 200)
		ret = wrong_status(t, &a, path, "200");
	else
		ret = judge_policy(t, a.body.data);
	web_answer_free(&a);
	return ret;
}
