#include "net/fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "net/curl_lib.h"

enum { REDIRECTS_MAX = 10 };

static size_t refuse(struct fetch *f, enum fetch_result verdict,
		     const char *why)
{
	f->verdict = verdict;
	buf_setf(&f->why, "%s", why);
	return 0;	/* which makes curl stop */
}

/* Nothing of what is there is of use. */
static int empty(struct fetch *f)
{
	f->have = 0;
	f->validator[0] = '\0';
	if (ftruncate(f->fd, 0) == 0 && lseek(f->fd, 0, SEEK_SET) == 0)
		return 0;
	refuse(f, FETCH_FAILED, strerror(errno));
	return -1;
}

/* ---- the head of an answer ---------------------------------------------------- */

/* Is it that field? Its value goes to out, cut at its end's white space. */
static int get_field(const char *line, size_t n, const char *name, char *out,
		     size_t room)
{
	size_t len = strlen(name);

	if (n <= len || line[len] != ':' || !mem_eqi(line, name, len))
		return 0;
	for (line += len + 1, n -= len + 1; n > 0 && (*line == ' ' ||
	     *line == '\t'); line++)
		n--;
	while (n > 0 && strchr(" \t\r\n", line[n - 1]))
		n--;
	/* too long to be sent back */
	if (n >= room || memchr(line, '\0', n))
		n = 0;
	memcpy(out, line, n);
	out[n] = '\0';
	return 1;
}

static void forget_answer(struct fetch *f)
{
	f->etag[0] = f->modified[0] = '\0';
	f->has_range = 0;
	f->range_begin = f->range_total = 0;
}

/* Each redirect has a head as well: the last one counts. */
static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;
	char range[64] = "";

	n *= size;
	if (n > 5 && mem_eqi(line, "HTTP/", 5)) {
		forget_answer(f);
	} else if (get_field(line, n, "content-range", range, sizeof(range))) {
		f->has_range = sscanf(range, "bytes %" SCNu64 "-%*u/%" SCNu64,
				      &f->range_begin, &f->range_total) >= 1 ||
			sscanf(range, "bytes */%" SCNu64, &f->range_total) == 1;
	} else if (!get_field(line, n, "etag", f->etag, sizeof(f->etag))) {
		get_field(line, n, "last-modified", f->modified,
			  sizeof(f->modified));
	}
	return n;
}

/* A weak ETag does not say that the bytes are the same (RFC 9110, 13.1.5). */
static const char *answer_mark(const struct fetch *f)
{
	return f->etag[0] == '"' ? f->etag : f->modified;
}

static long status_of(const struct fetch *f)
{
	long status = 0;

	curl.easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* A part follows what is there if it begins where that ends and is of the same
 * state of the file; some servers do not look at If-Range. */
static bool part_fits(const struct fetch *f)
{
	const char *mark = answer_mark(f);

	return f->have > 0 && f->has_range && f->range_begin == f->have &&
	       (!*mark || !*f->validator || strcmp(mark, f->validator) == 0);
}

/* Before the first byte of the answer that counts, once. */
static int begin(struct fetch *f)
{
	curl_off_t length = -1;
	long status = status_of(f);

	f->has_begun = 1;
	if (status == 206 && !part_fits(f)) {
		empty(f);
		refuse(f, FETCH_CUT, "the server's part does not follow what "
		       "was there");
		return -1;
	}
	if (status != 206 && status != 200) {
		buf_setf(&f->why, "answer %ld", status);
		f->verdict = FETCH_FAILED;
		return -1;
	}
	if (status == 200 && empty(f) < 0)
		return -1;
	if (status == 200 || *answer_mark(f))
		snprintf(f->validator, sizeof(f->validator), "%s",
			 answer_mark(f));
	curl.easy_getinfo(f->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	f->total = status == 206 && f->range_total ? f->range_total :
		length > 0 ? f->have + (uint64_t)length : 0;
	if (f->total > f->size_max) {
		refuse(f, FETCH_FAILED, "the file is larger than it may be");
		return -1;
	}
	return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;

	n *= size;
	if (!f->has_begun && begin(f) < 0)
		return 0;
	if (n > f->size_max - f->have)
		return refuse(f, FETCH_FAILED,
			      "the file is larger than it may be");
	if (file_write_all(f->fd, data, n) < 0)
		return refuse(f, FETCH_FAILED, strerror(errno));
	f->have += n;
	if (f->progress)
		f->progress(f);
	return n;
}

/* ---- an attempt ----------------------------------------------------------------- */

static void set_transport(struct fetch *f)
{
	const char *ca = getenv("SSL_CERT_FILE");
	CURL *c = f->easy;

	curl.easy_setopt(c, CURLOPT_URL, f->url);
	curl.easy_setopt(c, CURLOPT_USERAGENT, "chatmail/" CHATMAIL_VERSION);
	curl.easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR,
			 mem_eqi(f->url, "https:", strlen("https:")) ?
			 "https" : "http,https");
	curl.easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	curl.easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	curl.easy_setopt(c, CURLOPT_FAILONERROR, 1L);
	curl.easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl.easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)f->connect_secs);
	curl.easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)FETCH_SLOW);
	curl.easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)f->stall_secs);
	curl.easy_setopt(c, CURLOPT_TIMEOUT, (long)f->secs_max);
	if (f->proxy && *f->proxy)
		curl.easy_setopt(c, CURLOPT_PROXY, f->proxy);
	if (ca && *ca)
		curl.easy_setopt(c, CURLOPT_CAINFO, ca);
}

/* Of what fd has, only the rest, if the file is still the same. */
static struct curl_slist *set_request(struct fetch *f)
{
	struct curl_slist *fields = NULL;
	struct buf text = BUF_INIT;

	curl.easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl.easy_setopt(f->easy, CURLOPT_HEADERDATA, f);
	curl.easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl.easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
	if (f->have > 0) {
		buf_addf(&text, "%" PRIu64 "-", f->have);
		curl.easy_setopt(f->easy, CURLOPT_RANGE, text.data);
	}
	if (f->have > 0 && *f->validator) {
		buf_setf(&text, "If-Range: %s", f->validator);
		fields = curl.slist_append(NULL, text.data);
		if (!fields)
			bug("no memory");
		curl.easy_setopt(f->easy, CURLOPT_HTTPHEADER, fields);
	}
	buf_free(&text);
	return fields;
}

static bool may_pass(CURLcode code)
{
	static const CURLcode codes[] = {
		CURLE_COULDNT_CONNECT, CURLE_OPERATION_TIMEDOUT,
		CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING, CURLE_RECV_ERROR,
		CURLE_SEND_ERROR, CURLE_SSL_CONNECT_ERROR, CURLE_HTTP2,
		CURLE_HTTP2_STREAM,
	};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (codes[i] == code)
			return true;
	return false;
}

static enum fetch_result judge_status(struct fetch *f, struct buf *err)
{
	long status = status_of(f);

	buf_setf(err, "the server answers %ld", status);
	/* nothing is left to get, or what is there is no beginning of the file
	 * that the server has now */
	if (status == 416 && f->have > 0 && f->range_total == f->have)
		return FETCH_DONE;
	if (status == 416 && f->have > 0)
		return empty(f) < 0 ? FETCH_FAILED : FETCH_CUT;
	return status >= 500 || status == 408 || status == 429 ? FETCH_CUT :
								 FETCH_FAILED;
}

static enum fetch_result judge(struct fetch *f, CURLcode code,
			       const char *said, struct buf *err)
{
	/* an empty file has no body that could begin it */
	if (code == CURLE_OK && !f->has_begun)
		begin(f);
	if (f->verdict != FETCH_DONE) {
		buf_setf(err, "%s", f->why.data);
		return f->verdict;
	}
	if (code == CURLE_OK)
		return FETCH_DONE;
	if (code == CURLE_HTTP_RETURNED_ERROR)
		return judge_status(f, err);
	buf_setf(err, "%s", *said ? said : curl.easy_strerror(code));
	return may_pass(code) ? FETCH_CUT : FETCH_FAILED;
}

enum fetch_result fetch_file(struct fetch *f, struct buf *err)
{
	char said[CURL_ERROR_SIZE] = "";
	struct curl_slist *fields;
	enum fetch_result ret;
	CURLcode code;

	if (curl_lib_load(err) < 0)
		return FETCH_FAILED;
	if (lseek(f->fd, (off_t)f->have, SEEK_SET) < 0) {
		buf_setf(err, "%s", strerror(errno));
		return FETCH_FAILED;
	}
	f->easy = curl.easy_init();
	if (!f->easy)
		bug("curl does not start");
	f->verdict = FETCH_DONE;
	f->has_begun = 0;
	buf_init(&f->why);
	forget_answer(f);
	set_transport(f);
	fields = set_request(f);
	curl.easy_setopt(f->easy, CURLOPT_ERRORBUFFER, said);
	code = curl.easy_perform(f->easy);
	ret = judge(f, code, said, err);
	curl.slist_free_all(fields);
	curl.easy_cleanup(f->easy);
	f->easy = NULL;
	buf_free(&f->why);
	return ret;
}
