// SPDX-License-Identifier: MIT
/*
 * What the tests of i915's userptr objects share: objects over user memory, and a
 * GPU that writes to them.
 */
#include <drm.h>
#include <errno.h>
#include <fcntl.h>
#include <i915_drm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gem_userptr.h"
#include "igt.h"

/* Where batch and object lie in the GPU's address space */
#define BATCH_ADDRESS	(1ULL << 20)
#define OBJECT_ADDRESS	(1ULL << 30)

#define CMD_BATCH_BUFFER_END	(0xa << 23)
/* One dword to an address of 64 bits, which is what the GPU has since gen8 */
#define CMD_STORE_DWORD_IMM	(0x20 << 23 | 2)
#define STORE_DWORDS		4

static int ioctl_restart(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret && (errno == EINTR || errno == EAGAIN));
	return ret ? -errno : 0;
}

int open_i915(void)
{
	struct drm_i915_gem_context_param param = {
		.param = I915_CONTEXT_PARAM_GTT_SIZE,
	};
	int i915 = drm_open_driver(DRIVER_INTEL);

	igt_require_f(!ioctl_restart(i915, DRM_IOCTL_I915_GEM_CONTEXT_GETPARAM, &param) &&
		      param.value > 1ULL << 32,
		      "the GPU has no address space of more than 4 GiB\n");
	igt_require_f(geteuid() == 0, "needs to be root\n");
	return i915;
}

void userptr_test(void (*test)(int i915), int i915)
{
	int64_t pins;
	int fds;

	/* In case the last subtest failed halfway. */
	restore_settings();
	pins = pins_held();
	fds = count_open_fds();

	test(i915);

	restore_settings();
	igt_assert_eq(count_open_fds(), fds);
	/* Closed objects are freed by a worker. */
	igt_drop_caches_set(i915, DROP_RETIRE | DROP_FREED);
	igt_assert_eq_s64(pins_held(), pins);
}

/* Objects */

int __userptr(int i915, void *ptr, size_t size, uint32_t flags,
	      uint32_t *handle)
{
	struct drm_i915_gem_userptr arg = {
		.user_ptr = (uintptr_t)ptr,
		.user_size = size,
		.flags = flags,
	};
	int ret = ioctl_restart(i915, DRM_IOCTL_I915_GEM_USERPTR, &arg);

	*handle = arg.handle;
	return ret;
}

uint32_t userptr(int i915, void *ptr, size_t size)
{
	uint32_t handle;

	igt_assert_eq(__userptr(i915, ptr, size, 0, &handle), 0);
	return handle;
}

/* The GPU */

static uint32_t *map_object(int i915, uint32_t handle, size_t size)
{
	struct drm_i915_gem_mmap_offset arg = {
		.handle = handle,
		.flags = I915_MMAP_OFFSET_WB,
	};
	uint32_t *map;

	/* Devices with memory of their own know best. */
	if (ioctl_restart(i915, DRM_IOCTL_I915_GEM_MMAP_OFFSET, &arg)) {
		arg.flags = I915_MMAP_OFFSET_FIXED;
		igt_assert_eq(ioctl_restart(i915, DRM_IOCTL_I915_GEM_MMAP_OFFSET,
					    &arg), 0);
	}
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, i915,
		   arg.offset);
	igt_assert(map != MAP_FAILED);
	return map;
}

static uint32_t create_batch(int i915, size_t count, uint32_t value)
{
	size_t size = (count * STORE_DWORDS + 2) * sizeof(uint32_t);
	struct drm_i915_gem_create create = {};
	struct drm_i915_gem_set_domain domain = {
		.read_domains = I915_GEM_DOMAIN_CPU,
		.write_domain = I915_GEM_DOMAIN_CPU,
	};
	uint32_t *batch, *cs;

	size = (size + page_size() - 1) & -page_size();
	create.size = size;
	igt_assert_eq(ioctl_restart(i915, DRM_IOCTL_I915_GEM_CREATE, &create), 0);
	batch = map_object(i915, create.handle, size);
	domain.handle = create.handle;
	/* Where the kernel does without, there is nothing to flush. */
	ioctl_restart(i915, DRM_IOCTL_I915_GEM_SET_DOMAIN, &domain);

	cs = batch;
	for (size_t page = 0; page < count; page++) {
		uint64_t address = OBJECT_ADDRESS + pages(page);

		*cs++ = CMD_STORE_DWORD_IMM;
		*cs++ = address;
		*cs++ = address >> 32;
		*cs++ = value + page;
	}
	*cs++ = CMD_BATCH_BUFFER_END;
	*cs++ = 0;
	munmap(batch, size);
	return create.handle;
}

int __gpu_write(int i915, uint32_t handle, size_t count, uint32_t value)
{
	struct drm_i915_gem_exec_object2 objects[2] = {
		{
			.handle = handle,
			.offset = OBJECT_ADDRESS,
			.flags = EXEC_OBJECT_PINNED | EXEC_OBJECT_WRITE |
				 EXEC_OBJECT_SUPPORTS_48B_ADDRESS,
		},
		{
			.handle = create_batch(i915, count, value),
			.offset = BATCH_ADDRESS,
			.flags = EXEC_OBJECT_PINNED |
				 EXEC_OBJECT_SUPPORTS_48B_ADDRESS,
		},
	};
	struct drm_i915_gem_execbuffer2 exec = {
		.buffers_ptr = (uintptr_t)objects,
		.buffer_count = ARRAY_SIZE(objects),
		.flags = I915_EXEC_DEFAULT | I915_EXEC_NO_RELOC,
	};
	struct drm_i915_gem_wait wait = {
		.bo_handle = objects[1].handle,
		.timeout_ns = -1,
	};
	int ret = ioctl_restart(i915, DRM_IOCTL_I915_GEM_EXECBUFFER2, &exec);

	if (!ret)
		igt_assert_eq(ioctl_restart(i915, DRM_IOCTL_I915_GEM_WAIT, &wait), 0);
	gem_close(i915, objects[1].handle);
	return ret;
}

void gpu_write(int i915, uint32_t handle, size_t count, uint32_t value)
{
	igt_assert_eq(__gpu_write(i915, handle, count, value), 0);
}

size_t count_written(const void *ptr, size_t count, uint32_t value)
{
	const uint32_t *word = ptr;
	size_t found = 0;

	for (size_t page = 0; page < count; page++)
		found += READ_ONCE(word[pages(page) / sizeof(*word)]) == value + page;
	return found;
}

/* dma-bufs */

int __export_object(int i915, uint32_t handle)
{
	struct drm_prime_handle arg = {
		.handle = handle,
		.flags = DRM_CLOEXEC | DRM_RDWR,
		.fd = -1,
	};
	int ret = ioctl_restart(i915, DRM_IOCTL_PRIME_HANDLE_TO_FD, &arg);

	return ret ?: arg.fd;
}

int export_object(int i915, uint32_t handle)
{
	int fd = __export_object(i915, handle);

	igt_assert_f(fd >= 0, "export: %s\n", strerror(-fd));
	return fd;
}
