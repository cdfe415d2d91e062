// SPDX-License-Identifier: MIT
/*
 * What the mempinfd tests share: the device, and processes that talk to each
 * other.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

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

/* Processes */

void make_sockets(int sockets[2])
{
	igt_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				 sockets), 0);
}

void tell(int socket)
{
	igt_assert_eq(send(socket, "", 1, MSG_NOSIGNAL), 1);
}

void await(int socket)
{
	char byte;

	igt_assert_eq(read(socket, &byte, 1), 1);
}

/* Room for a descriptor beside the message, which is a byte that says nothing. */
struct fd_message {
	struct msghdr head;
	struct iovec iov;
	char byte;
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
};

static struct cmsghdr *prepare_message(struct fd_message *message)
{
	memset(message, 0, sizeof(*message));
	message->iov.iov_base = &message->byte;
	message->iov.iov_len = 1;
	message->head.msg_iov = &message->iov;
	message->head.msg_iovlen = 1;
	message->head.msg_control = message->control;
	message->head.msg_controllen = sizeof(message->control);
	return CMSG_FIRSTHDR(&message->head);
}

void send_fd(int socket, int fd)
{
	struct fd_message message;
	struct cmsghdr *control = prepare_message(&message);

	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = SCM_RIGHTS;
	control->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(control), &fd, sizeof(fd));
	igt_assert_eq(sendmsg(socket, &message.head, MSG_NOSIGNAL), 1);
}

int receive_fd(int socket)
{
	struct fd_message message;
	struct cmsghdr *control;
	int fd;

	prepare_message(&message);
	igt_assert_eq(recvmsg(socket, &message.head, MSG_CMSG_CLOEXEC), 1);
	control = CMSG_FIRSTHDR(&message.head);
	igt_assert(control && control->cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(control), sizeof(fd));
	return fd;
}

/* Stalls */

int make_stall(void *addr, size_t size)
{
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)addr, .len = size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	igt_require_f(uffd >= 0, "no userfaultfd: %s\n", strerror(errno));
	igt_assert_eq(ioctl(uffd, UFFDIO_API, &api), 0);
	igt_assert_eq(ioctl(uffd, UFFDIO_REGISTER, &range), 0);
	return uffd;
}

void await_stall(int uffd, int socket)
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
}
