// SPDX-License-Identifier: MIT
/*
 * Nothing is lost and nobody gets in: what is written through a udmabuf stays in
 * the memfd, huge pages that others reserved stay theirs, who may not write the
 * memfd gets no writable dma-buf, and concurrent first users leak nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "igt.h"
#include "udmabuf.h"

#define NPAGES		2048

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

/* Write all of the memfd through a dma-buf that is gone on return. */
static void write_through_dmabuf(int dev, int memfd, size_t count)
{
	int dmabuf = create(dev, memfd, 0, pages(count));
	void *buf = map_fd(dmabuf, pages(count));

	prime_sync_start(dmabuf, true);
	fill(buf, 0, count, 1);
	prime_sync_end(dmabuf, true);
	unmap(buf, pages(count));
	close(dmabuf);
}

static void check_survivors(int memfd, size_t count)
{
	void *mem = map_fd(memfd, pages(count));
	size_t found = count_filled(mem, 0, count, 1);

	igt_assert_f(found == count, "%zu of %zu pages survive\n", found, count);
	unmap(mem, pages(count));
}

/* The first access to the memfd comes after the write, the dma-buf is alive. */
static void test_fallocated(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(NPAGES)), dmabuf;
	void *buf;

	igt_assert_eq(fallocate(memfd, 0, 0, pages(NPAGES)), 0);
	dmabuf = create(dev, memfd, 0, pages(NPAGES));
	buf = map_fd(dmabuf, pages(NPAGES));
	fill(buf, 0, NPAGES, 1);
	check_survivors(memfd, NPAGES);
	unmap(buf, pages(NPAGES));
	close(dmabuf);
	close(memfd);
}

static const struct kind {
	const char *name;
	enum backing backing;
} kinds[] = {
	{ "holes", SHMEM },
	{ "holes-thp", THP },
};

static const struct kind *current;

static void test_holes(int dev)
{
	int memfd = sealed_memfd(current->backing, pages(NPAGES));

	write_through_dmabuf(dev, memfd, NPAGES);
	drop_caches();
	check_survivors(memfd, NPAGES);
	close(memfd);
}

/* Fallocated, written, read and untouched pages take turns. */
static void test_mixed(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(NPAGES));
	char *mem = map_fd(memfd, pages(NPAGES));

	for (size_t i = 0; i < NPAGES; i += 4) {
		igt_assert_eq(fallocate(memfd, 0, pages(i), page_size()), 0);
		WRITE_ONCE(mem[pages(i + 1)], 1);
		igt_assert_eq(READ_ONCE(mem[pages(i + 2)]), 0);
	}
	unmap(mem, pages(NPAGES));

	write_through_dmabuf(dev, memfd, NPAGES);
	drop_caches();
	check_survivors(memfd, NPAGES);
	close(memfd);
}

/* Nobody reserved the huge pages that fill the holes: no reservation is used up. */
static void test_hugetlb_holes(int dev)
{
	int64_t reserved = hugetlb(MIB(2), "resv_hugepages");
	int64_t free;
	int memfd = sealed_memfd(HUGE_2M, MIB(8)), dmabuf;

	free = hugetlb(MIB(2), "free_hugepages");
	dmabuf = create(dev, memfd, MIB(1), MIB(6));
	igt_assert_eq_s64(hugetlb(MIB(2), "resv_hugepages"), reserved);
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"), free - 4);
	close(dmabuf);
	close(memfd);
	igt_assert_eq_s64(hugetlb(MIB(2), "resv_hugepages"), reserved);
	igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"), free);
}

/* All huge pages are promised to a mapping, so that there is none for a hole. */
static void test_hugetlb_reserved(int dev)
{
	int memfd = sealed_memfd(HUGE_2M, MIB(8)), dmabuf;
	void *owner;

	owner = mmap(NULL, MIB(8), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
		     21 << MAP_HUGE_SHIFT, -1, 0);
	igt_assert_f(owner != MAP_FAILED, "mmap: %s\n", strerror(errno));

	dmabuf = __create(dev, memfd, 0, MIB(8));
	/* What was promised is kept: touching the mapping raises no SIGBUS. */
	igt_assert_f(madvise(owner, MIB(8), MADV_POPULATE_WRITE) == 0,
		     "reserved huge pages are gone: %s\n", strerror(errno));
	igt_assert_eq(dmabuf, -ENOMEM);

	unmap(owner, MIB(8));
	close(memfd);
}

/* The holes' own reservation, made by a mapping of the memfd, is used up. */
static void test_hugetlb_own_reservation(int dev)
{
	int64_t reserved = hugetlb(MIB(2), "resv_hugepages");
	int memfd = sealed_memfd(HUGE_2M, MIB(8)), dmabuf;
	void *mem = map_fd(memfd, MIB(8));

	igt_assert_eq_s64(hugetlb(MIB(2), "resv_hugepages"), reserved + 4);
	dmabuf = create(dev, memfd, 0, MIB(8));
	igt_assert_eq_s64(hugetlb(MIB(2), "resv_hugepages"), reserved);
	fill(mem, 0, MIB(8) / page_size(), 1);
	unmap(mem, MIB(8));
	check_survivors(memfd, MIB(8) / page_size());
	close(dmabuf);
	close(memfd);
	igt_assert_eq_s64(hugetlb(MIB(2), "resv_hugepages"), reserved);
}

/* Through a dma-buf one can read and write: the descriptor must allow both. */
static void check_access(int dev, enum backing backing, int flags)
{
	int memfd = sealed_memfd(backing, MIB(2));
	int restricted = reopen(memfd, flags);
	struct udmabuf_create_item items[] = {
		{ .memfd = memfd, .size = MIB(2) },
		{ .memfd = restricted, .size = MIB(2) },
	};

	igt_assert_eq(__create(dev, restricted, 0, MIB(2)), -EACCES);
	igt_assert_eq(__create_list(dev, 2, items, 0), -EACCES);
	close(restricted);
	close(memfd);
}

static void test_readonly(int dev)
{
	check_access(dev, SHMEM, O_RDONLY);
	check_access(dev, HUGE_2M, O_RDONLY);
}

static void test_writeonly(int dev)
{
	check_access(dev, SHMEM, O_WRONLY);
}

/* The administrator may ask for what a stock kernel does. */
static void test_readonly_allowed(int dev)
{
	static const enum backing backings[] = { SHMEM, HUGE_2M };

	set_module_attribute(dev, "parameters/allow_readonly", 1);
	for (size_t i = 0; i < ARRAY_SIZE(backings); i++) {
		int memfd = sealed_memfd(backings[i], MIB(2));
		int readonly = reopen(memfd, O_RDONLY);

		close(create(dev, readonly, 0, MIB(2)));
		close(readonly);
		close(memfd);
	}
}

#define RACERS		4
#define RACES		48
#define ROUNDS		3

static pthread_barrier_t barrier;

struct racer {
	int dmabuf, cpu;
};

/* The first DMA_BUF_IOCTL_SYNC of a dma-buf, at the same time as the others. */
static void *first_sync(void *arg)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_RW };
	const struct racer *racer = arg;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(racer->cpu, &cpus);
	igt_assert_eq(sched_setaffinity(0, sizeof(cpus), &cpus), 0);

	pthread_barrier_wait(&barrier);
	igt_assert_eq(ioctl(racer->dmabuf, DMA_BUF_IOCTL_SYNC, &sync), 0);
	sync.flags |= DMA_BUF_SYNC_END;
	igt_assert_eq(ioctl(racer->dmabuf, DMA_BUF_IOCTL_SYNC, &sync), 0);
	return NULL;
}

static void race_first_sync(int dev, int memfd, size_t size)
{
	struct racer racers[RACERS];
	pthread_t threads[RACERS];
	int dmabuf = create(dev, memfd, 0, size), cpu = -1;
	cpu_set_t cpus;

	igt_assert_eq(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	igt_require_f(CPU_COUNT(&cpus) > 1, "one CPU\n");
	for (int i = 0; i < RACERS; i++) {
		/* The next of those that there are */
		do
			cpu = (cpu + 1) % CPU_SETSIZE;
		while (!CPU_ISSET(cpu, &cpus));
		racers[i].dmabuf = dmabuf;
		racers[i].cpu = cpu;
		igt_assert_eq(pthread_create(&threads[i], NULL, first_sync,
					     &racers[i]), 0);
	}
	for (int i = 0; i < RACERS; i++)
		igt_assert_eq(pthread_join(threads[i], NULL), 0);
	close(dmabuf);
}

/*
 * The scatterlist of a mapping that is lost takes 32 bytes for each page of the
 * buffer, half a MiB for 64 MiB, which shows in the amount of free memory. To
 * tell it from what others do meanwhile, the best of several rounds counts.
 */
static void test_first_sync(int dev)
{
	size_t size = MIB(64), mapping = size / page_size() * 32;
	int memfd = sealed_memfd(SHMEM, size);
	int64_t lost, least = INT64_MAX;

	pthread_barrier_init(&barrier, NULL, RACERS);
	race_first_sync(dev, memfd, size);
	for (int round = 0; round < ROUNDS; round++) {
		lost = free_memory();
		for (int i = 0; i < RACES; i++)
			race_first_sync(dev, memfd, size);
		lost -= free_memory();
		if (lost < least)
			least = lost;
		igt_info("%d races of %d threads took %lld KiB of memory\n",
			 RACES, RACERS, (long long)lost / 1024);
	}
	pthread_barrier_destroy(&barrier);
	close(memfd);
	igt_assert(least < 4 * (int64_t)mapping);
}

void udmabuf_persist_subtests(int dev)
{
	igt_describe("What is written through a dma-buf of fallocated, untouched pages is not "
		     "wiped by the first access to the memfd");
	igt_subtest("fallocated-survives")
		udmabuf_test(test_fallocated, dev);
	for (current = kinds; current < kinds + ARRAY_SIZE(kinds); current++) {
		igt_describe_f("What was written through a dma-buf survives its end and "
			       "drop_caches, with %s", current->name);
		igt_subtest_f("%s-survive-reclaim", current->name)
			udmabuf_test(test_holes, dev);
	}
	igt_describe("The same with fallocated, written, read and untouched pages");
	igt_subtest("mixed-survives-reclaim")
		udmabuf_test(test_mixed, dev);
	igt_describe("A descriptor that cannot be written is refused with EACCES");
	igt_subtest("readonly-memfd")
		udmabuf_test(test_readonly, dev);
	igt_describe("So is one that cannot be read");
	igt_subtest("writeonly-memfd")
		udmabuf_test(test_writeonly, dev);
	igt_describe("A descriptor that cannot be written is accepted where the administrator "
		     "allows it");
	igt_subtest("readonly-memfd-allowed")
		udmabuf_test(test_readonly_allowed, dev);
	igt_describe("Threads that race for the first DMA_BUF_IOCTL_SYNC leak no memory");
	igt_subtest("first-sync-race")
		udmabuf_test(test_first_sync, dev);
	igt_describe("A reservation of the memfd itself is used up by its dma-buf");
	igt_subtest("hugetlb-own-reservation")
		udmabuf_test(test_hugetlb_own_reservation, dev);
	igt_describe("Huge pages that another mapping has reserved are not taken");
	igt_subtest("hugetlb-reserved-by-other")
		udmabuf_test(test_hugetlb_reserved, dev);
	igt_describe("Filling hugetlb holes leaves HugePages_Rsvd as it is");
	igt_subtest("hugetlb-holes-reservation")
		udmabuf_test(test_hugetlb_holes, dev);
}
