/* The log goes to stderr: "<N>text" when systemd reads it, else "role: text"; or
 * to syslog(3), where nobody reads stderr, as under OpenRC. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/* Exit codes of every personality. */
enum { EXIT_OK = 0, EXIT_FAIL = 1, EXIT_USAGE = 2 };

/* role is borrowed for good and names the log lines. Debug lines are shown
 * when CHATMAIL_LOG is "debug". systemd's journal is told by JOURNAL_STREAM
 * naming stderr's device and inode (systemd.exec(5)); syslog is used when
 * CHATMAIL_SYSLOG names the tag of the lines. */
void log_init(const char *role);

/* One line each; control bytes and invalid UTF-8 are written as \xNN.
 * Never pass passwords, tokens or message contents. */
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Start-up only (main.c and applets): say why and exit(EXIT_FAIL).
 * die is for the user's mistake, die_errno appends strerror(errno). */
void die(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));
void die_errno(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));
/* A mistake of ours: say it and abort(). */
void bug(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

#endif
