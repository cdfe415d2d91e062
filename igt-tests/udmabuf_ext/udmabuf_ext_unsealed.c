// SPDX-License-Identifier: MIT
/*
 * dma-bufs of files that may shrink: of which files they can be made, and who may.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "igt.h"
#include "mount_helper.h"
#include "swap_helper.h"
#include "udmabuf_ext.h"

#define SIZE	MIB(4)
#define NPAGES	(SIZE / page_size())
/* Such as there are in the pool */
#define HUGE_OPTIONS	"pagesize=2M"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

static int plain_memfd(void)
{
	int fd = memfd_create("unsealed", MFD_CLOEXEC);

	igt_assert_lte(0, fd);
	igt_assert_eq(ftruncate(fd, SIZE), 0);
	return fd;
}

static int sealable_memfd(void)
{
	return unsealed_memfd(SHMEM, SIZE);
}

static int thp_memfd(void)
{
	return unsealed_memfd(THP, SIZE);
}

static int huge_memfd(void)
{
	return unsealed_memfd(HUGE_2M, SIZE);
}

static int tmpfs_file(void)
{
	mount_dir("tmpfs", "tmpfs", "size=64M");
	return create_file(MOUNT_DIR "/file", SIZE);
}

static int tmpfs_tmpfile(void)
{
	int fd;

	mount_dir("tmpfs", "tmpfs", "size=64M");
	fd = open(MOUNT_DIR, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	igt_assert_lte(0, fd);
	igt_assert_eq(ftruncate(fd, SIZE), 0);
	return fd;
}

static int posix_shm(void)
{
	int fd = shm_open("/igt-udmabuf", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	igt_require_f(fd >= 0, "shm_open: %s\n", strerror(errno));
	shm_unlink("/igt-udmabuf");
	igt_assert_eq(ftruncate(fd, SIZE), 0);
	return fd;
}

static int hugetlbfs_file(void)
{
	/* Room in the pool. */
	close(huge_memfd());
	mount_dir("none", "hugetlbfs", HUGE_OPTIONS);
	return create_file(MOUNT_DIR "/file", SIZE);
}

static int hugetlbfs_size_file(void)
{
	close(huge_memfd());
	mount_dir("none", "hugetlbfs", HUGE_OPTIONS ",size=4M,min_size=2M");
	return create_file(MOUNT_DIR "/file", SIZE);
}

static const struct file {
	const char *name;
	int (*file)(void);
} files[] = {
	{ "memfd", plain_memfd },
	{ "memfd-sealable", sealable_memfd },
	{ "memfd-thp", thp_memfd },
	{ "memfd-hugetlb", huge_memfd },
	{ "tmpfs", tmpfs_file },
	{ "tmpfs-tmpfile", tmpfs_tmpfile },
	{ "posix-shm", posix_shm },
	{ "hugetlbfs", hugetlbfs_file },
	{ "hugetlbfs-size", hugetlbfs_size_file },
};

static const struct file *file;

/* Shared both ways, with holes filled; then in the hands of nobody else. */
static void test_file(int dev)
{
	int fd = file->file(), dmabuf, readonly;
	char *mem = map_fd(fd, SIZE), *buf;

	igt_assert_eq(__create(dev, fd, 0, SIZE), -EINVAL);
	igt_assert_eq(__create_flags(dev, 0, fd, 0, SIZE), -EINVAL);
	igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_READONLY, fd, 0, SIZE),
		      -EINVAL);

	fill(mem, 0, NPAGES / 2, 1);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, pages(3),
			      SIZE - pages(3));
	igt_assert_eq(fcntl(dmabuf, F_GETFL) & O_ACCMODE, O_RDWR);
	buf = map_fd(dmabuf, SIZE - pages(3));
	igt_assert_eq(count_filled(buf, 3, NPAGES / 2 - 3, 1), NPAGES / 2 - 3);
	igt_assert_eq(count_zero(buf + SIZE / 2 - pages(3), NPAGES / 2), NPAGES / 2);
	fill(buf, 3, NPAGES - 3, 2);
	igt_assert_eq(count_filled(mem + pages(3), 3, NPAGES - 3, 2), NPAGES - 3);
	igt_assert_eq(count_filled(mem, 0, 3, 1), 3);

	readonly = create_flags(dev, UDMABUF_FLAGS_UNSEALED |
				UDMABUF_FLAGS_READONLY, fd, 0, SIZE);
	igt_assert_eq(fcntl(readonly, F_GETFL) & O_ACCMODE, O_RDONLY);
	igt_assert(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, readonly,
			0) == MAP_FAILED);
	close(readonly);

	unmap(mem, SIZE);
	close(fd);
	igt_assert_eq(count_filled(buf, 3, NPAGES - 3, 2), NPAGES - 3);
	unmap(buf, SIZE - pages(3));
	close(dmabuf);
	unmount_dir();
}

/* What is not tmpfs or hugetlbfs, or no file there */
static void test_other_files(int dev)
{
	static const uint32_t flags = UDMABUF_FLAGS_UNSEALED | UDMABUF_FLAGS_READONLY;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), ret;

	igt_assert_lte(0, fd);
	igt_assert_eq(__create_flags(dev, flags, fd, 0, page_size()), -EBADFD);
	igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, 0,
				     page_size()), -EBADFD);
	close(fd);
	igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_UNSEALED, dev, 0,
				     page_size()), -EBADFD);

	mount_dir("tmpfs", "tmpfs", "size=1M");
	fd = open(MOUNT_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	igt_assert_lte(0, fd);
	igt_assert_eq(__create_flags(dev, flags, fd, 0, page_size()), -EBADFD);
	close(fd);
	igt_assert_eq(mkfifo(MOUNT_DIR "/fifo", 0600), 0);
	fd = open(MOUNT_DIR "/fifo", O_RDWR | O_CLOEXEC);
	igt_assert_lte(0, fd);
	igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, 0,
				     page_size()), -EBADFD);
	close(fd);
	unmount_dir();

	/* Before 6.11 all of hugetlbfs looks like its files, at first. */
	mount_dir("none", "hugetlbfs", HUGE_OPTIONS);
	fd = open(MOUNT_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	igt_assert_lte(0, fd);
	ret = __create_flags(dev, flags, fd, 0, MIB(2));
	igt_assert(ret == -EBADFD || ret == -EINVAL);
	close(fd);
	unmount_dir();
}

/* Who shares it so that others write must be able to write it, all over. */
static void test_modes(int dev)
{
	int memfd = filled_memfd(SHMEM, SIZE);
	int readonly = reopen(memfd, O_RDONLY), writeonly = reopen(memfd, O_WRONLY);
	int dmabuf;

	for (int allowed = 0; allowed < 2; allowed++) {
		set_module_attribute(dev, ALLOW_READONLY, allowed);
		igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_UNSEALED, readonly,
					     0, SIZE), -EACCES);
		igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_UNSEALED,
					     writeonly, 0, SIZE), -EACCES);
		igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_UNSEALED |
					     UDMABUF_FLAGS_READONLY, writeonly, 0,
					     SIZE), -EACCES);
	}
	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED | UDMABUF_FLAGS_READONLY,
			      readonly, 0, SIZE);
	close(dmabuf);
	close(writeonly);
	close(readonly);
	close(memfd);
}

static void test_write_sealed(int dev)
{
	static const int seals[] = { F_SEAL_WRITE, F_SEAL_FUTURE_WRITE };

	for (size_t i = 0; i < ARRAY_SIZE(seals); i++) {
		int memfd = filled_memfd(SHMEM, SIZE), dmabuf;

		seal(memfd, seals[i]);
		igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_UNSEALED, memfd, 0,
					     SIZE), -EINVAL);
		dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED |
				      UDMABUF_FLAGS_READONLY, memfd, 0, SIZE);
		close(dmabuf);
		close(memfd);
	}
}

static void set_append_only(int fd, bool on)
{
	int attributes;

	igt_require_f(!ioctl(fd, FS_IOC_GETFLAGS, &attributes),
		      "tmpfs has no attributes\n");
	attributes = on ? attributes | FS_APPEND_FL : attributes & ~FS_APPEND_FL;
	igt_assert_eq(ioctl(fd, FS_IOC_SETFLAGS, &attributes), 0);
}

/* A descriptor from before can write, but not into what is there. */
static void test_append_only(int dev)
{
	int fd = tmpfs_file(), dmabuf;

	set_append_only(fd, true);
	igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, 0, SIZE),
		      -EACCES);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED | UDMABUF_FLAGS_READONLY,
			      fd, 0, SIZE);
	close(dmabuf);
	set_append_only(fd, false);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, 0, SIZE);
	close(dmabuf);
	close(fd);
	unmount_dir();
}

static void test_swapped(int dev)
{
	int fd = tmpfs_file(), dmabuf;
	void *mem = map_fd(fd, SIZE), *buf;
	int64_t swapped;

	swap_on(MIB(64));
	fill(mem, 0, NPAGES, 1);
	swapped = vmstat("pswpout");
	igt_assert_eq(madvise(mem, SIZE, MADV_PAGEOUT), 0);
	igt_require_f(vmstat("pswpout") - swapped > (int64_t)NPAGES / 2,
		      "pages do not go to swap\n");

	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED, fd, 0, SIZE);
	buf = map_fd(dmabuf, SIZE);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	fill(buf, 0, NPAGES, 2);
	igt_assert_eq(madvise(mem, SIZE, MADV_PAGEOUT), 0);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 2), NPAGES);
	unmap(buf, SIZE);
	close(dmabuf);
	igt_assert_eq(madvise(mem, SIZE, MADV_PAGEOUT), 0);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 2), NPAGES);
	unmap(mem, SIZE);
	close(fd);
	swap_off();
	unmount_dir();
}

void udmabuf_ext_unsealed_subtests(int dev)
{
	for (file = files; file < files + ARRAY_SIZE(files); file++) {
		igt_describe_f("A dma-buf of %s, which only the flag allows, shares its pages",
			       file->name);
		igt_subtest_f("unsealed-%s", file->name)
			udmabuf_test(test_file, dev);
	}
	igt_describe("Files of other filesystems, devices, directories and pipes are refused");
	igt_subtest("unsealed-other-files")
		udmabuf_test(test_other_files, dev);
	igt_describe("The file must be open for what the dma-buf allows");
	igt_subtest("unsealed-modes")
		udmabuf_test(test_modes, dev);
	igt_describe("Sealed against writing, it can only be read-only");
	igt_subtest("unsealed-write-sealed")
		udmabuf_test(test_write_sealed, dev);
	igt_describe("So can an append-only file");
	igt_subtest("unsealed-append-only")
		udmabuf_test(test_append_only, dev);
	igt_describe("Pages of tmpfs come back from swap, and stay");
	igt_subtest("unsealed-swapped")
		udmabuf_test(test_swapped, dev);
}
