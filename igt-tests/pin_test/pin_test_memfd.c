// SPDX-License-Identifier: MIT
/*
 * Pins on memfd ranges, by memfd_pin_range() of memfd_pin.ko and by
 * memfd_pin_folios(): what is pinned, and what is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>

#include "igt.h"
#include "pin_test.h"

/* Ranges in pages */
static const struct range {
	const char *name;
	enum backing backing;
	size_t size, first, count;
} ranges[] = {
	{ "shmem", SHMEM, 64, 0, 64 },
	{ "shmem-middle", SHMEM, 64, 17, 5 },
	{ "thp", THP, 1024, 0, 1024 },
	{ "thp-middle", THP, 1536, 500, 600 },
	{ "hugetlb", HUGE_2M, 1024, 0, 1024 },
	{ "hugetlb-middle", HUGE_2M, 1536, 500, 600 },
};

static const struct range *current;
static unsigned int call;

static size_t folio_pages(void)
{
	return folio_size(current->backing) / page_size();
}

/* Entry i is page i, each at its place in its folio. */
static void check_pages(int dev)
{
	for (size_t i = 0; i < current->count; i++) {
		struct pin_test_page page = query(dev, i);

		igt_assert_eq_s64(page.index,
				  (current->first + i) % folio_pages());
		igt_assert(page.flags & PIN_TEST_PAGE_UPTODATE);
		igt_assert(strcmp(page.zone, "Movable"));
	}
	igt_assert(!queryable(dev, current->count));
}

/* Entry i is a whole folio; the first one's may begin before the range. */
static void check_folios(int dev, size_t nr)
{
	size_t first = current->first / folio_pages();
	size_t last = (current->first + current->count - 1) / folio_pages();

	igt_assert_eq(nr, last - first + 1);
	for (size_t i = 0; i < nr; i++) {
		struct pin_test_page page = query(dev, i);

		igt_assert_eq_s64(page.index, 0);
		igt_assert_eq(1 << page.order, (int)folio_pages());
		igt_assert_eq(page.pins, 1);
		igt_assert(page.flags & PIN_TEST_PAGE_UPTODATE);
		igt_assert(strcmp(page.zone, "Movable"));
	}
	igt_assert(!queryable(dev, nr));
}

static void test_memfd(void)
{
	size_t first = current->first, count = current->count, nr, size;
	int memfd, dev;
	char *mem;

	require_pinnable(current->backing);
	size = whole_folios(current->backing, pages(current->size));
	memfd = unsealed_memfd(current->backing, size);
	mem = map_fd(memfd, size);
	dev = open_device();
	fill(mem, 0, current->size, 1);
	nr = __pin_memfd(dev, call, memfd, pages(first), pages(count));
	if (call == PIN_TEST_MEMFD) {
		igt_assert_eq(nr, count);
		check_pages(dev);
		for (size_t i = 0; i < count; i++) {
			igt_assert_eq_u64(device_read(dev, i),
					  *(uint64_t *)(mem + pages(first + i)));
			device_write(dev, i, i);
			igt_assert_eq_u64(*(uint64_t *)(mem + pages(first + i)),
					  i);
		}
	} else {
		size_t start = first - first % folio_pages();

		check_folios(dev, nr);
		for (size_t i = 0; i < nr; i++)
			igt_assert_eq_u64(device_read(dev, i), *(uint64_t *)
				(mem + pages(start + i * folio_pages())));
	}
	unpin(dev, PIN_TEST_DIRTY);
	unmap(mem, size);
	close(memfd);
}

/* Nothing is there before; fallocate() leaves pages that are not uptodate. */
static void check_filled_in(bool allocate)
{
	int memfd = unsealed_memfd(SHMEM, pages(64)), dev;
	void *mem;

	if (allocate)
		igt_assert_eq(fallocate(memfd, 0, 0, pages(64)), 0);
	dev = pin_memfd(PIN_TEST_MEMFD, memfd, 0, pages(64));
	for (size_t i = 0; i < 64; i++) {
		igt_assert(query(dev, i).flags & PIN_TEST_PAGE_UPTODATE);
		igt_assert_eq_u64(device_read(dev, i), 0);
		device_write(dev, i, i + 1);
	}
	mem = map_fd(memfd, pages(64));
	for (size_t i = 0; i < 64; i++)
		igt_assert_eq_u64(((uint64_t *)mem)[i * page_size() / 8], i + 1);
	unmap(mem, pages(64));
	unpin(dev, PIN_TEST_DIRTY);
	close(memfd);
}

static void test_holes(void)
{
	check_filled_in(false);
}

static void test_fallocated(void)
{
	check_filled_in(true);
}

static void test_refused(void)
{
	int memfd = unsealed_memfd(SHMEM, pages(4)), dev = open_device();
	int null = open("/dev/null", O_RDWR), gone = dup(null);
	size_t page = page_size();
	const struct {
		int fd;
		int64_t offset, size;
	} bad[] = {
		{ gone, 0, page },		/* passes NULL on */
		{ null, 0, page },		/* no memfd */
		{ dev, 0, page },
		{ memfd, 0, 0 },		/* empty */
		{ memfd, 2 * page, -page },	/* reversed */
		{ memfd, -page, page },		/* before the file */
		{ memfd, -page, 2 * page },
		{ memfd, 4 * page, page },	/* past its end */
		{ memfd, 3 * page, 2 * page },
		{ memfd, 0, 4 * page + 1 },
		{ memfd, INT64_MAX, 1 },
		{ memfd, INT64_MIN, page },
	};

	close(gone);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		igt_assert_f(__pin_memfd(dev, call, bad[i].fd, bad[i].offset,
					 bad[i].size) == -EINVAL,
			     "range %zu is not refused\n", i);
	/* The last byte is good. */
	igt_assert_eq_s64(__pin_memfd(dev, call, memfd, pages(4) - 1, 1), 1);
	unpin(dev, PIN_TEST_CLEAN);
	close(null);
	close(memfd);
}

static void subtests_of(const char *name, const char *text)
{
	for (current = ranges; current < ranges + ARRAY_SIZE(ranges); current++) {
		igt_describe_f("%s, with %s", text, current->name);
		igt_subtest_f("%s-%s", name, current->name)
			pin_test(test_memfd);
	}
	igt_describe_f("%s, with files and ranges that are refused", text);
	igt_subtest_f("%s-refused", name)
		pin_test(test_refused);
}

void pin_memfd_subtests(void)
{
	call = PIN_TEST_MEMFD;
	subtests_of("memfd", "memfd_pin_range() gives each page of the range");
	call = PIN_TEST_MEMFD_FOLIOS;
	subtests_of("memfd-folios", "memfd_pin_folios() gives each folio of the range");
	igt_describe("Holes are filled");
	igt_subtest("memfd-holes")
		pin_test(test_holes);
	igt_describe("Pages that fallocate() has left without contents are zeroed before they are "
		     "pinned");
	igt_subtest("memfd-fallocated")
		pin_test(test_fallocated);
}
