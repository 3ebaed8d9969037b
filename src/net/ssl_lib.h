/* libssl, loaded when it is needed: the roles that speak no TLS themselves
 * would carry it for nothing. libcrypto is linked as ever. */
#ifndef NET_SSL_LIB_H
#define NET_SSL_LIB_H

#include <openssl/ssl.h>

#include "base/buf.h"

#define SSL_LIB_FUNCTIONS(F)						\
	F(CTX_ctrl) F(CTX_free) F(CTX_load_verify_file) F(CTX_new)	\
	F(CTX_set_default_verify_paths) F(CTX_set_options) F(connect)	\
	F(ctrl) F(free) F(get0_alpn_selected) F(get0_param)		\
	F(get1_peer_certificate) F(get_error) F(get_verify_result)	\
	F(get_version) F(new) F(read) F(set_alpn_protos) F(set_fd)	\
	F(set_verify) F(shutdown) F(write)

/* ssl.new() is SSL_new(3), and so on. */
struct ssl_lib {
	__typeof__(TLS_client_method) *client_method;
#define F(name) __typeof__(SSL_##name) *name;
	SSL_LIB_FUNCTIONS(F)
#undef F
};
extern struct ssl_lib ssl;

/* Before anything else; again is harmless, but not from two threads at a time.
 * 0, or -1 with *err. */
int ssl_lib_load(struct buf *err);

#endif
