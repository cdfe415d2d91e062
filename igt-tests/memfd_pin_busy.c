// SPDX-License-Identifier: MIT
/*
 * Folios in ZONE_MOVABLE that cannot be moved, because somebody else holds them:
 * a pin fails in bounded time, leaves nothing pinned, and works again later.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "cgroup_helper.h"
#include "igt.h"
#include "memfd_pin.h"
#include "phys_helper.h"
#include "swap_helper.h"
#include "udmabuf_helper.h"

#define SIZE		MIB(4)
#define NPAGES		(SIZE / page_size())
#define HELD		pages(700)	/* in the second huge page */

static char *fill_movable(int memfd, enum backing backing)
{
	char *mem = map_fd(memfd, SIZE);
	size_t found;

	require_movable();
	require_pinnable(backing);
	fill(mem, 0, NPAGES, 1);
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

void memfd_pin_busy_subtests(int dev)
{
	igt_subtest("busy-pipe-shmem")
		udmabuf_test(test_pipe_shmem, dev);
	igt_subtest("busy-pipe-thp")
		udmabuf_test(test_pipe_thp, dev);
	igt_subtest("busy-pipe-hugetlb")
		udmabuf_test(test_pipe_hugetlb, dev);
	igt_subtest("busy-direct-io-shmem")
		udmabuf_test(test_direct_io_shmem, dev);
	igt_subtest("busy-direct-io-hugetlb")
		udmabuf_test(test_direct_io_hugetlb, dev);
}
