// SPDX-License-Identifier: MIT
/*
 * Processes that talk to each other, or find out what a signal would end.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "igt.h"
#include "pin_helper.h"
#include "process_helper.h"

pid_t fork_child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	igt_assert_lte(0, pid);
	/* Not what IGT makes of it, which is to run the parent's exit handlers. */
	if (!pid)
		signal(SIGTERM, SIG_DFL);
	return pid;
}

bool end_child(void)
{
	fflush(stdout);
	_exit(1);
}

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

/* Whether the process has ended; it is still to be waited for. */
static bool has_ended(pid_t child)
{
	siginfo_t info = {};

	igt_assert_eq(waitid(P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	return info.si_pid;
}

bool waits_in(pid_t child, const char *where)
{
	char path[64], wchan[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/wchan", child);
	read_line(path, wchan, sizeof(wchan));
	return strstr(wchan, where);
}

void await_wait_in(pid_t child, const char *where)
{
	do {
		igt_assert_f(!has_ended(child), "it has not waited\n");
		sched_yield();
	} while (!waits_in(child, where));
}

/* Long after a process that waits for nobody has ended, on a busy machine, too */
#define END_SECONDS	60

bool ends_in_time(pid_t child)
{
	time_t limit = time(NULL) + END_SECONDS;

	while (!has_ended(child) && time(NULL) < limit)
		sched_yield();
	return has_ended(child);
}

bool can_be_killed(pid_t child)
{
	igt_assert_eq(kill(child, SIGKILL), 0);
	return ends_in_time(child);
}

static int access_signal(char *ptr, bool write)
{
	struct rlimit no_core = {};
	pid_t child = fork();
	int status;
	char byte;

	igt_assert_lte(0, child);
	if (!child) {
		/* Not what IGT makes of it, which is a report. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		setrlimit(RLIMIT_CORE, &no_core);
		byte = READ_ONCE(*ptr);
		if (write)
			WRITE_ONCE(*ptr, byte);
		_exit(0);
	}
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert(!status || WIFSIGNALED(status));
	return status ? WTERMSIG(status) : 0;
}

int read_signal(const char *ptr)
{
	return access_signal((char *)ptr, false);
}

int write_signal(char *ptr)
{
	return access_signal(ptr, true);
}
