#include "relay/newaccount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rand.h"
#include "base/str.h"
#include "relay/user.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define PUNCTUATION "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

enum {
	PASSWORD_EXTRA = 3,	/* characters above the required length */
	TRIES = 100,		/* short names collide now and then */
	LENGTH_MAX = 200,	/* whatever chatmail.ini says */
};

static void add_random(struct buf *b, uint64_t n, const char *set)
{
	if (n > LENGTH_MAX)
		n = LENGTH_MAX;
	buf_reserve(b, n);
	rand_string(b->data + b->len, n, set);
	b->len += n;
}

static int choose_address(struct newaccount *a, const struct relay *r,
			  struct buf *err)
{
	for (int i = 0; i < TRIES; i++) {
		struct buf path = BUF_INIT;
		struct stat st;
		int ret;

		buf_reset(&a->email);
		add_random(&a->email, r->s.username_max_length, LOWER DIGITS);
		buf_addf(&a->email, "@%s", r->mail_domain);
		user_path(&path, r, a->email.data, NULL);
		/* pages may run as a user who cannot look: then it is free */
		ret = lstat(path.data, &st);
		buf_free(&path);
		if (ret < 0)
			return 0;
	}
	buf_setf(err, "no free address was found");
	return -1;
}

int newaccount_make(struct newaccount *a, const struct relay *r,
		    struct buf *err)
{
	buf_init(&a->email);
	buf_init(&a->password);
	if (user_creation_is_blocked(r)) {
		buf_setf(err, "this relay does not create new addresses at the "
			 "moment");
		return -1;
	}
	if (choose_address(a, r, err) < 0)
		return -1;
	add_random(&a->password, r->s.password_min_length + PASSWORD_EXTRA,
		   LOWER UPPER DIGITS PUNCTUATION);
	return 0;
}

void newaccount_free(struct newaccount *a)
{
	buf_free(&a->email);
	explicit_bzero(a->password.data, a->password.len);
	buf_free(&a->password);
}

void newaccount_dclogin(struct buf *out, const struct newaccount *a,
			const struct relay *r, const char *extra)
{
	buf_adds(out, "dclogin:");
	buf_add_percent(out, a->email.data, "@[]");
	buf_adds(out, "?p=");
	buf_add_percent(out, a->password.data, "");
	buf_adds(out, "&v=1");
	if (r->is_ipv4)
		buf_addf(out, "&ih=%s&sh=%s", r->mail_domain_bare,
			 r->mail_domain_bare);
	buf_addf(out, "%s&ic=3", extra);
}
