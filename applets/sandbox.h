/* The parts of applets/sandbox*.c, for these alone. */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "host/plan.h"
#include "relay/layout.h"
#include "relay/relay.h"

/* A port of the sandbox: BASE + offset. */
struct sandbox_port {
	const char *name;	/* in sandbox.json and messages */
	const char *var;	/* setting or layout name; NULL: reserved */
	unsigned offset;
	/* What it says to who connects: a prefix of the first line, "" when
	 * the client speaks first, NULL when nothing listens. */
	const char *greeting;
	const char *applet;	/* the role that listens, NULL: not ours */
	bool proxied;		/* the server wants a PROXY line first */
};
extern const struct sandbox_port sandbox_ports[];
extern const size_t sandbox_port_count;

/* A role of ours in the sandbox, and its unix socket. */
struct sandbox_role {
	const char *name;	/* in the log */
	const char *applet;
	const char *socket;	/* name of its file in DIR/run, or NULL */
	const char *var;	/* layout name of that, or NULL */
	/* arguments; "@socket", "@ini", "@dkim" (DIR/dkim) and "@dclogin"
	 * (what the link needs here), "@imaps" and "@smtps" (HOST:PORT) are
	 * put in */
	const char *args[6];
	const char *user;	/* NULL: the owner of the mailboxes */
	const char *when;	/* as plan_wants() reads it; NULL: always */
};
extern const struct sandbox_role sandbox_roles[];
extern const size_t sandbox_role_count;

struct sandbox {
	/* from the command line */
	const char *domain;	/* NULL: not given */
	unsigned base;		/* 0: not given, until sandbox_setup() */
	const char *peers;	/* "DOMAIN=BASE,…", NULL: none */
	const char *kind;	/* --system: of the server; NULL: this one's */
	/* made by sandbox_setup() */
	struct arena arena;	/* owns the texts */
	const char *dir;	/* absolute */
	const char *ini;	/* DIR/chatmail.ini */
	int lock;
	struct relay *relay;
	struct plan plan;	/* its layout is the sandbox's */
	const char *daemon_dir;	/* of Postfix */
	FILE *log;
	bool colour;
};

/* Make DIR what a relay needs: the plan's stage configure, with this layout;
 * what is wrong ends the process. */
void sandbox_setup(struct sandbox *sb, const char *dir);
/* Only read or write DIR/chatmail.ini, and render with a server's layout. */
void sandbox_render_server(struct sandbox *sb, const char *dir);
/* DIR/name, as long as the sandbox lives. */
const char *sandbox_path(struct sandbox *sb, const char *name);

/* Each ends the process with what is missing, wrong or taken. */
void sandbox_check_programs(void);
/* The directory of Postfix's programs, for sb->daemon_dir. */
void sandbox_find_daemons(struct sandbox *sb);
void sandbox_check_ports(struct sandbox *sb);
/* Of a port that has a var. */
unsigned sandbox_port_number(const struct sandbox *sb,
			     const struct sandbox_port *p);

/* Routes and name server's zones for the other sandboxes in sb->peers, into the
 * layout and DIR/transport.peers; a wrong list ends the process. */
void sandbox_set_peers(struct sandbox *sb);
/* The DKIM key in DIR/dkim, made when there is none; its record goes into the
 * layout. */
void sandbox_set_dkim(struct sandbox *sb);

/* Start everything, and serve until a signal. Returns the exit code. */
int sandbox_run(struct sandbox *sb);

/* A line of the common log. */
void sandbox_log_line(struct sandbox *sb, const char *name, const char *line);

/* Append what a dclogin link needs besides a server's: host and ports. */
void sandbox_add_dclogin(struct buf *out, const struct sandbox *sb);

/* When everything answers: DIR/sandbox.json, and the text for people. */
void sandbox_announce(struct sandbox *sb, double secs);

#endif
