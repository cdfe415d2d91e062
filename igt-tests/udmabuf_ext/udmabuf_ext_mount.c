// SPDX-License-Identifier: MIT
/*
 * dma-bufs of files on mounts that have limits: who counts the pages when, and when
 * the mount can go.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "igt.h"
#include "mount_helper.h"
#include "udmabuf_ext.h"

#define SIZE	MIB(4)
#define NPAGES	(SIZE / page_size())
#define PATH	MOUNT_DIR "/file"

static int filled_file(void)
{
	int fd = create_file(PATH, SIZE);
	void *mem = map_fd(fd, SIZE);

	fill(mem, 0, NPAGES, 1);
	unmap(mem, SIZE);
	return fd;
}

static void use(int dmabuf, uint64_t seed)
{
	void *buf = map_fd(dmabuf, SIZE);

	prime_sync_start(dmabuf, true);
	igt_assert_eq(count_filled(buf, 0, NPAGES, seed), NPAGES);
	fill(buf, 0, NPAGES, seed + 1);
	prime_sync_end(dmabuf, true);
	igt_assert_eq(count_filled(buf, 0, NPAGES, seed + 1), NPAGES);
	unmap(buf, SIZE);
}

/* The file leaves its mount by name, or all of it at once. */
static void test_unlink(int dev)
{
	int64_t empty;
	int fd, dmabuf;

	mount_dir("tmpfs", "tmpfs", "size=8M");
	empty = mount_free();
	fd = filled_file();
	igt_assert_eq_s64(mount_free(), empty - SIZE);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, 0, SIZE);
	igt_assert_eq(unlink(PATH), 0);
	igt_assert_eq_s64(mount_free(), empty - SIZE);
	close(fd);
	igt_assert_eq_s64(mount_free(), empty);
	use(dmabuf, 1);

	/* No mount of tmpfs is held. */
	igt_assert_eq(umount(MOUNT_DIR), 0);
	use(dmabuf, 2);
	close(dmabuf);
	unmount_dir();
}

/* tmpfs counts what is in its files, and we what is pinned. */
static void test_quota(int dev)
{
	uint64_t pinned = get_info(dev).pinned;
	int64_t empty;
	int fd, dmabuf, other;

	mount_dir("tmpfs", "tmpfs", "size=4M");
	empty = mount_free();
	igt_assert_eq_s64(empty, SIZE);
	fd = filled_file();
	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, 0, SIZE);
	igt_assert_eq_u64(get_info(dev).pinned, pinned + SIZE);
	igt_assert_eq_s64(mount_free(), 0);

	igt_assert_eq(ftruncate(fd, 0), 0);
	igt_assert_eq_s64(mount_free(), empty);
	igt_assert_eq_u64(get_info(dev).pinned, pinned + SIZE);

	/* Another file has the room. */
	other = create_file(MOUNT_DIR "/other", SIZE);
	igt_assert_eq(fallocate(other, 0, 0, SIZE), 0);
	igt_assert_eq_s64(mount_free(), 0);
	use(dmabuf, 1);
	close(dmabuf);
	igt_assert_eq_u64(get_info(dev).pinned, pinned);
	igt_assert_eq_s64(mount_free(), 0);
	close(other);
	close(fd);
	unmount_dir();
}

/* A hole that is filled for the dma-buf counts, and where there is no room, fails. */
static void test_quota_holes(int dev)
{
	int64_t empty;
	int fd, dmabuf;

	mount_dir("tmpfs", "tmpfs", "size=4M");
	empty = mount_free();
	fd = create_file(PATH, 2 * SIZE);
	igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, 0, 2 * SIZE),
		      -ENOSPC);
	igt_assert_eq(ftruncate(fd, 0), 0);
	igt_assert_eq_s64(mount_free(), empty);
	igt_assert_eq(ftruncate(fd, SIZE), 0);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, 0, SIZE);
	igt_assert_eq_s64(mount_free(), 0);
	close(dmabuf);
	close(fd);
	unmount_dir();
}

#define READONLY	(UDMABUF_FLAGS_READONLY | UDMABUF_FLAGS_UNSEALED)
#define USER		4711

static void check_create(int dev, int fd, int error)
{
	int dmabuf = __create_flags(dev, READONLY, fd, 0, SIZE);

	if (error) {
		igt_assert_eq(dmabuf, -error);
		return;
	}
	igt_assert_lte(0, dmabuf);
	close(dmabuf);
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	igt_assert_f(fd >= 0, "%s: %s\n", path, strerror(errno));
	return fd;
}

/*
 * A file that one may only read cannot be kept when its owner removes it, unless it was
 * given away as a memfd is.
 */
static void test_others(int dev)
{
	int memfd = filled_memfd(SHMEM, SIZE), readonly = reopen(memfd, O_RDONLY);
	int fd;

	mount_dir("tmpfs", "tmpfs", "size=16M");
	fd = filled_file();
	igt_assert_eq(fchmod(fd, 0444), 0);
	check_create(dev, fd, 0);
	close(fd);
	fd = create_file(MOUNT_DIR "/writable", SIZE);
	igt_assert_eq(fchmod(fd, 0666), 0);
	close(fd);

	igt_fork(child, 1) {
		igt_assert_eq(setresuid(USER, USER, USER), 0);
		check_create(dev, open_file(PATH, O_RDONLY), EACCES);
		check_create(dev, open_file(MOUNT_DIR "/writable", O_RDONLY), EACCES);
		check_create(dev, open_file(MOUNT_DIR "/writable", O_RDWR), 0);
		check_create(dev, create_file(MOUNT_DIR "/own", SIZE), 0);
		check_create(dev, open_file(MOUNT_DIR "/own", O_RDONLY), 0);
		check_create(dev, readonly, 0);
	}
	igt_waitchildren();

	/* Root could do what the owner can. */
	fd = open_file(MOUNT_DIR "/own", O_RDONLY);
	check_create(dev, fd, 0);
	close(fd);
	close(readonly);
	close(memfd);
	unmount_dir();
}

/* A mount of hugetlbfs with a file, of which there are dma-bufs */
static int mount_hugetlbfs(const char *options)
{
	/* Room in the pool. */
	close(unsealed_memfd(HUGE_2M, SIZE));
	mount_dir("none", "hugetlbfs", options);
	return filled_file();
}

/*
 * It counts its pages until they are free, and is there as long: not even root
 * unmounts it before.
 */
static void test_held(int dev)
{
	int fd = mount_hugetlbfs("pagesize=2M,size=8M"), again = reopen(fd, O_RDWR);
	int64_t huge = hugetlb(MIB(2), "free_hugepages");
	struct udmabuf_create_item items[4];
	int dmabuf, list;

	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, 0, SIZE);
	/* The first of the two huge pages, several times, by two descriptors */
	for (size_t i = 0; i < ARRAY_SIZE(items); i++)
		items[i] = (struct udmabuf_create_item) {
			.memfd = i % 2 ? again : fd,
			.size = MIB(2),
		};
	list = __create_ext(dev, UDMABUF_FLAGS_UNSEALED, ARRAY_SIZE(items), items);
	igt_assert_lte(0, list);
	igt_assert_eq(unlink(PATH), 0);
	close(again);
	close(fd);
	igt_assert_eq_s64(mount_free(), MIB(8) - SIZE);
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"), huge);
	igt_assert_eq(umount(MOUNT_DIR), -1);
	igt_assert_eq(errno, EBUSY);
	use(dmabuf, 1);

	close(dmabuf);
	igt_assert_eq_s64(mount_free(), MIB(8) - MIB(2));
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"), huge + 1);
	igt_assert_eq(umount(MOUNT_DIR), -1);
	igt_assert_eq(errno, EBUSY);
	close(list);
	igt_assert_eq_s64(mount_free(), MIB(8));
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"), huge + 2);
	igt_assert_eq(umount(MOUNT_DIR), 0);
	unmount_dir();
}

/* Nobody gets there any more, but the pages are counted up to the last one. */
static void check_detached(int dev, const char *options)
{
	int fd = mount_hugetlbfs(options), dmabuf;
	int64_t huge = hugetlb(MIB(2), "free_hugepages");
	int64_t surplus = hugetlb(MIB(2), "surplus_hugepages");

	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, 0, SIZE);
	close(fd);
	unmount_dir();
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"), huge);
	use(dmabuf, 1);
	close(dmabuf);
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"), huge + 2);
	igt_assert_eq_s64(hugetlb(MIB(2), "resv_hugepages"), 0);
	igt_assert_eq_s64(hugetlb(MIB(2), "surplus_hugepages"), surplus);
}

static void test_detached_size(int dev)
{
	check_detached(dev, "pagesize=2M,size=4M");
}

static void test_detached_min_size(int dev)
{
	check_detached(dev, "pagesize=2M,min_size=2M");
}

/* One without a limit knows nothing of its pages, once they are in no file. */
static void test_not_held(int dev)
{
	int fd = mount_hugetlbfs("pagesize=2M"), dmabuf;
	int64_t huge = hugetlb(MIB(2), "free_hugepages");

	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, 0, SIZE);
	close(fd);
	igt_assert_eq(umount(MOUNT_DIR), 0);
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"), huge);
	use(dmabuf, 1);
	close(dmabuf);
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"), huge + 2);
	unmount_dir();
}

/* A creation that fails does not keep the mount. */
static void test_not_held_failed(int dev)
{
	int fd = mount_hugetlbfs("pagesize=2M,size=8M");
	struct udmabuf_create_item items[] = {
		{ .memfd = fd, .size = SIZE },
		{ .memfd = dev, .size = SIZE },
	};

	igt_assert_eq(__create_ext(dev, UDMABUF_FLAGS_UNSEALED, 2, items), -EBADFD);
	close(fd);
	igt_assert_eq(umount(MOUNT_DIR), 0);
	unmount_dir();
}

void udmabuf_ext_mount_subtests(int dev)
{
	igt_describe("A dma-buf outlives the file and the mount");
	igt_subtest("tmpfs-unlink")
		udmabuf_test(test_unlink, dev);
	igt_describe("Pages cut off are not the mount's any more, but the user's");
	igt_subtest("tmpfs-quota")
		udmabuf_test(test_quota, dev);
	igt_describe("Holes that are filled count, and ENOSPC leaves nothing pinned");
	igt_subtest("tmpfs-quota-holes")
		udmabuf_test(test_quota_holes, dev);
	igt_describe("EACCES for another user's file that can only be read, but not for one's "
		     "own, nor for a memfd");
	igt_subtest("tmpfs-readonly-others")
		udmabuf_test(test_others, dev);
	igt_describe("A mount with a limit counts the pages to the last, and cannot go before");
	igt_subtest("hugetlbfs-size-held")
		udmabuf_test(test_held, dev);
	igt_describe("Detached, it goes when the dma-buf does");
	igt_subtest("hugetlbfs-size-detached")
		udmabuf_test(test_detached_size, dev);
	igt_describe("So does one with a reservation");
	igt_subtest("hugetlbfs-min-size-detached")
		udmabuf_test(test_detached_min_size, dev);
	igt_describe("A mount without a limit can go at once");
	igt_subtest("hugetlbfs-not-held")
		udmabuf_test(test_not_held, dev);
	igt_describe("No mount is held for what could not be created");
	igt_subtest("hugetlbfs-not-held-failed")
		udmabuf_test(test_not_held_failed, dev);
}
