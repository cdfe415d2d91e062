// SPDX-License-Identifier: MIT
/*
 * Seals against writing that are added while a memfd is being pinned.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "igt.h"
#include "memfd_pin.h"
#include "phys_helper.h"
#include "udmabuf_helper.h"

#define SIZE		MIB(8)
#define NPAGES		(SIZE / page_size())
#define RACES		40

struct race {
	pthread_barrier_t start;
	int memfd, seal, err;
};

static void *seal_thread(void *arg)
{
	struct race *race = arg;

	pthread_barrier_wait(&race->start);
	race->err = fcntl(race->memfd, F_ADD_SEALS, race->seal) ? -errno : 0;
	return NULL;
}

/* Returns the new dma-buf or an error, and in race->err what came of the seal. */
static int race_seal(int dev, struct race *race)
{
	pthread_t thread;
	int dmabuf;

	pthread_barrier_init(&race->start, NULL, 2);
	igt_assert_eq(pthread_create(&thread, NULL, seal_thread, race), 0);
	pthread_barrier_wait(&race->start);
	dmabuf = __create(dev, race->memfd, 0, SIZE);
	igt_assert_eq(pthread_join(thread, NULL), 0);
	pthread_barrier_destroy(&race->start);
	return dmabuf;
}

static const struct kind {
	const char *name;
	enum backing backing;
	bool movable;
} kinds[] = {
	{ "thp", THP, false },
	{ "movable", SHMEM, true },
	{ "movable-hugetlb", HUGE_2M, true },
};

static const struct kind *current;

/* Either the seal is added or the dma-buf is made; the other is refused. */
static void test_write(int dev)
{
	struct race race = { .seal = F_SEAL_WRITE };
	int sealed = 0;

	require_pinnable(current->backing);
	for (int i = 0; i < RACES; i++) {
		int dmabuf;

		race.memfd = sealed_memfd(current->backing, SIZE);
		if (current->movable) {
			void *mem = map_fd(race.memfd, SIZE);

			/* The others are as the first one. */
			if (!i)
				fill_movable_pages(mem, NPAGES);
			else
				fill(mem, 0, NPAGES, 1);
			unmap(mem, SIZE);
		}
		dmabuf = race_seal(dev, &race);
		if (dmabuf >= 0) {
			igt_assert_eq(race.err, -EBUSY);
			close(dmabuf);
		} else {
			/* The seal is there, or was about to be. */
			igt_assert(dmabuf == -EINVAL || dmabuf == -EBUSY);
			igt_assert_eq(race.err, 0);
			sealed++;
		}
		close(race.memfd);
	}
	igt_info("the seal won %d of %d races\n", sealed, RACES);
}

/*
 * Pins do not hold off this seal. A dma-buf that was made before stays; once it is
 * there, no other is made.
 */
static void test_future_write(int dev)
{
	struct race race = { .seal = F_SEAL_FUTURE_WRITE };
	int made = 0;

	require_pinnable(HUGE_2M);
	for (int i = 0; i < RACES; i++) {
		int dmabuf;

		race.memfd = sealed_memfd(i % 2 ? HUGE_2M : SHMEM, SIZE);
		dmabuf = race_seal(dev, &race);
		igt_assert_eq(race.err, 0);
		if (dmabuf >= 0) {
			made++;
			close(dmabuf);
		} else {
			igt_assert_eq(dmabuf, -EINVAL);
		}
		igt_assert_eq(__create(dev, race.memfd, 0, SIZE), -EINVAL);
		close(race.memfd);
	}
	igt_info("%d of %d dma-bufs made\n", made, RACES);
}

void memfd_pin_seals_subtests(int dev)
{
	for (current = kinds; current < kinds + ARRAY_SIZE(kinds); current++) {
		igt_describe_f("Either F_SEAL_WRITE or a dma-buf, never both, with %s",
			       current->name);
		igt_subtest_f("seal-write-race-%s", current->name)
			udmabuf_test(test_write, dev);
	}
	igt_describe("After F_SEAL_FUTURE_WRITE there is no new dma-buf");
	igt_subtest("seal-future-write-race")
		udmabuf_test(test_future_write, dev);
}
