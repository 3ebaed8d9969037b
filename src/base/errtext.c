#include "base/errtext.h"

#include <errno.h>
#include <netdb.h>
#include <stddef.h>

#include "base/str.h"

struct row {
	int code;
	const char *text;
};

static const struct row errno_rows[] = {
	{ 0, "Success" },
	{ EIO, "Input/output error" },
	{ ECHILD, "No child processes" },
	{ ENOMEM, "Cannot allocate memory" },
	{ EBUSY, "Device or resource busy" },
	{ EXDEV, "Invalid cross-device link" },
	{ EMFILE, "Too many open files" },
	{ ENOTTY, "Inappropriate ioctl for device" },
	{ ESPIPE, "Illegal seek" },
	{ EDOM, "Numerical argument out of domain" },
	{ ERANGE, "Numerical result out of range" },
	{ EDEADLK, "Resource deadlock avoided" },
	{ ENAMETOOLONG, "File name too long" },
	{ ELOOP, "Too many levels of symbolic links" },
	{ ETIME, "Timer expired" },
	{ EOVERFLOW, "Value too large for defined data type" },
	{ EILSEQ, "Invalid or incomplete multibyte or wide character" },
	{ ENOTSOCK, "Socket operation on non-socket" },
	{ EMSGSIZE, "Message too long" },
	{ EOPNOTSUPP, "Operation not supported" },
	{ EADDRINUSE, "Address already in use" },
	{ EADDRNOTAVAIL, "Cannot assign requested address" },
	{ ENETUNREACH, "Network is unreachable" },
	{ ENETRESET, "Network dropped connection on reset" },
	{ ECONNABORTED, "Software caused connection abort" },
	{ EISCONN, "Transport endpoint is already connected" },
	{ ENOTCONN, "Transport endpoint is not connected" },
	{ ESHUTDOWN, "Cannot send after transport endpoint shutdown" },
	{ ETIMEDOUT, "Connection timed out" },
	{ EHOSTUNREACH, "No route to host" },
	{ EINPROGRESS, "Operation now in progress" },
	{ EUCLEAN, "Structure needs cleaning" },
	{ EDQUOT, "Disk quota exceeded" },
	{ EOWNERDEAD, "Owner died" },
	{ EHWPOISON, "Memory page has hardware error" },
};

static const struct row gai_rows[] = {
	{ EAI_FAMILY, "ai_family not supported" },
	{ EAI_SERVICE, "Servname not supported for ai_socktype" },
	{ EAI_MEMORY, "Memory allocation failure" },
	{ EAI_NODATA, "No address associated with hostname" },
	{ EAI_FAIL, "Non-recoverable failure in name resolution" },
	{ EAI_AGAIN, "Temporary failure in name resolution" },
	{ EAI_NONAME, "Name or service not known" },
};

static const char *find(const struct row *rows, size_t n, int code)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].code == code)
			return rows[i].text;
	return NULL;
}

const char *errtext_errno(int code)
{
	return find(errno_rows, ARRAY_LEN(errno_rows), code);
}

const char *errtext_gai(int code)
{
	return find(gai_rows, ARRAY_LEN(gai_rows), code);
}

#ifdef CHATMAIL_STATIC

char *__real_strerror(int code);
char *__wrap_strerror(int code);
const char *__real_gai_strerror(int code);
const char *__wrap_gai_strerror(int code);

char *__wrap_strerror(int code)
{
	const char *text = errtext_errno(code);

	return text ? (char *)text : __real_strerror(code);
}

const char *__wrap_gai_strerror(int code)
{
	const char *text = errtext_gai(code);

	return text ? text : __real_gai_strerror(code);
}

#endif
