/* chatmail bench: how long things take at a relay, as an app sees it. The parts
 * of applets/bench*.c, for these alone.
 *
 * One thread measures, row after row, relay after relay, so that nothing else
 * of ours disturbs a value; where many accounts chat at once, each has a thread
 * that sends and one that receives. The main thread waits for Ctrl-C. */
#ifndef APPLETS_BENCH_H
#define APPLETS_BENCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "net/imap_client.h"
#include "net/smtp_dialog.h"
#include "relay/outside.h"
#include "text/benchreport.h"

enum {
	BENCH_ROWS_MAX = 3,	/* of a measurement */
	BENCH_COUNT_MAX = 1000,
	BENCH_PARALLEL_MAX = 500,
	/* After so many failures in a row a row is given up, and a port is
	 * taken for dead. */
	BENCH_FAILURES_MAX = 3,
};

struct bench;
struct bench_site;

/* ---- what is measured: bench_rows.c ------------------------------------------------ */

/* A measurement fills one row or several. */
struct bench_measurement {
	const char *name;	/* for --only */
	struct {
		const char *name, *what;
		bool has_histogram;
	} rows[BENCH_ROWS_MAX];
	bool is_slow;		/* half as many values will do */
	bool is_parallel;	/* many accounts; what has %zu in it */
	bool ports[OUTSIDE_PORTS];	/* that it needs */
	/* cells[i] is of rows[i] */
	void (*run)(struct bench_site *s, struct benchreport_cell **cells);
};

extern const struct bench_measurement bench_measurements[];
extern const size_t bench_measurement_count;

void bench_tls_imap(struct bench_site *s, struct benchreport_cell **cells);
void bench_tls_smtp(struct bench_site *s, struct benchreport_cell **cells);
void bench_tls_https(struct bench_site *s, struct benchreport_cell **cells);
void bench_address(struct bench_site *s, struct benchreport_cell **cells);
void bench_new_imap(struct bench_site *s, struct benchreport_cell **cells);
void bench_new_smtp(struct bench_site *s, struct benchreport_cell **cells);
void bench_login_imap(struct bench_site *s, struct benchreport_cell **cells);
void bench_login_smtp(struct bench_site *s, struct benchreport_cell **cells);
void bench_online(struct bench_site *s, struct benchreport_cell **cells);
void bench_deliver(struct bench_site *s, struct benchreport_cell **cells);
void bench_pingpong(struct bench_site *s, struct benchreport_cell **cells);
void bench_ten(struct bench_site *s, struct benchreport_cell **cells);
void bench_parallel(struct bench_site *s, struct benchreport_cell **cells);

/* ---- a relay: bench_site.c ---------------------------------------------------------- */

struct bench_account {
	struct bench_account *next;
	struct buf address, password;
};

struct bench_site {
	struct bench *bench;
	struct outside outside;
	struct stream_peer peers[OUTSIDE_PORTS];
	struct buf address;	/* where it is, once it is known */
	/* Under bench->lock: */
	unsigned failures[OUTSIDE_PORTS];	/* to connect, in a row */
	struct buf why[OUTSIDE_PORTS];
	/* that have been logged in to; the first has rested for longest */
	struct bench_account *accounts, **last;
	size_t account_count;	/* that were made */
};

/* Returns 0, or -1 with *err. bench_site_free() in both cases. */
int bench_site_open(struct bench_site *s, struct bench *b,
		    const struct outside_target *t, struct buf *warnings,
		    struct buf *err);
void bench_site_free(struct bench_site *s);
/* Look its name up once, so that no value has that in it. */
void bench_site_find(struct bench_site *s);

/* A connection to a port has come about, or not; err says why. */
void bench_port_opened(struct bench_site *s, enum outside_port port,
		       const struct buf *err);
/* Has a port failed too often? Then why is appended. */
bool bench_port_is_dead(struct bench_site *s, enum outside_port port,
			struct buf *why);

/* Credentials that nobody has; the first login makes the account. Free with
 * bench_account_give() or bench_account_free(). */
struct bench_account *bench_account_new(struct bench_site *s);
/* An account that is known to exist, or NULL with *err when none is and none
 * can be made. It is the caller's until bench_account_give(). */
struct bench_account *bench_account_take(struct bench_site *s,
					 struct benchreport_cell *c,
					 struct buf *err);
/* It exists; others may have it. */
void bench_account_give(struct bench_site *s, struct bench_account *a);
/* It has been made by a login just now. */
void bench_account_made(struct bench_site *s);
void bench_account_free(struct bench_account *a);

/* ---- trying: bench_try.c ------------------------------------------------------------- */

enum bench_outcome {
	BENCH_DONE,
	BENCH_LIMITED,		/* not now, says the relay; err has its words */
	BENCH_FAILED,		/* err says why */
};

/* What a reply of SMTP means. */
enum bench_outcome bench_smtp_outcome(int code, bool is_wanted);

/* How long a limit has been waited for. All zero at first. */
struct bench_patience {
	double pause, spent;	/* seconds */
};

/* Wait for a while, longer each time, and note that it was waited; reason is
 * shown meanwhile. False when patience is at its end, or it is all to end. */
bool bench_wait(struct bench_site *s, struct benchreport_cell *c,
		struct bench_patience *p, const char *reason);
/* Sleep; ends early when all is to end. */
void bench_sleep(struct bench *b, double secs);
bool bench_is_stopping(const struct bench *b);
/* A time between two of clock_secs(). */
int64_t bench_us(double from, double to);

/* Note a value, a failure. From any thread. */
void bench_note(struct bench_site *s, struct benchreport_cell *c, int64_t us);
void bench_fail(struct bench_site *s, struct benchreport_cell *c,
		const char *reason);
/* The rest of the row cannot be measured. */
void bench_give_up(struct bench_site *s, struct benchreport_cell *c,
		   const char *why);

/* Take a value. */
typedef enum bench_outcome bench_attempt(struct bench_site *s, void *arg,
					 int64_t *us, struct buf *err);
/* All values of a row, one after the other. */
void bench_each(struct bench_site *s, struct benchreport_cell *c,
		bench_attempt *attempt, void *arg);

/* ---- sessions: bench_login.c ----------------------------------------------------------- */

/* Connect. A failure counts for the port. */
enum bench_outcome bench_open_imap(struct bench_site *s, struct imap_client *c,
				   struct buf *err);
enum bench_outcome bench_open_smtp(struct bench_site *s, struct smtp_dialog *d,
				   struct buf *err);
enum bench_outcome bench_login_imap_as(struct imap_client *c,
				       const struct bench_account *a,
				       struct buf *err);
enum bench_outcome bench_login_smtp_as(struct smtp_dialog *d,
				       const struct bench_account *a,
				       struct buf *err);
/* Connect, log in, and hang up; *us until the login was accepted. */
enum bench_outcome bench_try_imap(struct bench_site *s,
				  const struct bench_account *a, int64_t *us,
				  struct buf *err);
enum bench_outcome bench_try_smtp(struct bench_site *s,
				  const struct bench_account *a, int64_t *us,
				  struct buf *err);

/* ---- an app: bench_client.c ----------------------------------------------------------- */

/* A message that has come. */
struct bench_arrival {
	struct bench_arrival *next;
	char *id;
	double told, got;	/* of clock_secs() */
};

/* An account that sends, receives, or both. It receives as an app does: IDLE
 * until the relay tells of something, then it fetches that. */
struct bench_client {
	struct bench_site *site;
	struct bench_account *account;
	bool sends, receives;
	struct smtp_dialog smtp;
	struct imap_client imap;
	pthread_t thread;	/* that receives */
	bool has_thread;
	uint64_t uid;		/* of the last message that was fetched */
	uint64_t fetched, exists;	/* messages in the mailbox */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock: */
	bool idles, is_ending, has_ended;
	struct buf why;		/* it has ended */
	struct bench_arrival *arrivals;
};

/* Log in, and begin to receive. The account is taken over and given back at the
 * end. Limits are waited for on behalf of c. Returns 0, or -1 with *err. */
int bench_client_open(struct bench_client *c, struct bench_site *s,
		      struct benchreport_cell *cell, bool sends, bool receives,
		      struct buf *err);
/* Delete what it has received, log out. Harmless after a failed open. */
void bench_client_close(struct bench_client *c);

struct bench_sent {
	char id[80];
	double began, taken;	/* of clock_secs(): MAIL, the reply to the dot */
};

/* Send one message. A limit is waited for, and then began is that of the attempt
 * that went well; if before() is not NULL it is called with arg before the first
 * wait. Returns 0, or -1 with *err. */
int bench_client_send(struct bench_client *c, struct benchreport_cell *cell,
		      const struct bench_client *to, struct bench_sent *sent,
		      struct buf *err);
/* One attempt of that. */
enum bench_outcome bench_client_try(struct bench_client *c,
				    const struct bench_client *to,
				    struct bench_sent *sent, struct buf *err);
/* Until it waits in IDLE. Returns 0, or -1 with *err. */
int bench_client_wait_idle(struct bench_client *c, struct buf *err);
/* Until the message has come; told and got are when the relay told of it and
 * when it was there. Either may be NULL. Returns 0, or -1 with *err. */
int bench_client_wait(struct bench_client *c, const struct bench_sent *sent,
		      double *told, double *got, struct buf *err);

/* ---- all of it: bench.c --------------------------------------------------------------- */

struct bench {
	size_t count, parallel;
	double secs;		/* longest wait for an answer */
	double patience;	/* longest wait for a limit of the relay */
	bool json;
	struct bench_site sites[BENCHREPORT_RELAYS_MAX];
	size_t site_count;
	const struct bench_measurement **chosen;
	size_t chosen_count;
	atomic_bool stopping;
	atomic_bool is_done;	/* the thread that measures has ended */
	/* The report, and what is printed: */
	pthread_mutex_t lock;
	struct benchreport report;
	size_t printed;		/* rows of the report */
	double began;		/* of clock_secs() */
	size_t width;		/* of the terminal */
	bool colour, is_live;
	/* what the live line is about */
	const struct bench_measurement *measurement;
	size_t number;		/* of it, from 1 */
	double shown;		/* when it was last shown */
};

/* ---- what is shown: bench_show.c ------------------------------------------------------- */

/* All are called with the lock held. */
void bench_show_progress(struct bench *b, const struct bench_site *s,
			 const struct benchreport_cell *c, const char *waits);
void bench_show_clear(struct bench *b);
/* Print the rows before the n-th that are not printed yet. */
void bench_show_rows(struct bench *b, size_t n);
/* Print the rest. Returns the exit code. */
int bench_show_end(struct bench *b);

#endif
