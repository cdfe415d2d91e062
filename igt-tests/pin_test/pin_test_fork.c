// SPDX-License-Identifier: MIT
/*
 * Pins and other processes: anonymous pages that fork() has shared or has to
 * copy, and the memory of a process that is not the caller.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "igt.h"
#include "pin_test.h"

#define NPAGES	8

/* A kind of private memory, in units that are shared and copied as a whole */
static const struct memory {
	const char *name;
	size_t unit;		/* pages, of which there are twice as many; 0: a huge page */
	char *(*get)(void);
} *memory;

static size_t unit(void)
{
	return memory->unit ?: HUGE_PAGES;
}

static size_t total(void)
{
	return 2 * unit();
}

static char *get_anon(void)
{
	return anon_small(pages(NPAGES));
}

static char *get_thp(void)
{
	char *mem = anon_thp(2 * HUGE);

	igt_require_f(count_flagged(mem, 2 * HUGE_PAGES, KPF_THP) == 2 * HUGE_PAGES,
		      "no transparent huge pages\n");
	igt_assert_eq(madvise(mem, 2 * HUGE, MADV_DONTNEED), 0);
	return mem;
}

/* The pool has room for copies. */
static char *get_hugetlb(void)
{
	int memfd = unsealed_memfd(HUGE_2M, 6 * HUGE);
	char *mem = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			 memfd, 0);

	igt_assert(mem != MAP_FAILED);
	close(memfd);
	return mem;
}

static const struct memory memories[] = {
	{ "anon", NPAGES / 2, get_anon },
	{ "thp", 0, get_thp },
	{ "hugetlb", 0, get_hugetlb },
};

static int64_t fast_only(unsigned int flags, const void *addr)
{
	return try_pin(PIN_TEST_FAST_ONLY, flags, addr, total());
}

static uint64_t *word(char *mem, size_t page)
{
	return (uint64_t *)(mem + pages(page));
}

static pid_t start_child(void)
{
	pid_t child = fork();

	igt_assert_lte(0, child);
	if (!child) {
		pause();
		_exit(0);
	}
	return child;
}

static void end_child(pid_t child)
{
	int status;

	kill(child, SIGKILL);
	igt_assert_eq(waitpid(child, &status, 0), child);
}

/*
 * As long as a page may be replaced by a write, it is not pinned: not for reading
 * either, where the device would go on with what nobody else sees.
 */
static void test_shared(void)
{
	char *mem = memory->get();
	pid_t child;

	fill(mem, 0, total(), 1);
	igt_assert_eq_s64(fast_only(0, mem), total());
	igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, mem), total());

	child = start_child();
	igt_assert_eq_s64(fast_only(0, mem), 0);
	igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, mem), 0);

	/* Now the first half is this process's own, as a copy. */
	fill(mem, 0, unit(), 2);
	igt_assert_eq_s64(fast_only(0, mem), unit());
	igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, mem), unit());

	/* And with the child gone, the rest is, as soon as a write has seen so. */
	end_child(child);
	igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, mem), unit());
	fill(mem, 0, total(), 3);
	igt_assert_eq_s64(fast_only(0, mem), total());
	igt_assert_eq_s64(fast_only(PIN_TEST_WRITE, mem), total());
	unmap(mem, pages(total()));
}

/*
 * In the parent nothing changes; the child has a copy. This is the first pin of the
 * process, of which fork() has to learn.
 */
static void check_pinned(char *mem, unsigned int call, unsigned int flags)
{
	int dev, status;
	pid_t child;

	fill(mem, 0, total(), 1);
	dev = pin(call, flags, mem, total());
	child = fork();
	igt_assert_lte(0, child);
	if (!child) {
		bool good = count_filled(mem, 0, total(), 1) == total();

		fill(mem, 0, total(), 4);
		_exit(!good);
	}
	fill(mem, 0, total(), 2);
	igt_assert_eq(device_count_filled(dev, total(), 2), total());
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert_eq(status, 0);
	igt_assert_eq(device_count_filled(dev, total(), 2), total());
	for (size_t i = 0; flags & PIN_TEST_WRITE && i < total(); i++) {
		device_write(dev, i, i);
		igt_assert_eq_u64(*word(mem, i), i);
	}
	unpin(dev, PIN_TEST_DIRTY);
	unmap(mem, pages(total()));
}

static const struct pin_call *call;

static void test_pinned(void)
{
	if (memory->get == get_hugetlb && call->flags & PIN_TEST_LONGTERM)
		require_pinnable(HUGE_2M);
	for (unsigned int flags = 0; flags <= PIN_TEST_WRITE; flags++) {
		char *mem = memory->get();

		igt_fork(child, 1)
			check_pinned(mem, call->call, call->flags | flags);
		igt_waitchildren();
		unmap(mem, pages(total()));
	}
}

/* The process that is pinned writes and reads its own memory. */
static void test_remote(void)
{
	char *mem = anon_small(pages(NPAGES)), byte;
	int turn[2], back[2], dev = open_device(), status;
	pid_t child;

	fill(mem, 0, NPAGES, 1);
	igt_assert_eq(pipe(turn), 0);
	igt_assert_eq(pipe(back), 0);
	child = fork();
	igt_assert_lte(0, child);
	if (!child) {
		bool good = true;

		fill(mem, 0, NPAGES, 2);
		if (write(back[1], "", 1) != 1 || read(turn[0], &byte, 1) != 1)
			_exit(1);
		for (size_t i = 0; i < NPAGES; i++)
			good = good && *word(mem, i) == 100 + i;
		fill(mem, 0, NPAGES, 3);
		_exit(!good);
	}
	igt_assert_eq(read(back[0], &byte, 1), 1);
	igt_assert_eq_s64(__pin_remote(dev, child, PIN_TEST_WRITE, mem, NPAGES),
			  NPAGES);
	igt_assert_eq(device_count_filled(dev, NPAGES, 2), NPAGES);
	for (size_t i = 0; i < NPAGES; i++)
		device_write(dev, i, 100 + i);
	igt_assert_eq(write(turn[1], "", 1), 1);
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert_eq(status, 0);

	/* The pages stay when the process is gone, and so does our memory. */
	igt_assert_eq(device_count_filled(dev, NPAGES, 3), NPAGES);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	unpin(dev, PIN_TEST_DIRTY);

	dev = open_device();
	igt_assert_eq_s64(__pin_remote(dev, child, 0, mem, NPAGES), -ESRCH);
	close(dev);
	for (int i = 0; i < 2; i++) {
		close(turn[i]);
		close(back[i]);
	}
	unmap(mem, pages(NPAGES));
}

/* What cannot be pinned ends it, or is refused at the start. */
static void test_short(void)
{
	char *mem = anon_small(pages(NPAGES));
	int64_t nr;

	fill(mem, 0, NPAGES, 1);
	unmap(mem + pages(NPAGES / 2), pages(NPAGES / 2));
	igt_assert_eq_s64(try_pin(call->call, call->flags, mem, NPAGES), NPAGES / 2);
	nr = try_pin(call->call, call->flags, mem + pages(NPAGES / 2), 1);
	igt_assert_eq_s64(nr, call->call == PIN_TEST_FAST_ONLY ? 0 : -EFAULT);
	igt_assert_eq(mprotect(mem, pages(NPAGES / 2), PROT_READ), 0);
	nr = try_pin(call->call, call->flags | PIN_TEST_WRITE, mem, 1);
	igt_assert_eq_s64(nr, call->call == PIN_TEST_FAST_ONLY ? 0 : -EFAULT);
	unmap(mem, pages(NPAGES / 2));
}

void pin_fork_subtests(void)
{
	for (memory = memories; memory < memories + ARRAY_SIZE(memories);
	     memory++) {
		igt_describe_f("Memory shared by fork() is not pinned by "
			       "pin_user_pages_fast_only() until a write has made a copy: %s",
			       memory->name);
		igt_subtest_f("fork-shared-%s", memory->name)
			pin_test(test_shared);
	}
	for (memory = memories; memory < memories + ARRAY_SIZE(memories);
	     memory++)
		for (call = pin_calls; !call->memfd; call++) {
			igt_describe_f("Of pinned memory fork() makes a copy for the child: %s, "
				       "pinned by %s", memory->name, call->name);
			igt_subtest_f("fork-pinned-%s-%s", memory->name,
				      call->name)
				pin_test(test_pinned);
		}
	for (call = pin_calls; !call->memfd; call++) {
		igt_describe_f("Where memory ends, so does the pin, by %s", call->name);
		igt_subtest_f("short-%s", call->name)
			pin_test(test_short);
	}
	igt_describe("Pins of another process's memory, which outlive it");
	igt_subtest("remote-process")
		pin_test(test_remote);
}
