/* A relay's installation: components, each with the stages install, configure
 * and activate, applied to the machine that we run on. A second run changes
 * nothing. */
#ifndef HOST_PLAN_H
#define HOST_PLAN_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "host/acme.h"
#include "host/packages.h"
#include "host/relay_services.h"
#include "host/tree.h"
#include "host/users.h"
#include "relay/layout.h"
#include "relay/relay.h"

enum plan_stage {
	PLAN_CHECK,	/* before anything is touched; always run */
	PLAN_INSTALL,	/* packages, users, programs; never chatmail.ini */
	PLAN_CONFIGURE,	/* files, keys, certificates, all at once */
	PLAN_ACTIVATE,	/* services */
	PLAN_STAGES,
};
extern const char *const plan_stage_names[PLAN_STAGES];

enum plan_result { PLAN_BEGINS /* or goes on */, PLAN_UNCHANGED, PLAN_CHANGED, PLAN_FAILED };
extern const char *const plan_result_names[PLAN_FAILED + 1];

/* What a step has to tell. */
struct plan_event {
	enum plan_stage stage;
	const char *step;	/* component */
	enum plan_result result;
	double secs;		/* since it began */
	/* what was changed or why it failed, lines; how far it is, when it
	 * begins or goes on */
	const char *text;
	const char *warnings;	/* lines */
};

struct component;

struct plan {
	/* Filled in by the owner, after plan_init(). */
	const struct relay *relay;
	const struct component *const *components;	/* in their order */
	size_t component_count;
	const char *stage_dir;	/* where configurations are tested */
	const char *ini_text;	/* goes to the server's chatmail.ini */
	size_t ini_size;
	const char *www_dir;	/* built pages; NULL: the pages are left alone */
	const char *binary;	/* the program to install; NULL: left alone */
	bool dry_run;		/* tell what would be done */
	bool disable_mail;	/* Postfix and Dovecot are stopped */
	bool website_only;
	bool stages[PLAN_STAGES];
	void (*on_event)(struct plan *p, const struct plan_event *e);
	struct layout layout;	/* a server's, until the owner changes it */
	/* The plan's. */
	struct tree tree;
	struct arena arena;
	const struct host_packages *packages;
	const struct host_services *services;	/* NULL: none run here */
	const struct layout *staged;	/* for a component's verify() */
	struct buf told, warned;	/* of the step that runs */
	struct { enum plan_stage stage; const char *name; double began, shown; }
		running;
	unsigned changes;	/* in all */
	struct buf diff;	/* dry run: of all files */
	bool is_collecting;	/* only collects files */
};

/* A file of a component, from a template. */
struct plan_file {
	const char *template;	/* in conf-templates/ */
	const char *path;	/* a template itself */
	mode_t mode;		/* 0: 0644 */
	const char *owner;	/* user and group; NULL: root */
	/* Condition as plan_wants() reads it; where it does not hold the file
	 * is taken away, unless another row of the component puts one there.
	 * NULL: always. */
	const char *when;
	/* Such a condition on the host: where it does not hold the row is not
	 * there, and a file of that name is not ours. */
	const char *where;
};

/* A step of the plan, data as far as it can be. Tables end with an empty row;
 * everything but the name may be NULL. */
struct component {
	const char *name;
	const char *const *packages;
	/* Wanted as well where that condition holds, which is asked again
	 * when packages have been installed. */
	const char *const *more_packages;
	const char *more_when;
	/* Of relay_services.h: the packages are for hosts that want it. NULL:
	 * for all. */
	const char *service;
	const struct host_user *users;
	const struct plan_file *files;
	/* What is special; each returns 0, or -1 with *err, and tells what it
	 * changed by plan_tell(). A dry run calls none of install, commit and
	 * activate, and configure must leave the host alone then. */
	int (*check)(struct plan *p, struct buf *err);
	/* Values for the layout that depend on the host; before all stages,
	 * and again when packages have been installed. */
	void (*prepare)(struct plan *p);
	int (*install)(struct plan *p, struct buf *err);
	int (*configure)(struct plan *p, struct buf *err);
	/* The configuration, rendered with the layout p->staged, is tested by
	 * the program itself. */
	int (*verify)(struct plan *p, struct buf *err);
	/* Runs when the service of that name has been activated; "" before
	 * the first. */
	int (*activate)(struct plan *p, struct buf *err);
	const char *after;
	bool has_dry_activate;	/* activate() is called in a dry run too */
	bool is_website;	/* is all that website_only runs */
};

/* The relay's account with its ACME authority; texts borrowed from p. */
void plan_acme(const struct plan *p, struct acme *a);

/* A server's plan for that relay, borrowed: its layout and components, all
 * stages; nothing is done yet. */
void plan_init(struct plan *p, const struct relay *relay);

/* Run the plan's stages. Returns 0, or -1 with the failure already told. */
int plan_run(struct plan *p);
void plan_free(struct plan *p);

/* Does that condition hold, of the layout or chatmail.ini? As
 * layout_holds(). */
bool plan_wants(const struct plan *p, const char *when);
/* A line about a change of the running step; about what is not as it should
 * be, and no failure. */
void plan_tell(struct plan *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void plan_warn(struct plan *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* How far the running step is, for who looks on; as often as one likes. */
void plan_progress(struct plan *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The servers take a new certificate into use. */
int plan_reload_certificate(struct plan *p, struct buf *err);
/* May the step change the host now? Not in a dry run, nor when files are only
 * collected to know whom they concern. */
bool plan_may_change(const struct plan *p);

#endif
