// SPDX-License-Identifier: MIT
/*
 * The pages of a udmabuf are those of the memfd, at the right places and in both
 * directions: for every kind of memory, for holes, and for an importer.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "igt.h"
#include "udmabuf.h"

static const struct contents {
	const char *name;
	enum backing backing;
	/* In pages, so that it need not be aligned to anything else. */
	size_t file_pages, first, count;
} all_contents[] = {
	{ "shmem", SHMEM, 256, 0, 256 },
	{ "shmem-middle", SHMEM, 256, 7, 100 },
	{ "shmem-one-page", SHMEM, 256, 255, 1 },
	{ "thp", THP, 1024, 0, 1024 },
	{ "thp-middle", THP, 1024, 255, 512 },
	{ "hugetlb", HUGE_2M, 1024, 0, 1024 },
	{ "hugetlb-middle", HUGE_2M, 1024, 255, 512 },
	{ "hugetlb-inside", HUGE_2M, 1024, 513, 2 },
	{ "hugetlb-1g-middle", HUGE_1G, 32767 + 1024 + 1, 32767, 1024 },
};

static const struct contents *current;

static void test_contents(int dev)
{
	const struct contents *c = current;
	size_t file_size = whole_folios(c->backing, pages(c->file_pages));
	size_t file_pages = file_size / page_size();
	/* The slice with a page before and one behind it. */
	size_t from = c->first ? c->first - 1 : 0;
	size_t to = c->first + c->count < file_pages ? c->first + c->count + 1 :
		    file_pages;
	int memfd = sealed_memfd(c->backing, file_size), dmabuf;
	char *mem = map_fd(memfd, file_size), *buf;
	size_t size = pages(c->count);
	int64_t thp = vmstat("nr_shmem_hugepages");

	fill(mem + pages(from), from, to - from, 1);
	if (c->backing == THP)
		igt_require_f(vmstat("nr_shmem_hugepages") - thp ==
			      (int64_t)(whole_folios(THP, file_size) / PMD),
			      "no transparent huge pages for shmem\n");

	dmabuf = create(dev, memfd, pages(c->first), size);
	buf = map_fd(dmabuf, size);

	prime_sync_start(dmabuf, false);
	igt_assert_eq(count_filled(buf, c->first, c->count, 1), c->count);
	prime_sync_end(dmabuf, false);

	prime_sync_start(dmabuf, true);
	fill(buf, c->first, c->count, 2);
	prime_sync_end(dmabuf, true);
	igt_assert_eq(count_filled(mem + pages(c->first), c->first, c->count, 2),
		      c->count);
	igt_assert_eq(count_filled(mem + pages(from), from, c->first - from, 1),
		      c->first - from);
	igt_assert_eq(count_filled(mem + pages(to - 1), to - 1,
				   to - c->first - c->count, 1),
		      to - c->first - c->count);

	fill(mem + pages(c->first), c->first, c->count, 3);
	prime_sync_start(dmabuf, false);
	igt_assert_eq(count_filled(buf, c->first, c->count, 3), c->count);
	prime_sync_end(dmabuf, false);

	unmap(buf, size);
	unmap(mem, file_size);
	close(dmabuf);
	close(memfd);
}

static void check_hole(int dev, int memfd, size_t first, size_t count)
{
	int dmabuf = create(dev, memfd, pages(first), pages(count));
	size_t file_size = fd_size(memfd);
	char *buf = map_fd(dmabuf, pages(count)), *mem;

	igt_assert_eq(count_zero(buf, count), count);
	fill(buf, first, count, 1);
	mem = map_fd(memfd, file_size);
	igt_assert_eq(count_filled(mem + pages(first), first, count, 1), count);
	igt_assert_eq(count_zero(mem, first), first);

	unmap(mem, file_size);
	unmap(buf, pages(count));
	close(dmabuf);
	close(memfd);
}

static void test_hole_shmem(int dev)
{
	check_hole(dev, sealed_memfd(SHMEM, pages(256)), 3, 253);
}

static void test_hole_thp(int dev)
{
	check_hole(dev, sealed_memfd(THP, pages(1024)), 255, 600);
}

static void test_hole_hugetlb(int dev)
{
	check_hole(dev, sealed_memfd(HUGE_2M, pages(1024)), 255, 600);
}

/* fallocate() gets pages for shmem but leaves them as they were freed. */
static void test_hole_fallocated(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(1024));
	void *mem = map_fd(memfd, pages(1024));

	fill(mem, 0, 1024, 1);
	unmap(mem, pages(1024));
	igt_assert_eq(fallocate(memfd, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, 0, pages(1024)), 0);
	igt_assert_eq(fallocate(memfd, 0, 0, pages(1024)), 0);
	check_hole(dev, memfd, 0, 1024);
}

static void test_file_io(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(16));
	int dmabuf = create(dev, memfd, pages(4), pages(8));
	void *buf = map_fd(dmabuf, pages(8)), *copy = malloc(pages(8));

	igt_assert(copy);
	fill(copy, 4, 8, 1);
	igt_assert_eq(pwrite(memfd, copy, pages(8), pages(4)), pages(8));
	igt_assert_eq(count_filled(buf, 4, 8, 1), 8);
	fill(buf, 4, 8, 2);
	igt_assert_eq(pread(memfd, copy, pages(8), pages(4)), pages(8));
	igt_assert_eq(count_filled(copy, 4, 8, 2), 8);

	free(copy);
	unmap(buf, pages(8));
	close(dmabuf);
	close(memfd);
}

/* Nobody but the dma-buf maps the memfd when it is written. */
static void test_memfd_unmapped(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(16)), dmabuf;
	void *mem = map_fd(memfd, pages(16)), *buf;

	fill(mem, 0, 16, 1);
	unmap(mem, pages(16));
	dmabuf = create(dev, memfd, 0, pages(16));
	buf = map_fd(dmabuf, pages(16));
	fill(buf, 0, 16, 2);
	unmap(buf, pages(16));
	close(dmabuf);
	mem = map_fd(memfd, pages(16));
	igt_assert_eq(count_filled(mem, 0, 16, 2), 16);
	unmap(mem, pages(16));
	close(memfd);
}

/* The dma-buf keeps pages that the file gives away, and the file gets new ones. */
static void test_punch_hole(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(16)), dmabuf;
	char *mem = map_fd(memfd, pages(16)), *buf;

	fill(mem, 0, 16, 1);
	dmabuf = create(dev, memfd, 0, pages(16));
	igt_assert_eq(fallocate(memfd, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, pages(4), pages(8)), 0);
	buf = map_fd(dmabuf, pages(16));
	igt_assert_eq(count_filled(buf, 0, 16, 1), 16);
	igt_assert_eq(count_zero(mem + pages(4), 8), 8);
	fill(buf, 0, 16, 2);
	igt_assert_eq(count_filled(mem, 0, 4, 2), 4);
	igt_assert_eq(count_zero(mem + pages(4), 8), 8);
	igt_assert_eq(count_filled(mem + pages(12), 12, 4, 2), 4);

	unmap(buf, pages(16));
	unmap(mem, pages(16));
	close(dmabuf);
	close(memfd);
}

static void check_vgem(int dev, int memfd, size_t first, size_t count)
{
	int vgem = drm_open_driver(DRIVER_VGEM), dmabuf, again;
	uint64_t offset = next_vgem_offset(vgem, pages(count));
	size_t file_size = fd_size(memfd);
	char *file = map_fd(memfd, file_size), *bo, *buf;
	char *mem = file + pages(first);
	struct stat old, new;
	uint32_t handle;

	fill(mem, first, count, 1);
	dmabuf = create(dev, memfd, pages(first), pages(count));
	handle = prime_fd_to_handle(vgem, dmabuf);
	igt_assert_eq(prime_fd_to_handle(vgem, dmabuf), handle);

	/* What vgem exports must be the very same dma-buf. */
	again = prime_handle_to_fd_for_mmap(vgem, handle);
	igt_assert_eq(fstat(dmabuf, &old), 0);
	igt_assert_eq(fstat(again, &new), 0);
	igt_assert_eq_u64(old.st_ino, new.st_ino);
	buf = map_fd(again, pages(count));
	igt_assert_eq(count_filled(buf, first, count, 1), count);
	unmap(buf, pages(count));
	close(again);

	/* From here on vgem is the only one that holds the dma-buf. */
	close(dmabuf);
	close(memfd);
	bo = mmap(NULL, pages(count), PROT_READ | PROT_WRITE, MAP_SHARED, vgem,
		  offset);
	igt_assert_f(bo != MAP_FAILED, "mmap of vgem: %s\n", strerror(errno));
	igt_assert_eq(count_filled(bo, first, count, 1), count);
	fill(bo, first, count, 2);
	igt_assert_eq(count_filled(mem, first, count, 2), count);
	fill(mem, first, count, 3);
	igt_assert_eq(count_filled(bo, first, count, 3), count);

	unmap(bo, pages(count));
	unmap(file, file_size);
	gem_close(vgem, handle);
	drm_close_driver(vgem);
}

static void test_vgem(int dev)
{
	check_vgem(dev, sealed_memfd(SHMEM, pages(512)), 0, 512);
}

static void test_vgem_middle(int dev)
{
	check_vgem(dev, sealed_memfd(HUGE_2M, pages(1024)), 255, 512);
}

/* A run of @run pages, and then single ones, in the reverse order */
static void check_runs(int dev, int memfd, size_t count, size_t run)
{
	struct udmabuf_create_item items[1024];
	size_t single = count - run;
	char *buf;
	int dmabuf;

	for (size_t i = 0; i <= single; i++)
		items[i] = (struct udmabuf_create_item) {
			.memfd = memfd,
			.offset = i ? pages(count - i) : 0,
			.size = i ? page_size() : pages(run),
		};
	dmabuf = create_list(dev, 1 + single, items);
	buf = map_fd(dmabuf, pages(count));
	igt_assert_eq(count_filled(buf, 0, run, 1), run);
	for (size_t i = 1; i <= single; i++)
		igt_assert_eq(count_filled(buf + pages(run + i - 1), count - i, 1, 1), 1);
	unmap(buf, pages(count));
	close(dmabuf);
}

/* How many pieces there will be shows late, or early. */
static void test_runs(int dev)
{
	int memfd = sealed_memfd(HUGE_2M, MIB(4));
	size_t count = MIB(4) / page_size();
	char *mem = map_fd(memfd, MIB(4));

	fill(mem, 0, count, 1);
	for (size_t run = 1; run < count; run += 5)
		check_runs(dev, memfd, count, run);
	unmap(mem, MIB(4));
	close(memfd);
}

void udmabuf_contents_subtests(int dev)
{
	for (current = all_contents; current < all_contents + ARRAY_SIZE(all_contents);
	     current++) {
		igt_describe_f("Writes through the memfd show in the dma-buf and the other way "
			       "round, and in no page beside it, with %s", current->name);
		igt_subtest_f("contents-%s", current->name)
			udmabuf_test(test_contents, dev);
	}
	igt_describe("Long runs of contiguous pages first, then many short ones");
	igt_subtest("contents-runs")
		udmabuf_test(test_runs, dev);
	igt_describe("read() and write() of the memfd agree with the dma-buf");
	igt_subtest("contents-file-io")
		udmabuf_test(test_file_io, dev);
	igt_describe("What is written when nobody maps the memfd is there later");
	igt_subtest("contents-memfd-unmapped")
		udmabuf_test(test_memfd_unmapped, dev);
	igt_describe("A hole punched later parts the file's pages from the dma-buf's");
	igt_subtest("contents-punch-hole")
		udmabuf_test(test_punch_hole, dev);
	igt_describe("Never written memory reads as zeroes and is shared, with holes in a file of "
		     "small pages");
	igt_subtest("hole-shmem")
		udmabuf_test(test_hole_shmem, dev);
	igt_describe("Never written memory reads as zeroes and is shared, with holes where "
		     "transparent huge pages are allowed");
	igt_subtest("hole-thp")
		udmabuf_test(test_hole_thp, dev);
	igt_describe("Never written memory reads as zeroes and is shared, with holes in a file of "
		     "2 MiB hugetlb pages");
	igt_subtest("hole-hugetlb")
		udmabuf_test(test_hole_hugetlb, dev);
	igt_describe("Never written memory reads as zeroes and is shared, with pages that "
		     "fallocate() got and nobody touched");
	igt_subtest("hole-fallocated")
		udmabuf_test(test_hole_fallocated, dev);
	igt_describe("vgem imports the dma-buf, exports the same one, and maps the memfd's pages "
		     "when all else is closed");
	igt_subtest("vgem-import")
		udmabuf_test(test_vgem, dev);
	igt_describe("The same from the middle of a 2 MiB hugetlb page on");
	igt_subtest("vgem-import-hugetlb-middle")
		udmabuf_test(test_vgem_middle, dev);
}
