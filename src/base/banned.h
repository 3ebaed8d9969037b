/* Included before everything: functions that have a safer twin. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat strtok gets
#undef alloca
#pragma GCC poison atoi atol atof alloca system popen

#endif
