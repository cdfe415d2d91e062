// SPDX-License-Identifier: MIT
/*
 * dma-bufs that are read-only, as far as devices and their drivers are concerned;
 * and what they do to the memory of any dma-buf when they have bounce buffers.
 */
#include <drm.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "igt.h"
#include "udmabuf_ext.h"
#include "vivid_helper.h"

#define NPAGES	64

static int filled_readonly(int dev)
{
	int memfd = filled_memfd(SHMEM, pages(NPAGES)), dmabuf;

	seal(memfd, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_READONLY, memfd, 0,
			      pages(NPAGES));
	close(memfd);
	return dmabuf;
}

static void check_contents(int dmabuf, uint64_t seed)
{
	void *buf = mmap(NULL, pages(NPAGES), PROT_READ, MAP_SHARED, dmabuf, 0);

	igt_assert(buf != MAP_FAILED);
	igt_assert_eq(count_filled(buf, 0, NPAGES, seed), NPAGES);
	unmap(buf, pages(NPAGES));
}

/* Nothing but an IOMMU keeps a device from writing, and vgem has none. */
static void test_refused(int dev)
{
	int vgem = drm_open_driver(DRIVER_VGEM), dmabuf = filled_readonly(dev);
	int memfd = sealed_memfd(SHMEM, pages(1)), other;
	uint32_t handle;

	other = create(dev, memfd, 0, pages(1));
	for (int value = UDMABUF_ATTACH_NEVER; value <= UDMABUF_ATTACH_IOMMU; value++) {
		set_module_attribute(dev, READONLY_ATTACH, value);
		igt_assert_eq(import_into(vgem, dmabuf, &handle), -EPERM);
		/* Those that can be written are not concerned. */
		igt_assert_eq(import_into(vgem, other, &handle), 0);
		gem_close(vgem, handle);
	}
	set_module_attribute(dev, READONLY_ATTACH, UDMABUF_ATTACH_ALWAYS);
	igt_assert_eq(import_into(vgem, dmabuf, &handle), 0);
	gem_close(vgem, handle);
	close(other);
	close(memfd);
	close(dmabuf);
	drm_close_driver(vgem);
}

static void refuse_protect(void *ptr)
{
	igt_assert_eq(mprotect(ptr, pages(NPAGES), PROT_READ | PROT_WRITE), -1);
	igt_assert_eq(errno, EACCES);
}

/* A mapping by way of the importer's file is not checked by that of the dma-buf. */
static void test_vgem(int dev)
{
	int vgem = drm_open_driver(DRIVER_VGEM), dmabuf = filled_readonly(dev), again;
	uint64_t offset = next_vgem_offset(vgem, pages(NPAGES));
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };
	struct stat old, new;
	uint32_t handle;
	char *bo;

	set_module_attribute(dev, READONLY_ATTACH, UDMABUF_ATTACH_ALWAYS);
	igt_assert_eq(import_into(vgem, dmabuf, &handle), 0);

	/* To ask for a descriptor that can be written does not make it one. */
	prime.handle = handle;
	igt_assert_eq(ioctl(vgem, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime), 0);
	again = prime.fd;
	igt_assert_eq(fstat(dmabuf, &old), 0);
	igt_assert_eq(fstat(again, &new), 0);
	igt_assert_eq_u64(old.st_ino, new.st_ino);
	igt_assert_eq(fcntl(again, F_GETFL) & O_ACCMODE, O_RDONLY);
	igt_assert(mmap(NULL, pages(NPAGES), PROT_READ | PROT_WRITE, MAP_SHARED,
			again, 0) == MAP_FAILED);
	igt_assert_eq(errno, EACCES);
	close(again);

	igt_assert(mmap(NULL, pages(NPAGES), PROT_READ | PROT_WRITE, MAP_SHARED,
			vgem, offset) == MAP_FAILED);
	igt_assert_eq(errno, EACCES);
	bo = mmap(NULL, pages(NPAGES), PROT_READ, MAP_SHARED, vgem, offset);
	igt_assert_f(bo != MAP_FAILED, "mmap of vgem: %s\n", strerror(errno));
	refuse_protect(bo);
	igt_assert_eq(count_filled(bo, 0, NPAGES, 1), NPAGES);
	refuse_protect(bo);

	/* Nor when it is the only one that holds the dma-buf. */
	close(dmabuf);
	igt_assert(mmap(NULL, pages(NPAGES), PROT_WRITE, MAP_SHARED, vgem,
			offset) == MAP_FAILED);
	igt_assert_eq(errno, EACCES);
	refuse_protect(bo);
	igt_assert_eq(count_filled(bo, 0, NPAGES, 1), NPAGES);
	unmap(bo, pages(NPAGES));
	gem_close(vgem, handle);
	drm_close_driver(vgem);
}

/*
 * A device with a bounce buffer that could write would write here: what it has got
 * when it was attached is older than what the owner has written since.
 */
static void test_sync_vgem(int dev)
{
	int memfd = filled_memfd(SHMEM, pages(NPAGES)), dmabuf;
	int vgem = drm_open_driver(DRIVER_VGEM);
	char *mem = map_fd(memfd, pages(NPAGES));
	uint32_t handle;

	set_module_attribute(dev, READONLY_ATTACH, UDMABUF_ATTACH_ALWAYS);
	seal(memfd, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_READONLY, memfd, 0,
			      pages(NPAGES));
	igt_assert_eq(import_into(vgem, dmabuf, &handle), 0);
	for (int seed = 2; seed < 4; seed++) {
		fill(mem, 0, NPAGES, seed);
		prime_sync_start(dmabuf, seed % 2);
		check_contents(dmabuf, seed);
		prime_sync_end(dmabuf, seed % 2);
		check_contents(dmabuf, seed);
	}
	gem_close(vgem, handle);
	drm_close_driver(vgem);
	check_contents(dmabuf, 3);
	close(dmabuf);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

/*
 * Small enough for one segment of the camera, 64 KiB: several need not get bounce
 * buffers side by side, and that it wants.
 */
#define WIDTH		320
#define HEIGHT		180
#define FRAME_PAGES	15

/* A camera without DMA of its own maps it into the kernel. */
static void test_vmap(int dev)
{
	int camera = open_camera(VIVID_VMAP), dmabuf = filled_readonly(dev);
	uint32_t size = set_frame(camera, V4L2_PIX_FMT_GREY, WIDTH, HEIGHT);
	unsigned int count = request_buffers(camera, V4L2_MEMORY_DMABUF);
	int memfd;

	set_module_attribute(dev, READONLY_ATTACH, UDMABUF_ATTACH_ALWAYS);
	igt_assert_lt(0, count);
	igt_assert_lte(size, pages(NPAGES));
	igt_assert_eq(queue_dmabuf(camera, 0, dmabuf, pages(NPAGES)), -EFAULT);
	check_contents(dmabuf, 1);
	close(dmabuf);
	/* It is not the size. */
	memfd = sealed_memfd(SHMEM, pages(NPAGES));
	dmabuf = create(dev, memfd, 0, pages(NPAGES));
	igt_assert_eq(queue_dmabuf(camera, 0, dmabuf, pages(NPAGES)), 0);
	close(camera);
	close(dmabuf);
	close(memfd);
}

/*
 * A device that is going to write has it mapped as one that reads: what is in its
 * bounce buffer, if it has one, is not copied back when it is gone.
 */
static void test_map_for_writing(int dev)
{
	int camera = open_camera(VIVID_DMA), memfd, dmabuf;
	char *mem;

	set_module_attribute(dev, READONLY_ATTACH, UDMABUF_ATTACH_ALWAYS);
	igt_assert_lte(set_frame(camera, V4L2_PIX_FMT_GREY, WIDTH, HEIGHT),
		       pages(FRAME_PAGES));
	igt_assert_lt(0, request_buffers(camera, V4L2_MEMORY_DMABUF));
	/* In one piece, as the camera's DMA wants it. */
	memfd = sealed_memfd(HUGE_2M, MIB(2));
	mem = map_fd(memfd, MIB(2));
	fill(mem, 0, FRAME_PAGES, 1);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_READONLY, memfd, 0,
			      pages(FRAME_PAGES));
	igt_assert_eq(queue_dmabuf(camera, 0, dmabuf, pages(FRAME_PAGES)), 0);

	fill(mem, 0, FRAME_PAGES, 2);
	prime_sync_start(dmabuf, false);
	prime_sync_end(dmabuf, false);
	igt_assert_eq(count_filled(mem, 0, FRAME_PAGES, 2), FRAME_PAGES);
	fill(mem, 0, FRAME_PAGES, 3);
	close(camera);
	igt_assert_eq(count_filled(mem, 0, FRAME_PAGES, 3), FRAME_PAGES);
	close(dmabuf);
	unmap(mem, MIB(2));
	close(memfd);
}

/*
 * A device that is only going to write has the dma-buf mapped. What the CPU writes
 * after that, and says so, has to be there later.
 */
static void test_sync_written(int dev)
{
	int camera = open_camera(VIVID_DMA), memfd, dmabuf;
	uint32_t size = set_frame(camera, V4L2_PIX_FMT_GREY, WIDTH, HEIGHT);
	char *buf;

	igt_assert_lte(size, pages(FRAME_PAGES));
	request_buffers(camera, V4L2_MEMORY_DMABUF);
	/* In one piece, as the camera's DMA wants it. */
	memfd = sealed_memfd(HUGE_2M, MIB(2));
	dmabuf = create(dev, memfd, 0, pages(FRAME_PAGES));
	buf = map_fd(dmabuf, pages(FRAME_PAGES));
	fill(buf, 0, FRAME_PAGES, 1);
	igt_assert_eq(queue_dmabuf(camera, 0, dmabuf, pages(FRAME_PAGES)), 0);

	for (int seed = 2; seed < 4; seed++) {
		prime_sync_start(dmabuf, true);
		fill(buf, 0, FRAME_PAGES, seed);
		prime_sync_end(dmabuf, true);
		prime_sync_start(dmabuf, false);
		igt_assert_eq(count_filled(buf, 0, FRAME_PAGES, seed),
			      FRAME_PAGES);
		prime_sync_end(dmabuf, false);
	}
	close(camera);
	igt_assert_eq(count_filled(buf, 0, FRAME_PAGES, 3), FRAME_PAGES);
	unmap(buf, pages(FRAME_PAGES));
	close(dmabuf);
	close(memfd);
}

void udmabuf_ext_import_subtests(int dev)
{
	igt_describe("A device without an IOMMU may only attach where the administrator "
		     "allows it");
	igt_subtest("readonly-attach")
		udmabuf_test(test_refused, dev);
	igt_describe("Imported by vgem, it cannot be written through its handle, nor through what "
		     "vgem exports");
	igt_subtest("readonly-vgem")
		udmabuf_test(test_vgem, dev);
	igt_describe("DMA_BUF_IOCTL_SYNC never writes to it, not from a bounce buffer either");
	igt_subtest("readonly-sync-vgem")
		udmabuf_test(test_sync_vgem, dev);
	igt_describe("A driver cannot map it into the kernel");
	igt_subtest("readonly-vmap-vivid")
		udmabuf_test(test_vmap, dev);
	igt_describe("Mapped for a device that is going to write, it gets nothing from its bounce "
		     "buffer");
	igt_subtest("readonly-map-for-writing-vivid")
		udmabuf_test(test_map_for_writing, dev);
	igt_describe("What the CPU writes while a dma-buf is mapped for a device that is going to "
		     "write is there after DMA_BUF_IOCTL_SYNC");
	igt_subtest("sync-written-vivid")
		udmabuf_test(test_sync_written, dev);
}
