// SPDX-License-Identifier: MIT
/*
 * Mappings of a udmabuf: which are refused, and what becomes of those that are
 * moved, cut or inherited.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>

#include "igt.h"
#include "process_helper.h"
#include "udmabuf.h"

#define NPAGES	64

static int filled_dmabuf(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(NPAGES)), dmabuf;
	void *mem = map_fd(memfd, pages(NPAGES));

	fill(mem, 0, NPAGES, 1);
	unmap(mem, pages(NPAGES));
	dmabuf = create(dev, memfd, 0, pages(NPAGES));
	close(memfd);
	return dmabuf;
}

static int mmap_error(int fd, size_t size, int flags, off_t offset)
{
	void *ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, offset);

	if (ptr == MAP_FAILED)
		return -errno;
	unmap(ptr, size);
	return 0;
}

static void test_offset(int dev)
{
	int dmabuf = filled_dmabuf(dev);
	void *buf;

	buf = mmap(NULL, pages(10), PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf,
		   pages(33));
	igt_assert(buf != MAP_FAILED);
	igt_assert_eq(count_filled(buf, 33, 10, 1), 10);
	unmap(buf, pages(10));
	close(dmabuf);
}

static void test_past_end(int dev)
{
	int dmabuf = filled_dmabuf(dev);
	size_t size = pages(NPAGES);

	igt_assert_eq(mmap_error(dmabuf, size, MAP_SHARED, 0), 0);
	igt_assert_eq(mmap_error(dmabuf, pages(1), MAP_SHARED, size - pages(1)),
		      0);
	igt_assert_eq(mmap_error(dmabuf, size + 1, MAP_SHARED, 0), -EINVAL);
	igt_assert_eq(mmap_error(dmabuf, pages(1), MAP_SHARED, size), -EINVAL);
	igt_assert_eq(mmap_error(dmabuf, pages(2), MAP_SHARED, size - pages(1)),
		      -EINVAL);
	close(dmabuf);
}

static void test_private(int dev)
{
	int dmabuf = filled_dmabuf(dev);

	igt_assert_eq(mmap_error(dmabuf, pages(NPAGES), MAP_PRIVATE, 0),
		      -EINVAL);
	close(dmabuf);
}

static void test_protect(int dev)
{
	int dmabuf = filled_dmabuf(dev);
	char *buf = mmap(NULL, pages(NPAGES), PROT_READ, MAP_SHARED, dmabuf, 0);

	igt_assert(buf != MAP_FAILED);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);

	/* Pages that are mapped read-only by now must become writable. */
	igt_assert_eq(mprotect(buf, pages(NPAGES), PROT_READ | PROT_WRITE), 0);
	fill(buf, 0, NPAGES, 2);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 2), NPAGES);
	unmap(buf, pages(NPAGES));
	close(dmabuf);
}

static bool is_executable(const void *ptr)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	bool found = false;
	char x = 0;

	igt_assert(maps);
	while (!found && fscanf(maps, "%lx-%lx %*2c%c%*[^\n]", &start, &end, &x) == 3)
		found = start <= (uintptr_t)ptr && (uintptr_t)ptr < end;
	fclose(maps);
	igt_assert(found);
	return x == 'x';
}

static void test_exec(int dev)
{
	int dmabuf = filled_dmabuf(dev);
	char *buf = mmap(NULL, pages(NPAGES), PROT_READ | PROT_EXEC, MAP_SHARED, dmabuf,
			 0);

	igt_assert(buf == MAP_FAILED);
	igt_assert_eq(errno, EPERM);
	buf = map_fd(dmabuf, pages(NPAGES));
	igt_assert_eq(mprotect(buf, pages(NPAGES), PROT_READ | PROT_EXEC), -1);
	igt_assert_eq(errno, EACCES);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	unmap(buf, pages(NPAGES));

	/* Old programs do not ask for it, but would get it for all that they read. */
	igt_fork(child, 1) {
		igt_assert(personality(READ_IMPLIES_EXEC) >= 0);
		buf = map_fd(dmabuf, pages(NPAGES));
		igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
		igt_assert(!is_executable(buf));
	}
	igt_waitchildren();
	close(dmabuf);
}

static void test_fault_middle(int dev)
{
	int memfd = sealed_memfd(HUGE_2M, MIB(4)), dmabuf;
	char *mem = map_fd(memfd, MIB(4)), *buf;
	size_t middle = MIB(1) / page_size() + 3;

	fill(mem + pages(middle + 1), middle, 1, 1);
	dmabuf = create(dev, memfd, pages(1), MIB(3));
	buf = map_fd(dmabuf, MIB(3));

	igt_assert_eq(count_filled(buf + pages(middle), middle, 1, 1), 1);
	fill(buf + pages(middle), middle, 1, 2);
	igt_assert_eq(count_filled(mem + pages(middle + 1), middle, 1, 2), 1);
	igt_assert_eq(count_zero(mem, middle + 1), middle + 1);

	unmap(buf, MIB(3));
	unmap(mem, MIB(4));
	close(dmabuf);
	close(memfd);
}

/* The page is first touched by the kernel on behalf of read() and write(). */
static void test_fault_syscall(int dev)
{
	int dmabuf = filled_dmabuf(dev), pipes[2];
	char *buf = map_fd(dmabuf, pages(NPAGES));

	igt_assert_eq(pipe(pipes), 0);
	igt_assert_eq(write(pipes[1], buf + pages(5), page_size()),
		      page_size());
	igt_assert_eq(read(pipes[0], buf + pages(50), page_size()),
		      page_size());
	igt_assert_eq(count_filled(buf + pages(50), 5, 1, 1), 1);

	close(pipes[0]);
	close(pipes[1]);
	unmap(buf, pages(NPAGES));
	close(dmabuf);
}

static void test_mremap(int dev)
{
	int dmabuf = filled_dmabuf(dev);
	char *buf = map_fd(dmabuf, pages(NPAGES / 2)), *moved, *place;

	place = mmap(NULL, pages(NPAGES), PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	igt_assert(place != MAP_FAILED);

	/* What lies behind the end was not checked by mmap(): no growing. */
	igt_assert(mremap(buf, pages(NPAGES / 2), pages(NPAGES),
			  MREMAP_MAYMOVE) == MAP_FAILED);
	igt_assert_eq(errno, EFAULT);

	moved = mremap(buf, pages(NPAGES / 2), pages(NPAGES / 2),
		       MREMAP_MAYMOVE | MREMAP_FIXED, place);
	igt_assert(moved == place);
	igt_assert_eq(count_filled(moved, 0, NPAGES / 2, 1), NPAGES / 2);

	moved = mremap(moved, pages(NPAGES / 2), pages(4), 0);
	igt_assert(moved == place);
	igt_assert_eq(count_filled(moved, 0, 4, 1), 4);

	unmap(place, pages(NPAGES));
	close(dmabuf);
}

static void test_munmap_partial(int dev)
{
	int64_t pins = pins_held();
	int dmabuf = filled_dmabuf(dev);
	char *buf = map_fd(dmabuf, pages(NPAGES));

	/* The mapping alone keeps the buffer from here on. */
	close(dmabuf);
	unmap(buf + pages(10), pages(20));
	igt_assert_eq(count_filled(buf, 0, 10, 1), 10);
	igt_assert_eq(count_filled(buf + pages(30), 30, NPAGES - 30, 1),
		      NPAGES - 30);
	unmap(buf, pages(10));
	igt_assert(pins_held() > pins);
	igt_assert_eq(count_filled(buf + pages(40), 40, 1, 1), 1);
	unmap(buf + pages(30), pages(NPAGES - 30));
	igt_assert_eq_s64(pins_held(), pins);
}

static void test_fork(int dev)
{
	int dmabuf = filled_dmabuf(dev), sockets[2];
	char *buf = map_fd(dmabuf, pages(NPAGES));

	igt_assert_eq(count_filled(buf, 0, 1, 1), 1);
	igt_fork(child, 1) {
		igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
		fill(buf, 0, NPAGES, 2);
		unmap(buf, pages(NPAGES));
		close(dmabuf);
	}
	igt_waitchildren();
	igt_assert_eq(count_filled(buf, 0, NPAGES, 2), NPAGES);

	/* The other way: the child's copy is the last one. */
	make_sockets(sockets);
	igt_fork(child, 1) {
		close(sockets[0]);
		await(sockets[1]);
		unmap(buf, pages(NPAGES));
		buf = map_fd(dmabuf, pages(NPAGES));
		igt_assert_eq(count_filled(buf, 0, NPAGES, 2), NPAGES);
	}
	close(sockets[1]);
	unmap(buf, pages(NPAGES));
	close(dmabuf);
	tell(sockets[0]);
	igt_waitchildren();
	close(sockets[0]);
}

void udmabuf_mmap_subtests(int dev)
{
	igt_describe("Mapping the dma-buf: from an offset on");
	igt_subtest("mmap-offset")
		udmabuf_test(test_offset, dev);
	igt_describe("Mapping the dma-buf: refused past the end");
	igt_subtest("mmap-past-end")
		udmabuf_test(test_past_end, dev);
	igt_describe("Mapping the dma-buf: refused if private");
	igt_subtest("mmap-private")
		udmabuf_test(test_private, dev);
	igt_describe("Mapping the dma-buf: read-only first, then writable");
	igt_subtest("mmap-protect")
		udmabuf_test(test_protect, dev);
	igt_describe("Mapping the dma-buf: never executable");
	igt_subtest("mmap-exec")
		udmabuf_test(test_exec, dev);
	igt_describe("Mapping the dma-buf: only a page in the middle is touched");
	igt_subtest("mmap-fault-middle")
		udmabuf_test(test_fault_middle, dev);
	igt_describe("Mapping the dma-buf: read() and write() touch the page first");
	igt_subtest("mmap-fault-syscall")
		udmabuf_test(test_fault_syscall, dev);
	igt_describe("Mapping the dma-buf: moved and shrunk; growing is refused");
	igt_subtest("mmap-mremap")
		udmabuf_test(test_mremap, dev);
	igt_describe("Mapping the dma-buf: cut in two; the last piece keeps the buffer");
	igt_subtest("mmap-munmap-partial")
		udmabuf_test(test_munmap_partial, dev);
	igt_describe("Mapping the dma-buf: shared with a child that outlives the "
		     "parent's mapping");
	igt_subtest("mmap-fork")
		udmabuf_test(test_fork, dev);
}
