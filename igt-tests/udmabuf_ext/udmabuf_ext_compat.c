// SPDX-License-Identifier: MIT
/*
 * All ioctls as a 32-bit program issues them: through the kernel's entry for such
 * programs, which is there for 64-bit ones too, with arguments that lie where they
 * can be reached by 32 bits.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "igt.h"
#include "udmabuf_ext.h"

#define NPAGES	8

#ifdef __x86_64__
#define NR_IOCTL32	54
#define NR_GETPID32	20

static int syscall32(int nr, int a, unsigned int b, uint32_t c)
{
	long ret;

	asm volatile("int $0x80"
		     : "=a" (ret)
		     : "0" (nr), "b" (a), "c" (b), "d" (c)
		     : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

/* The argument, which is copied there and back, and the address it is to have. */
static int ioctl32(int fd, unsigned int request, void *low, void *arg, size_t size)
{
	int ret;

	memcpy(low, arg, size);
	ret = syscall32(NR_IOCTL32, fd, request, (uintptr_t)low);
	memcpy(arg, low, size);
	return ret;
}

/* The entry is not there in every kernel, and then it is a fault to use it. */
static bool has_syscall32(void)
{
	pid_t child = fork();
	int status;

	igt_assert_lte(0, child);
	if (!child)
		_exit(syscall32(NR_GETPID32, 0, 0, 0) != getpid());
	igt_assert_eq(waitpid(child, &status, 0), child);
	return status == 0;
}

static void check_dmabuf(int dmabuf, int memfd, size_t offset, size_t count)
{
	void *mem = map_fd(memfd, pages(NPAGES)), *buf;

	igt_assert_lte(0, dmabuf);
	igt_assert_eq_u64(fd_size(dmabuf), pages(count));
	buf = mmap(NULL, pages(count), PROT_READ, MAP_SHARED, dmabuf, 0);
	igt_assert(buf != MAP_FAILED);
	fill(mem, 0, NPAGES, dmabuf);
	igt_assert_eq(count_filled(buf, offset, count, dmabuf), count);
	unmap(buf, pages(count));
	unmap(mem, pages(NPAGES));
	close(dmabuf);
}

static void test_compat(int dev)
{
	struct udmabuf_create_item *items;
	struct udmabuf_create_list *list;
	struct udmabuf_create create;
	struct udmabuf_create_ext ext;
	struct udmabuf_info info;
	int memfd;
	char *low;

	igt_require_f(has_syscall32(), "no entry for 32-bit programs\n");
	low = mmap(NULL, pages(1), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	igt_assert(low != MAP_FAILED);
	memfd = sealed_memfd(SHMEM, pages(NPAGES));

	memset(&info, 0xff, sizeof(info));
	igt_assert_eq(ioctl32(dev, UDMABUF_GET_INFO, low, &info, sizeof(info)), 0);
	igt_assert_eq(info.version, UDMABUF_EXT_VERSION);
	igt_assert_eq(info.list_limit, get_info(dev).list_limit);
	igt_assert_eq_u64(info.available, get_info(dev).available);
	igt_assert_eq_u64(info.reserved[1], 0);

	create = (struct udmabuf_create) {
		.memfd = memfd,
		.offset = pages(2),
		.size = pages(3),
	};
	check_dmabuf(ioctl32(dev, UDMABUF_CREATE, low, &create, sizeof(create)),
		     memfd, 2, 3);

	list = (void *)low;
	list->flags = 0;
	list->count = 2;
	list->list[0] = (struct udmabuf_create_item) {
		.memfd = memfd,
		.offset = pages(1),
		.size = pages(2),
	};
	list->list[1] = list->list[0];
	list->list[1].offset = pages(3);
	check_dmabuf(syscall32(NR_IOCTL32, dev, UDMABUF_CREATE_LIST,
			       (uintptr_t)list), memfd, 1, 4);

	items = (void *)(low + page_size() / 2);
	items[0] = list->list[0];
	items[1] = list->list[1];
	ext = (struct udmabuf_create_ext) {
		.flags = UDMABUF_FLAGS_READONLY,
		.count = 2,
		.items = (uintptr_t)items,
		.fd = -1,
	};
	igt_assert_eq(ioctl32(dev, UDMABUF_CREATE_EXT, low, &ext, sizeof(ext)), 0);
	check_dmabuf(ext.fd, memfd, 1, 4);

	ext.reserved = 1;
	igt_assert_eq(ioctl32(dev, UDMABUF_CREATE_EXT, low, &ext, sizeof(ext)),
		      -EINVAL);
	igt_assert_eq(syscall32(NR_IOCTL32, dev, UDMABUF_GET_INFO, 0), -EFAULT);
	igt_assert_eq(syscall32(NR_IOCTL32, dev, _IO('u', 0xff), 0), -ENOTTY);

	unmap(low, pages(1));
	close(memfd);
}
#else
static void test_compat(int dev)
{
	(void)dev;
	igt_require_f(false, "only on x86-64\n");
}
#endif

void udmabuf_ext_compat_subtests(int dev)
{
	igt_describe("All four ioctls work for 32-bit programs");
	igt_subtest("compat")
		udmabuf_test(test_compat, dev);
}
