/* SSH keys: blobs, .pub lines, fingerprints, and what a private key file shows
 * without its passphrase. Keys and fingerprints are ssh-keygen's. */
#include "tap.h"

#include "base/str.h"
#include "text/sshkey.h"

#define ED "AAAAC3NzaC1lZDI1NTE5AAAAIBnep4bPPLbnmi53ic9gcbHr5rAM12Z65sEXtEO3" \
	"tktv"
#define ED_PRINT "SHA256:J7EHuUXfoBH/Gc8gT92kV7tNo+7eoeev6/jqIoiz/lw"
#define EC "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMJATSujW9Sr" \
	"9jjTxBceMKLrzzhne9y65QPWVPqVjluVA/aElkVMU7ZXb6XlDcdaWlfjyA59MX8+HeHs" \
	"YX4w+eE="

static const struct {
	const char *name, *input, *want;
} publics[] = {
	{ "ed25519", "ssh-ed25519 " ED " me@here\n", "ssh-ed25519 " ED },
	{ "ecdsa", "ecdsa-sha2-nistp256 " EC, "ecdsa-sha2-nistp256 " EC },
	{ "CRLF, two lines", "ssh-ed25519 " ED "\r\nx\n", "ssh-ed25519 " ED },
	{ "nothing", "", NULL },
	{ "no key", "ssh-ed25519\n", NULL },
	{ "another type", "ssh-rsa " ED, NULL },
	{ "a longer type", "ssh-ed25519x " ED, NULL },
	{ "not base64", "ssh-ed25519 A!" ED, NULL },
	{ "cut", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE", NULL },
	{ "an empty type", " AAAAAA==", NULL },
	{ "a type with a blank", "a b AAAAA2EgYg==", NULL },
};

static void test_publics(void)
{
	for (size_t i = 0; i < ARRAY_LEN(publics); i++) {
		const char *in = publics[i].input;
		struct buf blob = BUF_INIT, got = BUF_INIT;

		if (sshkey_parse_public(in, strlen(in), &blob) == 0)
			sshkey_add_public(&got, blob.data, blob.len);
		tap_is(got.len ? got.data : NULL, publics[i].want,
		       publics[i].name);
		tap_ok(!blob.len == !publics[i].want, "and its blob");
		buf_free(&blob);
		buf_free(&got);
	}
}

static void test_names(void)
{
	struct buf blob = BUF_INIT, got = BUF_INIT;

	tap_ok(sshkey_decode(ED, strlen(ED), &blob) == 0, "a blob");
	sshkey_add_fingerprint(&got, blob.data, blob.len);
	tap_is(got.data, ED_PRINT, "its fingerprint");
	sshkey_type(blob.data, blob.len, &got);
	tap_is(got.data, "ssh-ed25519", "its type");
	tap_is(sshkey_short_type(got.data), "ED25519", "its short type");
	tap_is(sshkey_short_type("x"), "x", "an unknown type");
	tap_ok(sshkey_decode(ED "\n", strlen(ED) + 1, &blob) < 0 && !blob.len,
	       "a newline is no base64");
	buf_free(&blob);
	buf_free(&got);
}

/* OpenSSH's format around a key that is none. */
static void make_openssh(struct buf *out, const char *cipher, uint32_t keys,
			 size_t cut)
{
	struct buf raw = BUF_INIT, blob = BUF_INIT;

	sshkey_decode(ED, strlen(ED), &blob);
	buf_add(&raw, "openssh-key-v1", 15);
	sshkey_add_string(&raw, cipher, strlen(cipher));
	sshkey_add_string(&raw, "bcrypt", 6);
	sshkey_add_string(&raw, "", 0);
	sshkey_add_u32(&raw, keys);
	sshkey_add_string(&raw, blob.data, blob.len);
	sshkey_add_string(&raw, "secret", 6);
	buf_truncate(&raw, raw.len - cut);
	buf_adds(out, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
	for (size_t i = 0; i < raw.len; i += 51) {
		buf_add_base64(out, raw.data + i,
			       raw.len - i < 51 ? raw.len - i : 51);
		buf_addc(out, '\n');
	}
	buf_adds(out, "-----END OPENSSH PRIVATE KEY-----\n");
	buf_free(&raw);
	buf_free(&blob);
}

#define PEM(kind, body) "-----BEGIN " kind "-----\n" body "\n-----END " kind \
	"-----\n"

static const struct {
	const char *name, *cipher;	/* cipher: make it */
	unsigned keys, cut;
	const char *input, *want;
} files[] = {
	{ "OpenSSH's", "none", 1, 0, NULL, "open, " ED_PRINT },
	{ "OpenSSH's, encrypted", "aes256-ctr", 1, 0, NULL,
	  "encrypted, " ED_PRINT },
	{ "two keys", "none", 2, 0, NULL, NULL },
	{ "cut in the public key", "none", 1, 20, NULL, NULL },
	{ "cut in the head", "none", 1, 90, NULL, NULL },
	{ "PEM", .input = PEM("EC PRIVATE KEY", "MHcC"), .want = "open" },
	{ "PEM, encrypted", .input = PEM("RSA PRIVATE KEY",
		"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,D9\n\nMHcC"),
	  .want = "encrypted" },
	{ "PKCS 8", .input = PEM("PRIVATE KEY", "MHcC"), .want = "open" },
	{ "PKCS 8, encrypted", .input = PEM("ENCRYPTED PRIVATE KEY", "MHcC"),
	  .want = "encrypted" },
	{ "text before it", .input = "Comment: x\n" PEM("EC PRIVATE KEY", "M"),
	  .want = "open" },
	{ "nothing", .input = "" },
	{ "a public key", .input = "ssh-ed25519 " ED },
	{ "no end", .input = "-----BEGIN EC PRIVATE KEY-----\nMHcC\n" },
	{ "another end", .input = "-----BEGIN EC PRIVATE KEY-----\nMHcC\n"
	  "-----END RSA PRIVATE KEY-----\n" },
	{ "not base64", .input = PEM("OPENSSH PRIVATE KEY", "x x") },
	{ "not OpenSSH's", .input = PEM("OPENSSH PRIVATE KEY", "AAAA") },
	{ "a certificate", .input = PEM("CERTIFICATE", "AAAA") },
};

static void test_files(void)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct buf text = BUF_INIT, got = BUF_INIT;
		struct sshkey_file f;

		if (files[i].input)
			buf_adds(&text, files[i].input);
		else
			make_openssh(&text, files[i].cipher, files[i].keys,
				     files[i].cut);
		if (sshkey_inspect(&f, text.data, text.len) == 0) {
			buf_adds(&got, f.encrypted ? "encrypted" : "open");
			if (f.blob.len) {
				buf_adds(&got, ", ");
				sshkey_add_fingerprint(&got, f.blob.data,
						       f.blob.len);
			}
		}
		tap_is(got.len ? got.data : NULL, files[i].want,
		       files[i].name);
		sshkey_file_free(&f);
		buf_free(&text);
		buf_free(&got);
	}
}

static void test_reader(void)
{
	struct buf b = BUF_INIT;
	struct sshkey_reader r;
	const char *s;
	uint32_t v = 0;
	size_t n = 0;

	sshkey_add_u32(&b, 0xfedcba98);
	sshkey_add_string(&b, "ab", 2);
	sshkey_add_string(&b, "", 0);
	r = (struct sshkey_reader){ b.data, b.len };
	tap_ok(sshkey_read_u32(&r, &v) == 0 && v == 0xfedcba98, "a number");
	tap_ok(sshkey_read_string(&r, &s, &n) == 0 && n == 2 &&
	       memcmp(s, "ab", 2) == 0, "a string");
	tap_ok(sshkey_read_string(&r, &s, &n) == 0 && n == 0, "an empty one");
	tap_ok(sshkey_read_string(&r, &s, &n) < 0 &&
	       sshkey_read_u32(&r, &v) < 0 && r.n == 0, "the end");
	r = (struct sshkey_reader){ "\xff\xff\xff\xff" "abc", 7 };
	tap_ok(sshkey_read_string(&r, &s, &n) < 0 && r.n == 7,
	       "longer than what is there");
	buf_free(&b);
}

int main(void)
{
	test_publics();
	test_names();
	test_files();
	test_reader();
	return tap_done();
}
