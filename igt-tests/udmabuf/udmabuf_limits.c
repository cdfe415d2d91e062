// SPDX-License-Identifier: MIT
/*
 * The limits of /dev/udmabuf: they are where programs look for them, and no number of
 * entries gets round them.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cgroup_helper.h"
#include "igt.h"
#include "udmabuf.h"

/* Programs know no other place, whichever driver /dev/udmabuf is. */
#define WELL_KNOWN	"/sys/module/udmabuf/parameters/"
#define LIST_LIMIT	WELL_KNOWN "list_limit"
#define SIZE_LIMIT	WELL_KNOWN "size_limit_mb"

static long limit(const char *path)
{
	char line[32];

	igt_require_f(!read_line(path, line, sizeof(line)),
		      "the kernel has no udmabuf built in\n");
	return strtol(line, NULL, 10);
}

/* A list of so many times the same page, or a negative error */
static int same_page(int dev, int memfd, uint32_t count)
{
	struct udmabuf_create_item *items = calloc(count, sizeof(*items));
	int dmabuf;

	igt_assert(items);
	for (uint32_t i = 0; i < count; i++) {
		items[i].memfd = memfd;
		items[i].size = page_size();
	}
	dmabuf = __create_list(dev, count, items, UDMABUF_FLAGS_CLOEXEC);
	free(items);
	return dmabuf;
}

static void check_list_limit(int dev, int memfd, long count)
{
	int dmabuf = same_page(dev, memfd, count);

	igt_assert_lte(0, dmabuf);
	igt_assert_eq_u64(fd_size(dmabuf), pages(count));
	close(dmabuf);
	igt_assert_eq(same_page(dev, memfd, count + 1), -EINVAL);
}

static void test_list_limit(int dev)
{
	int memfd = sealed_memfd(SHMEM, page_size());

	check_list_limit(dev, memfd, limit(LIST_LIMIT));
	set(LIST_LIMIT, "%d", 3);
	check_list_limit(dev, memfd, 3);
	set(LIST_LIMIT, "%d", 2000);
	check_list_limit(dev, memfd, 2000);
	igt_assert_eq_s64(module_attribute(dev, "parameters/list_limit"), 2000);
	close(memfd);
}

static void test_size_limit(int dev)
{
	int memfd = sealed_memfd(SHMEM, MIB(4));

	igt_assert_lte(0, limit(SIZE_LIMIT));
	for (int mb = 1; mb < 4; mb += 2) {
		set(SIZE_LIMIT, "%d", mb);
		close(create(dev, memfd, 0, MIB(mb)));
		igt_assert_eq(__create(dev, memfd, 0, MIB(mb) + page_size()),
			      -EINVAL);
	}
	close(memfd);
}

/*
 * A list of so many entries, of which only two can be read, since the page behind them
 * cannot: 0 or a negative error
 */
static int claim(int dev, uint32_t count)
{
	const size_t entries = 2 * sizeof(struct udmabuf_create_item);
	struct udmabuf_create_list *list;
	int memfd = sealed_memfd(SHMEM, page_size()), fd, err;
	char *mem = mmap(NULL, pages(2), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	igt_assert(mem != MAP_FAILED);
	igt_assert_eq(mprotect(mem + page_size(), page_size(), PROT_NONE), 0);
	list = (void *)(mem + page_size() - sizeof(*list) - entries);
	list->count = count;
	for (int i = 0; i < 2; i++) {
		list->list[i].memfd = memfd;
		list->list[i].size = page_size();
	}
	fd = ioctl(dev, UDMABUF_CREATE_LIST, list);
	err = fd < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	unmap(mem, pages(2));
	close(memfd);
	return err;
}

static void require_no_limit(int dev)
{
	const char *name = "parameters/list_limit";
	int64_t old = module_attribute(dev, name);

	igt_require_f(!__set_module_attribute(dev, name, UINT32_MAX),
		      "the driver has a limit of its own\n");
	__set_module_attribute(dev, name, old);
	/* This time it is put back when the subtest has ended. */
	set_module_attribute(dev, name, UINT32_MAX);
}

static void test_list_wraps(int dev)
{
	const uint64_t bytes = sizeof(struct udmabuf_create_item);

	require_no_limit(dev);
	igt_assert_eq(__set_module_attribute(dev, "parameters/list_limit", -1),
		      -EINVAL);
	igt_assert_eq(claim(dev, 2), 0);
	igt_assert_eq(claim(dev, 3), -EFAULT);
	/* In 32 bits, these have 24 bytes, and the least that is negative. */
	igt_assert_eq(claim(dev, (1ULL << 32) / 8 + 1), -EINVAL);
	igt_assert_eq(claim(dev, INT_MAX / bytes + 1), -EINVAL);
	igt_assert_eq(claim(dev, INT_MAX), -EINVAL);
	igt_assert_eq(claim(dev, UINT32_MAX), -EINVAL);
}

/* What a list takes is its caller's memory, and want of it is an error like others. */
static void test_list_memory(int dev)
{
	require_no_limit(dev);
	igt_assert_eq(claim(dev, 1 << 22), -EFAULT);
	cgroup_enter("memory");
	igt_require_f(!cgroup_write("memory.max", "32M"), "no memory.max\n");
	igt_assert_eq(claim(dev, 1 << 16), -EFAULT);
	igt_assert_eq(claim(dev, 1 << 22), -ENOMEM);
	cgroup_leave();
}

void udmabuf_limits_subtests(int dev)
{
	igt_describe("list_limit below /sys/module/udmabuf is the one in force, as it is found "
		     "and as it is set there");
	igt_subtest("limits-list-published")
		udmabuf_test(test_list_limit, dev);
	igt_describe("So is size_limit_mb");
	igt_subtest("limits-size-published")
		udmabuf_test(test_size_limit, dev);
	igt_describe("With no limit at all, a list whose size in bytes wraps around is refused");
	igt_subtest("limits-list-wraps")
		udmabuf_test(test_list_wraps, dev);
	igt_describe("A list's memory is charged to its caller's control group");
	igt_subtest("limits-list-memory")
		udmabuf_test(test_list_memory, dev);
}
