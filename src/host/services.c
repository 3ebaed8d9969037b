#include "host/services.h"

const char *service_is_word(enum service_is is)
{
	static const char *const words[] = {
		[SERVICE_ABSENT] = "absent", [SERVICE_STOPPED] = "stopped",
		[SERVICE_CHANGING] = "changing", [SERVICE_RUNNING] = "running",
		[SERVICE_FAILED] = "failed",
	};

	return words[is];
}
