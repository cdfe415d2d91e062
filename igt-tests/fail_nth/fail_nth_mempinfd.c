// SPDX-License-Identifier: MIT
/*
 * /dev/mempinfd without memory for one of its allocations.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "fail_nth.h"
#include "igt.h"
#include "mempinfd_helper.h"

static const struct content *current;
static bool private;
static int mempinfd;
static struct mempinfd_range range;
static void *mem;

static size_t size(void)
{
	return pages(content_pages(current));
}

/* Of a file, or the program's own, which are holes until they are touched, too. */
static void map_memory(void)
{
	int memfd;

	if (private) {
		mem = current->backing == THP ? anon_thp(size()) : anon_small(size());
		if (!current->holes)
			fill(mem, 0, content_pages(current), 1);
	} else {
		memfd = content_memfd(current);
		mem = map_fd(memfd, size());
		close(memfd);
	}
	range.addr = (uintptr_t)mem;
	range.size = size();
}

static void check_memory(void)
{
	check_content(current, mem);
}

static int call(unsigned long cmd)
{
	return ioctl(mempinfd, cmd, &range) ? -errno : 0;
}

/* MEMPINFD_PIN */

static int attempt_pin(void)
{
	return call(MEMPINFD_PIN);
}

static void finish_pin(int result)
{
	igt_assert_eq(result, 0);
	unpin(mempinfd, mem, size());
	check_memory();
	unmap(mem, size());
}

static void test_pin(void)
{
	mempinfd = open_mempinfd();
	try_all(&(struct trial) {
		.prepare = map_memory,
		.attempt = attempt_pin,
		.check = check_memory,
		.finish = finish_pin,
	});
	close(mempinfd);
}

static void test_pin_file(void)
{
	private = false;
	test_pin();
}

static void test_pin_anon(void)
{
	private = true;
	test_pin();
}

/* MEMPINFD_UNPIN */

static void prepare_unpin(void)
{
	map_memory();
	pin(mempinfd, mem, size());
}

static int attempt_unpin(void)
{
	return call(MEMPINFD_UNPIN);
}

static void finish_unpin(int result)
{
	igt_assert_eq(result, 0);
	check_memory();
	unmap(mem, size());
}

static void test_unpin(void)
{
	private = false;
	mempinfd = open_mempinfd();
	try_all(&(struct trial) {
		.prepare = prepare_unpin,
		.attempt = attempt_unpin,
		.finish = finish_unpin,
		.never_fails = true,
	});
	close(mempinfd);
}

/* Closing with all of it still pinned */

static void prepare_close(void)
{
	private = false;
	mempinfd = open_mempinfd();
	prepare_unpin();
}

static int attempt_close(void)
{
	return close(mempinfd) ? -errno : 0;
}

static void test_close(void)
{
	try_all(&(struct trial) {
		.prepare = prepare_close,
		.attempt = attempt_close,
		.finish = finish_unpin,
		.never_fails = true,
	});
}

/* Opening */

static void prepare_open(void)
{
}

static int attempt_open(void)
{
	int fd = open("/dev/mempinfd", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void finish_open(int result)
{
	close(result);
}

static void test_open(void)
{
	try_all(&(struct trial) {
		.prepare = prepare_open,
		.attempt = attempt_open,
		.finish = finish_open,
	});
}

void fail_nth_mempinfd_subtests(void)
{
	igt_describe("Opening /dev/mempinfd");
	igt_subtest("mempinfd-open")
		mempinfd_test(test_open);
	for (current = contents; current < contents + ARRAY_SIZE(contents); current++) {
		igt_describe_f("MEMPINFD_PIN of a mapping of a memfd of %s", current->name);
		igt_subtest_f("mempinfd-pin-%s", current->name)
			mempinfd_test(test_pin_file);
		if (current->backing != HUGE_2M) {
			igt_describe_f("MEMPINFD_PIN of the program's own memory, of %s",
				       current->name);
			igt_subtest_f("mempinfd-pin-anon-%s", current->name)
				mempinfd_test(test_pin_anon);
		}
		igt_describe_f("MEMPINFD_UNPIN of a mapping of a memfd of %s releases all of it",
			       current->name);
		igt_subtest_f("mempinfd-unpin-%s", current->name)
			mempinfd_test(test_unpin);
		igt_describe("So does closing the descriptor");
		igt_subtest_f("mempinfd-close-%s", current->name)
			mempinfd_test(test_close);
	}
}
