// SPDX-License-Identifier: MIT
/*
 * Folios that somebody else is busy with. In ZONE_MOVABLE those that are held cannot
 * be moved: a pin fails in bounded time, leaves nothing pinned, and works again
 * later. Those that are locked may be about to leave their file: a pin waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup_helper.h"
#include "igt.h"
#include "memfd_pin.h"
#include "phys_helper.h"
#include "pin_test_helper.h"
#include "process_helper.h"
#include "swap_helper.h"
#include "udmabuf_helper.h"

#define SIZE		MIB(4)
#define NPAGES		(SIZE / page_size())
#define HELD		(HUGE + pages(20))	/* in the second huge page */

static char *fill_movable(int memfd, enum backing backing)
{
	char *mem = map_fd(memfd, SIZE);
	size_t found;

	require_movable();
	require_pinnable(backing);
	fill(mem, 0, NPAGES, 1);
	require_kind(backing, mem, NPAGES);
	found = count_movable(mem, NPAGES);
	igt_require_f(found == NPAGES, "only %zu of %zu pages in ZONE_MOVABLE\n",
		      found, NPAGES);
	return mem;
}

/* Nothing is pinned, not even what could be moved. */
static void check_refused(int dev, int memfd, const void *mem)
{
	int64_t pins = pins_held();

	igt_assert_eq(__create(dev, memfd, 0, SIZE), -ENOMEM);
	igt_assert_eq_s64(pins_held(), pins);
	igt_assert_eq(__create(dev, memfd, HELD, page_size()), -ENOMEM);
	igt_assert_eq_s64(pins_held(), pins);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
}

static void check_works(int dev, int memfd, void *mem)
{
	int dmabuf = create(dev, memfd, 0, SIZE);
	void *buf = map_fd(dmabuf, SIZE);

	igt_assert_eq(count_movable(mem, NPAGES), 0);
	igt_assert_eq(count_shared(buf, mem, NPAGES), NPAGES);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	unmap(buf, SIZE);
	close(dmabuf);
}

/* A pipe takes a reference to a page that is spliced into it. */
static void check_pipe(int dev, enum backing backing)
{
	int memfd = sealed_memfd(backing, SIZE), pipefd[2];
	char *mem = fill_movable(memfd, backing);
	struct iovec iov = { mem + HELD, page_size() };

	igt_assert_eq(pipe2(pipefd, O_CLOEXEC), 0);
	igt_assert_eq(vmsplice(pipefd[1], &iov, 1, 0), page_size());
	check_refused(dev, memfd, mem);
	close(pipefd[0]);
	close(pipefd[1]);
	check_works(dev, memfd, mem);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_pipe_shmem(int dev)
{
	check_pipe(dev, SHMEM);
}

static void test_pipe_thp(int dev)
{
	check_pipe(dev, THP);
}

static void test_pipe_hugetlb(int dev)
{
	check_pipe(dev, HUGE_2M);
}

/* Let the group read from the device at so many bytes per second; 2 is the least. */
static int limit_reads(int disk, const char *rate)
{
	struct stat st;
	char line[64];

	igt_assert_eq(fstat(disk, &st), 0);
	snprintf(line, sizeof(line), "%u:%u rbps=%s", major(st.st_rdev),
		 minor(st.st_rdev), rate);
	return cgroup_write("io.max", line);
}

/*
 * Direct I/O that does not come to an end holds its pages, since 6.5 by pins of
 * the kind that is not for long.
 */
static void check_direct_io(int dev, enum backing backing)
{
	int memfd = sealed_memfd(backing, SIZE), disk, err;
	char *mem = fill_movable(memfd, backing);
	aio_context_t context = 0;
	struct iocb read = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_buf = (uintptr_t)(mem + HELD),
		.aio_nbytes = page_size(),
	}, *reads = &read;
	struct io_event event;

	cgroup_enter("io");
	disk = open(zram_on(MIB(16)), O_RDWR | O_DIRECT | O_CLOEXEC);
	igt_assert_lte(0, disk);
	igt_assert_eq(pwrite(disk, mem + HELD, page_size(), 0), page_size());
	err = limit_reads(disk, "2");
	igt_require_f(!err, "io.max: %s\n", strerror(-err));
	igt_assert_eq(syscall(SYS_io_setup, 1, &context), 0);
	read.aio_fildes = disk;
	igt_assert_eq(syscall(SYS_io_submit, context, 1, &reads), 1);

	check_refused(dev, memfd, mem);

	igt_assert_eq(limit_reads(disk, "max"), 0);
	igt_assert_eq(syscall(SYS_io_getevents, context, 1, 1, &event, NULL),
		      1);
	igt_assert_eq_s64(event.res, page_size());
	igt_assert_eq(syscall(SYS_io_destroy, context), 0);
	check_works(dev, memfd, mem);
	close(disk);
	swap_off();
	cgroup_leave();
	unmap(mem, SIZE);
	close(memfd);
}

static void test_direct_io_shmem(int dev)
{
	check_direct_io(dev, SHMEM);
}

static void test_direct_io_hugetlb(int dev)
{
	check_direct_io(dev, HUGE_2M);
}

static void unlock(int locker)
{
	igt_assert_eq(ioctl(locker, PIN_TEST_UNLOCK), 0);
	close(locker);
}

/*
 * What a kind of memory is made of: pages that are filled, or only allocated and then
 * without contents.
 */
static const struct locked {
	const char *name;
	enum backing backing;
	bool filled, movable;
} locked[] = {
	{ "shmem", SHMEM, true, false },
	{ "thp", THP, true, false },
	{ "hugetlb", HUGE_2M, true, false },
	{ "fallocated", SHMEM, false, false },
	{ "movable", SHMEM, true, true },
	{ "movable-thp", THP, true, true },
	{ "movable-hugetlb", HUGE_2M, true, true },
};

static const struct locked *current;

static int make_memfd(void)
{
	int memfd = sealed_memfd(current->backing, SIZE);
	void *mem;

	require_pinnable(current->backing);
	igt_require_f(!access("/dev/pin_test", F_OK), "no /dev/pin_test\n");
	if (!current->filled) {
		igt_assert_eq(fallocate(memfd, 0, 0, SIZE), 0);
		return memfd;
	}
	if (current->movable) {
		mem = fill_movable(memfd, current->backing);
	} else {
		mem = map_fd(memfd, SIZE);
		fill(mem, 0, NPAGES, 1);
		require_kind(current->backing, mem, NPAGES);
	}
	unmap(mem, SIZE);
	return memfd;
}

/* Another process pins a file of which a folio is locked. Returns who holds the lock. */
static int pin_beside_lock(int dev, int memfd, pid_t *child)
{
	struct pin_test_lock lock = { .fd = memfd, .index = HELD / page_size() };
	int locker = open_device();

	igt_assert_eq(ioctl(locker, PIN_TEST_LOCK, &lock), 0);
	*child = fork();
	igt_assert_lte(0, *child);
	if (!*child)
		_exit(__create(dev, memfd, 0, SIZE) < 0);
	await_wait_in(*child, "folio");
	return locker;
}

static void test_locked(int dev)
{
	int memfd = make_memfd(), locker, status;
	pid_t child;

	locker = pin_beside_lock(dev, memfd, &child);
	unlock(locker);
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert_eq(status, 0);
	close(memfd);
}

/*
 * Who waits is killed. If that does not end it, the lock is given back and so nobody
 * left behind who waits for it.
 */
static void test_locked_kill(int dev)
{
	int memfd = make_memfd(), locker, status;
	int64_t pins = pins_held();
	bool ended;
	pid_t child;

	locker = pin_beside_lock(dev, memfd, &child);
	ended = can_be_killed(child);
	if (ended)
		igt_assert_eq_s64(pins_held(), pins);
	unlock(locker);
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert_f(ended, "it still waited long after SIGKILL\n");
	igt_assert(WIFSIGNALED(status));
	close(memfd);
}

void memfd_pin_busy_subtests(int dev)
{
	for (current = locked; current < locked + ARRAY_SIZE(locked); current++) {
		igt_describe_f("A folio that is locked may be on its way out of its file: a pin "
			       "waits for it, with %s", current->name);
		igt_subtest_f("busy-locked-%s", current->name)
			udmabuf_test(test_locked, dev);
		igt_describe_f("Who waits for it can be killed, and leaves nothing pinned: %s",
			       current->name);
		igt_subtest_f("busy-locked-kill-%s", current->name)
			udmabuf_test(test_locked_kill, dev);
	}
	igt_describe("A page in ZONE_MOVABLE that a pipe holds: ENOMEM until it lets go, and "
		     "nothing pinned, with small pages");
	igt_subtest("busy-pipe-shmem")
		udmabuf_test(test_pipe_shmem, dev);
	igt_describe("A page in ZONE_MOVABLE that a pipe holds: ENOMEM until it lets go, and "
		     "nothing pinned, with transparent huge pages");
	igt_subtest("busy-pipe-thp")
		udmabuf_test(test_pipe_thp, dev);
	igt_describe("A page in ZONE_MOVABLE that a pipe holds: ENOMEM until it lets go, and "
		     "nothing pinned, with 2 MiB hugetlb pages");
	igt_subtest("busy-pipe-hugetlb")
		udmabuf_test(test_pipe_hugetlb, dev);
	igt_describe("The same with direct I/O that does not come to its end, and small pages");
	igt_subtest("busy-direct-io-shmem")
		udmabuf_test(test_direct_io_shmem, dev);
	igt_describe("The same with direct I/O that does not come to its end, and 2 MiB hugetlb "
		     "pages");
	igt_subtest("busy-direct-io-hugetlb")
		udmabuf_test(test_direct_io_hugetlb, dev);
}
