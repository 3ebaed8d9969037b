/* Dovecot, which stores the mail. From 2.4 on its configuration is written in
 * another way, and doveauth is asked by a script in Lua. */
#include "host/components.h"

#include <stdlib.h>
#include <string.h>

#include "base/assets.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"

static const char *const packages[] = {
	"dovecot-core", "dovecot-imapd", "dovecot-lmtpd", NULL,
};

static const char *const lua_packages[] = {
	"dovecot-auth-lua", "lua-socket", NULL,
};

#define CONFIG "{{ dovecot_config_dir }}/"

static const struct plan_file files[] = {
	{ "dovecot/dovecot.conf", CONFIG "dovecot.conf",
	  .when = "dovecot_version=2.3" },
	{ "dovecot/auth.conf", CONFIG "auth.conf",
	  .when = "dovecot_version=2.3" },
	{ "dovecot/dovecot-2.4.conf", CONFIG "dovecot.conf",
	  .when = "dovecot_version=2.4" },
	{ "dovecot/auth.lua", CONFIG "auth.lua",
	  .when = "dovecot_version=2.4" },
	{ "dovecot/push_notification.lua", CONFIG "push_notification.lua" },
	{ 0 },
};

const char *dovecot_version_of(const char *said)
{
	const char *epoch = strchr(said, ':');
	unsigned long major, minor = 0;
	char *end;

	if (epoch)
		said = epoch + 1;
	major = strtoul(said, &end, 10);
	if (end == said)
		return NULL;
	if (*end == '.')
		minor = strtoul(end + 1, NULL, 10);
	return major > 2 || (major == 2 && minor >= 4) ? "2.4" : "2.3";
}

/* Of the program that is here, else of the one that would be installed. */
static void prepare(struct plan *p)
{
	struct buf file = BUF_INIT, said = BUF_INIT, err = BUF_INIT;
	const char *version;

	if (proc_find("dovecot", &file) == 0)
		proc_run(&(struct proc_spec) {
			.argv = (const char *[]) { "dovecot", "--version",
						   NULL },
			.file = file.data }, &said, &err);
	else if (p->packages)
		p->packages->candidate(packages[0], &said);
	version = dovecot_version_of(said.data);
	if (version)
		layout_setf(&p->layout, "dovecot_version", "%s", version);
	buf_free(&file);
	buf_free(&said);
	buf_free(&err);
}

static int verify(struct plan *p, struct buf *err)
{
	char *path = arena_printf(&p->arena, "%s/dovecot.conf",
				  layout_need(p->staged, "dovecot_config_dir"));

	return proc_command((const char *[]) { "doveconf", "-n", "-c", path,
					       NULL }, err);
}

/* Loaded by Dovecot's processes; its absence would be a warning in each. */
static int configure(struct plan *p, struct buf *err)
{
	const struct asset *a = asset_find("dovecot/imap-notify.so");

	if (!a)
		bug("imap-notify.so is not packed");
	tree_put(&p->tree, layout_need(&p->layout, "imap_notify_library"),
		 a->data, a->size, 0644, NULL, NULL);
	return 0;
}

const struct component component_dovecot = {
	.name = "dovecot", .packages = packages,
	.more_packages = lua_packages, .more_when = "dovecot_version=2.4",
	.files = files, .prepare = prepare, .configure = configure,
	.verify = verify,
};
