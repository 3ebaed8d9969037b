/* The resolver. Without arguments: what needs no server. With arguments it is
 * the program that t/2600-resolver.t talks to:
 *
 *   resolver SERVER SECS
 *
 * reads "ask NAME", "forget NAME" and "cancel NAME" from stdin and prints a
 * line for each answer: NAME, a TAB, then found, cached, none or failed, and
 * the texts or the reason, with TABs between. At its end it stops at once. */
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "net/resolver.h"

struct question {
	struct resolver_query query;
	struct question *next;
	struct buf answer;
	char name[300];
	int answers;
};

static struct resolver *resolver;
static struct question *questions;	/* all, for "cancel" */

static void show(struct question *q, const struct resolver_answer *a)
{
	static const char *const words[] = { "found", "none", "failed" };

	q->answers++;
	buf_setf(&q->answer, "%s",
		 a->cached ? "cached" : words[a->status]);
	if (a->status != RESOLVER_FOUND)
		buf_addf(&q->answer, "\t%s", a->why);
	for (size_t i = 0; i < a->count; i++) {
		buf_addc(&q->answer, '\t');
		buf_add_printable(&q->answer, a->texts[i].data,
				  a->texts[i].len);
	}
}

static void on_done(struct resolver_query *query,
		    const struct resolver_answer *a)
{
	struct question *q = container_of(query, struct question, query);

	show(q, a);
	printf("%s\t%s\n", q->name, q->answer.data);
	fflush(stdout);
}

static struct question *ask(const char *name)
{
	struct question *q = xcalloc(1, sizeof(*q));

	buf_init(&q->answer);
	snprintf(q->name, sizeof(q->name), "%s", name);
	q->query.done = on_done;
	q->next = questions;
	questions = q;
	resolver_txt(resolver, name, &q->query);
	return q;
}

static void cancel(const char *name)
{
	for (struct question *q = questions; q; q = q->next)
		if (strcmp(q->name, name) == 0)
			resolver_cancel(&q->query);
}

static void run(const char *line)
{
	if (str_starts(line, "ask "))
		ask(line + 4);
	else if (str_starts(line, "forget "))
		resolver_forget(resolver, line + 7);
	else if (str_starts(line, "cancel "))
		cancel(line + 7);
}

static struct buf input = BUF_INIT;

static void on_stdin(struct ev_loop *loop, ev_io *w, int revents)
{
	char *nl;
	ssize_t n;

	buf_reserve(&input, 65536);
	n = read(w->fd, input.data + input.len, 65536);
	if (n <= 0) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	input.len += (size_t)n;
	input.data[input.len] = '\0';
	while ((nl = strchr(input.data, '\n'))) {
		*nl = '\0';
		run(input.data);
		buf_consume(&input, (size_t)(nl + 1 - input.data));
	}
}

static void cleanup(void)
{
	resolver_free(resolver);
	while (questions) {
		struct question *q = questions;

		questions = q->next;
		buf_free(&q->answer);
		free(q);
	}
	buf_free(&input);
}

static int serve(char **argv)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
	struct buf err = BUF_INIT;
	ev_io in;

	resolver = resolver_new(loop, argv[1], strtod(argv[2], NULL), &err);
	if (!resolver) {
		fprintf(stderr, "%s\n", err.data);
		return 1;
	}
	ev_io_init(&in, on_stdin, 0, EV_READ);
	ev_io_start(loop, &in);
	ev_run(loop, 0);
	cleanup();
	return 0;
}

/* ---- without a server ------------------------------------------------------- */

static const struct {
	const char *server;
	bool good;
} servers[] = {
	{ "", true },
	{ "127.0.0.1", true },
	{ "127.0.0.1:5353", true },
	{ "::1", true },
	{ "[::1]", true },
	{ "[::1]:5353", true },
	{ "2001:db8::1", true },
	{ "127.0.0.1:", false },
	{ "127.0.0.1:0", false },
	{ "127.0.0.1:65536", false },
	{ "127.0.0.1:x", false },
	{ "127.0.0.1:5353:1", false },
	{ "[127.0.0.1]", false },
	{ "[::1", false },
	{ "[::1]x", false },
	{ "[::1]:", false },
	{ "dns.example", false },
	{ "127.0.0.256", false },
	{ " 127.0.0.1", false },
	{ ":53", false },
	{ "[]:53", false },
	{ "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", false },
};

static void test_servers(struct ev_loop *loop)
{
	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		struct buf err = BUF_INIT;
		struct resolver *r = resolver_new(loop, servers[i].server,
						  RESOLVER_SECS, &err);

		tap_ok(!!r == servers[i].good && !r == !!err.len,
		       "server \"%s\" %s", servers[i].server, err.data);
		resolver_free(r);
		buf_free(&err);
	}
}

static void quietly_done(struct resolver_query *query,
			 const struct resolver_answer *a)
{
	show(container_of(query, struct question, query), a);
}

static void test_names(struct ev_loop *loop)
{
	static const char *const names[] = { "", ".", "a..b", "a b", "a\\b" };
	struct buf err = BUF_INIT;

	resolver = resolver_new(loop, "127.0.0.1:9", 1., &err);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct question *q = ask(names[i]), *cancelled = ask(names[i]);

		q->query.done = cancelled->query.done = quietly_done;
		resolver_cancel(&cancelled->query);
		tap_ok(!q->answers, "no answer inside the call");
		ev_run(loop, EVRUN_NOWAIT);
		tap_is(q->answer.data, "none\tnot a domain name",
		       "what is no name is not found");
		ev_run(loop, EVRUN_NOWAIT);
		tap_ok(q->answers == 1 && !cancelled->answers,
		       "one answer, none after cancelling");
		resolver_cancel(&q->query);
	}
	ask("under.way");
	ask("..");
	cleanup();
	tap_ok(true, "ends with queries under way");
}

int main(int argc, char **argv)
{
	struct ev_loop *loop;

	if (argc == 3)
		return serve(argv);
	loop = ev_default_loop(EVFLAG_AUTO);
	test_servers(loop);
	test_names(loop);
	return tap_done();
}
