/* dkim: signing and verifying small messages over the milter protocol, and its
 * memory after many. The name server is a thread of ours. */
#include "relay/dkimkey.h"
#include "t/bench/role.h"

enum {
	FEW = 1000, MANY = 100 * 1000,
	SIGNED_SHARE = 10,	/* of MANY, one in so many is signed */
	CONNECTIONS = 4,
	TIMED_SIGN = 2000, TIMED_VERIFY = 10000,
	BODY_LINES = 30,
	PACKET_MAX = 65536,
};
static const double GROWTH_KB = 256;

static struct role role;
static char *socket_path, *record;
static int dns_fd;

/* ---- the name server ---------------------------------------------------- */

/* Every question is answered with the record. */
static size_t dns_answer(unsigned char *p, size_t n)
{
	size_t at = 12, left = strlen(record), len_at;
	const char *text = record;

	while (at < n && p[at])
		at += p[at] + 1;
	at += 5;
	if (at > n)
		return 0;
	p[2] = 0x84;
	p[3] = 0x80;
	memset(p + 6, 0, 6);
	p[7] = 1;
	memcpy(p + at, "\xc0\x0c\0\x10\0\1\0\0\x0e\x10", 10);
	at += 10;
	len_at = at;
	at += 2;
	while (left) {
		size_t part = left < 255 ? left : 255;

		p[at++] = (unsigned char)part;
		memcpy(p + at, text, part);
		at += part;
		text += part;
		left -= part;
	}
	p[len_at] = (unsigned char)((at - len_at - 2) >> 8);
	p[len_at + 1] = (unsigned char)(at - len_at - 2);
	return at;
}

static void *dns_serve(void *arg)
{
	unsigned char p[4096];

	for (;;) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);
		ssize_t n = recvfrom(dns_fd, p, 512, 0,
				     (struct sockaddr *)&peer, &len);
		size_t answer = n > 12 ? dns_answer(p, (size_t)n) : 0;

		if (answer)
			sendto(dns_fd, p, answer, 0, (struct sockaddr *)&peer,
			       len);
	}
	return NULL;
}

static unsigned dns_start(void)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(a);
	pthread_t t;

	dns_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (dns_fd < 0 || bind(dns_fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    getsockname(dns_fd, (struct sockaddr *)&a, &len) < 0)
		die_errno("a name server");
	start_thread(&t, dns_serve, NULL);
	return ntohs(a.sin_port);
}

/* ---- the mail server's side --------------------------------------------- */

static void add_packet(struct buf *out, char command, const char *p, size_t n)
{
	uint32_t len = htonl((uint32_t)n + 1);

	buf_add(out, (const char *)&len, sizeof(len));
	buf_addc(out, command);
	buf_add(out, p, n);
}

#define PACKET(out, command, text) \
	add_packet(out, command, text, sizeof(text) - 1)

/* A session's beginning: negotiation, macros, the client. */
static void add_session(struct buf *out, const char *daemon_name)
{
	struct buf macros = BUF_INIT;

	PACKET(out, 'O', "\0\0\0\6\0\0\1\xff\0\x1f\xff\xff");
	buf_adds(&macros, "C{daemon_name}");
	buf_addc(&macros, '\0');
	buf_adds(&macros, daemon_name);
	buf_addc(&macros, '\0');
	add_packet(out, 'D', macros.data, macros.len);
	PACKET(out, 'C', "client\0004\0\x19" "192.0.2.1\0");
	buf_free(&macros);
}

static void add_header(struct buf *out, const char *name, const char *value)
{
	struct buf field = BUF_INIT;

	buf_adds(&field, name);
	buf_addc(&field, '\0');
	buf_adds(&field, value);
	buf_addc(&field, '\0');
	add_packet(out, 'L', field.data, field.len);
	buf_free(&field);
}

/* A message of 2 KB; signature, if there is one, on top. */
static void add_message(struct buf *out, const char *signature)
{
	struct buf body = BUF_INIT;

	PACKET(out, 'D', "Mi\0" "4QbenchQ\0");
	PACKET(out, 'M', "<one@" BENCH_DOMAIN ">\0");
	if (signature)
		add_header(out, "DKIM-Signature", signature);
	add_header(out, "From", " <one@" BENCH_DOMAIN ">");
	add_header(out, "To", " <two@other.example>");
	add_header(out, "Subject", " [...]");
	add_header(out, "Date", " Sat, 21 Nov 2026 08:00:00 +0000");
	add_header(out, "Message-ID", " <1@" BENCH_DOMAIN ">");
	add_header(out, "Chat-Version", " 1.0");
	add_header(out, "Content-Type", " multipart/encrypted;\n"
		   "\tprotocol=\"application/pgp-encrypted\"; boundary=\"b\"");
	PACKET(out, 'N', "");
	for (int i = 0; i < BODY_LINES; i++)
		buf_adds(&body, "wU4DhW3gBZ/VvCYSAQdA8wU4DhW3gBZ/VvCYSAQdA8wU4"
			 "DhW3gBZ/VvCYSAQdA\r\n");
	add_packet(out, 'B', body.data, body.len);
	PACKET(out, 'E', "");
	buf_free(&body);
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t ret = send(fd, p, n, MSG_NOSIGNAL);

		if (ret <= 0)
			return false;
		p += ret;
		n -= (size_t)ret;
	}
	return true;
}

/* The next answer's command, 0 at the end; its data to *data, NULL: nowhere. */
static char read_packet(int fd, struct buf *data)
{
	unsigned char head[5];
	char rest[PACKET_MAX];
	size_t n;

	if (recv(fd, head, 5, MSG_WAITALL) != 5)
		return 0;
	n = ((size_t)head[2] << 8 | head[3]) - 1;
	if (n && recv(fd, rest, n, MSG_WAITALL) != (ssize_t)n)
		return 0;
	if (data && n) {
		buf_reset(data);
		buf_add(data, rest, n);
	}
	return (char)head[4];
}

static int session_start(const char *daemon_name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 30 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct buf out = BUF_INIT;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", socket_path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die_errno("%s", socket_path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	add_session(&out, daemon_name);
	if (!write_all(fd, out.data, out.len) || read_packet(fd, NULL) != 'O')
		failed("the milter does not negotiate");
	buf_free(&out);
	return fd;
}

/* One message: true if it was accepted; *inserted if there was a field. */
static bool exchange(int fd, const struct buf *message, struct buf *inserted)
{
	char c;

	if (!write_all(fd, message->data, message->len))
		return false;
	while ((c = read_packet(fd, inserted)) == 'i')
		;
	return c == 'a';
}

/* ---- loads -------------------------------------------------------------- */

struct load {
	const char *daemon_name;
	const struct buf *message;
	unsigned long count, good;
};

static void *run_load(void *arg)
{
	struct load *l = arg;
	int fd = session_start(l->daemon_name);

	while (l->good < l->count && exchange(fd, l->message, NULL))
		l->good++;
	close(fd);
	return NULL;
}

/* count messages over several connections; seconds that it took. */
static double load(const char *daemon_name, const struct buf *message,
		   unsigned long count)
{
	struct load loads[CONNECTIONS];
	pthread_t threads[CONNECTIONS];
	double start = now();
	unsigned long good = 0;

	for (int i = 0; i < CONNECTIONS; i++) {
		loads[i] = (struct load){ daemon_name, message,
					  count / CONNECTIONS, 0 };
		start_thread(&threads[i], run_load, &loads[i]);
	}
	for (int i = 0; i < CONNECTIONS; i++) {
		pthread_join(threads[i], NULL);
		good += loads[i].good;
	}
	if (good != count)
		failed("dkim: %s: %lu of %lu messages accepted", daemon_name,
		       good, count);
	return now() - start;
}

static struct buf to_sign, to_verify;

/* The signature is the role's own. */
static void make_messages(void)
{
	struct buf field = BUF_INIT;
	int fd = session_start("ORIGINATING");
	const char *value;

	add_message(&to_sign, NULL);
	if (!exchange(fd, &to_sign, &field) || field.len < 20)
		die("no message is signed");
	value = field.data + 4;		/* behind the index */
	value += strlen(value) + 1;
	add_message(&to_verify, value);
	close(fd);
	buf_free(&field);
}

static void measure_speed(void)
{
	double cpu = role_cpu(&role), secs;

	progress("dkim: signing");
	secs = load("ORIGINATING", &to_sign, TIMED_SIGN);
	row(TIMED_SIGN / secs, "msg/s", 0, "dkim: signing 2 KB, RSA-2048, %d "
	    "connections", CONNECTIONS);
	row((role_cpu(&role) - cpu) * 1e6 / TIMED_SIGN, "us", 0,
	    "dkim: the same, CPU a message");
	progress("dkim: verifying");
	cpu = role_cpu(&role);
	secs = load("VERIFYING", &to_verify, TIMED_VERIFY);
	row(TIMED_VERIFY / secs, "msg/s", 0, "dkim: verifying 2 KB, the key "
	    "cached, %d connections", CONNECTIONS);
	row((role_cpu(&role) - cpu) * 1e6 / TIMED_VERIFY, "us", 0,
	    "dkim: the same, CPU a message");
}

static void load_mixed(unsigned long count)
{
	load("ORIGINATING", &to_sign, count / SIGNED_SHARE);
	load("VERIFYING", &to_verify, count - count / SIGNED_SHARE);
}

static void measure_memory(void)
{
	double few, many;

	progress("dkim: %d messages", FEW);
	load_mixed(FEW);
	few = role_rss(&role);
	row(few, "KB", 0, "dkim: RSS after %d messages, one in %d signed, the "
	    "others verified", FEW, SIGNED_SHARE);
	progress("dkim: %d messages", MANY);
	load_mixed(MANY - FEW);
	many = role_rss(&role);
	row(many, "KB", 0, "dkim: RSS after %d messages", MANY);
	row(many > few ? many - few : 0, "KB", GROWTH_KB,
	    "dkim: what it has grown by meanwhile");
}

static void start(void)
{
	char *ini = bench_path("chatmail.ini"), *keys = bench_path("keys");
	const struct dkimkey_kind *kind = &dkimkey_kinds[0];
	struct buf text = BUF_INIT, settings = BUF_INIT, err = BUF_INIT;
	struct dkim_key key;
	const char *args[] = {
		"dkim", "--socket", socket_path, "--keys", keys, ini, NULL,
	};

	if (file_mkdirs(keys, 0700) < 0 || dkimkey_make(kind, keys, &err) < 0 ||
	    dkimkey_load(kind, keys, &key, &err) < 0 ||
	    dkim_key_record(&key, &text, &err) < 0)
		die("%s: %s", keys, err.data);
	record = buf_detach(&text);
	buf_addf(&settings, "dkim_dns_server = 127.0.0.1:%u\n", dns_start());
	make_ini(settings.data);
	role_start(&role, args);
	dkim_key_free(&key);
	buf_free(&settings);
	buf_free(&err);
	free(ini);
	free(keys);
}

int main(int argc, char **argv)
{
	bench_init(argc, argv, 120);
	if (!has_role("dkim")) {
		row_skipped("dkim");
		return bench_end();
	}
	socket_path = bench_path("sock");
	buf_init(&to_sign);
	buf_init(&to_verify);
	start();
	make_messages();
	/* first, as all that the role has done counts */
	measure_memory();
	measure_speed();
	role_stop(&role, "dkim");
	buf_free(&to_sign);
	buf_free(&to_verify);
	free(socket_path);
	free(record);
	return bench_end();
}
