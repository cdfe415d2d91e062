// SPDX-License-Identifier: MIT
/*
 * Pins against reclaim: what is pinned stays where it is, what is swapped out
 * comes back, and no page is pinned just while it leaves the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>

#include "cgroup_helper.h"
#include "igt.h"
#include "memfd_pin.h"
#include "phys_helper.h"
#include "swap_helper.h"
#include "udmabuf_helper.h"

#define SIZE		MIB(8)
#define NPAGES		(SIZE / page_size())
#define SWAP_SIZE	MIB(128)
#define PASSES		100	/* of reclaim; two or three should do */

/* Swap out what can be; the group has less than is asked for. */
static void reclaim(void)
{
	int err = cgroup_write("memory.reclaim", "64M");

	igt_require_f(err != -ENOENT, "no memory.reclaim\n");
}

/*
 * Swap out until so many pages of the whole system went. Those that were used meanwhile
 * are passed over, on a busy machine more than once. Returns how many went.
 */
static int64_t reclaim_pages(int64_t enough)
{
	int64_t before = vmstat("pswpout"), gone = 0;

	for (int i = 0; i < PASSES && gone < enough; i++) {
		reclaim();
		gone = vmstat("pswpout") - before;
	}
	return gone;
}

/* Under pressure, pinned pages stay; afterwards they go. */
static void check_pinned(int dev, enum backing backing)
{
	uint64_t *frames = calloc(NPAGES, sizeof(*frames));
	int memfd, dmabuf;
	char *mem;
	void *buf;

	igt_assert(frames);
	swap_on(SWAP_SIZE);
	cgroup_enter("memory");
	memfd = sealed_memfd(backing, SIZE);
	mem = map_fd(memfd, SIZE);
	fill(mem, 0, NPAGES, 1);
	require_kind(backing, mem, NPAGES);
	dmabuf = create(dev, memfd, 0, SIZE);
	for (size_t i = 0; i < NPAGES; i++)
		frames[i] = page_frame(mem + pages(i));
	for (int i = 0; i < 5; i++)
		reclaim();

	buf = map_fd(dmabuf, SIZE);
	fill(buf, 0, NPAGES, 2);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 2), NPAGES);
	igt_assert_eq(count_shared(buf, mem, NPAGES), NPAGES);
	for (size_t i = 0; i < NPAGES; i++)
		igt_assert_eq_u64(page_frame(mem + pages(i)), frames[i]);

	unmap(buf, SIZE);
	close(dmabuf);
	igt_assert_lt(NPAGES / 2, reclaim_pages(NPAGES / 2 + 1));
	igt_assert_eq(count_filled(mem, 0, NPAGES, 2), NPAGES);
	unmap(mem, SIZE);
	close(memfd);
	cgroup_leave();
	swap_off();
	free(frames);
}

static void test_pinned_shmem(int dev)
{
	check_pinned(dev, SHMEM);
}

static void test_pinned_thp(int dev)
{
	check_pinned(dev, THP);
}

/* Before and after a pin, the swap device goes away. */
static void test_swapoff(int dev)
{
	const char *swap = swap_on(SWAP_SIZE);
	int memfd, dmabuf;
	void *mem, *buf;

	cgroup_enter("memory");
	memfd = sealed_memfd(SHMEM, SIZE);
	mem = map_fd(memfd, SIZE);
	fill(mem, 0, NPAGES, 1);
	igt_require_f(reclaim_pages(NPAGES / 2 + 1) > (int64_t)NPAGES / 2,
		      "pages do not go to swap\n");

	dmabuf = create(dev, memfd, 0, SIZE / 2);
	buf = map_fd(dmabuf, SIZE / 2);
	fill(buf, 0, NPAGES / 2, 2);
	igt_assert_eq(swapoff(swap), 0);
	igt_assert_eq(count_filled(mem, 0, NPAGES / 2, 2), NPAGES / 2);
	igt_assert_eq(count_filled((char *)mem + SIZE / 2, NPAGES / 2,
				   NPAGES / 2, 1), NPAGES / 2);
	igt_assert_eq(count_shared(buf, mem, NPAGES / 2), NPAGES / 2);
	unmap(buf, SIZE / 2);
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
	cgroup_leave();
	swap_off();
}

static void *swapoff_thread(void *arg)
{
	return swapoff(arg) ? arg : NULL;
}

/* While pages come back from swap by a pin, swapoff() gets them, too. */
static void test_swapoff_race(int dev)
{
	for (int i = 0; i < 5; i++) {
		const char *swap = swap_on(SWAP_SIZE);
		int memfd, dmabuf;
		pthread_t thread;
		void *mem, *buf, *failed;

		cgroup_enter("memory");
		memfd = sealed_memfd(SHMEM, SIZE);
		mem = map_fd(memfd, SIZE);
		fill(mem, 0, NPAGES, i);
		igt_assert_lt(0, reclaim_pages(NPAGES / 2));
		igt_assert_eq(pthread_create(&thread, NULL, swapoff_thread,
					     (void *)swap), 0);
		/* It holds pages, which then cannot be moved. */
		dmabuf = __create(dev, memfd, 0, SIZE);
		igt_assert_eq(pthread_join(thread, &failed), 0);
		igt_assert(!failed);
		if (dmabuf == -ENOMEM)
			dmabuf = create(dev, memfd, 0, SIZE);
		igt_assert_f(dmabuf >= 0, "%s\n", strerror(-dmabuf));

		buf = map_fd(dmabuf, SIZE);
		igt_assert_eq(count_filled(buf, 0, NPAGES, i), NPAGES);
		igt_assert_eq(count_shared(buf, mem, NPAGES), NPAGES);
		unmap(buf, SIZE);
		close(dmabuf);
		unmap(mem, SIZE);
		close(memfd);
		cgroup_leave();
		swap_off();
	}
}

#define THREADS		3
#define SLICE		256	/* pages */
#define CREATIONS	100

struct race {
	int dev, memfd, number;
	char *mem;
	atomic_bool *stop;
};

static void *reclaim_thread(void *arg)
{
	struct race *race = arg;

	while (!*race->stop)
		reclaim();
	return NULL;
}

/*
 * Reclaim frees pages in batches, and only then flushes what TLBs have of them. Until
 * then, who has read a page by a mapping can go on reading it, though another one has
 * come from swap and is the file's, and was written to: by write() or a dma-buf. What is
 * mapped anew is the file's.
 */
static void map_anew(char *mem, size_t size)
{
	igt_assert_eq(madvise(mem, size, MADV_DONTNEED), 0);
}

/*
 * A page that was pinned while it left the file would not be the file's: what is
 * written through the dma-buf would not show there.
 */
static void *pin_thread(void *arg)
{
	struct race *race = arg;
	size_t first = race->number * SLICE;
	char *mem = race->mem + pages(first);

	for (int i = 1; i <= CREATIONS; i++) {
		int dmabuf = create(race->dev, race->memfd, pages(first),
				    pages(SLICE));
		void *buf = map_fd(dmabuf, pages(SLICE));

		if (i > 1)
			igt_assert_eq(count_filled(buf, first, SLICE, i - 1),
				      SLICE);
		fill(buf, first, SLICE, i);
		map_anew(mem, pages(SLICE));
		igt_assert_eq(count_filled(mem, first, SLICE, i), SLICE);
		igt_assert_eq(count_shared(buf, mem, SLICE), SLICE);
		unmap(buf, pages(SLICE));
		close(dmabuf);
		/* From swap, through the mapping, it may come to ZONE_MOVABLE. */
		igt_assert_eq(count_filled(mem, first, SLICE, i), SLICE);
	}
	return NULL;
}

static void check_race(int dev, enum backing backing)
{
	size_t size = pages(THREADS * SLICE);
	struct race races[THREADS + 1];
	pthread_t threads[THREADS + 1];
	atomic_bool stop = false;
	int64_t swapped;
	int memfd;
	void *mem;

	swap_on(SWAP_SIZE);
	cgroup_enter("memory");
	memfd = sealed_memfd(backing, size);
	mem = map_fd(memfd, size);
	fill(mem, 0, THREADS * SLICE, 0);
	require_kind(backing, mem, HUGE_PAGES);
	swapped = vmstat("pswpout");
	for (int i = 0; i <= THREADS; i++) {
		races[i] = (struct race) { dev, memfd, i, mem, &stop };
		igt_assert_eq(pthread_create(&threads[i], NULL, i < THREADS ?
					     pin_thread : reclaim_thread,
					     &races[i]), 0);
	}
	for (int i = 0; i <= THREADS; i++) {
		stop = i == THREADS;
		igt_assert_eq(pthread_join(threads[i], NULL), 0);
	}
	swapped = vmstat("pswpout") - swapped;
	igt_info("%lld pages were swapped out\n", (long long)swapped);
	igt_assert(swapped > 0);
	unmap(mem, size);
	close(memfd);
	cgroup_leave();
	swap_off();
}

static void test_race_shmem(int dev)
{
	check_race(dev, SHMEM);
}

static void test_race_thp(int dev)
{
	check_race(dev, THP);
}

void memfd_pin_reclaim_subtests(int dev)
{
	igt_describe("Reclaim leaves alone what is pinned, and swaps it out afterwards, with "
		     "small pages");
	igt_subtest("reclaim-pinned-shmem")
		udmabuf_test(test_pinned_shmem, dev);
	igt_describe("Reclaim leaves alone what is pinned, and swaps it out afterwards, with "
		     "transparent huge pages");
	igt_subtest("reclaim-pinned-thp")
		udmabuf_test(test_pinned_thp, dev);
	igt_describe("The swap device goes while pages are pinned that came from there");
	igt_subtest("swapoff")
		udmabuf_test(test_swapoff, dev);
	igt_describe("The swap device goes while a pin reads pages from there");
	igt_subtest("swapoff-race")
		udmabuf_test(test_swapoff_race, dev);
	igt_describe("Threads pin what is being swapped out, with small pages");
	igt_subtest("reclaim-race-shmem")
		udmabuf_test(test_race_shmem, dev);
	igt_describe("Threads pin what is being swapped out, with transparent huge pages");
	igt_subtest("reclaim-race-thp")
		udmabuf_test(test_race_thp, dev);
}
