#include "relay/dns_facts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/rand.h"
#include "base/str.h"
#include "relay/dkimsign.h"
#include "relay/host_addresses.h"
#include "text/json.h"

enum { ACCOUNT_FILE_MAX = 4096, URL_MAX = 1024, PROBE_MAX = 64 * 1024 };

void dns_facts_free(struct dns_facts *f)
{
	arena_free(&f->arena);
	memset(f, 0, sizeof(*f));
}

int dns_facts_add_address(struct dns_facts *f, int family, const char *text)
{
	struct dns_addresses *a = family == AF_INET ? &f->ipv4 : &f->ipv6;
	unsigned char bytes[16];
	char canonical[INET6_ADDRSTRLEN];

	if (inet_pton(family, text, bytes) != 1 ||
	    a->count == DNS_FACTS_ADDRESSES)
		return -1;
	inet_ntop(family, bytes, canonical, sizeof(canonical));
	a->text[a->count++] = arena_strdup(&f->arena, canonical);
	return 0;
}

/* It goes into a zone file and between quotes. */
static bool is_url(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~' || strchr("\"\\;<>", s[i]))
			return false;
	return n <= URL_MAX && (str_starts(s, "https://") ||
				str_starts(s, "http://"));
}

/* ---- the ACME account ------------------------------------------------------------ */

/* Find a URL that stands behind mark, up to white space. */
static bool take_url(struct dns_facts *f, const char *text, const char *mark)
{
	const char *at = strstr(text, mark);
	char *url;

	if (!at)
		return false;
	at += strlen(mark);
	url = arena_strndup(&f->arena, at, strcspn(at, " \t\r\n"));
	if (!is_url(url))
		return false;
	f->acme_account_url = url;
	return true;
}

/* Programs that know it, what they say before it, and their exit code then.
 * uacme asks the authority. It refuses to make an account that there is, and
 * makes none as nobody accepts the terms. */
static const struct {
	const char *argv[8];
	const char *mark;
	int code;
} account_programs[] = {
	{ { "acmetool", "account-url" }, "", 0 },
	{ { "uacme", "-v", "-n", "new" }, "Account already exists at ", 2 },
};

static void collect_account(struct dns_facts *f)
{
	struct buf out = BUF_INIT, err = BUF_INIT, path = BUF_INIT;

	if (file_read(DNS_FACTS_ACCOUNT_FILE, ACCOUNT_FILE_MAX, &out) == 0)
		take_url(f, out.data, "");
	for (size_t i = 0; i < ARRAY_LEN(account_programs) &&
	     !f->acme_account_url; i++) {
		struct proc_spec spec = { .argv = account_programs[i].argv };

		buf_reset(&path);
		buf_reset(&out);
		if (proc_find(spec.argv[0], &path) < 0)
			continue;
		spec.file = path.data;
		if (proc_run(&spec, &out, &err) == account_programs[i].code)
			take_url(f, out.data, account_programs[i].mark);
	}
	buf_free(&out);
	buf_free(&err);
	buf_free(&path);
}

/* ---- keys and the message signed with them ---------------------------------------- */

static int collect_records(struct dns_facts *f, const struct dkimsign_keys *k,
			   struct buf *err)
{
	struct buf record = BUF_INIT;
	int ret = 0;

	for (size_t i = 0; i < DKIMKEY_KINDS && ret == 0; i++) {
		if (!k->has[i])
			continue;
		buf_reset(&record);
		ret = dkim_key_record(&k->keys[i], &record, err);
		f->dkim[i] = arena_strdup(&f->arena, record.data);
	}
	buf_free(&record);
	return ret;
}

static void add_header(struct buf *head, struct dkim_signer *s,
		       const char *name, const char *value)
{
	size_t before = head->len;

	buf_addf(head, "%s: %s\r\n", name, value);
	dkim_signer_header(s, head->data + before, head->len - before);
}

static void write_probe(struct buf *head, struct dkim_signer *s,
			const char *domain, const char *body)
{
	struct buf text = BUF_INIT;
	char date[64], id[17];
	time_t now = time(NULL);
	struct tm tm;

	/* the C locale: no applet sets another */
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000",
		 gmtime_r(&now, &tm));
	rand_string(id, sizeof(id) - 1, "abcdefghijklmnopqrstuvwxyz");
	buf_addf(&text, "postmaster@%s", domain);
	add_header(head, s, "From", text.data);
	add_header(head, s, "To", text.data);
	add_header(head, s, "Subject", "DNS check");
	add_header(head, s, "Date", date);
	buf_setf(&text, "<%s@%s>", id, domain);
	add_header(head, s, "Message-ID", text.data);
	add_header(head, s, "Content-Type", "text/plain");
	dkim_signer_eoh(s);
	dkim_signer_body(s, body, strlen(body));
	dkim_signer_eom(s);
	buf_free(&text);
}

static int collect_probe(struct dns_facts *f, const struct dkimsign_keys *k,
			 const char *domain, struct buf *err)
{
	static const char body[] = "Is this signature valid?\r\n";
	struct buf head = BUF_INIT, field = BUF_INIT;
	struct dkim_signer s;
	size_t i = 0;
	int ret;

	dkim_signer_init(&s);
	write_probe(&head, &s, domain, body);
	while ((ret = dkimsign_next(k, &i, &s, domain, (uint64_t)time(NULL),
				    &field, err)) > 0) {
		buf_prefixf(&head, "%s\r\n", field.data);
		buf_reset(&field);
	}
	f->probe = arena_printf(&f->arena, "%s\r\n%s", head.data, body);
	dkim_signer_free(&s);
	buf_free(&head);
	buf_free(&field);
	return ret;
}

int dns_facts_collect(struct dns_facts *f, const struct relay *r,
		      const char *keys_dir, struct buf *err)
{
	struct dkimsign_keys keys;
	int ret, saved;

	memset(f, 0, sizeof(*f));
	if (dkimsign_load(&keys, keys_dir, err) < 0)
		return -1;
	ret = collect_records(f, &keys, err);
	if (ret == 0)
		ret = collect_probe(f, &keys, r->mail_domain_bare, err);
	dkimsign_free(&keys);
	if (ret == 0)
		ret = host_addresses(f, err);
	if (ret == 0 && r->tls_mode == TLS_ACME)
		collect_account(f);
	saved = ret < 0 ? EIO : 0;
	if (ret < 0)
		dns_facts_free(f);
	errno = saved;
	return ret;
}

/* ---- JSON -------------------------------------------------------------------------- */

static void print_addresses(struct buf *out, const char *name,
			    const struct dns_addresses *a)
{
	buf_addf(out, "\"%s\":[", name);
	for (size_t i = 0; i < a->count; i++) {
		buf_adds(out, i ? "," : "");
		buf_add_json(out, a->text[i]);
	}
	buf_adds(out, "],");
}

static void print_text(struct buf *out, const char *name, const char *text)
{
	buf_addf(out, "\"%s\":", name);
	if (text)
		buf_add_json(out, text);
	else
		buf_adds(out, "null");
}

void dns_facts_print(struct buf *out, const struct dns_facts *f)
{
	bool first = true;

	buf_addc(out, '{');
	print_addresses(out, "ipv4", &f->ipv4);
	print_addresses(out, "ipv6", &f->ipv6);
	buf_adds(out, "\"dkim\":{");
	for (size_t i = 0; i < DKIMKEY_KINDS; i++) {
		if (!f->dkim[i])
			continue;
		buf_adds(out, first ? "" : ",");
		print_text(out, dkimkey_kinds[i].selector, f->dkim[i]);
		first = false;
	}
	buf_adds(out, "},");
	print_text(out, "acme_account_url", f->acme_account_url);
	buf_addc(out, ',');
	print_text(out, "probe", f->probe);
	buf_adds(out, "}\n");
}

/* A member that is a string, null or missing: *text becomes NULL then. */
static int get_text(struct dns_facts *f, const cJSON *object, const char *name,
		    const char **text, struct buf *err)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, name);

	*text = NULL;
	if (!v || cJSON_IsNull(v))
		return 0;
	if (!cJSON_IsString(v)) {
		buf_setf(err, "%s: expected a string", name);
		return -1;
	}
	*text = arena_strdup(&f->arena, v->valuestring);
	return 0;
}

static int get_addresses(struct dns_facts *f, const cJSON *object,
			 const char *name, int family, struct buf *err)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, name), *v;

	if (!list || cJSON_IsNull(list))
		return 0;
	if (!cJSON_IsArray(list)) {
		buf_setf(err, "%s: expected an array", name);
		return -1;
	}
	cJSON_ArrayForEach(v, list) {
		if (!cJSON_IsString(v) ||
		    dns_facts_add_address(f, family, v->valuestring) < 0) {
			buf_setf(err, "%s: expected at most %d %s addresses",
				 name, DNS_FACTS_ADDRESSES,
				 family == AF_INET ? "IPv4" : "IPv6");
			return -1;
		}
	}
	return 0;
}

static int get_keys(struct dns_facts *f, const cJSON *object, struct buf *err)
{
	const cJSON *dkim = cJSON_GetObjectItemCaseSensitive(object, "dkim");

	if (!dkim || cJSON_IsNull(dkim))
		return 0;
	if (!cJSON_IsObject(dkim)) {
		buf_setf(err, "dkim: expected an object");
		return -1;
	}
	for (size_t i = 0; i < DKIMKEY_KINDS; i++) {
		const char *selector = dkimkey_kinds[i].selector, *why;
		struct dkim_key key;

		if (get_text(f, dkim, selector, &f->dkim[i], err) < 0)
			return -1;
		if (!f->dkim[i])
			continue;
		why = dkim_key_parse(&key, f->dkim[i], strlen(f->dkim[i]));
		dkim_key_free(&key);
		if (why) {
			buf_setf(err, "dkim: %s: %s", selector, why);
			return -1;
		}
	}
	return 0;
}

static int get_all(struct dns_facts *f, const cJSON *object, struct buf *err)
{
	if (!cJSON_IsObject(object)) {
		buf_setf(err, "expected an object");
		return -1;
	}
	if (get_addresses(f, object, "ipv4", AF_INET, err) < 0 ||
	    get_addresses(f, object, "ipv6", AF_INET6, err) < 0 ||
	    get_keys(f, object, err) < 0 ||
	    get_text(f, object, "acme_account_url", &f->acme_account_url,
		     err) < 0 ||
	    get_text(f, object, "probe", &f->probe, err) < 0)
		return -1;
	if (f->acme_account_url && !is_url(f->acme_account_url)) {
		buf_setf(err, "acme_account_url: expected a URL");
		return -1;
	}
	if (f->probe && strlen(f->probe) > PROBE_MAX) {
		buf_setf(err, "probe: expected at most %d bytes", PROBE_MAX);
		return -1;
	}
	return 0;
}

int dns_facts_parse(struct dns_facts *f, const char *json, size_t n,
		    struct buf *err)
{
	cJSON *object;
	int ret = -1;

	memset(f, 0, sizeof(*f));
	if (n > DNS_FACTS_BYTES_MAX) {
		buf_setf(err, "more than %d bytes", DNS_FACTS_BYTES_MAX);
		return -1;
	}
	object = json_parse(json, n, err);
	if (object)
		ret = get_all(f, object, err);
	cJSON_Delete(object);
	if (ret < 0)
		dns_facts_free(f);
	return ret;
}
