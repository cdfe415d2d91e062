// SPDX-License-Identifier: MIT
/*
 * mempinfd under concurrent users and signals, and with one who has to wait.
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

#define THREADS	4
#define NPAGES	64
#define ROUNDS	200

struct worker {
	int fd, number;
	char *mem;
	int wins, error;
};

static void run_threads(void *(*thread)(void *), struct worker *workers)
{
	pthread_t threads[THREADS];
	int fd = open_mempinfd();
	char *mem = anon(pages(NPAGES) * THREADS);

	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ fd, i, mem, 0, 0 };
		igt_assert_eq(pthread_create(&threads[i], NULL, thread,
					     &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		igt_assert_eq(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < THREADS; i++)
		igt_assert_eq(workers[i].error, 0);
	unmap(mem, pages(NPAGES) * THREADS);
	close(fd);
}

/* Each thread has pages of its own, and drops them now and then. */
static void *own_thread(void *arg)
{
	struct worker *worker = arg;
	char *mem = worker->mem + pages(NPAGES) * worker->number;

	for (int i = 0; i < ROUNDS && !worker->error; i++) {
		size_t half = pages(NPAGES) / 2;

		worker->error = __pin(worker->fd, mem, half) ?:
				__pin(worker->fd, mem + half, half);
		fill(mem, 0, NPAGES, i);
		if (i % 8 == 0)
			madvise(mem, half, MADV_DONTNEED);
		worker->error = worker->error ?:
				__unpin(worker->fd, mem, half) ?:
				__unpin(worker->fd, mem + half, half);
		if (i % 8 && count_filled(mem, 0, NPAGES, i) != NPAGES)
			worker->error = -EIO;
	}
	return NULL;
}

static void test_threads(void)
{
	struct worker workers[THREADS];

	run_threads(own_thread, workers);
}

/* All want the same pages: one gets them, and it alone can release them. */
static void *same_thread(void *arg)
{
	struct worker *worker = arg;

	for (int i = 0; i < ROUNDS && !worker->error; i++) {
		int error = __pin(worker->fd, worker->mem, pages(NPAGES));

		if (!error) {
			worker->wins++;
			error = __unpin(worker->fd, worker->mem, pages(NPAGES));
		} else if (error == -EEXIST) {
			error = 0;
		}
		worker->error = error;
	}
	return NULL;
}

static void test_threads_same(void)
{
	struct worker workers[THREADS];
	int wins = 0;

	run_threads(same_thread, workers);
	for (int i = 0; i < THREADS; i++)
		wins += workers[i].wins;
	igt_info("%d of %d pins were made\n", wins, THREADS * ROUNDS);
	igt_assert_lt(0, wins);
}

/* Many processes with one descriptor: their ranges do not get into each other's way. */
static void test_processes(void)
{
	int fd = open_mempinfd();
	char *mem = anon(pages(NPAGES));

	igt_fork(child, THREADS) {
		for (int i = 0; i < ROUNDS; i++) {
			pin(fd, mem, pages(NPAGES));
			if (i % 2)
				unpin(fd, mem, pages(NPAGES));
			else
				unpin(fd, mem + 1, pages(NPAGES) - 1);
		}
	}
	igt_waitchildren();
	unmap(mem, pages(NPAGES));
	close(fd);
}

struct stalled {
	int fd, socket, error;
	char *mem;
};

static void *pin_thread(void *arg)
{
	struct stalled *stalled = arg;

	stalled->error = __pin(stalled->fd, stalled->mem, pages(NPAGES));
	tell(stalled->socket);
	return NULL;
}

/*
 * One thread's call waits for user space to provide a page. Its range is taken,
 * and cannot be released yet; for other ranges, other threads and other
 * processes the descriptor works as ever.
 */
static void test_stalled(void)
{
	char *mem = anon(pages(NPAGES)), *other = anon(pages(NPAGES));
	int uffd = make_stall(mem + pages(8), pages(8));
	int fd = open_mempinfd(), sockets[2];
	int64_t pins = pins_held();
	struct stalled stalled;
	pthread_t thread;

	make_sockets(sockets);
	stalled = (struct stalled){ fd, sockets[1], 0, mem };
	igt_assert_eq(pthread_create(&thread, NULL, pin_thread, &stalled), 0);
	await_fault(uffd, sockets[0]);
	igt_assert_eq(__pin(fd, mem, pages(NPAGES)), -EEXIST);
	igt_assert_eq(__pin(fd, mem + pages(32), 1), -EEXIST);
	igt_assert_eq(__unpin(fd, mem, pages(NPAGES)), -EINVAL);
	pin(fd, other, pages(NPAGES));
	unpin(fd, other, pages(NPAGES));
	igt_fork(child, 1) {
		pin(fd, other, pages(NPAGES));
		unpin(fd, other, pages(NPAGES));
		close(fd);
	}
	igt_waitchildren();

	close(uffd);
	igt_assert_eq(pthread_join(thread, NULL), 0);
	igt_assert_eq(stalled.error, 0);
	igt_assert_eq_s64(pins_held() - pins, NPAGES);
	unpin(fd, mem, pages(NPAGES));
	igt_assert_eq_s64(pins_held(), pins);
	unmap(mem, pages(NPAGES));
	unmap(other, pages(NPAGES));
	close(sockets[0]);
	close(sockets[1]);
	close(fd);
}

/* Signals with a handler neither end a call nor make it fail. */
static void test_signals(void)
{
	size_t size = MIB(8);
	int fd = open_mempinfd(), ret = 0;
	char *mem = anon(size);

	igt_fork_signal_helper();
	for (int i = 0; i < 20 && !ret; i++) {
		ret = __pin(fd, mem, size) ?: __unpin(fd, mem, size);
		madvise(mem, size, MADV_DONTNEED);
	}
	igt_stop_signal_helper();
	igt_assert_eq(ret, 0);
	unmap(mem, size);
	close(fd);
}

/* At any moment: while it pins, between two calls, while it unpins. */
static void test_kill_anytime(void)
{
	size_t size = MIB(8);
	int64_t pins = pins_held();
	char *mem = anon_small(size);
	int status;

	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		igt_assert(pid >= 0);
		if (!pid) {
			int fd = open("/dev/mempinfd", O_RDWR | O_CLOEXEC);

			while (!__pin(fd, mem, size) && !__unpin(fd, mem, size))
				madvise(mem, size, MADV_DONTNEED);
			_exit(1);
		}
		/* It may be before the first, or after some: whatever comes. */
		for (int j = 0; j < i; j++)
			vmstat("nr_foll_pin_acquired");
		igt_assert_eq(kill(pid, SIGKILL), 0);
		igt_assert_eq(waitpid(pid, &status, 0), pid);
		igt_assert(WIFSIGNALED(status));
		igt_assert_eq_s64(pins_held(), pins);
	}
	unmap(mem, size);
}

/* Each pin is 1024 references, of which a page can have 2^31, and pins take half. */
#define MAX_PINS	(1 << 20)

/* One page, mapped at many addresses; also within a call it is not pinned too often. */
static void test_too_many_pins(void)
{
	const size_t count = 60000;
	int memfd = unsealed_memfd(SHMEM, page_size()), fds[40], made, ret = 0;
	char *mem = anon(pages(count));

	for (size_t i = 0; i < count; i++)
		igt_assert(mmap(mem + pages(i), page_size(),
				PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				memfd, 0) != MAP_FAILED);
	for (made = 0; made < (int)ARRAY_SIZE(fds) && !ret; made++) {
		fds[made] = open_mempinfd();
		ret = __pin(fds[made], mem, pages(count));
	}
	igt_info("%d times %zu pins\n", made - 1, count);
	igt_assert_lte(made - 1, (int)(MAX_PINS / count));
	while (made--)
		close(fds[made]);
	igt_assert_eq(ret, -ENOMEM);
	unmap(mem, pages(count));
	close(memfd);
}

#define CYCLES		16000
#define PROCESSES	200

/* Of two pages that do not follow each other, and of one that cannot be pinned. */
static void use_once(char *mem)
{
	int fd = open_mempinfd();

	pin(fd, mem, pages(8));
	pin(fd, mem + pages(10), pages(1));
	igt_assert_eq(__pin(fd, mem + pages(12), pages(8)), -EFAULT);
	igt_assert_eq(__pin(fd, mem, pages(1)), -EEXIST);
	unpin(fd, mem, pages(8));
	close(fd);
}

static void use_often(char *mem)
{
	for (int i = 0; i < CYCLES; i++)
		use_once(mem);
}

/* By many processes, none of which may stay behind. */
static void use_in_children(char *mem)
{
	for (int i = 0; i < PROCESSES; i++) {
		igt_fork(child, 1)
			use_once(mem);
		igt_waitchildren();
	}
}

/*
 * Is more memory than so many bytes in use after @use_all that was not before? To
 * tell it from what others do meanwhile, it has to be so in each of several rounds.
 */
static bool leaks(void (*use_all)(char *mem), int64_t limit)
{
	int64_t lost = limit;
	char *mem = anon(pages(16));

	/* In reverse, so that the pages' frames do not follow each other. */
	for (int i = 15; i >= 0; i--)
		mem[pages(i)] = 1;
	unmap(mem + pages(15), page_size());
	use_all(mem);
	for (int round = 0; round < 10 && lost >= limit; round++) {
		lost = free_memory();
		use_all(mem);
		lost -= free_memory();
		igt_info("%lld KiB of memory are lost\n", (long long)lost / 1024);
	}
	unmap(mem, pages(15));
	return lost >= limit;
}

/* The smallest object that there is takes 64 bytes. */
static void test_no_leak(void)
{
	igt_assert(!leaks(use_often, 40 * CYCLES));
}

/* An address space takes more than a page. */
static void test_no_leak_processes(void)
{
	igt_assert(!leaks(use_in_children, pages(PROCESSES)));
}

void mempinfd_stress_subtests(void)
{
	igt_describe("Threads pin and release ranges of their own");
	igt_subtest("threads")
		mempinfd_test(test_threads);
	igt_describe("Threads race for the same range");
	igt_subtest("threads-same-range")
		mempinfd_test(test_threads_same);
	igt_describe("Processes share a descriptor");
	igt_subtest("processes")
		mempinfd_test(test_processes);
	igt_describe("A call that waits for user space to provide a page does not hold up others "
		     "of the same descriptor");
	igt_subtest("stalled")
		mempinfd_test(test_stalled);
	igt_describe("Signals with a handler do not disturb");
	igt_subtest("signals")
		mempinfd_test(test_signals);
	igt_describe("SIGKILL at any moment leaves nothing pinned");
	igt_subtest("kill-anytime")
		mempinfd_test(test_kill_anytime);
	igt_describe("A page's references do not overflow");
	igt_subtest("too-many-pins")
		mempinfd_test(test_too_many_pins);
	igt_describe("Thousands of descriptors and ranges leave no memory in use");
	igt_subtest("no-leak")
		mempinfd_test(test_no_leak);
	igt_describe("Nor do the address spaces of processes that have pinned");
	igt_subtest("no-leak-processes")
		mempinfd_test(test_no_leak_processes);
}
