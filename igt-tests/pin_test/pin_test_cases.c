// SPDX-License-Identifier: MIT
/*
 * The five cases that the kernel's documentation of pin_user_pages() tells apart,
 * each as its users do it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "igt.h"
#include "pin_test.h"
#include "swap_helper.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define NPAGES	64

static uint64_t *word(char *mem, size_t page)
{
	return (uint64_t *)(mem + pages(page));
}

/* Case 1: direct I/O, from and to a block device */

static void check_direct_io(char *mem)
{
	int disk = open(zram_on(MIB(16)), O_RDWR | O_DIRECT | O_CLOEXEC);
	struct pin_counts before, after;

	igt_assert_lte(0, disk);
	fill(mem, 0, NPAGES, 1);
	before = count_pins();
	igt_assert_eq_s64(pwrite(disk, mem, pages(NPAGES), 0), pages(NPAGES));
	memset(mem, 0, pages(NPAGES));
	igt_assert_eq_s64(pread(disk, mem, pages(NPAGES), 0), pages(NPAGES));
	after = count_pins();
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	close(disk);
	swap_off();

	igt_assert_eq_s64(after.acquired - before.acquired,
			  after.released - before.released);
	igt_require_f(kernel_since(6, 5),
		      "older kernels take references for direct I/O, not pins\n");
	igt_assert_eq_s64(after.acquired - before.acquired, 2 * NPAGES);
}

static void test_direct_io_anon(void)
{
	char *mem = anon_small(pages(NPAGES));

	check_direct_io(mem);
	unmap(mem, pages(NPAGES));
}

/* At the same time, the memfd is pinned for a device that reads what arrives. */
static void test_direct_io_memfd(void)
{
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES));
	char *mem = map_fd(memfd, pages(NPAGES));
	int dev = pin_memfd(PIN_TEST_MEMFD, memfd, 0, pages(NPAGES));

	check_direct_io(mem);
	igt_assert_eq(device_count_filled(dev, NPAGES, 1), NPAGES);
	unpin(dev, PIN_TEST_DIRTY);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

/* Case 2: long-term pins, under all that happens to memory meanwhile */

static void check_connected(int dev, char *mem, uint64_t seed)
{
	fill(mem, 0, NPAGES, seed);
	igt_assert_eq(device_count_filled(dev, NPAGES, seed), NPAGES);
	for (size_t i = 0; i < NPAGES; i++) {
		device_write(dev, i, seed + i);
		igt_assert_eq_u64(*word(mem, i), seed + i);
	}
}

static void check_longterm(int dev, char *mem)
{
	int status;
	pid_t child;

	check_connected(dev, mem, 1);

	swap_on(MIB(16));
	igt_assert_eq(madvise(mem, pages(NPAGES), MADV_PAGEOUT), 0);
	check_connected(dev, mem, 2);
	swap_off();

	igt_assert_eq(write_line("/proc/sys/vm/compact_memory", "1"), 0);
	check_connected(dev, mem, 3);

	igt_assert_eq(mprotect(mem, pages(NPAGES), PROT_READ), 0);
	igt_assert_eq(mprotect(mem, pages(NPAGES), PROT_READ | PROT_WRITE), 0);
	check_connected(dev, mem, 4);

	child = fork();
	igt_assert_lte(0, child);
	if (!child) {
		pause();
		_exit(0);
	}
	check_connected(dev, mem, 5);
	kill(child, SIGKILL);
	igt_assert_eq(waitpid(child, &status, 0), child);
	check_connected(dev, mem, 6);
}

static void test_longterm_anon(void)
{
	char *mem = anon_small(pages(NPAGES));
	int dev = pin(PIN_TEST_FAST, PIN_TEST_LONGTERM | PIN_TEST_WRITE, mem,
		      NPAGES);

	check_longterm(dev, mem);
	unpin(dev, PIN_TEST_DIRTY);
	unmap(mem, pages(NPAGES));
}

static void test_longterm_memfd(void)
{
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES));
	char *mem = map_fd(memfd, pages(NPAGES));
	int dev = pin_memfd(PIN_TEST_MEMFD, memfd, 0, pages(NPAGES));

	check_longterm(dev, mem);
	unpin(dev, PIN_TEST_DIRTY);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

/* Case 3: an MMU notifier unpins when the mapping changes */

static const struct change {
	const char *name;
	void (*make)(char *mem);
	size_t left;		/* pages that are mapped afterwards */
} *change;

static void change_munmap(char *mem)
{
	unmap(mem, pages(NPAGES));
}

static void change_unmap_last(char *mem)
{
	unmap(mem + pages(NPAGES - 1), pages(1));
}

static void change_discard(char *mem)
{
	igt_assert_eq(madvise(mem, pages(NPAGES), MADV_DONTNEED), 0);
}

static void change_protect(char *mem)
{
	igt_assert_eq(mprotect(mem, pages(NPAGES), PROT_READ), 0);
}

static void change_fork(char *mem)
{
	int status;
	pid_t child = fork();

	(void)mem;
	igt_assert_lte(0, child);
	if (!child)
		_exit(0);
	igt_assert_eq(waitpid(child, &status, 0), child);
}

static const struct change changes[] = {
	{ "munmap", change_munmap, 0 },
	{ "munmap-part", change_unmap_last, NPAGES - 1 },
	{ "discard", change_discard, NPAGES },
	{ "mprotect", change_protect, NPAGES },
	{ "fork", change_fork, NPAGES },
};

static void test_notifier(void)
{
	char *mem = anon_small(pages(NPAGES)), *other = anon_small(pages(NPAGES));
	int64_t pins = pins_held();
	int dev;

	fill(mem, 0, NPAGES, 1);
	fill(other, 0, NPAGES, 1);
	dev = pin(PIN_TEST_FAST_ONLY, PIN_TEST_NOTIFY | PIN_TEST_WRITE, mem, NPAGES);
	igt_assert_eq(device_count_filled(dev, NPAGES, 1), NPAGES);
	igt_assert_eq_s64(pins_held(), pins + NPAGES);

	/* What happens elsewhere does not matter. */
	unmap(other, pages(NPAGES));
	igt_assert_eq_s64(pins_held(), pins + NPAGES);
	igt_assert_eq(device_count_filled(dev, NPAGES, 1), NPAGES);

	change->make(mem);
	igt_assert(!queryable(dev, 0));
	igt_assert_eq_s64(pins_held(), pins);
	unpin(dev, PIN_TEST_CLEAN);

	/* And once more, for what is there now. */
	if (change->left) {
		dev = pin(PIN_TEST_FAST, PIN_TEST_NOTIFY, mem, change->left);
		igt_assert_eq_u64(device_read(dev, 0), *word(mem, 0));
		unpin(dev, PIN_TEST_CLEAN);
		unmap(mem, pages(change->left));
	}
}

/* A process that is gone has no mappings. */
static void test_notifier_exit(void)
{
	int dev = open_device();
	int64_t pins = pins_held();

	igt_fork(child, 1) {
		char *mem = anon_small(pages(NPAGES));

		fill(mem, 0, NPAGES, 1);
		igt_assert_eq_s64(__pin(dev, PIN_TEST_FAST, PIN_TEST_NOTIFY, mem, NPAGES),
				  NPAGES);
	}
	igt_waitchildren();
	igt_assert(!queryable(dev, 0));
	igt_assert_eq_s64(pins_held(), pins);
	unpin(dev, PIN_TEST_CLEAN);
}

/* Case 4: who only wants the page itself, such as a pipe, takes a reference */

static void test_struct_page(void)
{
	struct pin_test_page before, during, after;
	char *mem = anon_small(page_size());
	struct iovec iov = { .iov_base = mem, .iov_len = page_size() };
	struct pin_counts counts;
	int dev, fds[2];
	char byte;

	igt_assert_eq(pipe(fds), 0);
	mem[0] = 42;
	/* A new page is held until it is on an LRU list. */
	drop_caches();
	dev = pin(PIN_TEST_FAST, 0, mem, 1);
	before = query(dev, 0);
	counts = count_pins();
	igt_assert_eq_s64(vmsplice(fds[1], &iov, 1, 0), page_size());
	igt_assert_eq_s64(count_pins().acquired, counts.acquired);
	during = query(dev, 0);
	igt_assert_eq(during.refs, before.refs + 1);
	igt_assert_eq(during.pins, before.pins);

	/* It is the page, not a copy. */
	mem[0] = 43;
	igt_assert_eq(read(fds[0], &byte, 1), 1);
	igt_assert_eq(byte, 43);
	close(fds[0]);
	close(fds[1]);
	after = query(dev, 0);
	igt_assert_eq(after.refs, before.refs);
	igt_assert_eq_s64(count_pins().released, counts.released);
	unpin(dev, PIN_TEST_CLEAN);
	unmap(mem, page_size());
}

/* Case 5: the kernel writes to the data; it is there later */

static void write_pages(int dev)
{
	for (size_t i = 0; i < NPAGES; i++)
		device_write(dev, i, 1000 + i);
}

static void check_written(char *mem)
{
	for (size_t i = 0; i < NPAGES; i++)
		igt_assert_eq_u64(*word(mem, i), 1000 + i);
}

static void test_write_anon(void)
{
	char *mem = anon_small(pages(NPAGES));
	int dev = pin(PIN_TEST_SLOW, PIN_TEST_WRITE, mem, NPAGES);
	int64_t enough = vmstat("pswpout") + NPAGES / 2 + 1;

	write_pages(dev);
	unpin(dev, PIN_TEST_DIRTY);
	swap_on(MIB(16));
	/* What another CPU has at hand stays the first time. */
	for (int i = 0; i < 100 && vmstat("pswpout") < enough; i++)
		igt_assert_eq(madvise(mem, pages(NPAGES), MADV_PAGEOUT), 0);
	igt_assert_lte(enough, vmstat("pswpout"));
	check_written(mem);
	swap_off();
	unmap(mem, pages(NPAGES));
}

/* The file was only read before, and is mapped by nobody when it is written. */
static void check_write_memfd(unsigned int call)
{
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES)), dev;
	char *mem = map_fd(memfd, pages(NPAGES));

	igt_assert_eq(count_zero(mem, NPAGES), NPAGES);
	unmap(mem, pages(NPAGES));
	dev = pin_memfd(call, memfd, 0, pages(NPAGES));
	write_pages(dev);
	unpin(dev, PIN_TEST_DIRTY);
	drop_caches();
	mem = map_fd(memfd, pages(NPAGES));
	check_written(mem);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

static void test_write_memfd(void)
{
	check_write_memfd(PIN_TEST_MEMFD);
}

static void test_write_memfd_folios(void)
{
	check_write_memfd(PIN_TEST_MEMFD_FOLIOS);
}

/* The pages of a file on a disk: they have to get there. */
static void test_write_file(void)
{
	int disk = open(zram_on(MIB(16)), O_RDWR | O_CLOEXEC), dev;
	char *mem;

	igt_assert_lte(0, disk);
	mem = map_fd(disk, pages(NPAGES));
	dev = pin(PIN_TEST_FAST, PIN_TEST_WRITE, mem, NPAGES);
	/* Written back once, so that only the pin makes them dirty again. */
	igt_assert_eq(fsync(disk), 0);
	write_pages(dev);
	unmap(mem, pages(NPAGES));
	unpin(dev, PIN_TEST_DIRTY);
	igt_assert_eq(fsync(disk), 0);
	igt_assert_eq(posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED), 0);
	drop_caches();
	mem = map_fd(disk, pages(NPAGES));
	check_written(mem);
	unmap(mem, pages(NPAGES));
	close(disk);
	swap_off();
}

void pin_case_subtests(void)
{
	igt_describe("Case 1: direct I/O pins its buffer, as long as it takes");
	igt_subtest("case-direct-io-anon")
		pin_test(test_direct_io_anon);
	igt_describe("Case 1, with a memfd that a device has pinned meanwhile");
	igt_subtest("case-direct-io-memfd")
		pin_test(test_direct_io_memfd);
	igt_describe("Case 2: the device and the process see the same memory through swap-out, "
		     "compaction, mprotect() and fork()");
	igt_subtest("case-longterm-anon")
		pin_test(test_longterm_anon);
	igt_describe("Case 2, with a memfd");
	igt_subtest("case-longterm-memfd")
		pin_test(test_longterm_memfd);
	for (change = changes; change < changes + ARRAY_SIZE(changes); change++) {
		igt_describe_f("Case 3: an MMU notifier unpins at once, upon %s", change->name);
		igt_subtest_f("case-notifier-%s", change->name)
			pin_test(test_notifier);
	}
	igt_describe("Case 3: an MMU notifier unpins at once, upon the end of the process");
	igt_subtest("case-notifier-exit")
		pin_test(test_notifier_exit);
	igt_describe("Case 4: a pipe takes a reference on a page, not a pin");
	igt_subtest("case-struct-page")
		pin_test(test_struct_page);
	igt_describe("Case 5: what the kernel writes to pinned pages survives swap-out");
	igt_subtest("case-write-anon")
		pin_test(test_write_anon);
	igt_describe("Case 5: in a memfd that nobody else has written it survives reclaim");
	igt_subtest("case-write-memfd")
		pin_test(test_write_memfd);
	igt_describe("The same by memfd_pin_folios()");
	igt_subtest("case-write-memfd-folios")
		pin_test(test_write_memfd_folios);
	igt_describe("Case 5: in a file's pages that were clean it gets to the disk");
	igt_subtest("case-write-file")
		pin_test(test_write_file);
}
