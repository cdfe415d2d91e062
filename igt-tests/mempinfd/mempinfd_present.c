// SPDX-License-Identifier: MIT
/*
 * What a pin guarantees, and what not: the page stays the same, at the same frame. Its
 * entry in the page table can be away for a moment, and comes back by a fault.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cgroup_helper.h"
#include "igt.h"
#include "mempinfd.h"
#include "phys_helper.h"
#include "swap_helper.h"

#define SIZE	MIB(4)
#define NPAGES	(SIZE / page_size())
#define TURNS	8
#define PASSES	100	/* of what takes pages away; two or three should do */

static void *map_memfd(enum backing backing)
{
	int memfd = unsealed_memfd(backing, SIZE);
	void *mem = map_fd(memfd, SIZE);

	close(memfd);
	return mem;
}

static void *map_shmem(void)
{
	return map_memfd(SHMEM);
}

static void *map_shmem_thp(void)
{
	return map_memfd(THP);
}

static void *map_anon(void)
{
	return anon_small(SIZE);
}

static void *map_anon_thp(void)
{
	return anon_thp(SIZE);
}

static const struct kind {
	const char *name;
	void *(*map)(void);
} kinds[] = {
	{ "anon", map_anon },
	{ "anon-thp", map_anon_thp },
	{ "memfd", map_shmem },
	{ "memfd-thp", map_shmem_thp },
};

static const struct kind *kind;

/* Everything that takes entries away, as far as the kernel has it */
static void disturb(void *mem)
{
	madvise(mem, SIZE, MADV_PAGEOUT);
	cgroup_write("memory.reclaim", "4M");
	write_line("/proc/sys/vm/compact_memory", "1");
}

/* What is not pinned any more goes to swap, by the same means. */
static void check_gone(void *mem)
{
	int64_t before = vmstat("pswpout");

	for (int i = 0; i < PASSES && vmstat("pswpout") == before; i++) {
		igt_assert_eq(count_filled(mem, 0, NPAGES, TURNS + 1), NPAGES);
		disturb(mem);
	}
	igt_assert(vmstat("pswpout") > before);
}

static void test_same_frame(void)
{
	uint64_t *frames = calloc(NPAGES, sizeof(*frames));
	size_t absent = 0, moved = 0;
	int fd = open_mempinfd();
	char *mem;

	igt_assert(frames);
	swap_on(MIB(64));
	cgroup_enter("memory");
	mem = kind->map();
	fill(mem, 0, NPAGES, 1);
	pin(fd, mem, SIZE);
	for (size_t i = 0; i < NPAGES; i++)
		frames[i] = page_frame(mem + pages(i));
	for (int turn = 1; turn <= TURNS; turn++) {
		disturb(mem);
		for (size_t i = 0; i < NPAGES; i++) {
			absent += !is_present(mem + pages(i));
			/* This touches it. */
			moved += page_frame(mem + pages(i)) != frames[i];
		}
		igt_assert_eq(count_filled(mem, 0, NPAGES, turn), NPAGES);
		fill(mem, 0, NPAGES, turn + 1);
	}
	igt_info("%zu of %zu entries were away\n", absent, TURNS * NPAGES);
	igt_assert_eq_u64(moved, 0);
	close(fd);
	check_gone(mem);
	unmap(mem, SIZE);
	cgroup_leave();
	swap_off();
	free(frames);
}

void mempinfd_present_subtests(void)
{
	for (kind = kinds; kind < kinds + ARRAY_SIZE(kinds); kind++) {
		igt_describe_f("A page table entry can be away for a moment, but what comes back "
			       "is the same page, with %s", kind->name);
		igt_subtest_f("same-frame-%s", kind->name)
			mempinfd_test(test_same_frame);
	}
}
