/* doveauth: lookups, creations, and the one while the other goes on. */
#include "t/bench/dict.h"

enum {
	USERS = 1000,		/* that exist */
	CREATIONS = 200, ROUNDS = 3,
	OPEN = 10 * 1000,	/* connections that idle */
	PACED_US = 1000,	/* between lookups beside creations */
};
static const double LOOKUP_SECS = 1.5, TARGET_MS = 5;

static struct role role;
static char *path;		/* of the role's socket */
static unsigned long created;	/* accounts so far */

static void add_lookup(struct buf *out, unsigned long number)
{
	buf_addf(out, "Lshared/passdb/secret-password\"u%08lu@"
		 BENCH_DOMAIN "\tu%08lu@" BENCH_DOMAIN "\n",
		 number * 7919 % USERS, number * 7919 % USERS);
}

static void add_creation(struct buf *out, unsigned long number)
{
	buf_addf(out, "Lshared/passdb/secret-password\"n%08lu@"
		 BENCH_DOMAIN "\tn%08lu@" BENCH_DOMAIN "\n",
		 created + number, created + number);
}

static void measure_lookups(unsigned connections)
{
	struct dict_load l = {
		.socket = path, .connections = connections,
		.secs = LOOKUP_SECS, .request = add_lookup,
	};
	const char *s = connections == 1 ? "" : "s";
	double cpu = role_cpu(&role);

	progress("doveauth: lookups, %u connection%s", connections, s);
	dict_load_run(&l);
	cpu = role_cpu(&role) - cpu;
	row(l.good / l.took, "/s", 0,
	    "doveauth: lookups of users, %u connection%s in lock-step",
	    connections, s);
	row(samples_quantile(&l.latency, .5) * 1e6, "us", 0,
	    "doveauth: the same, p50");
	row(samples_quantile(&l.latency, .99) * 1e6, "us", 0,
	    "doveauth: the same, p99");
	row(cpu * 1e6 / l.good, "us", 0, "doveauth: the same, CPU per lookup");
	samples_free(&l.latency);
}

static void measure_creations(void)
{
	struct dict_load l = {
		.socket = path, .connections = 10, .requests_max = CREATIONS,
		.request = add_creation,
	};
	double cpu = role_cpu(&role);

	progress("doveauth: creations");
	dict_load_run(&l);
	cpu = role_cpu(&role) - cpu;
	created += CREATIONS;
	row(l.good / l.took, "/s", 0,
	    "doveauth: creations of accounts, 10 connections");
	row(cpu * 1e3 / l.good, "ms", 0,
	    "doveauth: CPU per creation, nearly all of it the hash");
	samples_free(&l.latency);
}

static volatile bool creating;

static void *create_accounts(void *arg)
{
	struct dict_load l = {
		.socket = path, .connections = CREATIONS,
		.requests_max = CREATIONS, .request = add_creation,
	};

	dict_load_run(&l);
	if (l.good != CREATIONS)
		failed("%lu of %d accounts were created", l.good, CREATIONS);
	samples_free(&l.latency);
	creating = false;
	return NULL;
}

/* One lookup every PACED_US; one that has to wait for the reply before it
 * counts from when it was due. */
static void look_up_meanwhile(struct samples *ms)
{
	int fd = dict_connect(path);
	struct buf request = BUF_INIT;
	double due = now();

	for (unsigned long i = 0; creating; i++) {
		due += PACED_US / 1e6;
		if (now() < due) {
			sleep_until(due);
			due = now();	/* woken late: not the role's fault */
		}
		buf_reset(&request);
		add_lookup(&request, i);
		if (!dict_ask(fd, &request)) {
			failed("a lookup beside creations failed");
			break;
		}
		samples_add(ms, (now() - due) * 1e3);
	}
	close(fd);
	buf_free(&request);
}

static void measure_both(void)
{
	struct samples ms = { 0 };

	for (int i = 0; i < ROUNDS; i++) {
		pthread_t t;

		progress("doveauth: lookups beside creations, %d of %d", i + 1,
			 ROUNDS);
		creating = true;
		start_thread(&t, create_accounts, NULL);
		look_up_meanwhile(&ms);
		pthread_join(t, NULL);
		created += CREATIONS;
	}
	row(samples_quantile(&ms, .5), "ms", 0, "doveauth: lookups of users, "
	    "one a ms, while %d connections create %d accounts, p50",
	    CREATIONS, CREATIONS);
	row(samples_quantile(&ms, .99), "ms", TARGET_MS,
	    "doveauth: the same, p99 of %zu", ms.count);
	samples_free(&ms);
}

static void measure_open(void)
{
	unsigned long count = OPEN;
	int *fds = xcalloc(OPEN, sizeof(*fds));
	struct buf request = BUF_INIT;
	double idle = role_rss(&role), rss;

	if (count + 100 > files_max())
		count = files_max() - 100;
	progress("doveauth: %lu open connections", count);
	add_lookup(&request, 0);
	for (size_t i = 0; i < count; i++) {
		fds[i] = dict_connect(path);
		if (fds[i] < 0 || !dict_ask(fds[i], &request)) {
			failed("connection %zu is not served", i);
			count = i;
		}
	}
	rss = role_rss(&role);
	row(rss, "KB", 0, "doveauth: RSS with %lu open connections", count);
	if (count)
		row((rss - idle) / count, "KB", 0,
		    "doveauth: RSS for each of them");
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	free(fds);
	buf_free(&request);
}

int main(int argc, char **argv)
{
	const char *args[] = { "doveauth", NULL, NULL, NULL };
	char name[16], *ini;

	bench_init(argc, argv, 60);
	make_ini("");
	for (int i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "u%08d", i);
		make_user(name);
	}
	args[1] = path = bench_path("doveauth.socket");
	args[2] = ini = bench_path("chatmail.ini");
	role_start(&role, args);
	measure_lookups(1);
	measure_lookups(10);
	measure_lookups(100);
	measure_creations();
	measure_both();
	measure_open();
	role_stop(&role, "doveauth");
	free(ini);
	free(path);
	return bench_end();
}
