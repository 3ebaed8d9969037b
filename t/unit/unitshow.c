/* What systemctl show prints: taken from systemd 252, and what is wrong. */
#include "tap.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/str.h"
#include "text/unitshow.h"

/* Each unit as "id load active sub file result pid restarts up down triggered
 * began ended;", then the error. */
static const struct {
	const char *name, *input, *want;
} cases[] = {
	{ "nothing", "", "" },
	{ "empty lines", "\n\n", "" },
	{ "a service",
	  "MainPID=51\nResult=success\nNRestarts=2\n"
	  "ExecMainStartTimestamp=@1795625376\nExecMainExitTimestamp=\n"
	  "ExecMainStatus=0\nId=ssh.service\nLoadState=loaded\n"
	  "ActiveState=active\nSubState=running\nUnitFileState=enabled\n"
	  "ActiveEnterTimestamp=@1795625377\nInactiveEnterTimestamp=\n",
	  "ssh.service loaded active running enabled success 51 2 1795625377 0 "
	  "0 1795625376 0;" },
	{ "one that is not there, and a timer",
	  "Id=nosuch.service\nLoadState=not-found\nActiveState=inactive\n"
	  "SubState=dead\nUnitFileState=\nMainPID=0\n\n"
	  "LastTriggerUSec=@17\nResult=success\nId=x.timer\n"
	  "LoadState=loaded\nActiveState=active\nSubState=waiting\n",
	  "nosuch.service not-found inactive dead   0 0 0 0 0 0 0;"
	  "x.timer loaded active waiting  success 0 0 0 0 17 0 0;" },
	{ "no line end at the end", "Id=a", "a      0 0 0 0 0 0 0;" },
	{ "an equals sign in a value", "Id=a=b\n",
	  "a=b      0 0 0 0 0 0 0;" },
	{ "unset numbers", "Id=a\nNRestarts=[not set]\nLastTriggerUSec=n/a\n",
	  "a      0 0 0 0 0 0 0;" },
	{ "when a timer went off, by systemd 252",
	  "Id=x.timer\nLastTriggerUSec=Wed 2026-11-25 18:20:09 UTC\n",
	  "x.timer      0 0 0 0 1795630809 0 0;" },
	{ "the last day of a century", "Id=a\n"
	  "LastTriggerUSec=Thu 2099-12-31 23:59:59 UTC\n\nId=b\n"
	  "LastTriggerUSec=Tue 2000-02-29 00:00:00 UTC\n\nId=c\n"
	  "LastTriggerUSec=Thu 1970-01-01 00:00:00 UTC\n",
	  "a      0 0 0 0 4102444799 0 0;b      0 0 0 0 951782400 0 0;"
	  "c      0 0 0 0 0 0 0;" },
	{ "in another time zone",
	  "Id=x.timer\nLastTriggerUSec=Wed 2026-11-25 19:20:09 CET\n",
	  "LastTriggerUSec: expected a number, got \"Wed 2026-11-25 19:20:09 "
	  "CET\"" },
	{ "a date for people", "Id=a\nActiveEnterTimestamp=Wed 2026-11-25\n",
	  "ActiveEnterTimestamp: expected a number, got \"Wed 2026-11-25\"" },
	{ "a negative number", "Id=a\nMainPID=-1\n",
	  "MainPID: expected a number, got \"-1\"" },
	{ "an error message", "Failed to connect to bus: Host is down\n",
	  "expected NAME=VALUE, got \"Failed to connect to bus: Host is "
	  "down\"" },
	{ "no Id", "MainPID=1\n", "a unit without an Id" },
	{ "an empty Id", "Id=\n", "a unit without an Id" },
	{ "an error in the second", "Id=a\n\nId=b\nx\n",
	  "a      0 0 0 0 0 0 0;expected NAME=VALUE, got \"x\"" },
};

static void add_unit(struct buf *out, const struct unitshow *u)
{
	buf_addf(out, "%s %s %s %s %s %s %" PRIu64 " %" PRIu64 " %" PRIu64
		 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 ";", u->id,
		 u->load, u->active, u->sub, u->file, u->result, u->pid,
		 u->restarts, u->up, u->down, u->triggered, u->began,
		 u->ended);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *copy = xstrdup(cases[i].input), *text = copy;
		struct buf got = BUF_INIT, err = BUF_INIT;
		struct unitshow u;
		int ret;

		while ((ret = unitshow_next(&text, &u, &err)) > 0)
			add_unit(&got, &u);
		if (ret < 0)
			buf_adds(&got, err.data);
		tap_is(got.data, cases[i].want, cases[i].name);
		free(copy);
		buf_free(&got);
		buf_free(&err);
	}
	return tap_done();
}
