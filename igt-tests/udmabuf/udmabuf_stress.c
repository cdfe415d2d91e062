// SPDX-License-Identifier: MIT
/*
 * udmabuf under concurrent users, signals and sudden death.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "igt.h"
#include "udmabuf.h"

#define THREADS		8
#define NPAGES		64

struct worker {
	int dev, memfd, dmabuf, number;
};

static void run_threads(void *(*thread)(void *), const struct worker *common)
{
	struct worker workers[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		workers[i] = *common;
		workers[i].number = i;
		igt_assert_eq(pthread_create(&threads[i], NULL, thread,
					     &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		igt_assert_eq(pthread_join(threads[i], NULL), 0);
}

static int dmabuf_sync(int dmabuf, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	return ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync) ? -errno : 0;
}

/* Each thread has a few pages of the buffer to itself and any direction. */
static void *sync_thread(void *arg)
{
	static const uint64_t directions[] = {
		DMA_BUF_SYNC_READ, DMA_BUF_SYNC_WRITE, DMA_BUF_SYNC_RW,
	};
	const struct worker *worker = arg;
	size_t count = NPAGES / THREADS, first = worker->number * count;
	char *buf = map_fd(worker->dmabuf, pages(NPAGES));

	for (int i = 0; i < 200; i++) {
		uint64_t dir = directions[(i + worker->number) %
					  ARRAY_SIZE(directions)];

		igt_assert_eq(dmabuf_sync(worker->dmabuf, dir), 0);
		if (dir & DMA_BUF_SYNC_WRITE)
			fill(buf + pages(first), first, count, i);
		igt_assert_eq(dmabuf_sync(worker->dmabuf,
					  dir | DMA_BUF_SYNC_END), 0);
		if (dir & DMA_BUF_SYNC_WRITE)
			igt_assert_eq(count_filled(buf + pages(first), first,
						   count, i), count);
	}
	unmap(buf, pages(NPAGES));
	return NULL;
}

static void check_sync_threads(int dev, bool imported)
{
	struct worker worker = {
		.memfd = sealed_memfd(SHMEM, pages(NPAGES)),
	};
	uint32_t handle = 0;
	int vgem = -1;

	worker.dmabuf = create(dev, worker.memfd, 0, pages(NPAGES));
	if (imported) {
		vgem = drm_open_driver(DRIVER_VGEM);
		handle = prime_fd_to_handle(vgem, worker.dmabuf);
	}
	run_threads(sync_thread, &worker);
	if (imported) {
		gem_close(vgem, handle);
		drm_close_driver(vgem);
	}
	close(worker.dmabuf);
	close(worker.memfd);
}

static void test_sync_threads(int dev)
{
	check_sync_threads(dev, false);
}

static void test_sync_threads_imported(int dev)
{
	check_sync_threads(dev, true);
}

struct seal_race {
	pthread_barrier_t start;
	int memfd, sealed;
};

static void *seal_thread(void *arg)
{
	struct seal_race *race = arg;

	pthread_barrier_wait(&race->start);
	race->sealed = !fcntl(race->memfd, F_ADD_SEALS, F_SEAL_WRITE);
	return NULL;
}

static void race_seal(int dev, struct seal_race *race, size_t size)
{
	pthread_t thread;
	int dmabuf;

	igt_assert_eq(pthread_create(&thread, NULL, seal_thread, race), 0);
	pthread_barrier_wait(&race->start);
	dmabuf = __create(dev, race->memfd, 0, size);
	igt_assert_eq(pthread_join(thread, NULL), 0);
	/* It was being added, and nobody could know yet whether that would succeed. */
	if (dmabuf == -EBUSY)
		dmabuf = __create(dev, race->memfd, 0, size);

	if (dmabuf >= 0) {
		igt_assert(!race->sealed);
		close(dmabuf);
	} else {
		igt_assert_eq(dmabuf, -EINVAL);
		igt_assert(race->sealed);
	}
}

/*
 * Either the file is sealed against writing or there is a dma-buf, never both
 * and never neither. To fill hugetlb holes takes so long that most seals come
 * while that goes on.
 */
static void test_seal_race(int dev)
{
	static const enum backing backings[] = { SHMEM, HUGE_2M };
	struct seal_race race;
	int sealed = 0;

	pthread_barrier_init(&race.start, NULL, 2);
	for (int i = 0; i < 60; i++) {
		race.memfd = sealed_memfd(backings[i % 2], MIB(16));
		race_seal(dev, &race, MIB(16));
		sealed += race.sealed;
		close(race.memfd);
	}
	pthread_barrier_destroy(&race.start);
	igt_info("the seal won %d of 60 races\n", sealed);
}

/* Every thread makes, uses and closes dma-bufs of the same holes and pages. */
static void *create_thread(void *arg)
{
	const struct worker *worker = arg;

	for (int i = 0; i < 50; i++) {
		size_t first = (i + worker->number) % 32;
		int dmabuf = create(worker->dev, worker->memfd, pages(first),
				    pages(32));
		char *buf = map_fd(dmabuf, pages(32));

		close(dmabuf);
		igt_assert_eq(count_zero(buf, 32), 32);
		unmap(buf, pages(32));
		if (worker->number == 0)
			igt_assert_eq(fallocate(worker->memfd,
						FALLOC_FL_PUNCH_HOLE |
						FALLOC_FL_KEEP_SIZE, 0,
						pages(NPAGES)), 0);
	}
	return NULL;
}

static void test_create_threads(int dev)
{
	struct worker worker = {
		.dev = dev,
		.memfd = sealed_memfd(SHMEM, pages(NPAGES)),
	};

	run_threads(create_thread, &worker);
	close(worker.memfd);
}

static void *create_hugetlb_thread(void *arg)
{
	const struct worker *worker = arg;

	for (int i = 0; i < 20; i++) {
		int dmabuf = create(worker->dev, worker->memfd,
				    pages(1 + worker->number), MIB(3));

		close(dmabuf);
	}
	return NULL;
}

static void test_create_threads_hugetlb(int dev)
{
	struct worker worker = {
		.dev = dev,
		.memfd = sealed_memfd(HUGE_2M, MIB(4)),
	};

	run_threads(create_hugetlb_thread, &worker);
	close(worker.memfd);
}

/* Threads fault in the same mapping, each from another page on. */
static void *fault_thread(void *arg)
{
	const struct worker *worker = arg;

	for (int i = 0; i < 20; i++) {
		char *buf = map_fd(worker->dmabuf, pages(NPAGES));

		for (int n = 0; n < NPAGES; n++) {
			size_t page = (n + worker->number * 8) % NPAGES;

			igt_assert_eq(count_filled(buf + pages(page), page, 1,
						   1), 1);
		}
		unmap(buf, pages(NPAGES));
	}
	return NULL;
}

static void test_fault_threads(int dev)
{
	struct worker worker = {
		.memfd = sealed_memfd(SHMEM, pages(NPAGES)),
	};
	void *mem = map_fd(worker.memfd, pages(NPAGES));

	fill(mem, 0, NPAGES, 1);
	worker.dmabuf = create(dev, worker.memfd, 0, pages(NPAGES));
	run_threads(fault_thread, &worker);
	unmap(mem, pages(NPAGES));
	close(worker.dmabuf);
	close(worker.memfd);
}

static int create_zeroed(int dev, int memfd, size_t size)
{
	int dmabuf = __create(dev, memfd, 0, size), ret = 0;
	void *buf;

	if (dmabuf < 0)
		return dmabuf;
	buf = mmap(NULL, size, PROT_READ, MAP_SHARED, dmabuf, 0);
	if (buf == MAP_FAILED ||
	    count_zero(buf, size / page_size()) != size / page_size())
		ret = -EIO;
	munmap(buf, size);
	close(dmabuf);
	return ret;
}

/*
 * Signals whose handlers restart system calls must not make one fail. Nothing
 * here jumps out of the loop, so that the helper is always stopped.
 */
static void check_signals(int dev, enum backing backing)
{
	size_t size = MIB(16);
	int memfd = sealed_memfd(backing, size);
	int ret = 0;

	igt_fork_signal_helper();
	for (int i = 0; i < 8 && !ret; i++) {
		ret = create_zeroed(dev, memfd, size);
		if (!ret)
			ret = fallocate(memfd, FALLOC_FL_PUNCH_HOLE |
					FALLOC_FL_KEEP_SIZE, 0, size);
	}
	igt_stop_signal_helper();
	igt_assert_eq(ret, 0);
	close(memfd);
}

static void test_signals(int dev)
{
	check_signals(dev, SHMEM);
}

static void test_signals_hugetlb(int dev)
{
	check_signals(dev, HUGE_2M);
}

/*
 * Wait until somebody has filled @min bytes of the file's holes, or has ended
 * without doing so. Returns what is filled.
 */
static int64_t wait_for_blocks(int memfd, int64_t min, pid_t pid)
{
	int64_t allocated;
	siginfo_t info;

	do {
		sched_yield();
		allocated = fd_allocated(memfd);
		info.si_pid = 0;
		igt_assert_eq(waitid(P_PID, pid, &info,
				     WEXITED | WNOHANG | WNOWAIT), 0);
	} while (allocated < min && !info.si_pid);
	return allocated;
}

/* Kill a process in the middle of the call; returns how far it came, in bytes. */
static int64_t kill_creator(int dev, int memfd, size_t size, size_t after)
{
	int status;
	pid_t pid;

	pid = fork();
	igt_assert(pid >= 0);
	if (!pid) {
		if (__create(dev, memfd, 0, size) >= 0)
			pause();
		_exit(1);
	}
	wait_for_blocks(memfd, after, pid);
	igt_assert_eq(kill(pid, SIGKILL), 0);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert(WIFSIGNALED(status));
	return fd_allocated(memfd);
}

static void test_kill(int dev)
{
	int64_t pins = pins_held();
	size_t size = MIB(64);

	for (int i = 1; i <= 16; i++) {
		int memfd = sealed_memfd(SHMEM, size);

		kill_creator(dev, memfd, size, size / 16 * i);
		igt_assert_eq_s64(pins_held(), pins);
		close(memfd);
	}
}

/* Pinning stops at SIGKILL: the holes of the rest of the file stay holes. */
static void test_killable(int dev)
{
	size_t size = MIB(512);
	int64_t done;
	int memfd;

	set_module_attribute(dev, "parameters/size_limit_mb", 512);
	memfd = sealed_memfd(SHMEM, size);
	done = kill_creator(dev, memfd, size, MIB(1));
	igt_info("%lld of %zu MiB were pinned before the end\n",
		 (long long)done >> 20, size >> 20);
	igt_assert(done < (int64_t)size);
	close(memfd);
}

#define CYCLES		6000
#define ROUNDS		10

static void use_once(int dev, int memfd, int vgem)
{
	int dmabuf = create(dev, memfd, 0, pages(2));
	uint32_t handle = prime_fd_to_handle(vgem, dmabuf);
	char *buf = map_fd(dmabuf, pages(2));

	igt_assert_eq(dmabuf_sync(dmabuf, DMA_BUF_SYNC_RW), 0);
	buf[pages(1)] = 1;
	igt_assert_eq(dmabuf_sync(dmabuf, DMA_BUF_SYNC_RW | DMA_BUF_SYNC_END),
		      0);
	unmap(buf, pages(2));
	gem_close(vgem, handle);
	close(dmabuf);
}

/*
 * Whatever is not freed, be it an object of 64 bytes, makes a difference after
 * thousands of times. To tell it from what others do meanwhile, it has to do so
 * in each of several rounds.
 */
static void test_no_leak(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(2));
	int vgem = drm_open_driver(DRIVER_VGEM);
	const int64_t limit = 40 * CYCLES;
	int64_t lost = limit;
	/* Who has something pinned all the time is not forgotten each time. */
	int kept = create(dev, memfd, 0, pages(1));

	for (int i = 0; i < CYCLES / 10; i++)
		use_once(dev, memfd, vgem);
	for (int round = 0; round < ROUNDS && lost >= limit; round++) {
		lost = free_memory();
		for (int i = 0; i < CYCLES; i++)
			use_once(dev, memfd, vgem);
		lost -= free_memory();
		igt_info("%d cycles took %lld KiB of memory\n", CYCLES,
			 (long long)lost / 1024);
	}
	drm_close_driver(vgem);
	close(kept);
	close(memfd);
	igt_assert(lost < limit);
}

void udmabuf_stress_subtests(int dev)
{
	igt_describe("Concurrent DMA_BUF_IOCTL_SYNC in all directions");
	igt_subtest("sync-threads")
		udmabuf_test(test_sync_threads, dev);
	igt_describe("The same while vgem has the dma-buf imported");
	igt_subtest("sync-threads-imported")
		udmabuf_test(test_sync_threads_imported, dev);
	igt_describe("No dma-buf of a memfd that gets sealed against writing meanwhile");
	igt_subtest("seal-write-race")
		udmabuf_test(test_seal_race, dev);
	igt_describe("Concurrent creation and closing while holes are punched");
	igt_subtest("create-threads")
		udmabuf_test(test_create_threads, dev);
	igt_describe("Concurrent creation over the same hugetlb holes");
	igt_subtest("create-threads-hugetlb")
		udmabuf_test(test_create_threads_hugetlb, dev);
	igt_describe("Concurrent faults in mappings of the same dma-buf");
	igt_subtest("fault-threads")
		udmabuf_test(test_fault_threads, dev);
	igt_describe("Thousands of dma-bufs, made, used and closed, leave no memory in use");
	igt_subtest("no-leak")
		udmabuf_test(test_no_leak, dev);
	igt_describe("Signals with a handler do not disturb creation");
	igt_subtest("create-signals")
		udmabuf_test(test_signals, dev);
	igt_describe("The same while hugetlb holes are filled");
	igt_subtest("create-signals-hugetlb")
		udmabuf_test(test_signals_hugetlb, dev);
	igt_describe("SIGKILL at any moment of a creation leaves nothing pinned");
	igt_subtest("create-kill")
		udmabuf_test(test_kill, dev);
	igt_describe("SIGKILL ends a creation before all is pinned");
	igt_subtest("create-killable")
		udmabuf_test(test_killable, dev);
}
