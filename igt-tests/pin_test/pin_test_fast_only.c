// SPDX-License-Identifier: MIT
/*
 * pin_user_pages_fast_only(): takes what is in the page tables, and nothing else.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "igt.h"
#include "pin_test.h"
#include "swap_helper.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define NPAGES	100	/* not a multiple of a batch */
#define FAIL	"/sys/kernel/debug/memfd_pin/fail_fast_only/"

static int64_t fast_only(unsigned int flags, const void *addr, int64_t count)
{
	return try_pin(PIN_TEST_FAST_ONLY, flags, addr, count);
}

static void test_present(void)
{
	char *mem = anon_small(pages(NPAGES));
	int dev, again;

	fill(mem, 0, NPAGES, 1);
	for (unsigned int flags = 0; flags <= PIN_TEST_WRITE; flags++) {
		dev = pin(PIN_TEST_FAST_ONLY, flags, mem, NPAGES);
		again = pin(PIN_TEST_FAST, flags, mem, NPAGES);
		for (unsigned int i = 0; i < NPAGES; i++) {
			igt_assert_eq_u64(query(dev, i).pfn,
					  query(again, i).pfn);
			igt_assert_eq(query(dev, i).pins, 2);
			igt_assert(query(dev, i).flags & PIN_TEST_PAGE_ANON);
			igt_assert(query(dev, i).flags &
				   PIN_TEST_PAGE_EXCLUSIVE);
		}
		igt_assert_eq(device_count_filled(dev, NPAGES, 1), NPAGES);
		unpin(dev, PIN_TEST_CLEAN);
		unpin(again, PIN_TEST_CLEAN);
	}
	unmap(mem, pages(NPAGES));
}

/* Up to the first page that is not there; at that, nothing is faulted in. */
static void test_absent(void)
{
	char *mem = anon_small(pages(NPAGES));
	unsigned char resident[NPAGES];

	igt_assert_eq_s64(fast_only(0, mem, NPAGES), 0);
	igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, mem, NPAGES), 0);
	igt_assert_eq(mincore(mem, pages(NPAGES), resident), 0);
	for (int i = 0; i < NPAGES; i++)
		igt_assert_eq(resident[i], 0);

	for (size_t present = 1; present < NPAGES; present++) {
		mem[pages(present - 1)] = 1;
		igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, mem, NPAGES),
				  present);
	}
	/* No mapping at all, after it and before it */
	fill(mem, 0, NPAGES, 1);
	unmap(mem + pages(60), pages(NPAGES - 60));
	igt_assert_eq_s64(fast_only(0, mem, NPAGES), 60);
	unmap(mem, pages(10));
	igt_assert_eq_s64(fast_only(0, mem, NPAGES), 0);
	unmap(mem + pages(10), pages(50));
}

static void test_swapped(void)
{
	char *mem = anon_small(pages(NPAGES));
	int64_t swapped = vmstat("pswpout"), in;

	swap_on(MIB(16));
	fill(mem, 0, NPAGES, 1);
	igt_assert_eq(madvise(mem, pages(NPAGES), MADV_PAGEOUT), 0);
	igt_require_f(vmstat("pswpout") - swapped >= NPAGES,
		      "pages do not go to swap\n");
	in = vmstat("pswpin");
	igt_assert_eq_s64(fast_only(0, mem, NPAGES), 0);
	igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, mem, NPAGES), 0);
	igt_assert_eq_s64(vmstat("pswpin"), in);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	fill(mem, 0, NPAGES, 2);
	igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, mem, NPAGES), NPAGES);
	swap_off();
	unmap(mem, pages(NPAGES));
}

static void test_readonly(void)
{
	char *mem = anon_small(pages(NPAGES)), *file;
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES));

	fill(mem, 0, NPAGES, 1);
	igt_assert_eq(mprotect(mem, pages(NPAGES), PROT_READ), 0);
	igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, mem, NPAGES), 0);
	igt_assert_eq_s64(fast_only(0, mem, NPAGES), NPAGES);
	igt_assert_eq(mprotect(mem, pages(NPAGES), PROT_NONE), 0);
	igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, mem, NPAGES), 0);
	igt_assert_eq_s64(fast_only(0, mem, NPAGES), 0);
	unmap(mem, pages(NPAGES));

	/* A private mapping has the file's page until it is written. */
	igt_assert_eq_s64(pwrite(memfd, "x", 1, 0), 1);
	file = mmap(NULL, pages(1), PROT_READ | PROT_WRITE, MAP_PRIVATE, memfd,
		    0);
	igt_assert(file != MAP_FAILED);
	igt_assert_eq(file[0], 'x');
	igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, file, 1), 0);
	igt_assert_eq_s64(fast_only(0, file, 1), 1);
	file[0] = 'y';
	igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, file, 1), 1);
	unmap(file, pages(1));
	close(memfd);
}

/* Flags that it cannot honour. On 6.1 it is the kernel's own, which can. */
static void test_refused(void)
{
	char *mem = anon_small(pages(NPAGES));

	igt_require_f(kernel_since(6, 3), "the kernel has its own\n");
	fill(mem, 0, NPAGES, 1);
	igt_assert_eq_s64(fast_only(PIN_TEST_LONGTERM, mem, NPAGES), 0);
	igt_assert_eq_s64(fast_only(PIN_TEST_GET, mem, NPAGES), 0);
	igt_assert_eq_s64(fast_only(PIN_TEST_GET | PIN_TEST_WRITE, mem, NPAGES),
			  0);
	igt_assert_eq_s64(fast_only(0, mem, NPAGES), NPAGES);
	unmap(mem, pages(NPAGES));
}

static void test_never_negative(void)
{
	char *mem = anon_small(pages(NPAGES));
	static const uint64_t bad[] = {
		0, 4096,
		0x7ffffffff000,			/* the page after the last */
		0x7fffffffe000,			/* the last, where nothing is */
		0x800000000000,			/* no address at all */
		0xffff800000000000,		/* the kernel's */
		0xffff888000000000,
		0xffffffff81000000,
		0xfffffffffffff000,		/* wraps around */
	};
	static const int64_t numbers[] = {
		0, -1, -NPAGES, INT_MIN, INT_MIN + 1,
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		for (int64_t count = 1; count <= 100; count += 99) {
			void *addr = (void *)(uintptr_t)bad[i];

			igt_assert_eq_s64(fast_only(0, addr, count), 0);
			igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, addr, count),
					  0);
		}

	fill(mem, 0, NPAGES, 1);
	/* That of 6.1 is not to be asked for none. */
	for (size_t i = 0; kernel_since(6, 3) && i < ARRAY_SIZE(numbers); i++)
		igt_assert_eq_s64(fast_only(0, mem, numbers[i]), 0);
	/* More than there is: 16 GiB, with only these pages in them */
	unmap(mem + pages(NPAGES - 1), pages(1));
	igt_assert_eq_s64(fast_only(0, mem, 1 << 22), NPAGES - 1);
	/* An address inside a page means the page. */
	igt_assert_eq_s64(fast_only(0, mem + 100, NPAGES - 1), NPAGES - 1);
	unmap(mem, pages(NPAGES - 1));
}

/* Two huge pages of @huge bytes */
static void check_huge(char *mem, size_t huge)
{
	const size_t nr = huge / page_size();
	int dev;

	mem[0] = 1;
	mem[huge] = 1;
	dev = pin(PIN_TEST_FAST_ONLY, PIN_TEST_WRITE, mem, 2 * nr);
	igt_require_f(1UL << query(dev, 0).order == nr, "no huge page\n");
	igt_assert_eq(query(dev, 0).pins, nr);
	igt_assert_eq(query(dev, nr).pins, nr);
	for (size_t i = 0; i < 2 * nr; i++)
		igt_assert_eq_s64(query(dev, i).index, i % nr);
	unpin(dev, PIN_TEST_DIRTY);

	/* Across the border, from the middle of one on */
	dev = pin(PIN_TEST_FAST_ONLY, 0, mem + huge - pages(7), 9);
	igt_assert_eq(query(dev, 0).pins, 7);
	igt_assert_eq(query(dev, 8).pins, 2);
	unpin(dev, PIN_TEST_CLEAN);
	unmap(mem, 2 * huge);
}

static void test_thp(void)
{
	check_huge(anon_thp(2 * HUGE), HUGE);
}

static void check_huge_memfd(enum backing backing, int flags)
{
	const size_t huge = folio_size(backing);
	int memfd = unsealed_memfd(backing, 2 * huge);
	char *mem = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, flags, memfd, 0);

	igt_assert(mem != MAP_FAILED);
	check_huge(mem, huge);
	close(memfd);
}

static void test_thp_shared(void)
{
	check_huge_memfd(THP, MAP_SHARED);
}

static void test_hugetlb_shared(void)
{
	check_huge_memfd(HUGE_2M, MAP_SHARED);
}

static void test_hugetlb_private(void)
{
	check_huge_memfd(HUGE_2M, MAP_PRIVATE);
}

static int64_t counter(const char *name)
{
	char path[128], line[32];
	int64_t value;

	snprintf(path, sizeof(path), FAIL "%s", name);
	igt_require_f(!read_line(path, line, sizeof(line)), "no %s\n", path);
	igt_assert_eq(sscanf(line, "%" SCNd64, &value), 1);
	return value;
}

static void test_interval(void)
{
	int64_t calls, failed, want = 0;
	char *mem = anon_small(pages(NPAGES));

	counter("interval");
	fill(mem, 0, NPAGES, 1);
	set(FAIL "interval", "1");
	igt_assert_eq_s64(fast_only(0, mem, NPAGES), 0);
	set(FAIL "interval", "3");
	calls = counter("calls");
	failed = counter("failed");
	for (int i = 1; i <= 10; i++) {
		bool fails = (calls + i) % 3 == 0;

		igt_assert_eq_s64(fast_only(0, mem, NPAGES), fails ? 0 : NPAGES);
		want += fails;
	}
	igt_assert_eq_s64(counter("calls"), calls + 10);
	igt_assert_eq_s64(counter("failed"), failed + want);

	set(FAIL "interval", "0");
	for (int i = 0; i < 10; i++)
		igt_assert_eq_s64(fast_only(0, mem, NPAGES), NPAGES);
	igt_assert_eq_s64(counter("calls"), calls + 10);
	unmap(mem, pages(NPAGES));
}

void pin_fast_only_subtests(void)
{
	igt_describe("What is mapped is pinned, the same pages that are pinned otherwise");
	igt_subtest("fast-only-present")
		pin_test(test_present);
	igt_describe("Pins up to the first page that is not there, and faults nothing in");
	igt_subtest("fast-only-absent")
		pin_test(test_absent);
	igt_describe("Does not wait for swap");
	igt_subtest("fast-only-swapped")
		pin_test(test_swapped);
	igt_describe("Pins nothing to be written that the page tables do not let be written");
	igt_subtest("fast-only-readonly")
		pin_test(test_readonly);
	igt_describe("Pins nothing with FOLL_GET or FOLL_LONGTERM");
	igt_subtest("fast-only-refused")
		pin_test(test_refused);
	igt_describe("Returns 0 for addresses and numbers that make no sense");
	igt_subtest("fast-only-never-negative")
		pin_test(test_never_negative);
	igt_describe("Transparent huge pages, anonymous");
	igt_subtest("fast-only-thp")
		pin_test(test_thp);
	igt_describe("Transparent huge pages of shmem");
	igt_subtest("fast-only-thp-shared")
		pin_test(test_thp_shared);
	igt_describe("Hugetlb pages, shared");
	igt_subtest("fast-only-hugetlb-shared")
		pin_test(test_hugetlb_shared);
	igt_describe("Hugetlb pages, private");
	igt_subtest("fast-only-hugetlb-private")
		pin_test(test_hugetlb_private);
	igt_describe("The switch in debugfs lets every n-th call pin nothing");
	igt_subtest("fast-only-interval")
		pin_test(test_interval);
}
