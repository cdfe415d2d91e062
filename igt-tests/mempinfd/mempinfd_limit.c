// SPDX-License-Identifier: MIT
/*
 * Who pays for the pins, and how many they may have.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "igt.h"
#include "mempinfd.h"
#include "phys_helper.h"

/* Pages in the limit of 1 MiB that the tests set. */
#define LIMIT		(MIB(1) / page_size())

static size_t count_present(char *mem, size_t count)
{
	unsigned char present[count];
	size_t found = 0;

	igt_assert_eq(mincore(mem, pages(count), present), 0);
	for (size_t i = 0; i < count; i++)
		found += present[i] & 1;
	return found;
}

/* In one range and in several, through one open file and through another. */
static void test_limit(void)
{
	int fd = open_mempinfd(), other = open_mempinfd();

	limit_users(1);
	igt_fork(child, 1) {
		char *mem = anon_small(pages(2 * LIMIT));

		become(USER);
		igt_assert_eq(__pin(fd, mem, pages(LIMIT + 1)), -ENOMEM);
		igt_assert_eq(__pin(fd, mem, pages(LIMIT) + 1), -ENOMEM);
		pin(fd, mem, pages(LIMIT));
		igt_assert_eq(__pin(fd, mem + pages(LIMIT), 1), -ENOMEM);
		igt_assert_eq(__pin(other, mem + pages(LIMIT), 1), -ENOMEM);
		/* The same pages once more count once more. */
		igt_assert_eq(__pin(other, mem, 1), -ENOMEM);

		unpin(fd, mem, pages(LIMIT));
		for (size_t i = 0; i < LIMIT; i++)
			pin(i % 2 ? fd : other, mem + pages(2 * i), 1);
		igt_assert_eq(__pin(fd, mem + pages(1), 1), -ENOMEM);
		unpin(other, mem + pages(4), 1);
		pin(fd, mem + pages(1), 1);
		igt_assert_eq(__pin(fd, mem + pages(4), 1), -ENOMEM);
	}
	igt_waitchildren();
	igt_assert_eq_s64(charged(USER), pages(LIMIT));
	close(fd);
	close(other);
	igt_assert_eq_s64(charged(USER), 0);
}

/* What is too much is refused before a page of it is touched. */
static void test_limit_before_work(void)
{
	int64_t acquired = vmstat("nr_foll_pin_acquired");
	int fd = open_mempinfd();

	limit_users(1);
	igt_fork(child, 1) {
		char *mem = anon(pages(LIMIT + 1));

		become(USER);
		igt_assert_eq(__pin(fd, mem, pages(LIMIT + 1)), -ENOMEM);
		igt_assert_eq(count_present(mem, LIMIT + 1), 0);
	}
	igt_waitchildren();
	igt_assert_eq_s64(vmstat("nr_foll_pin_acquired"), acquired);
	close(fd);
}

/* All of a user's processes have one limit, each user has its own. */
static void test_limit_per_user(void)
{
	int fd = open_mempinfd();

	limit_users(1);
	igt_fork(child, 1) {
		become(USER);
		pin(fd, anon_small(pages(LIMIT - 1)), pages(LIMIT - 1));
	}
	igt_waitchildren();
	igt_fork(child, 1) {
		char *mem = anon_small(pages(2));

		become(USER);
		igt_assert_eq(__pin(fd, mem, pages(2)), -ENOMEM);
		pin(fd, mem, pages(1));
	}
	igt_waitchildren();
	igt_fork(child, 1) {
		become(OTHER);
		pin(fd, anon_small(pages(LIMIT)), pages(LIMIT));
	}
	igt_waitchildren();
	igt_assert_eq_s64(charged(USER), pages(LIMIT));
	igt_assert_eq_s64(charged(OTHER), pages(LIMIT));
	close(fd);
	igt_assert_eq_s64(charged(USER), 0);
	igt_assert_eq_s64(charged(OTHER), 0);
}

/* Root is not limited, but counted. */
static void test_unlimited(void)
{
	char *mem = anon(MIB(2));
	int fd = open_mempinfd();

	limit_users(1);
	pin(fd, mem, MIB(2));
	igt_assert_eq_s64(charged(0), MIB(2));
	unpin(fd, mem, MIB(2));
	igt_assert_eq_s64(charged(0), 0);
	unmap(mem, MIB(2));
	close(fd);
}

/* A call that fails for another reason costs nothing either. */
static void test_charge_undone(void)
{
	int fd = open_mempinfd();

	limit_users(1);
	igt_fork(child, 1) {
		char *mem = anon_small(pages(LIMIT));

		unmap(mem + pages(LIMIT - 1), pages(1));
		become(USER);
		for (int i = 0; i < 3; i++)
			igt_assert_eq(__pin(fd, mem, pages(LIMIT)), -EFAULT);
		pin(fd, mem, pages(LIMIT - 1));
		igt_assert_eq(__pin(fd, mem, pages(1)), -EEXIST);
		unpin(fd, mem, pages(LIMIT - 1));
	}
	igt_waitchildren();
	igt_assert_eq_s64(charged(USER), 0);
	close(fd);
}

/* Strict mode: RLIMIT_MEMLOCK is of all that the user has locked so. */
static void test_strict(void)
{
	struct rlimit limit = { .rlim_cur = pages(8), .rlim_max = pages(8) };
	int fd = open_mempinfd();

	set(STRICT, "Y");
	igt_fork(child, 1) {
		char *mem = anon_small(pages(16));

		igt_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
		become(USER);
		igt_assert_eq(__pin(fd, mem, pages(9)), -ENOMEM);
		pin(fd, mem, pages(8));
		igt_assert_eq(__pin(fd, mem + pages(8), 1), -ENOMEM);
		unpin(fd, mem, pages(8));
		pin(fd, mem + pages(8), pages(8));
	}
	igt_waitchildren();
	/* The charge is the user's, not the process's. */
	igt_fork(child, 1) {
		char *mem = anon(page_size());

		igt_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
		become(USER);
		igt_assert_eq(__pin(fd, mem, 1), -ENOMEM);
	}
	igt_waitchildren();
	close(fd);
	/* All of it is given back. */
	fd = open_mempinfd();
	igt_fork(child, 1) {
		igt_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
		become(USER);
		pin(fd, anon_small(pages(8)), pages(8));
	}
	igt_waitchildren();
	close(fd);
}

static struct owner own_pins(void)
{
	return owner_of(getuid(), getpid(), "mempinfd");
}

static void test_shown(void)
{
	char *mem = anon_small(MIB(4));
	int fd = open_mempinfd();

	igt_assert_eq_s64(own_pins().bytes, 0);
	pin(fd, mem, pages(100));
	igt_assert_eq_s64(own_pins().bytes, pages(100));
	igt_assert_eq_s64(own_pins().folios, 100);
	unpin(fd, mem, pages(100));
	igt_assert_eq_s64(own_pins().bytes, 0);

	/* A large folio is one, however many of its pages are pinned. */
	unmap(mem, MIB(4));
	mem = anon_thp(MIB(4));
	memset(mem, 1, MIB(4));
	igt_require_f(frame_flags(page_frame(mem)) &
		      frame_flags(page_frame(mem + MIB(2))) & 1ULL << KPF_THP,
		      "no transparent huge pages\n");
	pin(fd, mem + page_size(), MIB(4) - page_size());
	igt_assert_eq_s64(own_pins().bytes, MIB(4));
	igt_assert_eq_s64(own_pins().folios, 2);
	close(fd);
	unmap(mem, MIB(4));
}

void mempinfd_limit_subtests(void)
{
	igt_describe("ENOMEM for more than user_limit_mb in all, with nothing pinned");
	igt_subtest("limit")
		mempinfd_test(test_limit);
	igt_describe("Too much is refused before any page is touched");
	igt_subtest("limit-before-work")
		mempinfd_test(test_limit_before_work);
	igt_describe("The processes of a user share a limit, users do not");
	igt_subtest("limit-per-user")
		mempinfd_test(test_limit_per_user);
	igt_describe("What root pins is counted, but not limited");
	igt_subtest("limit-not-for-root")
		mempinfd_test(test_unlimited);
	igt_describe("A call that fails costs nothing");
	igt_subtest("limit-failed-pin")
		mempinfd_test(test_charge_undone);
	igt_describe("In strict mode RLIMIT_MEMLOCK counts, and the charge is given back");
	igt_subtest("limit-strict")
		mempinfd_test(test_strict);
	igt_describe("debugfs shows who has pinned how much, in bytes and folios");
	igt_subtest("limit-shown")
		mempinfd_test(test_shown);
}
