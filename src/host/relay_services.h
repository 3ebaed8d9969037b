/* The services of a relay, in the order in which they are started: one table
 * for who sets a relay up and for who looks how it is. */
#ifndef HOST_RELAY_SERVICES_H
#define HOST_RELAY_SERVICES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "host/services.h"
#include "relay/layout.h"

enum relay_service_kind {
	RELAY_OURS,	/* a resident role of this program */
	RELAY_JOB,	/* this program, when its timer or path says so */
	RELAY_FOREIGN,	/* another's program, from the host's packages or
			 * downloaded */
	RELAY_KEPT,	/* may be there; it is shown and not touched */
	RELAY_OLD,	/* an earlier relay's; it may not run beside ours */
};

enum { RELAY_NAMES_MAX = 3 };

struct relay_service {
	const char *name;	/* of the service, as people know it */
	const char *about;	/* a few words, lower case */
	enum relay_service_kind kind;
	/* What is enabled and started for struct host_services, in that order,
	 * sockets first; NULL ends. */
	const char *starts[RELAY_NAMES_MAX + 1];
	/* Its files below conf-templates/systemd/ and /etc/systemd/system/,
	 * by spaces; "" for none of ours. OpenRC's need no list: they are
	 * called as the service is, in /etc/init.d and /etc/cron.d. */
	const char *units;
	/* Where services are managed so alone, as the layout says it: "systemd"
	 * or "openrc". NULL: everywhere. */
	const char *manager;
	/* Files and directories (with "/" at the end) whose change makes a
	 * restart or a reload necessary, besides its units: by spaces, with
	 * {{ names }} of the layout. A file of both needs the restart. */
	const char *restart_on, *reload_on;
	/* Settings of chatmail.ini, and values that follow from them, which it
	 * reads itself: by spaces. A change of one needs the restart. */
	const char *settings;
	/* Does this relay have it? NULL: each has. */
	bool (*is_wanted)(const struct relay *r);
	/* A file that it waits for, or the value that names it: without it, it
	 * is neither enabled nor started. NULL mostly. */
	const char *program;
	/* Another name that has the process where the first one has none:
	 * Debian 12's Postfix is "postfix@-". NULL mostly. */
	const char *other;
};

/* All of them; *count is their number. */
const struct relay_service *relay_services(size_t *count);
/* The one of that name, or NULL. */
const struct relay_service *relay_service_find(const char *name);
/* Is one of s->starts a name for that manager? */
bool relay_service_is_for(const struct host_services *h, const char *name);
/* Does the host's manager, as the layout says, have anything to do with it? */
bool relay_service_is_here(const struct relay_service *s,
			   const struct layout *l);
/* Is the file at that path one of its units, or OpenRC's or cron's file? */
bool relay_service_has_unit(const struct relay_service *s, const char *path);
/* Should it run on this relay, whoever manages services there? Never what is
 * RELAY_OLD or RELAY_KEPT. */
bool relay_service_is_wanted(const struct relay_service *s,
			     const struct relay *r);

/* Does this host serve calls by an earlier relay's chatmail-turn, which is
 * left alone? Then it has no coturn of ours. */
bool relay_turn_is_kept(const struct relay *r);
/* The path of the program that it waits for, or NULL. */
const char *relay_service_program(const struct relay_service *s,
				  const struct relay *r);
/* Is that there? */
bool relay_service_is_possible(const struct relay_service *s,
			       const struct relay *r);

/* ---- changing ------------------------------------------------------------------ */

/* What has to be done with a service; done in this order. */
enum relay_todo {
	TODO_STOP = 1,
	TODO_DISABLE = 2,
	TODO_RESET = 4,		/* forget that it failed */
	TODO_ENABLE = 8,
	TODO_SOCKETS = 16,	/* sockets, timers, paths begin anew */
	TODO_RESTART = 32,
	TODO_START = 64,
	TODO_RELOAD = 128,	/* the service reads its files again */
};

/* What the change of the file at that path means for the service: 0, or
 * TODO_RELOAD, TODO_RESTART, and TODO_SOCKETS with its own units. */
unsigned relay_service_need(const struct relay_service *s,
			    const struct layout *l, const char *path);
/* What is left to do: need is what relay_service_need() gave, together, for
 * all files that have changed. A service that is not wanted (or old) is
 * stopped and disabled. Returns 0 with *todo, or -1 with *err. */
int relay_service_todo(const struct relay_service *s, const struct layout *l,
		       const struct host_services *h, unsigned need,
		       unsigned *todo, struct buf *err);
/* Do it. The manager has read its files again already. Returns 0, or -1 with
 * *err at the first thing that does not go. */
int relay_service_do(const struct relay_service *s,
		     const struct host_services *h, unsigned todo,
		     struct buf *err);
/* Append what is to be done in words: "enable, restart". */
void relay_todo_words(struct buf *out, unsigned todo);

#endif
