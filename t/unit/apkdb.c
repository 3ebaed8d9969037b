/* apk's database of packages, as Alpine 3.20 writes it. */
#include "tap.h"

#include "text/apkdb.h"

static const char text[] =
"C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=\n"
"P:alpine-baselayout\n"
"V:3.6.5-r0\n"
"A:x86_64\n"
"S:8515\n"
"T:Alpine base dir structure and init scripts\n"
"D:alpine-baselayout-data=3.6.5-r0 /bin/sh\n"
"q:1000\n"
"F:dev\n"
"F:etc/crontabs\n"
"R:root\n"
"a:0:0:600\n"
"Z:Q1vfk1apUWI4yLJGhhNRd0kJixfvY=\n"
"\n"
"C:Q1L2VNMqMfNdRzCPQGgVBnLWfLdfM=\n"
"P:busybox-binsh\n"
"V:1.36.1-r29\n"
"p:/bin/sh cmd:sh=1.36.1-r29\n"
"\n"
"P:libcrypto3\n"
"V:3.3.2-r0\n"
"p:so:libcrypto.so.3=3.3.2\n"
"r:libressl\n";

static const struct {
	const char *name, *version;	/* NULL: it is not there */
} cases[] = {
	{ "alpine-baselayout", "3.6.5-r0" },
	{ "busybox-binsh", "1.36.1-r29" },
	{ "libcrypto3", "3.3.2-r0" },
	/* provided by another */
	{ "/bin/sh", "1.36.1-r29" },
	{ "cmd:sh", "1.36.1-r29" },
	{ "so:libcrypto.so.3", "3.3.2-r0" },
	/* no package: needed, replaced, a file, a part of a name */
	{ "alpine-baselayout-data", NULL },
	{ "libressl", NULL },
	{ "root", NULL },
	{ "alpine-base", NULL },
	{ "libcrypto3=3.3.2-r0", NULL },
	{ "", NULL },
};

int main(void)
{
	struct buf version = BUF_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool there;

		buf_reset(&version);
		there = apkdb_version(text, sizeof(text) - 1, cases[i].name,
				      &version);
		tap_ok(there == (cases[i].version != NULL), "%s: is there",
		       cases[i].name);
		tap_is(version.data, cases[i].version ? cases[i].version : "",
		       cases[i].name);
	}
	tap_ok(!apkdb_version("", 0, "x", &version), "nothing in nothing");
	buf_free(&version);
	return tap_done();
}
