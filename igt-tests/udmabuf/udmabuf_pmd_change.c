// SPDX-License-Identifier: MIT
/*
 * Mappings of a udmabuf that are changed while 2 MiB of them are mapped at once:
 * protected, cut, moved and inherited, and by several threads.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "igt.h"
#include "process_helper.h"
#include "udmabuf_pmd.h"

#define THREADS		8

static void check_protect(int dev, const struct layout *layout)
{
	struct buffer buffer = make_buffer(dev, layout);
	char *buf = buffer.buf;

	map_at(buf, buffer.dmabuf, 0, NPAGES, PROT_READ);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	igt_assert_eq(write_signal(buf), SIGSEGV);

	for (int i = 0; i < 2; i++) {
		igt_assert_eq(mprotect(buf, SIZE, PROT_READ | PROT_WRITE), 0);
		igt_assert_eq(touch(buf, NPAGES, true), 0);
		igt_assert_eq(mprotect(buf, SIZE, PROT_READ), 0);
		igt_assert_eq(write_signal(buf + PMD), SIGSEGV);
	}

	/* A part of what one entry maps */
	igt_assert_eq(mprotect(buf + PMD + pages(7), pages(2), PROT_READ | PROT_WRITE), 0);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	igt_assert_eq(write_signal(buf + PMD + pages(6)), SIGSEGV);
	igt_assert_eq(write_signal(buf + PMD + pages(7)), 0);
	igt_assert_eq(write_signal(buf + PMD + pages(8)), 0);
	igt_assert_eq(write_signal(buf + PMD + pages(9)), SIGSEGV);
	igt_assert_eq(mprotect(buf, SIZE, PROT_READ | PROT_WRITE), 0);
	check_contents(&buffer);
	free_buffer(&buffer, layout);
}

static cpu_set_t all_cpus;

static void use_all_cpus(void)
{
	sched_setaffinity(0, sizeof(all_cpus), &all_cpus);
}

/*
 * On one CPU: mprotect() does not tell others that more is allowed now, and what they
 * remember gives a fault more.
 */
static void test_protect(int dev)
{
	cpu_set_t one;

	igt_assert_eq(sched_getaffinity(0, sizeof(all_cpus), &all_cpus), 0);
	undo_at_end(use_all_cpus);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	igt_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	for (size_t i = 0; i < ARRAY_SIZE(both); i++)
		check_protect(dev, both[i]);
}

static void test_munmap(int dev)
{
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		struct buffer buffer = map_buffer(dev, both[i]);
		size_t hole = PMD_PAGES + 5, end = hole + PMD_PAGES;
		char *buf = buffer.buf;

		igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
		unmap(buf + pages(hole), pages(end - hole));
		igt_assert_eq(write_signal(buf + pages(hole)), SIGSEGV);
		igt_assert_eq(write_signal(buf + pages(end - 1)), SIGSEGV);
		igt_assert_eq(count_filled(buf, 0, hole, 1), hole);
		igt_assert_eq(count_filled(buf + pages(end), end, NPAGES - end, 1),
			      NPAGES - end);

		map_at(buf + pages(hole), buffer.dmabuf, hole, end - hole,
		       PROT_READ | PROT_WRITE);
		check_contents(&buffer);
		free_buffer(&buffer, both[i]);
	}
}

/* Some of it is mapped when it is moved, where to an entry can map it or not. */
static void test_mremap(int dev)
{
	static const size_t shifts[] = { 0, 1, 511, 0, 7, 0 };
	const struct layout *layout;
	char *to;

	for (layout = layouts; layout < layouts + ARRAY_SIZE(layouts); layout++) {
		char *room = reserve(ARRAY_SIZE(shifts) * 2 * SIZE);
		struct buffer buffer = map_buffer(dev, layout);

		for (size_t i = 0; i < ARRAY_SIZE(shifts); i++) {
			touch(buffer.buf + PMD, 1, i & 1);
			touch(buffer.buf + 2 * PMD + pages(9), PMD_PAGES, i & 1);
			to = room + i * 2 * SIZE + pages(shifts[i]);
			igt_assert(mremap(buffer.buf, SIZE, SIZE, MREMAP_MAYMOVE |
					  MREMAP_FIXED, to) == to);
			buffer.buf = to;
			if (i & 1)
				check_contents(&buffer);
		}
		unmap(room, ARRAY_SIZE(shifts) * 2 * SIZE);
		free_buffer(&buffer, layout);
	}
}

static void test_fork(int dev)
{
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		struct buffer buffer = map_buffer(dev, both[i]);

		touch(buffer.buf, NPAGES / 2, true);
		igt_fork(child, 1) {
			check_contents(&buffer);
			fill(buffer.buf, 0, NPAGES, 3);
			unmap(buffer.buf, SIZE);
		}
		igt_waitchildren();
		igt_assert_eq(count_filled(buffer.buf, 0, NPAGES, 3), NPAGES);
		free_buffer(&buffer, both[i]);
	}
}

struct race {
	pthread_barrier_t barrier;
	struct buffer buffer;
};

static void *fault_thread(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < 50; i++) {
		if (pthread_barrier_wait(&race->barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			map_at(race->buffer.buf, race->buffer.dmabuf, 0, NPAGES,
			       PROT_READ | PROT_WRITE);
		pthread_barrier_wait(&race->barrier);
		touch(race->buffer.buf, NPAGES, i & 1);
	}
	return NULL;
}

/* All threads at the same 2 MiB, whose mappings go away and come again. */
static void test_threads(int dev)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		struct race race = { .buffer = map_buffer(dev, both[i]) };

		pthread_barrier_init(&race.barrier, NULL, THREADS);
		for (int n = 0; n < THREADS; n++)
			igt_assert_eq(pthread_create(&threads[n], NULL, fault_thread,
						     &race), 0);
		for (int n = 0; n < THREADS; n++)
			igt_assert_eq(pthread_join(threads[n], NULL), 0);
		pthread_barrier_destroy(&race.barrier);
		check_contents(&race.buffer);
		free_buffer(&race.buffer, both[i]);
	}
}

void udmabuf_pmd_change_subtests(int dev)
{
	igt_describe("Mappings that are read-only, made writable, and read-only in part");
	igt_subtest("pmd-protect")
		udmabuf_test(test_protect, dev);
	igt_describe("A mapping that is cut within 2 MiB, and mended");
	igt_subtest("pmd-munmap")
		udmabuf_test(test_munmap, dev);
	igt_describe("Mappings that are moved when parts of them have been touched");
	igt_subtest("pmd-mremap")
		udmabuf_test(test_mremap, dev);
	igt_describe("A child has what its parent has touched, and what not");
	igt_subtest("pmd-fork")
		udmabuf_test(test_fork, dev);
	igt_describe("Concurrent faults in the same 2 MiB");
	igt_subtest("pmd-threads")
		udmabuf_test(test_threads, dev);
}
