// SPDX-License-Identifier: MIT
/*
 * Holes of a memfd that several threads or processes pin at once: all of them get
 * the same folios, and each hole is filled once.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "igt.h"
#include "memfd_pin.h"
#include "phys_helper.h"
#include "udmabuf_helper.h"

#define SIZE		MIB(4)
#define NPAGES		(SIZE / page_size())
#define PARTIES		2
#define ROUNDS		10

/* Shared between processes. */
struct meeting {
	pthread_barrier_t start, end;
	int dev, memfd;
	int dmabuf[PARTIES];
	size_t same[PARTIES];
};

static struct meeting *new_meeting(int dev)
{
	pthread_barrierattr_t shared;
	struct meeting *meeting;

	meeting = mmap(NULL, sizeof(*meeting), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	igt_assert(meeting != MAP_FAILED);
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&meeting->start, &shared, PARTIES);
	pthread_barrier_init(&meeting->end, &shared, PARTIES);
	meeting->dev = dev;
	return meeting;
}

/* Pin, wait for the other, and see whether both have the file's pages. */
static void take_part(struct meeting *meeting, int number)
{
	int dmabuf;

	pthread_barrier_wait(&meeting->start);
	dmabuf = __create(meeting->dev, meeting->memfd, 0, SIZE);
	meeting->dmabuf[number] = dmabuf;
	pthread_barrier_wait(&meeting->end);
	/* One after the other, since they write to the pages. */
	if (number)
		pthread_barrier_wait(&meeting->end);
	if (dmabuf >= 0) {
		void *mem = map_fd(meeting->memfd, SIZE);
		void *buf = map_fd(dmabuf, SIZE);

		meeting->same[number] = count_shared(mem, buf, NPAGES);
		unmap(mem, SIZE);
		unmap(buf, SIZE);
		close(dmabuf);
	}
	if (!number)
		pthread_barrier_wait(&meeting->end);
}

static void *other_thread(void *arg)
{
	take_part(arg, 1);
	return NULL;
}

static void meet_thread(struct meeting *meeting)
{
	pthread_t thread;

	igt_assert_eq(pthread_create(&thread, NULL, other_thread, meeting), 0);
	take_part(meeting, 0);
	igt_assert_eq(pthread_join(thread, NULL), 0);
}

static void meet_process(struct meeting *meeting)
{
	igt_fork(child, 1)
		take_part(meeting, 1);
	take_part(meeting, 0);
	igt_waitchildren();
}

static const struct pair {
	const char *name;
	enum backing backing;
	void (*meet)(struct meeting *meeting);
} pairs[] = {
	{ "threads-shmem", SHMEM, meet_thread },
	{ "threads-thp", THP, meet_thread },
	{ "threads-hugetlb", HUGE_2M, meet_thread },
	{ "processes-shmem", SHMEM, meet_process },
	{ "processes-thp", THP, meet_process },
	{ "processes-hugetlb", HUGE_2M, meet_process },
};

static const struct pair *current;

static void test_meetings(int dev)
{
	struct meeting *meeting = new_meeting(dev);
	enum backing backing = current->backing;

	require_pinnable(backing);
	for (int i = 0; i < ROUNDS; i++) {
		int64_t free_before = 0;

		meeting->memfd = sealed_memfd(backing, SIZE);
		if (backing == HUGE_2M)
			free_before = hugetlb(MIB(2), "free_hugepages");
		current->meet(meeting);
		for (int number = 0; number < PARTIES; number++) {
			igt_assert_f(meeting->dmabuf[number] >= 0, "%s\n",
				     strerror(-meeting->dmabuf[number]));
			igt_assert_eq(meeting->same[number], NPAGES);
		}
		igt_assert_eq_u64(fd_allocated(meeting->memfd), whole_folios(backing, SIZE));
		if (backing == HUGE_2M)
			igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"),
					  free_before - SIZE / MIB(2));
		close(meeting->memfd);
		if (backing == HUGE_2M)
			igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"),
					  free_before);
	}
	munmap(meeting, sizeof(*meeting));
}

struct changer {
	int memfd;
	size_t size;
	atomic_bool stop;
};

/* Never lets the file have pages that were written, only new ones. */
static void *renew_thread(void *arg)
{
	struct changer *changer = arg;

	while (!changer->stop) {
		igt_assert_eq(fallocate(changer->memfd, FALLOC_FL_PUNCH_HOLE |
					FALLOC_FL_KEEP_SIZE, 0, changer->size),
			      0);
		igt_assert_eq(fallocate(changer->memfd, FALLOC_FL_KEEP_SIZE, 0,
					changer->size), 0);
	}
	return NULL;
}

/*
 * What fallocate() got is zeroed when it is first touched. If it was not before
 * the pin, it is afterwards, and what was written through the dma-buf is gone.
 */
static void test_fallocate_race(int dev)
{
	struct changer changer = {
		.memfd = sealed_memfd(SHMEM, pages(64)),
		.size = pages(64),
	};
	void *mem = map_fd(changer.memfd, pages(64));
	int made = 0;

	for (int i = 1; i <= 200; i++) {
		pthread_t thread;
		int dmabuf;
		void *buf;

		/* What was written may be in the file still. */
		igt_assert_eq(fallocate(changer.memfd, FALLOC_FL_PUNCH_HOLE |
					FALLOC_FL_KEEP_SIZE, 0, pages(64)), 0);
		changer.stop = false;
		igt_assert_eq(pthread_create(&thread, NULL, renew_thread,
					     &changer), 0);
		dmabuf = __create(dev, changer.memfd, 0, pages(64));
		changer.stop = true;
		igt_assert_eq(pthread_join(thread, NULL), 0);
		/* ENOMEM: what is punched out cannot be moved meanwhile. */
		if (dmabuf == -EAGAIN || dmabuf == -ENOMEM)
			continue;
		igt_assert_f(dmabuf >= 0, "%s\n", strerror(-dmabuf));

		buf = map_fd(dmabuf, pages(64));
		igt_assert_eq(count_zero(buf, 64), 64);
		fill(buf, 0, 64, i);
		(void)count_zero(mem, 64);
		igt_assert_eq(count_filled(buf, 0, 64, i), 64);
		unmap(buf, pages(64));
		close(dmabuf);
		made++;
	}
	unmap(mem, pages(64));
	close(changer.memfd);
	igt_info("%d of 200 dma-bufs made\n", made);
	igt_assert(made);
}

void memfd_pin_holes_subtests(int dev)
{
	for (current = pairs; current < pairs + ARRAY_SIZE(pairs); current++) {
		igt_describe_f("Two that pin the same holes get the same pages: %s",
			       current->name);
		igt_subtest_f("holes-%s", current->name)
			udmabuf_test(test_meetings, dev);
	}
	igt_describe("No page is pinned that is still to be zeroed, while fallocate() makes such "
		     "pages");
	igt_subtest("fallocate-race")
		udmabuf_test(test_fallocate_race, dev);
}
