/* chatmail firewall: rules for exactly the ports that a relay opens. */
#include "applets/firewall.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "applet.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "host/relay_ports.h"
#include "relay/reload.h"

/* ---- what is open ----------------------------------------------------------- */

static void add(struct firewall *f, struct firewall_port port,
		const char *address)
{
	if (f->count == FIREWALL_PORTS_MAX)
		bug("too many open ports");
	port.address = arena_strdup(&f->arena, address);
	f->ports[f->count++] = port;
}

/* The services listen on IPv4 alone where chatmail.ini says so. */
static unsigned families(const struct layout *l, const char *address)
{
	if (*address)
		return strchr(address, ':') ? FIREWALL_IPV6 : FIREWALL_IPV4;
	return l->relay->s.disable_ipv6 ? FIREWALL_IPV4 :
					  FIREWALL_IPV4 | FIREWALL_IPV6;
}

static void add_relay(struct firewall *f, const struct layout *l)
{
	struct buf address = BUF_INIT;
	size_t count;
	const struct relay_port *p = relay_ports(&count);

	for (size_t i = 0; i < count; i++) {
		struct firewall_port port = {
			.proto = p[i].proto == PORT_TCP ? "tcp" : "udp",
			.about = p[i].about,
		};

		if (!relay_port_is_open(&p[i], l, &address))
			continue;
		relay_port_numbers(&p[i], l, &port.first, &port.last);
		port.families = families(l, address.data);
		add(f, port, address.data);
	}
	buf_free(&address);
}

/* Ports by commas. */
static int add_ssh(struct firewall *f, const char *list, struct buf *err)
{
	for (const char *s = list;; s++) {
		size_t n = strcspn(s, ",");
		char *text = xstrndup(s, n);
		uint64_t port = 0;
		int ret = str_to_u64(text, &port);

		free(text);
		if (ret < 0 || port < 1 || port > UINT16_MAX) {
			buf_setf(err, "--ssh-port: expected a port, got "
				 "\"%s\"", list);
			return -1;
		}
		add(f, (struct firewall_port){
			.proto = "tcp", .about = "SSH",
			.first = (unsigned)port, .last = (unsigned)port,
			.families = FIREWALL_IPV4 | FIREWALL_IPV6 }, "");
		s += n;
		if (!*s)
			return 0;
	}
}

/* ---- JSON ------------------------------------------------------------------- */

static void add_json(cJSON *list, const struct firewall_port *p)
{
	cJSON *o = cJSON_CreateObject(), *families;

	cJSON_AddStringToObject(o, "protocol", p->proto);
	cJSON_AddNumberToObject(o, "first", p->first);
	cJSON_AddNumberToObject(o, "last", p->last);
	cJSON_AddStringToObject(o, "address", p->address);
	families = cJSON_AddArrayToObject(o, "families");
	if (p->families & FIREWALL_IPV4)
		cJSON_AddItemToArray(families, cJSON_CreateString("ipv4"));
	if (p->families & FIREWALL_IPV6)
		cJSON_AddItemToArray(families, cJSON_CreateString("ipv6"));
	cJSON_AddStringToObject(o, "about", p->about);
	cJSON_AddItemToArray(list, o);
}

static void write_json(const struct firewall *f, struct buf *out)
{
	cJSON *o = cJSON_CreateObject(), *list;
	char *text;

	list = cJSON_AddArrayToObject(o, "open");
	for (size_t i = 0; i < f->count; i++)
		add_json(list, &f->ports[i]);
	text = cJSON_Print(o);
	buf_addf(out, "%s\n", text);
	cJSON_free(text);
	cJSON_Delete(o);
}

/* ---- the command line ------------------------------------------------------- */

struct forms {
	bool nft, iptables, ip6tables, json;
};

static void print(const struct firewall *f, const struct forms *forms)
{
	struct buf out = BUF_INIT;

	if (forms->json)
		write_json(f, &out);
	else if (forms->iptables || forms->ip6tables)
		firewall_write_iptables(f, forms->iptables ? FIREWALL_IPV4 :
					FIREWALL_IPV6, &out);
	else
		firewall_write_nft(f, &out);
	fputs(out.data, stdout);
	buf_free(&out);
}

static int firewall_main(int argc, char **argv)
{
	struct forms o = { 0 };
	const char *ssh = "22", *config = NULL;
	const struct opt opts[] = {
		{ "nft", NULL, &o.nft }, { "iptables", NULL, &o.iptables },
		{ "ip6tables", NULL, &o.ip6tables }, { "json", NULL, &o.json },
		{ "ssh-port", &ssh, NULL }, { "config", &config, NULL }, { 0 },
	};
	struct firewall f = { 0 };
	struct buf err = BUF_INIT;
	struct layout l;
	struct relay *r;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc > 2 || (argc == 2 && config))
		buf_setf(&err, "at most one INI is needed");
	else if (argc > 0 && o.nft + o.iptables + o.ip6tables + o.json > 1)
		buf_setf(&err, "one form at a time");
	if (argc < 0 || err.len || add_ssh(&f, ssh, &err) < 0) {
		ret = applet_usage(&applet_firewall, "%s", err.data);
		buf_free(&err);
		arena_free(&f.arena);
		return ret;
	}
	r = relay_load_or_die(relay_ini_of_operator(config ? config :
						    argv[1]));
	layout_init(&l, r);
	f.domain = r->mail_domain_bare;
	add_relay(&f, &l);
	print(&f, &o);
	layout_free(&l);
	arena_free(&f.arena);
	relay_free(r);
	return EXIT_OK;
}

DEFINE_APPLET(firewall) {
	.name = "firewall",
	.summary = "print firewall rules for the ports that the relay opens",
	.args = "[--iptables|--ip6tables|--json] [--ssh-port PORT] [INI]",
	.help =
"Prints rules that let in what the relay serves by its chatmail.ini, SSH, and\n"
"what IP itself needs, and drop all else that comes in. What goes out and what is\n"
"routed is left alone. Nothing is loaded: read them first.\n"
"\n"
"  --nft             for nft -f, the default. They replace a table of their own,\n"
"                    \"inet chatmail\", and no other; what takes them away is\n"
"                    nft delete table inet chatmail\n"
"  --iptables        for iptables-restore: IPv4's whole table filter\n"
"  --ip6tables       the same of IPv6, for ip6tables-restore\n"
"  --json            the open ports as a JSON object\n"
"  --ssh-port PORT   where sshd listens, several by commas; default 22\n"
"\n"
"Connections of this machine to an own address other than 127.0.0.1 and ::1 get\n"
"no further than those from outside: who calls over TURN may send there.\n"
"\n"
"INI, or --config INI, defaults to $CHATMAIL_INI, else ./chatmail.ini, else\n"
"/etc/chatmail/chatmail.ini.\n"
"\n"
"Example: chatmail firewall > /etc/nftables.conf &&\n"
"         systemctl enable nftables && systemctl restart nftables\n",
	.main = firewall_main,
};
