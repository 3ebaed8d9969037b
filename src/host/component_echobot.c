/* The echo bot, for relays that want one, and Delta Chat's core that it runs. */
#include "host/components.h"
#include "host/program.h"
#include "relay/echobot.h"

/* The makers' builds for their npm package: static, for any Linux. */
#define NPM "https://registry.npmjs.org/@deltachat/stdio-rpc-server-linux-"

static const struct host_user users[] = {
	{ "echobot", "/nonexistent", NULL },
	{ 0 },
};

/* The newest that there was for each; t/lib/core has the same for tests. */
static const struct program server = {
	.name = "deltachat-rpc-server", .path = ECHOBOT_SERVER,
	.member = "package/deltachat-rpc-server", .setting = "echobot_server",
	.builds = {
		{ "x86_64", NPM "x64/-/stdio-rpc-server-linux-x64-2.62.0.tgz",
		  "62aa375904aeea88f356a20cb5d7bb6b"
		  "90728f5e14d81c2b0f689c6c7341af2d" },
		{ "aarch64",
		  NPM "arm64/-/stdio-rpc-server-linux-arm64-2.57.0.tgz",
		  "e9d09f104ec50372d42ee6338aa9478d"
		  "51262c4f8e8748c1cbf019c41aa54362" },
	},
};

static bool is_path(const struct plan *p)
{
	return *p->relay->s.echobot_server == '/';
}

static int check(struct plan *p, struct buf *err)
{
	return is_path(p) ? 0 : plan_check_program(p, &server, err);
}

static int configure(struct plan *p, struct buf *err)
{
	if (plan_wants(p, "echobot") && !is_path(p))
		plan_program(p, &server);
	return 0;
}

const struct component component_echobot = {
	.name = "echobot", .users = users, .check = check,
	.configure = configure,
};
