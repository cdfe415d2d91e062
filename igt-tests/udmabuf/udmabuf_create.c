// SPDX-License-Identifier: MIT
/*
 * Making udmabufs, alone and of lists of slices, their flags, and their lives
 * after the memfd or the device is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dma-buf.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "igt.h"
#include "udmabuf.h"

#define NPAGES	256

/* A memfd whose pages are filled with their numbers and @seed. */
static int filled_memfd(enum backing backing, size_t count, uint64_t seed)
{
	int memfd = sealed_memfd(backing, pages(count));
	void *mem = map_fd(memfd, pages(count));

	fill(mem, 0, count, seed);
	unmap(mem, pages(count));
	return memfd;
}

static void check_exporter(int dmabuf, size_t size)
{
	char path[64], line[128], name[64] = "";
	size_t reported = 0;
	int found = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", dmabuf);
	file = fopen(path, "r");
	igt_assert(file);
	while (fgets(line, sizeof(line), file)) {
		found += sscanf(line, "size: %zu", &reported) == 1;
		found += sscanf(line, "exp_name: %63s", name) == 1;
	}
	fclose(file);
	igt_assert_eq(found, 2);
	igt_assert_f(!strcmp(name, "udmabuf"), "exporter \"%s\"\n", name);
	igt_assert_eq_u64(reported, size);
}

static void test_create(int dev)
{
	int memfd = filled_memfd(SHMEM, NPAGES, 1);
	int dmabuf = create(dev, memfd, 0, pages(NPAGES));
	void *buf = map_fd(dmabuf, pages(NPAGES));

	check_exporter(dmabuf, pages(NPAGES));
	igt_assert_eq(fcntl(dmabuf, F_GETFL) & O_ACCMODE, O_RDWR);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	unmap(buf, pages(NPAGES));
	close(dmabuf);
	close(memfd);
}

/* Part of a list, in pages; memfds are told by their seed. */
struct slice {
	unsigned int memfd, first, count;
};

static int create_slices(int dev, const int *memfds, const struct slice *slices,
			 size_t count)
{
	struct udmabuf_create_item items[NPAGES] = {};
	size_t total = 0;
	char *buf;
	int dmabuf;

	for (size_t i = 0; i < count; i++) {
		items[i].memfd = memfds[slices[i].memfd];
		items[i].offset = pages(slices[i].first);
		items[i].size = pages(slices[i].count);
		total += slices[i].count;
	}
	dmabuf = create_list(dev, count, items);
	check_exporter(dmabuf, pages(total));
	igt_assert_eq_u64(fd_size(dmabuf), pages(total));

	buf = map_fd(dmabuf, pages(total));
	total = 0;
	for (size_t i = 0; i < count; i++) {
		const struct slice *s = &slices[i];

		igt_assert_eq(count_filled(buf + pages(total), s->first,
					   s->count, s->memfd), s->count);
		total += s->count;
	}
	unmap(buf, pages(total));
	return dmabuf;
}

static void test_create_list(int dev)
{
	static const struct slice slices[] = {
		{ 0, 8, 8 }, { 0, 32, 1 }, { 0, 100, 50 }, { 0, 200, 56 },
	};
	int memfd = filled_memfd(SHMEM, NPAGES, 0);

	close(create_slices(dev, &memfd, slices, ARRAY_SIZE(slices)));
	close(memfd);
}

static void test_list_memfds(int dev)
{
	static const struct slice slices[] = {
		{ 0, 0, 16 }, { 1, 0, 16 }, { 2, 3, 1 }, { 0, 16, 4 },
		{ 1, 240, 16 }, { 2, 4, 100 }, { 0, 255, 1 },
	};
	int memfds[3];

	for (size_t i = 0; i < ARRAY_SIZE(memfds); i++)
		memfds[i] = filled_memfd(SHMEM, NPAGES, i);
	close(create_slices(dev, memfds, slices, ARRAY_SIZE(slices)));
	for (size_t i = 0; i < ARRAY_SIZE(memfds); i++)
		close(memfds[i]);
}

static void test_list_adjacent(int dev)
{
	static const struct slice slices[] = {
		{ 0, 0, 5 }, { 0, 5, 3 }, { 0, 8, 1 }, { 0, 9, 247 },
	};
	static const struct slice huge_slices[] = {
		{ 0, 0, 100 }, { 0, 100, 412 }, { 0, 512, 1 }, { 0, 513, 511 },
	};
	int memfd = filled_memfd(SHMEM, NPAGES, 0);

	close(create_slices(dev, &memfd, slices, ARRAY_SIZE(slices)));
	close(memfd);

	memfd = filled_memfd(HUGE_2M, 1024, 0);
	close(create_slices(dev, &memfd, huge_slices, ARRAY_SIZE(huge_slices)));
	close(memfd);
}

static void test_list_overlap(int dev)
{
	static const struct slice slices[] = {
		{ 0, 0, 6 }, { 0, 3, 6 }, { 0, 3, 1 }, { 0, 0, 256 },
	};
	/* Where page 3 of the memfd is in the dma-buf. */
	static const size_t places[] = { 3, 6, 12, 16 };
	int memfd = filled_memfd(SHMEM, NPAGES, 0);
	int dmabuf = create_slices(dev, &memfd, slices, ARRAY_SIZE(slices));
	char *buf = map_fd(dmabuf, pages(269));

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		fill(buf + pages(places[i]), 3, 1, i + 1);
		for (size_t k = 0; k < ARRAY_SIZE(places); k++)
			igt_assert_eq(count_filled(buf + pages(places[k]), 3, 1,
						   i + 1), 1);
	}
	unmap(buf, pages(269));
	close(dmabuf);
	close(memfd);
}

static void test_list_reversed(int dev)
{
	struct slice slices[NPAGES];
	int memfd = filled_memfd(SHMEM, NPAGES, 0);

	for (unsigned int i = 0; i < NPAGES; i++)
		slices[i] = (struct slice){ 0, NPAGES - 1 - i, 1 };
	close(create_slices(dev, &memfd, slices, NPAGES));
	close(memfd);
}

static void test_list_same_page(int dev)
{
	size_t count = module_attribute(dev, "parameters/list_limit");
	struct udmabuf_create_item *items = calloc(count, sizeof(*items));
	int memfd = filled_memfd(SHMEM, 1, 1), dmabuf;
	char *buf;

	igt_assert(items);
	for (size_t i = 0; i < count; i++) {
		items[i].memfd = memfd;
		items[i].size = page_size();
	}
	dmabuf = create_list(dev, count, items);
	buf = map_fd(dmabuf, pages(count));
	for (size_t i = 0; i < count; i++)
		igt_assert_eq(count_filled(buf + pages(i), 0, 1, 1), 1);
	fill(buf + pages(count - 1), 0, 1, 2);
	igt_assert_eq(count_filled(buf, 0, 1, 2), 1);

	unmap(buf, pages(count));
	close(dmabuf);
	close(memfd);
	free(items);
}

static void test_list_mixed(int dev)
{
	static const struct slice slices[] = {
		{ 0, 0, 1 }, { 1, 511, 2 }, { 2, 500, 100 }, { 0, 1, 255 },
		{ 2, 0, 1024 }, { 1, 1, 1000 },
	};
	int memfds[] = {
		filled_memfd(SHMEM, NPAGES, 0),
		filled_memfd(THP, 1024, 1),
		filled_memfd(HUGE_2M, 1024, 2),
	};

	close(create_slices(dev, memfds, slices, ARRAY_SIZE(slices)));
	for (size_t i = 0; i < ARRAY_SIZE(memfds); i++)
		close(memfds[i]);
}

static void check_flags(int dev, int memfd, uint32_t flags, int fd_flags)
{
	struct udmabuf_create arg = {
		.memfd = memfd,
		.flags = flags,
		.size = page_size(),
	};
	struct udmabuf_create_item item = {
		.memfd = memfd,
		.size = page_size(),
	};
	int dmabuf;

	dmabuf = ioctl(dev, UDMABUF_CREATE, &arg);
	igt_assert_lte(0, dmabuf);
	igt_assert_eq(fcntl(dmabuf, F_GETFD), fd_flags);
	close(dmabuf);

	dmabuf = __create_list(dev, 1, &item, flags);
	igt_assert_lte(0, dmabuf);
	igt_assert_eq(fcntl(dmabuf, F_GETFD), fd_flags);
	close(dmabuf);
}

static void test_cloexec(int dev)
{
	int memfd = sealed_memfd(SHMEM, page_size());

	check_flags(dev, memfd, 0, 0);
	check_flags(dev, memfd, UDMABUF_FLAGS_CLOEXEC, FD_CLOEXEC);
	close(memfd);
}

static void test_unknown_flags(int dev)
{
	int memfd = sealed_memfd(SHMEM, page_size());

	check_flags(dev, memfd, ~UDMABUF_FLAGS_CLOEXEC, 0);
	check_flags(dev, memfd, ~0, FD_CLOEXEC);
	close(memfd);
}

static void test_memfd_closed(int dev)
{
	int memfd = filled_memfd(SHMEM, NPAGES, 1), dmabuf;
	void *buf;

	dmabuf = create(dev, memfd, 0, pages(NPAGES));
	close(memfd);
	drop_caches();
	buf = map_fd(dmabuf, pages(NPAGES));
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	unmap(buf, pages(NPAGES));
	close(dmabuf);
}

static void test_device_closed(int dev)
{
	int memfd = filled_memfd(SHMEM, NPAGES, 1), dmabuf;
	void *buf;

	dev = reopen(dev, O_RDWR);
	dmabuf = create(dev, memfd, 0, pages(NPAGES));
	close(dev);

	prime_sync_start(dmabuf, true);
	buf = map_fd(dmabuf, pages(NPAGES));
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	fill(buf, 0, NPAGES, 2);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 2), NPAGES);
	unmap(buf, pages(NPAGES));
	prime_sync_end(dmabuf, true);
	close(dmabuf);
	close(memfd);
}

/* As long as the dma-buf is there, its code must be, too. */
static void test_module_held(int dev)
{
	int64_t users = module_attribute(dev, "refcnt");
	int memfd = sealed_memfd(SHMEM, pages(NPAGES));
	int dmabuf = create(dev, memfd, 0, pages(NPAGES));

	igt_assert_eq_s64(module_attribute(dev, "refcnt"), users + 1);
	close(dmabuf);
	igt_assert_eq_s64(module_attribute(dev, "refcnt"), users);
	close(memfd);
}

static void test_all_seals(int dev)
{
	static const enum backing backings[] = { SHMEM, HUGE_2M };

	for (size_t i = 0; i < ARRAY_SIZE(backings); i++) {
		int memfd = unsealed_memfd(backings[i], MIB(2));

		seal(memfd, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
		close(create(dev, memfd, 0, MIB(2)));
		close(memfd);
	}
}

static void test_seal_write(int dev)
{
	int memfd = filled_memfd(SHMEM, NPAGES, 1);
	int dmabuf = create(dev, memfd, 0, pages(NPAGES));

	igt_assert_eq(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	igt_assert_eq(errno, EBUSY);
	close(dmabuf);
	seal(memfd, F_SEAL_WRITE);
	igt_assert_eq(__create(dev, memfd, 0, pages(NPAGES)), -EINVAL);
	close(memfd);
}

static void test_pins_balanced(int dev)
{
	int64_t before, acquired = vmstat("nr_foll_pin_acquired");
	int64_t released = vmstat("nr_foll_pin_released");
	int small = filled_memfd(SHMEM, NPAGES, 1);
	int huge = filled_memfd(HUGE_2M, 1024, 1);
	struct udmabuf_create_item items[] = {
		{ .memfd = small, .offset = 0, .size = pages(NPAGES) },
		{ .memfd = huge, .offset = pages(511), .size = pages(2) },
		{ .memfd = small, .offset = pages(7), .size = pages(1) },
	};
	int dmabufs[3];

	before = pins_held();
	dmabufs[0] = create(dev, small, 0, pages(NPAGES));
	igt_assert_eq_s64(pins_held() - before, NPAGES);
	dmabufs[1] = create(dev, huge, 0, pages(1024));
	igt_assert(pins_held() - before > NPAGES);
	dmabufs[2] = create_list(dev, ARRAY_SIZE(items), items);
	igt_assert(pins_held() - before > 2 * NPAGES);
	close(small);
	close(huge);
	close(dmabufs[0]);
	igt_assert(pins_held() - before > NPAGES);
	close(dmabufs[2]);
	igt_assert(pins_held() - before > 0);
	close(dmabufs[1]);
	igt_assert_eq_s64(pins_held(), before);

	igt_assert_eq_s64(vmstat("nr_foll_pin_acquired") - acquired,
			  vmstat("nr_foll_pin_released") - released);
}

void udmabuf_create_subtests(int dev)
{
	igt_describe("A dma-buf of one range has the range's size and contents");
	igt_subtest("create")
		udmabuf_test(test_create, dev);
	igt_describe("A dma-buf of several slices of a memfd");
	igt_subtest("create-list")
		udmabuf_test(test_create_list, dev);
	igt_describe("Slices of several memfds, taking turns");
	igt_subtest("list-memfds")
		udmabuf_test(test_list_memfds, dev);
	igt_describe("Slices that follow each other in the memfd");
	igt_subtest("list-adjacent")
		udmabuf_test(test_list_adjacent, dev);
	igt_describe("Slices that share pages: a write shows at every place");
	igt_subtest("list-overlap")
		udmabuf_test(test_list_overlap, dev);
	igt_describe("Single pages from the last to the first");
	igt_subtest("list-reversed")
		udmabuf_test(test_list_reversed, dev);
	igt_describe("As many entries as the limit allows, all with the same page");
	igt_subtest("list-same-page")
		udmabuf_test(test_list_same_page, dev);
	igt_describe("Small, transparent huge and hugetlb pages in one dma-buf");
	igt_subtest("list-mixed")
		udmabuf_test(test_list_mixed, dev);
	igt_describe("The flag decides over close-on-exec, for both ioctls");
	igt_subtest("cloexec")
		udmabuf_test(test_cloexec, dev);
	igt_describe("Flags without a meaning are accepted and change nothing");
	igt_subtest("unknown-flags")
		udmabuf_test(test_unknown_flags, dev);
	igt_describe("The memfd is closed and unmapped before the first use");
	igt_subtest("memfd-closed")
		udmabuf_test(test_memfd_closed, dev);
	igt_describe("The device node is closed while the dma-buf is in use");
	igt_subtest("device-closed")
		udmabuf_test(test_device_closed, dev);
	igt_describe("The module cannot go while a dma-buf is there");
	igt_subtest("module-held")
		udmabuf_test(test_module_held, dev);
	igt_describe("Seals other than those against writing do no harm");
	igt_subtest("all-seals")
		udmabuf_test(test_all_seals, dev);
	igt_describe("F_SEAL_WRITE is refused until the dma-buf is gone");
	igt_subtest("seal-write")
		udmabuf_test(test_seal_write, dev);
	igt_describe("The FOLL_PIN counters show each folio while a dma-buf has it, and are "
		     "balanced when all dma-bufs are gone");
	igt_subtest("pins-balanced")
		udmabuf_test(test_pins_balanced, dev);
}
