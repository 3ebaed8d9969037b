/* Headers, Content-Type values, and the outline of a message. */
#include "tap.h"

#include "base/buf.h"
#include "base/str.h"
#include "text/mime.h"

#define NL "\r\n"
#define TEN(x) x x x x x x x x x x

/* want: type, then the boundary, then "! " and the error. */
static const struct {
	const char *input, *want;
} types[] = {
	{ "text/plain", "text/plain" },
	{ "Text/PLAIN; charset=utf-8", "text/plain" },
	{ "text/plain;", "text/plain" },
	{ "text/plain ; ; a=b ;", "text/plain" },
	{ "(a) text/plain (b (c)) ; (d) a (e) = (f) b (g)", "text/plain" },
	{ "multipart/mixed; boundary=abc", "multipart/mixed abc" },
	{ "multipart/mixed; BOUNDARY=\"a b;c\"", "multipart/mixed a b;c" },
	{ "multipart/mixed;boundary=a=b/c:d?e", "multipart/mixed a=b/c:d?e" },
	{ "multipart/mixed; boundary=abc (x)", "multipart/mixed abc" },
	{ "multipart/mixed; a=\"boundary=x\"; boundary=y",
	  "multipart/mixed y" },
	{ "multipart/mixed; a=\"\\\"\"; boundary=\"\\a\"",
	  "multipart/mixed a" },
	{ "multipart/mixed; boundary*0=ab; boundary*1=\"c d\"",
	  "multipart/mixed abc d" },
	{ "multipart/mixed; xboundary=x; boundary=y", "multipart/mixed y" },
	{ "multipart/mixed", "multipart/mixed ! no usable boundary" },
	{ "multipart/mixed; boundary=\"\"",
	  "multipart/mixed ! no usable boundary" },
	{ "multipart/mixed; boundary=\"a \"",
	  "multipart/mixed ! no usable boundary" },
	{ "multipart/mixed; boundary=\"a\\\"b\"",
	  "multipart/mixed ! no usable boundary" },
	{ "multipart/mixed; boundary=\"a\xc3\xa4\"",
	  "multipart/mixed ! no usable boundary" },
	{ "multipart/mixed; boundary=" TEN(TEN("xx")),
	  "multipart/mixed " TEN(TEN("xx")) },
	{ "multipart/mixed; boundary=" TEN(TEN("xx")) "x",
	  "multipart/mixed ! no usable boundary" },
	{ "multipart/mixed; boundary=a; boundary=b",
	  "multipart/mixed ab ! two boundary parameters" },
	{ "multipart/mixed; boundary=a; boundary*0=b",
	  "multipart/mixed ab ! two boundary parameters" },
	{ "multipart/mixed; boundary*1=a; boundary*0=b",
	  "multipart/mixed ab ! encoded or misnumbered boundary parameter" },
	{ "multipart/mixed; boundary*=utf-8''a",
	  "multipart/mixed utf-8''a ! "
	  "encoded or misnumbered boundary parameter" },
	{ "multipart/mixed; boundary*0*=a",
	  "multipart/mixed a ! encoded or misnumbered boundary parameter" },
	{ "multipart/mixed; boundary",
	  "multipart/mixed ! malformed Content-Type parameters" },
	{ "multipart/mixed; boundary=",
	  "multipart/mixed ! malformed Content-Type parameters" },
	{ "multipart/mixed; boundary=a b",
	  "multipart/mixed a ! malformed Content-Type parameters" },
	{ "multipart/mixed; boundary=a\"b\"",
	  "multipart/mixed a ! malformed Content-Type parameters" },
	{ "multipart/mixed; boundary=\"a",
	  "multipart/mixed ! malformed Content-Type parameters" },
	{ "multipart/mixed; boundary=a; (",
	  "multipart/mixed a ! malformed Content-Type parameters" },
	{ "", " ! malformed Content-Type" },
	{ "text", " ! malformed Content-Type" },
	{ "text/", " ! malformed Content-Type" },
	{ "/plain", " ! malformed Content-Type" },
	{ "text /plain", " ! malformed Content-Type" },
	{ "text/plain/x", " ! malformed Content-Type" },
	{ "text/plain charset=x", " ! malformed Content-Type" },
	{ "text/plain, text/html", " ! malformed Content-Type" },
	{ "=?utf-8?q?text/plain?=", " ! malformed Content-Type" },
	{ "text/pl\xc3\xa4in", " ! malformed Content-Type" },
	{ "(text/plain", " ! malformed Content-Type" },
	{ "\"text/plain\"", " ! malformed Content-Type" },
	{ "text/" TEN(TEN("x")) TEN("xx") "xx",
	  "text/" TEN(TEN("x")) TEN("xx") "xx" },
	{ "text/" TEN(TEN("x")) TEN("xx") "xxx", " ! malformed Content-Type" },
};

static void test_types(void)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct mime_type t;
		struct buf got = BUF_INIT, name = BUF_INIT;

		mime_type_parse(&t, types[i].input);
		buf_adds(&got, t.type);
		if (t.boundary[0])
			buf_addf(&got, " %s", t.boundary);
		if (t.error)
			buf_addf(&got, " ! %s", t.error);
		buf_add_printable(&name, types[i].input,
				  strlen(types[i].input));
		tap_is(got.data, types[i].want, name.data);
		buf_free(&got);
		buf_free(&name);
	}
}

static void test_encodings(void)
{
	static const struct {
		const char *input;
		enum mime_encoding want;
	} cases[] = {
		{ "7bit", MIME_IDENTITY }, { "8BIT", MIME_IDENTITY },
		{ "binary (x)", MIME_IDENTITY }, { "Base64", MIME_BASE64 },
		{ "quoted-printable", MIME_QUOTED }, { "", MIME_UNKNOWN },
		{ "x-uuencode", MIME_UNKNOWN }, { "7bit;", MIME_UNKNOWN },
		{ "7bit 8bit", MIME_UNKNOWN }, { "base", MIME_UNKNOWN },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		tap_ok(mime_encoding_parse(cases[i].input) == cases[i].want,
		       "encoding \"%s\"", cases[i].input);
}

/* The walk as text: H header, B body, E end of a part. */
struct walk {
	struct mime mime;
	struct buf log;
	size_t in_body;	/* 1 + part whose body is being logged */
};

static void on_header(struct mime *m)
{
	struct walk *w = container_of(m, struct walk, mime);
	const char *subject = mime_get(m, MIME_SUBJECT);

	w->in_body = 0;
	buf_addf(&w->log, "H%zu %s", m->part, m->type.type);
	if (subject)
		buf_addf(&w->log, " \"%s\"", subject);
	if (m->head.error)
		buf_addf(&w->log, " ! %s", m->head.error);
	if (m->type.error)
		buf_addf(&w->log, " ! %s", m->type.error);
	buf_addc(&w->log, '\n');
}

static void on_body(struct mime *m, const char *p, size_t n)
{
	struct walk *w = container_of(m, struct walk, mime);

	if (w->in_body != m->part + 1)
		buf_addf(&w->log, "B%zu ", m->part);
	w->in_body = m->part + 1;
	for (; n; p++, n--) {
		if (*p == '\r')
			buf_adds(&w->log, "\\r");
		else if (*p == '\n')
			buf_adds(&w->log, "\\n");
		else
			buf_addc(&w->log, *p);
	}
}

static void on_part_end(struct mime *m)
{
	struct walk *w = container_of(m, struct walk, mime);

	buf_addf(&w->log, "%sE%zu", w->in_body ? "\n" : "", m->part);
	w->in_body = 0;
	if (m->encoding_error)
		buf_addf(&w->log, " ! %s", m->encoding_error);
	buf_addc(&w->log, '\n');
}

static const struct mime_ops ops = {
	.header = on_header, .body = on_body, .part_end = on_part_end,
};

static uint32_t seed = 1;

static size_t any(size_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static void walk(struct buf *log, const char *p, size_t n, size_t step)
{
	struct walk w = { .log = BUF_INIT };

	mime_init(&w.mime, &ops);
	while (n) {
		size_t k = step ? step : 1 + any(40);

		k = k < n ? k : n;
		mime_feed(&w.mime, p, k);
		p += k;
		n -= k;
	}
	mime_end(&w.mime);
	buf_addf(&w.log, "%s%s%s%s", w.mime.closed ? "closed " : "",
		 w.mime.stray ? "stray " : "",
		 w.mime.bytes.bare ? "bare " : "",
		 w.mime.bytes.nul ? "nul " : "");
	mime_free(&w.mime);
	*log = w.log;
}

#define MULTI "Content-Type: multipart/mixed; boundary=b" NL NL
#define H0 "H0 multipart/mixed\n"
#define H1 "H1 text/plain\n"
#define H2 "H2 text/plain\n"
#define T(x) x, sizeof(x) - 1

static const struct {
	const char *name, *input;
	size_t len;
	const char *want;
} walks[] = {
	{ "nothing", T(""), "H0 text/plain\nE0\n" },
	{ "no header", T(NL "hi"), "H0 text/plain\nB0 hi\nE0\n" },
	{ "header only", T("Subject: a" NL), "H0 text/plain \"a\"\nE0\n" },
	{ "header without its last line end", T("Subject: a"),
	  "H0 text/plain \"a\"\nE0\n" },
	{ "single", T("Subject:  a b \t" NL NL "hi" NL "you" NL),
	  "H0 text/plain \"a b\"\nB0 hi\\r\\nyou\\r\\n\nE0\n" },
	{ "folded", T("Subject: a" NL "\tb" NL "  c" NL NL),
	  "H0 text/plain \"a\tb  c\"\nE0\n" },
	{ "first of two fields", T("Subject: a" NL "SUBJECT: b" NL NL),
	  "H0 text/plain \"a\"\nE0\n" },
	{ "empty field", T("Subject:" NL NL), "H0 text/plain \"\"\nE0\n" },
	{ "field with a colon in it", T("Subject:a:b" NL NL),
	  "H0 text/plain \"a:b\"\nE0\n" },
	{ "name that is too long",
	  T("Subject" TEN(TEN("Subject")) ": a" NL NL),
	  "H0 text/plain\nE0\n" },
	{ "two types",
	  T("Content-Type: text/plain" NL "Content-type: text/html" NL NL "x"),
	  "H0  ! two Content-Type fields\n" },
	{ "malformed type", T("Content-Type: x" NL NL "x"),
	  "H0  ! malformed Content-Type\n" },
	{ "no boundary", T("Content-Type: multipart/mixed" NL NL "--" NL),
	  "H0 multipart/mixed ! no usable boundary\n" },
	{ "line that is no field", T("Subject: a" NL "hello" NL NL "x"),
	  "H0 text/plain \"a\" ! line that is no header field\nB0 x\nE0\n" },
	{ "mbox line", T("From a@b Sun Jan  1 10:00" NL "Subject: a" NL NL),
	  "H0 text/plain \"a\" ! line that is no header field\nE0\n" },
	{ "space before the colon", T("Subject : a" NL NL),
	  "H0 text/plain ! line that is no header field\nE0\n" },
	{ "name that is not ASCII", T("S\xc3\xbc: a" NL NL),
	  "H0 text/plain ! line that is no header field\nE0\n" },
	{ "empty name", T(": a" NL NL),
	  "H0 text/plain ! malformed field name\nE0\n" },
	{ "name like a boundary", T("--b: a" NL NL),
	  "H0 text/plain ! malformed field name\nE0\n" },
	{ "folded line at first", T(" a: b" NL NL),
	  "H0 text/plain ! header begins with a folded line\nE0\n" },
	{ "folded line of spaces", T("Subject: a" NL "  " NL " b" NL NL),
	  "H0 text/plain \"a   b\" ! folded line of white space only\nE0\n" },
	{ "bare LF in the header", T("Subject: a\nX: b" NL NL "x"),
	  "H0 text/plain \"a\" ! bare CR or LF in the header\n"
	  "B0 x\nE0\nbare " },
	{ "bare CR in the header", T("Subject: a\rX: b" NL NL),
	  "H0 text/plain \"a\rX: b\" ! bare CR or LF in the header\n"
	  "E0\nbare " },
	{ "bare LFs all over", T("Subject: a\n\nx\n"),
	  "H0 text/plain \"a\" ! bare CR or LF in the header\n"
	  "B0 x\\n\nE0\nbare " },
	{ "bare CR at the end", T(NL "x\r"),
	  "H0 text/plain\nB0 x\\r\nE0\nbare " },
	{ "CR CR LF", T("Subject: a\r\r\n\r\n"),
	  "H0 text/plain \"a\" ! bare CR or LF in the header\nE0\nbare " },
	{ "NUL in the header", T("Subject: a\0b" NL NL),
	  "H0 text/plain \"a\" ! NUL byte in the header\nE0\nnul " },
	{ "NUL in the body", T(NL "\0"), NULL },
	{ "two parts",
	  T(MULTI "--b" NL NL "one" NL "--b" NL NL "two" NL "--b--" NL),
	  H0 H1 "B1 one\nE1\n" H2 "B2 two\nE2\nclosed " },
	{ "preamble and epilogue",
	  T(MULTI "pre" NL "- x" NL "--b" NL NL "one" NL NL "--b--" NL
	    "post" NL "-" NL),
	  H0 H1 "B1 one\\r\\n\nE1\nclosed " },
	{ "part headers",
	  T(MULTI "--b" NL "Content-Type: a/b" NL "Subject: s" NL NL "x" NL
	    "--b" NL "Content-Type: c/d" NL NL "--b--"),
	  H0 "H1 a/b \"s\"\nB1 x\nE1\nH2 c/d\nE2\nclosed " },
	{ "white space after delimiters",
	  T(MULTI "--b \t" NL NL "x" NL "--b-- " NL),
	  H0 H1 "B1 x\nE1\nclosed " },
	{ "no close delimiter", T(MULTI "--b" NL NL "x" NL),
	  H0 H1 "B1 x\\r\\n\nE1\n" },
	{ "close delimiter without its line end",
	  T(MULTI "--b" NL NL "x" NL "--b--"),
	  H0 H1 "B1 x\nE1\nclosed " },
	{ "close delimiter at first", T(MULTI "--b--" NL "--b" NL),
	  H0 "closed stray " },
	{ "delimiter in the epilogue",
	  T(MULTI "--b" NL NL "x" NL "--b--" NL "--b" NL NL "y"),
	  H0 H1 "B1 x\nE1\nclosed stray " },
	{ "dashes in the preamble", T(MULTI "--c" NL "--b" NL NL "x"),
	  H0 H1 "B1 x\nE1\nstray " },
	{ "dashes in the epilogue", T(MULTI "--b" NL NL "--b--" NL "-- " NL),
	  H0 H1 "E1\nclosed stray " },
	{ "dashes in a body",
	  T(MULTI "--b" NL NL "--c" NL "--" NL "-" NL "-x" NL "--b--" NL),
	  H0 H1 "B1 --c\\r\\n--\\r\\n-\\r\\n-x\nE1\nclosed " },
	{ "delimiter with text after it",
	  T(MULTI "--b" NL NL "x" NL "--bc" NL "--b-" NL "--b--c" NL "--b--"),
	  H0 H1 "B1 x\\r\\n--bc\\r\\n--b-\\r\\n--b--c\nE1\nclosed stray " },
	{ "delimiter with a lot of white space",
	  T(MULTI "--b" TEN(TEN("    ")) NL NL "x"), H0 "stray " },
	{ "delimiter without its line end", T(MULTI "--b"),
	  H0 H1 "E1\n" },
	{ "delimiter not at a line's start",
	  T(MULTI "--b" NL NL "x--b--" NL), H0 H1 "B1 x--b--\\r\\n\nE1\n" },
	{ "delimiter inside a header",
	  T(MULTI "--b" NL "Subject: s" NL "--b" NL NL "x"),
	  H0 "H1 text/plain \"s\"\nE1\n" H2 "B2 x\nE2\n" },
	{ "no line that is no field in a part",
	  T(MULTI "--b" NL "hello" NL NL "x"),
	  H0 "H1 text/plain ! line that is no header field\nB1 x\nE1\n" },
	{ "nested multipart",
	  T(MULTI "--b" NL "Content-Type: multipart/mixed; boundary=c" NL NL
	    "--c" NL NL "x" NL "--c--" NL "--b--"),
	  H0 "H1 multipart/mixed\n"
	  "B1 --c\\r\\n\\r\\nx\\r\\n--c--\nE1\nclosed " },
	{ "long line of dashes in a body",
	  T(MULTI "--b" NL NL TEN(TEN("-----")) NL "--b--"),
	  H0 H1 "B1 " TEN(TEN("-----")) "\nE1\nclosed " },
	{ "base64",
	  T(MULTI "--b" NL "Content-Transfer-Encoding: base64" NL NL
	    "Zm9v" NL " YmFy" NL "\tZg==" NL "--b--"),
	  H0 H1 "B1 foobarf\nE1\nclosed " },
	{ "base64, cut short",
	  T("Content-Transfer-Encoding: BASE64" NL NL "Zm9vYm"),
	  "H0 text/plain\nB0 foo\nE0 ! base64 cut short\n" },
	{ "base64, other text in it",
	  T("Content-Transfer-Encoding: base64" NL NL "Zm9v!YmFy"),
	  "H0 text/plain\nB0 foo\nE0 ! malformed base64\n" },
	{ "base64, text after it",
	  T("Content-Transfer-Encoding: base64" NL NL "Zg==" NL "Zm9v"),
	  "H0 text/plain\nB0 f\nE0 ! malformed base64\n" },
	{ "quoted-printable",
	  T("Content-Transfer-Encoding: quoted-printable" NL NL
	    "a=3Db=3d=" NL "c" NL "d"),
	  "H0 text/plain\nB0 a=b=c\\r\\nd\nE0\n" },
	{ "quoted-printable, malformed",
	  T("Content-Transfer-Encoding: quoted-printable" NL NL "a=3xb"),
	  "H0 text/plain\nB0 a\nE0 ! malformed quoted-printable\n" },
	{ "quoted-printable, blank before the line end",
	  T("Content-Transfer-Encoding: quoted-printable" NL NL "a= " NL),
	  "H0 text/plain\nB0 a\nE0 ! malformed quoted-printable\n" },
	{ "quoted-printable, cut short",
	  T("Content-Transfer-Encoding: quoted-printable" NL NL "a=3"),
	  "H0 text/plain\nB0 a\nE0 ! quoted-printable cut short\n" },
	{ "unknown encoding",
	  T("Content-Transfer-Encoding: rot13" NL NL "a"),
	  "H0 text/plain\nE0 ! unknown Content-Transfer-Encoding\n" },
	{ "two encodings",
	  T("Content-Transfer-Encoding: 7bit" NL
	    "Content-Transfer-Encoding: base64" NL NL "a"),
	  "H0 text/plain\nE0 ! unknown Content-Transfer-Encoding\n" },
};

static void test_walks(void)
{
	static const size_t steps[] = { SIZE_MAX, 1, 2, 3, 5, 0, 0, 0, 0, 0 };

	for (size_t i = 0; i < ARRAY_LEN(walks); i++) {
		struct buf first = BUF_INIT;
		bool same = true;

		for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
			struct buf log;

			walk(&log, walks[i].input, walks[i].len, steps[k]);
			if (!k)
				buf_add(&first, log.data, log.len);
			same = same && first.len == log.len &&
			       memcmp(first.data, log.data, log.len) == 0;
			buf_free(&log);
		}
		tap_ok(same, "%s: same in pieces", walks[i].name);
		if (walks[i].want)
			tap_is(first.data, walks[i].want, walks[i].name);
		buf_free(&first);
	}
}

static size_t memory(const struct mime *m)
{
	size_t sum = sizeof(*m);

	for (size_t i = 0; i < MIME_FIELDS; i++)
		sum += m->head.values[i].text.cap;
	return sum;
}

static void quiet(struct mime *m)
{
}

static void quiet_body(struct mime *m, const char *p, size_t n)
{
}

static const struct mime_ops quiet_ops = {
	.header = quiet, .body = quiet_body, .part_end = quiet,
};

/* begin, then n times text: how much memory is held, how many parts seen. */
static void test_bounded(const char *name, const char *begin,
			 const char *repeat, size_t n, size_t parts)
{
	struct mime m;
	size_t most = 0;

	mime_init(&m, &quiet_ops);
	mime_feed(&m, begin, strlen(begin));
	while (n--) {
		mime_feed(&m, repeat, strlen(repeat));
		if (memory(&m) > most)
			most = memory(&m);
	}
	mime_end(&m);
	tap_ok(most < 32768 && m.part == parts, "%s: %zu bytes, %zu parts",
	       name, most, m.part);
	mime_free(&m);
}

int main(void)
{
	test_types();
	test_encodings();
	test_walks();
	tap_ok(sizeof(struct mime) < 2048, "the struct is small: %zu",
	       sizeof(struct mime));
	test_bounded("header of 10 MB", "", "X-Field: " TEN(TEN("x")) NL,
		     100000, 0);
	test_bounded("From of 10 MB", "From: ", TEN(TEN("x")) NL " ", 100000,
		     0);
	test_bounded("Content-Type of 10 MB",
		     "From: a@b" NL "Content-Type: text/plain", ";" NL " "
		     TEN(TEN("x")) "=1", 100000, 0);
	test_bounded("field name of 10 MB", "", TEN(TEN("x")), 100000, 0);
	test_bounded("10,000 parts", MULTI, "--b" NL
		     "Content-Type: text/plain" NL NL "x" NL, 10000, 10000);
	test_bounded("10,000 parts inside each other", MULTI, "--b" NL
		     "Content-Type: multipart/mixed; boundary=b" NL NL, 10000,
		     10000);
	test_bounded("10,000 parts without a body", MULTI, "--b" NL, 10000,
		     10000);
	test_bounded("line of 10 MB of dashes", MULTI, TEN(TEN("-")), 100000,
		     0);
	test_bounded("empty lines", MULTI "--b" NL NL, NL, 5000000, 1);
	test_bounded("lines of one dash", MULTI "--b" NL NL, "-" NL, 3000000,
		     1);
	return tap_done();
}
