/* The parts of applets/deploy*.c, for these alone. */
#ifndef DEPLOY_H
#define DEPLOY_H

#include <stdbool.h>

#include "base/buf.h"
#include "host/plan.h"

struct deploy {
	/* from the command line */
	const char *host;	/* [user@]host[:port]; NULL: this machine */
	const char *identity;	/* -i FILE or NULL */
	const char *dns_server;	/* NULL: those of resolv.conf */
	const char *www;	/* built pages; NULL: leave them alone */
	bool stages[PLAN_STAGES];
	const char *stage_list;	/* as given, NULL: all */
	bool dry_run, disable_mail, website_only, skip_dns_check;
	bool verbose, json;
	/* made by deploy_main() */
	const char *ini;
	struct relay *relay;
	struct buf ini_text;
	/* the display's */
	bool colour, live;
	double began;
	unsigned failed;	/* steps */
	bool has_ended;		/* the last line was shown */
};

/* Where a run from another machine puts its files, on the host. */
#define DEPLOY_PLACE "/var/lib/chatmail/deploy"

/* Run the plan on this machine, or on d->host. Return the exit code. */
int deploy_local(struct deploy *d);
int deploy_remote(struct deploy *d);

/* Show a step as a line; a line of JSON with --json. */
void deploy_show(struct deploy *d, const struct plan_event *e);
/* The last line: how it ended. changes < 0: it failed. diff: of a dry run. */
void deploy_show_end(struct deploy *d, int changes, const char *diff);
/* A line of what the same program on a host printed with --json is shown as
 * deploy_show() and deploy_show_end() would; other lines as they are. */
void deploy_show_line(struct deploy *d, const char *line);
/* A problem that ends the run; whole sentences. */
void deploy_fail(struct deploy *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Remove from DEPLOY_PLACE what belongs to no run that lives. */
void deploy_sweep(void);

/* The program that a host gets: ourselves when we need no libraries, else the
 * static build beside us. Returns 0 with its path, or -1 with *err. */
int deploy_find_binary(struct buf *path, struct buf *err);
/* The machine that n bytes of a program are for, as uname(1) names it; "" when
 * that is not known. */
const char *deploy_machine(const char *data, size_t n);

#endif
