/* chatmail dkim: signs what leaves, verifies what comes in. */
#include "applets/dkim.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "applet.h"
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "relay/dkimkey.h"
#include "relay/reload.h"
#include "text/dnsmsg_data.h"

/* The place of OpenDKIM's socket, which Postfix knows already. */
#define SOCKET_DEFAULT "/var/spool/postfix/opendkim/opendkim.sock"

static int print_record(const struct dkimkey_kind *kind, const char *dir,
			const char *domain, const char *what)
{
	struct buf record = BUF_INIT, quoted = BUF_INIT, err = BUF_INIT;
	struct dkim_key key;
	int ret = dkimkey_load(kind, dir, &key, &err);

	if (ret == 0)
		ret = dkim_key_record(&key, &record, &err);
	if (ret == 0) {
		dns_data_quote(&quoted, record.data, record.len);
		printf("%s/%s: %s\n\n"
		       "As a zone file has it, in strings of 255 bytes:\n"
		       "%s._domainkey.%s. TXT %s\n\n"
		       "As one string, for a provider's form:\n%s\n\n", dir,
		       kind->file, what, kind->selector, domain, quoted.data,
		       record.data);
	} else {
		log_warn("%s", err.data);
	}
	dkim_key_free(&key);
	buf_free(&record);
	buf_free(&quoted);
	buf_free(&err);
	return ret < 0 ? EXIT_FAIL : EXIT_OK;
}

static int genkey(const struct dkimkey_kind *kind, const char *dir,
		  const char *domain)
{
	struct buf err = BUF_INIT;
	struct dkim_key key;
	const char *what = "kept as it was";
	int ret = dkimkey_load(kind, dir, &key, &err);

	if (ret == 0) {
		dkim_key_free(&key);
	} else if (errno == ENOENT) {
		what = "made";
		ret = dkimkey_make(kind, dir, &err);
	}
	if (ret < 0)
		log_warn("%s", err.data);
	buf_free(&err);
	return ret < 0 ? EXIT_FAIL : print_record(kind, dir, domain, what);
}

int dkim_genkey(const char *dir, const char *domain, bool ed25519)
{
	struct buf err = BUF_INIT;
	int ret = EXIT_OK;

	if (relay_domain_kind(domain, &err) < 0)
		die("%s", err.data);
	if (file_mkdirs(dir, 0700) < 0)
		die_errno("%s", dir);
	for (size_t i = 0; i < DKIMKEY_KINDS && ret == EXIT_OK; i++)
		if (dkimkey_kinds[i].is_needed || ed25519)
			ret = genkey(&dkimkey_kinds[i], dir, domain);
	buf_free(&err);
	return ret;
}

static int run_on_file(const char *verify, const char *sign, const char *keys,
		       const char *ini)
{
	const char *path = relay_ini_of_operator(ini);
	struct relay *r = NULL;
	int ret;

	/* anybody may verify; to sign takes a domain */
	if (sign || ini || access(path, F_OK) == 0)
		r = relay_load_or_die(path);
	ret = verify ? dkim_verify_file(verify, r ? r->s.dkim_dns_server : "") :
		       dkim_sign_file(sign, keys, r);

	relay_free(r);
	return ret;
}

static int dkim_main(int argc, char **argv)
{
	const char *socket = SOCKET_DEFAULT, *keys = DKIMKEY_DIR;
	const char *verify = NULL, *sign = NULL, *genkey_dir = NULL;
	bool ed25519 = false;
	const struct opt opts[] = {
		{ "socket", &socket, NULL }, { "keys", &keys, NULL },
		{ "verify", &verify, NULL }, { "sign", &sign, NULL },
		{ "genkey", &genkey_dir, NULL }, { "ed25519", NULL, &ed25519 },
		{ 0 },
	};
	struct buf err = BUF_INIT;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc < 0) {
		ret = applet_usage(&applet_dkim, "%s", err.data);
		buf_free(&err);
		return ret;
	}
	if (argc > 2 || !!verify + !!sign + !!genkey_dir > 1 ||
	    (genkey_dir && argc != 2))
		return applet_usage(&applet_dkim, "too many or too few "
				    "arguments");
	if (genkey_dir)
		return dkim_genkey(genkey_dir, argv[1], ed25519);
	if (verify || sign)
		return run_on_file(verify, sign, keys, argv[1]);
	return dkim_serve(socket, keys, relay_ini_path(argv[1], false));
}

DEFINE_APPLET(dkim) {
	.name = "dkim",
	.summary = "sign what leaves and verify what comes in, as a milter",
	.args = "[--socket PATH] [--keys DIR] [INI] | --genkey DIR DOMAIN |\n"
		"                     --verify FILE [INI] | --sign FILE [INI]",
	.help =
"Serves Postfix's milter protocol on a unix socket. Mail of the daemon name\n"
"ORIGINATING is signed with DIR/opendkim.private, and with DIR/ed25519.private\n"
"if there is one, for mail_domain; other mail has to have a valid signature of\n"
"the domain in its From address.\n"
"\n"
"  --socket PATH   default /var/spool/postfix/opendkim/opendkim.sock\n"
"  --keys DIR      default /etc/dkimkeys\n"
"\n"
"Without a milter:\n"
"\n"
"  --genkey DIR DOMAIN   make the key in DIR, unless it is there, and print\n"
"                        its DNS record; --ed25519 makes the second one too\n"
"  --verify FILE         verify the message in FILE (- is stdin): one line with\n"
"                        the reason; exit code 0 accepted, 1 refused,\n"
"                        75 cannot be verified now\n"
"  --sign FILE           print the message in FILE with its signature\n"
"\n"
"INI defaults to $CHATMAIL_INI, else (for --verify and --sign) ./chatmail.ini,\n"
"else /etc/chatmail/chatmail.ini; --verify does without. The milter reads it and\n"
"the keys again on SIGHUP.\n"
"\n"
"Example: chatmail dkim --verify message.eml\n",
	.main = dkim_main,
};
