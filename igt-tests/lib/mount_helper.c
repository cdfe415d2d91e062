// SPDX-License-Identifier: MIT
/*
 * A filesystem of the test's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "igt.h"
#include "mount_helper.h"
#include "pin_helper.h"

static bool mounted;

/* Also called when the program exits, so nothing in here may fail a test. */
void unmount_dir(void)
{
	if (!mounted)
		return;
	umount2(MOUNT_DIR, MNT_DETACH);
	rmdir(MOUNT_DIR);
	mounted = false;
}

void mount_dir(const char *source, const char *type, const char *options)
{
	unmount_dir();
	igt_assert(!mkdir(MOUNT_DIR, 0700) || errno == EEXIST);
	igt_require_f(!mount(source, MOUNT_DIR, type, 0, options),
		      "cannot mount %s (%s): %s\n", type, options,
		      strerror(errno));
	mounted = true;
	undo_at_end(unmount_dir);
}

const char *pmem_device(void)
{
	char path[PATH_MAX];

	igt_system_quiet("modprobe -a nd_e820 nd_pmem");
	igt_require_f(realpath("/sys/class/block/pmem0", path) && strstr(path, "/e820_pmem/"),
		      "no /dev/pmem0 of memory: boot with memmap=256M!1G\n");
	return "/dev/pmem0";
}

int64_t mount_free(void)
{
	struct statfs fs;

	igt_assert_eq(statfs(MOUNT_DIR, &fs), 0);
	return (int64_t)fs.f_bfree * fs.f_bsize;
}

int create_file(const char *path, size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	igt_assert_f(fd >= 0, "%s: %s\n", path, strerror(errno));
	igt_assert_eq(ftruncate(fd, size), 0);
	return fd;
}
