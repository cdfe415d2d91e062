// SPDX-License-Identifier: MIT
/*
 * Tests of the limits of pinned memory, see pin_account.c.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "igt.h"
#include "pin_account.h"

static void test_limit(int dev)
{
	int64_t acquired;
	int sockets[2];

	limit_users(1);
	make_sockets(sockets);
	igt_fork(child, 1) {
		int fds[2], one;

		close(sockets[0]);
		become(USER);
		fds[0] = create_pages(dev, MIB(1) / page_size() - 1);
		tell(sockets[1]);
		await(sockets[1]);
		igt_assert_eq(__create_pages(dev, 2), -ENOMEM);
		igt_assert_eq(__create_pages(dev, MIB(16) / page_size()), -ENOMEM);
		tell(sockets[1]);
		await(sockets[1]);
		fds[1] = create_pages(dev, 1);
		igt_assert_eq(__create_pages(dev, 1), -ENOMEM);
		close(fds[1]);
		one = create_pages(dev, 1);
		close(one);
		close(fds[0]);
		igt_assert_eq(__create_pages(dev, MIB(1) / page_size() + 1),
			      -ENOMEM);
		close(create_pages(dev, MIB(1) / page_size()));
	}
	close(sockets[1]);
	await(sockets[0]);
	igt_assert_eq_s64(charged(USER), MIB(1) - page_size());
	acquired = vmstat("nr_foll_pin_acquired");
	tell(sockets[0]);
	await(sockets[0]);
	igt_assert_eq_s64(vmstat("nr_foll_pin_acquired"), acquired);
	igt_assert_eq_s64(charged(USER), MIB(1) - page_size());
	tell(sockets[0]);
	igt_waitchildren();
	igt_assert(!listed(USER));
	close(sockets[0]);
}

static void test_limit_lowered(int dev)
{
	int sockets[2];

	limit_users(4);
	make_sockets(sockets);
	igt_fork(child, 1) {
		int fd;

		close(sockets[0]);
		become(USER);
		fd = create_pages(dev, MIB(2) / page_size());
		tell(sockets[1]);
		await(sockets[1]);
		igt_assert_eq(__create_pages(dev, 1), -ENOMEM);
		close(fd);
		close(create_pages(dev, MIB(1) / page_size()));
	}
	close(sockets[1]);
	await(sockets[0]);
	limit_users(1);
	tell(sockets[0]);
	igt_waitchildren();
	igt_assert(!listed(USER));
	close(sockets[0]);
}

static void test_limit_none(int dev)
{
	limit_users(0);
	igt_fork(child, 1) {
		become(USER);
		close(create_pages(dev, MIB(8) / page_size()));
	}
	igt_waitchildren();
}

static void test_limit_privileged(int dev)
{
	int64_t before = charged(0);
	int fd;

	limit_users(1);
	fd = create_pages(dev, MIB(4) / page_size());
	igt_assert_eq_s64(charged(0), before + MIB(4));
	close(fd);

	/* A user's privileged process leaves less to the others. */
	igt_fork(child, 1) {
		igt_assert_eq(setresuid(USER, 0, 0), 0);
		fd = create_pages(dev, MIB(4) / page_size());
		become(USER);
		igt_assert_eq(__create_pages(dev, 1), -ENOMEM);
		close(fd);
		close(create_pages(dev, 1));
	}
	igt_waitchildren();
}

static void test_limit_other_user(int dev)
{
	int sockets[2];

	limit_users(1);
	make_sockets(sockets);
	igt_fork(child, 1) {
		int fd;

		close(sockets[0]);
		become(USER);
		fd = create_pages(dev, MIB(1) / page_size());
		tell(sockets[1]);
		await(sockets[1]);
		close(fd);
	}
	close(sockets[1]);
	await(sockets[0]);
	igt_fork(child, 1) {
		become(OTHER);
		close(create_pages(dev, MIB(1) / page_size()));
	}
	tell(sockets[0]);
	igt_waitchildren();
	close(sockets[0]);
}

#define TRIES	20000

struct racer {
	pthread_t thread;
	int dev;
	int memfd;
	int made;
	int failed;
};

/* Dma-bufs in the room that is left, where only one fits. */
static atomic_int held, most_held;

static void *race_to_limit(void *data)
{
	struct racer *racer = data;

	for (int i = 0; i < TRIES; i++) {
		int fd = __create(racer->dev, racer->memfd, 0, page_size());

		if (fd >= 0) {
			if (atomic_fetch_add(&held, 1))
				atomic_store(&most_held, 2);
			racer->made++;
			/* The room is taken. */
			if (__create(racer->dev, racer->memfd, 0,
				     page_size()) >= 0)
				atomic_store(&most_held, 2);
			atomic_fetch_sub(&held, 1);
			close(fd);
		} else if (fd == -ENOMEM) {
			racer->failed++;
		}
	}
	return NULL;
}

static void test_limit_threads(int dev)
{
	limit_users(1);
	igt_fork(child, 1) {
		struct racer racers[4];
		int made = 0, failed = 0, fd;

		become(USER);
		fd = create_pages(dev, MIB(1) / page_size() - 1);
		for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
			racers[i] = (struct racer) {
				.dev = dev,
				.memfd = sealed_memfd(SHMEM, page_size()),
			};
			igt_assert_eq(pthread_create(&racers[i].thread, NULL,
						     race_to_limit,
						     &racers[i]), 0);
		}
		for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
			pthread_join(racers[i].thread, NULL);
			close(racers[i].memfd);
			made += racers[i].made;
			failed += racers[i].failed;
		}
		close(fd);
		igt_info("%d made, %d over the limit\n", made, failed);
		igt_assert_eq(atomic_load(&most_held), 0);
		igt_assert_lt(0, made);
		igt_assert_eq(made + failed, TRIES * (int)ARRAY_SIZE(racers));
	}
	igt_waitchildren();
	igt_assert(!listed(USER));
}

/* A user in a namespace of its own, where that user has every capability */
static void enter_userns(void)
{
	become(USER);
	/* An exec would do it, too: a change of user makes it undumpable. */
	igt_assert_eq(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
	igt_assert_f(!unshare(CLONE_NEWUSER), "unshare: %s\n",
		     strerror(errno));
}

static void test_limit_userns(int dev)
{
	int sockets[2];

	limit_users(1);
	make_sockets(sockets);
	igt_fork(child, 1) {
		int fd;

		close(sockets[0]);
		enter_userns();
		igt_assert_eq(write_line("/proc/self/setgroups", "deny"), 0);
		igt_assert_eq(write_line("/proc/self/uid_map", "0 4711 1"), 0);
		igt_assert_eq(getuid(), 0);
		fd = create_pages(dev, MIB(1) / page_size());
		igt_assert_eq(__create_pages(dev, 1), -ENOMEM);
		tell(sockets[1]);
		await(sockets[1]);
		close(fd);
	}
	close(sockets[1]);
	await(sockets[0]);
	igt_assert_eq_s64(charged(USER), MIB(1));
	tell(sockets[0]);
	igt_waitchildren();
	igt_assert(!listed(USER));
	close(sockets[0]);
}

/* A namespace that root has made for a container */
static void enter_container(void)
{
	igt_assert_f(!unshare(CLONE_NEWUSER), "unshare: %s\n",
		     strerror(errno));
}

/* The IDs of users and groups that there are in the namespace of a process */
static void map_ids(pid_t pid, const char *ids)
{
	char map[64];

	snprintf(map, sizeof(map), "/proc/%d/uid_map", pid);
	igt_assert_eq(write_line(map, ids), 0);
	snprintf(map, sizeof(map), "/proc/%d/gid_map", pid);
	igt_assert_eq(write_line(map, ids), 0);
}

#define SUBUIDS		"0 4711 1\n1 100000 100"

/* In a namespace in which there is root: one of a user's own. Only from there it gets IDs. */
static void enter_nested(void)
{
	int sockets[2], status;
	pid_t user = getpid(), helper;

	make_sockets(sockets);
	helper = fork();
	igt_assert_lte(0, helper);
	if (!helper) {
		close(sockets[0]);
		await(sockets[1]);
		map_ids(user, SUBUIDS);
		_exit(0);
	}
	close(sockets[1]);
	enter_userns();
	tell(sockets[0]);
	igt_assert_eq(waitpid(helper, &status, 0), helper);
	igt_assert_eq(status, 0);
	close(sockets[0]);
}

/*
 * @ids: in the namespace of @enter; @nested: to enter another in that, or NULL; @user: in
 * the initial namespace, who is user 7 in the last, or answers for that one
 */
static void check_subuid(int dev, void (*enter)(void), const char *ids,
			 void (*nested)(void), uid_t user)
{
	int sockets[2];
	pid_t pid;

	limit_users(1);
	make_sockets(sockets);
	igt_fork(child, 1) {
		int fd;

		close(sockets[0]);
		enter();
		pid = getpid();
		igt_assert_eq(write(sockets[1], &pid, sizeof(pid)), sizeof(pid));
		await(sockets[1]);
		if (nested)
			nested();
		/* One of the IDs that a helper such as newuidmap gives. */
		igt_assert_eq(setresuid(7, 7, 7), 0);
		fd = create_pages(dev, MIB(1) / page_size());
		igt_assert_eq(setuid(7), 0);
		igt_assert_eq(__create_pages(dev, 1), -ENOMEM);
		tell(sockets[1]);
		await(sockets[1]);
		close(fd);
	}
	close(sockets[1]);
	igt_assert_eq(read(sockets[0], &pid, sizeof(pid)), sizeof(pid));
	map_ids(pid, ids);
	tell(sockets[0]);
	await(sockets[0]);
	igt_assert_eq_s64(charged(user), MIB(1));
	igt_assert(!listed(100006));
	tell(sockets[0]);
	igt_waitchildren();
	igt_assert(!listed(user));
	close(sockets[0]);
}

static void test_limit_subuid(int dev)
{
	check_subuid(dev, enter_userns, SUBUIDS, NULL, USER);
}

static void test_limit_container(int dev)
{
	check_subuid(dev, enter_container, SUBUIDS, NULL, USER);
}

static void test_limit_identity(int dev)
{
	check_subuid(dev, enter_container, "0 0 100", NULL, 7);
}

static void test_limit_nested(int dev)
{
	check_subuid(dev, enter_container, "0 0 200000", enter_nested, USER);
}

static void set_memlock(size_t bytes)
{
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };

	igt_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
}

static int open_ring(void)
{
	struct io_uring_params params = {};

	return syscall(SYS_io_uring_setup, 1, &params);
}

static void require_rings(void)
{
	int ring = open_ring();
	char line[8];

	igt_require_f(ring >= 0, "no io_uring: %s\n", strerror(errno));
	close(ring);
	igt_require_f(read_line("/proc/sys/kernel/io_uring_disabled", line, sizeof(line)) ||
		      line[0] == '0', "io_uring is not for users\n");
}

/* Memory of another kind that is locked at a user's expense: the buffers of an io_uring */
static void check_shared_limit(int dev)
{
	const size_t count = MIB(1) / page_size(), locked = 10;
	char *mem = anon_small(pages(locked));
	struct iovec iov = { mem, pages(locked) };
	int ring = open_ring(), fd;

	igt_assert_lte(0, ring);
	fill(mem, 0, locked, 1);
	igt_assert_eq(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1), 0);
	fd = create_pages(dev, count - locked);
	igt_assert_eq(__create_pages(dev, 1), -ENOMEM);
	close(fd);
	igt_assert_eq(__create_pages(dev, count - locked + 1), -ENOMEM);
	igt_assert_eq(syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0),
		      0);
	fd = create_pages(dev, count - locked + 1);
	igt_assert_eq(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1), -1);
	igt_assert_eq(errno, ENOMEM);
	close(fd);
	close(ring);
	unmap(mem, pages(locked));
}

static void test_strict(int dev)
{
	require_rings();
	set(STRICT, "Y");
	igt_fork(child, 1) {
		int fd;

		set_memlock(MIB(1));
		become(USER);
		check_shared_limit(dev);
		fd = create_pages(dev, MIB(1) / page_size());
		igt_assert_eq(__create_pages(dev, 1), -ENOMEM);
		close(fd);
		fd = create_pages(dev, 1);
		igt_assert_eq(__create_pages(dev, MIB(1) / page_size()),
			      -ENOMEM);
		close(fd);
		close(create_pages(dev, MIB(1) / page_size()));
	}
	igt_waitchildren();
	igt_assert(!listed(USER));

	/* Privileged, it goes beyond. */
	igt_fork(child, 1) {
		set_memlock(MIB(1));
		close(create_pages(dev, MIB(2) / page_size()));
	}
	igt_waitchildren();
}

static void test_strict_rlimit_zero(int dev)
{
	set(STRICT, "Y");
	igt_fork(child, 1) {
		set_memlock(0);
		become(USER);
		igt_assert_eq(__create_pages(dev, 1), -EPERM);
	}
	igt_waitchildren();
	set(STRICT, "N");
	igt_fork(child, 1) {
		set_memlock(0);
		become(USER);
		close(create_pages(dev, 1));
	}
	igt_waitchildren();
}

static void test_strict_switched(int dev)
{
	int sockets[2];

	make_sockets(sockets);
	set(STRICT, "Y");
	igt_fork(child, 1) {
		size_t count = MIB(1) / page_size();
		int strict, lax;

		close(sockets[0]);
		set_memlock(MIB(1));
		become(USER);
		strict = create_pages(dev, count);
		tell(sockets[1]);
		await(sockets[1]);
		lax = create_pages(dev, count);
		close(strict);
		tell(sockets[1]);
		await(sockets[1]);
		/* What was pinned meanwhile is no part of the locked memory. */
		strict = create_pages(dev, count);
		igt_assert_eq(__create_pages(dev, 1), -ENOMEM);
		close(lax);
		igt_assert_eq(__create_pages(dev, 1), -ENOMEM);
		close(strict);
	}
	close(sockets[1]);
	await(sockets[0]);
	set(STRICT, "N");
	tell(sockets[0]);
	await(sockets[0]);
	set(STRICT, "Y");
	tell(sockets[0]);
	igt_waitchildren();
	igt_assert(!listed(USER));
	close(sockets[0]);
}

void pin_account_limits_subtests(int dev)
{
	igt_describe("Over the limit is ENOMEM, and nothing is pinned; room that is given back "
		     "can be used again");
	igt_subtest("limit")
		udmabuf_test(test_limit, dev);
	igt_describe("A limit below what is pinned stops new pins only");
	igt_subtest("limit-lowered")
		udmabuf_test(test_limit_lowered, dev);
	igt_describe("A limit of 0 is none");
	igt_subtest("limit-none")
		udmabuf_test(test_limit_none, dev);
	igt_describe("CAP_IPC_LOCK is not limited, but counts");
	igt_subtest("limit-privileged")
		udmabuf_test(test_limit_privileged, dev);
	igt_describe("One user at the limit does not stop another");
	igt_subtest("limit-other-user")
		udmabuf_test(test_limit_other_user, dev);
	igt_describe("Threads that meet at the limit do not pass it together");
	igt_subtest("limit-threads")
		udmabuf_test(test_limit_threads, dev);
	igt_describe("Root in a user's own namespace is still that user");
	igt_subtest("limit-userns")
		udmabuf_test(test_limit_userns, dev);
	igt_describe("So is any other user ID in it");
	igt_subtest("limit-subuid")
		udmabuf_test(test_limit_subuid, dev);
	igt_describe("In a container that root has made, it is the container's root");
	igt_subtest("limit-container")
		udmabuf_test(test_limit_container, dev);
	igt_describe("In one where each user is the same as outside, it is that user, and not root");
	igt_subtest("limit-identity")
		udmabuf_test(test_limit_identity, dev);
	igt_describe("Who makes a namespace within such a one is charged for all of it");
	igt_subtest("limit-nested")
		udmabuf_test(test_limit_nested, dev);
	igt_describe("In strict mode RLIMIT_MEMLOCK holds, too, together with other kinds of "
		     "locked memory");
	igt_subtest("strict")
		udmabuf_test(test_strict, dev);
	igt_describe("In strict mode RLIMIT_MEMLOCK of 0 is EPERM");
	igt_subtest("strict-rlimit-zero")
		udmabuf_test(test_strict_rlimit_zero, dev);
	igt_describe("The mode can change while pins are held");
	igt_subtest("strict-switched")
		udmabuf_test(test_strict_switched, dev);
}
