// SPDX-License-Identifier: MIT
/*
 * What happens to a userptr object when the process, or somebody else, changes
 * the memory that it is made of: the next use sees the new pages, or fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gem_userptr.h"
#include "igt.h"

/* A memfd, its mapping, and an object over that which the GPU has used */
struct used {
	int memfd;
	char *mem;
	uint32_t handle;
};

static struct used use_memfd(int i915)
{
	struct used used = { .memfd = unsealed_memfd(SHMEM, pages(NPAGES)) };

	used.mem = map_fd(used.memfd, pages(NPAGES));
	used.handle = userptr(i915, used.mem, pages(NPAGES));
	gpu_write(i915, used.handle, NPAGES, 1);
	return used;
}

static void end_use(int i915, struct used *used)
{
	gem_close(i915, used->handle);
	unmap(used->mem, pages(NPAGES));
	close(used->memfd);
}

static void check_next_use(int i915, const struct used *used, const void *ptr)
{
	gpu_write(i915, used->handle, NPAGES, 7000);
	igt_assert_eq_u64(count_written(ptr, NPAGES, 7000), NPAGES);
}

static void test_munmap(int i915)
{
	struct used used = use_memfd(i915);

	unmap(used.mem, pages(NPAGES));
	igt_assert_eq(__gpu_write(i915, used.handle, NPAGES, 2), -EFAULT);
	map_fd_at(used.mem, used.memfd, pages(NPAGES));
	igt_assert_eq_u64(count_written(used.mem, NPAGES, 1), NPAGES);
	check_next_use(i915, &used, used.mem);
	end_use(i915, &used);
}

/* Another file at the same place */
static void test_replace(int i915)
{
	struct used used = use_memfd(i915);
	int other = unsealed_memfd(SHMEM, pages(NPAGES));
	char *file = map_fd(used.memfd, pages(NPAGES));

	map_fd_at(used.mem, other, pages(NPAGES));
	check_next_use(i915, &used, used.mem);
	igt_assert_eq_u64(count_written(file, NPAGES, 1), NPAGES);
	unmap(file, pages(NPAGES));
	close(other);
	end_use(i915, &used);
}

/* Moved away: there is nothing at the object's address any more. */
static void test_mremap(int i915)
{
	struct used used = use_memfd(i915);
	char *moved = reserve(pages(NPAGES));

	igt_assert(mremap(used.mem, pages(NPAGES), pages(NPAGES),
			  MREMAP_MAYMOVE | MREMAP_FIXED, moved) == moved);
	igt_assert_eq(__gpu_write(i915, used.handle, NPAGES, 2), -EFAULT);
	igt_assert_eq_u64(count_written(moved, NPAGES, 1), NPAGES);
	used.mem = moved;
	end_use(i915, &used);
}

static void check_mprotect(int i915, bool touched)
{
	struct used used = use_memfd(i915);
	char *file = map_fd(used.memfd, pages(NPAGES));

	if (touched)
		igt_assert_eq_u64(count_written(used.mem, NPAGES, 1), NPAGES);
	igt_assert_eq(mprotect(used.mem, pages(NPAGES), PROT_READ), 0);
	igt_assert_eq(__gpu_write(i915, used.handle, NPAGES, 2), -EFAULT);
	igt_assert_eq_u64(count_written(file, NPAGES, 1), NPAGES);
	igt_assert_eq(mprotect(used.mem, pages(NPAGES), PROT_READ | PROT_WRITE),
		      0);
	check_next_use(i915, &used, file);
	unmap(file, pages(NPAGES));
	end_use(i915, &used);
}

static void test_mprotect(int i915)
{
	check_mprotect(i915, true);
}

/* Where the process has no page tables the kernel tells nobody. */
static void test_mprotect_untouched(int i915)
{
	check_mprotect(i915, false);
}

static void test_truncate(int i915)
{
	struct used used = use_memfd(i915);

	igt_assert_eq(ftruncate(used.memfd, pages(NPAGES / 2)), 0);
	igt_assert_eq(__gpu_write(i915, used.handle, NPAGES, 2), -EFAULT);
	igt_assert_eq(ftruncate(used.memfd, pages(NPAGES)), 0);
	igt_assert_eq_u64(count_zero(used.mem + pages(NPAGES / 2), NPAGES / 2),
			  NPAGES / 2);
	check_next_use(i915, &used, used.mem);
	end_use(i915, &used);
}

static void test_punch(int i915)
{
	struct used used = use_memfd(i915);
	char *file = map_fd(used.memfd, pages(NPAGES));

	igt_assert_eq(fallocate(used.memfd,
				FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				pages(10), pages(20)), 0);
	igt_assert_eq_u64(count_zero(file + pages(10), 20), 20);
	check_next_use(i915, &used, file);
	unmap(file, pages(NPAGES));
	end_use(i915, &used);
}

/* Holes are punched while the GPU is given work. */
static void test_punch_race(int i915)
{
	struct used used = use_memfd(i915);
	char *file = map_fd(used.memfd, pages(NPAGES));

	igt_fork(child, 1)
		for (int i = 0; i < 1000; i++)
			igt_assert_eq(fallocate(used.memfd,
						FALLOC_FL_PUNCH_HOLE |
						FALLOC_FL_KEEP_SIZE,
						pages(i % NPAGES), pages(1)), 0);
	for (int i = 0; i < 200; i++)
		gpu_write(i915, used.handle, NPAGES, i);
	igt_waitchildren();
	check_next_use(i915, &used, file);
	unmap(file, pages(NPAGES));
	end_use(i915, &used);
}

/* Who writes after a fork gets another page, which is what the GPU has to use. */
static void test_fork(int i915)
{
	char *mem = anon_small(MIB(2));
	uint32_t handle = userptr(i915, mem, pages(NPAGES));

	gpu_write(i915, handle, NPAGES, 1);
	igt_fork(child, 1) {
		/* The child's memory is a copy, also when the GPU writes again. */
		fill(mem, 0, NPAGES, 5);
		igt_assert_eq_u64(count_filled(mem, 0, NPAGES, 5), NPAGES);
	}
	fill(mem, 0, NPAGES, 6);
	gpu_write(i915, handle, NPAGES, 3);
	igt_assert_eq_u64(count_written(mem, NPAGES, 3), NPAGES);
	igt_waitchildren();
	igt_assert_eq_u64(count_written(mem, NPAGES, 3), NPAGES);
	gem_close(i915, handle);
	unmap(mem, MIB(2));
}

/* Another process has neither the memory nor the right to have it used. */
static void test_foreign(int i915)
{
	struct used used = use_memfd(i915);

	igt_fork(child, 1)
		igt_assert_eq(__gpu_write(i915, used.handle, NPAGES, 2), -EFAULT);
	igt_waitchildren();
	igt_assert_eq_u64(count_written(used.mem, NPAGES, 1), NPAGES);
	end_use(i915, &used);
}

void gem_userptr_change_subtests(int i915)
{
	igt_describe("The mapping is gone, and then back");
	igt_subtest("munmap")
		userptr_test(test_munmap, i915);
	igt_describe("Another memfd is mapped in its place");
	igt_subtest("replace")
		userptr_test(test_replace, i915);
	igt_describe("The mapping is moved away");
	igt_subtest("mremap")
		userptr_test(test_mremap, i915);
	igt_describe("The mapping becomes read-only, and then writable again");
	igt_subtest("mprotect")
		userptr_test(test_mprotect, i915);
	igt_describe("The same where the process has never touched the memory");
	igt_subtest("mprotect-untouched")
		userptr_test(test_mprotect_untouched, i915);
	igt_describe("The memfd becomes shorter, and then as long as before");
	igt_subtest("truncate")
		userptr_test(test_truncate, i915);
	igt_describe("A hole is punched into the memfd");
	igt_subtest("punch-hole")
		userptr_test(test_punch, i915);
	igt_describe("Holes are punched while the GPU is given work");
	igt_subtest("punch-hole-race")
		userptr_test(test_punch_race, i915);
	igt_describe("Parent and child write to their memory, and the GPU to the parent's");
	igt_subtest("fork")
		userptr_test(test_fork, i915);
	igt_describe("Another process cannot use the object");
	igt_subtest("foreign")
		userptr_test(test_foreign, i915);
}
