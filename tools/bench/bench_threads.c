// SPDX-License-Identifier: GPL-2.0
/*
 * Whether threads that make and close dma-bufs at the same time, each of a memfd of
 * its own, wait for each other: what one create and close costs in CPU time, and how
 * often it sleeps.
 *
 * The time is that of the thread's clock, of an emulated CPU that shares the real
 * ones with whatever else runs: an approximation. The median of many is not so easily
 * disturbed.
 */
#include <err.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench_helper.h"

#define MAX_THREADS	4
#define SIZE		MIB(8)
#define LOOPS		200

struct thread {
	pthread_t id;
	const struct driver *driver;
	pthread_barrier_t *start;
	int memfd;
	uint64_t *ns;
	long sleeps;
};

static void *run(void *arg)
{
	struct thread *t = arg;
	uint64_t start;
	long before;

	pthread_barrier_wait(t->start);
	before = sleeps();
	for (int i = 0; i < LOOPS; i++) {
		start = thread_time();
		close(create(t->driver, t->memfd, SIZE));
		t->ns[i] = thread_time() - start;
	}
	t->sleeps = sleeps() - before;
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void measure(const struct kind *kind, const struct driver *driver,
		    const int *memfds, int nr)
{
	static uint64_t ns[MAX_THREADS * LOOPS];
	struct thread threads[MAX_THREADS];
	pthread_barrier_t start;
	long slept = 0;

	pthread_barrier_init(&start, NULL, nr);
	for (int i = 0; i < nr; i++) {
		threads[i] = (struct thread) {
			.driver = driver,
			.start = &start,
			.memfd = memfds[i],
			.ns = ns + i * LOOPS,
		};
		if (pthread_create(&threads[i].id, NULL, run, &threads[i]))
			errx(1, "pthread_create");
	}
	for (int i = 0; i < nr; i++) {
		pthread_join(threads[i].id, NULL);
		slept += threads[i].sleeps;
	}
	pthread_barrier_destroy(&start);

	qsort(ns, nr * LOOPS, sizeof(*ns), compare);
	result("\"kind\": \"%s\", \"driver\": \"%s\", \"step\": \"threads\", "
	       "\"size\": %zu, \"threads\": %d, \"median_ns\": %llu, "
	       "\"sleeps\": %.3f", kind->name, driver->name, SIZE, nr,
	       (unsigned long long)ns[nr * LOOPS / 2],
	       (double)slept / (nr * LOOPS));
}

void bench_threads(const struct kind *kind)
{
	int memfds[MAX_THREADS];

	if (!has_huge_pages(kind, MAX_THREADS * SIZE))
		return;
	for (int i = 0; i < MAX_THREADS; i++)
		memfds[i] = make_memfd(kind, SIZE);
	for (const struct driver *d = drivers; d < drivers + ARRAY_SIZE(drivers); d++)
		for (int nr = 1; nr <= MAX_THREADS; nr *= 2)
			measure(kind, d, memfds, nr);
	for (int i = 0; i < MAX_THREADS; i++)
		close(memfds[i]);
}
