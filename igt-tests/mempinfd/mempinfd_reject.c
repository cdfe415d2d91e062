// SPDX-License-Identifier: MIT
/*
 * What MEMPINFD_PIN refuses, with which error, and that a refused call leaves
 * nothing pinned.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "igt.h"
#include "mempinfd.h"

#define NPAGES	16

static void check_refused(const void *addr, uint64_t size, int error)
{
	int64_t pins = pins_held(), charge = charged(-1);
	int fd = open_mempinfd();

	igt_assert_eq(__pin(fd, addr, size), -error);
	igt_assert_eq_s64(pins_held(), pins);
	igt_assert_eq_s64(charged(-1), charge);
	/* Nor does its place in the tree stay taken. */
	igt_assert_eq(__pin(fd, addr, size), -error);
	igt_assert_eq(__unpin(fd, addr, size), -EINVAL);
	close(fd);
}

static void test_size_zero(void)
{
	char *mem = anon(page_size());

	check_refused(mem, 0, EINVAL);
	check_refused(mem + 1, 0, EINVAL);
	check_refused(NULL, 0, EINVAL);
	unmap(mem, page_size());
}

static void test_wrap(void)
{
	char *mem = anon(page_size());

	/* The end at 2^64, behind it, and so close that rounding takes it there. */
	check_refused(mem, -(uintptr_t)mem, EINVAL);
	check_refused(mem, -1ULL, EINVAL);
	check_refused((void *)-1UL, 2, EINVAL);
	check_refused((void *)-2UL, 1, EINVAL);
	check_refused((void *)-page_size(), page_size(), EINVAL);
	unmap(mem, page_size());
}

static void test_kernel_address(void)
{
	char *mem = anon(page_size());

	check_refused((void *)-pages(2), page_size(), EFAULT);
	check_refused((void *)(1ULL << 63), page_size(), EFAULT);
	check_refused((void *)0xffff888000000000, page_size(), EFAULT);
	check_refused((void *)(1ULL << 47), page_size(), EFAULT);
	/* From the program's memory into the kernel's. */
	check_refused(mem, (1ULL << 63) - (uintptr_t)mem + 1, EFAULT);
	/* The page that the kernel shows to every program. */
	check_refused((void *)0xffffffffff600000, page_size(), EFAULT);
	unmap(mem, page_size());
}

/* In front, at the end, and so far behind that some batches were pinned before. */
static void test_unmapped(void)
{
	char *mem = anon(pages(3000));

	unmap(mem + pages(2000), pages(1));
	check_refused(mem + pages(2000), pages(1), EFAULT);
	check_refused(mem + pages(2000), pages(2), EFAULT);
	check_refused(mem + pages(1990), pages(11), EFAULT);
	check_refused(mem, pages(3000), EFAULT);
	memset(mem, 1, pages(2000));
	check_refused(mem, pages(3000), EFAULT);
	check_refused(NULL, pages(1), EFAULT);
	unmap(mem, pages(3000));
}

static void check_protected(int prot, int flags, bool touched)
{
	char *mem = mmap(NULL, pages(NPAGES), PROT_READ | PROT_WRITE,
			 MAP_ANONYMOUS | flags, -1, 0);

	igt_assert(mem != MAP_FAILED);
	if (touched)
		memset(mem, 1, pages(NPAGES));
	igt_assert_eq(mprotect(mem + pages(8), pages(8), prot), 0);
	check_refused(mem + pages(8), pages(8), EFAULT);
	check_refused(mem, pages(NPAGES), EFAULT);
	unmap(mem, pages(NPAGES));
}

static void test_readonly_private(void)
{
	check_protected(PROT_READ, MAP_PRIVATE, false);
	check_protected(PROT_READ, MAP_PRIVATE, true);
}

static void test_readonly_shared(void)
{
	check_protected(PROT_READ, MAP_SHARED, false);
	check_protected(PROT_READ, MAP_SHARED, true);
}

static void test_no_access(void)
{
	check_protected(PROT_NONE, MAP_PRIVATE, true);
	check_protected(PROT_NONE, MAP_SHARED, true);
}

/* The file cannot be written through this descriptor. */
static void test_readonly_file(void)
{
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES));
	int readonly = reopen(memfd, O_RDONLY);
	void *mem = mmap(NULL, pages(NPAGES), PROT_READ, MAP_SHARED, readonly,
			 0);

	igt_assert(mem != MAP_FAILED);
	check_refused(mem, pages(NPAGES), EFAULT);
	unmap(mem, pages(NPAGES));
	close(readonly);
	close(memfd);
}

static void test_past_file_end(void)
{
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES));
	char *mem = map_fd(memfd, pages(2 * NPAGES));
	int fd = open_mempinfd();

	check_refused(mem + pages(NPAGES), pages(1), EFAULT);
	check_refused(mem, pages(NPAGES + 1), EFAULT);
	pin(fd, mem, pages(NPAGES));
	close(fd);
	unmap(mem, pages(2 * NPAGES));
	close(memfd);
}

/* It has pages, but the mapping says that they are none of the core's business. */
static void test_dmabuf(void)
{
	int memfd = sealed_memfd(SHMEM, pages(NPAGES));
	struct udmabuf_create arg = {
		.memfd = memfd,
		.size = pages(NPAGES),
	};
	int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), dmabuf;
	char *mem;

	igt_require_f(dev >= 0, "no /dev/udmabuf\n");
	dmabuf = ioctl(dev, UDMABUF_CREATE, &arg);
	igt_assert_lte(0, dmabuf);
	mem = map_fd(dmabuf, pages(NPAGES));
	check_refused(mem, pages(NPAGES), EFAULT);
	memset(mem, 1, pages(NPAGES));
	check_refused(mem, pages(NPAGES), EFAULT);
	unmap(mem, pages(NPAGES));
	close(dmabuf);
	close(dev);
	close(memfd);
}

/* The first MiB of the machine's memory, which is no program's. */
static void test_device_memory(void)
{
	int dev = open("/dev/mem", O_RDWR | O_CLOEXEC);
	char *mem;

	igt_require_f(dev >= 0, "no /dev/mem\n");
	mem = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, dev,
		   0xf0000);
	igt_require_f(mem != MAP_FAILED, "cannot map /dev/mem\n");
	check_refused(mem, page_size(), EFAULT);
	unmap(mem, page_size());
	close(dev);
}

/* Memory that nobody but its owner is to see. */
static void test_secret(void)
{
	int memfd = syscall(SYS_memfd_secret, O_CLOEXEC);
	char *mem;

	igt_require_f(memfd >= 0, "no memfd_secret()\n");
	igt_assert_eq(ftruncate(memfd, pages(NPAGES)), 0);
	mem = mmap(NULL, pages(NPAGES), PROT_READ | PROT_WRITE, MAP_SHARED,
		   memfd, 0);
	igt_require_f(mem != MAP_FAILED, "no memory for memfd_secret()\n");
	memset(mem, 1, pages(NPAGES));
	check_refused(mem, pages(NPAGES), EFAULT);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

static void test_user_pointer(void)
{
	char *mem = anon(pages(2));
	struct mempinfd_range *half;
	int fd = open_mempinfd();

	igt_assert_eq(mprotect(mem + page_size(), page_size(), PROT_NONE), 0);
	half = (void *)(mem + page_size() - sizeof(*half) / 2);
	igt_assert_eq(ioctl(fd, MEMPINFD_PIN, NULL), -1);
	igt_assert_eq(errno, EFAULT);
	igt_assert_eq(ioctl(fd, MEMPINFD_PIN, half), -1);
	igt_assert_eq(errno, EFAULT);
	igt_assert_eq(ioctl(fd, MEMPINFD_UNPIN, NULL), -1);
	igt_assert_eq(errno, EFAULT);
	igt_assert_eq(ioctl(fd, MEMPINFD_UNPIN, half), -1);
	igt_assert_eq(errno, EFAULT);
	unmap(mem, pages(2));
	close(fd);
}

static void test_unknown_ioctl(void)
{
	struct mempinfd_range range = { .size = 1 };
	int fd = open_mempinfd();

	igt_assert_eq(ioctl(fd, _IO(0xB9, 0), &range), -1);
	igt_assert_eq(errno, ENOTTY);
	igt_assert_eq(ioctl(fd, _IOW(0xB9, 2, struct mempinfd_range), &range),
		      -1);
	igt_assert_eq(errno, ENOTTY);
	igt_assert_eq(read(fd, &range, sizeof(range)), -1);
	igt_assert_eq(errno, EINVAL);
	igt_assert_eq(write(fd, &range, sizeof(range)), -1);
	igt_assert_eq(errno, EINVAL);
	close(fd);
}

/* Only who has the right to lock memory may do without the limit. */
static void test_memlock_zero(void)
{
	struct rlimit none = {};
	int fd = open_mempinfd();

	igt_fork(child, 1) {
		void *mem = anon(page_size());

		igt_assert_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
		pin(fd, mem, page_size());
		become(USER);
		/* What it has it may give back. */
		unpin(fd, mem, page_size());
		igt_assert_eq(__pin(fd, mem, page_size()), -EPERM);
	}
	igt_waitchildren();
	close(fd);
}

/* Nobody but root has the device, unless a rule gives it to them. */
static void test_permissions(void)
{
	igt_fork(child, 1) {
		become(USER);
		igt_assert_eq(open("/dev/mempinfd", O_RDWR), -1);
		igt_assert_eq(errno, EACCES);
	}
	igt_waitchildren();
}

void mempinfd_reject_subtests(void)
{
	igt_describe("EINVAL for a range without bytes");
	igt_subtest("reject-size-zero")
		mempinfd_test(test_size_zero);
	igt_describe("EINVAL for a range that wraps around");
	igt_subtest("reject-wrap")
		mempinfd_test(test_wrap);
	igt_describe("EFAULT outside of user space");
	igt_subtest("reject-kernel-address")
		mempinfd_test(test_kernel_address);
	igt_describe("EFAULT where a page of the range is not mapped, wherever it is");
	igt_subtest("reject-unmapped")
		mempinfd_test(test_unmapped);
	igt_describe("EFAULT for private memory that cannot be written");
	igt_subtest("reject-readonly-private")
		mempinfd_test(test_readonly_private);
	igt_describe("EFAULT for shared memory that cannot be written");
	igt_subtest("reject-readonly-shared")
		mempinfd_test(test_readonly_shared);
	igt_describe("EFAULT for PROT_NONE");
	igt_subtest("reject-no-access")
		mempinfd_test(test_no_access);
	igt_describe("EFAULT for a memfd that the caller can only read");
	igt_subtest("reject-readonly-file")
		mempinfd_test(test_readonly_file);
	igt_describe("EFAULT past the end of a mapped memfd");
	igt_subtest("reject-past-file-end")
		mempinfd_test(test_past_file_end);
	igt_describe("EFAULT for a mapped dma-buf");
	igt_subtest("reject-dmabuf")
		mempinfd_test(test_dmabuf);
	igt_describe("EFAULT for /dev/mem");
	igt_subtest("reject-device-memory")
		mempinfd_test(test_device_memory);
	igt_describe("EFAULT for memory of memfd_secret()");
	igt_subtest("reject-secret")
		mempinfd_test(test_secret);
	igt_describe("EFAULT for an argument that cannot be read, as a whole or in part");
	igt_subtest("reject-user-pointer")
		mempinfd_test(test_user_pointer);
	igt_describe("ENOTTY for other ioctls, EINVAL for read() and write()");
	igt_subtest("reject-unknown-ioctl")
		mempinfd_test(test_unknown_ioctl);
	igt_describe("EPERM where RLIMIT_MEMLOCK is 0, but not for root, nor for unpinning");
	igt_subtest("reject-memlock-zero")
		mempinfd_test(test_memlock_zero);
	igt_describe("Ordinary users cannot open the device");
	igt_subtest("reject-permissions")
		mempinfd_test(test_permissions);
}
