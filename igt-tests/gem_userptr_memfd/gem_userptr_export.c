// SPDX-License-Identifier: MIT
/*
 * The export of userptr objects over memfds as dma-bufs of their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "charge_helper.h"
#include "gem_userptr.h"
#include "igt.h"

/* An object over memory that is left alone cannot be exported. */
static void check_refused(int i915, void *mem)
{
	uint32_t handle = userptr(i915, mem, pages(NPAGES));

	gpu_write(i915, handle, NPAGES, 1);
	igt_assert_eq(__export_object(i915, handle), -EINVAL);
	gem_close(i915, handle);
}

static void check_refused_memfd(int i915, int seals, int map_flags)
{
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES));
	void *mem = mmap(NULL, pages(NPAGES), PROT_READ | PROT_WRITE, map_flags,
			 memfd, 0);

	igt_assert(mem != MAP_FAILED);
	seal(memfd, seals);
	check_refused(i915, mem);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

static void test_refused_anon(int i915)
{
	void *mem = anon(MIB(2));

	check_refused(i915, mem);
	unmap(mem, MIB(2));
}

static void test_refused_unsealed(int i915)
{
	check_refused_memfd(i915, F_SEAL_GROW, MAP_SHARED);
}

static void test_refused_sealed(int i915)
{
	check_refused_memfd(i915, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE,
			    MAP_SHARED);
}

static void test_refused_private(int i915)
{
	check_refused_memfd(i915, F_SEAL_SHRINK, MAP_PRIVATE);
}

static void test_refused_mixed(int i915)
{
	int memfd = sealed_memfd(SHMEM, pages(NPAGES / 2));
	void *mem = map_fd_at(anon(MIB(2)), memfd, pages(NPAGES / 2));

	check_refused(i915, mem);
	unmap(mem, MIB(2));
	close(memfd);
}

/* dma-bufs of a memfd, to which the GPU has written through an object */
static int export_memfd(int i915, enum backing backing, size_t size,
			size_t first, size_t count)
{
	int memfd = sealed_memfd(backing, size), dmabuf;
	char *mem = map_fd(memfd, size);
	uint32_t handle = userptr(i915, mem + pages(first), pages(count));

	gpu_write(i915, handle, count, 1000);
	dmabuf = export_object(i915, handle);
	igt_assert_eq_u64(fd_size(dmabuf), pages(count));
	gem_close(i915, handle);
	unmap(mem, size);
	close(memfd);
	return dmabuf;
}

static void check_contents(int dmabuf, size_t count)
{
	void *buf = map_fd(dmabuf, pages(count));

	prime_sync_start(dmabuf, false);
	igt_assert_eq_u64(count_written(buf, count, 1000), count);
	prime_sync_end(dmabuf, false);
	unmap(buf, pages(count));
}

/* Object, mapping and memfd are gone. */
static void test_outlives(int i915)
{
	int dmabuf = export_memfd(i915, SHMEM, MIB(2), 3, NPAGES);

	check_contents(dmabuf, NPAGES);
	close(dmabuf);
}

static void test_hugetlb_middle(int i915)
{
	int dmabuf = export_memfd(i915, HUGE_2M, MIB(6), 509, 3 + 512 + 5);

	check_contents(dmabuf, 3 + 512 + 5);
	close(dmabuf);
}

static void test_process(int i915)
{
	int dmabuf = export_memfd(i915, SHMEM, MIB(2), 0, NPAGES);

	igt_fork(child, 1)
		check_contents(dmabuf, NPAGES);
	igt_waitchildren();
	close(dmabuf);
}

/* For a while the other device is the only one that has it. */
static void test_second_device(int i915)
{
	int vgem = drm_open_driver(DRIVER_VGEM);
	int dmabuf = export_memfd(i915, SHMEM, MIB(2), 0, NPAGES);
	uint32_t handle = prime_fd_to_handle(vgem, dmabuf);

	close(dmabuf);
	dmabuf = prime_handle_to_fd_for_mmap(vgem, handle);
	gem_close(vgem, handle);
	check_contents(dmabuf, NPAGES);
	close(dmabuf);
	drm_close_driver(vgem);
}

/* The GPU writes to an import, on another descriptor of the device. */
static void test_import(int i915)
{
	int memfd = sealed_memfd(SHMEM, pages(NPAGES)), other, dmabuf;
	void *mem = map_fd(memfd, pages(NPAGES));
	uint32_t handle = userptr(i915, mem, pages(NPAGES)), import;

	dmabuf = export_object(i915, handle);
	other = drm_open_driver(DRIVER_INTEL);
	import = prime_fd_to_handle(other, dmabuf);
	gpu_write(other, import, NPAGES, 3000);
	igt_assert_eq_u64(count_written(mem, NPAGES, 3000), NPAGES);
	gem_close(other, import);
	igt_drop_caches_set(other, DROP_RETIRE | DROP_FREED);
	drm_close_driver(other);
	close(dmabuf);
	gem_close(i915, handle);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

/* The object follows its mapping as before, and the dma-buf does not. */
static void test_object_stays(int i915)
{
	int memfd = sealed_memfd(SHMEM, pages(NPAGES)), dmabuf;
	void *mem = map_fd(memfd, pages(NPAGES));
	uint32_t handle = userptr(i915, mem, pages(NPAGES));

	gpu_write(i915, handle, NPAGES, 1000);
	dmabuf = export_object(i915, handle);
	gpu_write(i915, handle, NPAGES, 1000);
	unmap(mem, pages(NPAGES));
	igt_assert_eq(__gpu_write(i915, handle, NPAGES, 2), -EFAULT);
	check_contents(dmabuf, NPAGES);

	igt_assert(mmap(mem, pages(NPAGES), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == mem);
	gpu_write(i915, handle, NPAGES, 4000);
	igt_assert_eq_u64(count_written(mem, NPAGES, 4000), NPAGES);
	check_contents(dmabuf, NPAGES);
	close(dmabuf);
	gem_close(i915, handle);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

/* Pins that are there for as long as the user likes are limited. */
static void test_limit(int i915)
{
	int memfd = sealed_memfd(SHMEM, MIB(2));
	void *mem = map_fd(memfd, MIB(2));

	set(USER_LIMIT, "%d", 1);
	igt_fork(child, 1) {
		uint32_t handle = userptr(i915, mem, MIB(2));

		igt_assert_eq(setresuid(65534, 65534, -1), 0);
		igt_assert_eq(__export_object(i915, handle), -ENOMEM);
		gem_close(i915, handle);
		handle = userptr(i915, mem, pages(1));
		close(export_object(i915, handle));
		gem_close(i915, handle);
	}
	igt_waitchildren();
	unmap(mem, MIB(2));
	close(memfd);
}

void gem_userptr_export_subtests(int i915)
{
	igt_describe("Export is refused with EINVAL for anonymous memory");
	igt_subtest("export-refused-anon")
		userptr_test(test_refused_anon, i915);
	igt_describe("Export is refused with EINVAL for a memfd without F_SEAL_SHRINK");
	igt_subtest("export-refused-unsealed")
		userptr_test(test_refused_unsealed, i915);
	igt_describe("Export is refused with EINVAL for a memfd that is sealed against writing, "
		     "too");
	igt_subtest("export-refused-sealed")
		userptr_test(test_refused_sealed, i915);
	igt_describe("Export is refused with EINVAL for a private mapping of a memfd");
	igt_subtest("export-refused-private")
		userptr_test(test_refused_private, i915);
	igt_describe("Export is refused with EINVAL for half a memfd and half anonymous memory");
	igt_subtest("export-refused-mixed")
		userptr_test(test_refused_mixed, i915);
	igt_describe("The dma-buf has the contents when object, mapping and memfd are gone");
	igt_subtest("export-outlives")
		userptr_test(test_outlives, i915);
	igt_describe("The same from the middle of a 2 MiB hugetlb page on");
	igt_subtest("export-hugetlb-middle")
		userptr_test(test_hugetlb_middle, i915);
	igt_describe("Another process maps the dma-buf");
	igt_subtest("export-process")
		userptr_test(test_process, i915);
	igt_describe("vgem imports the dma-buf, and is the only one to keep it");
	igt_subtest("export-second-device")
		userptr_test(test_second_device, i915);
	igt_describe("The GPU writes to an import of the dma-buf, and the process reads it");
	igt_subtest("export-import")
		userptr_test(test_import, i915);
	igt_describe("The object follows its mapping after the export, the dma-buf does not");
	igt_subtest("export-object-stays")
		userptr_test(test_object_stays, i915);
	igt_describe("ENOMEM for more than user_limit_mb");
	igt_subtest("export-limit")
		userptr_test(test_limit, i915);
}
