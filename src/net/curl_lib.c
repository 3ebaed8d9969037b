#include "net/curl_lib.h"

#include <dlfcn.h>

struct curl_lib curl;

#ifdef CHATMAIL_STATIC

static int load(struct buf *err)
{
#define F(name) curl.name = curl_##name;
	CURL_LIB_FUNCTIONS(F)
#undef F
	return 0;
}

#else

#ifndef CURL_SONAME
#define CURL_SONAME "libcurl.so.4"
#endif
static const char soname[] = CURL_SONAME;

static int load(struct buf *err)
{
	void *lib = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	if (!lib) {
		buf_setf(err, "%s", dlerror());
		return -1;
	}
#define F(name)								\
	curl.name = (__typeof__(curl.name))dlsym(lib, "curl_" #name);	\
	if (!curl.name) {						\
		buf_setf(err, "%s has no curl_%s", soname, #name);	\
		return -1;						\
	}
	CURL_LIB_FUNCTIONS(F)
#undef F
	return 0;
}

#endif

int curl_lib_load(struct buf *err)
{
	static int loaded;

	if (loaded)
		return 0;
	if (load(err) < 0)
		return -1;
	loaded = 1;
	return 0;
}
