#include "net/ssl_lib.h"

#include <dlfcn.h>

struct ssl_lib ssl;

#ifdef CHATMAIL_STATIC

static int load(struct buf *err)
{
	ssl.client_method = TLS_client_method;
#define F(name) ssl.name = SSL_##name;
	SSL_LIB_FUNCTIONS(F)
#undef F
	return 0;
}

#else

static const char soname[] = "libssl.so.3";

static int load(struct buf *err)
{
	void *lib = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	if (!lib) {
		buf_setf(err, "%s", dlerror());
		return -1;
	}
	ssl.client_method = (__typeof__(ssl.client_method))
		dlsym(lib, "TLS_client_method");
#define F(name)								\
	ssl.name = (__typeof__(ssl.name))dlsym(lib, "SSL_" #name);	\
	if (!ssl.name) {						\
		buf_setf(err, "%s has no SSL_%s", soname, #name);	\
		return -1;						\
	}
	SSL_LIB_FUNCTIONS(F)
#undef F
	if (!ssl.client_method) {
		buf_setf(err, "%s has no TLS_client_method", soname);
		return -1;
	}
	return 0;
}

#endif

int ssl_lib_load(struct buf *err)
{
	static int loaded;

	if (loaded)
		return 0;
	if (load(err) < 0)
		return -1;
	loaded = 1;
	return 0;
}
