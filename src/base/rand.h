/* Random bytes from the kernel (getrandom(2)), for secrets too. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/* Fill n bytes; ends the process when the kernel has none to give. */
void rand_bytes(void *p, size_t n);
/* A number from 0 to below, each equally likely; below > 0. */
uint32_t rand_below(uint32_t below);
/* Fill out with n characters of the set and a NUL. */
void rand_string(char *out, size_t n, const char *set);

#endif
