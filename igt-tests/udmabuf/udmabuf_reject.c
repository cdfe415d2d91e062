// SPDX-License-Identifier: MIT
/*
 * What UDMABUF_CREATE and UDMABUF_CREATE_LIST refuse, with which error, and that
 * a refused call leaves nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "igt.h"
#include "udmabuf.h"

/* Aligned to pages of every size in use, so that constants can be made of it. */
#define UNIT		0x10000ULL
#define FILE_SIZE	(4 * UNIT)

static int good_memfd(void)
{
	return sealed_memfd(SHMEM, FILE_SIZE);
}

static int good_hugetlb(void)
{
	return sealed_memfd(HUGE_2M, MIB(2));
}

static int unsealed(void)
{
	return unsealed_memfd(SHMEM, FILE_SIZE);
}

static int write_sealed(void)
{
	int fd = good_memfd();

	seal(fd, F_SEAL_WRITE);
	return fd;
}

static int future_write_sealed(void)
{
	int fd = good_memfd();

	seal(fd, F_SEAL_FUTURE_WRITE);
	return fd;
}

/* Only its number; to close it once more does no harm. */
static int closed_fd(void)
{
	int fd = good_memfd();

	close(fd);
	return fd;
}

static int path_fd(void)
{
	int fd = good_memfd(), path = reopen(fd, O_PATH);

	close(fd);
	return path;
}

static int dev_null(void)
{
	return open("/dev/null", O_RDWR);
}

/* On tmpfs, as a memfd is, but nothing can be sealed there. */
static int tmpfs_file(void)
{
	int fd = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);

	igt_require_f(fd >= 0, "no tmpfs on /dev/shm\n");
	igt_assert_eq(ftruncate(fd, FILE_SIZE), 0);
	return fd;
}

static const struct reject {
	const char *name;
	int (*file)(void);
	uint64_t offset, size;
	int error;
} rejects[] = {
	{ "unsealed", unsealed, 0, FILE_SIZE, EINVAL },
	{ "write-sealed", write_sealed, 0, FILE_SIZE, EINVAL },
	{ "future-write-sealed", future_write_sealed, 0, FILE_SIZE, EINVAL },
	{ "closed-fd", closed_fd, 0, FILE_SIZE, EBADFD },
	{ "path-fd", path_fd, 0, FILE_SIZE, EBADFD },
	{ "not-memfd", dev_null, 0, FILE_SIZE, EBADFD },
	{ "tmpfs-file", tmpfs_file, 0, FILE_SIZE, EINVAL },
	{ "offset-unaligned", good_memfd, 1, UNIT, EINVAL },
	{ "offset-half-page", good_memfd, 2048, UNIT, EINVAL },
	{ "size-unaligned", good_memfd, 0, UNIT + 1, EINVAL },
	{ "size-half-page", good_memfd, 0, UNIT - 2048, EINVAL },
	{ "size-zero", good_memfd, 0, 0, EINVAL },
	{ "size-zero-inside", good_memfd, UNIT, 0, EINVAL },
	{ "size-past-end", good_memfd, 0, FILE_SIZE + UNIT, EINVAL },
	{ "end-past-end", good_memfd, 3 * UNIT, 2 * UNIT, EINVAL },
	{ "offset-past-end", good_memfd, FILE_SIZE, UNIT, EINVAL },
	{ "hugetlb-past-end", good_hugetlb, MIB(1), MIB(2), EINVAL },
	{ "wrap-to-zero", good_memfd, -UNIT, UNIT, EINVAL },
	{ "wrap-inside", good_memfd, -UNIT, 2 * UNIT, EINVAL },
	{ "wrap-signed", good_memfd, INT64_MAX - UNIT + 1, UNIT, EINVAL },
	{ "offset-negative", good_memfd, 1ULL << 63, UNIT, EINVAL },
	{ "size-huge", good_memfd, UNIT, -UNIT, EINVAL },
};

/* Alone, as a list, and at the end of a list whose beginning is good. */
static void check_reject(int dev, const struct reject *reject)
{
	int good = good_memfd(), bad = reject->file();
	struct udmabuf_create_item items[] = {
		{ .memfd = good, .offset = 0, .size = FILE_SIZE },
		{ .memfd = bad, .offset = reject->offset, .size = reject->size },
	};

	igt_assert_eq(__create(dev, bad, reject->offset, reject->size),
		      -reject->error);
	igt_assert_eq(__create_list(dev, 1, &items[1], 0), -reject->error);
	igt_assert_eq(__create_list(dev, 2, items, 0), -reject->error);

	/* A pinned page would make this fail with EBUSY. */
	seal(good, F_SEAL_WRITE);
	close(good);
	close(bad);
}

static const struct reject *current;

static void test_reject(int dev)
{
	check_reject(dev, current);
}

static int list_count_error(int dev, uint32_t count)
{
	struct udmabuf_create_list head = { .count = count };

	return ioctl(dev, UDMABUF_CREATE_LIST, &head) < 0 ? -errno : 0;
}

static void test_count_zero(int dev)
{
	igt_assert_eq(list_count_error(dev, 0), -EINVAL);
}

static void test_count_over_limit(int dev)
{
	int64_t limit = module_attribute(dev, "parameters/list_limit");
	struct udmabuf_create_item *items = calloc(limit + 1, sizeof(*items));
	int memfd = good_memfd(), dmabuf;

	igt_assert(items);
	for (int64_t i = 0; i <= limit; i++) {
		items[i].memfd = memfd;
		items[i].size = page_size();
	}
	igt_assert_eq(__create_list(dev, limit + 1, items, 0), -EINVAL);
	dmabuf = create_list(dev, limit, items);
	close(dmabuf);

	igt_assert_eq(list_count_error(dev, 1U << 31), -EINVAL);
	igt_assert_eq(list_count_error(dev, UINT32_MAX), -EINVAL);
	free(items);
	close(memfd);
}

static void test_size_over_limit(int dev)
{
	const uint64_t limit = MIB(64);
	int memfd = sealed_memfd(SHMEM, limit + UNIT), dmabuf;
	struct udmabuf_create_item items[] = {
		{ .memfd = memfd, .offset = 0, .size = limit },
		{ .memfd = memfd, .offset = 0, .size = page_size() },
	};

	set_module_attribute(dev, "parameters/size_limit_mb", limit / MIB(1));
	igt_assert_eq(__create(dev, memfd, 0, limit + page_size()), -EINVAL);
	igt_assert_eq(__create_list(dev, 2, items, 0), -EINVAL);
	/* The sum of these wraps around to one page. */
	items[0].size = -page_size();
	items[1].size = 2 * page_size();
	igt_assert_eq(__create_list(dev, 2, items, 0), -EINVAL);

	dmabuf = create(dev, memfd, 0, limit);
	close(dmabuf);
	close(memfd);
}

/* A page has room for a limited number of pins, and nobody must wrap it around. */
static void test_too_many_pins(int dev)
{
	const uint32_t count = 1 << 16;
	struct udmabuf_create_item *items = calloc(count, sizeof(*items));
	int memfd = good_memfd(), dmabufs[32], made;

	igt_assert(items);
	set_module_attribute(dev, "parameters/list_limit", count);
	set_module_attribute(dev, "parameters/size_limit_mb",
			     pages(count) / MIB(1));
	for (uint32_t i = 0; i < count; i++) {
		items[i].memfd = memfd;
		items[i].size = page_size();
	}

	/* 2^31 references are 32 times 2^16 pins of 2^10 references. */
	for (made = 0; made < (int)ARRAY_SIZE(dmabufs); made++) {
		dmabufs[made] = __create_list(dev, count, items, 0);
		if (dmabufs[made] < 0)
			break;
	}
	igt_info("%d dma-bufs of %u times the same page\n", made, count);
	igt_assert_lt(made, ARRAY_SIZE(dmabufs));
	igt_assert_eq(dmabufs[made], -ENOMEM);
	while (made--)
		close(dmabufs[made]);

	seal(memfd, F_SEAL_WRITE);
	close(memfd);
	free(items);
}

static void test_user_pointer(int dev)
{
	struct udmabuf_create_list *list;
	struct udmabuf_create *arg;
	int memfd = good_memfd();
	char *map;

	/* Two pages, of which only the first can be read. */
	map = mmap(NULL, pages(2), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	igt_assert(map != MAP_FAILED);
	igt_assert_eq(mprotect(map + page_size(), page_size(), PROT_NONE), 0);

	igt_assert_eq(ioctl(dev, UDMABUF_CREATE, NULL), -1);
	igt_assert_eq(errno, EFAULT);
	igt_assert_eq(ioctl(dev, UDMABUF_CREATE_LIST, NULL), -1);
	igt_assert_eq(errno, EFAULT);

	arg = (void *)(map + page_size() - sizeof(*arg) / 2);
	igt_assert_eq(ioctl(dev, UDMABUF_CREATE, arg), -1);
	igt_assert_eq(errno, EFAULT);

	/* The second entry of the list is out of reach. */
	list = (void *)(map + page_size() - sizeof(*list) -
			sizeof(list->list[0]));
	list->flags = 0;
	list->count = 2;
	list->list[0].memfd = memfd;
	list->list[0].size = UNIT;
	igt_assert_eq(ioctl(dev, UDMABUF_CREATE_LIST, list), -1);
	igt_assert_eq(errno, EFAULT);

	seal(memfd, F_SEAL_WRITE);
	unmap(map, pages(2));
	close(memfd);
}

static void test_no_descriptor_left(int dev)
{
	int memfd = good_memfd();
	struct rlimit old, none;
	int ret;

	igt_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	igt_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ret = __create(dev, memfd, 0, FILE_SIZE);
	igt_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	igt_assert_eq(ret, -EMFILE);

	seal(memfd, F_SEAL_WRITE);
	close(memfd);
}

static void test_dmabuf_as_memfd(int dev)
{
	int memfd = good_memfd(), dmabuf = create(dev, memfd, 0, FILE_SIZE);

	igt_assert_eq(__create(dev, dmabuf, 0, FILE_SIZE), -EBADFD);
	close(dmabuf);
	close(memfd);
}

static void test_unknown_ioctl(int dev)
{
	char buf[8] = "";

	igt_assert_eq(ioctl(dev, _IO('u', 0xff), 0), -1);
	igt_assert_eq(errno, ENOTTY);
	igt_assert_eq(read(dev, buf, sizeof(buf)), -1);
	igt_assert_eq(errno, EINVAL);
	igt_assert_eq(write(dev, buf, sizeof(buf)), -1);
	igt_assert_eq(errno, EINVAL);
}

void udmabuf_reject_subtests(int dev)
{
	for (current = rejects; current < rejects + ARRAY_SIZE(rejects);
	     current++) {
		igt_describe_f("UDMABUF_CREATE, and UDMABUF_CREATE_LIST with it as only or second "
			       "entry, refuse %s, and nothing stays pinned", current->name);
		igt_subtest_f("reject-%s", current->name)
			udmabuf_test(test_reject, dev);
	}
	igt_describe("A list without entries is refused");
	igt_subtest("reject-count-zero")
		udmabuf_test(test_count_zero, dev);
	igt_describe("A list longer than list_limit is refused, one as long is not");
	igt_subtest("reject-count-over-limit")
		udmabuf_test(test_count_over_limit, dev);
	igt_describe("More than size_limit_mb is refused, even if the sum wraps around; exactly "
		     "that much is not");
	igt_subtest("reject-size-over-limit")
		udmabuf_test(test_size_over_limit, dev);
	igt_describe("A page that is listed millions of times is refused in time");
	igt_subtest("reject-too-many-pins")
		udmabuf_test(test_too_many_pins, dev);
	igt_describe("Arguments that cannot be read, as a whole or in part");
	igt_subtest("reject-user-pointer")
		udmabuf_test(test_user_pointer, dev);
	igt_describe("EMFILE leaves nothing pinned");
	igt_subtest("reject-no-descriptor-left")
		udmabuf_test(test_no_descriptor_left, dev);
	igt_describe("A dma-buf is not a memfd");
	igt_subtest("reject-dmabuf-as-memfd")
		udmabuf_test(test_dmabuf_as_memfd, dev);
	igt_describe("The device has no other ioctls, and no read() and write()");
	igt_subtest("reject-unknown-ioctl")
		udmabuf_test(test_unknown_ioctl, dev);
}
