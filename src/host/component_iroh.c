/* iroh-relay: passes on what apps say in real-time channels, encrypted. */
#include "host/components.h"
#include "host/program.h"

#define RELEASE "https://github.com/n0-computer/iroh/releases/download/" \
	"v0.35.0/iroh-relay-v0.35.0-"

static const struct host_user users[] = {
	{ "iroh", "/nonexistent", NULL },
	{ 0 },
};

static const struct plan_file files[] = {
	{ "iroh-relay.toml", "/etc/iroh-relay.toml",
	  .when = "enable_iroh_relay" },
	{ 0 },
};

/* The version whose protocol Delta Chat's core speaks; newer ones speak
 * another. */
static const struct program iroh_relay = {
	.name = "iroh-relay", .path = "/usr/local/bin/iroh-relay",
	.member = "iroh-relay", .setting = "iroh_relay_program",
	.builds = {
		{ "x86_64", RELEASE "x86_64-unknown-linux-musl.tar.gz",
		  "45c81199dbd70f8c4c30fef7f3b9727c"
		  "a6e3cea8f2831333eeaf8aa71bf0fac1" },
		{ "aarch64", RELEASE "aarch64-unknown-linux-musl.tar.gz",
		  "f8ef27631fac213b3ef668d02acd5b3e"
		  "215292746a3fc71d90c63115446008b1" },
	},
};

static int check(struct plan *p, struct buf *err)
{
	return plan_check_program(p, &iroh_relay, err);
}

static int configure(struct plan *p, struct buf *err)
{
	if (plan_wants(p, "enable_iroh_relay"))
		plan_program(p, &iroh_relay);
	return 0;
}

const struct component component_iroh = {
	.name = "iroh-relay", .users = users, .files = files,
	.check = check, .configure = configure,
};
