// SPDX-License-Identifier: MIT
/*
 * The ioctls of /dev/udmabuf without memory for one of their allocations.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "fail_nth.h"
#include "igt.h"
#include "udmabuf_ext_helper.h"

/* More than one file; the slices of a file are no neighbours. */
#define SLICES	3

static const struct content *current;
static int udmabuf, memfd, other, dmabuf;
static uint32_t flags;
static void *mem;

static struct udmabuf_create single;
static struct udmabuf_create_ext ext;
static struct {
	struct udmabuf_create_list head;
	struct udmabuf_create_item items[SLICES];
} list;

static void make_file(void)
{
	memfd = content_memfd(current);
	mem = map_fd(memfd, pages(content_pages(current)));
	/* These are filled through the mapping, and others by the filesystem. */
	if (current->backing == THP && current->holes)
		igt_assert_eq(madvise(mem, pages(content_pages(current)),
				      MADV_HUGEPAGE), 0);
	if (!(flags & UDMABUF_FLAGS_UNSEALED))
		seal(memfd, F_SEAL_SHRINK);
	if (flags & UDMABUF_FLAGS_READONLY)
		seal(memfd, F_SEAL_FUTURE_WRITE);
}

static void check_file(void)
{
	check_content(current, mem);
}

static void close_file(void)
{
	unmap(mem, pages(content_pages(current)));
	close(memfd);
}

static void close_all(int result)
{
	close(result);
	close_file();
}

static int new_descriptor(unsigned long cmd, void *arg)
{
	int fd = ioctl(udmabuf, cmd, arg);

	return fd < 0 ? -errno : fd;
}

/* UDMABUF_CREATE */

static void prepare_create(void)
{
	make_file();
	single = (struct udmabuf_create) {
		.memfd = memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = pages(content_pages(current)),
	};
}

static int attempt_create(void)
{
	return new_descriptor(UDMABUF_CREATE, &single);
}

static void test_create(int dev)
{
	udmabuf = dev;
	flags = 0;
	try_all(&(struct trial) {
		.prepare = prepare_create,
		.attempt = attempt_create,
		.check = check_file,
		.finish = close_all,
	});
}

/* UDMABUF_CREATE, by a user of whom nothing is known */

/* Of the users who share a lock, the one is remembered who was the last to have pins. */
#define OTHERS	128

static void prepare_first(void)
{
	prepare_create();
	for (uid_t user = 1; user <= OTHERS; user++) {
		igt_assert_eq(setresuid(user, -1, -1), 0);
		close(create(udmabuf, memfd, 0, page_size()));
	}
	igt_assert_eq(setresuid(0, -1, -1), 0);
}

/* A user whose memory cgroup is full keeps nobody waiting but itself. */
static void test_first(int dev)
{
	current = &contents[0];
	udmabuf = dev;
	flags = 0;
	try_all(&(struct trial) {
		.prepare = prepare_first,
		.attempt = attempt_create,
		.check = check_file,
		.finish = close_all,
	});
	igt_assert(!allocates_under("&tree->lock"));
}

/* UDMABUF_CREATE_LIST */

static void prepare_list(void)
{
	size_t part = content_pages(current) / 4;

	make_file();
	other = sealed_memfd(SHMEM, pages(4));
	list.head = (struct udmabuf_create_list) {
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.count = SLICES,
	};
	list.items[0] = (struct udmabuf_create_item) {
		.memfd = memfd, .offset = pages(2 * part), .size = pages(part),
	};
	list.items[1] = (struct udmabuf_create_item) {
		.memfd = memfd, .size = pages(part),
	};
	list.items[2] = (struct udmabuf_create_item) {
		.memfd = other, .size = pages(4),
	};
}

static int attempt_list(void)
{
	return new_descriptor(UDMABUF_CREATE_LIST, &list);
}

static void finish_list(int result)
{
	close(other);
	close_all(result);
}

static void test_list(int dev)
{
	udmabuf = dev;
	flags = 0;
	try_all(&(struct trial) {
		.prepare = prepare_list,
		.attempt = attempt_list,
		.check = check_file,
		.finish = finish_list,
	});
}

/* UDMABUF_CREATE_EXT */

static void prepare_ext(void)
{
	make_file();
	list.items[0] = (struct udmabuf_create_item) {
		.memfd = memfd, .size = pages(content_pages(current)),
	};
	ext = (struct udmabuf_create_ext) {
		.flags = flags | UDMABUF_FLAGS_CLOEXEC,
		.count = 1,
		.items = (uintptr_t)list.items,
		.fd = -1,
	};
}

static int attempt_ext(void)
{
	return ioctl(udmabuf, UDMABUF_CREATE_EXT, &ext) ? -errno : ext.fd;
}

static void try_ext(int dev)
{
	udmabuf = dev;
	try_all(&(struct trial) {
		.prepare = prepare_ext,
		.attempt = attempt_ext,
		.check = check_file,
		.finish = close_all,
	});
}

static void test_readonly(int dev)
{
	flags = UDMABUF_FLAGS_READONLY;
	try_ext(dev);
}

static void test_unsealed(int dev)
{
	flags = UDMABUF_FLAGS_UNSEALED;
	try_ext(dev);
}

/* UDMABUF_GET_INFO */

static void prepare_nothing(void)
{
}

static int attempt_info(void)
{
	struct udmabuf_info info;

	return ioctl(udmabuf, UDMABUF_GET_INFO, &info) ? -errno : 0;
}

static void finish_nothing(int result)
{
	igt_assert_eq(result, 0);
}

static void test_info(int dev)
{
	udmabuf = dev;
	try_all(&(struct trial) {
		.prepare = prepare_nothing,
		.attempt = attempt_info,
		.finish = finish_nothing,
		.never_fails = true,
	});
}

/* Closing */

static void prepare_close(void)
{
	make_file();
	dmabuf = create(udmabuf, memfd, 0, pages(content_pages(current)));
}

static int attempt_close(void)
{
	return close(dmabuf) ? -errno : 0;
}

static void finish_close(int result)
{
	igt_assert_eq(result, 0);
	check_file();
	close_file();
}

static void test_close(int dev)
{
	udmabuf = dev;
	flags = 0;
	try_all(&(struct trial) {
		.prepare = prepare_close,
		.attempt = attempt_close,
		.finish = finish_close,
		.never_fails = true,
	});
}

void fail_nth_create_subtests(int dev)
{
	for (current = contents; current < contents + ARRAY_SIZE(contents); current++) {
		igt_describe_f("UDMABUF_CREATE of a memfd of %s", current->name);
		igt_subtest_f("create-%s", current->name)
			udmabuf_test(test_create, dev);
		igt_describe_f("UDMABUF_CREATE_LIST of slices of a memfd of %s and of another one",
			       current->name);
		igt_subtest_f("create-list-%s", current->name)
			udmabuf_test(test_list, dev);
		igt_describe_f("UDMABUF_CREATE_EXT of a memfd of %s that is sealed against "
			       "writing", current->name);
		igt_subtest_f("create-readonly-%s", current->name)
			udmabuf_test(test_readonly, dev);
		igt_describe_f("UDMABUF_CREATE_EXT of a memfd of %s that is not sealed",
			       current->name);
		igt_subtest_f("create-unsealed-%s", current->name)
			udmabuf_test(test_unsealed, dev);
		igt_describe_f("The last close of a dma-buf of %s releases all of it",
			       current->name);
		igt_subtest_f("close-%s", current->name)
			udmabuf_test(test_close, dev);
	}
	igt_describe("UDMABUF_CREATE by a user who had nothing pinned. What is allocated for "
		     "that, is so without the lock that it shares with others");
	igt_subtest("create-first")
		udmabuf_test(test_first, dev);
	igt_describe("UDMABUF_GET_INFO needs no memory");
	igt_subtest("get-info")
		udmabuf_test(test_info, dev);
}
