// SPDX-License-Identifier: MIT
/*
 * Tests of userptr objects: what they pin, when they let go, and that nothing
 * stays pinned. They need no GPU, only the memory of the process that loads the
 * module.
 */
#include <linux/delay.h>
#include <linux/pin_fast_only.h>

#include "i915_selftest.h"
#include "gem/selftests/igt_userptr.h"
#include "selftests/mock_gem_device.h"

#define NR	100
#define SIZE	(NR * PAGE_SIZE)

/* Write to all pages, as the GPU would, and see whether the process reads it. */
static bool write_and_read(struct drm_i915_gem_object *obj, u8 value)
{
	u8 *map = i915_gem_object_pin_map_unlocked(obj, I915_MAP_WB);

	if (!ok(!IS_ERR(map)))
		return false;
	write_pages(map, obj->base.size, value);
	i915_gem_object_flush_map(obj);
	i915_gem_object_unpin_map(obj);
	return user_reads(obj->userptr.ptr, obj->base.size, value);
}

static bool by_folio(struct drm_i915_gem_object *obj)
{
	return obj->userptr.pins && obj->userptr.pins->by_folio;
}

static int igt_userptr_anonymous(void *arg)
{
	long before = pins_held();
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, arg, NULL, 0, SIZE, 0, NR) &&
	       ok(i915_gem_object_userptr_submit_done(mem.obj) == -EAGAIN) &&
	       ok(!igt_userptr_submit(mem.obj)) &&
	       ok(pins_held() == before + NR) &&
	       ok(!by_folio(mem.obj)) &&
	       /* once more costs nothing */
	       ok(!igt_userptr_submit(mem.obj)) &&
	       ok(pins_held() == before + NR) &&
	       write_and_read(mem.obj, 1) &&
	       ok(!i915_gem_object_userptr_validate(mem.obj));
	return igt_userptr_end(&mem, good);
}

static int igt_userptr_fast_only(void *arg)
{
	static const u32 intervals[] = { 1, 2, 3 };
	int i, err = 0;

	for (i = 0; i < ARRAY_SIZE(intervals) && !err; i++) {
		pin_fast_only_interval = intervals[i];
		err = igt_userptr_anonymous(arg);
	}
	pin_fast_only_interval = 0;
	return err;
}

/*
 * Pages that were touched, that fallocate() has left without contents, and holes;
 * the mapping begins inside of the file, and the object inside of the mapping.
 */
static int igt_userptr_memfd(void *arg)
{
	struct file *file = make_shmem(SIZE + 8 * PAGE_SIZE);
	long before = pins_held();
	struct igt_userptr mem;
	u8 touched = 0;
	bool good;

	good = igt_userptr_begin(&mem, arg, file, 3 * PAGE_SIZE,
				 SIZE + 5 * PAGE_SIZE, 2, NR) &&
	       ok(!put_user(77, (u8 __user *)(mem.addr + 12 * PAGE_SIZE))) &&
	       ok(!vfs_fallocate(file, 0, 30 * PAGE_SIZE, 10 * PAGE_SIZE)) &&
	       ok(!igt_userptr_submit(mem.obj)) && ok(by_folio(mem.obj)) &&
	       ok(pins_held() <= before + NR) &&
	       sgt_is_file(mem.obj->mm.pages, file, 5, NR, UINT_MAX) &&
	       ok(!get_user(touched, (u8 __user *)(mem.addr + 12 * PAGE_SIZE))) &&
	       ok(touched == 77) &&
	       write_and_read(mem.obj, 7);
	return igt_userptr_end(&mem, good);
}

static int igt_userptr_hugetlb(void *arg)
{
	struct file *file = make_hugetlb(3 * SZ_2M);
	unsigned long first = 512 - 3, nr = 3 + 512 + 5;
	long before = pins_held();
	struct igt_userptr mem;
	bool good;

	if (IS_ERR(file)) {
		pr_info("%s: skipped: no huge pages: %pe\n", __func__, file);
		return 0;
	}
	good = igt_userptr_begin(&mem, arg, file, 0, 3 * SZ_2M, first, nr) &&
	       ok(!igt_userptr_submit(mem.obj)) && ok(by_folio(mem.obj)) &&
	       ok(pins_held() == before + 3) &&
	       sgt_is_file(mem.obj->mm.pages, file, first, nr, UINT_MAX) &&
	       write_and_read(mem.obj, 8) &&
	       ok(!punch_hole(file, SZ_2M, SZ_2M)) &&
	       ok(i915_gem_object_userptr_submit_done(mem.obj) == -EAGAIN) &&
	       ok(!igt_userptr_submit(mem.obj)) &&
	       sgt_is_file(mem.obj->mm.pages, file, first, nr, UINT_MAX) &&
	       /* now page by page, of folios that are the process's */
	       ok(vm_mmap(file, mem.addr, 3 * SZ_2M, RW, MAP_PRIVATE | MAP_FIXED,
			  0) == mem.addr) &&
	       ok(!igt_userptr_submit(mem.obj)) && ok(!by_folio(mem.obj)) &&
	       ok(pins_held() == before + nr) && write_and_read(mem.obj, 11);
	return igt_userptr_end(&mem, good);
}

/* A private mapping, where the object's pages are the process's, not the file's */
static int igt_userptr_private(void *arg)
{
	struct file *file = make_shmem(SIZE);
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, arg, file, 0, SIZE, 0, NR) &&
	       ok(vm_mmap(file, mem.addr, SIZE, RW, MAP_PRIVATE | MAP_FIXED, 0) ==
		  mem.addr) &&
	       ok(!igt_userptr_submit(mem.obj)) && ok(!by_folio(mem.obj)) &&
	       write_and_read(mem.obj, 12) &&
	       ok(map_at(mem.addr, file, SIZE, 0) == mem.addr) &&
	       user_reads_zeros(mem.addr, SIZE);
	return igt_userptr_end(&mem, good);
}

/*
 * Who watches a range by userfaultfd decides what is in its holes. Nobody watches
 * here, so that is an error.
 */
static int igt_userptr_userfaultfd(void *arg)
{
	struct file *file = make_shmem(SIZE);
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, arg, file, 0, SIZE, 0, NR) &&
	       change_vma(mem.addr, VM_UFFD_MISSING, 0) &&
	       ok(igt_userptr_submit(mem.obj) == -EFAULT) &&
	       ok(!file_pfn(file, 0)) && ok(!file_pfn(file, NR - 1)) &&
	       change_vma(mem.addr, 0, VM_UFFD_MISSING) &&
	       user_reads_zeros(mem.addr, SIZE) &&
	       ok(!igt_userptr_submit(mem.obj)) && ok(by_folio(mem.obj)) &&
	       /* the pages are there, but it is no plain mapping any more */
	       change_vma(mem.addr, VM_UFFD_MISSING, 0) &&
	       ok(!igt_userptr_submit(mem.obj)) && ok(!by_folio(mem.obj)) &&
	       write_and_read(mem.obj, 13) &&
	       change_vma(mem.addr, 0, VM_UFFD_MISSING);
	return igt_userptr_end(&mem, good);
}

/* The state of a page of a file, which nobody has mapped. */
static bool is_dirty(struct file *file, pgoff_t index)
{
	return folio_test_dirty(page_folio(pfn_to_page(file_pfn(file, index))));
}

/* Let an object go that the GPU may have written to, while somebody has a folio locked. */
static bool is_dirty_after(struct igt_userptr *mem, bool later)
{
	struct drm_i915_private *i915 = to_i915(mem->obj->base.dev);
	struct folio *folio;
	bool good;
	int i;

	if (!ok(!igt_userptr_submit(mem->obj)) || !ok(by_folio(mem->obj) == !later))
		return false;
	folio = filemap_lock_folio(mem->file->f_mapping, 7);
	/* A fault has made it dirty, but may have been long ago. */
	folio_clear_dirty(folio);
	mem->obj->mm.dirty = true;
	igt_userptr_put(mem);
	good = ok(is_dirty(mem->file, 6)) &&
	       ok(folio_test_dirty(folio) == !later) &&
	       ok(folio_maybe_dma_pinned(folio) == later);
	/* Whoever needs the queue does not wait for whoever has the lock. */
	flush_workqueue(i915->unordered_wq);
	folio_unlock(folio);
	for (i = 0; i < 500 && folio_maybe_dma_pinned(folio); i++)
		msleep(20);
	folio_put(folio);
	return good && ok(is_dirty(mem->file, 7)) && ok(is_dirty(mem->file, NR - 1));
}

/*
 * What the GPU may have written to is dirty when the object has gone; where pages were
 * pinned one by one, after whoever holds the folio lock. What it cannot write to
 * stays clean.
 */
static int igt_userptr_dirty(void *arg)
{
	struct drm_i915_private *i915 = arg;
	struct file *file = make_shmem(SIZE);
	long before = pins_held();
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, i915, file, 0, SIZE, 0, NR);
	if (!good)
		return igt_userptr_end(&mem, good);

	i915_gem_object_set_readonly(mem.obj);
	good = ok(!igt_userptr_submit(mem.obj)) && ok(by_folio(mem.obj));
	mem.obj->mm.dirty = true;
	igt_userptr_put(&mem);
	good = good && ok(pins_held() == before) && ok(!is_dirty(file, 7));

	mem.obj = userptr_create(i915, mem.addr, SIZE, false);
	good = good && ok(!IS_ERR(mem.obj)) && is_dirty_after(&mem, false);
	return igt_userptr_end(&mem, good);
}

/* Two mappings of a file, which are not one. */
static bool map_halves(struct igt_userptr *mem)
{
	return ok(map_at(mem->addr, mem->file, SIZE / 2, SIZE / 2) == mem->addr) &&
	       ok(map_at(mem->addr + SIZE / 2, mem->file, SIZE / 2, 0) ==
		  mem->addr + SIZE / 2);
}

static int igt_userptr_dirty_pages(void *arg)
{
	struct file *file = make_shmem(SIZE);
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, arg, file, 0, SIZE, 0, NR) &&
	       map_halves(&mem) && is_dirty_after(&mem, true);
	return igt_userptr_end(&mem, good);
}

/* What the ioctl refuses; a device without snooping refuses everything. */
static int igt_userptr_arguments(void *arg)
{
	static const struct {
		u64 addr, size;
		u32 flags;
		int err;
	} cases[] = {
		{ SZ_1M, 0, 0, -EINVAL },
		{ SZ_1M, PAGE_SIZE + 1, 0, -EINVAL },
		{ SZ_1M + 1, PAGE_SIZE, 0, -EINVAL },
		{ SZ_1M, PAGE_SIZE, 1 << 3, -EINVAL },
		{ SZ_1M, (u64)INT_MAX << 20, 0, -E2BIG },
		{ -PAGE_SIZE, PAGE_SIZE, 0, -EFAULT },
		{ SZ_1M, PAGE_SIZE, I915_USERPTR_UNSYNCHRONIZED, -ENODEV },
		{ SZ_1M, PAGE_SIZE, I915_USERPTR_READ_ONLY, -ENODEV },
		{ SZ_4K, PAGE_SIZE, I915_USERPTR_PROBE, -EFAULT },
	};
	struct drm_i915_private *i915 = arg;
	const struct intel_device_info *info = i915->__info;
	struct intel_device_info snooping = *info;
	struct drm_i915_gem_userptr args = {};
	struct drm_i915_gem_object *obj;
	bool good;
	int i;

	good = ok(i915_gem_userptr_ioctl(&i915->drm, &args, NULL) == -ENODEV);
	snooping.has_snoop = true;
	i915->__info = &snooping;
	for (i = 0; i < ARRAY_SIZE(cases) && good; i++) {
		args = (struct drm_i915_gem_userptr) {
			.user_ptr = cases[i].addr, .user_size = cases[i].size,
			.flags = cases[i].flags,
		};
		good = ok(i915_gem_userptr_ioctl(&i915->drm, &args, NULL) ==
			  cases[i].err);
		if (!good)
			pr_err("case %d\n", i);
	}
	i915->__info = info;

	/* The mock device has no address space that takes read-only objects. */
	obj = userptr_create(i915, SZ_1M, PAGE_SIZE, true);
	if (!ok(!IS_ERR(obj)))
		return PTR_ERR(obj);
	good = good && ok(i915_gem_object_is_readonly(obj));
	i915_gem_object_put(obj);
	return good ? 0 : -EINVAL;
}

#include "i915_gem_userptr_change.c"
#include "i915_gem_userptr_export.c"
#include "i915_gem_userptr_wait.c"
#include "i915_gem_userptr_handle.c"
#if IS_ENABLED(CONFIG_FAULT_INJECTION)
#include "i915_gem_userptr_fail.c"
#endif

static long pins_before;

static int userptr_setup(void *data)
{
	pins_before = pins_held();
	return 0;
}

/* Whatever the test did, nothing may stay pinned. */
static int userptr_teardown(int err, void *data)
{
	struct drm_i915_private *i915 = data;

	i915_gem_drain_freed_objects(i915);
	flush_workqueue(i915->unordered_wq);
	if (!ok(pins_held() == pins_before)) {
		pr_err("%ld pins leaked\n", pins_held() - pins_before);
		err = err ?: -EBUSY;
	}
	return err;
}

int i915_gem_userptr_mock_selftests(void)
{
	static const struct i915_subtest tests[] = {
		SUBTEST(igt_userptr_arguments),
		SUBTEST(igt_userptr_anonymous),
		SUBTEST(igt_userptr_fast_only),
		SUBTEST(igt_userptr_memfd),
		SUBTEST(igt_userptr_hugetlb),
		SUBTEST(igt_userptr_private),
		SUBTEST(igt_userptr_userfaultfd),
		SUBTEST(igt_userptr_dirty),
		SUBTEST(igt_userptr_dirty_pages),
		SUBTEST(igt_userptr_invalidate),
		SUBTEST(igt_userptr_shrink),
		SUBTEST(igt_userptr_punch),
		SUBTEST(igt_userptr_punch_untold),
		SUBTEST(igt_userptr_protect),
		SUBTEST(igt_userptr_collide),
		SUBTEST(igt_userptr_foreign),
		SUBTEST(igt_userptr_threads),
		SUBTEST(igt_userptr_export_refused),
		SUBTEST(igt_userptr_export_import),
		SUBTEST(igt_userptr_export_access),
		SUBTEST(igt_userptr_export_hugetlb),
		SUBTEST(igt_userptr_export_limit),
		SUBTEST(igt_userptr_wait_folio),
		SUBTEST(igt_userptr_wait_hugetlb),
		SUBTEST(igt_userptr_wait_for_nobody),
		SUBTEST(igt_userptr_handle),
		SUBTEST(igt_userptr_handle_export),
#if IS_ENABLED(CONFIG_FAULT_INJECTION)
		SUBTEST(igt_userptr_fail_anonymous),
		SUBTEST(igt_userptr_fail_memfd),
		SUBTEST(igt_userptr_fail_hugetlb),
#endif
	};
	struct drm_i915_private *i915;
	int err;

	i915 = mock_gem_device();
	if (!i915)
		return -ENOMEM;

	err = __i915_subtests(__func__, userptr_setup, userptr_teardown, tests,
			      ARRAY_SIZE(tests), i915);

	mock_destroy_device(i915);
	return err;
}
