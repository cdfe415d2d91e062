// SPDX-License-Identifier: MIT
/*
 * What must be so when no program runs: nothing is pinned or charged, there is no buffer;
 * and the kernel has said nothing of a fault.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

/* The last reference may be dropped by a worker, and a file that is read over 9p pins, too. */
#define LOOKS		400
#define LOOK_AGAIN	50000	/* microseconds */

static const char *const lists[] = {
	"/sys/kernel/debug/udmabuf/buffers", "/sys/kernel/debug/memfd_pin/owners",
};
static int kmsg;

static long count_lines(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[512];
	long nr = 0;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		nr++;
	fclose(file);
	return nr;
}

static long pins(void)
{
	long value, sum = 0;
	char name[64];
	FILE *file = fopen("/proc/sys/vm/stat_refresh", "w");

	/* Else CPUs report what they count when they like. */
	if (file) {
		fputs("1", file);
		fclose(file);
	}
	file = fopen("/proc/vmstat", "r");
	while (file && fscanf(file, "%63s %ld", name, &value) == 2) {
		if (!strcmp(name, "nr_foll_pin_acquired"))
			sum += value;
		if (!strcmp(name, "nr_foll_pin_released"))
			sum -= value;
	}
	if (file)
		fclose(file);
	return sum;
}

/* Each list has one line when it is empty, which names its columns. */
static bool is_empty(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (count_lines(lists[i]) != 1)
			return false;
	return pins() == 0;
}

bool model_holds(void)
{
	for (unsigned int i = 0; i < LOOKS; i++) {
		if (is_empty())
			return true;
		usleep(LOOK_AGAIN);
	}
	fprintf(stderr, "fuzz: nothing runs, but %ld pages are pinned", pins());
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		fprintf(stderr, ", %s has %ld lines", lists[i], count_lines(lists[i]));
	fprintf(stderr, "\n");
	return false;
}

/* False if this is not a machine with our driver */
bool model_init(void)
{
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return kmsg >= 0 && lseek(kmsg, 0, SEEK_END) >= 0 && count_lines(lists[0]) > 0;
}

/*
 * Whether it does, since this was called last. tools/vm/run looks at all that the kernel has
 * said in the end (igt-tests/complaints); this is to know which program it was.
 */
bool kernel_complains(void)
{
	static const char *const words[] = {
		"BUG: ", "WARNING: ", "Oops: ", "refcount_t: ", "possible circular",
		"possible recursive", "DMA-API: ", "UBSAN: ", "Call Trace:",
		"blocked for more than", "detected stall", "Bad page",
	};
	bool does = false;
	char record[8192];
	ssize_t len;

	while ((len = read(kmsg, record, sizeof(record) - 1)) > 0) {
		record[len] = '\0';
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			does |= !!strstr(record, words[i]);
	}
	return does;
}
