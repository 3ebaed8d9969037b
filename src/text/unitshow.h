/* What `systemctl show` prints of units, systemctl(1): blocks of NAME=VALUE
 * lines, in the order in which the units were named, an empty line between
 * them. */
#ifndef TEXT_UNITSHOW_H
#define TEXT_UNITSHOW_H

#include <stdint.h>

#include "base/buf.h"

/* The properties that are read here, for systemctl's -p; their order does not
 * matter. Times are understood as --timestamp=unix prints them, and as dates
 * with TZ=UTC, as which systemd 252 prints LastTriggerUSec all the same. */
#define UNITSHOW_PROPERTIES "Id,LoadState,ActiveState,SubState,UnitFileState," \
	"Result,MainPID,NRestarts,ActiveEnterTimestamp," \
	"InactiveEnterTimestamp,LastTriggerUSec,ExecMainStartTimestamp," \
	"ExecMainExitTimestamp"

/* One unit. Words are borrowed from the text and "" when they are not there;
 * times are Unix times, 0 for never. */
struct unitshow {
	const char *id;
	const char *load, *active, *sub;	/* loaded, active, running */
	const char *file;	/* enabled, disabled, static, masked, … or "" */
	const char *result;	/* success, exit-code, signal, … */
	uint64_t pid, restarts;
	uint64_t up, down;	/* when it last became active, inactive */
	uint64_t triggered;	/* a timer: when it last started its service */
	uint64_t began, ended;	/* the main process, the last one */
};

/* Take the next unit off *text, which is changed, and step on. Returns 1, 0
 * when there is none left, or -1 with *err for what is no such text. */
int unitshow_next(char **text, struct unitshow *u, struct buf *err);

#endif
