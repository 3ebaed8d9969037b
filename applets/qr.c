/* chatmail qr: shows an invitation, or any text, as a QR code. */
#include "text/qr.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "applet.h"
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/str.h"
#include "base/term.h"
#include "relay/relay.h"

struct options {
	const char *png, *ini;
	bool svg, is_invite;
};

/* The invitation that chatmail.ini stands for. */
static int add_invite(struct buf *text, const char *ini, struct buf *err)
{
	struct buf warnings = BUF_INIT;
	struct relay *r = relay_load(ini, &warnings, err);

	if (r)
		qr_add_invite(text, r->mail_domain_bare);
	relay_free(r);
	buf_free(&warnings);
	return r ? 0 : -1;
}

static int fail(struct buf *err, const char *path)
{
	buf_setf(err, "%s: %s", path, strerror(errno));
	return -1;
}

/* A device or a pipe is written to, not replaced. */
static int write_special(const char *path, const struct buf *png,
			 struct buf *err)
{
	FILE *f = fopen(path, "wb");
	bool good;

	if (!f)
		return fail(err, path);
	good = fwrite(png->data, 1, png->len, f) == png->len;
	return fclose(f) == 0 && good ? 0 : fail(err, path);
}

static int write_png(const char *path, const struct buf *png, struct buf *err)
{
	struct stat st;

	if (strcmp(path, "-") == 0) {
		fwrite(png->data, 1, png->len, stdout);
		return 0;
	}
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return write_special(path, png, err);
	if (file_replace(path, png->data, png->len, 0644, 0) < 0)
		return fail(err, path);
	return 0;
}

/* A text of one's own may be too long for the logo's level. */
static int print_code(const struct options *o, const char *text,
		      struct buf *err)
{
	const struct qr_options how = {
		.level = QR_M, .has_logo = o->is_invite,
	};
	struct buf out = BUF_INIT;
	int ret;

	if (o->png) {
		ret = qr_add_png(&out, text, &how, err);
		if (ret == 0)
			ret = write_png(o->png, &out, err);
		buf_free(&out);
		return ret;
	}
	if (o->svg) {
		ret = qr_add_svg(&out, text, &how, err);
	} else {
		ret = qr_add_text(&out, text, term_has_colour(STDOUT_FILENO),
				  err);
		buf_addc(&out, '\n');
		buf_add_printable(&out, text, strlen(text));
		buf_addc(&out, '\n');
	}
	if (ret == 0)
		fwrite(out.data, 1, out.len, stdout);
	buf_free(&out);
	return ret;
}

static int run(const struct options *o, const char *own_text)
{
	struct buf text = BUF_INIT, err = BUF_INIT;
	int ret = 0;

	if (own_text)
		buf_adds(&text, own_text);
	else
		ret = add_invite(&text, o->ini, &err);
	if (ret == 0)
		ret = print_code(o, text.data, &err);
	if (ret < 0)
		log_warn("%s", err.data);
	buf_free(&text);
	buf_free(&err);
	return ret < 0 ? EXIT_FAIL : EXIT_OK;
}

static int qr_main(int argc, char **argv)
{
	struct options o = { 0 };
	const struct opt opts[] = {
		{ "svg", NULL, &o.svg }, { "png", &o.png, NULL },
		{ "config", &o.ini, NULL }, { 0 },
	};
	struct buf err = BUF_INIT;
	int ret;

	argc = opt_parse(opts, argc, argv, &err);
	if (argc < 0 || argc > 2) {
		ret = applet_usage(&applet_qr, "%s", argc < 0 ? err.data :
				   "at most one TEXT is needed");
	} else if (o.svg && o.png) {
		ret = applet_usage(&applet_qr, "--svg or --png, not both");
	} else {
		o.is_invite = argc < 2;
		o.ini = relay_ini_path(o.ini, true);
		ret = run(&o, argv[1]);
	}
	buf_free(&err);
	return ret;
}

DEFINE_APPLET(qr) {
	.name = "qr",
	.summary = "show the relay's invitation as a QR code",
	.args = "[TEXT] [--svg | --png FILE] [--config INI]",
	.help =
"Prints the relay's invitation, which gives an address there to who scans it\n"
"with an app, or TEXT instead.\n"
"\n"
"  --svg          write an SVG picture to standard output\n"
"  --png FILE     write a PNG picture to FILE; \"-\" is standard output\n"
"  --config INI   the relay's chatmail.ini; default $CHATMAIL_INI, else\n"
"                 ./chatmail.ini\n"
"\n"
"On a terminal the colours are set, unless NO_COLOR is; without them a terminal\n"
"with a light background shows the code inverted, which most apps can read.\n"
"\n"
"Example: chatmail qr --png invite.png\n",
	.main = qr_main,
};
