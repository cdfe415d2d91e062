// SPDX-License-Identifier: MIT
/*
 * Userptr objects over all kinds of memory, which the GPU writes to, and over what
 * it must not write to.
 */
#include <errno.h>
#include <i915_drm.h>
#include <string.h>
#include <sys/mman.h>

#include "gem_userptr.h"
#include "igt.h"

/* What the GPU writes is there, and nothing beside it is touched. */
static void check_write(int i915, void *mem, size_t size, size_t first,
			size_t count)
{
	size_t after = size / page_size() - first - count;
	char *ptr = (char *)mem + pages(first);
	uint32_t handle = userptr(i915, ptr, pages(count));

	gpu_write(i915, handle, count, 1000);
	igt_assert_eq_u64(count_written(ptr, count, 1000), count);
	/* The pages that are there already. */
	gpu_write(i915, handle, count, 5000);
	igt_assert_eq_u64(count_written(ptr, count, 5000), count);
	igt_assert_eq_u64(count_zero(mem, first), first);
	igt_assert_eq_u64(count_zero(ptr + pages(count), after), after);
	gem_close(i915, handle);
	unmap(mem, size);
}

static void check_memfd(int i915, enum backing backing, size_t size,
			size_t first, size_t count)
{
	int memfd = unsealed_memfd(backing, size);

	check_write(i915, map_fd(memfd, size), size, first, count);
	close(memfd);
}

static void test_anon(int i915)
{
	check_write(i915, anon_small(MIB(2)), MIB(2), 3, NPAGES);
}

static void test_anon_thp(int i915)
{
	check_write(i915, anon_thp(MIB(4)), MIB(4), 500, NPAGES);
}

static void test_shmem(int i915)
{
	check_memfd(i915, SHMEM, MIB(2), 3, NPAGES);
}

static void test_thp(int i915)
{
	check_memfd(i915, THP, MIB(4), 500, NPAGES);
}

static void test_hugetlb(int i915)
{
	check_memfd(i915, HUGE_2M, MIB(4), 0, 1024);
}

static void test_hugetlb_middle(int i915)
{
	check_memfd(i915, HUGE_2M, MIB(6), 509, 3 + 512 + 5);
}

/* The GPU writes to what is the process's alone. */
static void test_private(int i915)
{
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES));
	char *file = map_fd(memfd, pages(NPAGES));
	char *mem = mmap(NULL, pages(NPAGES), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE, memfd, 0);
	uint32_t handle;

	igt_assert(mem != MAP_FAILED);
	handle = userptr(i915, mem, pages(NPAGES));
	gpu_write(i915, handle, NPAGES, 1);
	igt_assert_eq_u64(count_written(mem, NPAGES, 1), NPAGES);
	igt_assert_eq_u64(count_zero(file, NPAGES), NPAGES);
	gem_close(i915, handle);
	unmap(mem, pages(NPAGES));
	unmap(file, pages(NPAGES));
	close(memfd);
}

/* Half a memfd and half anonymous memory */
static void test_mixed(int i915)
{
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES / 2));
	char *mem = anon(MIB(2));
	uint32_t handle;

	map_fd_at(mem, memfd, pages(NPAGES / 2));
	handle = userptr(i915, mem, pages(NPAGES));
	gpu_write(i915, handle, NPAGES, 1);
	igt_assert_eq_u64(count_written(mem, NPAGES, 1), NPAGES);
	gem_close(i915, handle);
	unmap(mem, MIB(2));
	close(memfd);
}

static void test_readonly_mapping(int i915)
{
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES));
	char *mem = mmap(NULL, pages(NPAGES), PROT_READ, MAP_SHARED, memfd, 0);
	uint32_t handle;

	igt_assert(mem != MAP_FAILED);
	handle = userptr(i915, mem, pages(NPAGES));
	igt_assert_eq(__gpu_write(i915, handle, NPAGES, 1), -EFAULT);
	igt_assert_eq_u64(count_zero(mem, NPAGES), NPAGES);
	gem_close(i915, handle);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

/* The submission succeeds, and what the GPU writes goes nowhere. */
static void test_readonly_object(int i915)
{
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES)), ret;
	char *mem = mmap(NULL, pages(NPAGES), PROT_READ, MAP_SHARED, memfd, 0);
	uint32_t handle;

	igt_assert(mem != MAP_FAILED);
	ret = __userptr(i915, mem, pages(NPAGES), I915_USERPTR_READ_ONLY,
			&handle);
	igt_require_f(ret != -ENODEV, "the GPU knows no read-only memory\n");
	igt_assert_eq(ret, 0);
	__gpu_write(i915, handle, NPAGES, 1);
	igt_assert_eq_u64(count_zero(mem, NPAGES), NPAGES);
	gem_close(i915, handle);
	unmap(mem, pages(NPAGES));
	close(memfd);
}

#define FAIL	"/sys/kernel/debug/memfd_pin/fail_fast_only/interval"

/* Every n-th call of pin_user_pages_fast_only() pins nothing. */
static void test_fast_only_fails(int i915)
{
	igt_require_f(!access("/sys/module/memfd_pin/holders/i915", F_OK),
		      "i915 does not use memfd_pin\n");

	for (int interval = 1; interval <= 3; interval++) {
		set(FAIL, "%d", interval);
		check_write(i915, anon_small(MIB(2)), MIB(2), 0, 512);
		check_write(i915, anon_thp(MIB(2)), MIB(2), 3, 500);
	}
}

void gem_userptr_use_subtests(int i915)
{
	igt_describe("The process reads what the GPU wrote, and in no page beside it, with small "
		     "anonymous pages");
	igt_subtest("write-anon")
		userptr_test(test_anon, i915);
	igt_describe("The process reads what the GPU wrote, and in no page beside it, with "
		     "transparent huge anonymous pages, from the middle of one on");
	igt_subtest("write-anon-thp")
		userptr_test(test_anon_thp, i915);
	igt_describe("The process reads what the GPU wrote, and in no page beside it, with a "
		     "memfd of small pages");
	igt_subtest("write-shmem")
		userptr_test(test_shmem, i915);
	igt_describe("The process reads what the GPU wrote, and in no page beside it, with a "
		     "memfd of transparent huge pages, from the middle of one on");
	igt_subtest("write-thp-middle")
		userptr_test(test_thp, i915);
	igt_describe("The process reads what the GPU wrote, and in no page beside it, with a "
		     "memfd of 2 MiB hugetlb pages");
	igt_subtest("write-hugetlb")
		userptr_test(test_hugetlb, i915);
	igt_describe("The process reads what the GPU wrote, and in no page beside it, with a "
		     "memfd of 2 MiB hugetlb pages, from the middle of one on");
	igt_subtest("write-hugetlb-middle")
		userptr_test(test_hugetlb_middle, i915);
	igt_describe("The process reads what the GPU wrote, and in no page beside it, with a "
		     "private mapping of a memfd, which itself stays as it was");
	igt_subtest("write-private")
		userptr_test(test_private, i915);
	igt_describe("The process reads what the GPU wrote, and in no page beside it, with half a "
		     "memfd and half anonymous memory");
	igt_subtest("write-mixed")
		userptr_test(test_mixed, i915);
	igt_describe("What the process may not write to, the GPU may not");
	igt_subtest("readonly-mapping")
		userptr_test(test_readonly_mapping, i915);
	igt_describe("The GPU cannot write to an object that is made read-only");
	igt_subtest("readonly-object")
		userptr_test(test_readonly_object, i915);
	igt_describe("Calls of pin_user_pages_fast_only() fail now and then, and nobody notices");
	igt_subtest("fast-only-fails")
		userptr_test(test_fast_only_fails, i915);
}
