// SPDX-License-Identifier: MIT
/*
 * Pins on memory of hugetlbfs: a mount that counts its pages until they are free is there
 * as long.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "igt.h"
#include "mempinfd.h"
#include "mount_helper.h"
#include "phys_helper.h"

#define SIZE	(2 * HUGE)
#define PATH	MOUNT_DIR "/file"

/* A mount with a file of @size bytes; the pool has room for it and as much again. */
static int mount_file(const char *options, size_t size)
{
	require_pinnable(HUGE_2M);
	close(unsealed_memfd(HUGE_2M, 2 * size));
	mount_dir("none", "hugetlbfs", options);
	return create_file(PATH, size);
}

static char *map_filled(int fd, int flags)
{
	char *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

	igt_assert(mem != MAP_FAILED);
	fill(mem, 0, SIZE / page_size(), 1);
	return mem;
}

static void refuse_umount(void)
{
	igt_assert_eq(umount(MOUNT_DIR), -1);
	igt_assert_eq(errno, EBUSY);
}

/*
 * What a private mapping has is not counted any more when it is unmapped, by newer
 * kernels, though it is still there.
 */
static void check_held(int flags, bool counted)
{
	int file = mount_file("pagesize=2M,size=8M", SIZE), fd = open_mempinfd();
	char *mem = map_filled(file, flags);

	pin(fd, mem, HUGE + 1);
	unmap(mem, SIZE);
	close(file);
	igt_assert_eq(unlink(PATH), 0);
	if (counted)
		igt_assert_eq_s64(mount_free(), MIB(8) - SIZE);
	refuse_umount();
	unpin(fd, mem, HUGE + 1);
	igt_assert_eq_s64(mount_free(), MIB(8));
	igt_assert_eq(umount(MOUNT_DIR), 0);
	unmount_dir();
	close(fd);
}

static void test_held(void)
{
	check_held(MAP_SHARED, true);
}

static void test_private(void)
{
	check_held(MAP_PRIVATE, false);
}

static void test_detached(void)
{
	int file = mount_file("pagesize=2M,min_size=2M", SIZE);
	int64_t surplus = hugetlb(HUGE, "surplus_hugepages");
	char *mem = map_filled(file, MAP_SHARED);
	int64_t huge = hugetlb(HUGE, "free_hugepages");
	int fd = open_mempinfd();

	pin(fd, mem, SIZE);
	unmap(mem, SIZE);
	close(file);
	unmount_dir();
	igt_assert_eq_s64(hugetlb(HUGE, "free_hugepages"), huge);
	close(fd);
	igt_assert_eq_s64(hugetlb(HUGE, "free_hugepages"), huge + 2);
	igt_assert_eq_s64(hugetlb(HUGE, "resv_hugepages"), 0);
	igt_assert_eq_s64(hugetlb(HUGE, "surplus_hugepages"), surplus);
}

/* A huge page of a memfd, one of the mount's, and small ones, side by side */
static void test_several(void)
{
	int memfd = unsealed_memfd(HUGE_2M, HUGE), fd = open_mempinfd(), file;
	char *mem = reserve(3 * HUGE);

	/* What is mapped is reserved, and stays in the pool. */
	map_fd_at(mem, memfd, HUGE);
	file = mount_file("pagesize=2M,size=8M", SIZE);
	map_fd_at(mem + HUGE, file, HUGE);
	igt_assert(mmap(mem + 2 * HUGE, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	memset(mem, 1, 3 * HUGE);
	close(memfd);
	close(file);
	pin(fd, mem + HUGE - 1, HUGE + 2);
	unmap(mem, 3 * HUGE);
	refuse_umount();
	close(fd);
	igt_assert_eq(umount(MOUNT_DIR), 0);
	unmount_dir();
}

static void test_not_held(void)
{
	int file = mount_file("pagesize=2M", SIZE), fd = open_mempinfd();
	char *mem = map_filled(file, MAP_SHARED);

	pin(fd, mem, SIZE);
	unmap(mem, SIZE);
	close(file);
	igt_assert_eq(umount(MOUNT_DIR), 0);
	unpin(fd, mem, SIZE);
	unmount_dir();

	/* The second half is not there. */
	file = mount_file("pagesize=2M,size=8M", SIZE);
	mem = map_filled(file, MAP_SHARED);
	unmap(mem + HUGE, HUGE);
	igt_assert_eq(__pin(fd, mem, SIZE), -EFAULT);
	unmap(mem, HUGE);
	close(file);
	igt_assert_eq(umount(MOUNT_DIR), 0);
	unmount_dir();
	close(fd);
}

#define TURNS	400

struct swapper {
	pthread_t thread;
	char *mem;
	int files[2];
	atomic_bool end;
};

static void *swap_mappings(void *data)
{
	struct swapper *swapper = data;

	for (unsigned int i = 0; !atomic_load(&swapper->end); i++)
		if (mmap(swapper->mem, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED |
			 MAP_FIXED, swapper->files[i % 2], 0) == MAP_FAILED)
			return data;
	return NULL;
}

static void test_race(void)
{
	struct swapper swapper = { .mem = reserve(HUGE) };
	int fd = open_mempinfd();
	void *error;

	for (int i = 0; i < 2; i++) {
		swapper.files[i] = i ? mount_file("pagesize=2M,size=8M", HUGE) :
				       unsealed_memfd(HUGE_2M, HUGE);
		map_fd_at(swapper.mem, swapper.files[i], HUGE);
		memset(swapper.mem, 1, HUGE);
	}
	igt_assert_eq(pthread_create(&swapper.thread, NULL, swap_mappings,
				     &swapper), 0);
	for (int i = 0; i < TURNS; i++) {
		pin(fd, swapper.mem, HUGE);
		unpin(fd, swapper.mem, HUGE);
	}
	atomic_store(&swapper.end, true);
	igt_assert_eq(pthread_join(swapper.thread, &error), 0);
	igt_assert_f(!error, "mmap failed\n");
	unmap(swapper.mem, HUGE);
	close(swapper.files[0]);
	close(swapper.files[1]);
	igt_assert_eq_s64(mount_free(), MIB(8) - HUGE);
	igt_assert_eq(unlink(PATH), 0);
	igt_assert_eq_s64(mount_free(), MIB(8));
	igt_assert_eq(umount(MOUNT_DIR), 0);
	unmount_dir();
	close(fd);
}

void mempinfd_mount_subtests(void)
{
	igt_describe("A mount of hugetlbfs with a size stays until its pages are unpinned");
	igt_subtest("hugetlbfs-size-held")
		mempinfd_test(test_held);
	igt_describe("So does one with a reservation that was detached");
	igt_subtest("hugetlbfs-min-size-detached")
		mempinfd_test(test_detached);
	igt_describe("Of several files in a range, each one's mount is held");
	igt_subtest("hugetlbfs-several")
		mempinfd_test(test_several);
	igt_describe("A private mapping holds its mount, too");
	igt_subtest("hugetlbfs-private")
		mempinfd_test(test_private);
	igt_describe("Mounts without limits, and those of failed calls, are not held");
	igt_subtest("hugetlbfs-not-held")
		mempinfd_test(test_not_held);
	igt_describe("Mappings of two mounts that change places meanwhile do not matter");
	igt_subtest("hugetlbfs-race")
		mempinfd_test(test_race);
}
