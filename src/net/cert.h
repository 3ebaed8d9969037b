/* Certificates: what those in files say, or those that peers show, and
 * self-signed ones. */
#ifndef NET_CERT_H
#define NET_CERT_H

#include <stdbool.h>

#include "base/buf.h"

struct cert {
	struct buf names;	/* of the extension, separated by spaces */
	struct buf issuer;	/* as RFC 2253 writes it */
	int days_left;		/* negative: expired */
	int days_in_all;	/* from the first to the last day */
	bool is_self_signed;	/* subject and issuer are the same */
	bool has_key;		/* the key file is there and fits */
};

/* Read the first certificate of a PEM file, and the key beside it. Returns 0,
 * or -1 with *err when there is no certificate. cert_free() in both cases. */
int cert_read(struct cert *c, const char *cert_path, const char *key_path,
	      struct buf *err);
/* The same for OpenSSL's X509, which is borrowed and has no key. */
struct x509_st;
void cert_describe(struct cert *c, struct x509_st *x509);
void cert_free(struct cert *c);

/* Is the file's first certificate good for that name or IPv4 address (RFC 6125
 * section 6.4)? */
bool cert_file_covers(const char *cert_path, const char *name);

/* A key and a self-signed certificate, valid for so many days, for the domain
 * (a name or an IPv4 address), its www. and mta-sts., and for localhost. Kept
 * when what is there is good for another month. The directories have to be
 * there. Returns 1 when they were made, 0 when kept, -1 with *err. */
int cert_make_self(const char *domain, int days, const char *cert_path,
		   const char *key_path, struct buf *err);

#endif
