// SPDX-License-Identifier: MIT
/*
 * What the tests of the pin functions share: calls by way of /dev/pin_test.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "igt.h"
#include "pin_test_helper.h"

const struct pin_call pin_calls[7] = {
	{ "fast", PIN_TEST_FAST, 0, false },
	{ "fast-longterm", PIN_TEST_FAST, PIN_TEST_LONGTERM, false },
	{ "fast-only", PIN_TEST_FAST_ONLY, 0, false },
	{ "slow", PIN_TEST_SLOW, 0, false },
	{ "remote", PIN_TEST_REMOTE, 0, false },
	{ "memfd", PIN_TEST_MEMFD, 0, true },
	{ "memfd-folios", PIN_TEST_MEMFD_FOLIOS, 0, true },
};

void pin_test(void (*test)(void))
{
	int64_t pins;
	int fds;

	/* In case the last subtest failed halfway. */
	restore_settings();
	pins = pins_held();
	fds = count_open_fds();

	test();

	restore_settings();
	igt_assert_eq(count_open_fds(), fds);
	igt_assert_eq_s64(pins_held(), pins);
}

int open_device(void)
{
	int dev = open("/dev/pin_test", O_RDWR | O_CLOEXEC);

	igt_assert_f(dev >= 0, "/dev/pin_test: %s\n", strerror(errno));
	return dev;
}

static int64_t pin_range(int dev, const struct pin_test_range *range)
{
	struct pin_test_pin arg = { .range = *range };

	return ioctl(dev, PIN_TEST_PIN, &arg) ? -errno : (int64_t)arg.nr;
}

static int64_t pin_addr(int dev, unsigned int call, unsigned int flags,
			const void *addr, int64_t nr_pages, pid_t pid)
{
	struct pin_test_range range = {
		.call = call,
		.flags = flags,
		.start = (uintptr_t)addr,
		.size = nr_pages * (int64_t)page_size(),
		.fd = pid,
	};

	return pin_range(dev, &range);
}

int64_t __pin(int dev, unsigned int call, unsigned int flags, const void *addr,
	      int64_t nr_pages)
{
	return pin_addr(dev, call, flags, addr, nr_pages, getpid());
}

int64_t __pin_remote(int dev, pid_t pid, unsigned int flags, const void *addr,
		     int64_t nr_pages)
{
	return pin_addr(dev, PIN_TEST_REMOTE, flags, addr, nr_pages, pid);
}

int64_t __pin_memfd(int dev, unsigned int call, int memfd, uint64_t offset,
		    int64_t size)
{
	struct pin_test_range range = {
		.call = call,
		.start = offset,
		.size = size,
		.fd = memfd,
	};

	return pin_range(dev, &range);
}

int pin(unsigned int call, unsigned int flags, const void *addr, size_t count)
{
	int dev = open_device();

	igt_assert_eq_s64(__pin(dev, call, flags, addr, count), count);
	return dev;
}

int pin_memfd(unsigned int call, int memfd, uint64_t offset, size_t size)
{
	int dev = open_device();
	int64_t nr = __pin_memfd(dev, call, memfd, offset, size);

	igt_assert_f(nr > 0, "pin of a memfd: %s\n", strerror(-nr));
	return dev;
}

int pin_by(const struct pin_call *call, unsigned int flags, int memfd,
	   const char *map, size_t first, size_t count)
{
	if (call->memfd)
		return pin_memfd(call->call, memfd, pages(first), pages(count));
	return pin(call->call, call->flags | flags, map + pages(first), count);
}

int64_t try_pin(unsigned int call, unsigned int flags, const void *addr,
		int64_t nr_pages)
{
	int dev = open_device();
	int64_t nr = __pin(dev, call, flags, addr, nr_pages);

	close(dev);
	return nr;
}

void unpin(int dev, unsigned int how)
{
	igt_assert_eq(ioctl(dev, PIN_TEST_UNPIN, how), 0);
	close(dev);
}

struct pin_test_page query(int dev, unsigned int entry)
{
	struct pin_test_page arg = { .entry = entry };

	igt_assert_eq(ioctl(dev, PIN_TEST_QUERY, &arg), 0);
	return arg;
}

bool queryable(int dev, unsigned int entry)
{
	struct pin_test_page arg = { .entry = entry };

	return !ioctl(dev, PIN_TEST_QUERY, &arg);
}

struct pin_test_block query_block(int memfd, size_t page)
{
	struct pin_test_block arg = { .fd = memfd, .index = page };
	int dev = open_device();

	igt_assert_eq(ioctl(dev, PIN_TEST_BLOCK, &arg), 0);
	close(dev);
	return arg;
}

uint64_t device_read(int dev, size_t page)
{
	uint64_t value;

	igt_assert_eq(pread(dev, &value, sizeof(value), pages(page)),
		      sizeof(value));
	return value;
}

void device_write(int dev, size_t page, uint64_t value)
{
	igt_assert_eq(pwrite(dev, &value, sizeof(value), pages(page)),
		      sizeof(value));
}

size_t device_count_filled(int dev, size_t count, uint64_t seed)
{
	void *data = malloc(pages(count));
	size_t found;

	igt_assert(data);
	igt_assert_eq_s64(pread(dev, data, pages(count), 0), pages(count));
	found = count_filled(data, 0, count, seed);
	free(data);
	return found;
}

struct pin_counts count_pins(void)
{
	return (struct pin_counts) {
		.acquired = vmstat("nr_foll_pin_acquired"),
		.released = vmstat("nr_foll_pin_released"),
	};
}
