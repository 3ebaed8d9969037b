/* The services of a host, as far as a relay has to know of them: a narrow table
 * of functions that systemd (host/systemd.h) and OpenRC (host/openrc.h) fill
 * in.
 *
 * A name without a suffix is a service: "dovecot". One that ends in .socket,
 * .timer or .path is what starts the service of that name: at a connection, at
 * a time, at a change of a file. */
#ifndef HOST_SERVICES_H
#define HOST_SERVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

enum service_is {
	SERVICE_ABSENT,		/* the manager knows no such name */
	SERVICE_STOPPED,	/* also a job between two runs */
	SERVICE_CHANGING,	/* starts, stops, or waits to be restarted */
	SERVICE_RUNNING,	/* also a socket, timer or path that waits */
	SERVICE_FAILED,
};

struct service_state {
	enum service_is is;
	bool at_boot;		/* enabled */
	bool is_fixed;		/* can be neither enabled nor disabled */
	bool is_masked;		/* nothing may start it */
	pid_t pid;		/* of its main process, 0 for none */
	uint64_t restarts;	/* by the manager, after it had died */
	int64_t since;		/* Unix time of the last change; 0 unknown */
	/* Of a job: when its process last began and ended; of a timer: when it
	 * last started its job. 0 unknown: since boot it has not. */
	int64_t began, ended, triggered;
	char why[32];		/* it failed, in the manager's word; or "" */
};

/* What people type to do it themselves. */
enum services_hint {
	SERVICES_START,
	SERVICES_RESTART,
	SERVICES_ENABLE,
	SERVICES_LOG,
	SERVICES_SCHEDULE,	/* when does a job run? */
	SERVICES_HINTS,
};

struct host_services {
	const char *name;	/* "systemd" */
	const char *key;	/* the same in the layout: "systemd", "openrc" */
	/* Before and after the service's name. */
	struct {
		const char *before, *after;
	} hints[SERVICES_HINTS];
	/* Can it start services at connections? If not, names that end in
	 * .socket are not for it: roles open their sockets themselves. */
	bool has_activation;
	/* Ask for n of them at once. Returns 0, or -1 with *err when the
	 * manager does not answer. */
	int (*states)(const struct host_services *h, const char *const *names,
		      size_t n, struct service_state *states, struct buf *err);
	/* Start at boot, or do not; says nothing about now. 0, or -1 with
	 * *err, as all that follow. */
	int (*enable)(const struct host_services *h, const char *name,
		      struct buf *err);
	int (*disable)(const struct host_services *h, const char *name,
		       struct buf *err);
	/* These wait until it is done. Of what does not start, *err has the
	 * last lines of the log as well. To start what runs is no error, nor
	 * to stop, disable or reset what does not or is not there. */
	int (*start)(const struct host_services *h, const char *name,
		     struct buf *err);
	int (*stop)(const struct host_services *h, const char *name,
		    struct buf *err);
	int (*restart)(const struct host_services *h, const char *name,
		       struct buf *err);
	/* Read the configuration again; a restart of what cannot, a start of
	 * what does not run. */
	int (*reload)(const struct host_services *h, const char *name,
		      struct buf *err);
	/* Forget that it failed, so that it may be started again. */
	int (*reset)(const struct host_services *h, const char *name,
		     struct buf *err);
	/* Read the manager's own files of services again. */
	int (*daemon_reload)(const struct host_services *h, struct buf *err);
	/* Append the last lines that a service has logged. */
	int (*log)(const struct host_services *h, const char *name,
		   unsigned lines, struct buf *out, struct buf *err);
};

/* Who manages the services of this machine; NULL when it is nobody that we
 * know, as in a container without an init. */
const struct host_services *host_services_find(void);

/* Append such a hint: "systemctl start NAME". */
void services_add_hint(struct buf *out, const struct host_services *h,
		       enum services_hint hint, const char *name);

/* Append the last lines of its log to why it does not start, if there are any;
 * what the manager says is where to look, so we look there. */
void services_add_log(const struct host_services *h, const char *name,
		      struct buf *err);

/* "running", "failed", …, as people read it. */
const char *service_is_word(enum service_is is);

#endif
