/* Postfix, which moves the mail. */
#include "host/components.h"

#include <string.h>

#include "base/proc.h"
#include "base/str.h"

/* The account for deliveries to the milter's socket. */
static const struct host_user postfix_users[] = {
	{ "postfix", NULL, "opendkim" },
	{ 0 },
};

static const char *const postfix_packages[] = { "postfix", NULL };

static const struct plan_file postfix_files[] = {
	{ "postfix/main.cf", "{{ postfix_config_dir }}/main.cf" },
	{ "postfix/master.cf", "{{ postfix_config_dir }}/master.cf" },
	{ "postfix/smtp_tls_policy_map",
	  "{{ postfix_config_dir }}/smtp_tls_policy_map" },
	{ "postfix/login_map", "{{ postfix_config_dir }}/login_map" },
	{ "postfix/lmtp_header_cleanup",
	  "{{ postfix_config_dir }}/lmtp_header_cleanup" },
	{ "postfix/submission_header_cleanup",
	  "{{ postfix_config_dir }}/submission_header_cleanup" },
	{ 0 },
};

/* Both only warn of what they do not like, so nothing may be said. */
static int postfix_verify(struct plan *p, struct buf *err)
{
	const char *config = layout_need(p->staged, "postfix_config_dir");
	const char *const checks[][6] = {
		{ "postconf", "-c", config, "-h", "daemon_directory" },
		/* postfix(1) says what it does not like to the log alone */
		{ "postmap", "-c", config, "-q", "x", "static:x" },
		{ "postfix", "-c", config, "check" },
	};
	struct buf said = BUF_INIT, file = BUF_INIT;
	int ret = 0;

	for (size_t i = 0; i < ARRAY_LEN(checks) && ret == 0; i++) {
		const char *argv[7] = { NULL };

		memcpy(argv, checks[i], sizeof(checks[i]));
		buf_reset(&said);
		buf_reset(&file);
		if (proc_find(argv[0], &file) < 0) {
			buf_setf(err, "%s is not installed", argv[0]);
			ret = -1;
			break;
		}
		ret = proc_run(&(struct proc_spec) {
			.argv = argv, .file = file.data }, &said, err);
		if (ret > 0 || strstr(said.data, "warning:") ||
		    strstr(said.data, "fatal:")) {
			buf_setf(err, "%s: %s", argv[0], said.len > 0 ?
				 str_trim(said.data) :
				 "fails; the log says why: journalctl -n 20");
			ret = -1;
		}
	}
	buf_free(&said);
	buf_free(&file);
	return ret;
}

const struct component component_postfix = {
	.name = "postfix", .packages = postfix_packages,
	.users = postfix_users, .files = postfix_files,
	.verify = postfix_verify,
};
