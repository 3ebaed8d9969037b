#include "relay/turn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/str.h"

enum {
	PORT_MIN = 1024,	/* coturn has no rights */
	PORT_MAX = 65535,
	SECRET_LEN = 40,	/* made: 238 bits */
	SECRET_MIN = 16, SECRET_MAX = 256,
	FILE_MAX = 4096,
};

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* ---- settings --------------------------------------------------------------- */

static int port(const char *s, size_t n, unsigned *out)
{
	char text[8];
	uint64_t v;

	if (n >= sizeof(text))
		return -1;
	memcpy(text, s, n);
	text[n] = '\0';
	if (str_to_u64(text, &v) < 0 || v < PORT_MIN || v > PORT_MAX)
		return -1;
	*out = (unsigned)v;
	return 0;
}

int turn_ports_parse(const char *text, unsigned *first, unsigned *last)
{
	size_t n = strcspn(text, "-");
	unsigned a, b;

	if (!text[n] || port(text, n, &a) < 0 ||
	    port(text + n + 1, strlen(text + n + 1), &b) < 0 || a > b)
		return -1;
	*first = a;
	*last = b;
	return 0;
}

static bool is_ipv4(const char *s, size_t n)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr addr;

	if (n >= sizeof(text))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	return inet_pton(AF_INET, text, &addr) == 1;
}

bool turn_external_is_valid(const char *text)
{
	size_t n = strcspn(text, "/");

	return is_ipv4(text, n) &&
	       (!text[n] || is_ipv4(text + n + 1, strlen(text + n + 1)));
}

/* ---- the secret ------------------------------------------------------------- */

void turn_secret_make(struct buf *out)
{
	char secret[SECRET_LEN + 1];

	rand_string(secret, SECRET_LEN, LETTERS);
	buf_adds(out, secret);
	explicit_bzero(secret, sizeof(secret));
}

bool turn_secret_is_valid(const char *text)
{
	size_t n = strlen(text);

	return n >= SECRET_MIN && n <= SECRET_MAX &&
	       strspn(text, LETTERS "+/=_-") == n;
}

int turn_secret_load(const char *path, struct buf *out, struct buf *err)
{
	struct buf text = BUF_INIT;
	const char *secret;
	int ret = -1;

	if (file_read(path, FILE_MAX, &text) < 0) {
		int why = errno;

		buf_setf(err, "%s: %s", path, strerror(why));
		errno = why;
		return -1;
	}
	if (strlen(text.data) != text.len)
		buf_reset(&text);	/* a NUL */
	secret = str_trim(text.data);
	if (turn_secret_is_valid(secret)) {
		buf_adds(out, secret);
		ret = 0;
	} else {
		buf_setf(err, "%s: expected a secret of %d letters and digits "
			 "or more, and nothing else", path, SECRET_MIN);
		errno = EINVAL;
	}
	explicit_bzero(text.data, text.len);
	buf_free(&text);
	return ret;
}

/* ---- credentials ------------------------------------------------------------ */

void turn_credentials(struct buf *out, const char *secret, int64_t expiry)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = sizeof(digest);
	char user[24];
	int len = snprintf(user, sizeof(user), "%" PRId64, expiry);

	if (!HMAC(EVP_sha1(), secret, (int)strlen(secret),
		  (const unsigned char *)user, (size_t)len, digest, &n))
		bug("no HMAC-SHA1");
	buf_addf(out, "%s:", user);
	buf_add_base64(out, digest, n);
}
