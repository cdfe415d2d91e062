// SPDX-License-Identifier: MIT
/*
 * dma-bufs that are read-only, as far as processes are concerned: whoever may only
 * read the memory can share it, and nobody gets to write to it that way.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "igt.h"
#include "process_helper.h"
#include "udmabuf_ext.h"

#define SIZE_PAGES	1024
#define SIZE		pages(SIZE_PAGES)

/* Neither at the beginning of a huge page, nor at its end */
#define FIRST	7
#define COUNT	600

/* Why nobody may write. */
static const struct reason {
	const char *name;
	int seals;
	int mode;
} reasons[] = {
	{ "opened", F_SEAL_SHRINK, O_RDONLY },
	{ "write-sealed", F_SEAL_SHRINK | F_SEAL_WRITE, O_RDWR },
	{ "future-write-sealed", F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE, O_RDWR },
	{ "opened-write-sealed", F_SEAL_SHRINK | F_SEAL_WRITE, O_RDONLY },
};

static const struct reason *reason;
static const struct memory_kind *memory;

static int forbid_writing(int memfd)
{
	int fd = reopen(memfd, reason->mode);

	seal(memfd, reason->seals);
	close(memfd);
	return fd;
}

static int create_readonly(int dev, int memfd)
{
	return create_flags(dev, UDMABUF_FLAGS_READONLY, memfd, pages(FIRST),
			    pages(COUNT));
}

static void *map_readonly(int fd)
{
	void *ptr = mmap(NULL, pages(COUNT), PROT_READ, MAP_SHARED, fd, 0);

	igt_assert_f(ptr != MAP_FAILED, "mmap: %s\n", strerror(errno));
	return ptr;
}

static void refuse_map(int fd, int prot, int flags, int error)
{
	igt_assert(mmap(NULL, page_size(), prot, flags, fd, 0) == MAP_FAILED);
	igt_assert_eq(errno, error);
}

static void refuse_protect(void *ptr)
{
	igt_assert_eq(mprotect(ptr, page_size(), PROT_READ | PROT_WRITE), -1);
	igt_assert_eq(errno, EACCES);
	igt_assert_eq(mprotect(ptr, page_size(), PROT_WRITE), -1);
	igt_assert_eq(errno, EACCES);
}

/* Other ways to write to the memory of a process: through the kernel. */
static void refuse_remote_write(void *ptr)
{
	char byte = 'x';
	struct iovec from = { &byte, 1 }, to = { ptr, 1 };
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	igt_assert(mem >= 0 && zero >= 0);
	igt_assert_eq(pwrite(mem, "x", 1, (uintptr_t)ptr), -1);
	igt_assert(errno == EIO || errno == EFAULT);
	igt_assert_eq(process_vm_writev(getpid(), &from, 1, &to, 1, 0), -1);
	igt_assert_eq(errno, EFAULT);
	igt_assert_eq(read(zero, ptr, 1), -1);
	igt_assert_eq(errno, EFAULT);
	close(zero);
	close(mem);
}

static void refuse_reopen(int dmabuf, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dmabuf);
	igt_assert_eq(open(path, flags | O_CLOEXEC), -1);
	igt_assert(errno == ENXIO || errno == EACCES);
}

/* Everything that could write has to be refused. */
static void check_readonly(int dmabuf)
{
	char *buf, *there, *moved;

	igt_assert_eq(fcntl(dmabuf, F_GETFL) & O_ACCMODE, O_RDONLY);
	igt_assert_eq(fcntl(dmabuf, F_SETFL, O_RDWR), 0);
	igt_assert_eq(fcntl(dmabuf, F_GETFL) & O_ACCMODE, O_RDONLY);
	refuse_reopen(dmabuf, O_RDWR);
	refuse_reopen(dmabuf, O_RDONLY);
	igt_assert_eq(write(dmabuf, "x", 1), -1);
	igt_assert_eq(errno, EBADF);
	igt_assert_eq(pwrite(dmabuf, "x", 1, 0), -1);
	igt_assert_eq(ftruncate(dmabuf, 0), -1);
	igt_assert_eq(fallocate(dmabuf, 0, 0, page_size()), -1);

	refuse_map(dmabuf, PROT_READ | PROT_WRITE, MAP_SHARED, EACCES);
	refuse_map(dmabuf, PROT_WRITE, MAP_SHARED, EACCES);
	refuse_map(dmabuf, PROT_READ, MAP_PRIVATE, EINVAL);
	refuse_map(dmabuf, PROT_READ | PROT_WRITE, MAP_PRIVATE, EINVAL);

	buf = map_readonly(dmabuf);
	refuse_protect(buf);
	/* Faulted in or not, it makes no difference. */
	igt_assert_eq(count_filled(buf, FIRST, COUNT, 1), COUNT);
	refuse_protect(buf);
	refuse_remote_write(buf);
	igt_assert_eq(write_signal(buf), SIGSEGV);

	igt_assert_eq(mprotect(buf, pages(COUNT), PROT_NONE), 0);
	refuse_protect(buf);
	igt_assert_eq(mprotect(buf, pages(COUNT), PROT_READ), 0);

	there = mmap(NULL, pages(COUNT / 2), PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	igt_assert(there != MAP_FAILED);
	moved = mremap(buf, pages(COUNT), pages(COUNT / 2), MREMAP_MAYMOVE |
		       MREMAP_FIXED, there);
	igt_assert(moved == there);
	igt_assert_eq(count_filled(moved, FIRST, COUNT / 2, 1), COUNT / 2);
	refuse_protect(moved);
	igt_assert_eq(write_signal(moved), SIGSEGV);
	/* Neither longer, nor the same once more. */
	igt_assert(mremap(moved, pages(COUNT / 2), pages(COUNT), MREMAP_MAYMOVE) ==
		   MAP_FAILED);
	igt_assert(mremap(moved, 0, pages(1), MREMAP_MAYMOVE) == MAP_FAILED);
	unmap(moved, pages(COUNT / 2));

	buf = map_readonly(dmabuf);
	igt_assert_eq(count_filled(buf, FIRST, COUNT, 1), COUNT);
	unmap(buf, pages(COUNT));
}

static void test_readonly(int dev)
{
	int memfd = forbid_writing(filled_memfd(memory->backing, SIZE));
	int dmabuf;

	igt_assert_eq(__create(dev, memfd, 0, SIZE),
		      reason->mode == O_RDONLY && reason->seals == F_SEAL_SHRINK ?
		      -EACCES : -EINVAL);
	dmabuf = create_readonly(dev, memfd);
	check_readonly(dmabuf);
	close(memfd);
	check_readonly(dmabuf);
	close(dmabuf);
}

/* Holes are filled for it, as for any other, though nobody may write. */
static void test_holes(int dev)
{
	int memfd = forbid_writing(unsealed_memfd(memory->backing, SIZE));
	int64_t reserved = 0;
	int dmabuf;
	void *buf;

	if (memory->backing == HUGE_2M)
		reserved = hugetlb(MIB(2), "resv_hugepages");
	dmabuf = create_readonly(dev, memfd);
	buf = map_readonly(dmabuf);
	igt_assert_eq(count_zero(buf, COUNT), COUNT);
	refuse_protect(buf);
	igt_assert_eq(write_signal(buf), SIGSEGV);
	drop_caches();
	igt_assert_eq(count_zero(buf, COUNT), COUNT);
	unmap(buf, pages(COUNT));
	close(dmabuf);
	close(memfd);
	if (memory->backing == HUGE_2M)
		igt_assert_eq_s64(hugetlb(MIB(2), "resv_hugepages"), reserved);
}

/* Who mapped the file before F_SEAL_FUTURE_WRITE goes on to write, and is seen. */
static void test_owner_writes(int dev)
{
	int memfd = filled_memfd(SHMEM, SIZE), dmabuf;
	char *mem = map_fd(memfd, SIZE), *buf;

	seal(memfd, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE);
	dmabuf = create_readonly(dev, memfd);
	buf = map_readonly(dmabuf);
	for (int seed = 2; seed < 5; seed++) {
		fill(mem, 0, SIZE_PAGES, seed);
		prime_sync_start(dmabuf, false);
		igt_assert_eq(count_filled(buf, FIRST, COUNT, seed), COUNT);
		prime_sync_end(dmabuf, false);
	}
	refuse_protect(buf);
	close(dmabuf);
	unmap(buf, pages(COUNT));
	drop_caches();
	igt_assert_eq(count_filled(mem, 0, SIZE_PAGES, 4), SIZE_PAGES);
	unmap(mem, SIZE);
	close(memfd);
}

/* The kernel cannot know that these pins do not write. */
static void test_seal_write(int dev)
{
	int memfd = filled_memfd(SHMEM, SIZE), dmabuf;

	seal(memfd, F_SEAL_SHRINK);
	dmabuf = create_readonly(dev, memfd);
	igt_assert_eq(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	igt_assert_eq(errno, EBUSY);
	check_readonly(dmabuf);
	close(dmabuf);
	seal(memfd, F_SEAL_WRITE);
	dmabuf = create_readonly(dev, memfd);
	check_readonly(dmabuf);
	close(dmabuf);
	close(memfd);
}

static void test_refused(int dev)
{
	int memfd = filled_memfd(SHMEM, SIZE), writeonly = reopen(memfd, O_WRONLY);
	int path;

	/* It could shrink. */
	igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_READONLY, memfd, 0, SIZE),
		      -EINVAL);
	seal(memfd, F_SEAL_SHRINK);

	igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_READONLY, writeonly, 0,
				     SIZE), -EACCES);
	set_module_attribute(dev, ALLOW_READONLY, 1);
	igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_READONLY, writeonly, 0,
				     SIZE), -EACCES);
	path = reopen(memfd, O_PATH);
	igt_assert_eq(__create_flags(dev, UDMABUF_FLAGS_READONLY, path, 0, SIZE),
		      -EBADFD);
	seal(memfd, F_SEAL_WRITE);
	close(path);
	close(writeonly);
	close(memfd);
}

/* The parameter that lets UDMABUF_CREATE write what cannot be written. */
static void test_allow_readonly(int dev)
{
	int memfd = filled_memfd(SHMEM, SIZE), readonly = reopen(memfd, O_RDONLY);
	int dmabuf;

	seal(memfd, F_SEAL_SHRINK);
	set_module_attribute(dev, ALLOW_READONLY, 1);
	dmabuf = create_readonly(dev, readonly);
	check_readonly(dmabuf);
	close(dmabuf);
	close(readonly);
	close(memfd);
}

/* How many pages of a file are in memory. */
static size_t resident(int fd)
{
	unsigned char state[SIZE_PAGES];
	void *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	size_t found = 0;

	igt_assert(map != MAP_FAILED);
	igt_assert_eq(mincore(map, SIZE, state), 0);
	for (size_t i = 0; i < SIZE_PAGES; i++)
		found += state[i] & 1;
	unmap(map, SIZE);
	return found;
}

/* Pages that nobody wrote are not kept: they can be made anew. */
static void test_clean(int dev)
{
	int memfd = sealed_memfd(SHMEM, SIZE), dmabuf;
	void *mem;

	dmabuf = create_readonly(dev, memfd);
	igt_assert_eq(resident(memfd), COUNT);
	drop_caches();
	igt_assert_eq(resident(memfd), COUNT);
	close(dmabuf);
	drop_caches();
	igt_assert_eq(resident(memfd), 0);

	/* Those that somebody did, are. */
	mem = map_fd(memfd, SIZE);
	fill(mem, 0, SIZE_PAGES, 1);
	unmap(mem, SIZE);
	dmabuf = create_readonly(dev, memfd);
	close(dmabuf);
	drop_caches();
	dmabuf = create_readonly(dev, memfd);
	check_readonly(dmabuf);
	close(dmabuf);
	close(memfd);
}

void udmabuf_ext_readonly_subtests(int dev)
{
	for (memory = memory_kinds; memory->name; memory++) {
		for (reason = reasons; reason < reasons + ARRAY_SIZE(reasons);
		     reason++) {
			igt_describe_f("A read-only dma-buf of a memfd that is %s, made of %s, "
				       "cannot be written in any way", reason->name, memory->name);
			igt_subtest_f("readonly-%s-%s", reason->name,
				      memory->name)
				udmabuf_test(test_readonly, dev);
			igt_describe("The same of holes: zeroes that stay zeroes");
			igt_subtest_f("readonly-%s-%s-holes", reason->name,
				      memory->name)
				udmabuf_test(test_holes, dev);
		}
	}
	igt_describe("What is written through a mapping from before F_SEAL_FUTURE_WRITE shows in "
		     "the dma-buf, and stays");
	igt_subtest("readonly-owner-writes")
		udmabuf_test(test_owner_writes, dev);
	igt_describe("F_SEAL_WRITE is refused until the dma-buf is gone");
	igt_subtest("readonly-seal-write")
		udmabuf_test(test_seal_write, dev);
	igt_describe("Files that cannot be read, or could shrink");
	igt_subtest("readonly-refused")
		udmabuf_test(test_refused, dev);
	igt_describe("The parameter allow_readonly does not make it writable");
	igt_subtest("readonly-allow-readonly")
		udmabuf_test(test_allow_readonly, dev);
	igt_describe("Pages that nobody wrote can be reclaimed afterwards, others are kept");
	igt_subtest("readonly-clean")
		udmabuf_test(test_clean, dev);
}
