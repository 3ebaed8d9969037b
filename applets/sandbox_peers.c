/* What a sandbox knows of other sandboxes, and they of it: routes, names, the
 * DKIM key. */
#include "applets/sandbox.h"

#include <errno.h>
#include <pwd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "relay/dkimkey.h"
#include "text/dnsmsg_data.h"

enum { SMTP_OFFSET = 25, DNS_OFFSET = 53 };

/* "DOMAIN=BASE" at *list, which moves behind it. */
static const char *next_peer(struct sandbox *sb, const char **list,
			     unsigned *base)
{
	size_t n = strcspn(*list, ",");
	char *peer = arena_strndup(&sb->arena, *list, n);
	char *number = strchr(peer, '=');
	struct buf err = BUF_INIT;
	uint64_t v;

	*list += n + ((*list)[n] == ',');
	if (number)
		*number++ = '\0';
	if (!number || str_to_u64(number, &v) < 0 || v < 1024 || v > 65436)
		die("--peer: expected DOMAIN=BASE, got \"%.*s\"", (int)n,
		    *list - n);
	if (relay_domain_kind(peer, &err) < 0)
		die("--peer: %s", err.data);
	*base = (unsigned)v;
	return peer;
}

void sandbox_set_peers(struct sandbox *sb)
{
	const char *path = sandbox_path(sb, "transport.peers");
	const char *list = sb->peers ? sb->peers : "";
	struct buf routes = BUF_INIT, zones = BUF_INIT, forwards = BUF_INIT;

	while (*list) {
		unsigned base;
		const char *peer = next_peer(sb, &list, &base);

		buf_addf(&routes, "%s smtp:[127.0.0.1]:%u\n", peer,
			 base + SMTP_OFFSET);
		buf_addf(&zones, "  local-zone: \"%s.\" transparent\n", peer);
		buf_addf(&forwards, "forward-zone:\n  name: \"%s.\"\n"
			 "  forward-addr: 127.0.0.1@%u\n", peer,
			 base + DNS_OFFSET);
	}
	if (file_replace(path, routes.data, routes.len, 0644, 0) < 0)
		die_errno("%s", path);
	layout_setf(&sb->plan.layout, "dns_peer_zones", "%s", zones.data);
	layout_setf(&sb->plan.layout, "dns_peer_forwards", "%s", forwards.data);
	buf_free(&routes);
	buf_free(&zones);
	buf_free(&forwards);
}

/* The role that signs runs as this user. */
static void give_to_postfix(const char *path)
{
	const struct passwd *pw = getpwnam("postfix");

	if (!pw || chown(path, pw->pw_uid, pw->pw_gid) < 0)
		die_errno("%s", path);
}

static void make_key(const struct dkimkey_kind *kind, const char *dir)
{
	struct buf path = BUF_INIT, err = BUF_INIT;

	if (dkimkey_make(kind, dir, &err) < 0)
		die("%s", err.data);
	buf_addf(&path, "%s/%s", dir, kind->file);
	give_to_postfix(path.data);
	buf_free(&path);
	buf_free(&err);
}

void sandbox_set_dkim(struct sandbox *sb)
{
	const struct dkimkey_kind *kind = &dkimkey_kinds[0];
	const char *dir = sandbox_path(sb, "dkim");
	struct buf record = BUF_INIT, quoted = BUF_INIT, err = BUF_INIT;
	struct dkim_key key;
	int ret = dkimkey_load(kind, dir, &key, &err);

	if (ret < 0 && errno == ENOENT) {
		make_key(kind, dir);
		ret = dkimkey_load(kind, dir, &key, &err);
	}
	if (ret < 0 || dkim_key_record(&key, &record, &err) < 0)
		die("%s", err.data);
	dns_data_quote(&quoted, record.data, record.len);
	layout_setf(&sb->plan.layout, "dkim_record", "%s", quoted.data);
	dkim_key_free(&key);
	buf_free(&record);
	buf_free(&quoted);
	buf_free(&err);
}
