/* chatmail dns: the relay's DNS records, checked and written. */
#include "applets/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "applet.h"
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "host/remote.h"
#include "relay/reload.h"

struct options {
	const char *zonefile, *facts, *keys, *server, *port, *config;
	const char *ipv4, *ipv6, *host, *identity;
	bool json, collect;
};

/* ---- the facts --------------------------------------------------------------------- */

static int read_stdin(struct buf *out)
{
	for (;;) {
		ssize_t n;

		buf_reserve(out, 65536);
		n = read(STDIN_FILENO, out->data + out->len, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		out->len += (size_t)n;
		out->data[out->len] = '\0';
		if (out->len > DNS_FACTS_BYTES_MAX) {
			errno = EFBIG;
			return -1;
		}
	}
}

static void read_facts(struct dns_facts *f, const char *file)
{
	struct buf text = BUF_INIT, err = BUF_INIT;
	int ret = strcmp(file, "-") == 0 ? read_stdin(&text) :
		  file_read(file, DNS_FACTS_BYTES_MAX, &text);

	if (ret < 0)
		die_errno("%s", file);
	if (dns_facts_parse(f, text.data, text.len, &err) < 0)
		die("%s: %s", file, err.data);
	buf_free(&text);
}

/* As the program on the relay tells them. */
static int ask_relay(struct dns_facts *f, const struct relay *r,
		     const struct options *o, struct buf *err)
{
	const char *host = o->host ? o->host : r->mail_domain_bare;
	struct buf text = BUF_INIT;
	int code, ret;

	ret = remote_ask(host, o->identity, "dns --collect",
			 DNS_FACTS_BYTES_MAX, &text, &code, err);
	if (ret == 0)
		ret = dns_facts_parse(f, text.data, text.len, err);
	buf_free(&text);
	return ret;
}

/* This host is the relay if it has the keys; if not, the relay is asked, and
 * if it cannot be, less can be checked. */
static void collect_facts(struct dns_facts *f, const struct relay *r,
			  const struct options *o)
{
	struct buf err = BUF_INIT;
	bool elsewhere = o->host && !remote_is_here(o->host);

	if (elsewhere) {
		if (ask_relay(f, r, o, &err) < 0)
			die("%s", err.data);
	} else if (dns_facts_collect(f, r, o->keys ? o->keys : DKIMKEY_DIR,
				     &err) < 0) {
		if (errno != ENOENT && errno != EACCES)
			die("%s", err.data);
		/* whose keys or host was named is this one */
		if (o->keys || o->host || ask_relay(f, r, o, &err) < 0)
			log_warn("%s: run this on the relay, or pass "
				 "--ssh-host or --facts; addresses and key are "
				 "not compared now", err.data);
	}
	buf_free(&err);
}

static void set_address(struct dns_facts *f, int family, const char *text)
{
	struct dns_addresses *a = family == AF_INET ? &f->ipv4 : &f->ipv6;

	if (!text)
		return;
	a->count = 0;
	a->is_certain = true;
	if (dns_facts_add_address(f, family, text) < 0)
		die("--%s: expected an address, got \"%s\"",
		    family == AF_INET ? "ipv4" : "ipv6", text);
}

static void get_facts(struct dns_facts *f, const struct relay *r,
		      const struct options *o)
{
	if (o->facts)
		read_facts(f, o->facts);
	else if (!r->is_ipv4)
		collect_facts(f, r, o);
	set_address(f, AF_INET, o->ipv4);
	set_address(f, AF_INET6, o->ipv6);
}

/* On the relay: what the others need to know. */
static int print_facts(const struct relay *r, const struct options *o)
{
	struct dns_facts f = { 0 };
	struct buf out = BUF_INIT, err = BUF_INIT;

	if (!r->is_ipv4 && dns_facts_collect(&f, r, o->keys ?
						o->keys : DKIMKEY_DIR, &err) < 0)
		die("%s", err.data);
	set_address(&f, AF_INET, o->ipv4);
	set_address(&f, AF_INET6, o->ipv6);
	dns_facts_print(&out, &f);
	fputs(out.data, stdout);
	dns_facts_free(&f);
	buf_free(&out);
	buf_free(&err);
	return EXIT_OK;
}

/* ---- the zone file ------------------------------------------------------------------- */

static int write_zonefile(const struct dns_check *c, const char *file)
{
	struct buf text = BUF_INIT;
	int ret = EXIT_OK;

	dns_check_zonefile(&text, c);
	if (strcmp(file, "-") == 0) {
		fputs(text.data, stdout);
	} else if (file_replace(file, text.data, text.len, 0644, 0) < 0) {
		log_warn("%s: %s", file, strerror(errno));
		ret = EXIT_FAIL;
	} else {
		printf("DNS records written to %s\n", file);
	}
	for (size_t i = 0; i < c->records.count && ret == EXIT_OK; i++) {
		const struct dns_record *rec = c->results[i].record;

		if (rec && !rec->value)
			log_warn("%s %s is a comment in it, as this is not "
				 "known: %s", rec->name,
				 dns_type_name(rec->type), rec->unknown);
	}
	buf_free(&text);
	return ret;
}

static int run(const struct relay *r, const struct options *o,
	       struct authority *a)
{
	struct dns_facts f = { 0 };
	struct dns_check c;
	int ret;

	get_facts(&f, r, o);
	dns_check_run(&c, r, &f, a, (long long)time(NULL));
	if (o->zonefile && !r->is_ipv4) {
		ret = write_zonefile(&c, o->zonefile);
	} else {
		if (o->json)
			dns_print_json(&c);
		else
			dns_print(&c);
		ret = dns_check_passed(&c) ? EXIT_OK : EXIT_FAIL;
	}
	dns_check_free(&c);
	dns_facts_free(&f);
	return ret;
}

/* ---- the command line ---------------------------------------------------------------- */

static int apply(const struct options *o, struct authority *a, struct buf *err)
{
	uint64_t port = DNS_PORT;

	if (o->port && (str_to_u64(o->port, &port) < 0 || !port ||
			port > UINT16_MAX)) {
		buf_setf(err, "--dns-port: expected a port, got \"%s\"",
			 o->port);
		return -1;
	}
	if (authority_init(a, o->server, (unsigned)port, err) < 0) {
		buf_prefixf(err, "--dns-server: ");
		return -1;
	}
	return 0;
}

static int dns_main(int argc, char **argv)
{
	struct options o = { 0 };
	const struct opt opts[] = {
		{ "zonefile", &o.zonefile, NULL }, { "json", NULL, &o.json },
		{ "facts", &o.facts, NULL }, { "collect", NULL, &o.collect },
		{ "keys", &o.keys, NULL }, { "config", &o.config, NULL },
		{ "ipv4", &o.ipv4, NULL }, { "ipv6", &o.ipv6, NULL },
		{ "dns-server", &o.server, NULL },
		{ "dns-port", &o.port, NULL },
		{ "ssh-host", &o.host, NULL }, { "i", &o.identity, NULL },
		{ 0 },
	};
	struct buf err = BUF_INIT;
	struct authority a;
	struct relay *r;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc > 2 || (argc == 2 && o.config))
		buf_setf(&err, "at most one INI is needed");
	else if (argc > 0 && o.collect && (o.facts || o.zonefile || o.json))
		buf_setf(&err, "--collect goes without the others");
	if (argc < 0 || err.len || apply(&o, &a, &err) < 0) {
		ret = applet_usage(&applet_dns, "%s", err.data);
		buf_free(&err);
		return ret;
	}
	r = relay_load_or_die(relay_ini_of_operator(o.config ? o.config :
						    argv[1]));
	ret = o.collect ? print_facts(r, &o) : run(r, &o, &a);
	authority_free(&a);
	relay_free(r);
	return ret;
}

DEFINE_APPLET(dns) {
	.name = "dns",
	.summary = "check the relay's DNS records, or write a zone file",
	.args = "[--json] [--zonefile FILE] [--facts FILE] [OPTION...] [INI]",
	.help =
"Asks the name servers of the domain themselves, so that no cache hides what has\n"
"changed, compares what they say by its meaning, and prints the records that are\n"
"missing or wrong. The exit code is 0 when all that is required is right; what is\n"
"recommended is only told of. A message signed with the relay's keys has to be\n"
"valid by the keys in the DNS.\n"
"\n"
"  --zonefile FILE     write all records as a zone file instead (- is stdout),\n"
"                      without SOA and NS; what is not known is a comment in it\n"
"  --json              print the result as a JSON object\n"
"  --ssh-host HOST     where the relay is, [user@]host[:port]; default root at\n"
"                      mail_domain, or this host if it has the keys. localhost\n"
"                      is this host; -i FILE is the private key to log in with\n"
"  --facts FILE        what --collect printed on the relay; - is stdin\n"
"  --collect           print what only the relay knows: its addresses, the record\n"
"                      of its DKIM key, its ACME account, a signed message\n"
"  --keys DIR          the relay's keys; default /etc/dkimkeys\n"
"  --ipv4, --ipv6 ADDRESS   the relay's public address. Without it, one in the\n"
"                      DNS that the relay's host does not have is told of without\n"
"                      failing, as it may be that of a proxy\n"
"  --dns-server ADDRESS[:PORT]   who tells which name servers the domain has;\n"
"                      default: those of /etc/resolv.conf\n"
"  --dns-port PORT     port of the domain's name servers; default 53\n"
"\n"
"INI, or --config INI, defaults to $CHATMAIL_INI, else ./chatmail.ini, else\n"
"/etc/chatmail/chatmail.ini.\n"
"\n"
"Example: chatmail dns --ssh-host root@chat.example.org\n",
	.main = dns_main,
};
