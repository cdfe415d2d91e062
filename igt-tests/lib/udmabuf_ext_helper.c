// SPDX-License-Identifier: MIT
/*
 * What the tests of <linux/udmabuf_ext.h> share.
 */
#include <drm.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "igt.h"
#include "udmabuf_ext_helper.h"

const struct memory_kind memory_kinds[] = {
	{ "shmem", SHMEM },
	{ "thp", THP },
	{ "hugetlb", HUGE_2M },
	{ }
};

struct udmabuf_info get_info(int dev)
{
	struct udmabuf_info info;

	/* What is not returned is not 0 by chance. */
	memset(&info, 0xff, sizeof(info));
	igt_assert_eq(ioctl(dev, UDMABUF_GET_INFO, &info), 0);
	return info;
}

int __create_ext(int dev, uint32_t flags, uint32_t count,
		 const struct udmabuf_create_item *items)
{
	struct udmabuf_create_ext arg = {
		.flags = flags | UDMABUF_FLAGS_CLOEXEC,
		.count = count,
		.items = (uintptr_t)items,
		.fd = -1,
	};

	return ioctl(dev, UDMABUF_CREATE_EXT, &arg) ? -errno : arg.fd;
}

int __create_flags(int dev, uint32_t flags, int memfd, uint64_t offset,
		   uint64_t size)
{
	struct udmabuf_create_item item = {
		.memfd = memfd,
		.offset = offset,
		.size = size,
	};

	return __create_ext(dev, flags, 1, &item);
}

int create_flags(int dev, uint32_t flags, int memfd, uint64_t offset,
		 uint64_t size)
{
	int fd = __create_flags(dev, flags, memfd, offset, size);

	igt_assert_f(fd >= 0, "UDMABUF_CREATE_EXT: %s\n", strerror(-fd));
	igt_assert_eq_u64(fd_size(fd), size);
	return fd;
}

int filled_memfd(enum backing backing, size_t size)
{
	int64_t thp = vmstat("nr_shmem_hugepages");
	int memfd = unsealed_memfd(backing, size);
	void *mem = map_fd(memfd, size);

	fill(mem, 0, size / page_size(), 1);
	unmap(mem, size);
	if (backing == THP)
		igt_require_f(vmstat("nr_shmem_hugepages") - thp ==
			      (int64_t)(whole_folios(THP, size) / PMD),
			      "no transparent huge pages for shmem\n");
	return memfd;
}

int import_into(int drm, int dmabuf, uint32_t *handle)
{
	struct drm_prime_handle prime = { .fd = dmabuf };

	if (ioctl(drm, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime))
		return -errno;
	*handle = prime.handle;
	return 0;
}
