#include "relay/notify_item.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rand.h"
#include "base/str.h"
#include "relay/tokens.h"

enum { ITEM_ADDR_MAX = 255 };

size_t notify_item_size(const struct notify_item *i)
{
	return sizeof(*i) + strlen(i->addr) + strlen(i->token) + 2;
}

bool notify_item_is_name(const char *name)
{
	return strlen(name) == NOTIFY_NAME &&
	       strspn(name, "0123456789abcdef") == NOTIFY_NAME;
}

static struct notify_item *item_new(const char *name, const char *addr,
				    const char *token, int64_t start)
{
	size_t addr_size = strlen(addr) + 1, token_size = strlen(token) + 1;
	struct notify_item *i;

	i = xcalloc(1, sizeof(*i) + addr_size + token_size);
	memcpy(i->name, name, NOTIFY_NAME + 1);
	memcpy(i->text, addr, addr_size);
	memcpy(i->text + addr_size, token, token_size);
	i->addr = i->text;
	i->token = i->text + addr_size;
	i->start = start;
	return i;
}

/* Cut at the first two line feeds. */
static bool split_lines(char *text, char **start, char **token)
{
	*start = strchr(text, '\n');
	*token = *start ? strchr(*start + 1, '\n') : NULL;
	if (!*token)
		return false;
	*(*start)++ = '\0';
	*(*token)++ = '\0';
	return true;
}

struct notify_item *notify_item_parse(const char *name, const char *text,
				      size_t n, struct buf *err)
{
	char *addr = xstrndup(text, n), *start, *token;
	struct notify_item *i = NULL;
	uint64_t secs;

	if (strlen(addr) != n || !split_lines(addr, &start, &token) ||
	    str_to_u64(start, &secs) < 0)
		buf_setf(err, "not address, time and token on a line each");
	else if (!*addr || strlen(addr) > ITEM_ADDR_MAX || secs > INT64_MAX / 2)
		buf_setf(err, "address or time out of range");
	else if (!token_is_valid(token))
		buf_setf(err, "not a device token");
	else
		i = item_new(name, addr, token, (int64_t)secs);
	free(addr);
	return i;
}

/* A random UUID (RFC 9562 section 5.4) without its hyphens. */
static void make_name(char name[NOTIFY_NAME + 1])
{
	unsigned char id[NOTIFY_NAME / 2];

	rand_bytes(id, sizeof(id));
	id[6] = (id[6] & 0x0f) | 0x40;
	id[8] = (id[8] & 0x3f) | 0x80;
	for (size_t i = 0; i < sizeof(id); i++)
		snprintf(name + 2 * i, 3, "%02x", id[i]);
}

/* The file is new and complete or not there; the page cache is enough, for a
 * notification is of no use after a power failure. */
static int write_new(const char *path, const char *tmp, const struct buf *text)
{
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t n;
	int saved;

	if (fd < 0)
		return -1;
	do
		n = write(fd, text->data, text->len);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && (size_t)n < text->len) {
		errno = ENOSPC;
		n = -1;
	}
	saved = errno;
	if (close(fd) < 0 && n >= 0) {
		saved = errno;
		n = -1;
	}
	if (n >= 0 && rename(tmp, path) == 0)
		return 0;
	if (n >= 0)
		saved = errno;
	unlink(tmp);
	errno = saved;
	return -1;
}

struct notify_item *notify_item_create(const char *dir, const char *addr,
				       const char *token, int64_t start,
				       struct buf *err)
{
	struct buf path = BUF_INIT, tmp = BUF_INIT, text = BUF_INIT;
	struct notify_item *i = NULL;
	char name[NOTIFY_NAME + 1];

	make_name(name);
	buf_addf(&path, "%s/%s", dir, name);
	buf_addf(&tmp, "%s.tmp", path.data);
	buf_addf(&text, "%s\n%lld\n%s", addr, (long long)start, token);
	if (write_new(path.data, tmp.data, &text) < 0)
		buf_setf(err, "%s: %s", dir, strerror(errno));
	else
		i = item_new(name, addr, token, start);
	buf_free(&path);
	buf_free(&tmp);
	buf_free(&text);
	return i;
}

struct notify_item *notify_item_read(const char *dir, const char *name,
				     bool *is_bad, struct buf *err)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	struct notify_item *i = NULL;

	*is_bad = !notify_item_is_name(name);
	buf_addf(&path, "%s/%s", dir, name);
	if (*is_bad) {
		buf_setf(err, "not the name of a notification");
	} else if (file_read(path.data, NOTIFY_FILE_MAX, &text) < 0) {
		*is_bad = errno == EFBIG;
		buf_setf(err, "%s", strerror(errno));
	} else {
		i = notify_item_parse(name, text.data, text.len, err);
		*is_bad = !i;
	}
	buf_free(&path);
	buf_free(&text);
	return i;
}

int notify_item_unlink(const char *dir, const char *name, struct buf *err)
{
	struct buf path = BUF_INIT;
	int ret = 0;

	buf_addf(&path, "%s/%s", dir, name);
	if (unlink(path.data) < 0 && errno != ENOENT) {
		buf_setf(err, "%s: %s", path.data, strerror(errno));
		ret = -1;
	}
	buf_free(&path);
	return ret;
}
