/* Certificate files. */
#include "tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"
#include "net/cert.h"

static char top[] = "/tmp/chatmail-cert-XXXXXX";
static char crt[64], key[64];

static void test_self(const char *domain)
{
	struct buf err = BUF_INIT;
	struct stat st;
	struct cert c;

	unlink(crt);
	unlink(key);
	tap_ok(cert_make_self(domain, 100, crt, key, &err) == 1, "%s: made",
	       domain);
	tap_ok(cert_read(&c, crt, key, &err) == 0 && c.is_self_signed &&
	       c.has_key && c.days_left >= 99 && c.days_left <= 100,
	       "%s: read", domain);
	tap_ok(strstr(c.names.data, domain) != NULL, "%s: named in %s",
	       domain, c.names.data);
	cert_free(&c);
	tap_ok(cert_file_covers(crt, domain), "%s: covered", domain);
	tap_ok(!cert_file_covers(crt, "other.example"), "%s: no other",
	       domain);
	tap_ok(stat(key, &st) == 0 && (st.st_mode & 0777) == 0600,
	       "the key is its owner's");
	tap_ok(cert_make_self(domain, 100, crt, key, &err) == 0, "%s: kept",
	       domain);
	buf_free(&err);
}

static void test_made_anew(void)
{
	struct buf err = BUF_INIT;
	struct cert c;

	tap_ok(cert_make_self("b.example", 20, crt, key, &err) == 1,
	       "for another domain");
	tap_ok(cert_make_self("b.example", 100, crt, key, &err) == 1,
	       "one with less than a month left");
	unlink(key);
	tap_ok(cert_read(&c, crt, key, &err) == 0 && !c.has_key,
	       "a lost key is noticed");
	cert_free(&c);
	tap_ok(cert_make_self("b.example", 100, crt, key, &err) == 1,
	       "and made again");
	file_replace(crt, "junk", 4, 0644, 0);
	tap_ok(cert_read(&c, crt, key, &err) < 0 && err.len > 0,
	       "junk is no certificate");
	cert_free(&c);
	buf_reset(&err);
	tap_ok(cert_make_self("b.example", 100, "/nowhere/x", key, &err) < 0 &&
	       strstr(err.data, "/nowhere/x"), "a missing directory is named");
	buf_free(&err);
}

int main(void)
{
	if (!mkdtemp(top))
		return 1;
	snprintf(crt, sizeof(crt), "%s/crt", top);
	snprintf(key, sizeof(key), "%s/key", top);
	test_self("chat.example.org");
	test_self("_chat.test");
	test_self("192.0.2.7");
	test_self("a-domain-that-is-much-longer-than-the-sixty-four-bytes-of-a-"
		  "common-name.example.org");
	test_made_anew();
	return tap_done();
}
