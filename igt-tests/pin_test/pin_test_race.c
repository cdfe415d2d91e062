// SPDX-License-Identifier: MIT
/*
 * pin_user_pages_fast_only() against what changes the page tables meanwhile: a page
 * that it has pinned stays the process's page, and no pin is left behind.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "igt.h"
#include "pin_test.h"
#include "swap_helper.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define NPAGES	HUGE_PAGES
#define LOOPS	3000
#define PINS	30
#define KSM	"/sys/kernel/mm/ksm/"

static char *mem;
static atomic_bool stop, pause_wanted, paused;
static unsigned int still_pinned;

/* What can be compared: the process's page with what the device sees, or only that */
enum contents {
	SAME,			/* all the time */
	SAME_IN_PAUSE,		/* only while nobody changes the page tables */
	WHAT_WAS_THERE,
};

/* These leave the contents as they are. */

static void share(void)
{
	int status;
	pid_t child = fork();

	igt_assert_lte(0, child);
	if (!child)
		_exit(0);
	igt_assert_eq(waitpid(child, &status, 0), child);
}

static void page_out(void)
{
	igt_assert_eq(madvise(mem, pages(NPAGES), MADV_PAGEOUT), 0);
}

static void merge(void)
{
	igt_assert_eq(madvise(mem, pages(NPAGES), MADV_MERGEABLE), 0);
	usleep(1000);
}

/* And these do not, or not for all who access it, but do so in the end. */

static void discard(void)
{
	igt_assert_eq(madvise(mem, pages(NPAGES), MADV_DONTNEED), 0);
	memset(mem, 1, pages(NPAGES));
}

static void map_anew(void)
{
	igt_assert_eq(munmap(mem, pages(NPAGES)), 0);
	igt_assert(mmap(mem, pages(NPAGES), PROT_READ | PROT_WRITE, MAP_PRIVATE |
			MAP_ANONYMOUS | MAP_FIXED, -1, 0) == mem);
	memset(mem, 1, pages(NPAGES));
}

static void protect(void)
{
	igt_assert_eq(mprotect(mem, pages(NPAGES), PROT_NONE), 0);
	igt_assert_eq(mprotect(mem, pages(NPAGES), PROT_READ), 0);
	igt_assert_eq(mprotect(mem, pages(NPAGES), PROT_READ | PROT_WRITE), 0);
}

static void *adversary_thread(void *arg)
{
	void (*const *adversary)(void) = arg;

	while (!stop) {
		(*adversary)();
		paused = pause_wanted;
		while (pause_wanted)
			sched_yield();
		paused = false;
	}
	return NULL;
}

static void begin_pause(void)
{
	pause_wanted = true;
	while (!paused)
		sched_yield();
}

static void end_pause(void)
{
	pause_wanted = false;
	while (paused)
		sched_yield();
}

/* What the process writes, the device sees, and the other way round. */
static void check_same(int dev, size_t first, size_t nr, bool write, int i)
{
	const size_t at[] = { 0, nr / 2, nr - 1 };

	for (size_t k = 0; k < ARRAY_SIZE(at); k++) {
		atomic_ullong *word = (atomic_ullong *)
				      (mem + pages(first + at[k]));

		*word = i;
		igt_assert_eq_u64(device_read(dev, at[k]), i);
		if (write) {
			device_write(dev, at[k], i + 1);
			igt_assert_eq_u64(*word, i + 1);
		}
		/* All the same again, so that they can be merged. */
		*word = 1;
	}
}

/* The process has other pages there by now. */
static void check_was_there(int dev, size_t nr)
{
	uint64_t filled;

	memset(&filled, 1, sizeof(filled));
	for (size_t k = 0; k < nr; k++)
		igt_assert_eq_u64(device_read(dev, k), filled);
}

/* What a notifier has let go is not read any more; but what is read is the same. */
static void check_same_or_gone(int dev, size_t first, size_t nr, int i)
{
	for (size_t k = 0; k < nr; k++) {
		atomic_ullong *word = (atomic_ullong *)(mem + pages(first + k));
		uint64_t seen;

		*word = i;
		if (pread(dev, &seen, sizeof(seen), pages(k)) == sizeof(seen)) {
			igt_assert_eq_u64(seen, i);
			still_pinned++;
		}
		*word = 1;
	}
}

/* @counter: one of /proc/vmstat, that says whether the adversary does anything; or none */
static void check_race(void (*adversary)(void), enum contents contents, unsigned int notify,
		       const char *counter)
{
	int64_t before = counter ? vmstat(counter) : 0;
	int dev = open_device(), pinned = 0;
	pthread_t thread;

	memset(mem, 1, pages(NPAGES));
	stop = false;
	still_pinned = 0;
	igt_assert_eq(pthread_create(&thread, NULL, adversary_thread,
				     &adversary), 0);
	/* At a bad moment for each of them, nothing is there to be pinned. */
	for (int i = 2; i < LOOPS || pinned < PINS || (counter && vmstat(counter) == before); i++) {
		size_t count = 1 + i % 70, first = i * 7 % (NPAGES - count);
		unsigned int flags = i % 2 ? PIN_TEST_WRITE : 0;
		int64_t nr;

		for (size_t k = 0; contents == SAME && k < count; k++)
			WRITE_ONCE(mem[pages(first + k)], 1);
		nr = __pin(dev, PIN_TEST_FAST_ONLY, flags | notify,
			   mem + pages(first), count);
		igt_assert(nr >= 0 && nr <= (int64_t)count);
		if (!nr)
			continue;
		if (contents != SAME)
			begin_pause();
		if (notify)
			check_same_or_gone(dev, first, nr, i);
		else if (contents == WHAT_WAS_THERE)
			check_was_there(dev, nr);
		else
			check_same(dev, first, nr, flags, i);
		if (contents != SAME)
			end_pause();
		igt_assert_eq(ioctl(dev, PIN_TEST_UNPIN, PIN_TEST_DIRTY), 0);
		pinned++;
	}
	stop = true;
	igt_assert_eq(pthread_join(thread, NULL), 0);
	igt_info("%d pins taken\n", pinned);
	/* Else nothing was compared. */
	igt_assert(!notify || still_pinned);
	close(dev);
	unmap(mem, pages(NPAGES));
}

static void test_fork(void)
{
	mem = anon_small(pages(NPAGES));
	check_race(share, SAME, 0, NULL);
}

/* Filled as it will be, to see what it is made of */
static char *huge_page(void)
{
	char *huge = anon_thp(HUGE);

	memset(huge, 1, HUGE);
	require_kind(THP, huge, NPAGES);
	return huge;
}

static void test_fork_thp(void)
{
	mem = huge_page();
	check_race(share, SAME, 0, NULL);
}

static void test_fork_watched(void)
{
	mem = anon_small(pages(NPAGES));
	check_race(share, SAME, PIN_TEST_NOTIFY, NULL);
}

static void test_swap_watched(void)
{
	swap_on(MIB(64));
	mem = anon_small(pages(NPAGES));
	check_race(page_out, SAME, PIN_TEST_NOTIFY, "pswpout");
	swap_off();
}

static void test_swap(void)
{
	swap_on(MIB(64));
	mem = anon_small(pages(NPAGES));
	check_race(page_out, SAME, 0, "pswpout");
	swap_off();
}

static void test_swap_thp(void)
{
	swap_on(MIB(64));
	mem = huge_page();
	check_race(page_out, SAME, 0, "pswpout");
	swap_off();
}

static void test_ksm(void)
{
	set(KSM "pages_to_scan", "10000");
	set(KSM "sleep_millisecs", "0");
	set(KSM "run", "1");
	mem = anon_small(pages(NPAGES));
	check_race(merge, SAME, 0, "cow_ksm");
}

static void test_discard(void)
{
	mem = anon_small(pages(NPAGES));
	check_race(discard, WHAT_WAS_THERE, 0, NULL);
}

static void test_munmap(void)
{
	mem = anon_small(pages(NPAGES));
	check_race(map_anew, WHAT_WAS_THERE, 0, NULL);
}

static void test_protect(void)
{
	mem = anon_small(pages(NPAGES));
	check_race(protect, SAME_IN_PAUSE, 0, NULL);
}

void pin_race_subtests(void)
{
	igt_describe("pin_user_pages_fast_only() during fork(): what it pins stays in its place, "
		     "and no pin is left behind");
	igt_subtest("race-fork")
		pin_test(test_fork);
	igt_describe("pin_user_pages_fast_only() during fork(), of a transparent huge page: what "
		     "it pins stays in its place, and no pin is left behind");
	igt_subtest("race-fork-thp")
		pin_test(test_fork_thp);
	igt_describe("pin_user_pages_fast_only() during swap-out: what it pins stays in its "
		     "place, and no pin is left behind");
	igt_subtest("race-swap")
		pin_test(test_swap);
	igt_describe("pin_user_pages_fast_only() during swap-out, of a transparent huge page: "
		     "what it pins stays in its place, and no pin is left behind");
	igt_subtest("race-swap-thp")
		pin_test(test_swap_thp);
	igt_describe("pin_user_pages_fast_watched() during fork(): what the notifier has not let "
		     "go is the process's");
	igt_subtest("race-watched-fork")
		pin_test(test_fork_watched);
	igt_describe("pin_user_pages_fast_watched() during swap-out: what the notifier has not let "
		     "go is the process's");
	igt_subtest("race-watched-swap")
		pin_test(test_swap_watched);
	igt_describe("pin_user_pages_fast_only() during merging of equal pages: what it pins "
		     "stays in its place, and no pin is left behind");
	igt_subtest("race-ksm")
		pin_test(test_ksm);
	igt_describe("pin_user_pages_fast_only() during MADV_DONTNEED: what it pins is what was "
		     "there, and no pin is left behind");
	igt_subtest("race-discard")
		pin_test(test_discard);
	igt_describe("pin_user_pages_fast_only() during munmap() and mmap(): what it pins is what "
		     "was there, and no pin is left behind");
	igt_subtest("race-munmap")
		pin_test(test_munmap);
	igt_describe("pin_user_pages_fast_only() during mprotect(): what it pins stays in its "
		     "place, and no pin is left behind");
	igt_subtest("race-mprotect")
		pin_test(test_protect);
}
