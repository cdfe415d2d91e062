// SPDX-License-Identifier: MIT
/*
 * Memory that is taken away: blocks of it go offline, and what is in a slot of the
 * machine is taken out.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "igt.h"
#include "memfd_pin.h"
#include "phys_helper.h"
#include "pin_test_helper.h"
#include "process_helper.h"
#include "udmabuf_helper.h"

#define SIZE		MIB(8)
#define NPAGES		(SIZE / page_size())

/* Memory blocks of the system, as in /sys/devices/system/memory */

static uint64_t block_size(void)
{
	char line[32];

	igt_require_f(!read_line("/sys/devices/system/memory/block_size_bytes",
				 line, sizeof(line)), "no memory blocks\n");
	return strtoull(line, NULL, 16);
}

/* The number of the block in which a page lies */
static uint64_t block_of(const void *mem)
{
	return page_frame(mem) * page_size() / block_size();
}

static int set_block_state(uint64_t block, const char *state)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%llu/state",
		 (unsigned long long)block);
	return write_line(path, state);
}

/*
 * If there are pages that cannot be moved, the kernel tries until a signal comes.
 * EBUSY is for a moment, or for memory of the kernel's own.
 */
static int offline_block(uint64_t block, unsigned int seconds)
{
	int err = -EBUSY;

	alarm(seconds);
	for (int i = 0; i < 10 && err == -EBUSY; i++)
		err = set_block_state(block, "offline");
	alarm(0);
	igt_require_f(err != -EPERM, "this kernel keeps what it was booted with\n");
	return err;
}

static void interrupt(int sig)
{
	(void)sig;
}

static void let_alarm_interrupt(void)
{
	struct sigaction action = { .sa_handler = interrupt };

	igt_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
}

static uint64_t offline;

static void online_again(void)
{
	set_block_state(offline, "online_movable");
}

/* The memory where a memfd was before it was pinned can be taken away. */
static void check_offline(int dev, enum backing backing)
{
	int memfd = sealed_memfd(backing, SIZE), dmabuf, err;
	char *mem = map_fd(memfd, SIZE);
	uint64_t block;
	void *buf;

	require_pinnable(backing);
	let_alarm_interrupt();
	fill_movable_pages(mem, NPAGES);
	require_kind(backing, mem, NPAGES);
	block = block_of(mem);
	dmabuf = create(dev, memfd, 0, SIZE);
	buf = map_fd(dmabuf, SIZE);

	/* It has no page of the memfd any more, but maybe others. */
	igt_assert_eq(count_movable(mem, NPAGES), 0);
	offline = block;
	undo_at_end(online_again);
	err = offline_block(block, 240);
	igt_require_f(err != -EBUSY, "memory%llu is in use by others, too\n",
		      (unsigned long long)block);
	igt_assert_f(!err, "memory%llu: %s\n", (unsigned long long)block,
		     strerror(-err));
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	check_shared(buf, mem, NPAGES);

	unmap(buf, SIZE);
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_offline_shmem(int dev)
{
	check_offline(dev, SHMEM);
}

static void test_offline_thp(int dev)
{
	check_offline(dev, THP);
}

static void test_offline_hugetlb(int dev)
{
	check_offline(dev, HUGE_2M);
}

/* What is written through the dma-buf is in the memfd; then neither is needed any more. */
static void write_and_close(int memfd, void *mem, int dmabuf, void *buf)
{
	fill(buf, 0, NPAGES, 2);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 2), NPAGES);
	check_shared(buf, mem, NPAGES);
	unmap(buf, SIZE);
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
}

/* Memory with a pin in it stays, and what is in it. */
static void test_offline_pinned(int dev)
{
	int memfd = sealed_memfd(SHMEM, SIZE), dmabuf, err;
	void *mem = map_fd(memfd, SIZE), *buf;
	uint64_t block;

	let_alarm_interrupt();
	fill(mem, 0, NPAGES, 1);
	dmabuf = create(dev, memfd, 0, SIZE);
	buf = map_fd(dmabuf, SIZE);
	block = block_of(mem);

	/* The kernel tries until the alarm. EINVAL is for blocks that never go. */
	err = offline_block(block, 2);
	igt_info("memory%llu: %s\n", (unsigned long long)block,
		 strerror(-err));
	igt_require_f(err != -EINVAL, "memory%llu has holes or several zones\n",
		      (unsigned long long)block);
	igt_require_f(err != -EBUSY, "there is more in memory%llu that does not move\n",
		      (unsigned long long)block);
	igt_assert_eq(err, -EINTR);
	write_and_close(memfd, mem, dmabuf, buf);
}

/* EBUSY is for a moment, or there is something that never moves. */
static int try_offline(uint64_t block)
{
	int err = -EBUSY;

	for (int i = 0; i < 100 && err == -EBUSY; i++) {
		err = set_block_state(block, "offline");
		usleep(10000);
	}
	return err;
}

/* Until what is in the block can be moved, the kernel tries, and keeps it isolated. */
static void test_offline_isolated(int dev)
{
	int memfd = sealed_memfd(SHMEM, page_size()), pins;
	char *mem = map_fd(memfd, page_size());
	bool isolated = false;
	uint64_t block;
	int status = 0;
	pid_t child;

	igt_require_f(!access("/dev/pin_test", F_OK), "no /dev/pin_test\n");
	fill_movable_pages(mem, 1);
	/* As direct I/O does, so that it stays where it is. */
	pins = pin(PIN_TEST_FAST, 0, mem, 1);
	block = block_of(mem);
	igt_assert_eq(query_block(memfd, 0).type, PIN_TEST_BLOCK_OTHER);
	child = fork();
	igt_assert_lte(0, child);
	if (!child) {
		int err = try_offline(block);

		_exit(err == -EBUSY || err == -EINVAL || err == -EPERM ? 77 : 1);
	}
	for (int i = 0; i < 3000 && !isolated; i++) {
		isolated = query_block(memfd, 0).type == PIN_TEST_BLOCK_ISOLATED;
		if (waitpid(child, &status, WNOHANG) == child) {
			child = 0;
			break;
		}
		usleep(10000);
	}
	if (child) {
		kill(child, SIGKILL);
		igt_assert_eq(waitpid(child, NULL, 0), child);
	}
	igt_require_f(!WIFEXITED(status) || WEXITSTATUS(status) != 77,
		      "memory%llu cannot be taken offline\n",
		      (unsigned long long)block);
	igt_assert(isolated);
	igt_assert_eq(query_block(memfd, 0).type, PIN_TEST_BLOCK_OTHER);
	close(pins);
	close(create(dev, memfd, 0, page_size()));
	unmap(mem, page_size());
	close(memfd);
}

#define WAIT_SECONDS	120	/* far longer than it takes */

static int locker = -1;

static void unlock(void)
{
	close(locker);
	locker = -1;
}

/*
 * Of the huge pages of @mem, where one is that has others of its block before and behind it.
 * Kernels move them in either direction.
 */
static size_t find_middle(const char *mem, size_t size)
{
	for (size_t middle = 0; middle < size; middle += HUGE) {
		bool before = false, behind = false;

		for (size_t other = 0; other < size; other += HUGE) {
			if (block_of(mem + other) != block_of(mem + middle))
				continue;
			before |= page_frame(mem + other) < page_frame(mem + middle);
			behind |= page_frame(mem + other) > page_frame(mem + middle);
		}
		if (before && behind)
			return middle;
	}
	igt_require_f(false, "no three huge pages in the same block\n");
	return 0;
}

/* Where one is in @block that is on no list, but for the one at @but; or @size */
static size_t find_isolated(const char *mem, size_t size, uint64_t block, size_t but)
{
	for (size_t offset = 0; offset < size; offset += HUGE)
		if (offset != but && block_of(mem + offset) == block &&
		    !(frame_flags(page_frame(mem + offset)) & 1ULL << KPF_LRU))
			return offset;
	return size;
}

/* The lock is to go with the parent, however that ends. */
static pid_t start_offline(uint64_t block)
{
	pid_t child;

	own_child(child) {
		close(locker);
		_exit(-try_offline(block));
	}
	return child;
}

static pid_t start_create(int dev, int memfd, size_t offset, size_t size)
{
	pid_t child;

	own_child(child) {
		close(locker);
		_exit(-__create(dev, memfd, offset, size));
	}
	return child;
}

/*
 * The kernel takes all pages of a block off their lists, and then waits for the lock of one
 * that somebody else keeps. Who wants to pin another is not to wait for that, or not so that
 * no signal ends it.
 */
static void test_offline_holds(int dev)
{
	const size_t size = MIB(64);
	struct pin_test_lock lock = {};
	size_t locked, held = size;
	pid_t mover, child;
	int memfd, status;
	time_t limit;
	bool ended;
	char *mem;

	igt_require_f(!access("/dev/pin_test", F_OK), "no /dev/pin_test\n");
	igt_require_f(kernel_since(6, 3), "the kernel moves all others before it waits\n");
	require_movable();
	memfd = sealed_memfd(THP, size);
	mem = map_fd(memfd, size);
	fill_movable_pages(mem, size / page_size());
	require_kind(THP, mem, size / page_size());
	locked = find_middle(mem, size);
	offline = block_of(mem + locked);
	/* In the other order: what is locked keeps others from ending. */
	undo_at_end(online_again);
	undo_at_end(unlock);
	locker = open_device();
	lock.fd = memfd;
	lock.index = locked / page_size();
	igt_assert_eq(ioctl(locker, PIN_TEST_LOCK, &lock), 0);
	mover = start_offline(offline);
	limit = time(NULL) + WAIT_SECONDS;
	while (held == size) {
		igt_assert_f(time(NULL) < limit, "nothing is held\n");
		if (waitpid(mover, &status, WNOHANG) == mover)
			igt_require_f(false, "memory%llu cannot be taken offline: %s\n",
				      (unsigned long long)offline,
				      strerror(WEXITSTATUS(status)));
		sched_yield();
		if (waits_in(mover, "folio"))
			held = find_isolated(mem, size, offline, locked);
	}
	child = start_create(dev, memfd, held, HUGE);
	ended = ends_in_time(child);
	unlock();
	kill(mover, SIGKILL);
	igt_assert_eq(waitpid(mover, NULL, 0), mover);
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert_f(ended, "it waited for who holds the page\n");
	igt_assert(WIFEXITED(status));
	igt_assert_eq(WEXITSTATUS(status), ENOMEM);
	close(create(dev, memfd, 0, size));
	igt_assert_eq(count_filled(mem, 0, size / page_size(), 1), size / page_size());
	unmap(mem, size);
	close(memfd);
}

/* Of the memory in a slot of the machine, that a block is a part of: where it is in sysfs */
static void find_slot(uint64_t block, char *slot)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%llu/firmware_node",
		 (unsigned long long)block);
	igt_require_f(realpath(path, slot), "the memory cannot be taken out\n");
}

/*
 * Asks for it, and waits for a moment: @round counts these. Now and then it asks anew, as the
 * kernel gives up where somebody uses a page for a moment.
 */
static void eject(const char *slot, unsigned int round)
{
	char path[PATH_MAX + 16];
	int err;

	snprintf(path, sizeof(path), "%s/eject", slot);
	if (round % 500 == 0) {
		err = write_line(path, "1");
		igt_assert_f(!err || round, "%s: %s\n", path, strerror(-err));
	}
	usleep(10000);
}

/* When the kernel has let go of all of its blocks, it lets the machine have it. */
static bool is_empty(const char *slot)
{
	char path[PATH_MAX + 16], line[16];

	snprintf(path, sizeof(path), "%s/status", slot);
	igt_assert_eq(read_line(path, line, sizeof(line)), 0);
	return !strtoul(line, NULL, 0);
}

/* What was pinned there is elsewhere now, so nobody waits for those who have it. */
static void test_eject(int dev)
{
	int memfd = sealed_memfd(SHMEM, SIZE), dmabuf;
	char *mem = map_fd(memfd, SIZE), slot[PATH_MAX];
	void *buf;

	fill_movable_pages(mem, NPAGES);
	find_slot(block_of(mem), slot);
	dmabuf = create(dev, memfd, 0, SIZE);
	buf = map_fd(dmabuf, SIZE);
	igt_assert_eq(count_movable(mem, NPAGES), 0);
	igt_assert(!is_empty(slot));
	for (unsigned int round = 0; !is_empty(slot); round++)
		eject(slot, round);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	write_and_close(memfd, mem, dmabuf, buf);
}

/* The kernel waits for pins of direct I/O, and then takes it out. */
static void test_eject_waits(int dev)
{
	int memfd = sealed_memfd(SHMEM, SIZE), pins;
	char *mem = map_fd(memfd, SIZE), slot[PATH_MAX];
	unsigned int round = 0;

	igt_require_f(!access("/dev/pin_test", F_OK), "no /dev/pin_test\n");
	fill_movable_pages(mem, NPAGES);
	find_slot(block_of(mem), slot);
	pins = pin(PIN_TEST_FAST, 0, mem, 1);
	while (query_block(memfd, 0).type != PIN_TEST_BLOCK_ISOLATED)
		eject(slot, round++);
	igt_assert_eq(__create(dev, memfd, 0, page_size()), -ENOMEM);
	igt_assert(!is_empty(slot));
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	close(pins);
	while (!is_empty(slot))
		eject(slot, round++);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	close(create(dev, memfd, 0, SIZE));
	unmap(mem, SIZE);
	close(memfd);
}

void memfd_pin_offline_subtests(int dev)
{
	igt_describe("A memory block goes offline whose memfd is pinned: small pages");
	igt_subtest("movable-offline-shmem")
		udmabuf_test(test_offline_shmem, dev);
	igt_describe("A memory block goes offline whose memfd is pinned: transparent huge pages");
	igt_subtest("movable-offline-thp")
		udmabuf_test(test_offline_thp, dev);
	igt_describe("A memory block goes offline whose memfd is pinned: 2 MiB hugetlb pages");
	igt_subtest("movable-offline-hugetlb")
		udmabuf_test(test_offline_hugetlb, dev);
	igt_describe("While a memory block is about to go offline, the type of its page blocks "
		     "says so");
	igt_subtest("offline-isolated")
		udmabuf_test(test_offline_isolated, dev);
	igt_describe("A memory block in which there are pins does not go offline");
	igt_subtest("offline-pinned")
		udmabuf_test(test_offline_pinned, dev);
	igt_describe("While the kernel holds a huge page, to move it, and waits for another, it "
		     "is not waited for");
	igt_subtest("offline-holds")
		udmabuf_test(test_offline_holds, dev);
	igt_describe("The memory where a memfd was before it was pinned is taken out of its slot");
	igt_subtest("eject")
		udmabuf_test(test_eject, dev);
	igt_describe("It is so when somebody else has a pin in it for a moment, after that; until "
		     "then it stays");
	igt_subtest("eject-waits")
		udmabuf_test(test_eject_waits, dev);
}
