// SPDX-License-Identifier: MIT
/*
 * How long pins last: until MEMPINFD_UNPIN or the last close, whatever becomes of
 * the mapping and the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "igt.h"
#include "mempinfd.h"
#include "phys_helper.h"

#define NPAGES	64

static void test_munmap(void)
{
	int64_t pins = pins_held();
	int fd = open_mempinfd();
	char *mem = anon_small(pages(NPAGES));

	pin(fd, mem, pages(NPAGES));
	unmap(mem, pages(NPAGES));
	igt_assert_eq_s64(pins_held() - pins, NPAGES);
	igt_assert_eq_s64(charged(0), pages(NPAGES));
	unpin(fd, mem, pages(NPAGES));
	igt_assert_eq_s64(pins_held(), pins);
	close(fd);
}

/* The parent keeps the pinned pages, the child gets copies. */
static void test_fork(void)
{
	char *mem = anon(pages(NPAGES));
	int64_t pins = pins_held();
	int fd = open_mempinfd();
	uint64_t page, last;
	int sockets[2];

	fill(mem, 0, NPAGES, 1);
	pin(fd, mem, pages(NPAGES));
	page = page_frame(mem);
	last = page_frame(mem + pages(NPAGES - 1));
	make_sockets(sockets);
	igt_fork(child, 1) {
		close(sockets[0]);
		igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
		igt_assert(page_frame(mem) != page);
		igt_assert(page_frame(mem + pages(NPAGES - 1)) != last);
		tell(sockets[1]);
		await(sockets[1]);
		igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
		fill(mem, 0, NPAGES, 3);
	}
	close(sockets[1]);
	await(sockets[0]);
	igt_assert_eq_s64(pins_held() - pins, NPAGES);
	fill(mem, 0, NPAGES, 2);
	igt_assert_eq_u64(page_frame(mem), page);
	igt_assert_eq_u64(page_frame(mem + pages(NPAGES - 1)), last);
	tell(sockets[0]);
	igt_waitchildren();
	close(sockets[0]);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 2), NPAGES);
	igt_assert_eq_s64(pins_held() - pins, NPAGES);
	unpin(fd, mem, pages(NPAGES));
	unmap(mem, pages(NPAGES));
	close(fd);
}

/* A range that is pinned, and sockets for those who have to do with it */
struct held {
	char *mem;
	int64_t pins;		/* besides it */
	int fd, sockets[2];
};

static struct held hold(void)
{
	struct held held = {
		.mem = anon(pages(NPAGES)),
		.pins = pins_held(),
		.fd = open_mempinfd(),
	};

	pin(held.fd, held.mem, pages(NPAGES));
	make_sockets(held.sockets);
	return held;
}

/* The same addresses, but other memory: each has what it has pinned. */
static void test_fork_same_range(void)
{
	struct held held = hold();

	igt_fork(child, 1) {
		close(held.sockets[0]);
		igt_assert_eq(__unpin(held.fd, held.mem, pages(NPAGES)), -EINVAL);
		pin(held.fd, held.mem, pages(NPAGES));
		igt_assert_eq(__pin(held.fd, held.mem, pages(1)), -EEXIST);
		tell(held.sockets[1]);
		await(held.sockets[1]);
		unpin(held.fd, held.mem, pages(NPAGES));
		igt_assert_eq(__unpin(held.fd, held.mem, pages(NPAGES)), -EINVAL);
	}
	close(held.sockets[1]);
	await(held.sockets[0]);
	igt_assert_eq_s64(pins_held() - held.pins, 2 * NPAGES);
	unpin(held.fd, held.mem, pages(NPAGES));
	igt_assert_eq(__unpin(held.fd, held.mem, pages(NPAGES)), -EINVAL);
	igt_assert_eq_s64(pins_held() - held.pins, NPAGES);
	tell(held.sockets[0]);
	igt_waitchildren();
	close(held.sockets[0]);
	igt_assert_eq_s64(pins_held(), held.pins);
	unmap(held.mem, pages(NPAGES));
	close(held.fd);
}

struct thread_range {
	int fd;
	char *mem;
};

static void *unpin_thread(void *arg)
{
	const struct thread_range *range = arg;

	return __unpin(range->fd, range->mem, pages(NPAGES)) ? arg : NULL;
}

/* Threads share the address space, and so the ranges. */
static void test_thread(void)
{
	struct thread_range range = { open_mempinfd(), anon(pages(NPAGES)) };
	pthread_t thread;
	void *failed;

	pin(range.fd, range.mem, pages(NPAGES));
	igt_assert_eq(pthread_create(&thread, NULL, unpin_thread, &range), 0);
	igt_assert_eq(pthread_join(thread, &failed), 0);
	igt_assert(!failed);
	unmap(range.mem, pages(NPAGES));
	close(range.fd);
}

static void test_close(void)
{
	char *mem = anon(pages(NPAGES));
	int64_t pins = pins_held();
	int fd = open_mempinfd();

	pin(fd, mem, pages(5));
	pin(fd, mem + pages(7), pages(8));
	pin(fd, mem + pages(40), pages(1));
	igt_assert_eq_s64(pins_held() - pins, 14);
	close(fd);
	igt_assert_eq_s64(pins_held(), pins);
	igt_assert_eq_s64(charged(0), 0);
	unmap(mem, pages(NPAGES));
}

static void test_close_dup(void)
{
	char *mem = anon(pages(NPAGES));
	int64_t pins = pins_held();
	int fd = open_mempinfd(), other = dup(fd);

	pin(fd, mem, pages(NPAGES));
	close(fd);
	igt_assert_eq_s64(pins_held() - pins, NPAGES);
	/* The open file is the same. */
	unpin(other, mem, pages(NPAGES));
	pin(other, mem, pages(NPAGES));
	close(other);
	igt_assert_eq_s64(pins_held(), pins);
	unmap(mem, pages(NPAGES));
}

/* A child that inherited the descriptor is the last to close it. */
static void test_close_fork(void)
{
	struct held held = hold();

	igt_fork(child, 1) {
		close(held.sockets[0]);
		await(held.sockets[1]);
		close(held.fd);
		tell(held.sockets[1]);
		await(held.sockets[1]);
	}
	close(held.sockets[1]);
	close(held.fd);
	igt_assert_eq_s64(pins_held() - held.pins, NPAGES);
	tell(held.sockets[0]);
	await(held.sockets[0]);
	igt_assert_eq_s64(pins_held(), held.pins);
	tell(held.sockets[0]);
	igt_waitchildren();
	close(held.sockets[0]);
	unmap(held.mem, pages(NPAGES));
}

/*
 * A user's process passes its descriptor on and exits. The pins last, at that
 * user's expense, until the one who got it closes it.
 */
static void test_close_passed(void)
{
	int64_t pins = pins_held();
	int sockets[2], fd;

	make_sockets(sockets);
	igt_fork(child, 1) {
		void *mem = anon_small(pages(NPAGES));
		int own = open_mempinfd();

		become(USER);
		pin(own, mem, pages(NPAGES));
		send_fd(sockets[1], own);
	}
	fd = receive_fd(sockets[0]);
	igt_waitchildren();
	close(sockets[0]);
	close(sockets[1]);
	igt_assert_eq_s64(pins_held() - pins, NPAGES);
	igt_assert_eq_s64(charged(USER), pages(NPAGES));
	igt_assert_eq_s64(charged(0), 0);
	close(fd);
	igt_assert_eq_s64(pins_held(), pins);
	igt_assert_eq_s64(charged(USER), 0);
}

/* A descriptor in a message that nobody receives is closed with the socket. */
static void test_close_in_flight(void)
{
	struct held held = hold();

	send_fd(held.sockets[1], held.fd);
	close(held.fd);
	igt_assert_eq_s64(pins_held() - held.pins, NPAGES);
	close(held.sockets[0]);
	close(held.sockets[1]);
	igt_assert_eq_s64(pins_held(), held.pins);
	unmap(held.mem, pages(NPAGES));
}

/* Who execs has a new address space, in which nothing is pinned. */
static void test_exec(void)
{
	int64_t pins = pins_held();
	int fd = open_mempinfd();
	int sockets[2];
	char byte;

	make_sockets(sockets);
	igt_fork(child, 1) {
		close(sockets[0]);
		pin(fd, anon(pages(NPAGES)), pages(NPAGES));
		igt_assert_eq(fcntl(fd, F_SETFD, 0), 0);
		igt_assert_lte(0, dup2(sockets[1], STDIN_FILENO));
		igt_assert_lte(0, dup2(sockets[1], STDOUT_FILENO));
		execlp("cat", "cat", NULL);
	}
	close(sockets[1]);
	close(fd);
	/* It comes back when the other program runs. */
	tell(sockets[0]);
	igt_assert_eq(read(sockets[0], &byte, 1), 1);
	igt_assert_eq_s64(pins_held() - pins, NPAGES);
	close(sockets[0]);
	igt_waitchildren();
	igt_assert_eq_s64(pins_held(), pins);
}

static void test_exit(void)
{
	int64_t pins = pins_held();

	igt_fork(child, 1)
		pin(open_mempinfd(), anon(pages(NPAGES)), pages(NPAGES));
	igt_waitchildren();
	igt_assert_eq_s64(pins_held(), pins);
}

/*
 * The process ends, the descriptor does not: nobody but its close is left to unpin.
 * What else the process had mapped goes away with it.
 */
static void test_exit_shared(void)
{
	char *mem = anon(pages(NPAGES));
	int64_t pins = pins_held();
	int fd = open_mempinfd();
	int memfd = unsealed_memfd(SHMEM, page_size());

	igt_fork(child, 2) {
		map_fd(memfd, page_size());
		pin(fd, mem, pages(NPAGES));
	}
	igt_waitchildren();
	/* A mapping that is left would not allow it. */
	seal(memfd, F_SEAL_WRITE);
	close(memfd);
	igt_assert_eq_s64(pins_held() - pins, 2 * NPAGES);
	igt_assert_eq(__unpin(fd, mem, pages(NPAGES)), -EINVAL);
	pin(fd, mem, pages(NPAGES));
	igt_assert_eq_s64(pins_held() - pins, 3 * NPAGES);
	close(fd);
	igt_assert_eq_s64(pins_held(), pins);
	unmap(mem, pages(NPAGES));
}

static void kill_and_wait(pid_t pid)
{
	int status;

	igt_assert_eq(kill(pid, SIGKILL), 0);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert(WIFSIGNALED(status));
}

static void test_kill(void)
{
	char *mem = anon(pages(NPAGES));
	int64_t pins = pins_held(), held;
	int sockets[2];
	pid_t pid;

	make_sockets(sockets);
	own_child(pid) {
		close(sockets[0]);
		pin(open_mempinfd(), mem, pages(NPAGES));
		tell(sockets[1]);
		pause();
	}
	close(sockets[1]);
	await(sockets[0]);
	held = pins_held() - pins;
	kill_and_wait(pid);
	igt_assert_eq_s64(held, NPAGES);
	igt_assert_eq_s64(pins_held(), pins);
	close(sockets[0]);
	unmap(mem, pages(NPAGES));
}

/*
 * Killed in the middle of a call that has pinned some pages and waits for user
 * space to provide the next one. The descriptor lives on in the parent, and holds
 * nothing.
 */
static void test_kill_pinning(void)
{
	const size_t count = 1000, present = 700;
	char *mem = anon_small(pages(count));
	int64_t pins = pins_held(), held, charge;
	int fd = open_mempinfd();
	int sockets[2], uffd;
	pid_t pid;

	require_uffd();
	make_sockets(sockets);
	own_child(pid) {
		close(sockets[0]);
		uffd = make_stall(mem + pages(present), pages(count - present));
		send_fd(sockets[1], uffd);
		__pin(fd, mem, pages(count));
	}
	close(sockets[1]);
	uffd = receive_fd(sockets[0]);
	await_fault(uffd, sockets[0]);
	held = pins_held() - pins;
	charge = charged(0);
	/* Whatever is wrong, it is not left waiting. */
	kill_and_wait(pid);
	igt_assert_lt(0, held);
	igt_assert_eq_s64(charge, pages(count));
	igt_assert_eq_s64(pins_held(), pins);
	igt_assert_eq_s64(charged(0), 0);
	close(uffd);
	close(sockets[0]);
	close(fd);
	unmap(mem, pages(count));
}

void mempinfd_life_subtests(void)
{
	igt_describe("Pins, and their charge, outlast the mapping and can be released then");
	igt_subtest("munmap")
		mempinfd_test(test_munmap);
	igt_describe("A forking process keeps the pinned pages, its child has copies");
	igt_subtest("fork")
		mempinfd_test(test_fork);
	igt_describe("Parent and child pin the same addresses, and release only their own");
	igt_subtest("fork-same-range")
		mempinfd_test(test_fork_same_range);
	igt_describe("A thread releases what another one has pinned");
	igt_subtest("thread")
		mempinfd_test(test_thread);
	igt_describe("Closing the descriptor releases all ranges");
	igt_subtest("close")
		mempinfd_test(test_close);
	igt_describe("A duplicate keeps them, and is as good");
	igt_subtest("close-dup")
		mempinfd_test(test_close_dup);
	igt_describe("So does a child that inherited the descriptor");
	igt_subtest("close-fork")
		mempinfd_test(test_close_fork);
	igt_describe("So does a process that was sent the descriptor, at the expense of the user "
		     "who has pinned, even when that process is gone");
	igt_subtest("close-passed")
		mempinfd_test(test_close_passed);
	igt_describe("So does a message, until it is thrown away");
	igt_subtest("close-in-flight")
		mempinfd_test(test_close_in_flight);
	igt_describe("So does a program that was executed with the descriptor");
	igt_subtest("exec")
		mempinfd_test(test_exec);
	igt_describe("Nothing stays pinned when the process ends");
	igt_subtest("exit")
		mempinfd_test(test_exit);
	igt_describe("Pins do when the descriptor is shared, but nothing else of the process, and "
		     "they do not hinder others");
	igt_subtest("exit-shared")
		mempinfd_test(test_exit_shared);
	igt_describe("Nothing stays pinned when the process is killed");
	igt_subtest("kill")
		mempinfd_test(test_kill);
	igt_describe("Nor when that happens while it is pinning, to a shared descriptor");
	igt_subtest("kill-pinning")
		mempinfd_test(test_kill_pinning);
}
