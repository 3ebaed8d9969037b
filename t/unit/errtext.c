/* Both builds call errors the same. */
#include "tap.h"

#include <netdb.h>

#include "base/errtext.h"

int main(void)
{
	int count = 0;

	/* in a static program both are ours, and the test is one of --wrap;
	 * in another one it compares with glibc */
	for (int code = 0; code < 134; code++)
		if (errtext_errno(code)) {
			tap_is(errtext_errno(code), strerror(code), "strerror");
			count++;
		}
	tap_ok(count > 30, "%d of errno's codes", count);
	for (int code = -12; code < 0; code++)
		if (errtext_gai(code)) {
			tap_is(errtext_gai(code), gai_strerror(code),
			       "gai_strerror");
			count++;
		}
	tap_ok(!errtext_errno(-1) && !errtext_errno(2) && !errtext_gai(0),
	       "and no others");
	tap_is(strerror(2), "No such file or directory", "which stay");
	return tap_done();
}
