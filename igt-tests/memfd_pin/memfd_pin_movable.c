// SPDX-License-Identifier: MIT
/*
 * Memfds in ZONE_MOVABLE, from where memory can be taken away as long as nothing
 * is pinned in it: pins move their folios elsewhere first.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "igt.h"
#include "memfd_pin.h"
#include "phys_helper.h"
#include "pin_test_helper.h"
#include "udmabuf_helper.h"

#define SIZE		MIB(8)
#define NPAGES		(SIZE / page_size())

void fill_movable_pages(void *mem, size_t count)
{
	size_t found;

	require_movable();
	fill(mem, 0, count, 1);
	found = count_movable(mem, count);
	igt_require_f(found == count, "only %zu of %zu pages in ZONE_MOVABLE\n",
		      found, count);
}

void check_shared(void *buf, void *mem, size_t count)
{
	igt_assert_eq(count_shared(buf, mem, count), count);
	igt_assert_eq(count_movable(mem, count), 0);
}

/* From @offset on: nothing movable is pinned, and nothing is lost. */
static void check_moved(int dev, enum backing backing, size_t offset)
{
	size_t first = offset / page_size(), count = NPAGES - 2 * first;
	int memfd = sealed_memfd(backing, SIZE), dmabuf;
	char *mem = map_fd(memfd, SIZE);
	void *buf;

	fill_movable_pages(mem, NPAGES);
	require_kind(backing, mem, NPAGES);
	if (backing == HUGE_2M && !hugetlb_is_pinnable()) {
		igt_assert_eq(__create(dev, memfd, offset, pages(count)),
			      -ENOMEM);
		igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
		unmap(mem, SIZE);
		close(memfd);
		return;
	}
	dmabuf = create(dev, memfd, offset, pages(count));
	buf = map_fd(dmabuf, pages(count));
	check_shared(buf, mem + offset, count);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	fill(buf, first, count, 2);
	igt_assert_eq(count_filled(mem + offset, first, count, 2), count);
	unmap(buf, pages(count));
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_shmem(int dev)
{
	check_moved(dev, SHMEM, 0);
}

static void test_thp(int dev)
{
	check_moved(dev, THP, 0);
}

static void test_thp_middle(int dev)
{
	check_moved(dev, THP, MIB(1));
}

static void test_hugetlb(int dev)
{
	check_moved(dev, HUGE_2M, 0);
}

static void test_hugetlb_middle(int dev)
{
	check_moved(dev, HUGE_2M, MIB(1));
}

/* Holes, between pages that have to be moved. */
static void check_holes(int dev, enum backing backing)
{
	int memfd = sealed_memfd(backing, SIZE), dmabuf;
	size_t half = NPAGES / 4;
	char *mem = map_fd(memfd, SIZE);
	void *buf;

	fill_movable_pages(mem, half);
	require_kind(backing, mem, half);
	dmabuf = create(dev, memfd, 0, SIZE);
	buf = map_fd(dmabuf, SIZE);
	check_shared(buf, mem, NPAGES);
	igt_assert_eq(count_filled(mem, 0, half, 1), half);
	igt_assert_eq(count_zero(mem + pages(half), NPAGES - half),
		      NPAGES - half);
	unmap(buf, SIZE);
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_holes_shmem(int dev)
{
	check_holes(dev, SHMEM);
}

static void test_holes_thp(int dev)
{
	check_holes(dev, THP);
}

/*
 * All free huge pages are in ZONE_MOVABLE. Each hole gets one of them, which is
 * then exchanged for memory elsewhere; the counts of the pool stay.
 */
static void test_holes_hugetlb(int dev)
{
	int memfd = sealed_memfd(HUGE_2M, SIZE), dmabuf;
	void *mem = map_fd(memfd, SIZE), *buf;
	int64_t total, free;

	require_pinnable(HUGE_2M);
	/* See where they are, and give them back. */
	fill_movable_pages(mem, NPAGES);
	igt_assert_eq(fallocate(memfd, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, 0, SIZE), 0);
	total = hugetlb(MIB(2), "nr_hugepages");
	free = hugetlb(MIB(2), "free_hugepages");

	dmabuf = create(dev, memfd, 0, SIZE);
	buf = map_fd(dmabuf, SIZE);
	check_shared(buf, mem, NPAGES);
	igt_assert_eq(count_zero(buf, NPAGES), NPAGES);
	igt_assert_eq_s64(hugetlb(MIB(2), "nr_hugepages"), total);
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"),
			  free - SIZE / MIB(2));
	igt_assert_eq_s64(hugetlb(MIB(2), "surplus_hugepages"), 0);
	unmap(buf, SIZE);
	unmap(mem, SIZE);
	close(dmabuf);
	close(memfd);
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"), free);
}

#define REMAPPED	16

struct remapper {
	int memfd;
	void *addr;
	atomic_bool start, stop;
};

/* Put another part of the file where a mapping of it may appear. */
static void *remap_thread(void *arg)
{
	struct remapper *remapper = arg;

	while (!remapper->start)
		sched_yield();
	while (!remapper->stop) {
		mmap(remapper->addr, pages(REMAPPED), PROT_READ,
		     MAP_SHARED | MAP_FIXED, remapper->memfd, pages(REMAPPED));
		munmap(remapper->addr, pages(REMAPPED));
	}
	return NULL;
}

/*
 * Where a pin takes its folios from a mapping in the caller's address space,
 * another thread can put something else there.
 */
static void test_remap_race(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(2 * REMAPPED)), made = 0;
	void *mem = map_fd(memfd, pages(2 * REMAPPED));

	for (int i = 1; i <= 200; i++) {
		struct remapper remapper = { .memfd = memfd };
		pthread_t thread;
		int dmabuf;
		void *buf;

		igt_assert_eq(fallocate(memfd, FALLOC_FL_PUNCH_HOLE |
					FALLOC_FL_KEEP_SIZE, 0,
					pages(2 * REMAPPED)), 0);
		fill_movable_pages(mem, 2 * REMAPPED);
		igt_assert_eq(pthread_create(&thread, NULL, remap_thread,
					     &remapper), 0);
		/* The next mapping of that size is at the same address. */
		remapper.addr = map_fd(memfd, pages(REMAPPED));
		unmap(remapper.addr, pages(REMAPPED));
		remapper.start = true;
		dmabuf = __create(dev, memfd, 0, pages(REMAPPED));
		remapper.stop = true;
		igt_assert_eq(pthread_join(thread, NULL), 0);

		if (dmabuf == -EAGAIN || dmabuf == -ENOMEM)
			continue;
		igt_assert_f(dmabuf >= 0, "%s\n", strerror(-dmabuf));
		buf = map_fd(dmabuf, pages(REMAPPED));
		igt_assert_eq(count_filled(buf, 0, REMAPPED, 1), REMAPPED);
		check_shared(buf, mem, REMAPPED);
		unmap(buf, pages(REMAPPED));
		close(dmabuf);
		made++;
	}
	unmap(mem, pages(2 * REMAPPED));
	close(memfd);
	igt_info("%d of 200 dma-bufs made\n", made);
	igt_assert_lt(0, made);
}

void memfd_pin_movable_subtests(int dev)
{
	igt_describe("Pages are moved out of ZONE_MOVABLE with their contents: small pages");
	igt_subtest("movable-shmem")
		udmabuf_test(test_shmem, dev);
	igt_describe("Pages are moved out of ZONE_MOVABLE with their contents: transparent huge "
		     "pages");
	igt_subtest("movable-thp")
		udmabuf_test(test_thp, dev);
	igt_describe("Pages are moved out of ZONE_MOVABLE with their contents: those, from the "
		     "middle of one to the middle of another");
	igt_subtest("movable-thp-middle")
		udmabuf_test(test_thp_middle, dev);
	igt_describe("Pages are moved out of ZONE_MOVABLE with their contents: 2 MiB hugetlb "
		     "pages");
	igt_subtest("movable-hugetlb")
		udmabuf_test(test_hugetlb, dev);
	igt_describe("Pages are moved out of ZONE_MOVABLE with their contents: those, from the "
		     "middle of one to the middle of another");
	igt_subtest("movable-hugetlb-middle")
		udmabuf_test(test_hugetlb_middle, dev);
	igt_describe("Holes are filled elsewhere: with small pages");
	igt_subtest("movable-holes-shmem")
		udmabuf_test(test_holes_shmem, dev);
	igt_describe("Holes are filled elsewhere: with transparent huge pages");
	igt_subtest("movable-holes-thp")
		udmabuf_test(test_holes_thp, dev);
	igt_describe("Holes are filled elsewhere: though all free 2 MiB hugetlb pages are in "
		     "ZONE_MOVABLE");
	igt_subtest("movable-holes-hugetlb")
		udmabuf_test(test_holes_hugetlb, dev);
	igt_describe("Nothing else is pinned when another thread maps something where the kernel "
		     "may have mapped the file");
	igt_subtest("movable-remap-race")
		udmabuf_test(test_remap_race, dev);
}
