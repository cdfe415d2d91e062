// SPDX-License-Identifier: MIT
/*
 * Where the memory behind an address lies: frames, zones and the kernel's flags.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "igt.h"
#include "phys_helper.h"

#define HWPOISON	"/sys/kernel/debug/hwpoison/"
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

bool is_present(const void *ptr)
{
	return read_entry("/proc/self/pagemap", (uintptr_t)ptr / page_size()) &
	       PAGEMAP_PRESENT;
}

uint64_t page_frame(const void *ptr)
{
	uint64_t entry = 0;

	/* It may be swapped out again between the two. */
	for (int i = 0; i < 1000 && !(entry & PAGEMAP_PRESENT); i++) {
		(void)READ_ONCE(*(const char *)ptr);
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
		uint64_t *first = a, *second = b, was;

		first += i * page_size() / sizeof(*first);
		second += i * page_size() / sizeof(*second);
		was = READ_ONCE(*first);
		if (was != READ_ONCE(*second))
			continue;
		WRITE_ONCE(*first, ~was);
		shared += READ_ONCE(*second) == ~was;
		WRITE_ONCE(*first, was);
	}
	return shared;
}

struct frames {
	uint64_t first, count;
};

/* All zones called Movable, one per node, as far as they have memory. */
static struct frames movable_zones[8];

static size_t count_zones(void)
{
	struct frames zone = {};
	char line[128], name[16] = "";
	static size_t count;
	FILE *file;

	if (count)
		return count;
	file = fopen("/proc/zoneinfo", "r");
	igt_assert(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Node %*d, zone %15s", name) == 1 ||
		    sscanf(line, " spanned %" SCNu64, &zone.count) == 1)
			continue;
		if (sscanf(line, " start_pfn: %" SCNu64, &zone.first) == 1 &&
		    !strcmp(name, "Movable") && zone.count) {
			igt_assert(count < ARRAY_SIZE(movable_zones));
			movable_zones[count++] = zone;
		}
	}
	fclose(file);
	return count;
}

bool has_movable(void)
{
	return count_zones();
}

void require_movable(void)
{
	igt_require_f(has_movable(),
		      "no ZONE_MOVABLE (it takes movablecore= at boot)\n");
}

bool hugetlb_is_pinnable(void)
{
	return !has_movable() || kernel_since(6, 11);
}

void require_pinnable(enum backing backing)
{
	igt_require_f(backing < HUGE_2M || hugetlb_is_pinnable(),
		      "before 6.11, huge pages stay in ZONE_MOVABLE\n");
}

bool is_movable(uint64_t frame)
{
	for (size_t i = 0; i < count_zones(); i++)
		if (frame - movable_zones[i].first < movable_zones[i].count)
			return true;
	return false;
}

size_t count_movable(const void *ptr, size_t count)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += is_movable(page_frame((const char *)ptr + pages(i)));
	return found;
}

void require_kind(enum backing backing, const void *ptr, size_t count)
{
	igt_require_f(backing != THP || count_flagged(ptr, count, KPF_THP) == count,
		      "no transparent huge pages\n");
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

void require_hwpoison(void)
{
	igt_require_f(!igt_system_quiet("modprobe hwpoison-inject") &&
		      !access(HWPOISON "corrupt-pfn", W_OK),
		      "no hwpoison-inject\n");
}

static bool has_failed(uint64_t frame)
{
	uint64_t flags = frame_flags(frame);

	/* Before 6.12, all of a huge page shows in its first frame. */
	if (flags >> KPF_HUGE & 1)
		flags |= frame_flags(frame & -(uint64_t)HUGE_PAGES);
	return flags >> KPF_HWPOISON & 1;
}

static int write_frame(const char *path, uint64_t frame)
{
	char line[32];

	snprintf(line, sizeof(line), "%#" PRIx64, frame);
	return write_line(path, line);
}

void fail_frame(uint64_t frame)
{
	int err = write_frame(HWPOISON "corrupt-pfn", frame);

	igt_info("frame %#" PRIx64 " fails: %s\n", frame, strerror(-err));
	igt_assert(has_failed(frame));
}

void mend_frame(uint64_t frame)
{
	write_frame(HWPOISON "unpoison-pfn", frame);
	if (has_failed(frame))
		igt_info("frame %#" PRIx64 " stays out of use\n", frame);
}
