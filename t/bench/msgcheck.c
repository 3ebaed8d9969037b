/* The parser of messages alone, by CPU time: msgcheck in a loop, on the chunks that a
 * connection reads. */
#include "t/bench/message.h"
#include "text/msgcheck.h"
#include "text/smtp.h"

static const double SECS = .7;

enum { CHUNK = 16 * 1024 };

/* Ended by its dot. */
static void print_message(struct buf *out, size_t size, enum message_kind kind)
{
	struct message m;
	const char *p;
	size_t n;

	message_make(&m, size, 0, kind);
	for (size_t at = 0; (n = message_piece(&m, at, &p)); at += n)
		buf_add(out, p, n);
	buf_adds(out, ".\r\n");
	message_free(&m);
}

static void check(const struct buf *text, bool encrypted)
{
	struct msgcheck m;
	struct msgcheck_result r;
	size_t end = text->len - 3;

	msgcheck_init(&m, true);
	for (size_t at = 0; at < end; at += CHUNK)
		msgcheck_feed(&m, text->data + at,
			      end - at < CHUNK ? end - at : CHUNK);
	msgcheck_end(&m, &r);
	if (r.encrypted != encrypted)
		failed("msgcheck: encrypted is %d: %s", r.encrypted,
		       r.why ? r.why : "");
	msgcheck_free(&m);
}

static void ignore(struct smtp_data *d, const char *p, size_t n)
{
}

static void undot(const struct buf *text, bool encrypted)
{
	struct smtp_data d;

	smtp_data_init(&d, ignore, ignore);
	for (size_t at = 0; at < text->len; at += CHUNK)
		smtp_data_feed(&d, text->data + at, text->len - at < CHUNK ?
			       text->len - at : CHUNK);
	if (!d.done || d.bare)
		failed("smtp_data does not see the end");
}

/* Not the clock's time: other programs do not matter here. */
static double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void measure(const char *what, size_t size, enum message_kind kind,
		    void (*run)(const struct buf *text, bool encrypted))
{
	struct buf text = BUF_INIT;
	unsigned long count = 0;
	double start, took;

	progress("%s", what);
	print_message(&text, size, kind);
	start = cpu_now();
	do {
		run(&text, kind == ENCRYPTED);
		count++;
		took = cpu_now() - start;
	} while (took < SECS && !bench.failed);
	if (size < 100 * 1000)
		row(took * 1e6 / count, "us", 0, "%s", what);
	else
		row(count * text.len / took / 1e6, "MB/s", 0, "%s", what);
	buf_free(&text);
}

int main(int argc, char **argv)
{
	bench_init(argc, argv, 30);
	measure("msgcheck: an encrypted message of 2 KB", 2000, ENCRYPTED,
		check);
	measure("msgcheck: encrypted, 30 MB", 30 * 1000 * 1000, ENCRYPTED,
		check);
	measure("msgcheck: cleartext, 30 MB", 30 * 1000 * 1000, CLEARTEXT,
		check);
	measure("smtp_data, which takes dots away: 30 MB", 30 * 1000 * 1000,
		ENCRYPTED, undot);
	return bench_end();
}
