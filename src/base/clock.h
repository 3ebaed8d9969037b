/* A clock that nobody sets. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/* Seconds since some moment, of CLOCK_MONOTONIC. */
double clock_secs(void);

#endif
