// SPDX-License-Identifier: MIT
/*
 * udmabuf against those who take pages away or move them: swap-out, compaction
 * and hole punching, before, during and after a creation.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "igt.h"
#include "phys_helper.h"
#include "swap_helper.h"
#include "udmabuf.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define NPAGES		512
#define SWAP_SIZE	MIB(64)

#define PASSES		100	/* of swap-out; two or three should do */

static void page_out(void *mem)
{
	igt_assert_eq(madvise(mem, pages(NPAGES), MADV_PAGEOUT), 0);
}

/* Until half of them went at once; returns how many, of the whole system. */
static int64_t swap_out(void *mem)
{
	int64_t before, gone = 0;

	for (int i = 0; i < PASSES && gone <= NPAGES / 2; i++) {
		before = vmstat("pswpout");
		/* Out of a mapping that has them */
		count_zero(mem, NPAGES);
		page_out(mem);
		gone = vmstat("pswpout") - before;
	}
	return gone;
}

static void get_frames(char *mem, uint64_t *frames)
{
	for (size_t i = 0; i < NPAGES; i++)
		frames[i] = page_frame(mem + pages(i));
}

static void test_swapped(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(NPAGES)), dmabuf;
	void *mem = map_fd(memfd, pages(NPAGES)), *buf;
	uint64_t frames[NPAGES], later[NPAGES];

	swap_on(SWAP_SIZE);
	fill(mem, 0, NPAGES, 1);
	igt_assert_lt(NPAGES / 2, swap_out(mem));

	dmabuf = create(dev, memfd, 0, pages(NPAGES));
	buf = map_fd(dmabuf, pages(NPAGES));
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);

	/* Now nothing may go there. */
	get_frames(mem, frames);
	for (int i = 0; i < 3; i++)
		page_out(mem);
	get_frames(mem, later);
	igt_assert_eq(memcmp(frames, later, sizeof(frames)), 0);
	fill(buf, 0, NPAGES, 2);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 2), NPAGES);

	/* And at last all may, with what the dma-buf has written. */
	fill(buf, 0, NPAGES, 3);
	unmap(buf, pages(NPAGES));
	close(dmabuf);
	igt_assert_lt(NPAGES / 2, swap_out(mem));
	igt_assert_eq(count_filled(mem, 0, NPAGES, 3), NPAGES);

	unmap(mem, pages(NPAGES));
	close(memfd);
	swap_off();
}

struct adversary {
	void *mem;
	atomic_bool stop;
};

static void *swap_thread(void *arg)
{
	struct adversary *adversary = arg;

	while (!adversary->stop)
		page_out(adversary->mem);
	return NULL;
}

static void *compact_thread(void *arg)
{
	struct adversary *adversary = arg;
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY);

	igt_assert_lte(0, fd);
	while (!adversary->stop)
		igt_assert_eq(write(fd, "1", 1), 1);
	close(fd);
	return NULL;
}

/*
 * While a dma-buf is there, its pages are the file's, whatever happens when it
 * is made; and what was written to it stays. Now and then there is none until some of
 * the pages have gone to swap, if they are to: out of a mapping that has them.
 */
static void check_race(int dev, enum backing backing, void *(*thread)(void *))
{
	int memfd = sealed_memfd(backing, pages(NPAGES));
	void *mem = map_fd(memfd, pages(NPAGES));
	struct adversary adversary = { .mem = mem };
	int64_t gone = vmstat("pswpout");
	pthread_t id;

	fill(mem, 0, NPAGES, 0);
	require_kind(backing, mem, NPAGES);
	igt_assert_eq(pthread_create(&id, NULL, thread, &adversary), 0);
	for (int i = 1; i <= 50; i++) {
		int dmabuf = create(dev, memfd, 0, pages(NPAGES));
		void *buf = map_fd(dmabuf, pages(NPAGES));

		igt_assert_eq(count_filled(buf, 0, NPAGES, i - 1), NPAGES);
		fill(buf, 0, NPAGES, i);
		igt_assert_eq(count_filled(mem, 0, NPAGES, i), NPAGES);
		unmap(buf, pages(NPAGES));
		close(dmabuf);
		while (thread == swap_thread && i % 10 == 0 && vmstat("pswpout") == gone)
			igt_assert_eq(count_filled(mem, 0, NPAGES, i), NPAGES);
		gone = vmstat("pswpout");
	}
	adversary.stop = true;
	igt_assert_eq(pthread_join(id, NULL), 0);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

static void test_swap_race(int dev)
{
	swap_on(SWAP_SIZE);
	check_race(dev, SHMEM, swap_thread);
	swap_off();
}

static void test_swap_race_thp(int dev)
{
	swap_on(SWAP_SIZE);
	check_race(dev, THP, swap_thread);
	swap_off();
}

static void test_compact_race(int dev)
{
	check_race(dev, SHMEM, compact_thread);
}

struct puncher {
	int memfd;
	atomic_bool stop;
};

static void *punch_thread(void *arg)
{
	struct puncher *puncher = arg;

	while (!puncher->stop)
		igt_assert_eq(fallocate(puncher->memfd, FALLOC_FL_PUNCH_HOLE |
					FALLOC_FL_KEEP_SIZE, 0, pages(NPAGES)),
			      0);
	return NULL;
}

/*
 * Nothing but zeroes was ever in the file, so nothing else may be in any page of
 * a dma-buf. A creation may give up on a file that changes all the time.
 */
static void check_punch_race(int dev, enum backing backing)
{
	struct puncher puncher = {
		.memfd = sealed_memfd(backing, pages(NPAGES)),
	};
	int made = 0;
	pthread_t id;

	igt_assert_eq(pthread_create(&id, NULL, punch_thread, &puncher), 0);
	for (int i = 0; i < 50; i++) {
		int dmabuf = __create(dev, puncher.memfd, 0, pages(NPAGES));
		void *buf;

		if (dmabuf == -EAGAIN)
			continue;
		igt_assert_f(dmabuf >= 0, "%s\n", strerror(-dmabuf));
		buf = map_fd(dmabuf, pages(NPAGES));
		igt_assert_eq(count_zero(buf, NPAGES), NPAGES);
		fill(buf, 0, NPAGES, 1);
		unmap(buf, pages(NPAGES));
		close(dmabuf);
		made++;

		/* What was written may be in the file still. */
		igt_assert_eq(fallocate(puncher.memfd, FALLOC_FL_PUNCH_HOLE |
					FALLOC_FL_KEEP_SIZE, 0, pages(NPAGES)),
			      0);
	}
	puncher.stop = true;
	igt_assert_eq(pthread_join(id, NULL), 0);
	close(puncher.memfd);
	igt_info("%d of 50 dma-bufs made\n", made);
	igt_assert_lt(0, made);
}

static void test_punch_race(int dev)
{
	check_punch_race(dev, SHMEM);
}

static void test_punch_race_hugetlb(int dev)
{
	check_punch_race(dev, HUGE_2M);
}

void udmabuf_reclaim_subtests(int dev)
{
	igt_describe("Pages come back from swap, stay while the dma-buf is there, and go there "
		     "again with what was written to it");
	igt_subtest("swapped")
		udmabuf_test(test_swapped, dev);
	igt_describe("Creation while the memfd is swapped out");
	igt_subtest("swap-race")
		udmabuf_test(test_swap_race, dev);
	igt_describe("The same with transparent huge pages, which that splits");
	igt_subtest("swap-race-thp")
		udmabuf_test(test_swap_race_thp, dev);
	igt_describe("Creation while memory is compacted");
	igt_subtest("compact-race")
		udmabuf_test(test_compact_race, dev);
	igt_describe("Creation while the file's pages are punched out");
	igt_subtest("punch-race")
		udmabuf_test(test_punch_race, dev);
	igt_describe("The same with hugetlb pages");
	igt_subtest("punch-race-hugetlb")
		udmabuf_test(test_punch_race_hugetlb, dev);
}
