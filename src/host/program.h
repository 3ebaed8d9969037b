/* A program that its makers publish as a file: pinned, so that no other gets
 * onto a relay. A relay goes on without it while it cannot be had. */
#ifndef HOST_PROGRAM_H
#define HOST_PROGRAM_H

#include "host/plan.h"

struct program {
	const char *name;	/* for people */
	const char *path;	/* where it is installed */
	const char *member;	/* its name in a .tar.gz; NULL: never one */
	/* The setting by which an operator has another one: "URL SHA-256". */
	const char *setting;
	/* The pinned ones; machine is uname(1)'s, sha256 the program's own,
	 * not an archive's. A row without machine ends. */
	struct program_build {
		const char *machine, *url, *sha256;
	} builds[4];
};

/* In a component's check(): is what the settings say of it understood? Returns
 * 0, or -1 with *err. */
int plan_check_program(struct plan *p, const struct program *g,
		       struct buf *err);
/* In a component's configure(), where the relay shall have it: what is there is
 * compared, else it comes from download_cache or from its URL. Whatever goes
 * wrong is a warning, and what is there stays. The services with its path in
 * restart_on are restarted when it has changed. */
void plan_program(struct plan *p, const struct program *g);

#endif
