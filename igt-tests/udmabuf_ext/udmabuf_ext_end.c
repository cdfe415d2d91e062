// SPDX-License-Identifier: MIT
/*
 * Files that end within a page, as pools do that are as large as their pictures. What
 * lies behind the end in that page is shared, as by a mapping of the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "igt.h"
#include "udmabuf_ext.h"

#define PARTIAL_PAGE	"parameters/partial_page"

/* Bytes of the last page that are the file's */
#define TAIL		100

static const struct way {
	const char *name;
	enum backing backing;
	uint32_t flags;
	int (*create)(int dev, const struct way *way, int memfd, uint64_t offset,
		      uint64_t size);
} *current;

static int create_plain(int dev, const struct way *way, int memfd, uint64_t offset,
			uint64_t size)
{
	(void)way;
	return __create(dev, memfd, offset, size);
}

static int create_by_list(int dev, const struct way *way, int memfd, uint64_t offset,
			  uint64_t size)
{
	struct udmabuf_create_item item = {
		.memfd = memfd, .offset = offset, .size = size,
	};

	(void)way;
	return __create_list(dev, 1, &item, 0);
}

static int create_by_ext(int dev, const struct way *way, int memfd, uint64_t offset,
			 uint64_t size)
{
	return __create_flags(dev, way->flags, memfd, offset, size);
}

static const struct way ways[] = {
	{ "create", SHMEM, 0, create_plain },
	{ "list", SHMEM, 0, create_by_list },
	{ "ext", SHMEM, 0, create_by_ext },
	{ "readonly", SHMEM, UDMABUF_FLAGS_READONLY, create_by_ext },
	{ "unsealed", SHMEM, UDMABUF_FLAGS_UNSEALED, create_by_ext },
	{ "thp", THP, 0, create_plain },
};

/* The size in pages; with huge pages the last one is full but for a part of a page. */
static size_t whole_pages(void)
{
	return current->backing == THP ? PMD_PAGES : 5;
}

static int make_memfd(void)
{
	size_t size = pages(whole_pages() - 1) + TAIL;

	return current->flags & UDMABUF_FLAGS_UNSEALED ?
	       unsealed_memfd(current->backing, size) :
	       sealed_memfd(current->backing, size);
}

/* All but the last page are filled; of that, what is the file's is. */
static char *fill_memfd(int memfd)
{
	size_t last = whole_pages() - 1;
	char *mem = map_fd(memfd, pages(last + 1));

	fill(mem, 0, last, 1);
	memset(mem + pages(last), 7, TAIL);
	return mem;
}

static bool tail_is(const char *page, char value, char behind)
{
	for (size_t i = 0; i < page_size(); i++)
		if (page[i] != (i < TAIL ? value : behind))
			return false;
	return true;
}

static void test_in_page(int dev)
{
	int memfd = make_memfd(), dmabuf;
	size_t count = whole_pages(), last = count - 1;
	char *mem = fill_memfd(memfd), *buf;
	char byte;

	dmabuf = current->create(dev, current, memfd, 0, pages(count));
	igt_assert_lte(0, dmabuf);
	igt_assert_eq_u64(fd_size(dmabuf), pages(count));
	buf = mmap(NULL, pages(count), PROT_READ, MAP_SHARED, dmabuf, 0);
	igt_assert(buf != MAP_FAILED);
	igt_assert_eq(count_filled(buf, 0, last, 1), last);
	igt_assert(tail_is(buf + pages(last), 7, 0));

	/* Behind the end it is no contents of the file, and shared all the same. */
	memset(mem + pages(last), 8, page_size());
	igt_assert(tail_is(buf + pages(last), 8, 8));
	igt_assert_eq(pread(memfd, &byte, 1, pages(last) + TAIL), 0);
	igt_assert_eq_u64(fd_size(memfd), pages(last) + TAIL);

	/* The last page alone */
	close(dmabuf);
	dmabuf = current->create(dev, current, memfd, pages(last), page_size());
	igt_assert_lte(0, dmabuf);
	unmap(buf, pages(count));
	buf = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, dmabuf, 0);
	igt_assert(buf != MAP_FAILED);
	memset(mem + pages(last), 9, page_size());
	igt_assert(tail_is(buf, 9, 9));
	unmap(buf, page_size());
	close(dmabuf);
	unmap(mem, pages(count));
	close(memfd);
}

/* With @end, a byte offset, a file of shmem is refused from the page behind on. */
static void check_end(int dev, size_t end)
{
	int memfd = sealed_memfd(SHMEM, end);
	size_t size = (end + page_size() - 1) / page_size() * page_size();

	for (current = ways; current->backing == SHMEM; current++) {
		igt_assert_eq(current->create(dev, current, memfd, 0,
					      size + page_size()), -EINVAL);
		igt_assert_eq(current->create(dev, current, memfd, size,
					      page_size()), -EINVAL);
		if (size)
			close(current->create(dev, current, memfd, 0, size));
	}
	/* A pinned page would make this fail with EBUSY. */
	seal(memfd, F_SEAL_WRITE);
	close(memfd);
}

static void test_refused(int dev)
{
	check_end(dev, 0);
	check_end(dev, 1);
	check_end(dev, page_size() - 1);
	check_end(dev, page_size());
	check_end(dev, page_size() + 1);
}

static void test_grow(int dev)
{
	int memfd, dmabuf;
	char *mem, *buf;

	current = ways;
	memfd = make_memfd();
	dmabuf = create(dev, memfd, 0, pages(whole_pages()));
	buf = map_fd(dmabuf, pages(whole_pages()));
	memset(buf + pages(whole_pages() - 1), 9, page_size());
	igt_assert_eq(ftruncate(memfd, pages(whole_pages() + 1)), 0);
	mem = map_fd(memfd, pages(whole_pages() + 1));
	/* Whether the kernel zeroes it then is its own affair. */
	igt_assert(tail_is(mem + pages(whole_pages() - 1), 9, 9) ||
		   tail_is(mem + pages(whole_pages() - 1), 9, 0));
	igt_assert_eq(count_zero(mem + pages(whole_pages()), 1), 1);
	memset(mem, 3, pages(whole_pages() + 1));
	igt_assert(tail_is(buf + pages(whole_pages() - 1), 3, 3));
	unmap(mem, pages(whole_pages() + 1));
	unmap(buf, pages(whole_pages()));
	close(dmabuf);
	close(memfd);
}

static void test_parameter(int dev)
{
	int memfd;

	current = ways;
	memfd = make_memfd();
	set_module_attribute(dev, PARTIAL_PAGE, 0);
	igt_assert_eq_u64(get_info(dev).features & UDMABUF_FEATURE_PARTIAL_PAGE, 0);
	for (current = ways; current->backing == SHMEM; current++) {
		igt_assert_eq(current->create(dev, current, memfd, 0,
					      pages(whole_pages())), -EINVAL);
		close(create(dev, memfd, 0, pages(whole_pages() - 1)));
	}
	seal(memfd, F_SEAL_WRITE);
	close(memfd);
}

void udmabuf_ext_end_subtests(int dev)
{
	for (current = ways; current < ways + ARRAY_SIZE(ways); current++) {
		igt_describe_f("A range up to the end of the page that holds the file's last "
			       "byte, with %s", current->name);
		igt_subtest_f("end-in-page-%s", current->name)
			udmabuf_test(test_in_page, dev);
	}
	igt_describe("No page behind that one, nor the first one of an empty file");
	igt_subtest("end-in-page-refused")
		udmabuf_test(test_refused, dev);
	igt_describe("What is written behind the end is the file's when it has grown");
	igt_subtest("end-in-page-grow")
		udmabuf_test(test_grow, dev);
	igt_describe("partial_page=N brings EINVAL back, and UDMABUF_GET_INFO tells");
	igt_subtest("end-in-page-parameter")
		udmabuf_test(test_parameter, dev);
}
