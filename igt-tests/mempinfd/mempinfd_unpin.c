// SPDX-License-Identifier: MIT
/*
 * MEMPINFD_UNPIN: what it releases, what it refuses, and that a refused call
 * changes nothing.
 */
#include <errno.h>
#include <linux/kernel-page-flags.h>
#include <string.h>
#include <sys/mman.h>

#include "igt.h"
#include "mempinfd.h"
#include "phys_helper.h"

#define NPAGES	16

static int fd;
static char *mem;
static int64_t pins;

/* Nothing but four pages in the middle is pinned. */
static void setup(void)
{
	fd = open_mempinfd();
	mem = anon(pages(NPAGES));
	pins = pins_held();
	pin(fd, mem + pages(4), pages(4));
}

static void refuse(size_t first, size_t count)
{
	igt_assert_eq(__unpin(fd, mem + pages(first), pages(count)), -EINVAL);
	igt_assert_eq_s64(pins_held() - pins, 4);
}

/* Still pinned as a whole, and can be released. */
static void finish(void)
{
	unpin(fd, mem + pages(4), pages(4));
	igt_assert_eq_s64(pins_held(), pins);
	unmap(mem, pages(NPAGES));
	close(fd);
}

static void test_never(void)
{
	setup();
	refuse(0, 1);
	refuse(0, 4);
	refuse(8, 4);
	refuse(15, 1);
	finish();
}

static void test_twice(void)
{
	setup();
	unpin(fd, mem + pages(4), pages(4));
	igt_assert_eq_s64(pins_held(), pins);
	igt_assert_eq(__unpin(fd, mem + pages(4), pages(4)), -EINVAL);
	igt_assert_eq_s64(pins_held(), pins);
	/* It is free for the next. */
	pin(fd, mem + pages(4), pages(4));
	finish();
}

static void test_part(void)
{
	setup();
	refuse(4, 1);
	refuse(4, 3);
	refuse(5, 3);
	refuse(5, 2);
	finish();
}

static void test_more(void)
{
	setup();
	refuse(4, 5);
	refuse(3, 5);
	refuse(3, 6);
	refuse(2, 4);
	refuse(6, 4);
	finish();
}

static void test_several(void)
{
	setup();
	pin(fd, mem + pages(8), pages(2));
	igt_assert_eq(__unpin(fd, mem + pages(4), pages(6)), -EINVAL);
	igt_assert_eq_s64(pins_held() - pins, 6);
	unpin(fd, mem + pages(8), pages(2));
	finish();
}

/* Other bytes of the same pages. */
static void test_rounded(void)
{
	setup();
	unpin(fd, mem + pages(5) - 1, pages(2) + 2);
	igt_assert_eq_s64(pins_held(), pins);
	pin(fd, mem + pages(5) - 1, pages(2) + 2);
	finish();
}

static void test_other_file(void)
{
	int other = open_mempinfd();

	setup();
	igt_assert_eq(__unpin(other, mem + pages(4), pages(4)), -EINVAL);
	igt_assert_eq_s64(pins_held() - pins, 4);
	close(other);
	igt_assert_eq_s64(pins_held() - pins, 4);
	finish();
}

static void test_other_process(void)
{
	setup();
	igt_fork(child, 1)
		igt_assert_eq(__unpin(fd, mem + pages(4), pages(4)), -EINVAL);
	igt_waitchildren();
	igt_assert_eq_s64(pins_held() - pins, 4);
	finish();
}

static void test_numbers(void)
{
	setup();
	igt_assert_eq(__unpin(fd, mem + pages(4), 0), -EINVAL);
	igt_assert_eq(__unpin(fd, mem + pages(4), -1ULL), -EINVAL);
	igt_assert_eq(__unpin(fd, (void *)-1UL, 1), -EINVAL);
	igt_assert_eq_s64(pins_held() - pins, 4);
	finish();
}

/* Mapped anew in between: it is the addresses that count. */
static void test_remapped(void)
{
	setup();
	igt_assert(mmap(mem, pages(NPAGES), PROT_NONE, MAP_PRIVATE | MAP_FIXED |
			MAP_ANONYMOUS, -1, 0) == mem);
	refuse(0, NPAGES);
	finish();
}

/* A prime, so that each page has its turn, and no two neighbours one after the other. */
#define STEP	7919

/* Every second page of many, in two orders that have nothing to do with it. */
static void test_many(void)
{
	const size_t count = 1 << 14;
	int64_t before = pins_held();

	fd = open_mempinfd();
	mem = anon(pages(2 * count));
	for (size_t i = 0; i < count; i++)
		pin(fd, mem + pages(i * STEP % count * 2), page_size());
	igt_assert_eq_s64(pins_held() - before, count);
	for (size_t i = 0; i < count; i++)
		igt_assert_eq(__pin(fd, mem + pages(i * 2), 1), -EEXIST);
	for (size_t i = 0; i < count; i++)
		unpin(fd, mem + pages((count - i) * STEP * 3 % count * 2),
		      page_size());
	igt_assert_eq_s64(pins_held(), before);

	for (size_t i = 0; i < count; i++)
		pin(fd, mem + pages(i * STEP % count * 2), page_size());
	close(fd);
	igt_assert_eq_s64(pins_held(), before);
	unmap(mem, pages(2 * count));
}

static void pin_clean_page(void)
{
	bool dirty;

	mem = anon(page_size());
	*mem = 1;
	fd = open_mempinfd();
	pin(fd, mem, page_size());
	dirty = frame_flags(page_frame(mem)) & 1ULL << KPF_DIRTY;
	/* What is skipped leaves no pin to those that come. */
	if (dirty)
		close(fd);
	igt_require_f(!dirty, "the page is marked as written to from the start\n");
}

/* The mark is on the page; the one in the page table only tells of the CPU. */
static void test_dirty(void)
{
	uint64_t page;

	pin_clean_page();
	page = page_frame(mem);
	unpin(fd, mem, page_size());
	igt_assert(frame_flags(page) & 1ULL << KPF_DIRTY);
	close(fd);
	unmap(mem, page_size());
}

static void test_dirty_close(void)
{
	uint64_t page;

	pin_clean_page();
	page = page_frame(mem);
	close(fd);
	igt_assert(frame_flags(page) & 1ULL << KPF_DIRTY);
	unmap(mem, page_size());
}

void mempinfd_unpin_subtests(void)
{
	igt_describe("EINVAL, with nothing changed, for what was never pinned");
	igt_subtest("unpin-never")
		mempinfd_test(test_never);
	igt_describe("EINVAL, with nothing changed, for what is not pinned any more");
	igt_subtest("unpin-twice")
		mempinfd_test(test_twice);
	igt_describe("EINVAL, with nothing changed, for a part of a range");
	igt_subtest("unpin-part")
		mempinfd_test(test_part);
	igt_describe("EINVAL, with nothing changed, for more than a range");
	igt_subtest("unpin-more")
		mempinfd_test(test_more);
	igt_describe("EINVAL, with nothing changed, for two ranges at once");
	igt_subtest("unpin-several")
		mempinfd_test(test_several);
	igt_describe("A range is found by its pages, whichever bytes are named");
	igt_subtest("unpin-rounded")
		mempinfd_test(test_rounded);
	igt_describe("EINVAL, with nothing changed, for a range of another open file");
	igt_subtest("unpin-other-file")
		mempinfd_test(test_other_file);
	igt_describe("EINVAL, with nothing changed, for a range of the parent process");
	igt_subtest("unpin-other-process")
		mempinfd_test(test_other_process);
	igt_describe("EINVAL, with nothing changed, for sizes that make no sense");
	igt_subtest("unpin-numbers")
		mempinfd_test(test_numbers);
	igt_describe("EINVAL, with nothing changed, for all of what was mapped anew; the range "
		     "itself is released");
	igt_subtest("unpin-remapped")
		mempinfd_test(test_remapped);
	igt_describe("Thousands of ranges, pinned and released in different orders");
	igt_subtest("many-ranges")
		mempinfd_test(test_many);
	igt_describe("MEMPINFD_UNPIN marks pages as written to");
	igt_subtest("dirty-unpin")
		mempinfd_test(test_dirty);
	igt_describe("So does the last close");
	igt_subtest("dirty-close")
		mempinfd_test(test_dirty_close);
}
