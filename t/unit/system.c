/* Which systems can be a relay, and what is elsewhere there. */
#include "tap.h"

#include "base/buf.h"
#include "host/system.h"

#define ALPINE "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID="
#define DEBIAN "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux\"\nVERSION_ID="

static const struct {
	const char *text;
	bool want;
} cases[] = {
	{ DEBIAN "\"12\"\n", true }, { DEBIAN "\"13\"\n", true },
	{ DEBIAN "\"11\"\n", false }, { DEBIAN "\"14\"\n", false },
	{ "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux forky/sid\"\n", false },
	{ ALPINE "3.20.3\n", false }, { ALPINE "3.21.0\n", true },
	{ ALPINE "3.21\n", true }, { ALPINE "3.22.1\n", true },
	{ ALPINE "3.3.1\n", false }, { ALPINE "4.0.0\n", true },
	{ ALPINE "3.24.0_alpha20260101\n", true },
	{ "ID=ubuntu\nVERSION_ID=\"24.04\"\n", false }, { "", false },
};

int main(void)
{
	struct buf warnings = BUF_INIT, err = BUF_INIT;
	static const char ini[] = "[params]\nmail_domain = x.example\n";
	struct relay *r = relay_parse("x", ini, sizeof(ini) - 1, &warnings,
				      &err);
	struct layout l;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&err);
		tap_ok((host_system_check_text(cases[i].text, &err) == 0) ==
		       cases[i].want, "%s", cases[i].text);
		tap_ok((err.len == 0) == cases[i].want, "with a reason");
	}
	tap_is(err.data, "this is an unknown system; a relay needs Debian 12 or "
	       "13, or Alpine 3.21 or newer", "the reason");
	layout_init(&l, r);
	host_system_layout_of(&l, "debian", "openrc");
	tap_is(layout_need(&l, "service_manager"), "openrc", "the manager");
	tap_is(layout_need(&l, "postfix_cache_type"), "btree", "Debian's maps");
	host_system_layout_of(&l, "alpine", "openrc");
	tap_is(layout_need(&l, "postfix_cache_type"), "lmdb", "Alpine's maps");
	tap_is(layout_need(&l, "nginx_user"), "nginx", "Alpine's nginx");
	layout_free(&l);
	relay_free(r);
	buf_free(&warnings);
	buf_free(&err);
	return tap_done();
}
