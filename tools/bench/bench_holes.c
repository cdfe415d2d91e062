// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to make a dma-buf of memory that was never touched: its pages are
 * allocated then. The program has it mapped, as those have that are going to use it.
 * To touch all of that mapping instead is what it cannot cost less than.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench_helper.h"

#define ROUNDS	2

static const size_t sizes[] = { MIB(8), MIB(32), MIB(256) };

/* At an address that huge pages can be mapped at; on shmem they are asked for. */
static volatile char *map_holes(const struct kind *kind, int memfd, size_t size)
{
	char *room = mmap(NULL, size + HUGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *addr = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));
	bool advise = kind->unit == HUGE && !(kind->flags & MFD_HUGETLB);

	if (room == MAP_FAILED)
		err(1, "mmap");
	munmap(room, size + HUGE);
	if (mmap(addr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
		 memfd, 0) == MAP_FAILED)
		err(1, "mmap of a memfd");
	if (advise && madvise(addr, size, MADV_HUGEPAGE))
		err(1, "madvise");
	return addr;
}

/* @driver: NULL: touch all pages */
static uint64_t fill_holes(const struct kind *kind, const struct driver *driver,
			   size_t size)
{
	int memfd = new_memfd(kind, size), fd = -1;
	volatile char *mem = map_holes(kind, memfd, size);
	uint64_t start = now(), took;

	if (driver)
		fd = create(driver, memfd, size);
	for (size_t i = 0; !driver && i < size; i += PAGE)
		mem[i] = 1;
	took = now() - start;
	if (fd >= 0)
		close(fd);
	munmap((void *)mem, size);
	close(memfd);
	return took;
}

static void measure(const struct kind *kind, const struct driver *driver, size_t size)
{
	uint64_t best = UINT64_MAX, ns;

	for (int i = 0; i < ROUNDS; i++) {
		ns = fill_holes(kind, driver, size);
		if (ns < best)
			best = ns;
	}
	result("\"kind\": \"%s\", \"unit\": %zu, \"driver\": \"%s\", "
	       "\"step\": \"create-holes\", \"size\": %zu, \"ns\": %llu",
	       kind->name, kind->unit, driver ? driver->name : "touch", size,
	       (unsigned long long)best);
}

void bench_holes(const struct kind *kind)
{
	/* Holes have no frames that could be interleaved; a page of 1 GiB is too large. */
	if (kind->interleaved || kind->unit > HUGE)
		return;
	set("/sys/kernel/mm/transparent_hugepage/shmem_enabled",
	    kind->unit == HUGE ? "advise" : "never");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (!has_huge_pages(kind, sizes[i]))
			continue;
		for (size_t d = 0; d < ARRAY_SIZE(drivers); d++)
			measure(kind, &drivers[d], sizes[i]);
		measure(kind, NULL, sizes[i]);
	}
}
