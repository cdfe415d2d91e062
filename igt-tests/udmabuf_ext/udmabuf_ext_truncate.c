// SPDX-License-Identifier: MIT
/*
 * What is left of a dma-buf when its file shrinks or gets holes: which pages the
 * two still share, what each of them sees, and that all memory comes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "igt.h"
#include "udmabuf_ext.h"

#define SIZE	MIB(4)
#define NPAGES	(SIZE / page_size())

static const struct memory_kind *memory;

static int create_unsealed(int dev, int memfd)
{
	return create_flags(dev, UDMABUF_FLAGS_UNSEALED, memfd, 0, SIZE);
}

/* @count pages of the file from number @first on, which lie at @mem, see @seed. */
static void check_filled(const char *mem, size_t first, size_t count, uint64_t seed)
{
	igt_assert_eq(count_filled(mem + pages(first), first, count, seed), count);
}

static void check_zero(const char *mem, size_t first, size_t count)
{
	igt_assert_eq(count_zero(mem + pages(first), count), count);
}

static void punch(int fd, size_t first, size_t count)
{
	igt_assert_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				pages(first), pages(count)), 0);
}

/* The file gets its pages anew; those that the dma-buf has are not free for it. */
static void make_room(void)
{
	if (memory->backing == HUGE_2M)
		close(unsealed_memfd(HUGE_2M, SIZE));
}

/* Through an importer, which is the last one to hold the dma-buf. */
static void use_imported(int dmabuf, uint64_t seed)
{
	int vgem = drm_open_driver(DRIVER_VGEM);
	uint64_t offset = next_vgem_offset(vgem, SIZE);
	uint32_t handle;
	char *bo;

	igt_assert_eq(import_into(vgem, dmabuf, &handle), 0);
	close(dmabuf);
	bo = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vgem, offset);
	igt_assert_f(bo != MAP_FAILED, "mmap of vgem: %s\n", strerror(errno));
	check_filled(bo, 0, NPAGES, seed);
	fill(bo, 0, NPAGES, seed + 1);
	check_filled(bo, 0, NPAGES, seed + 1);
	unmap(bo, SIZE);
	gem_close(vgem, handle);
	drm_close_driver(vgem);
}

static void test_truncate(int dev)
{
	int memfd = filled_memfd(memory->backing, SIZE), dmabuf = create_unsealed(dev, memfd);
	char *early = map_fd(dmabuf, SIZE), *buf, *mem;
	int64_t free_before = 0;

	/* Half of it is faulted in. */
	check_filled(early, 0, NPAGES / 2, 1);
	igt_assert_eq(ftruncate(memfd, 0), 0);
	check_filled(early, 0, NPAGES, 1);
	buf = map_fd(dmabuf, SIZE);
	check_filled(buf, 0, NPAGES, 1);
	prime_sync_start(dmabuf, true);
	fill(buf, 0, NPAGES, 2);
	prime_sync_end(dmabuf, true);
	check_filled(early, 0, NPAGES, 2);
	unmap(early, SIZE);

	/* They have nothing in common any more. */
	make_room();
	igt_assert_eq(ftruncate(memfd, SIZE), 0);
	mem = map_fd(memfd, SIZE);
	check_zero(mem, 0, NPAGES);
	fill(mem, 0, NPAGES, 3);
	check_filled(buf, 0, NPAGES, 2);
	fill(buf, 0, NPAGES, 4);
	check_filled(mem, 0, NPAGES, 3);
	unmap(mem, SIZE);
	close(memfd);

	if (memory->backing == HUGE_2M)
		free_before = hugetlb(MIB(2), "free_hugepages");
	unmap(buf, SIZE);
	use_imported(dmabuf, 4);
	if (memory->backing == HUGE_2M)
		igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"),
				  free_before + NPAGES / HUGE_PAGES);
}

/* The rest of the page is zeroed where it is; pages behind it go. */
static void test_middle_page(int dev)
{
	int memfd = filled_memfd(SHMEM, SIZE), dmabuf = create_unsealed(dev, memfd);
	char *buf = map_fd(dmabuf, SIZE), *mem, *copy = malloc(page_size());

	igt_assert(copy);
	memcpy(copy, buf + pages(10), page_size());
	memset(copy + 100, 0, page_size() - 100);
	igt_assert_eq(ftruncate(memfd, pages(10) + 100), 0);
	check_filled(buf, 0, 10, 1);
	igt_assert_eq(memcmp(buf + pages(10), copy, page_size()), 0);
	check_filled(buf, 11, NPAGES - 11, 1);

	/* A file that ends within a page can be shared with all of that, as by mmap(). */
	igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_UNSEALED, memfd, 0,
				     pages(12)), -EINVAL);
	close(create_flags(dev, UDMABUF_FLAGS_UNSEALED, memfd, 0, pages(11)));

	igt_assert_eq(ftruncate(memfd, SIZE), 0);
	mem = map_fd(memfd, SIZE);
	fill(buf, 0, NPAGES, 2);
	check_filled(mem, 0, 11, 2);
	check_zero(mem, 11, NPAGES - 11);
	unmap(mem, SIZE);
	unmap(buf, SIZE);
	free(copy);
	close(dmabuf);
	close(memfd);
}

/*
 * A folio that is pinned cannot be split: what is cut off is zeroed where it is and
 * stays connected, so that what the dma-buf writes there is in the file when it grows
 * again. What lies in other folios goes.
 */
static void test_middle_thp(int dev)
{
	int memfd = filled_memfd(THP, SIZE), dmabuf = create_unsealed(dev, memfd);
	char *buf = map_fd(dmabuf, SIZE), *mem;

	igt_assert_eq(ftruncate(memfd, pages(10)), 0);
	check_filled(buf, 0, 10, 1);
	check_zero(buf, 10, HUGE_PAGES - 10);
	check_filled(buf, HUGE_PAGES, NPAGES - HUGE_PAGES, 1);

	fill(buf, 0, NPAGES, 2);
	igt_assert_eq(ftruncate(memfd, SIZE), 0);
	mem = map_fd(memfd, SIZE);
	check_filled(mem, 0, HUGE_PAGES, 2);
	check_zero(mem, HUGE_PAGES, NPAGES - HUGE_PAGES);
	unmap(mem, SIZE);
	unmap(buf, SIZE);
	close(dmabuf);
	close(memfd);
}

/* hugetlbfs has no such sizes. */
static void test_middle_hugetlb(int dev)
{
	int memfd = filled_memfd(HUGE_2M, SIZE), dmabuf = create_unsealed(dev, memfd);
	char *buf = map_fd(dmabuf, SIZE);

	igt_assert_eq(ftruncate(memfd, pages(10)), -1);
	igt_assert_eq(errno, EINVAL);
	igt_assert_eq(ftruncate(memfd, MIB(2)), 0);
	check_filled(buf, 0, NPAGES, 1);
	unmap(buf, SIZE);
	close(dmabuf);
	close(memfd);
}

static void test_punch(int dev)
{
	int memfd = filled_memfd(memory->backing, SIZE), dmabuf = create_unsealed(dev, memfd);
	char *buf = map_fd(dmabuf, SIZE), *mem = map_fd(memfd, SIZE);

	punch(memfd, 0, HUGE_PAGES);
	check_filled(buf, 0, NPAGES, 1);
	make_room();
	check_zero(mem, 0, HUGE_PAGES);
	fill(buf, 0, NPAGES, 2);
	check_zero(mem, 0, HUGE_PAGES);
	check_filled(mem, HUGE_PAGES, NPAGES - HUGE_PAGES, 2);
	fill(mem, 0, NPAGES, 3);
	check_filled(buf, 0, HUGE_PAGES, 2);
	check_filled(buf, HUGE_PAGES, NPAGES - HUGE_PAGES, 3);
	unmap(mem, SIZE);
	unmap(buf, SIZE);
	close(dmabuf);
	close(memfd);
}

/* A part of a huge page: zeroed where it is, and all of it stays connected. */
static void test_punch_part(int dev)
{
	int memfd = filled_memfd(memory->backing, SIZE), dmabuf = create_unsealed(dev, memfd);
	char *buf = map_fd(dmabuf, SIZE), *mem = map_fd(memfd, SIZE);

	punch(memfd, 100, 50);
	check_filled(buf, 0, 100, 1);
	check_zero(buf, 100, 50);
	check_filled(buf, 150, NPAGES - 150, 1);
	fill(buf, 0, NPAGES, 2);
	check_filled(mem, 0, NPAGES, 2);
	unmap(mem, SIZE);
	unmap(buf, SIZE);
	close(dmabuf);
	close(memfd);
}

/*
 * The same where nobody but the dma-buf has ever written: what it wrote beside the
 * part that is punched is in the file.
 */
static void test_punch_part_hole(int dev)
{
	int memfd = unsealed_memfd(memory->backing, SIZE), dmabuf = create_unsealed(dev, memfd);
	char *buf = map_fd(dmabuf, SIZE), *mem;

	fill(buf, 0, NPAGES, 1);
	punch(memfd, 100, 50);
	mem = map_fd(memfd, SIZE);
	check_filled(mem, 0, 100, 1);
	check_zero(mem, 100, 50);
	check_filled(mem, 150, NPAGES - 150, 1);
	unmap(mem, SIZE);
	unmap(buf, SIZE);
	close(dmabuf);
	close(memfd);
}

/* Pages that are no longer in a file are free as soon as the dma-buf has gone. */
static void test_no_leak(int dev)
{
	const int turns = 16;
	int64_t before;

	for (int i = -1; i < turns; i++) {
		int memfd = filled_memfd(memory->backing, SIZE);
		int dmabuf = create_unsealed(dev, memfd);

		igt_assert_eq(ftruncate(memfd, 0), 0);
		close(memfd);
		close(dmabuf);
		/* The first one is for what is allocated once. */
		if (i < 0)
			before = free_memory();
	}
	igt_assert(free_memory_changes(before, -(int64_t)MIB(24), INT64_MAX));
}

struct racer {
	int dev, memfd;
	atomic_bool stop;
	atomic_int made;
	int error;
};

#define MADE	50	/* by each, in at most so many tries */
#define TRIES	100000

static struct racer racers[3];

/* It stays as long as they need it to, until each has made one more, or enough. */
static void *truncate_thread(void *arg)
{
	struct racer *racer = arg;

	while (!racer->stop) {
		int first, second;

		if (ftruncate(racer->memfd, MIB(2)) ||
		    ftruncate(racer->memfd, 0) || ftruncate(racer->memfd, SIZE))
			racer->error = errno;
		first = racers[1].made;
		second = racers[2].made;
		while (!racer->stop && ((racers[1].made == first && first < MADE) ||
					(racers[2].made == second && second < MADE)))
			sched_yield();
	}
	return NULL;
}

static void *create_thread(void *arg)
{
	struct racer *racer = arg;

	for (int i = 0; i < TRIES && racer->made < MADE; i++) {
		int fd = __create_flags(racer->dev, UDMABUF_FLAGS_UNSEALED,
					racer->memfd, 0, SIZE);

		if (fd >= 0) {
			racer->made++;
			close(fd);
		} else if (fd != -EINVAL && fd != -EAGAIN && fd != -ENOMEM) {
			racer->error = -fd;
		}
	}
	return NULL;
}

static void test_race(int dev)
{
	int memfd = unsealed_memfd(memory->backing, 4 * SIZE);
	pthread_t threads[3];
	int64_t free_before = 0, reserved = 0;

	if (memory->backing == HUGE_2M) {
		free_before = hugetlb(MIB(2), "free_hugepages");
		reserved = hugetlb(MIB(2), "resv_hugepages");
	}
	igt_assert_eq(ftruncate(memfd, SIZE), 0);
	for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
		racers[i] = (struct racer) { .dev = dev, .memfd = memfd };
		igt_assert_eq(pthread_create(&threads[i], NULL, i ? create_thread :
					     truncate_thread, &racers[i]), 0);
	}
	for (size_t i = 1; i < ARRAY_SIZE(racers); i++)
		pthread_join(threads[i], NULL);
	racers[0].stop = true;
	pthread_join(threads[0], NULL);
	for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
		igt_assert_eq(racers[i].error, 0);
		igt_assert_eq(racers[i].made, i ? MADE : 0);
	}
	close(memfd);
	if (memory->backing == HUGE_2M) {
		igt_assert_eq_s64(hugetlb(MIB(2), "free_hugepages"), free_before);
		igt_assert_eq_s64(hugetlb(MIB(2), "resv_hugepages"), reserved);
	}
}

/* When the first page has come, the file is to have none. */
static void *truncate_filled_thread(void *arg)
{
	struct racer *racer = arg;

	while (!fd_allocated(racer->memfd) && !racer->stop)
		;
	if (ftruncate(racer->memfd, 0))
		racer->error = errno;
	return NULL;
}

/* Whether it was truncated while it was filled, and not afterwards */
static bool check_filling(int dev)
{
	struct racer racer = { .memfd = unsealed_memfd(HUGE_2M, MIB(64)) };
	pthread_t thread;
	int dmabuf;

	igt_assert_eq(pthread_create(&thread, NULL, truncate_filled_thread, &racer), 0);
	dmabuf = __create_flags(dev, UDMABUF_FLAGS_UNSEALED, racer.memfd, 0, MIB(64));
	racer.stop = true;
	pthread_join(thread, NULL);
	igt_assert_eq(racer.error, 0);
	if (dmabuf >= 0)
		close(dmabuf);
	else
		igt_assert_eq(dmabuf, -EINVAL);
	igt_assert_lte(fd_allocated(racer.memfd), MIB(2));
	close(racer.memfd);
	return dmabuf < 0;
}

/*
 * Holes beyond the end are not filled: such pages would be nobody's, and stay. At
 * most one is, if the file has ended when it had been looked at.
 */
static void test_filling_hugetlb(int dev)
{
	bool filling = false;

	for (int i = 0; i < 100 && !filling; i++)
		filling = check_filling(dev);
	igt_assert(filling);
}

void udmabuf_ext_truncate_subtests(int dev)
{
	for (memory = memory_kinds; memory->name; memory++) {
		igt_describe_f("All of a file of %s is cut off: the dma-buf keeps the pages, and "
			       "shares none with the file when it grows again", memory->name);
		igt_subtest_f("truncate-%s", memory->name)
			udmabuf_test(test_truncate, dev);
		igt_describe("The same with a hole of whole pages");
		igt_subtest_f("punch-%s", memory->name)
			udmabuf_test(test_punch, dev);
		igt_describe("No page is left when all are closed");
		igt_subtest_f("truncate-%s-no-leak", memory->name)
			udmabuf_test(test_no_leak, dev);
		igt_describe("Creation while the file shrinks and grows");
		igt_subtest_f("truncate-%s-race", memory->name)
			udmabuf_test(test_race, dev);
		if (memory->backing == SHMEM)
			continue;
		igt_describe_f("A part of %s is punched out: it is zeroed in place, and shared as "
			       "before", memory->name);
		igt_subtest_f("punch-%s-part", memory->name)
			udmabuf_test(test_punch_part, dev);
		igt_describe("The same where only the dma-buf has written: nothing beside the "
			     "part is lost");
		igt_subtest_f("punch-%s-part-of-hole", memory->name)
			udmabuf_test(test_punch_part_hole, dev);
	}
	igt_describe("A file that ends in the middle of a page shares it");
	igt_subtest("truncate-shmem-middle")
		udmabuf_test(test_middle_page, dev);
	igt_describe("One that ends in the middle of a transparent huge page shares all of it");
	igt_subtest("truncate-thp-middle")
		udmabuf_test(test_middle_thp, dev);
	igt_describe("One of hugetlb pages ends at the end of one");
	igt_subtest("truncate-hugetlb-middle")
		udmabuf_test(test_middle_hugetlb, dev);
	igt_describe("A file that is truncated while it is filled does not go on to be");
	igt_subtest("truncate-hugetlb-filling")
		udmabuf_test(test_filling_hugetlb, dev);
}
