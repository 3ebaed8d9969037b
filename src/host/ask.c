#include "host/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/str.h"

enum { ANSWER_MAX = 1024, TIMES = 3 };

static int tty_open(void)
{
	return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

static void tty_write(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n) {
		ssize_t done = write(fd, text, n);

		if (done < 0 && errno != EINTR)
			return;
		if (done > 0) {
			text += done;
			n -= (size_t)done;
		}
	}
}

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

/* A line without its end; -1 at the end of input or when a signal was caught.
 * Signals are let in by the mask while we wait, so that none comes unseen
 * between a look at caught and the wait. */
static int tty_read_line(int fd, const sigset_t *mask, struct buf *line)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	buf_reserve(line, ANSWER_MAX); /* no copies of a secret */
	for (;;) {
		ssize_t n;

		if (ppoll(&p, 1, NULL, mask) < 0) {
			if (errno == EINTR && !caught)
				continue;
			return -1;
		}
		n = read(fd, &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		if (c == '\n' || c == '\r')
			return 0;
		if (line->len < ANSWER_MAX)
			buf_addc(line, c);
	}
}

bool ask_yes(const char *question)
{
	struct buf answer = BUF_INIT;
	int fd = tty_open();
	bool yes = false;

	if (fd < 0)
		return false;
	caught = 0;
	tty_write(fd, question);
	for (int i = 0; i < TIMES; i++) {
		buf_reset(&answer);
		if (tty_read_line(fd, NULL, &answer) < 0)
			break;
		yes = str_eqi(str_trim(answer.data), "yes");
		if (yes || str_eqi(str_trim(answer.data), "no"))
			break;
		tty_write(fd, "Please type \"yes\" or \"no\": ");
	}
	buf_free(&answer);
	close(fd);
	return yes;
}

/* Signals that would leave the terminal without echo are let through when it
 * has it again. */
static const int held[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };

struct hold {
	struct sigaction before[ARRAY_LEN(held)];
	sigset_t mask;
};

static void hold_signals(struct hold *h)
{
	struct sigaction ours = { .sa_handler = on_signal };
	sigset_t set;

	caught = 0;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		sigaddset(&set, held[i]);
	sigprocmask(SIG_BLOCK, &set, &h->mask);
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		sigaction(held[i], &ours, &h->before[i]);
}

static void let_signals(const struct hold *h)
{
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		sigaction(held[i], &h->before[i], NULL);
	sigprocmask(SIG_SETMASK, &h->mask, NULL);
	if (caught)
		raise(caught);
}

int ask_secret(const char *prompt, struct buf *secret)
{
	struct termios with_echo, without;
	struct hold hold;
	int fd = tty_open(), ret;

	if (fd < 0)
		return -1;
	if (tcgetattr(fd, &with_echo) < 0) {
		close(fd);
		return -1;
	}
	hold_signals(&hold);
	without = with_echo;
	without.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	tcsetattr(fd, TCSAFLUSH, &without);
	tty_write(fd, prompt);
	buf_reset(secret);
	ret = tty_read_line(fd, &hold.mask, secret);
	tty_write(fd, "\n");
	tcsetattr(fd, TCSAFLUSH, &with_echo);
	close(fd);
	let_signals(&hold);
	return ret < 0 || !secret->len ? -1 : 0;
}
