/* Figures: what is read and written is read again and is the same then. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/figures.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct figures f = { 0 }, again = { 0 };
	struct buf text = BUF_INIT, second = BUF_INIT, err = BUF_INIT;
	/* exactly so long, so that reading past it is seen */
	char *copy = xmalloc(size ? size : 1);

	if (size)
		memcpy(copy, data, size);
	if (figures_parse(&f, copy, size, &err) == 0) {
		figures_print(&f, FIGURES_OPENMETRICS, &text);
		if (figures_parse(&again, text.data, text.len, &err) < 0)
			abort();
		figures_print(&again, FIGURES_OPENMETRICS, &second);
		assert(strcmp(text.data, second.data) == 0);
		buf_reset(&text);
		figures_print(&f, FIGURES_PROMETHEUS, &text);
		figures_print(&f, FIGURES_JSON, &text);
	} else {
		assert(err.len);
	}
	figures_free(&f);
	figures_free(&again);
	buf_free(&text);
	buf_free(&second);
	buf_free(&err);
	free(copy);
	return 0;
}
