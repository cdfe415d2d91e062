// SPDX-License-Identifier: MIT
/*
 * What the mempinfd tests share.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "igt.h"
#include "mempinfd_helper.h"

void mempinfd_test(void (*test)(void))
{
	int64_t pins, charge;
	int fds;

	/* In case the last subtest failed halfway. */
	restore_settings();
	pins = pins_held();
	charge = charged(-1);
	fds = count_open_fds();

	test();

	restore_settings();
	igt_assert_eq(count_open_fds(), fds);
	igt_assert_eq_s64(charged(-1), charge);
	igt_assert_eq_s64(pins_held(), pins);
}

/* The ioctls */

int open_mempinfd(void)
{
	int fd = open("/dev/mempinfd", O_RDWR | O_CLOEXEC);

	igt_assert_f(fd >= 0, "/dev/mempinfd: %s\n", strerror(errno));
	return fd;
}

static int range_ioctl(int fd, unsigned long cmd, const void *addr,
		       uint64_t size)
{
	struct mempinfd_range range = {
		.addr = (uintptr_t)addr,
		.size = size,
	};

	return ioctl(fd, cmd, &range) ? -errno : 0;
}

int __pin(int fd, const void *addr, uint64_t size)
{
	return range_ioctl(fd, MEMPINFD_PIN, addr, size);
}

int __unpin(int fd, const void *addr, uint64_t size)
{
	return range_ioctl(fd, MEMPINFD_UNPIN, addr, size);
}

void pin(int fd, const void *addr, uint64_t size)
{
	int ret = __pin(fd, addr, size);

	igt_assert_f(!ret, "MEMPINFD_PIN: %s\n", strerror(-ret));
}

void unpin(int fd, const void *addr, uint64_t size)
{
	int ret = __unpin(fd, addr, size);

	igt_assert_f(!ret, "MEMPINFD_UNPIN: %s\n", strerror(-ret));
}
