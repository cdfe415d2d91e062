// SPDX-License-Identifier: MIT
/*
 * Pins against those who put small folios of a memfd together to huge ones, or
 * split them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "igt.h"
#include "memfd_pin.h"
#include "phys_helper.h"
#include "udmabuf_helper.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define SIZE		PMD
#define NPAGES		(SIZE / page_size())

/* A file of small pages, which from now on may become huge ones. */
static char *small_pages(int memfd)
{
	char *mem;

	set_shmem_thp("never");
	mem = map_fd_at(reserve(SIZE), memfd, SIZE);
	fill(mem, 0, NPAGES, 1);
	igt_assert_eq(count_flagged(mem, NPAGES, KPF_THP), 0);
	set_shmem_thp("always");
	return mem;
}

static int collapse(char *mem)
{
	return madvise(mem, SIZE, MADV_COLLAPSE) ? -errno : 0;
}

/* One pinned page among all holds off a collapse, for as long as it is pinned. */
static void test_collapse_pinned(int dev)
{
	int memfd = sealed_memfd(SHMEM, SIZE), dmabuf;
	char *mem = small_pages(memfd);
	uint64_t frame;
	char *buf;

	dmabuf = create(dev, memfd, pages(100), page_size());
	buf = map_fd(dmabuf, page_size());
	frame = page_frame(mem + pages(100));
	for (int i = 0; i < 3; i++)
		igt_assert(collapse(mem));
	igt_assert_eq_u64(page_frame(mem + pages(100)), frame);
	igt_assert_eq(count_shared(buf, mem + pages(100), 1), 1);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	fill(buf, 100, 1, 2);
	igt_assert_eq(count_filled(mem + pages(100), 100, 1, 2), 1);
	fill(buf, 100, 1, 1);

	unmap(buf, page_size());
	close(dmabuf);
	igt_require_f(!collapse(mem), "this kernel does not collapse shmem\n");
	igt_assert_eq(count_flagged(mem, NPAGES, KPF_THP), NPAGES);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	unmap(mem, SIZE);
	close(memfd);
}

struct collapser {
	char *mem;
	atomic_bool stop;
	int done;
};

static void *collapse_thread(void *arg)
{
	struct collapser *collapser = arg;

	while (!collapser->stop)
		collapser->done += !collapse(collapser->mem);
	return NULL;
}

/* What is pinned is the file's page, whichever that is by then. */
static void test_collapse_race(int dev)
{
	int done = 0, made = 0;

	for (int i = 0; i < 30; i++) {
		int memfd = sealed_memfd(SHMEM, SIZE);
		struct collapser collapser = { .mem = small_pages(memfd) };
		pthread_t thread;

		igt_assert_eq(pthread_create(&thread, NULL, collapse_thread,
					     &collapser), 0);
		for (int n = 2; n < 12; n++) {
			int dmabuf = __create(dev, memfd, pages(n), SIZE / 2);
			char *buf;

			/* What is being collapsed cannot be moved, again and again. */
			if (dmabuf == -ENOMEM && has_movable())
				continue;
			igt_assert_lte(0, dmabuf);
			made++;
			buf = map_fd(dmabuf, SIZE / 2);
			fill(buf, n, NPAGES / 2, n);
			igt_assert_eq(count_filled(collapser.mem + pages(n), n,
						   NPAGES / 2, n), NPAGES / 2);
			unmap(buf, SIZE / 2);
			close(dmabuf);
		}
		collapser.stop = true;
		igt_assert_eq(pthread_join(thread, NULL), 0);
		done += collapser.done > 0;
		unmap(collapser.mem, SIZE);
		close(memfd);
	}
	igt_info("%d of 30 files were collapsed, %d dma-bufs made\n", done, made);
	igt_assert_lt(0, made);
	igt_require_f(done, "no file was collapsed\n");
}

/* All of a huge folio, and nothing but it. */
static char *one_thp(int memfd)
{
	char *mem = map_fd_at(reserve(SIZE), memfd, SIZE);

	fill(mem, 0, NPAGES, 1);
	igt_require_f(count_flagged(mem, NPAGES, KPF_THP) == NPAGES,
		      "no transparent huge page\n");
	return mem;
}

/*
 * A hole in a huge folio of which one page is pinned. The file reads as zeroes
 * there; all else is in its place, in the file and in the dma-buf.
 */
static void check_punched(int dev, size_t pinned, size_t hole, size_t count)
{
	int memfd = sealed_memfd(THP, SIZE), dmabuf;
	char *mem = one_thp(memfd), *buf;

	dmabuf = create(dev, memfd, pages(pinned), page_size());
	buf = map_fd(dmabuf, page_size());
	igt_assert_eq(fallocate(memfd, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, pages(hole),
				pages(count)), 0);

	igt_assert_eq(count_zero(mem + pages(hole), count), count);
	igt_assert_eq(count_filled(mem, 0, hole, 1), hole);
	igt_assert_eq(count_filled(mem + pages(hole + count), hole + count,
				   NPAGES - hole - count, 1),
		      NPAGES - hole - count);
	if (pinned < hole || pinned >= hole + count) {
		igt_assert_eq(count_shared(buf, mem + pages(pinned), 1),
			      1);
		fill(buf, pinned, 1, 2);
		igt_assert_eq(count_filled(mem + pages(pinned), pinned, 1, 2),
			      1);
	} else {
		/* Zeroed in place or parted from the file; never another's. */
		igt_assert_eq(count_zero(buf, 1) +
			      count_filled(buf, pinned, 1, 1), 1);
	}
	unmap(buf, page_size());
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_punched_beside(int dev)
{
	check_punched(dev, 100, 200, 50);
}

static void test_punched_across(int dev)
{
	check_punched(dev, 100, 90, 20);
}

static void test_punched_tail(int dev)
{
	check_punched(dev, 100, NPAGES / 2, NPAGES / 2);
}

struct puncher {
	int memfd;
	atomic_bool stop;
};

/* Splits what huge folio there is, and lets a new one come. */
static void *punch_thread(void *arg)
{
	struct puncher *puncher = arg;
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	while (!puncher->stop) {
		igt_assert_eq(fallocate(puncher->memfd, mode, SIZE / 2,
					SIZE / 2), 0);
		igt_assert_eq(fallocate(puncher->memfd, mode, 0, SIZE), 0);
	}
	return NULL;
}

/* The first half is punched now and then, but never has anything but zeroes. */
static void test_split_race(int dev)
{
	struct puncher puncher = { .memfd = sealed_memfd(THP, SIZE) };
	const size_t half = NPAGES / 2;
	pthread_t thread;
	int made = 0;

	igt_assert_eq(pthread_create(&thread, NULL, punch_thread, &puncher), 0);
	for (int i = 0; i < 200; i++) {
		int dmabuf = __create(dev, puncher.memfd, pages(i % half), SIZE / 2);
		char *buf;

		/* ENOMEM: what is punched out cannot be moved meanwhile. */
		if (dmabuf == -EAGAIN || dmabuf == -ENOMEM)
			continue;
		igt_assert_f(dmabuf >= 0, "%s\n", strerror(-dmabuf));
		buf = map_fd(dmabuf, SIZE / 2);
		igt_assert_eq(count_zero(buf, half), (int)half);
		unmap(buf, SIZE / 2);
		close(dmabuf);
		made++;
	}
	puncher.stop = true;
	igt_assert_eq(pthread_join(thread, NULL), 0);
	close(puncher.memfd);
	igt_info("%d of 200 dma-bufs made\n", made);
	igt_assert(made);
}

void memfd_pin_thp_subtests(int dev)
{
	igt_describe("Small pages of which one is pinned are not made a huge one");
	igt_subtest("thp-collapse-pinned")
		udmabuf_test(test_collapse_pinned, dev);
	igt_describe("Pins while small pages are made huge ones");
	igt_subtest("thp-collapse-race")
		udmabuf_test(test_collapse_race, dev);
	igt_describe("A hole in a transparent huge page that is pinned: beside the page that the "
		     "dma-buf has");
	igt_subtest("thp-punched-beside")
		udmabuf_test(test_punched_beside, dev);
	igt_describe("A hole in a transparent huge page that is pinned: over it");
	igt_subtest("thp-punched-across")
		udmabuf_test(test_punched_across, dev);
	igt_describe("A hole in a transparent huge page that is pinned: from the middle to the "
		     "end");
	igt_subtest("thp-punched-tail")
		udmabuf_test(test_punched_tail, dev);
	igt_describe("Pins while huge pages are split by holes");
	igt_subtest("thp-split-race")
		udmabuf_test(test_split_race, dev);
}
