// SPDX-License-Identifier: MIT
/*
 * Pins on files of a mounted filesystem, whose limits they keep: of hugetlbfs size=
 * and min_size=, and of tmpfs size=.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "hugetlb_helper.h"
#include "igt.h"
#include "mount_helper.h"
#include "pin_test.h"

#define FILE_PATH	MOUNT_DIR "/file"
#define OTHER_PATH	MOUNT_DIR "/other"

static unsigned int call;

/*
 * The kernel's own memfd_pin_folios() does not know of the mount before 6.17, and
 * has no movable page for a hole. Ours fill holes as fallocate() does, which tries
 * movable pages last, and in Linux 7.3, for one, takes a page off the mount each
 * time that it finds none.
 */
static void require_right_counts(bool none_free)
{
	int fd, ret;

	if (call == PIN_TEST_MEMFD_FOLIOS && kernel_since(6, 11)) {
		igt_require_f(kernel_since(6, 17) && !has_movable(),
			      "the kernel's function cannot fill such holes\n");
		return;
	}
	if (!none_free && !has_movable())
		return;
	close(unsealed_memfd(HUGE_2M, 0));
	mount_dir("none", "hugetlbfs", "pagesize=2M,size=2M");
	fd = create_file(FILE_PATH, MIB(2));
	ret = fallocate(fd, 0, 0, MIB(2));
	close(fd);
	igt_assert(ret);
	igt_require_f(mount_free() == MIB(2),
		      "the kernel counts wrong where no page is free\n");
	unmount_dir();
}

/* The pool as it was before the mount, with @count huge pages to be had */
static struct pool mount_hugetlbfs(int count, const char *options)
{
	struct pool before;

	require_pinnable(HUGE_2M);
	close(unsealed_memfd(HUGE_2M, count * HUGE));
	before = pool();
	mount_dir("none", "hugetlbfs", options);
	return before;
}

/* @used and @reserved huge pages of the pool, and @left for files of the mount */
static void check_counts(struct pool before, int used, int reserved, int left)
{
	check_pool(before, 0, -used, reserved, 0);
	igt_assert_eq_s64(mount_free(), left * (int64_t)HUGE);
}

static void remove_file(int fd, const char *path)
{
	close(fd);
	igt_assert_eq(unlink(path), 0);
}

static void refuse_pin(int fd, size_t offset, size_t size, int error)
{
	int64_t pins = pins_held();
	int dev = open_device();

	igt_assert_eq_s64(__pin_memfd(dev, call, fd, offset, size), -error);
	igt_assert_eq_s64(pins_held(), pins);
	close(dev);
}

static void test_within(void)
{
	struct pool before;
	int fd, dev, again;

	require_right_counts(false);
	before = mount_hugetlbfs(8, "pagesize=2M,size=8M");
	fd = create_file(FILE_PATH, MIB(8));
	dev = pin_memfd(call, fd, 0, MIB(8));
	check_counts(before, 4, 0, 0);
	again = pin_memfd(call, fd, MIB(1), MIB(6));
	check_counts(before, 4, 0, 0);
	unpin(dev, PIN_TEST_CLEAN);
	unpin(again, PIN_TEST_DIRTY);
	check_counts(before, 4, 0, 0);
	remove_file(fd, FILE_PATH);
	check_counts(before, 0, 0, 4);

	/* The pin is the last one to know the file. */
	fd = create_file(FILE_PATH, MIB(8));
	dev = pin_memfd(call, fd, 0, MIB(6));
	remove_file(fd, FILE_PATH);
	check_counts(before, 3, 0, 1);
	unpin(dev, PIN_TEST_CLEAN);
	check_counts(before, 0, 0, 4);
	unmount_dir();
	check_pool(before, 0, 0, 0, 0);
}

/* As mmap(), which is ENOMEM; fallocate() says ENOSPC for the same. */
static void test_beyond(void)
{
	struct pool before;
	int fd, other, dev, got;

	require_right_counts(false);
	before = mount_hugetlbfs(8, "pagesize=2M,size=8M");
	fd = create_file(FILE_PATH, MIB(16));
	igt_assert(mmap(NULL, MIB(16), PROT_READ, MAP_SHARED, fd, 0) ==
		   MAP_FAILED && errno == ENOMEM);
	igt_assert(fallocate(fd, 0, 0, MIB(16)) && errno == ENOSPC);
	igt_assert_eq(ftruncate(fd, 0), 0);
	igt_assert_eq(ftruncate(fd, MIB(16)), 0);
	check_counts(before, 0, 0, 4);

	/* What was got on the way belongs to the file, as after page faults. */
	refuse_pin(fd, 0, MIB(16), ENOMEM);
	got = fd_allocated(fd) / HUGE;
	check_counts(before, got, 0, 4 - got);
	refuse_pin(fd, pages(1), MIB(8), ENOMEM);
	igt_assert_eq(ftruncate(fd, 0), 0);
	check_counts(before, 0, 0, 4);

	/* Nothing is left: nothing changes, and what is there can be pinned. */
	igt_assert_eq(fallocate(fd, 0, 0, MIB(8)), 0);
	igt_assert_eq(ftruncate(fd, MIB(16)), 0);
	other = create_file(OTHER_PATH, MIB(2));
	check_counts(before, 4, 0, 0);
	refuse_pin(fd, MIB(6), MIB(4), ENOMEM);
	refuse_pin(other, 0, pages(1), ENOMEM);
	check_counts(before, 4, 0, 0);
	dev = pin_memfd(call, fd, 0, MIB(8));

	/* Nor is there more as long as the pins have what the file had. */
	igt_assert_eq(ftruncate(fd, 0), 0);
	refuse_pin(other, 0, pages(1), ENOMEM);
	check_counts(before, 4, 0, 0);
	unpin(dev, PIN_TEST_CLEAN);
	check_counts(before, 0, 0, 4);
	unpin(pin_memfd(call, other, 0, pages(1)), PIN_TEST_CLEAN);
	check_counts(before, 1, 0, 3);

	remove_file(fd, FILE_PATH);
	remove_file(other, OTHER_PATH);
	unmount_dir();
	check_pool(before, 0, 0, 0, 0);
}

/* Two of the mount's pages are reserved when it is mounted. */
static void test_min_size(void)
{
	struct pool before;
	int fd, first, all;

	require_right_counts(false);
	before = mount_hugetlbfs(8, "pagesize=2M,size=8M,min_size=4M");
	fd = create_file(FILE_PATH, MIB(8));
	check_counts(before, 0, 2, 4);
	first = pin_memfd(call, fd, 0, MIB(2));
	check_counts(before, 1, 1, 3);
	all = pin_memfd(call, fd, 0, MIB(8));
	check_counts(before, 4, 0, 0);
	unpin(first, PIN_TEST_CLEAN);
	check_counts(before, 4, 0, 0);
	igt_assert_eq(ftruncate(fd, MIB(2)), 0);
	check_counts(before, 4, 0, 0);
	unpin(all, PIN_TEST_CLEAN);
	check_counts(before, 1, 1, 3);
	remove_file(fd, FILE_PATH);
	check_counts(before, 0, 2, 4);
	unmount_dir();
	check_pool(before, 0, 0, 0, 0);
}

/* There are no others, so that they are for the mount's files only. */
static void test_min_size_only(void)
{
	struct pool before;
	int fd, memfd, dev, got;

	require_right_counts(true);
	before = mount_hugetlbfs(2, "pagesize=2M,size=8M,min_size=4M");
	fd = create_file(FILE_PATH, MIB(8));
	memfd = memfd_create("other", MFD_CLOEXEC | MFD_HUGETLB |
			     MFD_HUGE_2MB);
	igt_assert_lte(0, memfd);
	igt_assert_eq(ftruncate(memfd, MIB(2)), 0);
	refuse_pin(memfd, 0, MIB(2), ENOMEM);
	check_counts(before, 0, 2, 4);

	dev = pin_memfd(call, fd, MIB(2), MIB(4));
	check_counts(before, 2, 0, 2);
	refuse_pin(fd, 0, MIB(8), ENOMEM);
	check_counts(before, 2, 0, 2);
	unpin(dev, PIN_TEST_CLEAN);
	igt_assert_eq(ftruncate(fd, 0), 0);
	check_counts(before, 0, 2, 4);

	igt_assert_eq(ftruncate(fd, MIB(8)), 0);
	refuse_pin(fd, 0, MIB(8), ENOMEM);
	got = fd_allocated(fd) / HUGE;
	check_counts(before, got, 2 - got, 4 - got);
	remove_file(fd, FILE_PATH);
	check_counts(before, 0, 2, 4);
	close(memfd);
	unmount_dir();
	check_pool(before, 0, 0, 0, 0);
}

/* ENOSPC, as of write() */
static void test_tmpfs(void)
{
	char *data = anon_small(pages(33));
	char options[32];
	int64_t all, got;
	int fd, dev;

	snprintf(options, sizeof(options), "size=%zuk", pages(32) / 1024);
	mount_dir("none", "tmpfs", options);
	all = mount_free();
	igt_assert_eq_s64(all, pages(32));
	fd = create_file(FILE_PATH, pages(64));
	igt_assert_eq_s64(pwrite(fd, data, pages(33), 0), pages(32));
	igt_assert(pwrite(fd, data, 1, pages(40)) < 0 && errno == ENOSPC);
	igt_assert_eq(ftruncate(fd, 0), 0);
	igt_assert_eq(ftruncate(fd, pages(64)), 0);

	refuse_pin(fd, 0, pages(64), ENOSPC);
	got = fd_allocated(fd);
	igt_assert_eq_s64(mount_free(), all - got);
	igt_assert_eq(ftruncate(fd, 0), 0);
	igt_assert_eq_s64(mount_free(), all);

	igt_assert_eq(ftruncate(fd, pages(64)), 0);
	dev = pin_memfd(call, fd, 0, pages(32));
	igt_assert_eq_s64(mount_free(), 0);
	refuse_pin(fd, pages(31), pages(2), ENOSPC);
	igt_assert_eq_s64(mount_free(), 0);
	unpin(dev, PIN_TEST_CLEAN);
	igt_assert_eq_s64(mount_free(), 0);
	remove_file(fd, FILE_PATH);
	igt_assert_eq_s64(mount_free(), all);
	unmount_dir();
	unmap(data, pages(33));
}

static void subtests_of(const char *name, const char *function)
{
	igt_describe_f("On a mounted hugetlbfs, by %s(): holes within size= are filled, and "
		       "counted until the file and the pins are gone", function);
	igt_subtest_f("%s-subpool-within", name)
		pin_test(test_within);
	igt_describe_f("On a mounted hugetlbfs, by %s(): ENOMEM beyond it, and nothing stays "
		       "pinned", function);
	igt_subtest_f("%s-subpool-beyond", name)
		pin_test(test_beyond);
	igt_describe_f("On a mounted hugetlbfs, by %s(): the pages that the mount has reserved "
		       "are used, and given back", function);
	igt_subtest_f("%s-subpool-min-size", name)
		pin_test(test_min_size);
	igt_describe_f("On a mounted hugetlbfs, by %s(): they are there for pins also if there "
		       "are no others", function);
	igt_subtest_f("%s-subpool-min-size-only", name)
		pin_test(test_min_size_only);
	igt_describe_f("ENOSPC beyond size= of a mounted tmpfs, by %s()", function);
	igt_subtest_f("%s-tmpfs-size", name)
		pin_test(test_tmpfs);
}

void pin_mount_subtests(void)
{
	call = PIN_TEST_MEMFD;
	subtests_of("memfd", "memfd_pin_range");
	call = PIN_TEST_MEMFD_FOLIOS;
	subtests_of("memfd-folios", "memfd_pin_folios");
}
