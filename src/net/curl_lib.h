/* libcurl, loaded when it is needed: it brings thirty libraries along, which
 * would double the memory of every role that sends no requests. */
#ifndef NET_CURL_LIB_H
#define NET_CURL_LIB_H

#include <curl/curl.h>

#include "base/buf.h"

#define CURL_LIB_FUNCTIONS(F)						\
	F(easy_cleanup) F(easy_getinfo) F(easy_init) F(easy_perform)	\
	F(easy_setopt) F(easy_strerror) F(global_init)			\
	F(multi_add_handle) F(multi_assign) F(multi_cleanup)		\
	F(multi_info_read) F(multi_init) F(multi_remove_handle)		\
	F(multi_setopt) F(multi_socket_action) F(slist_append)		\
	F(slist_free_all) F(version_info)

/* curl.easy_init() is curl_easy_init(3), and so on. */
struct curl_lib {
#define F(name) __typeof__(curl_##name) *name;
	CURL_LIB_FUNCTIONS(F)
#undef F
};
extern struct curl_lib curl;

/* Before anything else; again is harmless. 0, or -1 with *err. */
int curl_lib_load(struct buf *err);

#endif
