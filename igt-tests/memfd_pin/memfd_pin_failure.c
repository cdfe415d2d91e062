// SPDX-License-Identifier: MIT
/*
 * Memory that fails, before and after it is pinned.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kernel-page-flags.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "igt.h"
#include "memfd_pin.h"
#include "phys_helper.h"
#include "pin_test_helper.h"
#include "process_helper.h"
#include "udmabuf_helper.h"

#define SIZE		MIB(4)
#define NPAGES		(SIZE / page_size())
#define FAILED		(HUGE_PAGES + 20)	/* page, in the second huge page */

static void fill_file(int memfd, enum backing backing)
{
	void *mem = map_fd(memfd, SIZE);

	fill(mem, 0, NPAGES, 1);
	require_kind(backing, mem, NPAGES);
	unmap(mem, SIZE);
}

/* The frame of the page that is to fail. */
static uint64_t find_frame(int memfd)
{
	char *mem = map_fd(memfd, SIZE);
	uint64_t frame = page_frame(mem + pages(FAILED));

	unmap(mem, SIZE);
	return frame;
}

static void check_pin(int dev, int memfd, size_t first, size_t count)
{
	int dmabuf = create(dev, memfd, pages(first), pages(count));
	void *buf = map_fd(dmabuf, pages(count));

	igt_assert_eq(count_filled(buf, first, count, 1), count);
	unmap(buf, pages(count));
	close(dmabuf);
}

static void check_refused(int dev, int memfd, size_t first, size_t count)
{
	int64_t pins = pins_held();

	igt_assert_eq(__create(dev, memfd, pages(first), pages(count)), -EIO);
	igt_assert_eq_s64(pins_held(), pins);
}

/* What has failed is not pinned. */
static void check_before(int dev, enum backing backing)
{
	int memfd = sealed_memfd(backing, SIZE);
	uint64_t frame;

	require_hwpoison();
	fill_file(memfd, backing);
	frame = find_frame(memfd);
	fail_frame(frame);
	check_refused(dev, memfd, 0, NPAGES);
	check_refused(dev, memfd, FAILED, 1);
	check_pin(dev, memfd, 0, HUGE_PAGES);
	close(memfd);
	mend_frame(frame);
}

static void test_before_shmem(int dev)
{
	check_before(dev, SHMEM);
}

static void test_before_thp(int dev)
{
	check_before(dev, THP);
}

/* Kernels before 6.7 take a failed huge page out of the file: then there is a hole. */
static void check_before_hugetlb(int dev, bool movable)
{
	int memfd = sealed_memfd(HUGE_2M, SIZE), dmabuf;
	uint64_t frame;
	void *buf;

	require_pinnable(HUGE_2M);
	require_hwpoison();
	fill_file(memfd, HUGE_2M);
	frame = find_frame(memfd);
	igt_require_f(is_movable(frame) || !movable,
		      "the huge page is not in ZONE_MOVABLE\n");
	fail_frame(frame);
	dmabuf = __create(dev, memfd, MIB(2), MIB(2));
	igt_assert(dmabuf < 0 || !kernel_since(6, 7));
	if (dmabuf >= 0) {
		buf = map_fd(dmabuf, MIB(2));
		igt_assert_eq(count_zero(buf, HUGE_PAGES), HUGE_PAGES);
		igt_assert(find_frame(memfd) != frame);
		unmap(buf, MIB(2));
		close(dmabuf);
	} else if (dmabuf != -ENOMEM || kernel_since(6, 7)) {
		check_refused(dev, memfd, 0, NPAGES);
		check_refused(dev, memfd, FAILED, 1);
		check_refused(dev, memfd, HUGE_PAGES + 1, 1);
	}
	check_pin(dev, memfd, 0, HUGE_PAGES);
	close(memfd);
	mend_frame(frame);
}

static void test_before_hugetlb(int dev)
{
	check_before_hugetlb(dev, false);
}

/* What cannot be moved since it has failed must not be tried forever. */
static void test_before_hugetlb_movable(int dev)
{
	require_movable();
	check_before_hugetlb(dev, true);
}

/* Wherever the dma-buf is mapped now, what has failed is left out. */
static void check_mapping(int dmabuf, bool all_fails, size_t shift)
{
	char *room = reserve(2 * SIZE);
	char *buf = map_fd_at(room + pages(shift), dmabuf, SIZE);
	size_t around = 0;

	igt_assert_eq(read_signal(buf + pages(FAILED)), SIGBUS);
	igt_assert_eq(count_filled(buf, 0, HUGE_PAGES, 1), HUGE_PAGES);
	for (size_t page = HUGE_PAGES; page < NPAGES && !all_fails; page++)
		if (page != FAILED)
			around += count_filled(buf + pages(page), page, 1, 1);
	igt_assert_eq(around, all_fails ? 0 : NPAGES - HUGE_PAGES - 1);
	igt_assert_eq(read_signal(buf + pages(FAILED)), SIGBUS);
	igt_assert_eq(read_signal(buf + pages(FAILED + 1)), all_fails ? SIGBUS : 0);
	unmap(room, 2 * SIZE);
}

/*
 * What fails while it is pinned stays pinned, and mapped where it was by then: those
 * who have the dma-buf have to see to it that it is not used any more. A new pin is
 * refused.
 */
static void check_after(int dev, enum backing backing)
{
	int memfd = sealed_memfd(backing, SIZE), dmabuf;
	int64_t pins;
	uint64_t frame;
	char *buf;

	require_pinnable(backing);
	require_hwpoison();
	fill_file(memfd, backing);
	dmabuf = create(dev, memfd, 0, SIZE);
	buf = map_fd(dmabuf, SIZE);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	frame = find_frame(memfd);
	pins = pins_held();
	fail_frame(frame);

	igt_assert_eq_s64(pins_held(), pins);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	check_mapping(dmabuf, backing == HUGE_2M, 0);
	check_mapping(dmabuf, backing == HUGE_2M, 1);
	check_refused(dev, memfd, 0, NPAGES);
	check_pin(dev, memfd, 0, HUGE_PAGES);

	unmap(buf, SIZE);
	close(dmabuf);
	check_refused(dev, memfd, 0, NPAGES);
	close(memfd);
	mend_frame(frame);
}

static void test_after_shmem(int dev)
{
	check_after(dev, SHMEM);
}

static void test_after_thp(int dev)
{
	check_after(dev, THP);
}

static void test_after_hugetlb(int dev)
{
	check_after(dev, HUGE_2M);
}

/* What the device reads of the dma-buf, but for the page or huge page that has failed */
static void check_device(int test, enum backing backing)
{
	size_t end = backing == HUGE_2M ? HUGE_PAGES : FAILED;
	char *read = anon(SIZE);
	struct pin_test_dma dma = { .size = pages(end), .data = (uintptr_t)read };

	igt_assert_eq(ioctl(test, PIN_TEST_DMA_READ, &dma), 0);
	igt_assert_eq(count_filled(read, 0, end, 1), end);
	igt_assert_eq(munmap(read, SIZE), 0);
}

/*
 * A device stays attached, and can be detached; another one can be attached, since the
 * dma-buf has all its pages. What has failed stays marked when they are let go, and goes
 * nowhere else; of a huge page that is Linux's to see to, when it gives it out again.
 */
static void check_attached(int dev, enum backing backing)
{
	struct pin_test_attach attach = { .max_seg_size = SIZE };
	int memfd = sealed_memfd(backing, SIZE), test = open_device();
	uint64_t frame, flags, ns;

	require_pinnable(backing);
	require_hwpoison();
	fill_file(memfd, backing);
	frame = find_frame(memfd);
	attach.fd = create(dev, memfd, 0, SIZE);
	igt_assert_eq(ioctl(test, PIN_TEST_ATTACH, &attach), 0);
	fail_frame(frame);
	check_device(test, backing);
	igt_assert_eq(ioctl(test, PIN_TEST_DETACH, &ns), 0);
	igt_assert_eq(ioctl(test, PIN_TEST_ATTACH, &attach), 0);
	check_device(test, backing);
	/* The device has it last. */
	close(memfd);
	close(attach.fd);
	check_device(test, backing);
	close(test);
	/* Linux 6.1 marks the huge page, for as long as it is one. */
	flags = frame_flags(frame);
	if (backing == HUGE_2M)
		flags |= frame_flags(frame & -HUGE_PAGES);
	igt_assert(flags & 1ull << KPF_HWPOISON);
	if (backing == SHMEM)
		igt_assert(!(flags & 1ull << KPF_BUDDY));
	mend_frame(frame);
}

static void test_attached_shmem(int dev)
{
	check_attached(dev, SHMEM);
}

static void test_attached_thp(int dev)
{
	check_attached(dev, THP);
}

static void test_attached_hugetlb(int dev)
{
	check_attached(dev, HUGE_2M);
}

void memfd_pin_failure_subtests(int dev)
{
	igt_describe("EIO for a range with failed memory, and nothing pinned: small pages");
	igt_subtest("failed-before-shmem")
		udmabuf_test(test_before_shmem, dev);
	igt_describe("EIO for a range with failed memory, and nothing pinned: transparent huge "
		     "pages");
	igt_subtest("failed-before-thp")
		udmabuf_test(test_before_thp, dev);
	igt_describe("EIO for a range with failed memory, and nothing pinned: 2 MiB "
		     "hugetlb pages");
	igt_subtest("failed-before-hugetlb")
		udmabuf_test(test_before_hugetlb, dev);
	igt_describe("The same in ZONE_MOVABLE, out of which it cannot be moved any more");
	igt_subtest("failed-before-hugetlb-movable")
		udmabuf_test(test_before_hugetlb_movable, dev);
	igt_describe("Pins on memory that fails stay, and are released: small pages");
	igt_subtest("failed-after-shmem")
		udmabuf_test(test_after_shmem, dev);
	igt_describe("Pins on memory that fails stay, and are released: transparent huge pages");
	igt_subtest("failed-after-thp")
		udmabuf_test(test_after_thp, dev);
	igt_describe("Pins on memory that fails stay, and are released: 2 MiB hugetlb pages");
	igt_subtest("failed-after-hugetlb")
		udmabuf_test(test_after_hugetlb, dev);
	igt_describe("A device stays attached to memory that fails, and the last one who lets "
		     "go of it: small pages");
	igt_subtest("failed-attached-shmem")
		udmabuf_test(test_attached_shmem, dev);
	igt_describe("A device stays attached to memory that fails, and the last one who lets "
		     "go of it: transparent huge pages");
	igt_subtest("failed-attached-thp")
		udmabuf_test(test_attached_thp, dev);
	igt_describe("A device stays attached to memory that fails, and the last one who lets "
		     "go of it: 2 MiB hugetlb pages");
	igt_subtest("failed-attached-hugetlb")
		udmabuf_test(test_attached_hugetlb, dev);
}
