// SPDX-License-Identifier: MIT
/*
 * Long lists and large dma-bufs, by all ioctls: what is pinned for them, and that
 * they are as long as they should be.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "igt.h"
#include "udmabuf_ext.h"

/* Entries of a fragmented list, such as a guest's frame is. */
#define FRAGMENTS	8192

/*
 * Pins that a dma-buf has; each folio is pinned once by each piece it is in. It takes more
 * where memory has to move first.
 */
static int64_t pins_of(int dev, uint32_t count,
		       const struct udmabuf_create_item *items)
{
	int64_t held = pins_held(), pins;
	int dmabuf = create_list(dev, count, items);

	pins = pins_held() - held;
	close(dmabuf);
	igt_assert_eq_s64(pins_held(), held);
	return pins;
}

/* A list of @count slices of @size_pages pages, each @step pages after the last. */
static struct udmabuf_create_item *slices(int memfd, uint32_t count,
					  size_t size_pages, ssize_t step)
{
	struct udmabuf_create_item *items = calloc(count, sizeof(*items));

	igt_assert(items);
	for (uint32_t i = 0; i < count; i++) {
		items[i].memfd = memfd;
		items[i].offset = step < 0 ? pages(-step * (count - 1 - i)) :
				  pages(step * i);
		items[i].size = pages(size_pages);
	}
	return items;
}

static void check_pins(int dev, enum backing backing, uint32_t count,
		       size_t size_pages, ssize_t step, int64_t pins)
{
	int memfd = filled_memfd(backing, backing == THP ? 2 * PMD : MIB(4));
	struct udmabuf_create_item *items = slices(memfd, count, size_pages, step);

	seal(memfd, F_SEAL_SHRINK);
	igt_assert_eq_s64(pins_of(dev, count, items), pins);
	free(items);
	close(memfd);
}

/* Slices that follow each other pin as many folios as one slice would. */
static void test_coalesced(int dev)
{
	check_pins(dev, SHMEM, 100, 2, 2, 200);
	/* A gap, the same again, and backwards: each slice for itself */
	check_pins(dev, SHMEM, 100, 1, 2, 100);
	check_pins(dev, SHMEM, 100, 2, 1, 200);
	check_pins(dev, SHMEM, 100, 1, -1, 100);
}

static void test_coalesced_thp(int dev)
{
	check_pins(dev, THP, 2 * PMD_PAGES / 8, 8, 8, 2);
	check_pins(dev, THP, 64, 8, 16, 64);
}

static void test_coalesced_hugetlb(int dev)
{
	check_pins(dev, HUGE_2M, 2 * HUGE_PAGES, 1, 1, 2);
	check_pins(dev, HUGE_2M, 4, HUGE_PAGES, 0, 4);
}

/* Only within one file, and by one descriptor */
static void test_coalesced_files(int dev)
{
	int memfd = sealed_memfd(HUGE_2M, pages(512)), other = reopen(memfd, O_RDWR);
	struct udmabuf_create_item *items = slices(memfd, 6, 64, 64);
	int dmabuf;
	char *mem = map_fd(memfd, pages(512)), *buf;

	fill(mem, 0, 512, 1);
	items[2].memfd = other;
	items[3].memfd = other;
	igt_assert_eq_s64(pins_of(dev, 6, items), 3);
	dmabuf = create_list(dev, 6, items);
	buf = map_fd(dmabuf, pages(6 * 64));
	igt_assert_eq(count_filled(buf, 0, 6 * 64, 1), 6 * 64);
	unmap(buf, pages(6 * 64));
	unmap(mem, pages(512));
	close(dmabuf);
	free(items);
	close(other);
	close(memfd);
}

static void test_fragmented(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(2 * FRAGMENTS)), dmabuf;
	char *mem = map_fd(memfd, pages(2 * FRAGMENTS)), *buf;
	struct udmabuf_create_item *items = slices(memfd, FRAGMENTS, 1, 2);

	for (size_t i = 0; i < FRAGMENTS; i++)
		fill(mem + pages(2 * i), i, 1, 1);
	dmabuf = create_list(dev, FRAGMENTS, items);
	igt_assert_eq_u64(fd_size(dmabuf), pages(FRAGMENTS));
	buf = map_fd(dmabuf, pages(FRAGMENTS));
	igt_assert_eq(count_filled(buf, 0, FRAGMENTS, 1), FRAGMENTS);
	close(dmabuf);
	dmabuf = __create_ext(dev, UDMABUF_FLAGS_READONLY, FRAGMENTS, items);
	igt_assert_lte(0, dmabuf);
	fill(buf, 0, FRAGMENTS, 2);
	unmap(buf, pages(FRAGMENTS));
	buf = mmap(NULL, pages(FRAGMENTS), PROT_READ, MAP_SHARED, dmabuf, 0);
	igt_assert(buf != MAP_FAILED);
	igt_assert_eq(count_filled(buf, 0, FRAGMENTS, 2), FRAGMENTS);
	unmap(buf, pages(FRAGMENTS));
	close(dmabuf);
	free(items);
	unmap(mem, pages(2 * FRAGMENTS));
	close(memfd);
}

static void test_same_page(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(2)), dmabuf;
	struct udmabuf_create_item *items = slices(memfd, FRAGMENTS, 1, 0);
	char *mem = map_fd(memfd, pages(2)), *buf;

	fill(mem, 0, 1, 1);
	igt_assert_eq_s64(pins_of(dev, FRAGMENTS, items), FRAGMENTS);
	dmabuf = create_list(dev, FRAGMENTS, items);
	igt_assert_eq_u64(fd_size(dmabuf), pages(FRAGMENTS));
	buf = map_fd(dmabuf, pages(FRAGMENTS));
	for (size_t i = 0; i < FRAGMENTS; i += 1000)
		igt_assert_eq(count_filled(buf + pages(i), 0, 1, 1), 1);
	fill(buf + pages(FRAGMENTS - 1), 0, 1, 2);
	igt_assert_eq(count_filled(buf, 0, 1, 2), 1);
	igt_assert_eq(count_filled(mem, 0, 1, 2), 1);
	unmap(buf, pages(FRAGMENTS));
	unmap(mem, pages(2));
	igt_assert_eq(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	igt_assert_eq(errno, EBUSY);
	close(dmabuf);
	/* This compares the references of each page with those it accounts for. */
	seal(memfd, F_SEAL_WRITE);
	free(items);
	close(memfd);
}

/* Two huge pages, taking turns in an irregular way, make more than 4 GiB. */
#define BLOCKS	2500

static size_t block_page(size_t block)
{
	return block % 3 == 1 || block == BLOCKS - 1 ? MIB(2) / page_size() : 0;
}

/* Where a block begins, by a mapping of just its first page */
static void check_block(int dmabuf, size_t block)
{
	void *buf = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED,
			 dmabuf, block * MIB(2));

	igt_assert_f(buf != MAP_FAILED, "mmap: %s\n", strerror(errno));
	igt_assert_eq(count_filled(buf, block_page(block), 1, 1), 1);
	unmap(buf, page_size());
}

static void test_beyond_4g(int dev)
{
	static const size_t blocks[] = { 0, 1, 2047, 2048, 2049, 2050, BLOCKS - 1 };
	const size_t size = BLOCKS * MIB(2);
	struct udmabuf_create_item *items;
	int memfd = filled_memfd(HUGE_2M, MIB(4)), dmabufs[3];
	char *buf;

	seal(memfd, F_SEAL_SHRINK);
	items = slices(memfd, BLOCKS, MIB(2) / page_size(), 0);
	for (size_t i = 0; i < BLOCKS; i++)
		items[i].offset = pages(block_page(i));
	dmabufs[0] = create_list(dev, BLOCKS, items);
	dmabufs[1] = __create_ext(dev, 0, BLOCKS, items);
	dmabufs[2] = __create_ext(dev, UDMABUF_FLAGS_UNSEALED, BLOCKS, items);
	for (size_t i = 0; i < ARRAY_SIZE(dmabufs); i++) {
		igt_assert_lte(0, dmabufs[i]);
		igt_assert_eq_u64(fd_size(dmabufs[i]), size);
		for (size_t k = 0; k < ARRAY_SIZE(blocks); k++)
			check_block(dmabufs[i], blocks[k]);
	}

	/* And in a mapping of everything, of which a page a block is touched */
	buf = map_fd(dmabufs[0], size);
	for (size_t i = 0; i < BLOCKS; i += 7)
		igt_assert_eq(count_filled(buf + i * MIB(2), block_page(i), 1, 1), 1);
	fill(buf + size - page_size(), 0, 1, 5);
	igt_assert_eq(count_filled(buf + MIB(4) - page_size(), 0, 1, 5), 1);
	igt_assert_eq(count_filled(buf + MIB(2) - page_size(), 0, 1, 5), 0);
	unmap(buf, size);

	igt_assert(mmap(NULL, page_size(), PROT_READ, MAP_SHARED, dmabufs[0],
			size) == MAP_FAILED);
	for (size_t i = 0; i < ARRAY_SIZE(dmabufs); i++)
		close(dmabufs[i]);

	/* The limit is counted in more than 32 bits, too. */
	set_module_attribute(dev, SIZE_LIMIT, size / MIB(1) - 1);
	igt_assert_eq(__create_ext(dev, 0, BLOCKS, items), -EINVAL);
	igt_assert_eq(__create_list(dev, BLOCKS, items, 0), -EINVAL);
	set_module_attribute(dev, SIZE_LIMIT, size / MIB(1));
	close(create_list(dev, BLOCKS, items));
	free(items);
	close(memfd);
}

static void test_beyond_4g_import(int dev)
{
	struct udmabuf_create_item *items;
	int vgem = drm_open_driver(DRIVER_VGEM);
	int memfd = filled_memfd(HUGE_2M, MIB(4)), dmabuf;
	char cmdline[4096] = "";
	uint32_t handle;

	read_line("/proc/cmdline", cmdline, sizeof(cmdline));
	igt_require_f(!strstr(cmdline, "swiotlb=") || !strstr(cmdline, "force"),
		      "there is not that much room in bounce buffers\n");
	seal(memfd, F_SEAL_SHRINK);
	items = slices(memfd, BLOCKS, MIB(2) / page_size(), 0);
	dmabuf = create_list(dev, BLOCKS, items);
	igt_assert_eq(import_into(vgem, dmabuf, &handle), 0);
	prime_sync_start(dmabuf, true);
	prime_sync_end(dmabuf, true);
	gem_close(vgem, handle);
	close(dmabuf);
	free(items);
	close(memfd);
	drm_close_driver(vgem);
}

void udmabuf_ext_limits_subtests(int dev)
{
	igt_describe("Slices that follow each other are pinned as one");
	igt_subtest("list-coalesced")
		udmabuf_test(test_coalesced, dev);
	igt_describe("Many slices of a transparent huge page are one pin");
	igt_subtest("list-coalesced-thp")
		udmabuf_test(test_coalesced_thp, dev);
	igt_describe("So are those of a hugetlb page");
	igt_subtest("list-coalesced-hugetlb")
		udmabuf_test(test_coalesced_hugetlb, dev);
	igt_describe("Those of different descriptors are not");
	igt_subtest("list-coalesced-files")
		udmabuf_test(test_coalesced_files, dev);
	igt_describe("8192 single pages, as parameters are by default");
	igt_subtest("list-fragmented")
		udmabuf_test(test_fragmented, dev);
	igt_describe("8192 times the same page, whose references are right afterwards");
	igt_subtest("list-same-page-often")
		udmabuf_test(test_same_page, dev);
	igt_describe("Sizes and offsets beyond 4 GiB");
	igt_subtest("beyond-4g")
		udmabuf_test(test_beyond_4g, dev);
	igt_describe("vgem imports such a dma-buf");
	igt_subtest("beyond-4g-vgem")
		udmabuf_test(test_beyond_4g_import, dev);
}
