/* What "chatmail bench" has found out about one or more relays: as a table, as
 * histograms, as JSON. */
#ifndef TEXT_BENCHREPORT_H
#define TEXT_BENCHREPORT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "text/samples.h"

enum { BENCHREPORT_RELAYS_MAX = 4 };

/* A row at one relay. All zero is empty. */
struct benchreport_cell {
	struct samples samples;
	size_t wanted;		/* values that there should be */
	double per_second;	/* messages in all; 0: not of this row */
	/* The relay's limits, which were waited for; no value has that time. */
	size_t waits;
	int64_t waited_us;
	char *why;		/* why it was ended early, else NULL; owned */
};

struct benchreport_row {
	const char *name;	/* in the JSON; borrowed, as the others are */
	const char *what;	/* for people */
	bool has_histogram;
	struct benchreport_cell cells[BENCHREPORT_RELAYS_MAX];
};

struct benchreport_relay {
	const char *name;
	const char *address;	/* IP address, "" while there is none */
	size_t accounts;	/* that were made there */
};

struct benchreport {
	struct benchreport_relay relays[BENCHREPORT_RELAYS_MAX];
	size_t relay_count;
	struct benchreport_row *rows;
	size_t row_count;
	int64_t began;		/* Unix time */
	int64_t took_us;
	bool interrupted;
};

void benchreport_free_cell(struct benchreport_cell *c);

/* Is every value there that should be? */
bool benchreport_is_complete(const struct benchreport *r);

/* Append the table for a terminal of so many columns: the relays side by side
 * where there is room, else below each other. Under it, what went wrong and what
 * was waited for. */
void benchreport_add_table(struct buf *out, const struct benchreport *r,
			   size_t width, bool colour);
/* The same in parts, for who shows rows as they come: the head, then each. */
void benchreport_add_head(struct buf *out, const struct benchreport *r,
			  size_t width, bool colour);
void benchreport_add_row(struct buf *out, const struct benchreport *r,
			 const struct benchreport_row *row, size_t width,
			 bool colour);
void benchreport_add_notes(struct buf *out, const struct benchreport *r,
			   bool colour);
/* Append the histograms of the rows that have one, the relays' side by side in
 * the same bins. ASCII only. */
void benchreport_add_histograms(struct buf *out, const struct benchreport *r,
				size_t width, bool colour);

/* All of it; the keys are interface, times are in milliseconds where they say
 * so. Free with cJSON_Delete(). */
cJSON *benchreport_json(const struct benchreport *r);

#endif
