#include "host/ports.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

enum {
	TABLE_MAX = 16 * 1024 * 1024,
	/* TCP_LISTEN of the kernel, and TCP_CLOSE: a UDP socket without a
	 * peer */
	STATE_LISTEN = 0x0A, STATE_CLOSE = 0x07,
	INODES_MAX = 16,
};

struct search {
	const char *proc;
	unsigned port, state;
	unsigned long inodes[INODES_MAX];
	size_t count;
};

/* "  0: 00000000:0019 00000000:0000 0A … uid timeout inode …" */
static void take_line(struct search *s, const char *line)
{
	unsigned port, state;
	unsigned long inode;

	if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x "
		   "%*x:%*x %*x:%*x %*x %*u %*u %lu", &port, &state,
		   &inode) != 3)
		return;
	if (state == s->state && port == s->port &&
	    s->count < INODES_MAX)
		s->inodes[s->count++] = inode;
}

static void read_table(struct search *s, const char *name)
{
	struct buf path = BUF_INIT, text = BUF_INIT;

	buf_addf(&path, "%s/net/%s", s->proc, name);
	if (file_read(path.data, TABLE_MAX, &text) == 0)
		for (char *line = text.data; *line;) {
			size_t n = strcspn(line, "\n");
			bool is_last = !line[n];

			line[n] = '\0';
			take_line(s, line);
			if (is_last)
				break;
			line += n + 1;
		}
	buf_free(&path);
	buf_free(&text);
}

/* Does the process hold the socket? */
static bool holds(const char *fds, unsigned long inode)
{
	DIR *d = opendir(fds);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d))) {
		char target[64];
		unsigned long number;
		ssize_t n = readlinkat(dirfd(d), e->d_name, target,
				       sizeof(target) - 1);

		if (n <= 0)
			continue;
		target[n] = '\0';
		found = sscanf(target, "socket:[%lu]", &number) == 1 &&
			number == inode;
	}
	if (d)
		closedir(d);
	return found;
}

/* One that listens on IPv4 and IPv6 is named once. */
static void add_name(const char *proc, const char *pid, struct buf *who)
{
	struct buf path = BUF_INIT, name = BUF_INIT;

	buf_addf(&path, "%s/%s/comm", proc, pid);
	if (file_read(path.data, 64, &name) < 0)
		buf_adds(&name, "?");
	for (char *p = name.data; *p; p++)
		if (*p == ' ')
			*p = '_';
	str_trim(name.data);
	if (!str_has_word(who->data, name.data, strlen(name.data)))
		buf_addf(who, "%s ", name.data);
	buf_free(&path);
	buf_free(&name);
}

/* systemd holds the sockets of units that it starts on demand, so of several
 * holders all are named. */
static void find_holders(const struct search *s, unsigned long inode,
			 struct buf *who)
{
	DIR *d = opendir(s->proc);
	bool is_found = false;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		struct buf fds = BUF_INIT;
		uint64_t pid;

		if (str_to_u64(e->d_name, &pid) < 0)
			continue;
		buf_addf(&fds, "%s/%s/fd", s->proc, e->d_name);
		if (holds(fds.data, inode)) {
			add_name(s->proc, e->d_name, who);
			is_found = true;
		}
		buf_free(&fds);
	}
	if (d)
		closedir(d);
	if (!is_found)
		buf_adds(who, "? ");
}

int ports_listeners_in(const char *proc, enum port_proto proto, unsigned port,
		       struct buf *who)
{
	struct search s = {
		.proc = proc, .port = port,
		.state = proto == PORT_TCP ? STATE_LISTEN : STATE_CLOSE,
	};

	read_table(&s, proto == PORT_TCP ? "tcp" : "udp");
	read_table(&s, proto == PORT_TCP ? "tcp6" : "udp6");
	for (size_t i = 0; i < s.count; i++)
		find_holders(&s, s.inodes[i], who);
	if (who->len > 0 && who->data[who->len - 1] == ' ')
		buf_truncate(who, who->len - 1);
	return (int)s.count;
}

int ports_listeners(enum port_proto proto, unsigned port, struct buf *who)
{
	return ports_listeners_in("/proc", proto, port, who);
}

bool ports_are_of(const char *who, const char *allowed)
{
	while (*who) {
		size_t n = strcspn(who, " ");

		if (!str_has_word(allowed, who, n))
			return false;
		who += n;
		who += strspn(who, " ");
	}
	return true;
}
