// SPDX-License-Identifier: MIT
/*
 * UDMABUF_FLAGS_NONBLOCK: what is taken at once, and where it says EAGAIN. What it is
 * refused for then works without the flag, or when that is over.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pin_test.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "igt.h"
#include "phys_helper.h"
#include "pin_test_helper.h"
#include "swap_helper.h"
#include "udmabuf_stranger.h"
#include "uffd_helper.h"

#define SIZE		MIB(4)
#define NPAGES		(SIZE / page_size())
#define HELD		(HUGE_PAGES + 20)	/* a page of the second huge page */
#define SWAP_SIZE	MIB(64)
#define PASSES		100	/* of reclaim; one or two should do */

/* Makes a dma-buf without waiting, and looks whether it has the file's contents. */
static void check_taken(int dev, int memfd)
{
	int dmabuf = create_flags(dev, UDMABUF_FLAGS_NONBLOCK, memfd, 0, SIZE);
	void *buf = map_fd(dmabuf, SIZE), *mem = map_fd(memfd, SIZE);

	igt_assert_eq(count_shared(buf, mem, NPAGES), NPAGES);
	unmap(mem, SIZE);
	unmap(buf, SIZE);
	close(dmabuf);
}

static void check_again(int dev, int memfd)
{
	int64_t pins = pins_held();

	igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_NONBLOCK, memfd, 0, SIZE),
		      -EAGAIN);
	igt_assert_eq_s64(pins_held(), pins);
}

/* Whatever memory it came to lie in, it can be pinned there once it was. */
static void settle(int dev, int memfd)
{
	close(create(dev, memfd, 0, SIZE));
}

static int sealed_and_filled(enum backing backing)
{
	int memfd = filled_memfd(backing, SIZE);

	seal(memfd, F_SEAL_SHRINK);
	return memfd;
}

static void check_filled(int dev, enum backing backing)
{
	int memfd = sealed_and_filled(backing);

	require_pinnable(backing);
	settle(dev, memfd);
	check_taken(dev, memfd);
	close(memfd);
}

static void test_shmem(int dev)
{
	check_filled(dev, SHMEM);
}

static void test_thp(int dev)
{
	check_filled(dev, THP);
}

static void test_hugetlb(int dev)
{
	check_filled(dev, HUGE_2M);
}

static void test_holes(int dev)
{
	int memfd = sealed_memfd(SHMEM, SIZE);

	check_taken(dev, memfd);
	close(memfd);
}

static void test_fallocated(int dev)
{
	int memfd = sealed_memfd(SHMEM, SIZE);

	igt_require_f(!has_movable(), "the pages may lie in ZONE_MOVABLE\n");
	igt_assert_eq(fallocate(memfd, 0, 0, SIZE), 0);
	check_taken(dev, memfd);
	close(memfd);
}

static void check_locked(int dev, int memfd)
{
	struct pin_test_lock lock = { .fd = memfd, .index = HELD };
	int locker;

	igt_require_f(!access("/dev/pin_test", F_OK), "no /dev/pin_test\n");
	locker = open_device();
	igt_assert_eq(ioctl(locker, PIN_TEST_LOCK, &lock), 0);
	check_again(dev, memfd);
	close(locker);
	settle(dev, memfd);
	check_taken(dev, memfd);
	close(memfd);
}

static void test_locked(int dev)
{
	check_locked(dev, sealed_and_filled(SHMEM));
}

static void test_locked_fallocated(int dev)
{
	int memfd = sealed_memfd(SHMEM, SIZE);

	igt_assert_eq(fallocate(memfd, 0, 0, SIZE), 0);
	check_locked(dev, memfd);
}

static void test_swapped(int dev)
{
	int64_t before = vmstat("pswpout");
	int memfd;
	void *mem;

	swap_on(SWAP_SIZE);
	memfd = sealed_and_filled(SHMEM);
	mem = map_fd(memfd, SIZE);
	fill(mem, 0, NPAGES, 1);
	for (int i = 0; i < PASSES && vmstat("pswpout") - before < (int64_t)NPAGES / 2; i++)
		igt_assert_eq(madvise(mem, SIZE, MADV_PAGEOUT), 0);
	igt_require_f(vmstat("pswpout") - before >= (int64_t)NPAGES / 2,
		      "pages do not go to swap\n");
	check_again(dev, memfd);
	settle(dev, memfd);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	unmap(mem, SIZE);
	close(memfd);
	swap_off();
}

static void test_movable(int dev)
{
	int memfd = sealed_and_filled(SHMEM);
	void *mem = map_fd(memfd, SIZE);

	require_movable();
	igt_require_f(count_movable(mem, NPAGES) == NPAGES, "not in ZONE_MOVABLE\n");
	check_again(dev, memfd);
	settle(dev, memfd);
	check_taken(dev, memfd);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_hugetlb_holes(int dev)
{
	int memfd = sealed_memfd(HUGE_2M, SIZE);

	require_pinnable(HUGE_2M);
	check_again(dev, memfd);
	settle(dev, memfd);
	check_taken(dev, memfd);
	close(memfd);
}

static void test_userfaultfd(int dev)
{
	int memfd = sealed_memfd(SHMEM, SIZE), uffd;
	void *mem = map_fd(memfd, SIZE);

	uffd = make_stall(mem, SIZE);
	check_again(dev, memfd);
	close(uffd);
	check_taken(dev, memfd);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_advised(int dev)
{
	int memfd = sealed_memfd(SHMEM, SIZE);
	void *mem = map_fd(memfd, SIZE);

	igt_require_f(!madvise(mem, SIZE, MADV_HUGEPAGE), "no transparent huge pages\n");
	check_again(dev, memfd);
	settle(dev, memfd);
	check_taken(dev, memfd);
	unmap(mem, SIZE);
	close(memfd);
}

static const struct test {
	const char *name;
	void (*test)(int dev);
} taken[] = {
	{ "shmem", test_shmem },
	{ "thp", test_thp },
	{ "hugetlb", test_hugetlb },
	{ "holes", test_holes },
	{ "fallocated", test_fallocated },
}, again[] = {
	{ "locked", test_locked },
	{ "locked-fallocated", test_locked_fallocated },
	{ "swapped", test_swapped },
	{ "movable", test_movable },
	{ "hugetlb-holes", test_hugetlb_holes },
	{ "userfaultfd", test_userfaultfd },
	{ "advised", test_advised },
};

static const struct test *current;

void udmabuf_stranger_nonblock_subtests(int dev)
{
	for (current = taken; current < taken + ARRAY_SIZE(taken); current++) {
		igt_describe_f("UDMABUF_FLAGS_NONBLOCK takes it: %s", current->name);
		igt_subtest_f("nonblock-%s", current->name)
			udmabuf_test(current->test, dev);
	}
	for (current = again; current < again + ARRAY_SIZE(again); current++) {
		igt_describe_f("UDMABUF_FLAGS_NONBLOCK says EAGAIN and pins nothing: %s",
			       current->name);
		igt_subtest_f("nonblock-again-%s", current->name)
			udmabuf_test(current->test, dev);
	}
}
