/* What chatmail.ini says about a relay, and what follows from it. */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "relay/settings.h"

enum tls_mode { TLS_ACME, TLS_SELF, TLS_EXTERNAL };

struct relay {
	struct arena arena;		/* owns every string here */
	const char *path;		/* of chatmail.ini */
	struct settings s;		/* mailboxes_dir is filled in */
	const char *text[SETTING_COUNT];	/* the values as text */
	unsigned line[SETTING_COUNT];	/* where it was set; 0 = default */
	const char **derived;		/* for relay_var() */
	/* Derived, named as upstream's Config names them. */
	const char *mail_domain;	/* "[1.2.3.4]" for an IPv4 relay */
	const char *mail_domain_bare;	/* as in the file */
	bool is_ipv4;
	const char *postfix_myhostname;	/* reverse pointer for IPv4 */
	enum tls_mode tls_mode;
	const char *tls_cert_path, *tls_key_path;
	unsigned turn_port_first, turn_port_last;
	bool own_iroh_relay;		/* iroh_relay was not set */
	const char *iroh_relay;		/* URL, "" to leave it to the apps */
};

/* Read and check chatmail.ini. NULL with *err: "FILE:LINE: key: expected …,
 * got …". What is only odd (an unknown key) is added to *warnings, one line
 * each. Free with relay_free(). */
struct relay *relay_load(const char *path, struct buf *warnings,
			 struct buf *err);
/* The same for text in memory; path is for messages. */
struct relay *relay_parse(const char *path, const char *text, size_t n,
			  struct buf *warnings, struct buf *err);
void relay_free(struct relay *r);	/* NULL is fine */

/* The value of a setting or of a derived value by its name, as text for
 * templates; NULL when there is no such name. Lives as long as r. */
const char *relay_var(const struct relay *r, const char *name);

/* Name of the i-th derived value, NULL at the end; for the manual. */
const char *relay_derived_name(size_t i);

/* The chatmail.ini that an applet uses: arg if not NULL, else $CHATMAIL_INI,
 * else ./chatmail.ini when is_operator, else /etc/chatmail/chatmail.ini. */
const char *relay_ini_path(const char *arg, bool is_operator);
/* The same for what an operator runs on his machine and on the relay alike:
 * ./chatmail.ini only if there is one. */
const char *relay_ini_of_operator(const char *arg);

/* What kind of mail_domain this is; -1 with the reason in *err. */
enum domain_kind { DOMAIN_NAME, DOMAIN_UNDERSCORE, DOMAIN_IPV4 };
int relay_domain_kind(const char *domain, struct buf *err);

/* Append a fresh chatmail.ini for that domain. */
void relay_write_ini(struct buf *out, const char *domain);

#endif
