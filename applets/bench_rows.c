/* What is measured, in this order. */
#include "applets/bench.h"

#include "base/str.h"

#define IMAP [OUTSIDE_IMAPS] = true
#define SMTP [OUTSIDE_SMTPS] = true
#define HTTPS [OUTSIDE_HTTPS] = true

const struct bench_measurement bench_measurements[] = {
	{ "tls-imap", { { "tls-imap", "TLS connection, IMAP" } },
	  .ports = { IMAP }, .run = bench_tls_imap },
	{ "tls-smtp", { { "tls-smtp", "TLS connection, SMTP" } },
	  .ports = { SMTP }, .run = bench_tls_smtp },
	{ "tls-https", { { "tls-https", "TLS connection, HTTPS" } },
	  .ports = { HTTPS }, .run = bench_tls_https },
	{ "address", { { "address", "address from the web page, /new" } },
	  .ports = { HTTPS }, .run = bench_address },
	{ "new-imap", { { "new-imap", "first login makes account, IMAP" } },
	  .ports = { IMAP }, .run = bench_new_imap },
	{ "new-smtp", { { "new-smtp", "first login makes account, SMTP" } },
	  .ports = { SMTP }, .run = bench_new_smtp },
	{ "login-imap", { { "login-imap", "login, IMAP" } },
	  .ports = { IMAP }, .run = bench_login_imap },
	{ "login-smtp", { { "login-smtp", "login, SMTP" } },
	  .ports = { IMAP, SMTP }, .run = bench_login_smtp },
	{ "online", { { "online", "new app online: IDLE, SMTP" } },
	  .is_slow = true, .ports = { IMAP, SMTP }, .run = bench_online },
	{ "deliver", {
		{ "taken", "message: relay has it" },
		{ "told", "message: app in IDLE is told", true },
		{ "got", "message: app has it", true } },
	  .ports = { IMAP, SMTP }, .run = bench_deliver },
	{ "pingpong", { { "pingpong", "message and answer" } },
	  .ports = { IMAP, SMTP }, .run = bench_pingpong },
	{ "ten", { { "ten", "send 10, receive 10" } },
	  .is_slow = true, .ports = { IMAP, SMTP }, .run = bench_ten },
	{ "parallel", {
		{ "parallel-told", "%zu chat at once: app is told" },
		{ "parallel-got", "%zu chat at once: app has it", true } },
	  .is_parallel = true, .ports = { IMAP, SMTP },
	  .run = bench_parallel },
};

const size_t bench_measurement_count = ARRAY_LEN(bench_measurements);
