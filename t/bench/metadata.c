/* metadata: lookups, new messages told by Dovecot's LMTP, and their push
 * notifications to a sink that speaks HTTP. */
#include "t/bench/dict.h"

enum {
	USERS = 100,			/* with one token each */
	NOTIFICATIONS = 6000, LONE = 50,
	CONNECTIONS = 10,
	SINK_THREADS = 24,		/* more than the role's connections */
};
static const double SECS = 1.5, PATIENCE = 20;

static struct role role;
static char *path;			/* of the role's socket */

/* ---- the sink: 200 to everything ------------------------------------------------- */

static struct {
	int fd;
	pthread_mutex_t lock;
	pthread_cond_t more;
	unsigned long hits;
	double last;			/* when the latest came */
} sink = {
	.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER,
};

static void hit(void)
{
	pthread_mutex_lock(&sink.lock);
	sink.hits++;
	sink.last = now();
	pthread_cond_signal(&sink.more);
	pthread_mutex_unlock(&sink.lock);
}

/* Until so many have come in all; the time of the last, or 0. */
static double wait_hits(unsigned long count)
{
	struct timespec until;
	double last = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	pthread_mutex_lock(&sink.lock);
	while (sink.hits < count &&
	       pthread_cond_timedwait(&sink.more, &sink.lock, &until) == 0)
		;
	if (sink.hits >= count)
		last = sink.last;
	pthread_mutex_unlock(&sink.lock);
	if (!last)
		failed("%lu of %lu notifications came", sink.hits, count);
	return last;
}

/* The size of the first request in in, or 0 while it is not whole. */
static size_t request_size(const struct buf *in)
{
	static const char key[] = "\r\nContent-Length: ";
	const char *end = strstr(in->data, "\r\n\r\n");
	const char *length = strstr(in->data, key);
	size_t size;

	if (!end)
		return 0;
	size = end + 4 - in->data;
	if (length && length < end)
		size += strtoul(length + strlen(key), NULL, 10);
	return in->len >= size ? size : 0;
}

static void serve(int fd)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
				     "\r\n";
	struct buf in = BUF_INIT;
	char piece[4096];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
		size_t size;

		buf_add(&in, piece, n);
		while ((size = request_size(&in))) {
			buf_consume(&in, size);
			hit();
			send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
		}
	}
	buf_free(&in);
}

static void *sink_thread(void *arg)
{
	for (;;) {
		int fd = accept4(sink.fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		serve(fd);
		close(fd);
	}
	return NULL;
}

static unsigned sink_listen(void)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(a);

	sink.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sink.fd < 0 || bind(sink.fd, (struct sockaddr *)&a, len) < 0 ||
	    listen(sink.fd, 1024) < 0 ||
	    getsockname(sink.fd, (struct sockaddr *)&a, &len) < 0)
		die_errno("the sink");
	return ntohs(a.sin_port);
}

/* ---- requests --------------------------------------------------------------------- */

static void add_user(struct buf *out, unsigned long number)
{
	buf_addf(out, "u%08lu@" BENCH_DOMAIN, number % USERS);
}

static void add_set(struct buf *out, unsigned long number, const char *key,
		    const char *value)
{
	buf_adds(out, "B1\t");
	add_user(out, number);
	buf_addf(out, "\nS1\tpriv/0123456789abcdef/%s\t%s\nC1\n", key, value);
}

static void add_token(struct buf *out, unsigned long number)
{
	struct buf token = BUF_INIT;

	buf_addf(&token, "fcm-chat.delta:%0150lu", number);
	add_set(out, number, "devicetoken", token.data);
	buf_free(&token);
}

static void add_message(struct buf *out, unsigned long number)
{
	add_set(out, number, "messagenew", "");
}

static void add_lookup(struct buf *out, unsigned long number)
{
	buf_adds(out, "Lpriv/0123456789abcdef/devicetoken\t");
	add_user(out, number);
	buf_addc(out, '\n');
}

/* ---- measures ---------------------------------------------------------------------- */

static void set_tokens(void)
{
	struct dict_load l = {
		.socket = path, .connections = 1, .requests_max = USERS,
		.request = add_token,
	};

	dict_load_run(&l);
	samples_free(&l.latency);
}

static void measure_lookups(void)
{
	struct dict_load l = {
		.socket = path, .connections = CONNECTIONS, .secs = SECS,
		.request = add_lookup,
	};
	double cpu = role_cpu(&role);

	progress("metadata: lookups");
	dict_load_run(&l);
	cpu = role_cpu(&role) - cpu;
	row(l.good / l.took, "/s", 0,
	    "metadata: lookups of tokens, %d connections in lock-step",
	    CONNECTIONS);
	row(samples_quantile(&l.latency, .99) * 1e6, "us", 0,
	    "metadata: the same, p99");
	row(cpu * 1e6 / l.good, "us", 0, "metadata: the same, CPU per lookup");
	samples_free(&l.latency);
}

static void measure_lone(void)
{
	struct samples ms = { 0 };
	int fd = dict_connect(path);

	progress("metadata: lone notifications");
	for (unsigned long i = 0; i < LONE; i++) {
		struct buf request = BUF_INIT;
		unsigned long before = sink.hits;
		double start = now(), end;

		add_message(&request, i);
		if (!dict_ask(fd, &request))
			failed("a commit failed");
		end = wait_hits(before + 1);
		buf_free(&request);
		if (!end)
			break;
		samples_add(&ms, (end - start) * 1e3);
	}
	close(fd);
	row(samples_quantile(&ms, .5), "ms", 0, "metadata: a lone notification, "
	    "from commit to HTTP request, p50");
	samples_free(&ms);
}

static void measure_notifications(void)
{
	struct dict_load l = {
		.socket = path, .connections = CONNECTIONS,
		.requests_max = NOTIFICATIONS, .request = add_message,
	};
	double cpu = role_cpu(&role), start = now(), end;
	unsigned long before = sink.hits;

	progress("metadata: notifications");
	role_reset_peak(&role);
	dict_load_run(&l);
	end = wait_hits(before + l.good);
	/* the last answers are still to be read, the last files removed */
	sleep_secs(.1);
	cpu = role_cpu(&role) - cpu;
	row(l.good / l.took, "/s", 0, "metadata: commits of new messages, a "
	    "token each, %d connections in lock-step", CONNECTIONS);
	row(samples_quantile(&l.latency, .99) * 1e3, "ms", 0,
	    "metadata: the same, p99");
	if (end)
		row(l.good / (end - start), "/s", 0, "metadata: notifications "
		    "of these, first commit to last HTTP/1.1 request");
	row(cpu * 1e6 / l.good, "us", 0,
	    "metadata: CPU per commit and notification");
	row(role_peak(&role), "KB", 0, "metadata: peak RSS meanwhile");
	samples_free(&l.latency);
}

int main(int argc, char **argv)
{
	const char *args[] = { "metadata", NULL, NULL, NULL };
	struct buf url = BUF_INIT;
	char name[16], *ini;

	bench_init(argc, argv, 60);
	if (!has_role("metadata")) {
		row_skipped("metadata: not in this binary");
		return bench_end();
	}
	buf_addf(&url, "notification_url = http://127.0.0.1:%u/notify\n",
		 sink_listen());
	make_ini(url.data);
	for (int i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "u%08d", i);
		make_user(name);
	}
	args[1] = path = bench_path("metadata.socket");
	args[2] = ini = bench_path("chatmail.ini");
	role_start(&role, args);
	for (int i = 0; i < SINK_THREADS; i++) {
		pthread_t t;

		start_thread(&t, sink_thread, NULL);
	}
	set_tokens();
	measure_lookups();
	measure_lone();
	measure_notifications();
	role_stop(&role, "metadata");
	buf_free(&url);
	free(ini);
	free(path);
	return bench_end();
}
