#include "net/web.h"

#include <string.h>

#include "base/str.h"
#include "net/curl_lib.h"

static size_t on_body(char *data, size_t size, size_t n, void *userp)
{
	struct web_answer *a = userp;

	if (n > WEB_BODY_MAX - a->body.len)
		return 0;
	buf_add(&a->body, data, n);
	return n;
}

/* curl gives Location only as a whole URL. */
static size_t on_header(char *data, size_t size, size_t n, void *userp)
{
	static const char name[] = "location:";
	struct web_answer *a = userp;
	size_t len = sizeof(name) - 1;

	if (n > len && mem_eqi(data, name, len)) {
		char *value = xstrndup(data + len, n - len);

		buf_setf(&a->location, "%s", str_trim(value));
		free(value);
	}
	return n;
}

static void set_trust(CURL *easy, const struct trust *t)
{
	const char *file = getenv("SSL_CERT_FILE");
	long verify = trust_verifies(t);

	curl.easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify);
	curl.easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
	if (file && *file)
		curl.easy_setopt(easy, CURLOPT_CAINFO, file);
	if (!trust_ca_file(t))
		return;
	/* a file takes the place of curl's bundle, the directory stays */
	curl.easy_setopt(easy, CURLOPT_CAINFO, trust_ca_file(t));
	curl.easy_setopt(easy, CURLOPT_CAPATH, "/etc/ssl/certs");
}

static struct curl_slist *set_request(CURL *easy, const struct web_request *r)
{
	struct curl_slist *to = NULL;
	struct buf text = BUF_INIT;

	curl.easy_setopt(easy, CURLOPT_URL, r->url);
	curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(r->secs * 1000.));
	curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl.easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl.easy_setopt(easy, CURLOPT_USERAGENT, "chatmail/" CHATMAIL_VERSION);
	if (r->post)
		curl.easy_setopt(easy, CURLOPT_POSTFIELDS, "");
	if (r->connect_to || r->port) {
		const char *host = r->connect_to ? r->connect_to : "";
		bool is_ipv6 = strchr(host, ':');

		buf_addf(&text, "::%s%s%s:", is_ipv6 ? "[" : "", host,
			 is_ipv6 ? "]" : "");
		if (r->port)
			buf_addf(&text, "%u", r->port);
		to = curl.slist_append(NULL, text.data);
		curl.easy_setopt(easy, CURLOPT_CONNECT_TO, to);
		buf_free(&text);
	}
	return to;
}

static int perform(CURL *easy, struct web_answer *a, struct buf *err)
{
	char why[CURL_ERROR_SIZE] = "";
	CURLcode code;
	char *type = NULL;

	curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, why);
	curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl.easy_setopt(easy, CURLOPT_WRITEDATA, a);
	curl.easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl.easy_setopt(easy, CURLOPT_HEADERDATA, a);
	code = curl.easy_perform(easy);
	if (code != CURLE_OK) {
		buf_setf(err, "%s", *why ? why : curl.easy_strerror(code));
		return -1;
	}
	curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &a->status);
	curl.easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
	buf_adds(&a->type, type ? type : "");
	return 0;
}

int web_ask(struct web_answer *a, const struct web_request *r, struct buf *err)
{
	struct curl_slist *to;
	CURL *easy;
	int ret;

	*a = (struct web_answer){ .body = BUF_INIT, .type = BUF_INIT,
				  .location = BUF_INIT };
	if (curl_lib_load(err) < 0)
		return -1;
	easy = curl.easy_init();
	if (!easy) {
		buf_setf(err, "curl does not start");
		return -1;
	}
	to = set_request(easy, r);
	set_trust(easy, r->trust);
	ret = perform(easy, a, err);
	curl.easy_cleanup(easy);
	curl.slist_free_all(to);
	return ret;
}

void web_answer_free(struct web_answer *a)
{
	buf_free(&a->body);
	buf_free(&a->type);
	buf_free(&a->location);
}
