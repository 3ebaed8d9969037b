/* The steps of a plan as they are told: for src/host alone. */
#ifndef HOST_STEPS_H
#define HOST_STEPS_H

#include "host/plan.h"

struct step {
	struct plan *p;
	enum plan_stage stage;
	const char *name;
	double began;
};

/* Forget what the last step told, and tell that this one begins. */
struct step step_begin(struct plan *p, enum plan_stage stage,
		       const char *name);
/* Tell how it ended: ret is returned, -1 with the reason in err. */
int step_end(struct step *s, int ret, const struct buf *err);

#endif
