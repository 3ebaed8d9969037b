#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"

static const char *log_role = "chatmail";
static bool log_journal, log_verbose, log_syslog;

void log_init(const char *role)
{
	const char *stream = getenv("JOURNAL_STREAM");
	const char *level = getenv("CHATMAIL_LOG");
	const char *tag = getenv("CHATMAIL_SYSLOG");
	unsigned long long dev, ino;
	struct stat st;

	log_role = role;
	log_verbose = level && strcmp(level, "debug") == 0;
	log_journal = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
		      fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
		      st.st_ino == ino;
	log_syslog = tag && *tag;
	if (log_syslog)
		openlog(tag, LOG_PID, LOG_DAEMON);
}

static void log_write(int priority, const char *fmt, va_list ap)
{
	struct buf text = BUF_INIT, line = BUF_INIT;
	ssize_t n;

	buf_vaddf(&text, fmt, ap);
	if (log_journal)
		buf_addf(&line, "<%d>", priority);
	else if (!log_syslog)
		buf_addf(&line, "%s: ", log_role);
	buf_add_printable(&line, text.data, text.len);
	buf_addc(&line, '\n');
	if (log_syslog) {
		syslog(priority, "%s", line.data);
	} else {
		/* One write, so that lines of several do not mix. */
		n = write(STDERR_FILENO, line.data, line.len);
		(void)n; /* there is nobody left to tell */
	}
	buf_free(&text);
	buf_free(&line);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!log_verbose)
		return;
	va_start(ap, fmt);
	log_write(7, fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_write(6, fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_write(4, fmt, ap);
	va_end(ap);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_write(3, fmt, ap);
	va_end(ap);
	exit(EXIT_FAIL);
}

void die_errno(const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	die("%s: %s", text.data, strerror(saved));
}

void bug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_write(2, fmt, ap);
	va_end(ap);
	abort();
}
