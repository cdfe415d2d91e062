// SPDX-License-Identifier: MIT
/*
 * Memory of which user space holds pages back, by userfaultfd.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "igt.h"
#include "uffd_helper.h"

void require_uffd(void)
{
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);

	igt_require_f(uffd >= 0, "no userfaultfd: %s\n", strerror(errno));
	close(uffd);
}

static int make_uffd(void *addr, size_t size, int flags)
{
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)addr, .len = size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags);

	igt_require_f(uffd >= 0, "no userfaultfd: %s\n", strerror(errno));
	igt_assert_eq(ioctl(uffd, UFFDIO_API, &api), 0);
	igt_assert_eq(ioctl(uffd, UFFDIO_REGISTER, &range), 0);
	return uffd;
}

int make_stall(void *addr, size_t size)
{
	return make_uffd(addr, size, 0);
}

int make_user_stall(void *addr, size_t size)
{
	return make_uffd(addr, size, UFFD_USER_MODE_ONLY);
}

void *await_fault(int uffd, int socket)
{
	struct pollfd fds[] = {
		{ .fd = uffd, .events = POLLIN },
		{ .fd = socket, .events = POLLIN },
	};
	struct uffd_msg message;

	igt_assert_lt(0, poll(fds, ARRAY_SIZE(fds), -1));
	igt_assert_f(fds[0].revents & POLLIN, "it ended\n");
	igt_assert_eq(read(uffd, &message, sizeof(message)), sizeof(message));
	igt_assert_eq(message.event, UFFD_EVENT_PAGEFAULT);
	return (void *)(uintptr_t)message.arg.pagefault.address;
}

int uffd_arrive(int uffd, void *addr, const void *data, size_t size)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)addr,
		.src = (uintptr_t)data,
		.len = size,
	};

	return ioctl(uffd, UFFDIO_COPY, &copy) ? -errno : 0;
}
