/* coturn, which relays calls, and the secret that it shares with the role
 * turn. */
#include "host/components.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include "base/str.h"
#include "relay/turn.h"

static const char *const packages[] = { "coturn", NULL };

static bool is_wanted(const struct plan *p)
{
	return relay_service_is_wanted(relay_service_find("coturn"), p->relay);
}

/* ---- what the host says ----------------------------------------------------- */

/* coturn listens on all addresses unless it is told which. */
static void set_listening(struct plan *p)
{
	struct ifaddrs *list = NULL;
	struct buf lines = BUF_INIT;

	if (p->relay->s.disable_ipv6 && getifaddrs(&list) < 0)
		list = NULL;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		char text[INET_ADDRSTRLEN];
		const struct sockaddr_in *in = (const void *)i->ifa_addr;

		if (!in || in->sin_family != AF_INET ||
		    !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
			continue;
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		buf_addf(&lines, "%slistening-ip=%s", lines.len ? "\n" : "",
			 text);
	}
	freeifaddrs(list);
	layout_setf(&p->layout, "turn_listening", "%s", lines.data);
	buf_free(&lines);
}

/* One that is there is kept; check() tells what is wrong with it. */
static void prepare(struct plan *p)
{
	struct buf secret = BUF_INIT, err = BUF_INIT;

	if (turn_secret_load(TURN_SECRET_FILE, &secret, &err) < 0)
		turn_secret_make(&secret);
	layout_setf(&p->layout, "turn_secret", "%s", secret.data);
	set_listening(p);
	explicit_bzero(secret.data, secret.len);
	buf_free(&secret);
	buf_free(&err);
}

static int check(struct plan *p, struct buf *err)
{
	struct buf secret = BUF_INIT;
	int ret = 0;

	if (relay_turn_is_kept(p->relay))
		plan_warn(p, "chatmail-turn goes on serving calls (turnserver), "
			  "as they would end with it. Its secret is known to "
			  "everybody: to have coturn instead, systemctl "
			  "disable --now turnserver, then deploy again");
	if (is_wanted(p) &&
	    turn_secret_load(TURN_SECRET_FILE, &secret, err) < 0) {
		ret = errno == ENOENT ? 0 : -1;
		if (ret < 0)
			buf_adds(err, "; without the file deploy makes one");
		else
			buf_reset(err);
	}
	explicit_bzero(secret.data, secret.len);
	buf_free(&secret);
	return ret;
}

/* ---- files ------------------------------------------------------------------ */

/* The package has it for root and coturn's group. */
static int add_configuration(struct plan *p, struct buf *err)
{
	struct buf text = BUF_INIT;
	int ret = layout_render(&p->layout, "coturn/turnserver.conf", &text,
				err);

	if (ret == 0)
		tree_put(&p->tree, "/etc/turnserver.conf", text.data, text.len,
			 0640, NULL, layout_need(&p->layout, "turn_user"));
	explicit_bzero(text.data, text.len);
	buf_free(&text);
	return ret;
}

static int configure(struct plan *p, struct buf *err)
{
	char *line;

	if (!is_wanted(p))
		return 0;
	line = arena_printf(&p->arena, "%s\n",
			    layout_need(&p->layout, "turn_secret"));
	tree_dir(&p->tree, "/etc/chatmail-turn", 0700, "chatmail-turn",
		 "chatmail-turn");
	tree_put(&p->tree, TURN_SECRET_FILE, line, strlen(line), 0600,
		 "chatmail-turn", "chatmail-turn");
	return add_configuration(p, err);
}

const struct component component_turn = {
	.name = "turn", .packages = packages, .service = "coturn",
	.check = check, .prepare = prepare, .configure = configure,
};
