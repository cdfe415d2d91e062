/* SPDX-License-Identifier: MIT */
/*
 * What the files of the userptr objects share: pinned user memory, kept as runs
 * of contiguous pages, and how it is pinned, released, and exported.
 */
#ifndef __I915_GEM_USERPTR_H__
#define __I915_GEM_USERPTR_H__

#include <linux/types.h>
#include <linux/workqueue.h>

struct device;
struct dma_buf;
struct drm_i915_gem_object;
struct file;
struct mm_struct;
struct sg_table;

/**
 * struct userptr_run - physically contiguous pages at consecutive indices
 * @pfn: frame number of the first page
 * @index: page index of the first page in the object
 * @nr: number of pages
 */
struct userptr_run {
	unsigned long pfn;
	u32 index;
	u32 nr;
};

/**
 * struct userptr_pins - the pinned pages behind an object
 * @runs: all of them, in the order of their indices
 * @nr_runs: number of runs
 * @max_runs: runs that there is room for
 * @nr_pages: number of pages
 * @by_folio: each folio in a run has one pin, instead of one for each page
 * @wq: where @work is queued, or NULL if whoever releases can wait
 * @work: finishes a release that would have to wait
 *
 * Belongs to whoever made it, and does not change until it is released.
 */
struct userptr_pins {
	struct userptr_run *runs;
	u32 nr_runs;
	u32 max_runs;
	u32 nr_pages;
	bool by_folio;
	struct workqueue_struct *wq;
	struct work_struct work;
};

/* Pages or folios that are pinned between two looks at the signals. */
#define USERPTR_BATCH	64

struct userptr_pins *userptr_pins_alloc(struct workqueue_struct *wq,
					bool by_folio);
int userptr_pins_reserve(struct userptr_pins *pins, u32 nr);
void userptr_pins_add(struct userptr_pins *pins, unsigned long pfn, u32 nr);
unsigned long userptr_pins_pfn(const struct userptr_pins *pins, u32 index);
struct sg_table *userptr_pins_sgt(const struct userptr_pins *pins,
				  struct device *dev, size_t max_segment);
void userptr_pins_free(struct userptr_pins *pins, bool dirty);
void userptr_pins_free_nowait(struct userptr_pins *pins, bool dirty);

struct userptr_pins *userptr_pin_user(struct workqueue_struct *wq,
				      unsigned long start, u32 nr_pages,
				      unsigned int gup_flags);
struct userptr_pins *userptr_pin_file(struct workqueue_struct *wq,
				      struct file *file, pgoff_t index,
				      u32 nr_pages);
struct file *userptr_find_file(struct mm_struct *mm, unsigned long start,
			       unsigned long size, bool write, pgoff_t *index);

struct dma_buf *i915_gem_userptr_export(struct drm_i915_gem_object *obj,
					int flags);

#endif /* __I915_GEM_USERPTR_H__ */
