/* What dns is made of: addresses, facts, the lines of a zone file. With
 * "INI SERVER PORT" it prints what dns_precheck() has to say. */
#include "tap.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/str.h"
#include "relay/dns_check.h"
#include "relay/host_addresses.h"

/* ---- addresses of servers ------------------------------------------------------- */

static const struct {
	const char *text;
	const char *want;	/* as shown, NULL: refused */
} servers[] = {
	{ "127.0.0.1", "127.0.0.1" },
	{ "127.0.0.1:53", "127.0.0.1" },
	{ "127.0.0.1:5353", "127.0.0.1:5353" },
	{ "::1", "::1" },
	{ "[::1]", "::1" },
	{ "[::1]:53", "::1" },
	{ "[2001:DB8::1]:5353", "[2001:db8::1]:5353" },
	{ "", NULL },
	{ "ns.example", NULL },
	{ "127.0.0.1:", NULL },
	{ "127.0.0.1:0", NULL },
	{ "127.0.0.1:65536", NULL },
	{ "127.0.0.1:53x", NULL },
	{ "[127.0.0.1]:53", NULL },
	{ "[::1", NULL },
	{ "[::1]53", NULL },
	{ "127.0.0.1.1", NULL },
};

static void test_servers(void)
{
	struct dns_address a;
	struct buf got = BUF_INIT, err = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		int ret = dns_address_parse(&a, servers[i].text, 53, &err);

		buf_reset(&got);
		if (ret == 0)
			dns_address_show(&got, &a);
		tap_is(ret < 0 ? NULL : got.data, servers[i].want,
		       servers[i].text);
	}
	tap_ok(dns_address_parse(&a, "192.0.2.1", 99, &err) == 0 &&
	       a.port == 99, "the port of an address without one");
	buf_free(&got);
	buf_free(&err);
}

static const struct {
	const char *text;
	bool is_public;
} hosts[] = {
	{ "0.0.0.0", false }, { "9.255.255.255", true },
	{ "10.0.0.1", false }, { "11.0.0.0", true },
	{ "100.63.255.255", true }, { "100.64.0.1", false },
	{ "100.127.255.255", false }, { "100.128.0.0", true },
	{ "127.1.2.3", false }, { "169.254.1.1", false },
	{ "172.15.255.255", true }, { "172.16.0.1", false },
	{ "172.31.255.255", false }, { "172.32.0.0", true },
	{ "192.168.1.1", false }, { "192.169.0.0", true },
	{ "203.0.113.5", true }, { "223.255.255.255", true },
	{ "224.0.0.1", false }, { "255.255.255.255", false },
	{ "::", false }, { "::1", false }, { "::ffff:203.0.113.5", false },
	{ "2001:db8::1", true }, { "fc00::1", false }, { "fdff::1", false },
	{ "fe80::1", false }, { "febf::1", false }, { "fec0::1", true },
	{ "ff02::1", false }, { "2a01:4f8::2", true },
};

static void test_hosts(void)
{
	unsigned char bytes[16];

	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		int family = strchr(hosts[i].text, ':') ? AF_INET6 : AF_INET;

		inet_pton(family, hosts[i].text, bytes);
		tap_ok(host_address_is_public(family, bytes) ==
		       hosts[i].is_public, "%s is %spublic", hosts[i].text,
		       hosts[i].is_public ? "" : "not ");
	}
}

/* ---- facts ---------------------------------------------------------------------- */

static void test_facts(const char *json, const char *want)
{
	struct dns_facts f;
	struct buf out = BUF_INIT, err = BUF_INIT;

	if (dns_facts_parse(&f, json, strlen(json), &err) < 0)
		buf_adds(&out, err.data);
	else
		dns_facts_print(&out, &f);
	tap_is(out.data, want, json);
	dns_facts_free(&f);
	buf_free(&out);
	buf_free(&err);
}

#define EMPTY "{\"ipv4\":[],\"ipv6\":[],\"dkim\":{}," \
	"\"acme_account_url\":null,\"probe\":null}\n"
#define ED25519 "{\"dkim\":{\"ed25519\":\"k=ed25519;p=" \
	"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"}}"

static void test_all_facts(void)
{
	test_facts("{}", EMPTY);
	test_facts("{\"unknown\":1,\"dkim\":null,\"ipv4\":null}", EMPTY);
	test_facts("{\"ipv4\":[\"192.0.2.1\"],\"ipv6\":[\"2001:DB8:0:0::1\"],"
		   "\"acme_account_url\":\"https://a.example/1\",\"probe\":"
		   "\"a\\r\\nb\"}",
		   "{\"ipv4\":[\"192.0.2.1\"],\"ipv6\":[\"2001:db8::1\"],"
		   "\"dkim\":{},\"acme_account_url\":\"https://a.example/1\","
		   "\"probe\":\"a\\u000d\\nb\"}\n");
	test_facts(ED25519, "{\"ipv4\":[],\"ipv6\":[],\"dkim\":{\"ed25519\":"
		   "\"k=ed25519;p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
		   "\"},\"acme_account_url\":null,\"probe\":null}\n");
	test_facts("{\"acme_account_url\":\"ftp://a.example\"}",
		   "acme_account_url: expected a URL");
	test_facts("{\"acme_account_url\":\"https://a.example/;x\"}",
		   "acme_account_url: expected a URL");
	test_facts("{\"ipv4\":[1]}",
		   "ipv4: expected at most 16 IPv4 addresses");
	test_facts("{\"dkim\":{\"opendkim\":\"v=DKIM1;p=\"}}",
		   "dkim: opendkim: key is revoked");
}

/* ---- the check before a deployment ----------------------------------------------- */

static int precheck(char **argv)
{
	struct buf err = BUF_INIT, warnings = BUF_INIT, problems = BUF_INIT;
	struct relay *r = relay_load(argv[1], &warnings, &err);
	struct authority a;
	size_t count, lines = 0;

	if (!r || authority_init(&a, argv[2], (unsigned)strtoul(argv[3], NULL,
								10), &err) < 0) {
		puts(err.data);
		return 1;
	}
	count = dns_precheck(r, &a, &problems);
	fputs(problems.data, stdout);
	for (const char *p = problems.data; (p = strchr(p, '\n')); p++)
		lines++;
	authority_free(&a);
	relay_free(r);
	buf_free(&err);
	buf_free(&warnings);
	buf_free(&problems);
	return count == lines ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 4)
		return precheck(argv);
	test_servers();
	test_hosts();
	test_all_facts();
	return tap_done();
}
