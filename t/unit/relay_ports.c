/* The table of ports: its names are there, and what is open follows. */
#include "tap.h"

#include <string.h>

#include "base/str.h"
#include "host/relay_ports.h"
#include "host/relay_services.h"

static const struct {
	const char *setting, *value;
	const char *want;	/* of nginx_metrics_port; NULL: not open */
} addresses[] = {
	{ "metrics_address", "", NULL },
	{ "metrics_address", "127.0.0.1", NULL },
	{ "metrics_address", "127.1.2.3", NULL },
	{ "metrics_address", "0.0.0.0", NULL },
	{ "metrics_address", "[::]", NULL },
	{ "metrics_address", "[::1]", NULL },
	{ "metrics_address", "a name", NULL },
	{ "metrics_address", "10.1.2.3", "10.1.2.3" },
	{ "metrics_address", "[fd00::5]", "fd00::5" },
	{ "metrics_address", "fd00::5", "fd00::5" },
};

static struct relay *relay_of(const char *setting, const char *value)
{
	struct buf text = BUF_INIT, warnings = BUF_INIT, err = BUF_INIT;
	struct relay *r;

	buf_addf(&text, "[params]\nmail_domain = chat.example\n%s = %s\n",
		 setting, value);
	r = relay_parse("chatmail.ini", text.data, text.len, &warnings, &err);
	tap_ok(r != NULL, "%s = %s%s", setting, value, err.data);
	buf_free(&text);
	buf_free(&warnings);
	buf_free(&err);
	return r;
}

static void test_rows(const struct layout *l)
{
	size_t count;
	const struct relay_port *p = relay_ports(&count);
	unsigned first, last;

	for (size_t i = 0; i < count; i++) {
		relay_port_numbers(&p[i], l, &first, &last);
		tap_ok(first > 0 && first <= last && last <= 65535 &&
		       (first == last) == !p[i].last, "%s: %u to %u",
		       p[i].first, first, last);
		tap_ok(!strpbrk(p[i].about, "\"\\\n"), "%s: %s", p[i].first,
		       p[i].about);
		tap_ok(!p[i].service || relay_service_find(p[i].service),
		       "%s: its service is one", p[i].first);
		tap_ok(p[i].reach != PORT_ADDRESS || p[i].when,
		       "%s: its address is a setting", p[i].first);
		relay_port_is_used(&p[i], l);
	}
}

static void test_addresses(void)
{
	struct buf address = BUF_INIT;
	size_t count;
	const struct relay_port *p = relay_ports(&count);

	while (strcmp(p->first, "nginx_metrics_port") != 0)
		p++;
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		struct relay *r = relay_of(addresses[i].setting,
					   addresses[i].value);
		const char *want = addresses[i].want;
		struct layout l;

		layout_init(&l, r);
		tap_ok(relay_port_is_open(p, &l, &address) == (want != NULL),
		       "figures on \"%s\"", addresses[i].value);
		if (want)
			tap_is(address.data, want, "are there");
		if (i == 0)
			test_rows(&l);
		layout_free(&l);
		relay_free(r);
	}
	buf_free(&address);
}

int main(void)
{
	test_addresses();
	return tap_done();
}
