/* SSH to a host with keys, for the operator's commands: the calls block, each
 * wait for the host has an end, errors are sentences that name the host. Reads
 * ~/.ssh/config and known_hosts as ssh(1) does. One thread; SIGPIPE is left
 * alone. */
#ifndef HOST_SSH_H
#define HOST_SSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

/* All of it is borrowed until ssh_close(); 0 and NULL mean the default. */
struct ssh_options {
	/* [user@]host[:port], or a Host of ~/.ssh/config. The user is root
	 * unless one is given here or there. */
	const char *target;
	const char *identity;	/* a private key file, tried before others */
	unsigned connect_secs;	/* until a connection stands (15) */
	unsigned answer_secs;	/* for each step of logging in (30) */
	/* Longest silence before the connection is held to be lost (60, not
	 * below 5); the host is asked for a sign of life in between. */
	unsigned silence_secs;
	/* The host's key is not known. Show the question, several lines that
	 * end in a prompt, and say whether it was answered with yes. NULL: no. */
	bool (*confirm)(const struct ssh_options *o, const char *question);
	/* A passphrase goes to secret, which is wiped afterwards; -1: none
	 * can be had. NULL: the same. */
	int (*passphrase)(const struct ssh_options *o, const char *prompt,
			  struct buf *secret);
	/* A line on something that was left out or done. NULL: dropped. */
	void (*notice)(const struct ssh_options *o, const char *text);
};

struct ssh;

/* Connect, verify the host's key, log in. Returns NULL with *err, which says
 * what to do. A host that is confirmed goes into known_hosts. */
struct ssh *ssh_connect(const struct ssh_options *o, struct buf *err);
/* Also of NULL. A command that still runs loses its input and output. */
void ssh_close(struct ssh *s);

/* "chat.example.org", "chat.example.org:2222": for messages. */
const char *ssh_place(const struct ssh *s);
const char *ssh_user(const struct ssh *s);

/* A line that is as long or longer is given in pieces: those that have this
 * length go on. */
enum { SSH_LINE_MAX = 64 * 1024 };

struct ssh_command {
	/* Filled in by the owner. */
	const char *command;	/* for the host's /bin/sh; may be a script */
	bool as_root;		/* ssh_become_root() has to have succeeded */
	unsigned secs;		/* longest run; 0: while the host answers */
	/* What the command reads: input, or what on_input() gives, up to n
	 * bytes; 0 is the end, -1 stops the command with *err. */
	const char *input;
	size_t input_len;
	ssize_t (*on_input)(struct ssh_command *c, char *p, size_t n,
			    struct buf *err);
	/* A line of its output, without the newline, terminated, and only for
	 * the time of the call; NULL: dropped. */
	void (*on_stdout)(struct ssh_command *c, char *line, size_t len);
	void (*on_stderr)(struct ssh_command *c, char *line, size_t len);
	/* How it ended. */
	int exit_code;		/* -1 when a signal ended it */
	char signal[16];	/* its name, as "KILL", or "" */
};

/* Run a command to its end. What it leaves unread of its input is dropped.
 * Returns 0 however it ended, or -1 with *err: then the connection is lost, or
 * the command was stopped as its time was over or on_input() failed, and
 * nothing more can be done with the connection. */
int ssh_run(struct ssh *s, struct ssh_command *c, struct buf *err);
/* Append "exit code 3" or "signal KILL" */
void ssh_add_status(struct buf *out, const struct ssh_command *c);

/* Run command; its output of at most max bytes is appended to out. Returns 0,
 * or -1 with *err also when it ends in another way than with 0; err then has
 * what it wrote to stderr, the beginning at least. */
int ssh_output(struct ssh *s, const char *command, bool as_root, size_t max,
	       struct buf *out, struct buf *err);

struct ssh_file {
	/* Filled in by the owner. */
	const char *path;	/* on the host; its directory has to exist */
	unsigned mode;		/* as 0755 */
	bool as_root;
	uint64_t size;		/* exactly so many bytes: */
	const char *data;	/* from here, or if NULL */
	int fd;			/* read from here */
	void (*on_progress)(struct ssh_file *f, uint64_t sent); /* or NULL */
};

/* Put a file there so that path is the old one or the whole new one, by cat(1)
 * and mv(1). Returns 0, or -1 with *err; "PATH.tmp-XXXXXXXX" may be left
 * behind when the connection or the host dies. */
int ssh_put(struct ssh *s, struct ssh_file *f, struct buf *err);

/* Find out how to be root there: we are, or sudo or doas without a password.
 * Returns 0, or -1 with *err. */
int ssh_become_root(struct ssh *s, struct buf *err);

#endif
