// SPDX-License-Identifier: MIT
/*
 * Objects made of a process's own memory.
 *
 * An object's pages are pinned when it is submitted. An MMU notifier tells when
 * they are not the process's any more: all it does is to change a sequence number,
 * which is compared before and after each submission. Pages that are pinned cannot
 * be freed, so until the next submission the GPU at worst works on memory that
 * nobody else looks at.
 *
 * The range may be a shared mapping of a file on shmem or hugetlbfs; then whole
 * folios of the file are pinned. All other memory is pinned page by page, as the
 * page tables have it.
 *
 * Lock order: mmap_lock, and all that pinning may wait for, come before the object's
 * lock, and are never taken inside it.
 */
#include <linux/file.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>

#include "i915_drv.h"
#include "i915_gem_ioctls.h"
#include "i915_gem_object.h"
#include "i915_gem_userptr.h"
#include "i915_scatterlist.h"

#ifdef CONFIG_MMU_NOTIFIER

static bool userptr_invalidate(struct mmu_interval_notifier *notifier,
			       const struct mmu_notifier_range *range,
			       unsigned long seq)
{
	mmu_interval_set_seq(notifier, seq);
	return true;
}

static const struct mmu_interval_notifier_ops userptr_notifier_ops = {
	.invalidate = userptr_invalidate,
};

/*
 * Pages come with a submission, and go with put_pages(). Where memory reclaim has
 * taken them in between, -EAGAIN has the submission begin once more.
 */
static int userptr_get_pages(struct drm_i915_gem_object *obj)
{
	const struct userptr_pins *pins = obj->userptr.pins;
	struct device *dev = obj->base.dev->dev;
	size_t max_segment = i915_sg_segment_size(dev);
	struct sg_table *sgt;
	int err;

	if (!pins)
		return -EAGAIN;

	for (;;) {
		sgt = memfd_pins_sgt(&pins->pages, dev, max_segment);
		if (IS_ERR(sgt))
			return PTR_ERR(sgt);
		err = i915_gem_gtt_prepare_pages(obj, sgt);
		if (!err)
			break;
		memfd_pins_free_sgt(sgt);
		if (max_segment == PAGE_SIZE)
			return err;
		/* The IOMMU may have room in small pieces only. */
		max_segment = PAGE_SIZE;
	}

	GEM_WARN_ON(!(obj->cache_coherent & I915_BO_CACHE_COHERENT_FOR_WRITE));
	if (i915_gem_object_can_bypass_llc(obj))
		obj->cache_dirty = true;
	__i915_gem_object_set_pages(obj, sgt);
	return 0;
}

static void userptr_put_pages(struct drm_i915_gem_object *obj,
			      struct sg_table *sgt)
{
	struct userptr_pins *pins = fetch_and_zero(&obj->userptr.pins);
	bool dirty;

	/*
	 * Any use marks an object as dirty, also one that the GPU cannot write to.
	 * What is not needed by madvise() is the object, not the process's memory.
	 */
	dirty = obj->mm.dirty && !i915_gem_object_is_readonly(obj);

	__i915_gem_object_release_shmem(obj, sgt, true);
	i915_gem_gtt_finish_pages(obj, sgt);
	memfd_pins_free_sgt(sgt);
	obj->mm.dirty = false;
	userptr_pins_free(pins, dirty);
}

/* Take the pages away from the GPU and let go of them, with the object locked. */
static int userptr_drop_pages(struct drm_i915_gem_object *obj)
{
	int err;

	if (!obj->userptr.pins)
		return 0;
	err = i915_gem_object_unbind(obj, I915_GEM_OBJECT_UNBIND_ACTIVE);
	return err ?: __i915_gem_object_put_pages(obj);
}

static struct file *find_file(struct drm_i915_gem_object *obj, bool keys, pgoff_t *index)
{
	return userptr_find_file(obj->userptr.notifier.mm, obj->userptr.ptr,
				 obj->base.size,
				 !i915_gem_object_is_readonly(obj), keys, index);
}

/*
 * Whether the range is still a mapping whose folios may be pinned. mprotect() does
 * not call the notifier where there are no page tables yet, and pins on folios
 * need none. Protection keys are asked for once, as GUP does: it may be another thread now.
 */
static int is_still_shared(struct drm_i915_gem_object *obj)
{
	struct file *file;
	pgoff_t index;

	file = find_file(obj, false, &index);
	if (IS_ERR_OR_NULL(file))
		return PTR_ERR(file);
	fput(file);
	return 1;
}

/*
 * Whether the pages are those that there were at the sequence that they were pinned at.
 * hugetlbfs leaves out a mapping in which a fault is going on when it unmaps a hole, and
 * comes back only for page tables that have the page, which pins do not need.
 */
static bool are_there(const struct userptr_pins *pins)
{
	const struct memfd_span *first = memfd_pins_span(&pins->pages, 0);

	return !pins->by_folio || !PageHuge(pfn_to_page(first->pfn)) ||
	       userptr_in_file(&pins->pages);
}

/*
 * Keep the pages if they are those that the process has at @seq, else drop them.
 * Returns 1 if they are kept, 0 if there are none now, or an error.
 */
static int userptr_keep_pages(struct drm_i915_gem_object *obj, unsigned long seq)
{
	struct i915_gem_userptr *userptr = &obj->userptr;
	bool keep, ask;
	int ret;

	for (;;) {
		ret = i915_gem_object_lock_interruptible(obj, NULL);
		if (ret)
			return ret;
		keep = userptr->pins && userptr->notifier_seq == seq &&
		       are_there(userptr->pins);
		if (keep)
			ask = userptr->pins->by_folio;
		else
			ret = userptr_drop_pages(obj);
		i915_gem_object_unlock(obj);

		if (!keep)
			return ret;
		if (!ask)
			return 1;
		ret = is_still_shared(obj);
		if (ret)
			return ret;
		/* Sequence numbers are never all ones. */
		seq = ULONG_MAX;
	}
}

/* Pin what the process has in the range now. */
static struct userptr_pins *userptr_pin(struct drm_i915_gem_object *obj)
{
	struct workqueue_struct *wq = to_i915(obj->base.dev)->unordered_wq;
	unsigned int gup_flags = i915_gem_object_is_readonly(obj) ? 0 : FOLL_WRITE;
	u32 nr_pages = obj->base.size >> PAGE_SHIFT;
	struct userptr_pins *pins = NULL;
	struct file *file;
	pgoff_t index;

	file = find_file(obj, true, &index);
	if (IS_ERR(file))
		return ERR_CAST(file);
	if (file) {
		pins = userptr_pin_file(wq, file, index, nr_pages);
		fput(file);
		if (!IS_ERR(pins) || PTR_ERR(pins) == -EAGAIN ||
		    fatal_signal_pending(current))
			return pins;
	}
	/* Also what cannot be pinned as folios may do page by page. */
	return userptr_pin_user(wq, obj->userptr.ptr, nr_pages, gup_flags);
}

/*
 * Make pages that were pinned at @seq the object's, with the object locked. It
 * need not happen, even if 0 is returned: another thread may have been faster.
 */
static int userptr_install(struct drm_i915_gem_object *obj,
			   struct userptr_pins *pins, unsigned long seq)
{
	struct i915_gem_userptr *userptr = &obj->userptr;
	int err;

	if (userptr->pins)
		seq = userptr->notifier_seq;
	if (mmu_interval_read_retry(&userptr->notifier, seq))
		return -EAGAIN;
	if (userptr->pins)
		return 0;

	userptr->pins = pins;
	userptr->notifier_seq = seq;
	err = ____i915_gem_object_get_pages(obj);
	if (err)
		userptr->pins = NULL;
	return err;
}

/**
 * i915_gem_object_userptr_submit_init() - get the pages for a submission
 * @obj: the object
 *
 * Unless the object has the pages that the process has in the range, lets go of
 * those that it has, after the GPU has, and pins the right ones. To be followed
 * by i915_gem_object_userptr_submit_done().
 *
 * Context: may sleep and takes mmap_lock; with no object locked; of the process
 * that made the object.
 *
 * Return: 0, or an error: -EFAULT if the range is not memory that may be accessed
 * like this, or another process's, -EAGAIN if it has changed meanwhile, -EINTR or
 * -ERESTARTSYS for a signal, -ENOMEM, -EBUSY, or others of
 * pin_user_pages_fast().
 */
int i915_gem_object_userptr_submit_init(struct drm_i915_gem_object *obj)
{
	struct userptr_pins *pins;
	unsigned long seq;
	int ret;

	if (obj->userptr.notifier.mm != current->mm)
		return -EFAULT;

	/* Before anything is looked up that could change. */
	seq = mmu_interval_read_begin(&obj->userptr.notifier);
	ret = userptr_keep_pages(obj, seq);
	if (ret)
		return min(ret, 0);

	pins = userptr_pin(obj);
	if (IS_ERR(pins))
		return PTR_ERR(pins);

	ret = i915_gem_object_lock_interruptible(obj, NULL);
	if (!ret) {
		ret = userptr_install(obj, pins, seq);
		if (obj->userptr.pins == pins)
			pins = NULL;
		i915_gem_object_unlock(obj);
	}
	if (pins)
		userptr_pins_free(pins, false);
	return ret;
}

/**
 * i915_gem_object_userptr_submit_done() - look whether the pages are still right
 * @obj: the object, locked, after i915_gem_object_userptr_submit_init()
 *
 * Context: any.
 *
 * Return: 0, or -EAGAIN if the process has changed its memory since.
 */
int i915_gem_object_userptr_submit_done(struct drm_i915_gem_object *obj)
{
	return mmu_interval_read_retry(&obj->userptr.notifier,
				       obj->userptr.notifier_seq) ? -EAGAIN : 0;
}

/**
 * i915_gem_object_userptr_validate() - look whether the range can be used
 * @obj: the object
 *
 * Context: as i915_gem_object_userptr_submit_init().
 *
 * Return: as i915_gem_object_userptr_submit_init().
 */
int i915_gem_object_userptr_validate(struct drm_i915_gem_object *obj)
{
	/* It leaves nothing to be done: the pages are also mapped for the device. */
	return i915_gem_object_userptr_submit_init(obj);
}

static void userptr_release(struct drm_i915_gem_object *obj)
{
	GEM_WARN_ON(obj->userptr.pins || obj->userptr.dmabuf);
	if (!obj->userptr.notifier.mm)
		return;
	mmu_interval_notifier_remove(&obj->userptr.notifier);
	obj->userptr.notifier.mm = NULL;
}

/* The process has the memory itself: there is no need for a way around it. */
static int userptr_pwrite(struct drm_i915_gem_object *obj,
			  const struct drm_i915_gem_pwrite *args)
{
	return -EINVAL;
}

static int userptr_pread(struct drm_i915_gem_object *obj,
			 const struct drm_i915_gem_pread *args)
{
	return -EINVAL;
}

static const struct drm_i915_gem_object_ops userptr_ops = {
	.name = "i915_gem_object_userptr",
	.flags = I915_GEM_OBJECT_IS_SHRINKABLE | I915_GEM_OBJECT_NO_MMAP |
		 I915_GEM_OBJECT_IS_PROXY,
	.get_pages = userptr_get_pages,
	.put_pages = userptr_put_pages,
	.pwrite = userptr_pwrite,
	.pread = userptr_pread,
	.release = userptr_release,
};

/* Make an object of a range of the caller's memory, which is not looked at yet. */
static struct drm_i915_gem_object *
userptr_create(struct drm_i915_private *i915, unsigned long start, u64 size,
	       bool readonly)
{
	static struct lock_class_key lock_class;
	struct drm_i915_gem_object *obj;
	int err;

	obj = i915_gem_object_alloc();
	if (!obj)
		return ERR_PTR(-ENOMEM);

	drm_gem_private_object_init(&i915->drm, &obj->base, size);
	i915_gem_object_init(obj, &userptr_ops, &lock_class, I915_BO_ALLOC_USER);
	obj->mem_flags = I915_BO_FLAG_STRUCT_PAGE;
	obj->read_domains = I915_GEM_DOMAIN_CPU;
	obj->write_domain = I915_GEM_DOMAIN_CPU;
	i915_gem_object_set_cache_coherency(obj, I915_CACHE_LLC);
	if (readonly)
		i915_gem_object_set_readonly(obj);

	obj->userptr.ptr = start;
	obj->userptr.notifier_seq = ULONG_MAX;
	err = mmu_interval_notifier_insert(&obj->userptr.notifier, current->mm,
					   start, size, &userptr_notifier_ops);
	if (err) {
		/* Says that it is not in place. */
		obj->userptr.notifier.mm = NULL;
		i915_gem_object_put(obj);
		return ERR_PTR(err);
	}
	return obj;
}

/* Whether there is memory with pages in all of the range, at this moment. */
static int probe_range(struct mm_struct *mm, unsigned long addr,
		       unsigned long end)
{
	struct vm_area_struct *vma;
	int err = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	while (addr < end && !err) {
		vma = vma_lookup(mm, addr);
		if (!vma || vma->vm_flags & (VM_PFNMAP | VM_MIXEDMAP))
			err = -EFAULT;
		else
			addr = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return err;
}

#define USERPTR_FLAGS	(I915_USERPTR_READ_ONLY | I915_USERPTR_PROBE | \
			 I915_USERPTR_UNSYNCHRONIZED)

static int check_args(struct drm_i915_private *i915,
		      const struct drm_i915_gem_userptr *args)
{
	/* The GPU would not see what the CPU has in its caches. */
	if (!HAS_LLC(i915) && !HAS_SNOOP(i915))
		return -ENODEV;
	if (args->flags & ~USERPTR_FLAGS)
		return -EINVAL;
	if (i915_gem_object_size_2big(args->user_size) ||
	    args->user_size >> PAGE_SHIFT > INT_MAX)
		return -E2BIG;
	if (!args->user_size || !PAGE_ALIGNED(args->user_size | args->user_ptr))
		return -EINVAL;
	if (!access_ok(u64_to_user_ptr(args->user_ptr), args->user_size))
		return -EFAULT;
	/* Without a notifier nobody would tell that the pages have gone. */
	if (args->flags & I915_USERPTR_UNSYNCHRONIZED)
		return -ENODEV;
	if (args->flags & I915_USERPTR_READ_ONLY &&
	    !to_gt(i915)->vm->has_read_only)
		return -ENODEV;
	if (args->flags & I915_USERPTR_PROBE)
		return probe_range(current->mm, args->user_ptr,
				   args->user_ptr + args->user_size);
	return 0;
}

/**
 * i915_gem_userptr_ioctl() - DRM_IOCTL_I915_GEM_USERPTR
 * @dev: the device
 * @data: struct drm_i915_gem_userptr; the handle is put there
 * @file: who gets the handle
 *
 * Context: may sleep.
 *
 * Return: 0, or an error: -ENODEV if the device has no coherent caches, cannot
 * keep the GPU from writing (I915_USERPTR_READ_ONLY), or the kernel has no MMU
 * notifiers, and always for I915_USERPTR_UNSYNCHRONIZED; -EINVAL for unknown flags
 * and a range that is empty or not of whole pages; -E2BIG if it is larger than an
 * object can be; -EFAULT if it is outside of user space or, with
 * I915_USERPTR_PROBE, not all memory; -EINTR for a fatal signal; -ENOMEM.
 */
int i915_gem_userptr_ioctl(struct drm_device *dev, void *data,
			   struct drm_file *file)
{
	struct drm_i915_gem_userptr *args = data;
	struct drm_i915_gem_object *obj;
	int err;

	err = check_args(to_i915(dev), args);
	if (err)
		return err;
	obj = userptr_create(to_i915(dev), args->user_ptr, args->user_size,
			     args->flags & I915_USERPTR_READ_ONLY);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	err = drm_gem_handle_create(file, &obj->base, &args->handle);
	/* From here on the object is the handle's. */
	i915_gem_object_put(obj);
	return err;
}

#if IS_ENABLED(CONFIG_DRM_I915_SELFTEST)
#include "selftests/i915_gem_userptr.c"
#endif

#else

int i915_gem_userptr_ioctl(struct drm_device *dev, void *data,
			   struct drm_file *file)
{
	return -ENODEV;
}

#endif
