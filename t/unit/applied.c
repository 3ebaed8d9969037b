/* What a service was last started with. */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "host/applied.h"

int main(void)
{
	char dir[] = "/tmp/chatmail-applied-XXXXXX";
	struct buf err = BUF_INIT;
	struct applied a;

	if (!mkdtemp(dir))
		return 1;
	applied_read(&a, dir, "nginx");
	tap_ok(applied_add(&a, "/etc/a", "1", 1) == 1, "new without a note");
	tap_ok(applied_add(&a, "/etc/b", NULL, 0) == 1, "absent is new too");
	tap_ok(applied_write(&a, dir, "nginx", &err) == 0, "written");
	applied_free(&a);

	applied_read(&a, dir, "nginx");
	tap_ok(applied_add(&a, "/etc/a", "1", 1) == 0, "the same");
	tap_ok(applied_add(&a, "/etc/b", "", 0) == 1,
	       "an empty file is not an absent one");
	tap_ok(applied_add(&a, "/etc/aa", "1", 1) == 1, "another name");
	applied_free(&a);

	applied_read(&a, dir, "nginx");
	tap_ok(applied_add(&a, "/etc/a", "2", 1) == 1, "other contents");
	applied_free(&a);
	applied_read(&a, dir, "dovecot");
	tap_ok(applied_add(&a, "/etc/a", "1", 1) == 1,
	       "each service has its own note");
	applied_free(&a);

	tap_ok(applied_forget(dir, "nginx", "/etc/a", &err) == 0, "forgotten");
	applied_read(&a, dir, "nginx");
	tap_ok(applied_add(&a, "/etc/a", "1", 1) == 1,
	       "what was forgotten is new");
	tap_ok(applied_add(&a, "/etc/b", NULL, 0) == 0, "the rest is not");
	applied_free(&a);
	tap_ok(applied_forget(dir, "nginx", "/etc/a", &err) == 0 &&
	       applied_forget(dir, "dovecot", "/etc/a", &err) == 0,
	       "what nobody knows is forgotten");
	applied_read(&a, dir, "nginx");
	tap_ok(applied_forget_all(&a, dir, "nginx", &err) == 0, "forgotten");
	tap_ok(applied_add(&a, "/etc/a", "1", 1) == 1, "then all is new");
	tap_ok(applied_forget_all(&a, dir, "nginx", &err) == 0, "once more");
	applied_free(&a);
	applied_read(&a, dir, "nginx");
	tap_ok(applied_add(&a, "/etc/a", "1", 1) == 1, "on disk as well");
	tap_ok(applied_write(&a, dir, "nginx", &err) == 0, "written again");
	applied_free(&a);
	tap_ok(applied_write(&a, "/dev/null/x", "nginx", &err) == 0 ||
	       err.len > 0, "a failure has its reason");
	buf_free(&err);
	return tap_done();
}
