// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's memory that a dma-buf takes for as long as it exists, beside the pages
 * that it is made of.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench_helper.h"

#define MIN_COUNT	8
#define MAX_COUNT	1024

/* 160 MiB shows whether what is kept is rounded up to a power of two. */
static const size_t sizes[] = { PAGE, MIB(8), MIB(160), MIB(1024) };

/* One line of /proc/zoneinfo may be of a CPU's own list of free pages. */
static long pages_of_line(const char *line)
{
	static bool in_lists;
	long nr;

	if (strstr(line, "pagesets"))
		in_lists = true;
	else if (!strncmp(line, "Node", 4))
		in_lists = false;
	if (sscanf(line, " pages free %ld", &nr) == 1)
		return nr;
	return in_lists && sscanf(line, " count: %ld", &nr) == 1 ? nr : 0;
}

static long free_pages(void)
{
	char line[256];
	FILE *file;
	long nr = 0;
	int fd;

	/* A read of it brings the counters up to date. */
	fd = open("/proc/sys/vm/stat_refresh", O_RDONLY);
	if (fd < 0 || read(fd, line, sizeof(line)) < 0)
		err(1, "stat_refresh");
	close(fd);
	file = fopen("/proc/zoneinfo", "r");
	if (!file)
		err(1, "/proc/zoneinfo");
	while (fgets(line, sizeof(line), file))
		nr += pages_of_line(line);
	fclose(file);
	return nr;
}

/*
 * Bytes per dma-buf, of @count. As many again come before, so that nothing is left of
 * what allocators have at hand.
 */
static double measure(const struct driver *driver, int memfd, size_t size,
		      unsigned int count)
{
	static int fds[2 * MAX_COUNT];
	long before = 0, after;

	for (unsigned int i = 0; i < 2 * count; i++) {
		if (i == count)
			before = free_pages();
		fds[i] = create(driver, memfd, size);
	}
	after = free_pages();
	for (unsigned int i = 0; i < 2 * count; i++)
		close(fds[i]);
	return (double)(before - after) * PAGE / count;
}

/* As many as time and memory allow: the pages that are counted get small beside them. */
static unsigned int count_for(const struct kind *kind, size_t size, double bytes)
{
	size_t by_time = MIB(16) / (size / kind->unit + 1);
	size_t by_memory = MIB(128) / (bytes + 1);
	size_t count = by_time < by_memory ? by_time : by_memory;

	return count < MIN_COUNT ? MIN_COUNT : count > MAX_COUNT ? MAX_COUNT : count;
}

static void measure_size(const struct kind *kind, int memfd, size_t size)
{
	for (const struct driver *d = drivers; d < drivers + ARRAY_SIZE(drivers); d++) {
		double bytes = measure(d, memfd, size, MIN_COUNT);

		bytes = measure(d, memfd, size, count_for(kind, size, bytes));
		result("\"kind\": \"%s\", \"unit\": %zu, \"driver\": \"%s\", "
		       "\"step\": \"memory\", \"size\": %zu, \"bytes\": %.0f",
		       kind->name, kind->unit, d->name, size, bytes);
	}
}

void bench_memory(const struct kind *kind)
{
	const struct rlimit files = { 4 * MAX_COUNT, 4 * MAX_COUNT };
	size_t max = sizes[ARRAY_SIZE(sizes) - 1];
	int memfd;

	if (!has_huge_pages(kind, max))
		return;
	if (setrlimit(RLIMIT_NOFILE, &files))
		err(1, "setrlimit");
	memfd = make_memfd(kind, max);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		measure_size(kind, memfd, sizes[i]);
	close(memfd);
}
