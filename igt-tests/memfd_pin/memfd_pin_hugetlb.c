// SPDX-License-Identifier: MIT
/*
 * The counts of huge pages while hugetlb memfds are pinned: free, reserved and
 * surplus pages, and pages that are not to be had.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "hugetlb_helper.h"
#include "igt.h"
#include "memfd_pin.h"
#include "mount_helper.h"
#include "phys_helper.h"
#include "udmabuf_helper.h"

/* A memfd of @size for which there are @count huge pages. */
static int memfd_with_pages(int count, size_t size)
{
	int memfd = sealed_memfd(HUGE_2M, count * MIB(2));

	require_pinnable(HUGE_2M);
	igt_assert_eq(ftruncate(memfd, size), 0);
	return memfd;
}

/* There is no free page: a pin fails and changes nothing. */
static void test_none_free(int dev)
{
	int other = sealed_memfd(HUGE_2M, MIB(4)), memfd;
	void *mem = map_fd(other, MIB(4));
	struct pool before;

	memset(mem, 1, MIB(4));
	memfd = memfd_with_pages(0, MIB(8));
	before = pool();
	igt_assert_eq_s64(before.free, before.reserved);

	igt_assert_eq(__create(dev, memfd, 0, MIB(8)), -ENOMEM);
	check_pool(before, 0, 0, 0, 0);
	igt_assert_eq(__create(dev, memfd, pages(1), pages(1)), -ENOMEM);
	check_pool(before, 0, 0, 0, 0);

	unmap(mem, MIB(4));
	close(other);
	close(memfd);
}

/*
 * There are some: those that were got on the way belong to the file, as after a
 * page fault, and none is pinned.
 */
static void test_too_few_free(int dev)
{
	int memfd = memfd_with_pages(2, MIB(8));
	struct pool before = pool();
	int64_t pins = pins_held();

	igt_assert_eq(__create(dev, memfd, 0, MIB(8)), -ENOMEM);
	igt_assert_eq_s64(pins_held(), pins);
	check_pool(before, 0, -(int)(fd_allocated(memfd) / MIB(2)), 0, 0);
	close(memfd);
	check_pool(before, 0, 0, 0, 0);
}

/* A process that holds a reservation of the file until its end of a pipe is closed */
static int reserve_elsewhere(int memfd, size_t size)
{
	int ready[2], done[2];
	char byte = 0;

	igt_assert_eq(pipe(ready), 0);
	igt_assert_eq(pipe(done), 0);
	igt_fork(child, 1) {
		close(done[1]);
		igt_assert(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd,
				0) != MAP_FAILED);
		igt_assert_eq(write(ready[1], &byte, 1), 1);
		igt_assert_eq(read(done[0], &byte, 1), 0);
	}
	close(ready[1]);
	close(done[0]);
	igt_assert_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return done[1];
}

static void end_reservation(int end)
{
	close(end);
	igt_waitchildren();
}

/* What another process has reserved of the same file is there for its pins. */
static void test_reserved_same_file(int dev)
{
	int memfd = memfd_with_pages(4, MIB(8)), end, dmabuf;
	struct pool before = pool();

	end = reserve_elsewhere(memfd, MIB(8));
	check_pool(before, 0, 0, 4, 0);
	dmabuf = create(dev, memfd, 0, MIB(4));
	check_pool(before, 0, -2, 2, 0);
	end_reservation(end);
	check_pool(before, 0, -2, 2, 0);
	close(dmabuf);
	close(memfd);
	check_pool(before, 0, 0, 0, 0);
}

/*
 * Half of the file is reserved, the rest of the pool by another file: only the
 * first half can be pinned.
 */
static void test_reserved_mixed(int dev)
{
	int memfd = memfd_with_pages(4, MIB(8)), dmabuf, end;
	int other = memfd_create("reserved", MFD_CLOEXEC | MFD_HUGETLB |
			     MFD_HUGE_2MB);
	struct pool before = pool();
	void *mem;

	igt_assert_lte(0, other);
	igt_assert_eq(ftruncate(other, MIB(4)), 0);
	mem = map_fd(memfd, MIB(4));
	end = reserve_elsewhere(other, MIB(4));
	check_pool(before, 0, 0, 4, 0);

	igt_assert_eq(__create(dev, memfd, MIB(4), MIB(4)), -ENOMEM);
	check_pool(before, 0, 0, 4, 0);
	igt_assert_eq(__create(dev, memfd, 0, MIB(8)), -ENOMEM);
	check_pool(before, 0, -2, 2, 0);
	dmabuf = create(dev, memfd, 0, MIB(4));
	check_pool(before, 0, -2, 2, 0);

	end_reservation(end);
	close(other);
	check_pool(before, 0, -2, 0, 0);
	close(dmabuf);
	unmap(mem, MIB(4));
	close(memfd);
	check_pool(before, 0, 0, 0, 0);
}

/* Surplus pages come for a pin, and go when it and the file are gone. */
static void test_overcommit(int dev)
{
	int memfd = memfd_with_pages(1, MIB(8)), dmabuf;
	struct pool before = pool();

	set(POOL "nr_overcommit_hugepages", "%" PRId64, before.surplus + 3);
	dmabuf = create(dev, memfd, 0, MIB(8));
	check_pool(before, 3, -1, 0, 3);
	close(memfd);
	check_pool(before, 3, -1, 0, 3);
	close(dmabuf);
	check_pool(before, 0, 0, 0, 0);
}

/* A hole punched while it is pinned: the pages go when the pin does. */
static void test_punched(int dev)
{
	int memfd = sealed_memfd(HUGE_2M, MIB(4)), dmabuf;
	struct pool before = pool();
	void *buf;

	require_pinnable(HUGE_2M);
	dmabuf = create(dev, memfd, 0, MIB(4));
	buf = map_fd(dmabuf, MIB(4));
	fill(buf, 0, MIB(4) / page_size(), 1);
	igt_assert_eq(fallocate(memfd, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, 0, MIB(4)), 0);
	check_pool(before, 0, -2, 0, 0);
	igt_assert_eq(count_filled(buf, 0, MIB(4) / page_size(), 1),
		      MIB(4) / page_size());
	unmap(buf, MIB(4));
	close(dmabuf);
	check_pool(before, 0, 0, 0, 0);
	close(memfd);
	check_pool(before, 0, 0, 0, 0);
}

/*
 * A file on a mounted hugetlbfs cannot be sealed against shrinking, so it is
 * refused, and neither the pool nor the mount's share of it changes.
 */
static void test_mounted(int dev)
{
	struct pool before;
	int fd;

	close(sealed_memfd(HUGE_2M, MIB(8)));
	before = pool();
	mount_dir("none", "hugetlbfs", "pagesize=2M,size=8M,min_size=4M");
	check_pool(before, 0, 0, 2, 0);
	fd = create_file(MOUNT_DIR "/file", MIB(8));

	igt_assert(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0);
	igt_assert_eq(__create(dev, fd, 0, MIB(8)), -EINVAL);
	check_pool(before, 0, 0, 2, 0);

	close(fd);
	igt_assert_eq(unlink(MOUNT_DIR "/file"), 0);
	unmount_dir();
	check_pool(before, 0, 0, 0, 0);
}

void memfd_pin_hugetlb_subtests(int dev)
{
	igt_describe("ENOMEM without a free huge page, and no count changes");
	igt_subtest("hugetlb-none-free")
		udmabuf_test(test_none_free, dev);
	igt_describe("ENOMEM with too few of them; what was got is the file's");
	igt_subtest("hugetlb-too-few-free")
		udmabuf_test(test_too_few_free, dev);
	igt_describe("A pin uses what another process has reserved for the same file");
	igt_subtest("hugetlb-reserved-same-file")
		udmabuf_test(test_reserved_same_file, dev);
	igt_describe("And nothing of what is reserved for another file");
	igt_subtest("hugetlb-reserved-mixed")
		udmabuf_test(test_reserved_mixed, dev);
	igt_describe("Surplus pages come for a pin and go with it");
	igt_subtest("hugetlb-overcommit")
		udmabuf_test(test_overcommit, dev);
	igt_describe("Pinned pages that were punched out go to the pool with the pin");
	igt_subtest("hugetlb-punched")
		udmabuf_test(test_punched, dev);
	igt_describe("A file on a mounted hugetlbfs is refused; its subpool stays as it is");
	igt_subtest("hugetlb-mounted")
		udmabuf_test(test_mounted, dev);
}
