// SPDX-License-Identifier: MIT
/*
 * UDMABUF_GET_INFO: what it tells are the driver's parameters, and the charges and
 * limits of the user who asks.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "igt.h"
#include "udmabuf_ext.h"

#define USER_LIMIT	"/sys/module/memfd_pin/parameters/user_limit_mb"
#define PROCESS_SHARE	"/sys/module/memfd_pin/parameters/process_share"
#define STRICT		"/sys/module/memfd_pin/parameters/strict"

#define UNLIMITED	UINT64_MAX

/* Nobody else's, and not privileged. */
#define USER		4713

/* A child can go on as that user, and be root again to change a limit. */
static void become_user(void)
{
	igt_assert_eq(setresuid(USER, USER, 0), 0);
}

static void set_as_root(const char *path, const char *value)
{
	igt_assert_eq(seteuid(0), 0);
	igt_assert_eq(write_line(path, value), 0);
	igt_assert_eq(seteuid(USER), 0);
}

static int create_pages(int dev, size_t count)
{
	int memfd = sealed_memfd(SHMEM, pages(count));
	int dmabuf = create(dev, memfd, 0, pages(count));

	close(memfd);
	return dmabuf;
}

static void check_user(int dev, uint64_t pinned, uint64_t available)
{
	struct udmabuf_info info = get_info(dev);

	igt_assert_eq_u64(info.pinned, pinned);
	igt_assert_eq_u64(info.available, available);
}

static void test_version(int dev)
{
	struct udmabuf_info info = get_info(dev);

	igt_assert_eq(info.version, UDMABUF_EXT_VERSION);
	igt_assert_eq(info.flags, UDMABUF_FLAGS_CLOEXEC |
		      UDMABUF_FLAGS_READONLY | UDMABUF_FLAGS_UNSEALED |
		      UDMABUF_FLAGS_NONBLOCK);
	igt_assert_eq_u64(info.features, UDMABUF_FEATURE_PARTIAL_PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(info.reserved); i++)
		igt_assert_eq_u64(info.reserved[i], 0);
}

static void test_parameters(int dev)
{
	const uint64_t most = (uint64_t)UINT32_MAX * page_size();

	set_module_attribute(dev, LIST_LIMIT, 77);
	igt_assert_eq(get_info(dev).list_limit, 77);
	set_module_attribute(dev, SIZE_LIMIT, 5);
	igt_assert_eq_u64(get_info(dev).size_limit, MIB(5));
	set_module_attribute(dev, SIZE_LIMIT, 0);
	igt_assert_eq_u64(get_info(dev).size_limit, most);
	set_module_attribute(dev, SIZE_LIMIT, UINT32_MAX);
	igt_assert_eq_u64(get_info(dev).size_limit, most);

	for (unsigned int i = UDMABUF_ATTACH_NEVER; i <= UDMABUF_ATTACH_ALWAYS; i++) {
		set_module_attribute(dev, READONLY_ATTACH, i);
		igt_assert_eq(get_info(dev).readonly_attach, i);
	}
	igt_assert_eq(__set_module_attribute(dev, READONLY_ATTACH,
					     UDMABUF_ATTACH_ALWAYS + 1), -EINVAL);
	igt_assert_eq(get_info(dev).readonly_attach, UDMABUF_ATTACH_ALWAYS);
}

static void test_user(int dev)
{
	set(USER_LIMIT, "4");
	set(PROCESS_SHARE, "0");
	igt_fork(child, 1) {
		int memfd, dmabufs[2];
		void *map;

		become_user();
		check_user(dev, 0, MIB(4));
		dmabufs[0] = create_pages(dev, MIB(1) / page_size());
		check_user(dev, MIB(1), MIB(3));
		dmabufs[1] = create_pages(dev, MIB(3) / page_size());
		check_user(dev, MIB(4), 0);
		memfd = sealed_memfd(SHMEM, page_size());
		igt_assert_eq(__create(dev, memfd, 0, page_size()), -ENOMEM);
		check_user(dev, MIB(4), 0);

		/* It is pinned as long as anybody uses it. */
		map = map_fd(dmabufs[0], MIB(1));
		close(dmabufs[0]);
		check_user(dev, MIB(4), 0);
		unmap(map, MIB(1));
		check_user(dev, MIB(3), MIB(1));
		close(create_pages(dev, MIB(1) / page_size()));

		set_as_root(USER_LIMIT, "2");
		check_user(dev, MIB(3), 0);
		set_as_root(USER_LIMIT, "0");
		check_user(dev, MIB(3), UNLIMITED);
		close(dmabufs[1]);
		check_user(dev, 0, UNLIMITED);

		/* Another user's are not counted, nor is root limited. */
		set_as_root(USER_LIMIT, "1");
		dmabufs[0] = create_pages(dev, 1);
		igt_assert_eq(setresuid(0, 0, 0), 0);
		igt_assert_eq_u64(get_info(dev).available, UNLIMITED);
		igt_assert_eq(setresuid(USER + 1, USER + 1, USER + 1), 0);
		check_user(dev, 0, MIB(1));
		close(dmabufs[0]);
		close(memfd);
	}
	igt_waitchildren();
}

/* In strict mode the smaller of two limits holds. */
static void test_strict(int dev)
{
	set(USER_LIMIT, "4");
	set(PROCESS_SHARE, "0");
	set(STRICT, "0");
	igt_fork(child, 1) {
		struct rlimit limit = { MIB(1), RLIM_INFINITY };
		int dmabuf;

		igt_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
		become_user();
		check_user(dev, 0, MIB(4));
		set_as_root(STRICT, "1");
		check_user(dev, 0, MIB(1));
		dmabuf = create_pages(dev, 64);
		check_user(dev, pages(64), MIB(1) - pages(64));
		set_as_root(STRICT, "0");
		check_user(dev, pages(64), MIB(4) - pages(64));
		set_as_root(STRICT, "1");
		close(dmabuf);
		check_user(dev, 0, MIB(1));

		set_as_root(USER_LIMIT, "0");
		check_user(dev, 0, MIB(1));
		limit.rlim_cur = 0;
		igt_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
		check_user(dev, 0, 0);
		limit.rlim_cur = RLIM_INFINITY;
		igt_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
		check_user(dev, 0, UNLIMITED);
		set_as_root(USER_LIMIT, "2");
		check_user(dev, 0, MIB(2));
	}
	igt_waitchildren();
}

static void test_pointers(int dev)
{
	struct udmabuf_info *arg;
	char *map;

	igt_assert_eq(ioctl(dev, UDMABUF_GET_INFO, NULL), -1);
	igt_assert_eq(errno, EFAULT);

	/* Two pages, of which only the first can be written. */
	map = mmap(NULL, pages(2), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	igt_assert(map != MAP_FAILED);
	igt_assert_eq(mprotect(map + page_size(), page_size(), PROT_READ), 0);
	arg = (void *)(map + page_size() - sizeof(*arg) / 2);
	igt_assert_eq(ioctl(dev, UDMABUF_GET_INFO, arg), -1);
	igt_assert_eq(errno, EFAULT);
	arg = (void *)(map + page_size() - sizeof(*arg));
	igt_assert_eq(ioctl(dev, UDMABUF_GET_INFO, arg), 0);
	unmap(map, pages(2));
}

/* All numbers of the kind, and the known ones with another size or direction. */
static void test_unknown(int dev)
{
	static const unsigned long known[] = {
		UDMABUF_CREATE, UDMABUF_CREATE_LIST, UDMABUF_GET_INFO,
		UDMABUF_CREATE_EXT,
	};
	char arg[256] = "";

	for (unsigned int nr = 0; nr < 256; nr++) {
		const unsigned long requests[] = {
			_IO('u', nr), _IOR('u', nr, uint32_t),
			_IOW('u', nr, uint32_t), _IOWR('u', nr, arg),
			_IOWR('u', nr, struct udmabuf_info),
			_IOR('u', nr, struct udmabuf_create_ext),
		};

		for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
			for (size_t k = 0; k < ARRAY_SIZE(known); k++)
				igt_assert(requests[i] != known[k]);
			errno = 0;
			igt_assert_eq(ioctl(dev, requests[i], arg), -1);
			igt_assert_eq(errno, ENOTTY);
		}
	}
}

void udmabuf_ext_info_subtests(int dev)
{
	igt_describe("UDMABUF_GET_INFO tells the version and the flags, and zeroes");
	igt_subtest("info-version")
		udmabuf_test(test_version, dev);
	igt_describe("Its limits are the module's parameters, of which values that mean nothing "
		     "are refused");
	igt_subtest("info-parameters")
		udmabuf_test(test_parameters, dev);
	igt_describe("What a user has pinned and may pin follows its dma-bufs and its limit");
	igt_subtest("info-user")
		udmabuf_test(test_user, dev);
	igt_describe("In strict mode RLIMIT_MEMLOCK is taken into account");
	igt_subtest("info-strict")
		udmabuf_test(test_strict, dev);
	igt_describe("A result that cannot be written is EFAULT");
	igt_subtest("info-pointers")
		udmabuf_test(test_pointers, dev);
	igt_describe("All other numbers, sizes and directions are ENOTTY");
	igt_subtest("info-unknown-ioctls")
		udmabuf_test(test_unknown, dev);
}
