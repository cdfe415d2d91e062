// SPDX-License-Identifier: MIT
/*
 * Mappings of files on disks: what the filesystem writes back must not be written
 * behind its back, and DAX storage must not be held for long.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "igt.h"
#include "mempinfd.h"
#include "mount_helper.h"

#define FILE_PAGES	64

static void unload_brd(void)
{
	unmount_dir();
	igt_system_quiet("modprobe -r brd");
}

/* A disk in memory, which goes again if it is one of ours */
static const char *ram_disk(void)
{
	if (access("/sys/block/ram0", F_OK)) {
		undo_at_end(unload_brd);
		igt_system_quiet("modprobe brd rd_nr=1 rd_size=32768");
	}
	return "/dev/ram0";
}

static int file_on_ext4(const char *device, const char *options)
{
	char command[64];
	int fd;

	igt_require_f(!access(device, F_OK), "no %s\n", device);
	snprintf(command, sizeof(command), "mkfs.ext4 -q -F -b 4096 %s 32M",
		 device);
	igt_require_f(!igt_system_quiet(command), "failed: %s\n", command);
	mount_dir(device, "ext4", options);
	fd = create_file(MOUNT_DIR "/file", 0);
	igt_assert_eq(posix_fallocate(fd, 0, pages(FILE_PAGES)), 0);
	return fd;
}

static void check_shared(int fd, int file, int error)
{
	char *mem = map_fd(file, pages(FILE_PAGES));

	igt_assert_eq(__pin(fd, mem, pages(FILE_PAGES)), -error);
	memset(mem, 1, pages(FILE_PAGES));
	igt_assert_eq(__pin(fd, mem, pages(FILE_PAGES)), -error);
	unmap(mem, pages(FILE_PAGES));
}

/* Its pages are the program's own as soon as they are written to. */
static void check_private(int fd, int file)
{
	int64_t pins = pins_held();
	char *mem = mmap(NULL, pages(FILE_PAGES), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE, file, 0);

	igt_assert(mem != MAP_FAILED);
	pin(fd, mem, pages(FILE_PAGES));
	igt_assert_eq_s64(pins_held() - pins, FILE_PAGES);
	fill(mem, 0, FILE_PAGES, 1);
	unpin(fd, mem, pages(FILE_PAGES));
	unmap(mem, pages(FILE_PAGES));
}

static void test_file_shared(void)
{
	int fd = open_mempinfd(), file = file_on_ext4(ram_disk(), "");

	check_shared(fd, file, EFAULT);
	close(file);
	close(fd);
	unmount_dir();
}

static void test_file_private(void)
{
	int fd = open_mempinfd(), file = file_on_ext4(ram_disk(), "");

	check_private(fd, file);
	close(file);
	close(fd);
	unmount_dir();
}

static void test_fsdax(void)
{
	int file = file_on_ext4(pmem_device(), "dax"), fd = open_mempinfd();

	check_shared(fd, file, EOPNOTSUPP);
	close(file);
	close(fd);
	unmount_dir();
}

void mempinfd_file_subtests(void)
{
	igt_describe("EFAULT for a shared mapping of a file on a disk");
	igt_subtest("file-shared")
		mempinfd_test(test_file_shared);
	igt_describe("A private mapping of it is pinned");
	igt_subtest("file-private")
		mempinfd_test(test_file_private);
	igt_describe("EOPNOTSUPP for a file on DAX storage");
	igt_subtest("fsdax")
		mempinfd_test(test_fsdax);
}
