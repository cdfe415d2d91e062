// SPDX-License-Identifier: MIT
/*
 * What a pin on a part of a large folio costs: all of it, since it holds all of it.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "igt.h"
#include "mempinfd.h"
#include "phys_helper.h"

static char *huge_pages(size_t count)
{
	char *mem = anon_thp(MIB(2) * count);

	memset(mem, 1, MIB(2) * count);
	for (size_t i = 0; i < count; i++)
		igt_require_f(frame_flags(page_frame(mem + MIB(2) * i)) &
			      1ULL << KPF_THP, "no transparent huge pages\n");
	return mem;
}

/* Before a child has some, which cannot skip the subtest */
static void require_huge_pages(size_t count)
{
	unmap(huge_pages(count), MIB(2) * count);
}

/* A page of each of @count huge pages, side by side; the rest of them stays where it is. */
static char *scatter(char *mem, size_t count)
{
	char *target = anon_small(pages(count));

	for (size_t i = 0; i < count; i++)
		igt_assert(mremap(mem + MIB(2) * i + pages(3), page_size(),
				  page_size(), MREMAP_MAYMOVE | MREMAP_FIXED,
				  target + pages(i)) == target + pages(i));
	return target;
}

/* A child goes on as a user, and is root again to look at counters. */
static void become_user(void)
{
	igt_assert_eq(setresuid(USER, USER, 0), 0);
}

static int64_t pins_as_root(void)
{
	int64_t pins;

	igt_assert_eq(seteuid(0), 0);
	pins = pins_held();
	igt_assert_eq(seteuid(USER), 0);
	return pins;
}

static int64_t own_bytes(void)
{
	return owner_of(getuid(), getpid(), "mempinfd").bytes;
}

/* @mem: four huge pages */
static void check_costs(char *mem)
{
	int fd = open_mempinfd();

	pin(fd, mem, 1);
	igt_assert_eq_s64(own_bytes(), MIB(2));
	/* Once more, as another range, though it is the same one that is held. */
	pin(fd, mem + pages(7), pages(2));
	igt_assert_eq_s64(own_bytes(), MIB(4));
	unpin(fd, mem, 1);
	igt_assert_eq_s64(own_bytes(), MIB(2));
	unpin(fd, mem + pages(7), pages(2));
	igt_assert_eq_s64(own_bytes(), 0);

	pin(fd, mem + MIB(1), MIB(6));
	igt_assert_eq_s64(own_bytes(), MIB(8));
	unpin(fd, mem + MIB(1), MIB(6));
	pin(fd, mem, MIB(8));
	igt_assert_eq_s64(own_bytes(), MIB(8));
	close(fd);
	igt_assert_eq_s64(own_bytes(), 0);
}

static void test_thp(void)
{
	char *mem = huge_pages(4);
	int fd = open_mempinfd();

	check_costs(mem);
	unmap(mem, MIB(8));

	limit_users(8);
	require_huge_pages(5);
	igt_fork(child, 1) {
		int64_t pins;

		mem = huge_pages(5);
		become_user();
		for (size_t i = 0; i < 4; i++)
			pin(fd, mem + MIB(2) * i, 1);
		pins = pins_as_root();
		igt_assert_eq(__pin(fd, mem + MIB(8), 1), -ENOMEM);
		igt_assert_eq(__pin(fd, mem + pages(1), 1), -ENOMEM);
		igt_assert_eq_s64(pins_as_root(), pins);
		unpin(fd, mem, 1);
		pin(fd, mem + MIB(8), 1);
		for (size_t i = 1; i < 5; i++)
			unpin(fd, mem + MIB(2) * i, 1);

		/* All pages of it cost no more than one of them. */
		pin(fd, mem, MIB(8));
		igt_assert_eq(__pin(fd, mem + MIB(8), 1), -ENOMEM);
		unpin(fd, mem, MIB(8));
		igt_assert_eq(__pin(fd, mem + pages(1), MIB(8)), -ENOMEM);
	}
	igt_waitchildren();
	close(fd);
}

static void test_hugetlb(void)
{
	int memfd;
	char *mem;

	require_pinnable(HUGE_2M);
	memfd = unsealed_memfd(HUGE_2M, MIB(8));
	mem = map_fd(memfd, MIB(8));
	close(memfd);
	memset(mem, 1, MIB(8));
	check_costs(mem);
	unmap(mem, MIB(8));
}

static void test_scattered(void)
{
	char *mem = huge_pages(4), *target = scatter(mem, 4);
	int fd = open_mempinfd();

	pin(fd, target, pages(4));
	igt_assert_eq_s64(own_bytes(), MIB(8));
	unpin(fd, target, pages(4));
	igt_assert_eq_s64(own_bytes(), 0);
	unmap(target, pages(4));
	munmap(mem, MIB(8));

	limit_users(6);
	require_huge_pages(4);
	igt_fork(child, 1) {
		int64_t pins;

		mem = huge_pages(4);
		target = scatter(mem, 4);
		become_user();
		pins = pins_as_root();
		igt_assert_eq(__pin(fd, target, pages(4)), -ENOMEM);
		igt_assert_eq_s64(pins_as_root(), pins);
		pin(fd, target, pages(3));
		igt_assert_eq(__pin(fd, target + pages(3), 1), -ENOMEM);
		unpin(fd, target, pages(3));
	}
	igt_waitchildren();
	close(fd);
}

/* A page of a huge page, and then one that somebody else has to provide */
static void test_stalled(void)
{
	int fd = open_mempinfd(), sockets[2], uffd, status;
	int64_t pins = pins_held(), held, bytes;
	pid_t pid;

	require_uffd();
	require_huge_pages(1);
	make_sockets(sockets);
	own_child(pid) {
		char *mem = huge_pages(1), *target = anon_small(pages(2));

		close(sockets[0]);
		igt_assert(mremap(mem, page_size(), page_size(), MREMAP_MAYMOVE |
				  MREMAP_FIXED, target) == target);
		uffd = make_stall(target + page_size(), page_size());
		send_fd(sockets[1], uffd);
		__pin(fd, target, pages(2));
	}
	close(sockets[1]);
	uffd = receive_fd(sockets[0]);
	await_fault(uffd, sockets[0]);
	held = pins_held();
	bytes = charged(0);
	/* It would wait for ever. */
	igt_assert_eq(kill(pid, SIGKILL), 0);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq_s64(held, pins + 1);
	igt_assert_eq_s64(bytes, MIB(2));
	igt_assert_eq_s64(charged(0), 0);
	close(uffd);
	close(sockets[0]);
	close(fd);
}

/* A page of a huge page, and one of a memfd that is mapped three times behind it */
static void test_repeated(void)
{
	int fd = open_mempinfd(), memfd = unsealed_memfd(SHMEM, page_size());
	char *huge = huge_pages(1), *mem = anon_small(pages(4));
	int64_t pins = pins_held();

	igt_assert(mremap(huge, page_size(), page_size(), MREMAP_MAYMOVE | MREMAP_FIXED,
			  mem) == mem);
	for (size_t i = 1; i < 4; i++)
		igt_assert(mmap(mem + pages(i), page_size(), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, memfd, 0) == mem + pages(i));
	pin(fd, mem, pages(4));
	igt_assert_eq_s64(own_bytes(), MIB(2) + pages(3));
	igt_assert_eq_s64(pins_held(), pins + 4);
	unpin(fd, mem, pages(4));
	igt_assert_eq_s64(own_bytes(), 0);
	unmap(mem, pages(4));
	unmap(huge + page_size(), MIB(2) - page_size());
	close(memfd);
	close(fd);
}

void mempinfd_folio_subtests(void)
{
	igt_describe("A pinned page of a transparent huge page costs as much as that, each time, "
		     "and not more for all of its pages");
	igt_subtest("folio-thp")
		mempinfd_test(test_thp);
	igt_describe("So does one of a huge page of hugetlbfs");
	igt_subtest("folio-hugetlb")
		mempinfd_test(test_hugetlb);
	igt_describe("Pages of different huge pages, side by side, cost as much as all of them, "
		     "or cannot be pinned");
	igt_subtest("folio-scattered")
		mempinfd_test(test_scattered);
	igt_describe("A page that is mapped at several addresses costs as much as it is pinned "
		     "often");
	igt_subtest("folio-repeated")
		mempinfd_test(test_repeated);
	igt_describe("What a call has pinned is charged while it waits for user space");
	igt_subtest("folio-stalled")
		mempinfd_test(test_stalled);
}
