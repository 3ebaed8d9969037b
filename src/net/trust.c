#include "net/trust.h"

#include <openssl/err.h>

#include "net/ssl_lib.h"

struct trust {
	SSL_CTX *ctx;
	bool verifies;
	char *ca_file;
};

static int add_roots(SSL_CTX *ctx, const char *ca_file, struct buf *err)
{
	if (ssl.CTX_set_default_verify_paths(ctx) != 1) {
		buf_setf(err, "the system's certificate authorities cannot be "
			 "read");
		return -1;
	}
	if (ca_file && ssl.CTX_load_verify_file(ctx, ca_file) != 1) {
		const char *why;

		why = ERR_reason_error_string(ERR_peek_last_error());
		buf_setf(err, "%s: %s", ca_file, why ? why :
			 "no certificates can be read");
		return -1;
	}
	return 0;
}

struct trust *trust_new(bool verify, const char *ca_file, struct buf *err)
{
	struct trust *t;
	SSL_CTX *ctx;

	if (ssl_lib_load(err) < 0)
		return NULL;
	ctx = ssl.CTX_new(ssl.client_method());
	if (!ctx) {
		buf_setf(err, "OpenSSL does not start");
		return NULL;
	}
	/* servers that just close are no error here */
	ssl.CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	ssl.CTX_ctrl(ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
	ssl.CTX_ctrl(ctx, SSL_CTRL_MODE, SSL_MODE_ENABLE_PARTIAL_WRITE |
		     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, NULL);
	if (add_roots(ctx, ca_file, err) < 0) {
		ssl.CTX_free(ctx);
		ERR_clear_error();
		return NULL;
	}
	t = xcalloc(1, sizeof(*t));
	t->ctx = ctx;
	t->verifies = verify;
	t->ca_file = ca_file ? xstrdup(ca_file) : NULL;
	return t;
}

void trust_free(struct trust *t)
{
	if (!t)
		return;
	ssl.CTX_free(t->ctx);
	free(t->ca_file);
	free(t);
}

bool trust_verifies(const struct trust *t)
{
	return t->verifies;
}

const char *trust_ca_file(const struct trust *t)
{
	return t->ca_file;
}

struct ssl_ctx_st *trust_ctx(const struct trust *t)
{
	return t->ctx;
}
