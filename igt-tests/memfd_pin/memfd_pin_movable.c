// SPDX-License-Identifier: MIT
/*
 * Memfds in ZONE_MOVABLE, from where memory can be taken away as long as nothing
 * is pinned in it: pins move their folios elsewhere first.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "igt.h"
#include "memfd_pin.h"
#include "phys_helper.h"
#include "pin_test_helper.h"
#include "udmabuf_helper.h"

#define SIZE		MIB(8)
#define NPAGES		(SIZE / page_size())

/* A file that has pages in ZONE_MOVABLE, as new files have. */
static void fill_movable(void *mem, size_t count)
{
	size_t found;

	require_movable();
	fill(mem, 0, count, 1);
	found = count_movable(mem, count);
	igt_require_f(found == count, "only %zu of %zu pages in ZONE_MOVABLE\n",
		      found, count);
}

/* The dma-buf has the pages that the file has, and none of them is movable. */
static void check_shared(void *buf, void *mem, size_t count)
{
	igt_assert_eq(count_shared(buf, mem, count), count);
	igt_assert_eq(count_movable(mem, count), 0);
}

/* From @offset on: nothing movable is pinned, and nothing is lost. */
static void check_moved(int dev, enum backing backing, size_t offset)
{
	size_t first = offset / page_size(), count = NPAGES - 2 * first;
	int memfd = sealed_memfd(backing, SIZE), dmabuf;
	char *mem = map_fd(memfd, SIZE);
	void *buf;

	fill_movable(mem, NPAGES);
	if (backing == HUGE_2M && !hugetlb_is_pinnable()) {
		igt_assert_eq(__create(dev, memfd, offset, pages(count)),
			      -ENOMEM);
		igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
		unmap(mem, SIZE);
		close(memfd);
		return;
	}
	dmabuf = create(dev, memfd, offset, pages(count));
	buf = map_fd(dmabuf, pages(count));
	check_shared(buf, mem + offset, count);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	fill(buf, first, count, 2);
	igt_assert_eq(count_filled(mem + offset, first, count, 2), count);
	unmap(buf, pages(count));
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_shmem(int dev)
{
	check_moved(dev, SHMEM, 0);
}

static void test_thp(int dev)
{
	check_moved(dev, THP, 0);
}

static void test_thp_middle(int dev)
{
	check_moved(dev, THP, MIB(1));
}

static void test_hugetlb(int dev)
{
	check_moved(dev, HUGE_2M, 0);
}

static void test_hugetlb_middle(int dev)
{
	check_moved(dev, HUGE_2M, MIB(1));
}

/* Holes, between pages that have to be moved. */
static void check_holes(int dev, enum backing backing)
{
	int memfd = sealed_memfd(backing, SIZE), dmabuf;
	size_t half = NPAGES / 4;
	char *mem = map_fd(memfd, SIZE);
	void *buf;

	fill_movable(mem, half);
	dmabuf = create(dev, memfd, 0, SIZE);
	buf = map_fd(dmabuf, SIZE);
	check_shared(buf, mem, NPAGES);
	igt_assert_eq(count_filled(mem, 0, half, 1), half);
	igt_assert_eq(count_zero(mem + pages(half), NPAGES - half),
		      NPAGES - half);
	unmap(buf, SIZE);
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_holes_shmem(int dev)
{
	check_holes(dev, SHMEM);
}

static void test_holes_thp(int dev)
{
	check_holes(dev, THP);
}

/*
 * All free huge pages are in ZONE_MOVABLE. Each hole gets one of them, which is
 * then exchanged for memory elsewhere; the counts of the pool stay.
 */
static void test_holes_hugetlb(int dev)
{
	int memfd = sealed_memfd(HUGE_2M, SIZE), dmabuf;
	void *mem = map_fd(memfd, SIZE), *buf;
	int64_t total, free;

	require_pinnable(HUGE_2M);
	/* See where they are, and give them back. */
	fill_movable(mem, NPAGES);
	igt_assert_eq(fallocate(memfd, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, 0, SIZE), 0);
	total = hugetlb(MIB(2), "nr_hugepages");
	free = hugetlb(MIB(2), "free_hugepages");

	dmabuf = create(dev, memfd, 0, SIZE);
	buf = map_fd(dmabuf, SIZE);
	check_shared(buf, mem, NPAGES);
	igt_assert_eq(count_zero(buf, NPAGES), NPAGES);
	igt_assert_eq_s64(hugetlb(MIB(2), "nr_hugepages"), total);
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"),
			  free - SIZE / MIB(2));
	igt_assert_eq_s64(hugetlb(MIB(2), "surplus_hugepages"), 0);
	unmap(buf, SIZE);
	unmap(mem, SIZE);
	close(dmabuf);
	close(memfd);
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"), free);
}

/* Memory blocks of the system, as in /sys/devices/system/memory */

static uint64_t block_size(void)
{
	char line[32];

	igt_require_f(!read_line("/sys/devices/system/memory/block_size_bytes",
				 line, sizeof(line)), "no memory blocks\n");
	return strtoull(line, NULL, 16);
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

/* The memory where a memfd was before it was pinned can be taken away. */
static void check_offline(int dev, enum backing backing)
{
	int memfd = sealed_memfd(backing, SIZE), dmabuf, err;
	char *mem = map_fd(memfd, SIZE);
	uint64_t block;
	void *buf;

	require_pinnable(backing);
	let_alarm_interrupt();
	fill_movable(mem, NPAGES);
	block = page_frame(mem) * page_size() / block_size();
	dmabuf = create(dev, memfd, 0, SIZE);
	buf = map_fd(dmabuf, SIZE);

	/* It has no page of the memfd any more, but maybe others. */
	igt_assert_eq(count_movable(mem, NPAGES), 0);
	err = offline_block(block, 240);
	igt_require_f(err != -EBUSY, "memory%llu is in use by others, too\n",
		      (unsigned long long)block);
	igt_assert_f(!err, "memory%llu: %s\n", (unsigned long long)block,
		     strerror(-err));
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	check_shared(buf, mem, NPAGES);
	igt_assert_eq(set_block_state(block, "online_movable"), 0);

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
	block = page_frame(mem) * page_size() / block_size();

	/*
	 * EBUSY if there is something in it that is not movable at all, else the
	 * kernel tries until the alarm. EINVAL is for blocks that never go.
	 */
	err = offline_block(block, 2);
	igt_info("memory%llu: %s\n", (unsigned long long)block,
		 strerror(-err));
	igt_require_f(err != -EINVAL, "memory%llu has holes or several zones\n",
		      (unsigned long long)block);
	igt_assert(err == -EBUSY || err == -EINTR);
	fill(buf, 0, NPAGES, 2);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 2), NPAGES);
	check_shared(buf, mem, NPAGES);
	unmap(buf, SIZE);
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
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
	fill_movable(mem, 1);
	/* As direct I/O does, so that it stays where it is. */
	pins = pin(PIN_TEST_FAST, 0, mem, 1);
	block = page_frame(mem) * page_size() / block_size();
	igt_assert_eq(query_block(memfd, 0).type, PIN_TEST_BLOCK_OTHER);
	child = fork();
	igt_assert_lte(0, child);
	if (!child) {
		int err = -EBUSY;

		/* It is for a moment, or there is something that never moves. */
		for (int i = 0; i < 100 && err == -EBUSY; i++) {
			err = set_block_state(block, "offline");
			usleep(10000);
		}
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

#define REMAPPED	16

struct remapper {
	int memfd;
	void *addr;
	atomic_bool start, stop;
};

/* Put another part of the file where a mapping of it may appear. */
static void *remap_thread(void *arg)
{
	struct remapper *remapper = arg;

	while (!remapper->start)
		sched_yield();
	while (!remapper->stop) {
		mmap(remapper->addr, pages(REMAPPED), PROT_READ,
		     MAP_SHARED | MAP_FIXED, remapper->memfd, pages(REMAPPED));
		munmap(remapper->addr, pages(REMAPPED));
	}
	return NULL;
}

/*
 * Where a pin takes its folios from a mapping in the caller's address space,
 * another thread can put something else there.
 */
static void test_remap_race(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(2 * REMAPPED)), made = 0;
	void *mem = map_fd(memfd, pages(2 * REMAPPED));

	for (int i = 1; i <= 200; i++) {
		struct remapper remapper = { .memfd = memfd };
		pthread_t thread;
		int dmabuf;
		void *buf;

		igt_assert_eq(fallocate(memfd, FALLOC_FL_PUNCH_HOLE |
					FALLOC_FL_KEEP_SIZE, 0,
					pages(2 * REMAPPED)), 0);
		fill_movable(mem, 2 * REMAPPED);
		igt_assert_eq(pthread_create(&thread, NULL, remap_thread,
					     &remapper), 0);
		/* The next mapping of that size is at the same address. */
		remapper.addr = map_fd(memfd, pages(REMAPPED));
		unmap(remapper.addr, pages(REMAPPED));
		remapper.start = true;
		dmabuf = __create(dev, memfd, 0, pages(REMAPPED));
		remapper.stop = true;
		igt_assert_eq(pthread_join(thread, NULL), 0);

		if (dmabuf == -EAGAIN || dmabuf == -ENOMEM)
			continue;
		igt_assert_f(dmabuf >= 0, "%s\n", strerror(-dmabuf));
		buf = map_fd(dmabuf, pages(REMAPPED));
		igt_assert_eq(count_filled(buf, 0, REMAPPED, 1), REMAPPED);
		check_shared(buf, mem, REMAPPED);
		unmap(buf, pages(REMAPPED));
		close(dmabuf);
		made++;
	}
	unmap(mem, pages(2 * REMAPPED));
	close(memfd);
	igt_info("%d of 200 dma-bufs made\n", made);
}

void memfd_pin_movable_subtests(int dev)
{
	igt_describe("Pages are moved out of ZONE_MOVABLE with their contents: small pages");
	igt_subtest("movable-shmem")
		udmabuf_test(test_shmem, dev);
	igt_describe("Pages are moved out of ZONE_MOVABLE with their contents: transparent huge "
		     "pages");
	igt_subtest("movable-thp")
		udmabuf_test(test_thp, dev);
	igt_describe("Pages are moved out of ZONE_MOVABLE with their contents: those, from the "
		     "middle of one to the middle of another");
	igt_subtest("movable-thp-middle")
		udmabuf_test(test_thp_middle, dev);
	igt_describe("Pages are moved out of ZONE_MOVABLE with their contents: 2 MiB hugetlb "
		     "pages");
	igt_subtest("movable-hugetlb")
		udmabuf_test(test_hugetlb, dev);
	igt_describe("Pages are moved out of ZONE_MOVABLE with their contents: those, from the "
		     "middle of one to the middle of another");
	igt_subtest("movable-hugetlb-middle")
		udmabuf_test(test_hugetlb_middle, dev);
	igt_describe("Holes are filled elsewhere: with small pages");
	igt_subtest("movable-holes-shmem")
		udmabuf_test(test_holes_shmem, dev);
	igt_describe("Holes are filled elsewhere: with transparent huge pages");
	igt_subtest("movable-holes-thp")
		udmabuf_test(test_holes_thp, dev);
	igt_describe("Holes are filled elsewhere: though all free 2 MiB hugetlb pages are in "
		     "ZONE_MOVABLE");
	igt_subtest("movable-holes-hugetlb")
		udmabuf_test(test_holes_hugetlb, dev);
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
	igt_describe("Nothing else is pinned when another thread maps something where the kernel "
		     "may have mapped the file");
	igt_subtest("movable-remap-race")
		udmabuf_test(test_remap_race, dev);
}
