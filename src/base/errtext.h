/* What the system's errors are called. Log lines and answers are interface, so
 * both builds say the same: a static program's strerror() and gai_strerror()
 * are these (-Wl,--wrap), also for the libraries in it. */
#ifndef BASE_ERRTEXT_H
#define BASE_ERRTEXT_H

/* glibc's text for a code of errno, where musl has another one that is likely
 * to be seen; else NULL. Static. */
const char *errtext_errno(int code);
/* The same for a code of getaddrinfo(3). */
const char *errtext_gai(int code);

#endif
