/* A relay's figures: families of samples, read from and written as OpenMetrics
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/), of which counters,
 * gauges and unknowns are enough here. */
#ifndef TEXT_FIGURES_H
#define TEXT_FIGURES_H

#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

enum {
	FIGURES_TEXT_MAX = 256 * 1024,	/* that is parsed */
	FIGURES_SAMPLES_MAX = 4096,
	FIGURES_LABELS_MAX = 16,	/* of a sample */
};

enum figures_type {
	FIGURES_COUNTER,	/* its samples are NAME_total */
	FIGURES_GAUGE,
	/* A counter under a name without _total, which OpenMetrics allows no
	 * counter to have; "untyped" in Prometheus' own format. */
	FIGURES_UNKNOWN,
};

enum figures_format {
	FIGURES_OPENMETRICS,
	FIGURES_PROMETHEUS,	/* its text format 0.0.4 */
	FIGURES_JSON,
};

struct figures_sample {
	struct figures_sample *next;
	const char *labels;	/* a="b",c="d" or "" */
	double value;
};

struct figures_family {
	struct figures_family *next;
	const char *name;	/* without _total */
	const char *help;	/* "" for none */
	enum figures_type type;
	struct figures_sample *samples, *last;
};

/* All zero is empty. */
struct figures {
	struct arena arena;
	struct figures_family *families, *last;
	size_t count;		/* of samples */
};

void figures_free(struct figures *f);

/* Add a value to a sample, made when there is none: what several roles count
 * under one name is summed up. Name, labels and help are right and escaped
 * already, and are copied. Returns 0, or -1 when the family has another type,
 * there are FIGURES_SAMPLES_MAX samples, or the sum is infinite. */
int figures_add(struct figures *f, enum figures_type type, const char *name,
		const char *help, const char *labels, double value);
/* Append NAME="VALUE" for that, with a comma when out is not empty. */
void figures_add_label(struct buf *out, const char *name, const char *value);

/* Add all that an OpenMetrics text says. Returns 0, or -1 with what is wrong,
 * "line 3: …", in *err; some of it may have been added then. "# EOF" has to be
 * there, so that half a text is known as such. Timestamps, exemplars and other
 * types are refused, as nobody here makes them. */
int figures_parse(struct figures *f, const char *text, size_t n,
		  struct buf *err);

/* Append everything in the order in which it was added. */
void figures_print(const struct figures *f, enum figures_format format,
		   struct buf *out);

#endif
