/* filtermail, outgoing: throughput, CPU and memory of messages in flight. */
#include "t/bench/smtp.h"

enum {
	LARGE = 30 * 1000 * 1000,	/* default max_message_size: 30 MiB */
	HELD = 250 * 1000,		/* just not handed on before its end */
	IN_FLIGHT = 64, REFUSED = 16,
	OPEN = 20 * 1000,		/* connections that idle */
	/* accept(2) takes a descriptor before it waits */
	SPARE_FILES = SINK_THREADS + 64,
};
static const double LOAD_SECS = 1.5, STALL_SECS = .4;
static const double MESSAGE_KB = 512, TOTAL_KB = 64 * 1024;

static struct sink sink;
static struct role role;
static unsigned port;

static void start(void)
{
	char *ini = bench_path("chatmail.ini");
	const char *args[] = { "filtermail", ini, "outgoing", NULL };

	role_start(&role, args);
	free(ini);
}

/* All that were accepted came, each once and with its hash. */
static void check_delivery(const struct smtp_load *l, const char *what)
{
	if (sink.complete != l->good || sink.wrong)
		failed("%s: %lu accepted, %lu came, %lu of them damaged or "
		       "twice", what, l->good, sink.complete, sink.wrong);
}

/* ---- throughput ------------------------------------------------------------------ */

static void measure_load(const char *size_name, struct corpus *c,
			 unsigned connections)
{
	struct smtp_load l = {
		.port = port, .connections = connections, .corpus = c,
		.messages_max = 1000 * 1000, .secs = LOAD_SECS, .want = "250",
	};
	double cpu = role_cpu(&role);

	progress("filtermail: %s, %u at once", size_name, connections);
	sink_expect(&sink, c, l.messages_max);
	smtp_load_start(&l);
	smtp_load_join(&l);
	cpu = role_cpu(&role) - cpu;
	check_delivery(&l, size_name);
	row(l.good / l.took, "/s", 0, "filtermail: messages of %s, %u at once, "
	    "a connection each", size_name, connections);
	if (c->size > 10 * 1000)
		row(l.good * c->size / l.took / 1e6, "MB/s", 0,
		    "filtermail: the same, bytes");
	row(samples_quantile(&l.latency, .5) * 1e3, "ms", 0,
	    "filtermail: the same, p50 from connecting to the final 250");
	row(samples_quantile(&l.latency, .99) * 1e3, "ms", 0,
	    "filtermail: the same, p99");
	row(cpu * 1e6 / l.good, "us", 0,
	    "filtermail: the same, CPU per message");
	samples_free(&l.latency);
}

static void measure_loads(void)
{
	static const struct {
		const char *name;
		size_t size;
	} sizes[] = {
		{ "2 KB", 2000 }, { "64 KB", 64 * 1000 },
		{ "5 MB", 5 * 1000 * 1000 },
	};

	start();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		static struct corpus c;

		corpus_make(&c, sizes[i].size, 16, ENCRYPTED);
		measure_load(sizes[i].name, &c, 1);
		measure_load(sizes[i].name, &c, 32);
		corpus_free(&c);
	}
	role_stop(&role, "filtermail");
}

/* ---- memory of messages in flight --------------------------------------------------- */

/* Until everybody waits for the sink, which does not read on. */
static void wait_for_stall(struct smtp_load *l)
{
	double give_up = now() + 10;
	size_t before;

	do {
		before = l->bytes;
		sleep_secs(STALL_SECS);
	} while (now() < give_up && (!before || l->bytes != before));
}

/* All at once against a new process, whose memory nobody has stretched. */
static void measure_in_flight(const char *what, size_t size, unsigned count)
{
	static struct corpus c;
	struct smtp_load l = {
		.port = port, .connections = count, .corpus = &c,
		.messages_max = count, .secs = 60, .want = "250",
	};
	double idle, peak;

	progress("filtermail: %u messages of %s in flight", count, what);
	corpus_make(&c, size, count, ENCRYPTED);
	sink_expect(&sink, &c, count);
	start();
	idle = role_rss(&role);
	role_reset_peak(&role);
	sink_hold(&sink, true);
	smtp_load_start(&l);
	wait_for_stall(&l);
	if (l.sent < count || l.good)
		failed("not all messages are in flight at once");
	sink_hold(&sink, false);
	smtp_load_join(&l);
	peak = role_peak(&role);
	check_delivery(&l, what);
	if (sink.complete != count)
		failed("%lu messages of %u came", sink.complete, count);
	row((peak - idle) / count, "KB", MESSAGE_KB, "filtermail: %u messages of "
	    "%s in flight, Postfix slow: peak RSS above idle, each", count,
	    what);
	row(peak, "KB", TOTAL_KB, "filtermail: the same, peak RSS in all; all "
	    "came intact (SHA-256)");
	role_stop(&role, "filtermail");
	samples_free(&l.latency);
	corpus_free(&c);
}

static void measure_refused(const char *what, enum message_kind kind,
			    const char *want)
{
	static struct corpus c;
	struct smtp_load l = {
		.port = port, .connections = REFUSED, .corpus = &c,
		.messages_max = REFUSED, .secs = 60, .want = want,
	};
	double idle, peak;

	progress("filtermail: refused messages");
	corpus_make(&c, LARGE, 1, kind);
	sink_expect(&sink, &c, REFUSED);
	start();
	idle = role_rss(&role);
	role_reset_peak(&role);
	smtp_load_start(&l);
	smtp_load_join(&l);
	peak = role_peak(&role);
	role_stop(&role, "filtermail");
	if (sink.complete)
		failed("%lu refused messages came through", sink.complete);
	row((peak - idle) / REFUSED, "KB", MESSAGE_KB, "filtermail: %d refused "
	    "messages of 30 MB, %s: peak RSS above idle, each", REFUSED, what);
	samples_free(&l.latency);
	corpus_free(&c);
}

/* ---- many connections ---------------------------------------------------------------- */

static void measure_open(void)
{
	unsigned long count = OPEN;
	struct peer *peers = xcalloc(OPEN, sizeof(*peers));
	double idle, rss;

	if (count + SPARE_FILES > files_max())
		count = files_max() - SPARE_FILES;
	if (count < OPEN / 2) {
		row_skipped("filtermail: %d open connections: the hard limit "
			    "of open files is %lu", OPEN, files_max());
		free(peers);
		return;
	}
	progress("filtermail: %lu open connections", count);
	start();
	idle = role_rss(&role);
	for (size_t i = 0; i < count; i++) {
		/* an address has some 28,000 ports for one destination */
		int fd = tcp_connect(port, 2 + i / 10000);

		peer_start(&peers[i], fd);
		if (fd < 0 || !peer_expect(&peers[i], "220") ||
		    !peer_writes(&peers[i], "EHLO bench\r\n") ||
		    !peer_expect(&peers[i], "250")) {
			failed("connection %zu is not served", i);
			count = i;
		}
	}
	rss = role_rss(&role);
	row(rss, "KB", 0, "filtermail: RSS with %lu open connections%s", count,
	    count < OPEN ? ", all that the hard limit of open files allows" :
	    "");
	if (count)
		row((rss - idle) / count, "KB", 0,
		    "filtermail: RSS for each of them");
	for (size_t i = 0; i < count; i++)
		close(peers[i].fd);
	free(peers);
	role_stop(&role, "filtermail");
}

int main(int argc, char **argv)
{
	struct buf settings = BUF_INIT;

	bench_init(argc, argv, 100);
	sink_listen(&sink);
	port = free_port();
	buf_addf(&settings, "filtermail_smtp_port = %u\n"
		 "postfix_reinject_port = %u\n", port, sink.port);
	make_ini(settings.data);
	sink_start(&sink);
	measure_loads();
	measure_in_flight("30 MB", LARGE, IN_FLIGHT);
	measure_in_flight("250 KB", HELD, IN_FLIGHT);
	measure_refused("cleartext", CLEARTEXT, "523");
	measure_refused("encrypted up to the last lines", BROKEN, "523");
	measure_open();
	buf_free(&settings);
	return bench_end();
}
