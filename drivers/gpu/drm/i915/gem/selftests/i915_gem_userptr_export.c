// SPDX-License-Identifier: MIT
/*
 * Tests of the export of userptr objects.
 */
#include <linux/cred.h>
#include <linux/dma-buf.h>
#include <linux/fcntl.h>
#include <linux/pin_account.h>

#include "gem/i915_gem_dmabuf.h"

/* As i915_gem_prime_handle_to_fd() and DRM do, with the lock that DRM holds. */
static struct dma_buf *export_object(struct drm_i915_gem_object *obj)
{
	struct dma_buf *dmabuf;
	int err;

	err = i915_gem_userptr_export_prepare(obj, O_RDWR | O_CLOEXEC);
	if (err)
		return ERR_PTR(err);
	mutex_lock(&obj->base.dev->object_name_lock);
	dmabuf = i915_gem_prime_export(&obj->base, O_RDWR | O_CLOEXEC);
	mutex_unlock(&obj->base.dev->object_name_lock);
	i915_gem_userptr_export_cancel(obj);
	return dmabuf;
}

/* The last reference: fput() of a process has effect when it leaves the kernel. */
static void release_dmabuf(struct dma_buf *dmabuf)
{
	if (!IS_ERR_OR_NULL(dmabuf))
		__fput_sync(dmabuf->file);
}

static bool seal(struct file *file, unsigned int seals)
{
	if (is_file_hugepages(file))
		HUGETLBFS_I(file_inode(file))->seals = seals;
	else
		SHMEM_I(file_inode(file))->seals = seals;
	return true;
}

static bool is_refused(struct drm_i915_private *i915, struct file *file,
		       unsigned int seals, bool readonly)
{
	struct dma_buf *dmabuf = NULL;
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, i915, file, 0, SIZE, 0, NR) &&
	       ok(!igt_userptr_submit(mem.obj));
	if (good) {
		if (file)
			seal(file, seals);
		if (readonly)
			i915_gem_object_set_readonly(mem.obj);
		dmabuf = export_object(mem.obj);
		good = ok(dmabuf == ERR_PTR(-EINVAL));
		release_dmabuf(dmabuf);
	}
	return !igt_userptr_end(&mem, good);
}

static int igt_userptr_export_refused(void *arg)
{
	bool good;

	good = is_refused(arg, NULL, 0, false) &&
	       is_refused(arg, make_shmem(SIZE), F_SEAL_SEAL, false) &&
	       is_refused(arg, make_shmem(SIZE), F_SEAL_SHRINK | F_SEAL_WRITE,
			  false) &&
	       is_refused(arg, make_shmem(SIZE),
			  F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE, false) &&
	       is_refused(arg, make_shmem(SIZE), F_SEAL_SHRINK, true);
	return good ? 0 : -EINVAL;
}

/* Pages of the largest segment that the device can be asked to take */
#define NO_LIMIT	(UINT_MAX >> PAGE_SHIFT)

/* Whether another device gets the pages of the file, at most @max as one segment. */
static bool import_is_file(struct drm_i915_private *i915, struct dma_buf *dmabuf,
			   unsigned int max, struct file *file, pgoff_t index,
			   unsigned long nr)
{
	unsigned int was = dma_get_max_seg_size(i915->drm.dev);
	struct drm_i915_gem_object *obj;
	struct drm_gem_object *import;
	bool good;

	dma_set_max_seg_size(i915->drm.dev, max << PAGE_SHIFT);
	import = i915_gem_prime_import(&i915->drm, dmabuf);
	if (!ok(!IS_ERR(import)))
		return false;
	obj = to_intel_bo(import);
	good = ok(!i915_gem_object_pin_pages_unlocked(obj));
	if (good) {
		good = sgt_is_file(obj->mm.pages, file, index, nr, max);
		i915_gem_object_unpin_pages(obj);
	}
	i915_gem_object_put(obj);
	i915_gem_drain_freed_objects(i915);
	flush_delayed_fput();
	dma_set_max_seg_size(i915->drm.dev, was);
	return good;
}

static bool export_and_import(struct drm_i915_private *i915,
			      struct igt_userptr *mem, struct file *file,
			      unsigned long first, unsigned long nr)
{
	struct drm_i915_private *other = mock_gem_device();
	struct dma_buf *dmabuf;
	bool good;

	if (!ok(other))
		return false;
	dmabuf = export_object(mem->obj);
	/* It needs neither the object nor the mapping. */
	igt_userptr_put(mem);
	vm_munmap(mem->addr, mem->size);
	good = ok(!IS_ERR(dmabuf));
	if (good) {
		good = import_is_file(i915, dmabuf, NO_LIMIT, file, first, nr) &&
		       import_is_file(other, dmabuf, NO_LIMIT, file, first, nr) &&
		       import_is_file(other, dmabuf, 16, file, first, nr);
		release_dmabuf(dmabuf);
	}
	mock_destroy_device(other);
	return good;
}

static int igt_userptr_export_import(void *arg)
{
	struct file *file = make_shmem(SIZE);
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, arg, file, 0, SIZE, 3, NR - 5) &&
	       seal(file, F_SEAL_SHRINK) &&
	       export_and_import(arg, &mem, file, 3, NR - 5);
	return igt_userptr_end(&mem, good);
}

static int igt_userptr_export_hugetlb(void *arg)
{
	struct file *file = make_hugetlb(3 * SZ_2M);
	unsigned long first = 512 - 3, nr = 3 + 512 + 5;
	struct igt_userptr mem;
	bool good;

	if (IS_ERR(file)) {
		pr_info("%s: skipped: no huge pages: %pe\n", __func__, file);
		return 0;
	}
	good = igt_userptr_begin(&mem, arg, file, 0, 3 * SZ_2M, first, nr) &&
	       seal(file, F_SEAL_SHRINK) &&
	       export_and_import(arg, &mem, file, first, nr);
	return igt_userptr_end(&mem, good);
}

struct igt_unmap {
	struct mm_struct *mm;
	unsigned long addr, size;
};

static void unmap(void *arg)
{
	struct igt_unmap *unmap = arg;

	kthread_use_mm(unmap->mm);
	vm_munmap(unmap->addr, unmap->size);
	kthread_unuse_mm(unmap->mm);
}

/* The file's last reference goes with a thread that can be waited for. */
static void unmap_now(unsigned long addr, unsigned long size)
{
	struct igt_unmap range = { current->mm, addr, size };

	if (call_elsewhere(unmap, &range))
		flush_delayed_fput();
}

/* Objects over mappings of dma-bufs, which have no pages, are of no use. */
static bool is_no_memory(struct drm_i915_private *i915, unsigned long addr)
{
	struct igt_userptr mem = { .obj = userptr_create(i915, addr, SIZE, false) };
	bool good;

	good = ok(!IS_ERR(mem.obj)) &&
	       ok(igt_userptr_submit(mem.obj) == -EFAULT) &&
	       ok(probe_range(current->mm, addr, addr + SIZE) == -EFAULT);
	igt_userptr_put(&mem);
	return good;
}

/* The file may be on a mount with noexec. */
static bool is_not_executable(struct dma_buf *dmabuf)
{
	struct vm_area_struct *vma;
	unsigned long addr;
	bool good;

	addr = vm_mmap(dmabuf->file, 0, SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, 0);
	if (!ok(addr == (unsigned long)-EPERM))
		return false;
	addr = map_at(0, dmabuf->file, SIZE, 0);
	if (!ok(!IS_ERR_VALUE(addr)))
		return false;
	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, addr);
	good = ok(vma) && ok(!(vma->vm_flags & (VM_EXEC | VM_MAYEXEC)));
	mmap_read_unlock(current->mm);
	unmap_now(addr, SIZE);
	return good;
}

/* What is written through a kernel mapping or a process's is in the file. */
static bool access_dmabuf(struct drm_i915_private *i915, struct dma_buf *dmabuf,
			  unsigned long file_addr)
{
	unsigned long addr;
	struct iosys_map map;
	bool good;

	if (!ok(!dma_buf_vmap_unlocked(dmabuf, &map)))
		return false;
	good = ok(!dma_buf_begin_cpu_access(dmabuf, DMA_TO_DEVICE));
	write_pages(map.vaddr, SIZE, 11);
	good = good && ok(!dma_buf_end_cpu_access(dmabuf, DMA_TO_DEVICE)) &&
	       user_reads(file_addr, SIZE, 11);
	dma_buf_vunmap_unlocked(dmabuf, &map);

	addr = map_at(0, dmabuf->file, SIZE, 0);
	if (!ok(!IS_ERR_VALUE(addr)))
		return false;
	good = good && user_reads(addr, SIZE, 11) && is_no_memory(i915, addr) &&
	       ok(!put_user(99, (u8 __user *)addr)) &&
	       ok(!put_user(99, (u8 __user *)(addr + SIZE - 1)));
	unmap_now(addr, SIZE);
	return good;
}

static int igt_userptr_export_access(void *arg)
{
	struct file *file = make_shmem(SIZE);
	struct dma_buf *dmabuf;
	struct igt_userptr mem;
	u8 first = 0, last = 0;
	bool good;

	good = igt_userptr_begin(&mem, arg, file, 0, SIZE, 0, NR) &&
	       seal(file, F_SEAL_SHRINK);
	if (!good)
		return igt_userptr_end(&mem, good);
	dmabuf = export_object(mem.obj);
	good = ok(!IS_ERR(dmabuf)) && is_not_executable(dmabuf) &&
	       access_dmabuf(arg, dmabuf, mem.addr) &&
	       ok(!get_user(first, (u8 __user *)mem.addr)) && ok(first == 99) &&
	       ok(!get_user(last, (u8 __user *)(mem.addr + SIZE - 1))) &&
	       ok(last == 99) &&
	       /* the object goes on as before */
	       ok(!igt_userptr_submit(mem.obj)) &&
	       sgt_is_file(mem.obj->mm.pages, file, 0, NR, UINT_MAX);
	release_dmabuf(dmabuf);
	igt_userptr_put(&mem);
	good = good && ok(is_dirty(file, 0)) && ok(is_dirty(file, NR - 1));
	return igt_userptr_end(&mem, good);
}

/* Take away the right to lock as much memory as one likes. */
static struct cred *without_ipc_lock(void)
{
	struct cred *cred = prepare_creds();

	if (cred)
		cap_lower(cred->cap_effective, CAP_IPC_LOCK);
	return cred;
}

static unsigned long pages_charged(void)
{
	unsigned long charged, available;

	pin_account_query(&charged, &available);
	return charged;
}

/* What is exported is charged; and what is more than the caller may pin is refused. */
static int igt_userptr_export_limit(void *arg)
{
	unsigned long charged = pages_charged(), available, size;
	struct cred *cred = without_ipc_lock();
	struct dma_buf *dmabuf = NULL;
	const struct cred *old_cred;
	struct igt_userptr mem;
	bool good;

	if (!cred)
		return -ENOMEM;
	old_cred = override_creds(cred);

	good = igt_userptr_begin(&mem, arg, make_shmem(SIZE), 0, SIZE, 0, NR) &&
	       seal(mem.file, F_SEAL_SHRINK);
	if (good) {
		/* Twice is once, and nothing without it. */
		good = ok(!i915_gem_userptr_export_prepare(mem.obj, O_RDWR)) &&
		       ok(!i915_gem_userptr_export_prepare(mem.obj, O_RDWR)) &&
		       ok(pages_charged() == charged + NR);
		dmabuf = i915_gem_userptr_export(mem.obj);
		good = good && ok(!IS_ERR(dmabuf)) &&
		       ok(i915_gem_userptr_export(mem.obj) == ERR_PTR(-EAGAIN));
		release_dmabuf(dmabuf);
		good = good && ok(pages_charged() == charged);
	}
	good = !igt_userptr_end(&mem, good);

	pin_account_query(&charged, &available);
	good = good && ok(available != ULONG_MAX);
	if (good) {
		size = (available + 1) * PAGE_SIZE;
		good = igt_userptr_begin(&mem, arg, make_shmem(size), 0, size, 0,
					 available + 1) &&
		       seal(mem.file, F_SEAL_SHRINK) &&
		       ok(export_object(mem.obj) == ERR_PTR(-ENOMEM)) &&
		       ok(pages_charged() == charged);
		good = !igt_userptr_end(&mem, good);
	}
	revert_creds(old_cred);
	put_cred(cred);
	return good ? 0 : -EINVAL;
}
