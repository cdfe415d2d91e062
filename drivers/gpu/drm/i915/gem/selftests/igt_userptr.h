/* SPDX-License-Identifier: MIT */
/*
 * What the tests of userptr objects share: memory to make them of, and what is
 * known of pages without asking the code under test.
 */
#ifndef __IGT_USERPTR_H__
#define __IGT_USERPTR_H__

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>
#include <uapi/linux/falloc.h>

#define RW	(PROT_READ | PROT_WRITE)

/* Says what was not as expected; for chains of &&. */
#define ok(cond)	igt_ok(cond, #cond, __func__, __LINE__)

static inline bool igt_ok(bool cond, const char *what, const char *func, int line)
{
	if (!cond)
		pr_err("%s:%d: not so: %s\n", func, line, what);
	return cond;
}

/* Pins that are held in all of the system. The counters are per CPU at first. */
static inline long pins_held(void)
{
	struct per_cpu_nodestat *stat;
	long held;
	int cpu, nid;

	held = global_node_page_state(NR_FOLL_PIN_ACQUIRED) -
	       global_node_page_state(NR_FOLL_PIN_RELEASED);
	for_each_online_node(nid) {
		for_each_online_cpu(cpu) {
			stat = per_cpu_ptr(NODE_DATA(nid)->per_cpu_nodestats, cpu);
			held += stat->vm_node_stat_diff[NR_FOLL_PIN_ACQUIRED];
			held -= stat->vm_node_stat_diff[NR_FOLL_PIN_RELEASED];
		}
	}
	return held;
}

/* Map a file, or anonymous memory, at @addr if it is not 0. */
static inline unsigned long map_at(unsigned long addr, struct file *file,
				   unsigned long size, unsigned long offset)
{
	unsigned long flags = file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;

	if (addr)
		flags |= MAP_FIXED;
	return vm_mmap(file, addr, size, RW, flags, offset);
}

static inline struct file *make_shmem(unsigned long size)
{
	return shmem_file_setup("igt", size, VM_NORESERVE);
}

static inline int punch_hole(struct file *file, unsigned long start,
			     unsigned long size)
{
	return vfs_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     start, size);
}

/* A file with holes for huge pages, or an error if they cannot be had. */
static inline struct file *make_hugetlb(unsigned long size)
{
	struct file_system_type *type = get_fs_type("hugetlbfs");
	struct vfsmount *mnt;
	struct file *file;
	int err;

	if (!type)
		return ERR_PTR(-ENODEV);
	mnt = kern_mount(type);
	if (IS_ERR(mnt))
		return ERR_CAST(mnt);
	file = file_open_root_mnt(mnt, "igt", O_RDWR | O_CREAT, 0600);
	if (!IS_ERR(file)) {
		err = vfs_fallocate(file, 0, 0, size) ?: punch_hole(file, 0, size);
		if (err) {
			fput(file);
			file = ERR_PTR(err);
		}
	}
	kern_unmount(mnt);
	return file;
}

/* Frame number of a page of a file, 0 if there is none. */
static inline unsigned long file_pfn(struct file *file, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(file->f_mapping, index);
	unsigned long pfn;

	if (IS_ERR(folio))
		return 0;
	pfn = page_to_pfn(folio_file_page(folio, index));
	folio_put(folio);
	return pfn;
}

/*
 * Whether a scatterlist is what a file has there, with one entry per run and no
 * entry larger than @max pages. Devices have no business with the pages themselves,
 * so only addresses count; they are those of memory, for there is no IOMMU.
 */
static inline bool sgt_is_file(struct sg_table *sgt, struct file *file,
			       pgoff_t index, unsigned long nr_pages,
			       unsigned int max)
{
	unsigned int entries = 0, entry = 0;
	unsigned long pfn, last = 0;
	struct sgt_iter iter;
	dma_addr_t addr;

	for_each_sgt_daddr(addr, iter, sgt) {
		pfn = file_pfn(file, index++);
		if (!ok(addr == PFN_PHYS(pfn)))
			return false;
		if (pfn != last + 1 || entry == max) {
			entries++;
			entry = 0;
		}
		entry++;
		last = pfn;
		nr_pages--;
	}
	return ok(!nr_pages) && ok(sgt->nents == entries) &&
	       ok(sgt->orig_nents == entries);
}

/* Write a byte to each page of a kernel mapping, each another one. */
static inline void write_pages(u8 *map, unsigned long size, u8 value)
{
	unsigned long pos;

	for (pos = 0; pos < size; pos += PAGE_SIZE)
		map[pos + pos / PAGE_SIZE % 7] = value + pos / PAGE_SIZE;
}

/* Whether the process reads what write_pages() wrote. */
static inline bool user_reads(unsigned long addr, unsigned long size, u8 value)
{
	unsigned long pos;
	u8 seen;

	for (pos = 0; pos < size; pos += PAGE_SIZE) {
		if (!ok(!get_user(seen, (u8 __user *)(addr + pos +
						      pos / PAGE_SIZE % 7))))
			return false;
		if (!ok(seen == (u8)(value + pos / PAGE_SIZE)))
			return false;
	}
	return true;
}

static inline bool user_reads_zeros(unsigned long addr, unsigned long size)
{
	unsigned long pos;
	u8 seen;

	for (pos = 0; pos < size; pos += PAGE_SIZE / 4)
		if (!ok(!get_user(seen, (u8 __user *)(addr + pos))) || !ok(!seen))
			return false;
	return true;
}

/* Change the flags of a mapping, and nothing else. */
static inline bool change_vma(unsigned long addr, vm_flags_t set, vm_flags_t clear)
{
	struct vm_area_struct *vma;

	mmap_write_lock(current->mm);
	vma = vma_lookup(current->mm, addr);
	if (vma)
		vm_flags_mod(vma, set, clear);
	mmap_write_unlock(current->mm);
	return ok(vma);
}

/*
 * The memory of a test, and an object over a part of it.
 */
struct igt_userptr {
	struct file *file;
	unsigned long addr;
	unsigned long size;
	struct drm_i915_gem_object *obj;
};

/*
 * Map @size bytes of a file from @offset on, and make an object of @nr pages from
 * page @first of the mapping on. Without a file it is anonymous memory. Returns
 * whether that worked; igt_userptr_end() cleans up in any case.
 */
static inline bool
igt_userptr_begin(struct igt_userptr *mem, struct drm_i915_private *i915,
		  struct file *file, unsigned long offset, unsigned long size,
		  unsigned long first, unsigned long nr)
{
	*mem = (struct igt_userptr) { .file = file, .size = size };

	if (!ok(!IS_ERR(file)))
		return false;
	mem->addr = map_at(0, file, size, offset);
	if (!ok(!IS_ERR_VALUE(mem->addr)))
		return false;
	mem->obj = userptr_create(i915, mem->addr + first * PAGE_SIZE,
				  nr * PAGE_SIZE, false);
	return ok(!IS_ERR(mem->obj));
}

/* Let the object go, and wait until it has gone. */
static inline void igt_userptr_put(struct igt_userptr *mem)
{
	struct drm_i915_private *i915;

	if (!IS_ERR_OR_NULL(mem->obj)) {
		i915 = to_i915(mem->obj->base.dev);
		i915_gem_object_put(mem->obj);
		i915_gem_drain_freed_objects(i915);
	}
	mem->obj = NULL;
}

static inline int igt_userptr_end(struct igt_userptr *mem, bool good)
{
	igt_userptr_put(mem);
	if (mem->addr && !IS_ERR_VALUE(mem->addr))
		vm_munmap(mem->addr, mem->size);
	if (!IS_ERR_OR_NULL(mem->file))
		fput(mem->file);
	return good ? 0 : -EINVAL;
}

/* As a program does, which calls an ioctl again on -EAGAIN. */
static inline int igt_userptr_submit(struct drm_i915_gem_object *obj)
{
	int i, err = -EAGAIN;

	for (i = 0; i < 20 && err == -EAGAIN; i++) {
		err = i915_gem_object_userptr_submit_init(obj);
		if (!err)
			err = i915_gem_object_userptr_submit_done(obj);
	}
	return err;
}

#endif /* __IGT_USERPTR_H__ */
