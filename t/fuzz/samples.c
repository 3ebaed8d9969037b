/* Reasons that a server gives, and values: kept in bounds, counted, without
 * addresses; percentiles in order, each value in one bin. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "text/samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reasons(struct samples *s, char *text)
{
	size_t said = 0, kept = 0;

	for (char *line = strtok_r(text, "\n", &text); line;
	     line = strtok_r(NULL, "\n", &text)) {
		samples_fail(s, line);
		said++;
	}
	assert(s->reason_count <= SAMPLES_REASONS_MAX);
	for (size_t i = 0; i < s->reason_count; i++) {
		const char *p = s->reasons[i].text;

		kept += s->reasons[i].count;
		assert(strlen(p) <= SAMPLES_REASON_MAX && !strchr(p, '@'));
		for (; *p; p++)
			assert((unsigned char)*p >= ' ' && *p != 127);
	}
	assert(said == kept && said == s->failures);
}

static void check_values(struct samples *s, const uint8_t *data, size_t size)
{
	const struct samples *set = s;
	size_t counts[HISTOGRAM_BINS_MAX], sum = 0;
	int64_t last = -1;
	struct histogram h;

	for (size_t i = 0; i + 6 <= size; i += 6) {
		int64_t us = 0;

		memcpy(&us, data + i, 6);
		samples_add(s, us);
	}
	for (unsigned p = 0; p <= 100; p += 5) {
		int64_t us = samples_percentile(s, p);

		assert(us >= last && (us >= 0 || !s->count));
		last = us;
	}
	histogram_choose(&h, &set, 1, 2 + size % (HISTOGRAM_BINS_MAX - 1));
	assert(h.bins <= HISTOGRAM_BINS_MAX && !h.bins == !s->count);
	histogram_fill(&h, s, counts);
	for (size_t i = 0; i < h.bins; i++)
		sum += counts[i];
	assert(sum == s->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct samples s = { 0 };

	check_reasons(&s, text);
	check_values(&s, data, size);
	samples_free(&s);
	free(text);
	return 0;
}
