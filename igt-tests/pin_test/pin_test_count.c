// SPDX-License-Identifier: MIT
/*
 * How pins are counted: in folios and in /proc/vmstat, by each function that takes
 * them, and released by each that gives them back.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "igt.h"
#include "pin_test.h"
#include "process_helper.h"

#define BIAS	1024	/* GUP_PIN_COUNTING_BIAS */
#define NPAGES	16

static const struct pin_call *current;

/* Memory that can be pinned by address and as a memfd: shared, written, mapped. */
static char *shared_memory(enum backing backing, size_t size, int *memfd)
{
	char *mem;

	*memfd = unsealed_memfd(backing, size);
	mem = map_fd(*memfd, size);
	fill(mem, 0, size / page_size(), 1);
	return mem;
}

/*
 * Bring the pages where they stay. Before that, what is accessed moves about on the
 * LRU lists, and who moves it holds references.
 */
static void settle(int memfd, const char *mem, size_t count)
{
	for (int i = 0; i < 3; i++)
		unpin(pin_by(current, 0, memfd, mem, 0, count), PIN_TEST_CLEAN);
	drop_caches();
}

/* One pin more, and one less, on a page that is pinned already. */
static void test_small(void)
{
	struct pin_test_page once, twice, again;
	int memfd, first, second;
	char *mem = shared_memory(SHMEM, pages(NPAGES), &memfd);

	settle(memfd, mem, NPAGES);
	first = pin_by(current, 0, memfd, mem, 0, NPAGES);
	for (unsigned int i = 0; i < NPAGES; i++) {
		once = query(first, i);
		igt_assert_eq(once.order, 0);
		igt_assert_eq(once.pins, 1);
		second = pin_by(current, 0, memfd, mem, i, 1);
		twice = query(first, i);
		igt_assert_eq_u64(query(second, 0).pfn, once.pfn);
		igt_assert_eq(twice.pins, 2);
		igt_assert_eq(twice.refs - once.refs, BIAS);
		unpin(second, PIN_TEST_CLEAN);
		again = query(first, i);
		igt_assert_eq(again.refs, once.refs);
	}
	unpin(first, PIN_TEST_CLEAN);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

/* By address each page counts, by memfd each folio. */
static void check_large(enum backing backing)
{
	int memfd, first, second;
	char *mem = shared_memory(backing, 2 * HUGE, &memfd);
	struct pin_test_page once, twice;
	int each = current->memfd ? 1 : 3;

	if (backing == HUGE_2M &&
	    (current->memfd || current->flags & PIN_TEST_LONGTERM))
		require_pinnable(HUGE_2M);
	settle(memfd, mem, 2 * HUGE_PAGES);
	first = pin_by(current, 0, memfd, mem, 5, 3);
	once = query(first, 0);
	igt_require_f(1UL << once.order == HUGE_PAGES, "no huge page\n");
	igt_assert_eq(once.pins, each);
	if (current->call != PIN_TEST_MEMFD_FOLIOS)
		igt_assert_eq_s64(once.index, 5);

	second = pin_by(current, 0, memfd, mem, 0, 2 * HUGE_PAGES);
	twice = query(first, 0);
	each = current->memfd ? 1 : HUGE_PAGES;
	igt_assert_eq(twice.pins - once.pins, each);
	igt_assert_eq(twice.refs - once.refs, each);
	/* The second folio has only the pins of the second call. */
	igt_assert_eq(query(second, current->call == PIN_TEST_MEMFD_FOLIOS ?
			    1 : HUGE_PAGES).pins, each);
	unpin(second, PIN_TEST_CLEAN);

	twice = query(first, 0);
	igt_assert_eq(twice.pins, once.pins);
	igt_assert_eq(twice.refs, once.refs);
	unpin(first, PIN_TEST_CLEAN);
	unmap(mem, 2 * HUGE);
	close(memfd);
}

static void test_large(void)
{
	check_large(THP);
}

static void test_hugetlb(void)
{
	check_large(HUGE_2M);
}

static void test_zero(void)
{
	char *mem = anon_small(pages(NPAGES));
	struct pin_test_page page;
	struct pin_counts before, during, after;
	int first, second;

	igt_assert_eq(count_zero(mem, NPAGES), NPAGES);

	before = count_pins();
	first = pin(current->call, current->flags, mem, NPAGES);
	page = query(first, 0);
	igt_assert(page.flags & PIN_TEST_PAGE_ZERO);
	second = pin(current->call, current->flags, mem, NPAGES);
	igt_assert_eq(query(first, 0).refs, page.refs);
	igt_assert_eq(query(first, 0).pins, page.pins);
	during = count_pins();
	unpin(second, PIN_TEST_CLEAN);
	igt_assert_eq(query(first, 0).refs, page.refs);
	unpin(first, PIN_TEST_CLEAN);
	after = count_pins();

	igt_assert_eq_s64(during.acquired, before.acquired);
	igt_assert_eq_s64(after.released, before.released);
	unmap(mem, pages(NPAGES));
}

/* The lockless walk of the page tables leaves it to others, or does the same. */
static void test_zero_fast_only(void)
{
	char *mem = anon_small(pages(NPAGES));
	struct pin_counts before, after;
	struct pin_test_page page;
	int dev, fast_only = open_device();
	int64_t nr;

	igt_assert_eq(count_zero(mem, NPAGES), NPAGES);
	dev = pin(PIN_TEST_SLOW, 0, mem, NPAGES);
	page = query(dev, 0);
	igt_assert(page.flags & PIN_TEST_PAGE_ZERO);

	before = count_pins();
	nr = __pin(fast_only, PIN_TEST_FAST_ONLY, 0, mem, NPAGES);
	igt_assert(!nr || nr == NPAGES);
	igt_assert_eq(query(dev, 0).refs, page.refs);
	close(fast_only);
	after = count_pins();

	igt_assert_eq(query(dev, 0).refs, page.refs);
	igt_assert_eq_s64(after.acquired, before.acquired);
	igt_assert_eq_s64(after.released, before.released);
	unpin(dev, PIN_TEST_CLEAN);
	unmap(mem, pages(NPAGES));
}

static void test_balance(void)
{
	struct pin_counts before, during, after;
	int memfd, dev;
	char *mem = shared_memory(SHMEM, pages(NPAGES), &memfd);

	/* What is migrated is pinned twice: let that be over. */
	settle(memfd, mem, NPAGES);
	for (unsigned int how = PIN_TEST_CLEAN; how <= PIN_TEST_DIRTY; how++) {
		before = count_pins();
		dev = pin_by(current, 0, memfd, mem, 0, NPAGES);
		during = count_pins();
		unpin(dev, how);
		after = count_pins();

		igt_assert_eq_s64(during.acquired - before.acquired, NPAGES);
		igt_assert_eq_s64(during.released, before.released);
		igt_assert_eq_s64(after.acquired, during.acquired);
		igt_assert_eq_s64(after.released - during.released, NPAGES);
	}
	unmap(mem, pages(NPAGES));
	close(memfd);
}

/* Only read through the mapping, so that nothing else has made it dirty. */
static void test_dirty(void)
{
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES)), dev;
	char *mem = map_fd(memfd, pages(NPAGES));

	igt_assert_eq(count_zero(mem, NPAGES), NPAGES);
	unpin(pin_by(current, 0, memfd, mem, 0, NPAGES), PIN_TEST_CLEAN);
	dev = pin_by(current, 0, memfd, mem, 0, NPAGES);
	for (unsigned int i = 0; i < NPAGES; i++) {
		igt_assert(query(dev, i).flags & PIN_TEST_PAGE_UPTODATE);
		igt_assert(!(query(dev, i).flags & PIN_TEST_PAGE_DIRTY));
	}
	unpin(dev, PIN_TEST_DIRTY);
	dev = pin_by(current, 0, memfd, mem, 0, NPAGES);
	for (unsigned int i = 0; i < NPAGES; i++)
		igt_assert(query(dev, i).flags & PIN_TEST_PAGE_DIRTY);
	unpin(dev, PIN_TEST_CLEAN);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

/* Whoever dies with pins leaves none. */
static void test_killed(void)
{
	int64_t pins = pins_held();
	int sockets[2], status;
	pid_t child;

	make_sockets(sockets);
	own_child(child) {
		char *mem = anon_small(pages(NPAGES));

		close(sockets[0]);
		fill(mem, 0, NPAGES, 1);
		pin(PIN_TEST_FAST, PIN_TEST_LONGTERM, mem, NPAGES);
		tell(sockets[1]);
		pause();
	}
	close(sockets[1]);
	await(sockets[0]);
	close(sockets[0]);
	igt_assert_eq_s64(pins_held(), pins + NPAGES);
	kill(child, SIGKILL);
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert_eq_s64(pins_held(), pins);
}

static void forbid_others(void)
{
	chmod("/dev/pin_test", 0600);
}

static void test_device(void)
{
	int dev = open_device();
	char *mem = anon_small(page_size());
	char byte = 0;

	mem[0] = 1;
	igt_assert_eq(ioctl(dev, PIN_TEST_UNPIN, 0), -1);
	igt_assert_eq(errno, ENODATA);
	igt_assert_eq_s64(__pin(dev, PIN_TEST_MEMFD_FOLIOS + 1, 0, mem, 1),
			  -EINVAL);
	igt_assert_eq_s64(__pin(dev, PIN_TEST_FAST, 1U << 31, mem, 1), -EINVAL);
	igt_assert_eq_s64(__pin(dev, PIN_TEST_FAST, 0, mem, 1), 1);
	igt_assert_eq_s64(__pin(dev, PIN_TEST_FAST, 0, mem, 1), -EBUSY);
	igt_assert(!queryable(dev, 1));
	/* What was pinned to be read only is not written. */
	igt_assert_eq(pwrite(dev, &byte, 1, 0), -1);
	igt_assert_eq(errno, EPERM);
	igt_assert_eq(pread(dev, &byte, 1, 0), 1);
	igt_assert_eq(byte, 1);
	igt_assert_eq(pread(dev, &byte, 1, page_size()), 0);
	unpin(dev, PIN_TEST_CLEAN);

	undo_at_end(forbid_others);
	igt_assert_eq(chmod("/dev/pin_test", 0666), 0);
	igt_fork(child, 1) {
		igt_assert_eq(setresuid(4711, 4711, 4711), 0);
		igt_assert_eq(open("/dev/pin_test", O_RDWR), -1);
		igt_assert_eq(errno, EPERM);
	}
	igt_waitchildren();
	unmap(mem, pages(1));
}

static void each_call(const char *name, void (*test)(void), const char *text)
{
	for (current = pin_calls; current < pin_calls + ARRAY_SIZE(pin_calls);
	     current++) {
		igt_describe_f("%s, by %s", text, current->name);
		igt_subtest_f("%s-%s", name, current->name)
			pin_test(test);
	}
}

/* A long-term pin takes a page of its own instead of the zero page. */
static void each_call_zero(void)
{
	for (current = pin_calls; current < pin_calls + ARRAY_SIZE(pin_calls);
	     current++) {
		if (current->memfd || current->flags)
			continue;
		igt_describe_f("The zero page is returned, and not counted, by %s",
			       current->name);
		igt_subtest_f("count-zero-%s", current->name)
			pin_test(current->call == PIN_TEST_FAST_ONLY ?
				 test_zero_fast_only : test_zero);
	}
}

void pin_count_subtests(void)
{
	igt_describe("The test device itself: who may open it, and what it refuses");
	igt_subtest("device")
		pin_test(test_device);
	each_call("count-small", test_small,
		  "A pin is 1024 references on a small folio, and a second one 1024 more");
	each_call("count-large", test_large,
		  "A transparent huge page has an exact count: one for each page that is pinned "
		  "by address, one for each range of a memfd");
	each_call("count-hugetlb", test_hugetlb, "The same with hugetlb pages");
	each_call_zero();
	each_call("balance", test_balance,
		  "/proc/vmstat counts each pin and each release");
	each_call("dirty", test_dirty, "Only a release as dirty makes a folio dirty");
	igt_describe("A process that is killed leaves no pins");
	igt_subtest("killed")
		pin_test(test_killed);
}
