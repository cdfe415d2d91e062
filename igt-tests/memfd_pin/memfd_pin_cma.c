// SPDX-License-Identifier: MIT
/*
 * Memfds in CMA areas, which their owners take back when they need them: pins move
 * their folios elsewhere first, and leave all others where they are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hugetlb_helper.h"
#include "igt.h"
#include "memfd_pin.h"
#include "pin_test_helper.h"
#include "udmabuf_ext_helper.h"

#define SIZE		pages(CMA_PAGES)
#define NPAGES		CMA_PAGES
#define AGREE		512	/* pages that are looked at one by one */
#define COUNT_SLACK	1024	/* pages that a counter may be wrong by */

static int64_t free_outside(void)
{
	return (vmstat("nr_free_pages") - vmstat("nr_free_cma")) * page_size();
}

/* Bytes that have to stay free outside of the CMA areas, for what cannot lie there */
static int64_t least_outside(void)
{
	char line[32];

	igt_assert_eq(read_line("/proc/sys/vm/min_free_kbytes", line, sizeof(line)), 0);
	return strtoll(line, NULL, 10) * 1024 * 5 / 4 + MIB(24);
}

/*
 * Movable memory is taken from a zone's CMA area once that is more than half of what
 * is free, so use up the rest.
 */
static void use_up(void)
{
	int64_t cma, huge = hugetlb(HUGE, "nr_hugepages"), before, least = least_outside();

	drop_caches();
	cma = vmstat("nr_free_cma");
	igt_require_f(cma > (int64_t)NPAGES, "no CMA area (it takes cma= at boot)\n");
	do {
		before = huge;
		set(POOL "nr_hugepages", "%lld", (long long)before + 8);
		huge = hugetlb(HUGE, "nr_hugepages");
	} while (huge > before && vmstat("nr_free_cma") > cma * 7 / 8 &&
		 free_outside() > least);
}

int memfd_in_cma(enum backing backing, char **mem, struct pin_test_block *blocks)
{
	int memfd = sealed_memfd(backing, SIZE);
	int64_t cma = 0, taken;

	igt_require_f(!access("/dev/pin_test", F_OK), "no /dev/pin_test\n");
	use_up();
	*mem = map_fd(memfd, SIZE);
	taken = vmstat("nr_free_cma");
	fill(*mem, 0, NPAGES, 1);
	taken -= vmstat("nr_free_cma");
	for (size_t i = 0; i < NPAGES; i++) {
		blocks[i] = query_block(memfd, i);
		cma += blocks[i].type == PIN_TEST_BLOCK_CMA;
	}
	igt_info("%lld of %zu pages in a CMA area, which lost %lld\n",
		 (long long)cma, NPAGES, (long long)taken);
	/* It may have lost some to others, and CPUs keep some of its count for themselves. */
	igt_assert_lte(taken / 2 - COUNT_SLACK, cma);
	igt_require_f(cma > (int64_t)NPAGES / 16, "too few pages in a CMA area\n");
	return memfd;
}

static bool must_move(const struct pin_test_block *block)
{
	return block->type != PIN_TEST_BLOCK_OTHER || is_movable(block->pfn);
}

/*
 * What had to be moved has been moved, and nothing else, but for what compaction may have
 * moved meanwhile.
 */
static void check_moved(int dev, enum backing backing)
{
	struct pin_test_block *blocks = calloc(NPAGES, sizeof(*blocks)), now;
	size_t others = 0;
	int memfd, dmabuf;
	char *mem, *buf;

	igt_assert(blocks);
	memfd = memfd_in_cma(backing, &mem, blocks);
	dmabuf = create(dev, memfd, 0, SIZE);
	for (size_t i = 0; i < NPAGES; i++) {
		now = query_block(memfd, i);
		igt_assert_eq(now.type, PIN_TEST_BLOCK_OTHER);
		igt_assert(!is_movable(now.pfn));
		if (must_move(&blocks[i]))
			igt_assert(now.pfn != blocks[i].pfn);
		else
			others += now.pfn != blocks[i].pfn;
	}
	igt_assert(others <= NPAGES / 50);
	buf = map_fd(dmabuf, SIZE);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	igt_assert_eq(count_shared(buf, mem, NPAGES), NPAGES);
	unmap(buf, SIZE);
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
	free(blocks);
}

static void test_shmem(int dev)
{
	check_moved(dev, SHMEM);
}

static void test_thp(int dev)
{
	check_moved(dev, THP);
}

/*
 * A dma-buf of a page, or -1 if it would have to wait; others may have the folio for a
 * moment.
 */
static int pin_at_once(int dev, int memfd, size_t page)
{
	int dmabuf = -EAGAIN;

	for (int i = 0; i < 3 && dmabuf == -EAGAIN; i++)
		dmabuf = __create_flags(dev, UDMABUF_FLAGS_NONBLOCK, memfd,
					pages(page), page_size());
	igt_require_f(dmabuf != -ENOTTY, "no UDMABUF_CREATE_EXT\n");
	igt_assert(dmabuf >= 0 || dmabuf == -EAGAIN);
	return dmabuf < 0 ? -1 : dmabuf;
}

/* Whether the kernel's own function leaves a page where it is. */
static bool is_left(int memfd, size_t page, uint64_t pfn)
{
	int pins = pin_memfd(PIN_TEST_MEMFD_FOLIOS, memfd, pages(page), page_size());
	bool left = query(pins, 0).pfn == pfn;

	close(pins);
	return left;
}

/*
 * What the block of a page says, whether it is pinned without the kernel's functions, and
 * what these do with it. Returns whether it has been moved.
 */
static bool check_agreed(int dev, int memfd, size_t page)
{
	struct pin_test_block block;
	int dmabuf;

	/* Until compaction has not moved it in between */
	do {
		block = query_block(memfd, page);
		dmabuf = pin_at_once(dev, memfd, page);
		if (dmabuf >= 0 && must_move(&block))
			igt_assert(query_block(memfd, page).pfn != block.pfn);
	} while (dmabuf >= 0 && query_block(memfd, page).pfn != block.pfn &&
		 !close(dmabuf));

	if (dmabuf >= 0) {
		igt_assert(is_left(memfd, page, block.pfn));
		close(dmabuf);
		return false;
	}
	igt_assert(must_move(&block) || query_block(memfd, page).pfn != block.pfn);
	igt_assert(!is_left(memfd, page, block.pfn));
	/* Where it is now, it can be pinned. */
	dmabuf = pin_at_once(dev, memfd, page);
	igt_assert_lte(0, dmabuf);
	close(dmabuf);
	return true;
}

static void test_agree(int dev)
{
	struct pin_test_block *blocks = calloc(NPAGES, sizeof(*blocks));
	size_t first = 0, moved = 0;
	int memfd;
	char *mem;

	igt_assert(blocks);
	memfd = memfd_in_cma(SHMEM, &mem, blocks);
	/* From a page on that is in a CMA area, if there are enough behind it. */
	while (first < NPAGES - AGREE && blocks[first].type != PIN_TEST_BLOCK_CMA)
		first++;
	for (size_t i = first; i < first + AGREE; i++)
		moved += check_agreed(dev, memfd, i);
	igt_info("%zu of %d pages moved\n", moved, AGREE);
	igt_assert(moved);
	unmap(mem, SIZE);
	close(memfd);
	free(blocks);
}

void memfd_pin_cma_subtests(int dev)
{
	igt_describe("Pages are moved out of a CMA area with their contents, and others stay: "
		     "small pages");
	igt_subtest("cma-shmem")
		udmabuf_test(test_shmem, dev);
	igt_describe("Pages are moved out of a CMA area with their contents, and others stay: "
		     "transparent huge pages");
	igt_subtest("cma-thp")
		udmabuf_test(test_thp, dev);
	igt_describe("Where there is CMA, a page is pinned at once if the kernel's "
		     "memfd_pin_folios() leaves it where it is, and only then");
	igt_subtest("cma-agree")
		udmabuf_test(test_agree, dev);
}
