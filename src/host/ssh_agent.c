#include "host/ssh_agent.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "text/sshkey.h"

enum { LIST_SECS = 10, SIGN_SECS = 60 };

int ssh_agent_open(struct ssh_agent *a, const char *path, struct buf *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	a->fd = -1;
	if (strlen(path) >= sizeof(at.sun_path)) {
		buf_setf(err, "%s: the path is too long", path);
		return -1;
	}
	memcpy(at.sun_path, path, strlen(path));
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd >= 0 &&
	    connect(a->fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return 0;
	buf_setf(err, "%s: %s", path, strerror(errno));
	ssh_agent_close(a);
	return -1;
}

void ssh_agent_close(struct ssh_agent *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

/* Move all n bytes one way or the other before the end. */
static int move(struct ssh_agent *a, char *p, size_t n, bool out, double end,
		struct buf *err)
{
	while (n) {
		struct pollfd fd = { a->fd, out ? POLLOUT : POLLIN, 0 };
		double left = end - clock_secs();
		ssize_t done;

		if (left <= 0 || poll(&fd, 1, (int)(left * 1000) + 1) == 0) {
			buf_setf(err, "the agent does not answer");
			return -1;
		}
		done = out ? send(a->fd, p, n, MSG_NOSIGNAL) :
			recv(a->fd, p, n, 0);
		if (done < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (done <= 0) {
			buf_setf(err, "the agent is gone");
			return -1;
		}
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

static int ask(struct ssh_agent *a, struct buf *request, unsigned secs,
	       struct buf *answer, struct buf *err)
{
	double end = clock_secs() + secs;
	struct sshkey_reader head;
	char length[4];
	uint32_t n;

	if (move(a, request->data, request->len, true, end, err) < 0 ||
	    move(a, length, sizeof(length), false, end, err) < 0)
		return -1;
	head = (struct sshkey_reader){ length, sizeof(length) };
	sshkey_read_u32(&head, &n);
	if (n > SSHAGENT_MAX) {
		buf_setf(err, "the agent's answer is too long");
		return -1;
	}
	buf_reserve(answer, n);
	if (move(a, answer->data, n, false, end, err) < 0)
		return -1;
	answer->len = n;
	answer->data[n] = '\0';
	return 0;
}

int ssh_agent_list(struct ssh_agent *a, struct arena *arena,
		   struct sshagent_keys *keys, struct buf *err)
{
	struct buf request = BUF_INIT, answer = BUF_INIT;
	int ret;

	*keys = (struct sshagent_keys){ 0 };
	sshagent_add_list(&request);
	ret = ask(a, &request, LIST_SECS, &answer, err);
	if (ret == 0)
		ret = sshagent_parse_list(answer.data, answer.len, arena, keys,
					  err);
	buf_free(&request);
	buf_free(&answer);
	return ret;
}

int ssh_agent_sign(struct ssh_agent *a, const struct sshagent_key *key,
		   const void *data, size_t n, struct buf *sig,
		   struct buf *err)
{
	struct buf request = BUF_INIT, answer = BUF_INIT;
	int ret;

	sshagent_add_sign(&request, key, data, n);
	ret = ask(a, &request, SIGN_SECS, &answer, err);
	if (ret == 0)
		ret = sshagent_parse_sign(answer.data, answer.len, sig, err);
	buf_free(&request);
	buf_free(&answer);
	return ret;
}
