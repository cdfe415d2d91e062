// SPDX-License-Identifier: MIT
/*
 * Where the memory behind an address lies: frames, zones and the kernel's flags.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "igt.h"
#include "phys_helper.h"

#define PAGEMAP_PRESENT	(1ULL << 63)
#define PAGEMAP_FRAME	((1ULL << 55) - 1)

/* Number @index of a file that is an array of 64-bit numbers. */
static uint64_t read_entry(const char *path, uint64_t index)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	igt_assert_lte(0, fd);
	igt_assert_eq(pread(fd, &entry, sizeof(entry), index * sizeof(entry)),
		      sizeof(entry));
	close(fd);
	return entry;
}

uint64_t page_frame(const void *ptr)
{
	uint64_t entry = 0;

	/* It may be swapped out again between the two. */
	for (int i = 0; i < 1000 && !(entry & PAGEMAP_PRESENT); i++) {
		(void)*(const volatile char *)ptr;
		entry = read_entry("/proc/self/pagemap",
				   (uintptr_t)ptr / page_size());
	}
	igt_assert(entry & PAGEMAP_PRESENT);
	igt_assert(entry & PAGEMAP_FRAME);
	return entry & PAGEMAP_FRAME;
}

size_t count_shared(void *a, void *b, size_t count)
{
	size_t shared = 0;

	for (size_t i = 0; i < count; i++) {
		volatile uint64_t *first = a, *second = b, was;

		first += i * page_size() / sizeof(*first);
		second += i * page_size() / sizeof(*second);
		was = *first;
		if (was != *second)
			continue;
		*first = ~was;
		shared += *second == ~was;
		*first = was;
	}
	return shared;
}

struct frames {
	uint64_t first, count;
};

/* Of the one zone of that name there is, on a machine of one node. */
static struct frames movable_zone(void)
{
	struct frames zone = {}, movable = {};
	char line[128], name[16] = "";
	FILE *file = fopen("/proc/zoneinfo", "r");

	igt_assert(file);
	while (fgets(line, sizeof(line), file)) {
		sscanf(line, "Node %*d, zone %15s", name);
		sscanf(line, " spanned %" SCNu64, &zone.count);
		if (sscanf(line, " start_pfn: %" SCNu64, &zone.first) == 1 &&
		    !strcmp(name, "Movable"))
			movable = zone;
	}
	fclose(file);
	return movable;
}

void require_movable(void)
{
	igt_require_f(movable_zone().count,
		      "no ZONE_MOVABLE (it takes movablecore= at boot)\n");
}

bool hugetlb_is_pinnable(void)
{
	unsigned int version = 0, minor = 0;
	struct utsname name;

	igt_assert_eq(uname(&name), 0);
	igt_assert_eq(sscanf(name.release, "%u.%u", &version, &minor), 2);
	return !movable_zone().count || version > 6 ||
	       (version == 6 && minor >= 11);
}

void require_pinnable(enum backing backing)
{
	igt_require_f(backing < HUGE_2M || hugetlb_is_pinnable(),
		      "before 6.11, huge pages stay in ZONE_MOVABLE\n");
}

bool is_movable(uint64_t frame)
{
	static struct frames zone;

	if (!zone.count)
		zone = movable_zone();
	return frame >= zone.first && frame < zone.first + zone.count;
}

size_t count_movable(const void *ptr, size_t count)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += is_movable(page_frame((const char *)ptr + pages(i)));
	return found;
}

uint64_t frame_flags(uint64_t frame)
{
	return read_entry("/proc/kpageflags", frame);
}

size_t count_flagged(const void *ptr, size_t count, int flag)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += frame_flags(page_frame((const char *)ptr + pages(i)))
			 >> flag & 1;
	return found;
}
