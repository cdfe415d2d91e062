// SPDX-License-Identifier: MIT
/* What the user is told. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "shm-zerocopy.h"

void say(const char *message, ...)
{
	const char *debug = getenv("WL_ZEROCOPY_DEBUG");
	char line[256];
	va_list args;

	if (!debug || !*debug || *debug == '0')
		return;
	va_start(args, message);
	vsnprintf(line, sizeof(line), message, args);
	va_end(args);
	/* In one call, so that lines of several threads do not mix. */
	fprintf(stderr, "wl-zerocopy: %s\n", line);
}

struct fourcc_name fourcc_name(uint32_t fourcc)
{
	return (struct fourcc_name){ {
		fourcc & 0xff, fourcc >> 8 & 0xff, fourcc >> 16 & 0xff,
		fourcc >> 24 & 0x7f, 0
	} };
}
