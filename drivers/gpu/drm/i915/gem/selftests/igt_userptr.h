/* SPDX-License-Identifier: MIT */
/*
 * What the tests of userptr objects share: an object over a part of some memory, and
 * what is known of pages without asking the code under test.
 */
#ifndef __IGT_USERPTR_H__
#define __IGT_USERPTR_H__

#include <linux/pagemap.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>

#include "gem/selftests/igt_memory.h"

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
