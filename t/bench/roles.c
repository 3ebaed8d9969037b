/* Start-up and idle memory of the resident roles. */
#include "base/file.h"
#include "relay/dkimkey.h"
#include "t/bench/role.h"

enum { STARTS = 20 };
static const double START_MS = 20, SUM_KB = 12 * 1024;

/* What idles on a relay; a row is a process. */
static const struct {
	const char *name;
	const char *args[5];	/* "@": the role's socket; "%": the keys */
} roles[] = {
	{ "doveauth", { "doveauth", "@" } },
	{ "lastlogin", { "lastlogin", "@" } },
	{ "metadata", { "metadata", "@" } },
	{ "filtermail outgoing", { "filtermail", "outgoing" } },
	{ "filtermail incoming", { "filtermail", "incoming" } },
	{ "dkim", { "dkim", "--socket", "@", "--keys", "%" } },
	{ "newemail", { "newemail", "--socket", "@" } },
};

static void start(struct role *r, size_t i)
{
	const char *args[6] = { 0 };
	char *socket = bench_path("%s", roles[i].args[0]);
	char *keys = bench_path("keys");

	for (size_t j = 0; j < 5 && roles[i].args[j]; j++) {
		args[j] = roles[i].args[j];
		if (strcmp(args[j], "@") == 0)
			args[j] = socket;
		else if (strcmp(args[j], "%") == 0)
			args[j] = keys;
	}
	role_start(r, args);
	free(socket);
	free(keys);
}

static void measure_start(size_t i)
{
	struct samples ms = { 0 };
	struct role r;

	for (int n = 0; n < STARTS; n++) {
		progress("%s: start %d of %d", roles[i].name, n + 1, STARTS);
		start(&r, i);
		samples_add(&ms, r.start_secs * 1e3);
		role_stop(&r, roles[i].name);
	}
	row(samples_quantile(&ms, .5), "ms", START_MS,
	    "%s: start-up until it listens, median of %d", roles[i].name,
	    STARTS);
	samples_free(&ms);
}

static void measure_memory(void)
{
	struct role r[ARRAY_LEN(roles)];
	bool runs[ARRAY_LEN(roles)];
	double sum = 0;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		runs[i] = has_role(roles[i].args[0]);
		if (runs[i])
			start(&r[i], i);
		count += runs[i];
	}
	progress("idle memory");
	sleep_secs(.3);
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		if (!runs[i])
			continue;
		row(role_rss(&r[i]), "KB", 0, "%s: idle RSS", roles[i].name);
		row(role_pss(&r[i]), "KB", 0, "%s: idle PSS, beside the others",
		    roles[i].name);
		sum += role_pss(&r[i]);
	}
	row(sum, "KB", SUM_KB, "these %zu roles together: idle PSS", count);
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (runs[i])
			role_stop(&r[i], roles[i].name);
}

static void make_key(void)
{
	char *keys = bench_path("keys");
	struct buf err = BUF_INIT;

	if (file_mkdirs(keys, 0700) < 0 ||
	    dkimkey_make(&dkimkey_kinds[0], keys, &err) < 0)
		die("%s: %s", keys, err.data);
	free(keys);
	buf_free(&err);
}

int main(int argc, char **argv)
{
	struct buf ports = BUF_INIT;
	char *ini;

	bench_init(argc, argv, 60);
	buf_addf(&ports, "filtermail_smtp_port = %u\n"
		 "filtermail_smtp_port_incoming = %u\n", free_port(),
		 free_port());
	make_ini(ports.data);
	ini = bench_path("chatmail.ini");
	setenv("CHATMAIL_INI", ini, 1);
	make_key();
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (has_role(roles[i].args[0]))
			measure_start(i);
		else
			row_skipped("%s: not in this binary", roles[i].name);
	measure_memory();
	free(ini);
	buf_free(&ports);
	return bench_end();
}
